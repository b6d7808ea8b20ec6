"""Which searches are refused."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def where(name: str, word: str = "Equals", value: str = "1") -> dict[str, str]:
    return {"Name": name, "Operator": word, "Value": value}


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({}, "at least one of Filters"),
        ({"SubExpressions": [{}]}, "at least one of Filters"),
        ({"Filters": [where("TrainingJobName", "GreaterThan")]}, "not supported for the text property"),
        ({"Filters": [where("TrainingTimeInSeconds", "Contains")]}, "for text properties only"),
        ({"Filters": [where("CreationTime", "In")]}, "for text properties only"),
        ({"Filters": [where("Nothing")]}, "Unknown property name: Nothing"),
        ({"Filters": [where("InputDataConfig.Nothing")]}, "Unknown property name: InputDataConfig.Nothing"),
        ({"Filters": [where("TrainingJobName", "Contains")] * 2}, "only one Contains for TrainingJobName"),
        (
            {
                "Filters": [where("TrainingJobName", "Contains")],
                "SubExpressions": [{"Filters": [where("TrainingJobName", "Contains")]}],
            },
            "only one Contains for TrainingJobName",
        ),
        (
            {"NestedFilters": [{"NestedPropertyName": "InputDataConfig", "Filters": [where("Nothing")]}]},
            "Unknown property name: InputDataConfig.Nothing",
        ),
        ({"SubExpressions": [{"Filters": [where("TrainingJobName")] * 17}] * 3}, "51 conditions; 50 are allowed"),
    ],
)
def test_what_cannot_be_asked_for(sagemaker: Any, expression: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
        sagemaker.search(Resource="TrainingJob", SearchExpression=expression)


@pytest.mark.parametrize(
    "name",
    ["Metrics.validation:f1", "HyperParameters.max.depth", "Tags.team", "InputDataConfig.ChannelName", "CreationTime"],
)
def test_what_a_training_job_has(sagemaker: Any, name: str) -> None:
    sagemaker.search(Resource="TrainingJob", SortBy=name)


def test_what_a_person_names_is_compared_as_it_comes(sagemaker: Any) -> None:
    filters = [where("CustomerMetadataProperties.metric_f1", "GreaterThan"), where("Tags.team", "Contains")]
    sagemaker.search(Resource="ModelPackage", SearchExpression={"Filters": filters})
