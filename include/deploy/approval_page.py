"""The promotion packet: what a person needs to decide, in a minute, whether a version goes into production.

The same facts twice: Markdown for Airflow's form, and a page that stands alone. Pure; gathered by
``approval_request.py``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from include.models.config import ModelConfig
from include.platform.pages import render
from include.train.gates import Verdict

# drift_profile.json: by feature, a number's edges of quantile bins or a text's values, and their shares
Profile = Mapping[str, Mapping[str, Any]]

DRIFTED = 0.1  # from here on a feature is named: a tenth of the rows lies elsewhere than it did
MOST_DRIFTED = 5


@dataclass(frozen=True)
class Packet:
    """All that is shown. Metrics by name; ``champion_metrics`` are of the same test split if ``same_split``.

    ``latency``: ``p50_ms`` and ``p99_ms`` in staging. ``drift``: by feature, the largest difference between the shares
    of training rows below any value (0 to 1); None where there is nothing to compare with. ``monthly_usd``: of what
    serves it at the least; None where the price is unknown. ``validation``: one sentence for each check of the data.
    ``card``: the version's model card, in the form of SageMaker's; empty where it has none. ``links``: addresses by
    title.
    """

    model: ModelConfig
    version: int
    champion_version: int | None
    metrics: Mapping[str, float | None]
    champion_metrics: Mapping[str, float | None]
    same_split: bool
    gates: Sequence[Verdict]
    validation: Mapping[str, str]
    drift: Mapping[str, float] | None
    latency: Mapping[str, float | None]
    monthly_usd: float | None
    traffic: str
    lineage: Mapping[str, str]
    card: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def question(self) -> str:
        place = f"replace version {self.champion_version}" if self.champion_version else "become the first version"
        return f"Shall version {self.version} of {self.model.name} {place} in production?"

    @property
    def about(self) -> dict[str, str]:
        """The model card's sentences by title; its numbers are shown as metrics."""
        sections = {
            "Purpose": ("intended_uses", "purpose_of_model"),
            "Intended uses": ("intended_uses", "intended_uses"),
            "Caveats": ("additional_information", "caveats_and_recommendations"),
            "Training": ("training_details", "training_observations"),
            "Made by": ("model_overview", "model_creator"),
        }
        found = {title: self.card.get(section, {}).get(key) for title, (section, key) in sections.items()}
        return {title: text for title, text in found.items() if text}

    @property
    def decisive(self) -> list[str]:
        """The metrics that gates and the champion rule look at, the champion's own first."""
        return list(dict.fromkeys([self.model.champion.metric, *(gate["metric"] for gate in self.gates)]))

    @property
    def others(self) -> list[str]:
        return [name for name in self.metrics if name not in self.decisive]

    @property
    def drifted(self) -> list[tuple[str, float]]:
        """Features whose training data moved, the most first."""
        moved = [(name, value) for name, value in (self.drift or {}).items() if value >= DRIFTED]
        return sorted(moved, key=lambda one: -one[1])[:MOST_DRIFTED]

    def better(self, metric: str) -> bool | None:
        """Whether the candidate is better than the champion; None where that cannot be said."""
        ours, theirs = self.metrics.get(metric), self.champion_metrics.get(metric)
        if ours is None or theirs is None or ours == theirs or not self.same_split:
            return None
        kinds = {verdict["metric"]: verdict["kind"] for verdict in self.gates if verdict["kind"] != "champion"}
        if metric == self.model.champion.metric:
            upwards = self.model.champion.direction == "maximize"
        elif metric in kinds:
            upwards = kinds[metric] == "min"
        else:
            return None
        return (ours > theirs) == upwards


def drift_between(before: Profile, after: Profile) -> dict[str, float]:
    """By feature that both know, the share of rows that lie elsewhere. Of a number: the largest difference between the
    two shares of rows below any bin's edge; of a text: the share of rows that would have to have another one. At least
    the difference of their shares without a value; all rows, where a number became a text."""
    return {name: _gap(before[name], after[name]) for name in sorted(before.keys() & after.keys())}


def _gap(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    missing = abs(float(before["missing"]) - float(after["missing"]))
    if ("values" in before) != ("values" in after):
        return 1.0
    if "values" in before:
        return max(_other_texts(before, after), missing)
    points = {*before["edges"], *after["edges"]}
    return max([*(abs(_share_below(before, point) - _share_below(after, point)) for point in points), missing])


def _other_texts(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """Texts too rare to be named count as one."""
    first: dict[str, float] = dict(zip(before["values"], before["shares"], strict=True))
    second: dict[str, float] = dict(zip(after["values"], after["shares"], strict=True))
    gaps = [first.get(text, 0.0) - second.get(text, 0.0) for text in first.keys() | second.keys()]
    rest = sum(second.values()) - sum(first.values())
    return (sum(map(abs, gaps)) + abs(rest)) / 2


def _share_below(profile: Mapping[str, Any], value: float) -> float:
    """The share of rows up to a value, evenly spread within a bin."""
    edges: list[float] = profile["edges"]
    shares: list[float] = profile["shares"]
    below = [sum(shares[: number + 1]) for number in range(len(edges))]
    at = bisect_left(edges, value)
    if at == len(edges):
        return 1.0
    if edges[at] == value or at == 0:
        return below[at] if edges[at] == value else 0.0
    part = (value - edges[at - 1]) / (edges[at] - edges[at - 1])
    return below[at - 1] + part * (below[at] - below[at - 1])


def markdown(packet: Packet) -> str:
    return render("packet.md.jinja", packet=packet).strip() + "\n"


def page(packet: Packet) -> str:
    return render("packet.html.jinja", packet=packet)
