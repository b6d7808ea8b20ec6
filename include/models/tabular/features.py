"""From one table to the feature table: no column is computed here, so a request to an endpoint is a raw row.

Derived columns are part of the fitted model (``tabular.schema``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from include.models.config import ModelConfig, Table
from include.models.errors import JobError
from include.models.raw.kinds import reading_of


@dataclass(frozen=True)
class TabularFeatures:
    """The ``FeatureBuilder`` for model folders without a features.py."""

    config: ModelConfig

    def build_features(self, tables: Mapping[str, pl.DataFrame], with_label: bool = True) -> pl.DataFrame:
        """Key, time, the features (numbers as Float64, texts as String) and, with ``with_label``, the label.

        With the label, rows that have none are dropped: nothing can be learned from them.

        Raises:
            JobError: model.yaml has more than one table, names an unknown column, or would learn from a
                timestamp.
        """
        data = self.config.data
        name, table = self._only_table()
        features = [
            reading_of(table.kinds[column]).feature(pl.col(column)) for column in feature_names(self.config, table)
        ]
        others = [column for column in data.not_features if column != data.label]
        frame = tables[name]
        if with_label:
            return frame.drop_nulls(data.label).select(*others, *features, data.label)
        return frame.select(*others, *features)

    def _only_table(self) -> tuple[str, Table]:
        tables = self.config.data.tables
        if len(tables) != 1:
            raise JobError(
                f"models/{self.config.name} has no features.py, but {len(tables)} tables: {', '.join(tables)}. Without "
                "one, a model has one table: join them in a features.py."
            )
        return next(iter(tables.items()))


def feature_names(config: ModelConfig, table: Table) -> list[str]:
    """The columns to learn from, in the table's order.

    Raises:
        JobError: an unknown column, or a timestamp among the features.
    """
    excluded = {*config.data.not_features, *config.features.exclude}
    shown = f"models/{config.name}/model.yaml"
    if unknown := excluded - table.kinds.keys():
        raise JobError(f"{shown} names the column '{min(unknown)}'; the table has {', '.join(table.kinds)}.")
    names = [name for name in table.kinds if name not in excluded]
    if moments := [name for name in names if table.kinds[name].is_time]:
        raise JobError(f"{shown}: the timestamp '{moments[0]}' is not a feature; name it under features.exclude.")
    return names
