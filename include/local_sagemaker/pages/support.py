"""What this server executes, accepts without effect or refuses by name, as a page and for the README."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.service import Service
from include.local_sagemaker.http import api_model, capabilities
from include.local_sagemaker.http.routing import operation_names, route
from include.local_sagemaker.pages.kinds import KINDS
from include.local_sagemaker.pages.rendering import page

INVOKE = "InvokeEndpoint"  # of sagemaker-runtime


@dataclass(frozen=True)
class OperationSupport:
    """An operation that is executed, with the members of its request that are not."""

    name: str
    without_effect: list[str]
    refused: list[str]


def executed() -> Iterator[OperationSupport]:
    for name in [*operation_names(), INVOKE]:
        members = list(capabilities.members(name))
        yield OperationSupport(
            name,
            [path for path, support in members if support == "without effect"],
            [path for path, support in members if support == "refused"],
        )


def refused() -> list[str]:
    """The operations of SageMaker that this server answers with UnknownOperationException."""
    return sorted(set(api_model.operation_names()) - set(operation_names()))


@route("GET", "/_local/support")
def show_support(service: Service, request: Request) -> Response:
    return page("support.html", kinds=KINDS.values(), executed=list(executed()), refused=refused())


def markdown() -> str:
    """The README's lists."""
    found = list(executed())
    partly = [one for one in found if one.without_effect or one.refused]
    lines = [f"Executed, {len(found)} operations: {_names(one.name for one in found)}.", ""]
    lines += [
        "| Of these requests | taken without effect | refused by name |",
        "|---|---|---|",
        *(f"| `{one.name}` | {_names(one.without_effect)} | {_names(one.refused)} |" for one in partly),
        "",
    ]
    lines.append(f"Refused as a whole (`UnknownOperationException`), {len(refused())} operations: {_names(refused())}.")
    return "\n".join(lines)


def _names(names: Iterator[str] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
