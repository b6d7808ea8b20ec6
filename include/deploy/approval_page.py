"""The promotion packet: what an approver needs to decide, in a minute, whether a version goes into production.

It has two forms: Markdown for Airflow's form, and a self-contained HTML page. Pure; ``approval_request.py`` gathers the
data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from include.deploy.serving_modes import MonthlyCost
from include.models.config import ModelConfig
from include.models.config.decision import DecisionOutcome, told
from include.models.config.judging import Verdict, explain
from include.platform.pages import render
from include.platform.stability import allowed_index

Card = Mapping[str, Mapping[str, Any]]  # a model card: its sections, as in SageMaker
MOST_DRIFTED = 5


@dataclass(frozen=True)
class Packet:
    """The content of the packet. Metrics by name; ``champion_metrics`` are of the same test split if ``same_split``.

    ``latency``: ``p50_ms`` and ``p99_ms`` in staging. ``drift``: by feature, the population stability index of the
    training data against that of the version in production; None if there is nothing to compare with.
    ``cost``: what serving it costs, production and staging.
    ``validation``: one sentence for each check of the data. ``card``: the version's model card; empty if it has none.
    ``links``: addresses by title. ``findings``: the comparison with the versions of production, and the worst
    segments.
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
    cost: MonthlyCost
    traffic: str
    lineage: Mapping[str, str]
    card: Card = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    findings: Sequence[str] = ()
    decision: DecisionOutcome | None = None

    @property
    def question(self) -> str:
        place = f"replace version {self.champion_version}" if self.champion_version else "become the first version"
        return f"Shall version {self.version} of {self.model.name} {place} in production?"

    @property
    def about(self) -> dict[str, str]:
        """The model card's texts by title; its numbers are shown as metrics."""
        sections = {
            "Purpose": ("intended_uses", "purpose_of_model"),
            "Intended uses": ("intended_uses", "intended_uses"),
            "Caveats": ("additional_information", "caveats_and_recommendations"),
            "Training": ("training_details", "training_observations"),
            "Made by": ("model_overview", "model_creator"),
        }
        found = {title: self.card.get(section, {}).get(key) for title, (section, key) in sections.items()}
        found |= self.card.get("additional_information", {}).get("custom_details", {})
        return {title: text for title, text in found.items() if text}

    @property
    def decisive(self) -> list[str]:
        """The metrics that gates and the champion rule use, the champion rule's first."""
        return list(dict.fromkeys([self.model.champion.metric, *(gate["metric"] for gate in self.gates)]))

    @property
    def others(self) -> list[str]:
        return [name for name in self.metrics if name not in self.decisive]

    @property
    def told(self) -> list[str]:
        """What an approver must know besides the table: the decision threshold, what did not pass, and how the champion
        was compared."""
        forced = self.lineage.get("forced")
        mark = [f"Registration was forced although it did not pass. Reason: {forced}"] if forced else []
        decided = [told(self.decision)] if self.decision else []
        judged = [explain(one) for one in self.gates if not one["passed"] or one["kind"] == "champion"]
        return [*mark, *decided, *judged, *self.findings]

    @property
    def drifted(self) -> list[tuple[str, float]]:
        """Features whose training data drifted, the most first."""
        allowed = allowed_index(self.model)
        moved = [(name, index) for name, index in (self.drift or {}).items() if index > allowed]
        return sorted(moved, key=lambda one: -one[1])[:MOST_DRIFTED]

    def better(self, metric: str) -> bool | None:
        """Whether the candidate is better than the champion; None if it cannot be said."""
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


def markdown(packet: Packet) -> str:
    return render("packet.md.jinja", packet=packet).strip() + "\n"


def page(packet: Packet) -> str:
    return render("packet.html.jinja", packet=packet)
