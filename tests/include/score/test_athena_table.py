"""Glue's definition of the table of scores, checked against botocore's model and the folder where scores are
published."""

from __future__ import annotations

import botocore.loaders
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from include.models.config import load_model
from include.platform.storage import scores_symlink
from include.score.athena_table import scores_table

MODEL = load_model("predictive_maintenance")
TABLE = scores_table(MODEL, "bucket")


def test_is_what_glue_takes() -> None:
    api = ServiceModel(botocore.loaders.Loader().load_service_model("glue", "service-2"), "glue")
    request = {"DatabaseName": "ml", "TableInput": TABLE}
    report = ParamValidator().validate(request, api.operation_model("CreateTable").input_shape)
    assert not report.has_errors(), report.generate_report()


def test_finds_a_days_files() -> None:
    place = TABLE["Parameters"]["storage.location.template"].replace("${date}", "2015-06-05")
    assert f"s3://bucket/{scores_symlink(MODEL.name, '2015-06-05')}".startswith(place)


def test_has_the_columns_that_are_published() -> None:
    columns = {column["Name"]: column["Type"] for column in TABLE["StorageDescriptor"]["Columns"]}
    assert columns == {
        "machineid": "bigint",  # Athena has only lower case, and finds a Parquet column regardless of case
        "datetime": "timestamp",
        "prediction": "string",
        **{f"probability_{name}": "double" for name in ("none", "comp1", "comp2", "comp3", "comp4")},
        "reasons": "string",
    }
    regression = MODEL.model_copy(update={"problem": "regression"})
    kinds = {column["Name"]: column["Type"] for column in scores_table(regression, "b")["StorageDescriptor"]["Columns"]}
    assert kinds["prediction"] == "double"
