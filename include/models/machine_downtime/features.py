"""Readings of machine tools to the feature table: one row per reading, from that reading alone.

No look-back: the readings of a day can be scored without any other day's. The machine and its line are not features:
what is learned applies to unseen machines. Cells without a value stay empty, as do impossible readings (a pressure or a
vibration below zero): the fitted pipeline fills them with medians of the training split.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

MEASURED = (
    "hydraulic_pressure_bar",
    "coolant_pressure_bar",
    "air_pressure_bar",
    "coolant_temperature_c",
    "hydraulic_oil_temperature_c",
    "spindle_bearing_temperature_c",
    "spindle_vibration_um",
    "tool_vibration_um",
    "spindle_speed_rpm",
    "voltage_v",
    "torque_nm",
    "cutting_force_kn",
)
NEVER_NEGATIVE = ("hydraulic_pressure_bar", "coolant_pressure_bar", "spindle_vibration_um", "tool_vibration_um")
SMALLEST_VIBRATION_UM = 1.0  # a ratio to less than this is noise


def build_features(tables: Mapping[str, pl.DataFrame], with_label: bool = True) -> pl.DataFrame:
    """The feature table in the readings' order: ``reading``, ``machine_id``, ``date``, features as Float64.

    Besides the measurements: ``pressure_differential_bar``, hydraulic less coolant; ``vibration_ratio``, of the spindle
    to the tool; ``pressure_force_bar_kn``, hydraulic pressure times cutting force. With ``with_label`` the String
    ``downtime`` follows, and readings without a label are dropped.
    """
    readings = tables["readings"].with_columns(
        pl.when(pl.col(name) >= 0).then(pl.col(name)).alias(name) for name in NEVER_NEGATIVE
    )
    tool = pl.col("tool_vibration_um")
    frame = readings.select(
        "reading",
        "machine_id",
        "date",
        *(pl.col(name).cast(pl.Float64) for name in MEASURED),
        (pl.col("hydraulic_pressure_bar") - pl.col("coolant_pressure_bar")).alias("pressure_differential_bar"),
        pl.when(tool >= SMALLEST_VIBRATION_UM).then(pl.col("spindle_vibration_um") / tool).alias("vibration_ratio"),
        (pl.col("hydraulic_pressure_bar") * pl.col("cutting_force_kn")).alias("pressure_force_bar_kn"),
        *(["downtime"] if with_label else []),
    )
    return frame.filter(pl.col("downtime").is_not_null()) if with_label else frame
