"""The template of the Athena tables of scores, one for each scored model: generated from
``include/score/athena_table.py`` when deployed, so that the tables match the published columns.

    python -m include.ops.mwaa.scores_tables     prints it, for linters
"""

from __future__ import annotations

import json
from typing import Any

from include.models.config import ModelConfig, load_model, model_names
from include.ops import Json
from include.score.athena_table import scores_table

BUCKET = "<bucket>"


def scores_tables(models: list[ModelConfig] | None = None) -> Json:
    """The template, of these models or of all."""
    if models is None:
        models = [load_model(name) for name in model_names()]
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Athena's tables of each model's daily scores.",
        "Parameters": {
            "Name": {
                "Type": "String",
                "Description": "Name of the Airflow environment; everything of it is called after it.",
                "AllowedPattern": "[a-z][a-z0-9-]{1,24}",
            }
        },
        "Resources": {
            "".join(word.title() for word in model.name.split("_")): {
                "Type": "AWS::Glue::Table",
                "Properties": {
                    "CatalogId": {"Ref": "AWS::AccountId"},
                    "DatabaseName": {"Fn::ImportValue": {"Fn::Sub": "${Name}-scores-database"}},
                    "TableInput": _in_the_bucket(scores_table(model, BUCKET)),
                },
            }
            for model in models
            if model.scoring
        },
    }


def _in_the_bucket(value: Any) -> Any:
    """Locations name the environment's bucket; Athena's own ``${date}`` is left to Athena."""
    if isinstance(value, dict):
        return {key: _in_the_bucket(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_the_bucket(item) for item in value]
    if isinstance(value, str) and BUCKET in value:
        return {"Fn::Sub": value.replace("${", "${!").replace(BUCKET, "${Name}-ml-${AWS::AccountId}")}
    return value


if __name__ == "__main__":
    print(json.dumps(scores_tables(), indent=2))
