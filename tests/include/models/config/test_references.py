"""References within a model.yaml are checked when it is read: errors have line, key and the nearest name."""

# ruff: noqa: E501 - one line per case

from __future__ import annotations

from pathlib import Path

import pytest

from include.models.config import MODELS_FOLDER, ConfigError, load_model

PM, TABULAR, ABALONE, ELEC, MACHINES = (
    "predictive_maintenance",
    "tabular_classifier",
    "abalone_age",
    "electricity",
    "machine_downtime",
)


def refused(folder: Path, model: str, old: str, new: str) -> tuple[str, int]:
    """The message about a shipped model.yaml in which one text replaces another, and the new text's line."""
    text = (MODELS_FOLDER / model / "model.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    changed = text.replace(old, new)
    (folder / model).mkdir(parents=True)
    (folder / model / "model.yaml").write_text(changed, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_model(model, folder)
    start = text.index(old) + len(new) - len(new.lstrip())
    return str(error.value), changed.count("\n", 0, start) + 1


CASES = [
    # slices
    (ABALONE, "slices: [sex]", "slices: [sexx]", "slices.0: there is no column 'sexx'. Did you mean 'sex'?"),
    (ABALONE, "slices: [sex]", "slices: [sex, sex]", "'sex' is listed twice"),
    (ABALONE, "slices: [sex]", "slices: [{name: sex, bands: [1]}]", "'sex' is of kind string; bands are of numbers"),
    (PM, "column: age, bands: [5, 10, 15]}", "column: age, bands: [15, 5]}", "bands follow each other upwards"),
    (PM, "column: age, bands: [5, 10, 15]}", "column: errorID}", "slices.1.column: there is no column 'errorID'"),
    (ELEC, "column: half_hour, part: weekday}", "column: half_hour}", "a time needs a part, and nothing else has one"),
    (PM, "{metric: failure_events_caught, min: 0.93}", "{metric: macro_f1, slice: modell, min: 0.9}", "gates.2.slice: there is no slice 'modell'. Did you mean 'model'?"),
    (PM, "{metric: failure_events_caught, min: 0.93}", "{metric: failure_events_caught, slice: model, min: 0.9}", "a segment has no failure_events_caught"),
    (PM, "{metric: failure_events_caught, min: 0.93}", "{metric: accuracy, over: majority, slice: model, min: 0.1}", "is not over a baseline"),
    # metrics
    (PM, "{metric: accuracy, over: majority, share: true, min: 0.7}", "{metric: acuracy, min: 0.98}", "gates.1.metric: there is no metric 'acuracy'. Did you mean 'accuracy'?"),
    (PM, "{metric: accuracy, over: majority, share: true, min: 0.7}", "{metric: Accuracy, min: 0.98}", "Did you mean 'accuracy'?"),
    (PM, "{metric: accuracy, over: majority, share: true, min: 0.7}", "{metric: roc_auc, min: 0.98}", "gates.1.metric: there is no metric 'roc_auc'"),
    (PM, "{metric: accuracy, over: majority, share: true, min: 0.7}", "{metric: rolling_accuracy, min: 0.9}", "there is no metric 'rolling_accuracy'"),
    (PM, "{metric: accuracy, over: majority, share: true, min: 0.7}", "{metric: f1_comp9, min: 0.98}", "Did you mean 'f1_comp"),
    (PM, "{metric: accuracy, over: majority, share: true, min: 0.7}", "{metric: accuracy, min: 1.2}", "gates.1.min: accuracy lies between 0 and 1; the bound 1.2"),
    (PM, "{metric: failure_events_caught, min: 0.93}", "{metric: log_loss, max: -1}", "gates.2.max: log_loss is at least 0; the bound -1"),
    (PM, "{metric: failure_events_caught, min: 0.93}", "{metric: failure_events_caught, min: 90}", "lies between 0 and 1"),
    (PM, "{metric: failure_events_caught, min: 0.93}", "{metric: events_caught, min: 0.9}", "code.evaluation.metrics"),
    (PM, "macro_f1, min: 0.90}", "macro_f1, min: 0.9, max: 0.8}", "min 0.9 is above max 0.8"),
    (PM, "over: majority", "over: mojority", "Did you mean 'majority'?"),
    (PM, "over: majority", "over: same_as_last", "declared in code.evaluation.baselines"),
    (PM, "{metric: accuracy, over", "{metric: log_loss, over", "a baseline, which predicts no probabilities, has no log_loss"),
    (PM, "share: true, min: 0.7", "share: true, min: 1.2", "is at most 1; the bound 1.2 is out of range"),
    (PM, "over: majority, share", "share", "name it with over"),
    (PM, "cluster: [machineID]", "cluster: [machine]", "Did you mean 'machineID'?"),
    (ABALONE, "viscera_weight, shell_weight]\n", "viscera_weight, rings]\n", "'rings' is data.label, which is not known yet"),
    (ABALONE, "\n  key: [specimen]", "\n  key: [prediction]", "'prediction' is reserved for predictions in the scores"),
    (ELEC, "rolling_accuracy, over: same_as_last", "rolling_accuracy, over: production", "are not refitted"),
    (ELEC, "same_as_last, min: 0.0}", "same_as_last, min: 1.5}", "lies between -1 and 1"),
    (ABALONE, "{metric: mse, over: mean, share: true, min: 0.52}", "{metric: accuracy, min: 0.5}", "there is no metric 'accuracy'"),
    (ABALONE, "{metric: mse, over: mean, share: true, min: 0.52}", "{metric: r2, min: 1.5}", "r2 is at most 1; the bound 1.5"),
    (ABALONE, "  metric: mse\n", "  metric: mes\n", "champion.metric: there is no metric 'mes'. Did you mean 'mse'?"),
    (ELEC, "  metric: accuracy\n", "  metric: rolling_accuracy\n", "champion.metric: there is no metric 'rolling_accuracy'"),
    (ELEC, "  direction: maximize\n", "  direction: minimize\n", "champion.direction: is minimize, but the better direction of accuracy is maximize"),
    (ELEC, '"validation:accuracy"', '"validation:acuracy"', "training.tuning.objective.metric: on the validation split there is no metric 'acuracy'"),
    (ELEC, '"validation:accuracy"', '"accuracy"', "training jobs print validation:<metric>"),
    (ELEC, '"validation:accuracy"', '"validation:accuracy_over_all"', "there is no metric 'accuracy_over_all'"),
    (ABALONE, '"validation:mse", direction: minimize', '"validation:mse", direction: maximize', "but the better direction of mse is minimize"),
    (TABULAR, "{metric: one_feature_alone, max", "{metric: one_feature_alone, interval: true, max", "gates.4.interval: one_feature_alone has no interval"),
    (PM, "{metric: failure_events_caught, min: 0.93}", "{metric: failure_events_caught, min: 0,93}", "gates.2.93: is read as a key: within { } a comma ends a value"),
    (ABALONE, "{metric: mse, over: mean, share: true, min: 0.52}", "{metric: mae_difference_sex, max: 1}", "It is measured for a slice that has protected: true"),
    (ELEC, "same_as_last, min: 0.0}", "same_as_last, min: 0.0}\n  - {metric: cost_per_1000, max: 5}", "add decision.costs"),
    (PM, "{metric: failure_events_caught, min: 0.93}", "{metric: rolling_macro_f1, min: 0.9}", "add split.rolling_origins"),
    (PM, "  margin: 0.005\n", "  margin: 1\n", "champion.margin: macro_f1 lies between 0 and 1: no candidate could be worse by more than 1"),
    (PM, "  margin: 0.005\n", "  margin: 0,005\n", "champion.margin: Input should be a valid number; found '0,005'. Written as a number: 0.005"),
    (PM, "above: 0.1}", "above: 10}", "explain.above: a probability lies between 0 and 1"),
    # hyperparameters
    (PM, "    num_leaves: 31\n", "    num_leafs: 31\n", "there is no hyperparameter 'num_leafs'. Did you mean 'num_leaves'?"),
    (PM, "    learning_rate: 0.1\n", "    learning_rate: 0,05\n", "is '0,05'; allowed is a number above 0 up to 10. Written as a number: 0.05"),
    (PM, "    learning_rate: 0.1\n", "    learning_rate: 1e-3\n", "is '1e-3'; allowed is a number above 0 up to 10. Written as a number: 0.001"),
    (PM, "    learning_rate: 0.1\n", "    learning_rate: -0.1\n", "is -0.1; allowed is a number above 0"),
    (PM, "    learning_rate: 0.1\n", "    learning_rate: fast\n", "is 'fast'; allowed is a number above 0 up to 10"),
    (PM, "    learning_rate: 0.1\n", "    learning_rate: [0.1]\n", "allowed is a number or a text or true or false; found [0.1]"),
    (PM, "    num_leaves: 31\n", "    num_leaves: 31.5\n", "is 31.5; allowed is a whole number from 2 to 131072"),
    (PM, "    bagging_fraction: 0.8\n", "    bagging_fraction: 80\n", "is 80; allowed is a number above 0 up to 1"),
    (ELEC, "    history: true ", "    history: 1 ", "is 1; allowed is true or false"),
    (MACHINES, "    algorithm: lightgbm  ", "    algorithm: forest  ", "is 'forest'; allowed is one of random_forest, lightgbm"),
    (MACHINES, "    trees: 300\n", "    num_boost_round: 200\n", "there is no hyperparameter 'num_boost_round'"),
    (TABULAR, "    class_balance: 0.0 ", "    class_ballance: 0.0 ", "Did you mean 'class_balance'?"),
    (PM, "      num_leaves: {min: 15, max: 63}", "      num_leavs: {min: 15, max: 63}", "training.tuning.ranges.num_leavs: there is no"),
    (PM, "      num_leaves: {min: 15, max: 63}", "      num_leaves: {min: 1, max: 63}", "num_leaves.min: is 1; allowed is a whole number from 2"),
    (PM, "      num_leaves: {min: 15, max: 63}", "      num_leaves: {min: 15.5, max: 63}", "num_leaves.min: is 15.5"),
    (MACHINES, "{values: [random_forest, lightgbm]}", "{values: [random_forest, xgboost]}", "values.1: is 'xgboost'"),
    (MACHINES, "{values: [random_forest, lightgbm]}", "{min: 1, max: 2}", "algorithm is not a number"),
    (PM, "    strategy: Random\n", "    strategy: Grid\n", "training.tuning.strategy: Grid needs values; with min and max are learning_rate"),
    (PM, "    max_parallel_jobs: 2\n", "    max_parallel_jobs: 20\n", "is 20, above max_jobs 8"),
    # columns and tables
    (PM, "  key: [machineID, datetime]\n  time", "  key: [machine, datetime]\n  time", "data.key.0: there is no column 'machine'. Did you mean 'machineID'?"),
    (PM, "  time: datetime\n", "  time: date_time\n", "data.time: there is no column 'date_time'. Did you mean 'datetime'?"),
    (PM, "  time: datetime\n", "  time: machineID\n", "data.time: 'machineID' is of kind integer; a time must be a timestamp"),
    (PM, "  label: failure\n", "  label: failures\n", "data.label: there is no column 'failures'. Did you mean 'failure'?"),
    (ABALONE, "  label: rings\n", "  label: sex\n", "data.label: 'sex' is of kind string; a regression predicts a number"),
    (TABULAR, "exclude: [Product ID, TWF,", "exclude: [Product ID, TFW,", "features.exclude.1: there is no column 'TFW'. Did you mean 'TWF'?"),
    (TABULAR, '"Torque [Nm]", "Rotational speed [rpm]"]', '"Torque", "Rotational speed [rpm]"]', "'Torque' is not a number to learn from. Did you mean 'Torque [Nm]'?"),
    (TABULAR, '"Torque [Nm]", "Rotational speed [rpm]"]', '"Type", "Rotational speed [rpm]"]', "'Type' is not a number to learn from"),
    (TABULAR, "{name: power, kind", "{name: Type, kind", "'Type' is the name of a column"),
    (TABULAR, "{name: strain, kind", "{name: power, kind", "features.derived.2: 'power' is listed twice"),
    (MACHINES, "group_by: [machine_id, date]", "group_by: [machine, date]", "split.group_by.0: split.group_by names ['machine']"),
    (TABULAR, "exclude: [Product ID, TWF,", "exclude: [Product ID, TWF, TWF,", "features.exclude.2: 'TWF' is listed twice"),
    (TABULAR, "of: [8.6, heat left in]", "of: [8.6, 7]", "features.derived.3.of: 8.6 and 7 are the same in every row"),
    (TABULAR, "      key: [UDI]\n", "      key: [UDI, UDI]\n", "data.tables.rows.key.1: 'UDI' is listed twice"),
    (ELEC, "mode: serverless  ", "mode: serverless\n  instance_count: 2  ", "serving.instance_count: a serverless endpoint has no instances"),
    (ELEC, "{period: 0.5106,", "{period: abc,", "serving.example.period: is 'abc', but the column is of kind number"),
    (PM, "table: failures", "table: failure", "labels.table: there is no table 'failure'. Did you mean 'failures'?"),
    (PM, "table: failures", "ask: 20\n  table: failures", "labels.ask: people are asked only if labels do not arrive"),
    (PM, "tables: [telemetry, errors, maint,", "tables: [telemetry, error, maint,", "scoring.tables.1: there is no table 'error'. Did you mean 'errors'?"),
    (PM, "ignored: [comp1_age_days,", "ignored: [comp_age_days,", "there is no feature 'comp_age_days'. Did you mean 'comp"),
    # classes
    (PM, "    none: {min: 0.5} ", "    nothing: {min: 0.5} ", "scoring.bounds names 'nothing'"),
    (PM, "    none: {min: 0.5} ", "    none: {min: 50} ", "scoring.bounds.none.min: a share of rows lies between 0 and 1; the bound 50"),
    (ABALONE, "    mean: {min: 3, max: 20} ", "    average: {min: 3, max: 20} ", "scoring.bounds names 'average'"),
    (PM, "[none, comp1, comp2, comp3, comp4]\n", "[none, comp1, comp2, comp3, comp3]\n", "data.classes.4: 'comp3' is listed twice"),
    (TABULAR, '  classes: ["0", "1"]', '  classes: ["no", "yes"]', "'no' is not a whole number, as the values of 'Machine failure'"),
    (TABULAR, '  classes: ["0", "1"]', "  classes: [0, 1]", "found 0: quote it to make it a text"),
    # schedules, jobs, serving
    (PM, "  p99_latency_ms: 500\n", "  p99_latency: 500\n", "unknown key. Did you mean 'p99_latency_ms'?"),
    (ELEC, "example: {period: 0.5106,", "example: {perod: 0.5106,", "serving.example.perod: there is no column 'perod'. Did you mean 'period'?"),
    (PM, "latency: {p50_ms: 200, p99_ms: 1000}", "latency: {p50_ms: 2000, p99_ms: 1000}", "p50_ms: 2000 is above p99_ms 1000"),
    (PM, '  train: "0 3 * * 1"', '  train: "every Monday"', "schedule.train"),
    (PM, "  instance_type: ml.m5.xlarge\n  volume_gb: 30\n  max_runtime_minutes: 60\n", "  instance_type: ml.m5.xlarge\n  max_runtime_minutes: 20000\n", "processing.max_runtime_minutes: is 20000"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "old", "new", "words"), CASES, ids=[f"{case[0]}: {case[2].strip()}" for case in CASES]
)
def test_a_name_or_value_that_cannot_be(tmp_path: Path, model: str, old: str, new: str, words: str) -> None:
    message, line = refused(tmp_path / "models", model, old, new)
    assert words in message
    lines = range(line, line + new.strip().count("\n") + 1)
    assert any(f"models/{model}/model.yaml:{one}: " in message for one in lines), message


def test_what_is_not_scored_has_no_schedule_for_it(tmp_path: Path) -> None:
    text = (MODELS_FOLDER / PM / "model.yaml").read_text(encoding="utf-8")
    begin, end = text.index("\nscoring:"), text.index("\ncode:")
    (tmp_path / PM).mkdir()
    left = f"{text[:begin]}\nchallenger: true{text[end:]}"
    (tmp_path / PM / "model.yaml").write_text(left, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_model(PM, tmp_path)
    assert "schedule.score: a model that is not scored daily has no such schedule" in str(error.value)
    assert "challenger: there is nothing to compare a candidate by" in str(error.value)


def test_modules_that_model_yaml_does_not_know_of(tmp_path: Path) -> None:
    """Airflow's machines have only the file, so its errors must be as complete as the folder's."""
    (tmp_path / TABULAR).mkdir()
    (tmp_path / TABULAR / "model.yaml").write_text((MODELS_FOLDER / TABULAR / "model.yaml").read_text(encoding="utf-8"))
    (tmp_path / TABULAR / "estimator.py").touch()
    with pytest.raises(ConfigError, match=r"estimator.py exists, but code.estimator"):
        load_model(TABULAR, tmp_path)


def test_hyperparameters_have_defaults_and_the_types_that_the_estimator_takes(tmp_path: Path) -> None:
    text = (MODELS_FOLDER / PM / "model.yaml").read_text(encoding="utf-8")
    text = text.replace("    class_balance: 0.5        #", "    #").replace(
        "    lambda_l2: 1.0\n", "    lambda_l2: 1\n"
    )
    (tmp_path / PM).mkdir()
    (tmp_path / PM / "model.yaml").write_text(text, encoding="utf-8")
    found = load_model(PM, tmp_path).training.hyperparameters
    assert found["class_balance"] == 0.5
    assert isinstance(found["lambda_l2"], float)
    assert "max_depth" not in found, "hyperparameters that model.yaml does not name keep the library's defaults"
