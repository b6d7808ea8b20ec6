"""IAM's evaluation of policy documents: pure, without requests or AWS.

moto's evaluation lacks conditions and knows only S3's resources: it could not prove least privilege. This one lacks
what the roles of this repository do not use: NotAction, NotResource, boundaries, and policies of organisations. A
statement that uses one of them, or an unknown condition operator, is an error, never silently allowed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

Context = Mapping[str, Sequence[str]]  # condition key in lower case -> its values in this request
OneOrMore = str | list[str]
Decision = Literal["allowed", "explicitDeny", "implicitDeny"]


class Statement(TypedDict, total=False):
    """The parts that are supported here."""

    Effect: str
    Action: OneOrMore
    Resource: OneOrMore
    Condition: dict[str, dict[str, OneOrMore]]


class Policy(TypedDict, total=False):
    """A policy's document."""

    Statement: Statement | list[Statement]


@dataclass(frozen=True)
class Action:
    """One action on one resource ("*" where the action takes none), and the values of condition keys."""

    name: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


class PolicyError(ValueError):
    """A policy uses something that is not supported here."""


def is_allowed(policies: Iterable[Policy], action: Action) -> bool:
    """Whether a statement allows it and none denies it.

    Raises:
        PolicyError: a statement about this action cannot be decided.
    """
    return decision(policies, action) == "allowed"


def decision(policies: Iterable[Policy], action: Action) -> Decision:
    """The decision in the terms of IAM's simulation.

    Raises:
        PolicyError: a statement about this action cannot be decided.
    """
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in _listed(policy.get("Statement", []))
        if _concerns(statement, action)
    }
    if "Deny" in effects:
        return "explicitDeny"
    return "allowed" if effects else "implicitDeny"


def _concerns(statement: Statement, action: Action) -> bool:
    if unknown := {"NotAction", "NotResource", "NotPrincipal"} & statement.keys():
        raise PolicyError(f"{', '.join(unknown)} in a policy is not supported here")
    if not any(_matches(pattern, action.name, ignore_case=True) for pattern in _listed(statement["Action"])):
        return False
    # trust policies name no resource
    if "Resource" in statement and not any(_matches(one, action.resource) for one in _listed(statement["Resource"])):
        return False
    return all(
        _holds(operator, key, _listed(wanted), action.context)
        for operator, conditions in statement.get("Condition", {}).items()
        for key, wanted in conditions.items()
    )


def _holds(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    given = context.get(key.lower())
    if operator == "Null":
        return (given is None) == (str(wanted[0]).lower() == "true")
    base = operator.removesuffix("IfExists")
    if base not in _OPERATORS:
        raise PolicyError(f"the condition operator {operator} is not supported here")
    compare, positive = _OPERATORS[base]
    if given is None:
        return operator != base or not positive
    found = any(compare(str(one), value) for one in wanted for value in given)
    return found if positive else not found


def _equal(wanted: str, value: str) -> bool:
    return wanted == value


def _equal_ignoring_case(wanted: str, value: str) -> bool:
    return wanted.lower() == value.lower()


def _matches(pattern: str, value: str, ignore_case: bool = False) -> bool:
    return _compile(pattern, ignore_case).fullmatch(value) is not None


@functools.cache
def _compile(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    translated = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.compile(translated, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (_equal, True),
    "StringNotEquals": (_equal, False),
    "StringEqualsIgnoreCase": (_equal_ignoring_case, True),
    "StringLike": (_matches, True),
    "StringNotLike": (_matches, False),
    "ArnEquals": (_matches, True),
    "ArnLike": (_matches, True),
    "ArnNotLike": (_matches, False),
    "Bool": (_equal_ignoring_case, True),
}


def _listed[One](value: One | list[One]) -> list[One]:
    return value if isinstance(value, list) else [value]
