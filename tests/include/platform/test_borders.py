"""Any text crosses every border to AWS, checked by the local AWS against AWS's patterns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.models.config import load_model
from include.models.config.results import Evaluation
from include.platform.borders import description, mail, metadata, metadata_id, original_id, tag_list
from include.platform.environment import EXAMPLE, MlEnvironment
from include.platform.raw_files import lineage_entries
from include.platform.request_parts import owner_tags
from include.platform.run_folders import Run
from include.registry.requests import model_package, model_package_group
from include.registry.versions import RegisteredVersion
from tests.include.local_aws import LocalS3
from tests.include.local_sagemaker.conftest import Client

HOSTILE = [
    "Looks good, approved!",
    "Conan O'Brien; DROP TABLE models --",
    "two\nlines\tand a\r\nthird",
    "export (1).csv",
    "<=50K",
    "Zażółć gęślą jaźń – „quoted“",
    "e\u0301 with a combining accent",
    "🚀🚀",
    "\u2028\u0000\u200b",
    "日本語のモデル",
    "x" * 3000,
    "  ",
    "a=b&c%20$(whoami)`id`${HOME}",
    "\\\"'",
]
MODEL = load_model("predictive_maintenance")
ENVIRONMENT = MlEnvironment.model_validate_json(EXAMPLE)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_version_is_registered_whatever_its_texts(text: str, ml_bucket: LocalS3, aws: Client) -> None:
    """The model's owner and description, names of raw files and metrics, the words of whoever decides."""
    model = MODEL.model_copy(update={"owner": text, "description": text})
    run = Run("my-ml-bucket", "train", "manual~1")
    files: Any = [
        {"key": f"raw/m/{text}", "bytes": 1, "etag": "abc"},
        {"key": f"raw/m/{text}?", "bytes": 1, "etag": "d"},
    ]
    ml_bucket.objects["hostile/model.tar.gz"] = b"a model"
    lineage = {"run_id": metadata_id("manual~1"), "dag_id": "train", f"metric_f1_{text}": "0.9"}
    lineage |= lineage_entries(files, 10)
    artifact, evaluation = "s3://my-ml-bucket/hostile/model.tar.gz", Evaluation(metrics={text: 0.9}, champion=None)
    request = model_package(model, ENVIRONMENT, run, artifact=artifact, lineage=lineage, evaluation=evaluation)
    name, sagemaker = f"hostile-{HOSTILE.index(text)}", aws("sagemaker")
    group = {**model_package_group(model, ENVIRONMENT), "ModelPackageGroupName": name}
    sagemaker.create_model_package_group(**group)
    arn = sagemaker.create_model_package(**{**request, "ModelPackageGroupName": name})["ModelPackageArn"]
    sagemaker.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties=metadata({"reason": text, text: "x"})
    )
    described = sagemaker.describe_model_package(ModelPackageName=arn)
    found = described["CustomerMetadataProperties"]
    assert len([key for key in found if key.startswith("data_")]) == 2, "no file loses its entry to another"
    version = RegisteredVersion(version=1, model_package_arn=arn, artifact="s3://b/a", image="i", metadata=found)
    assert version.ran == ("train", "manual~1")
    assert json.loads(described["ModelCard"]["ModelCardContent"])["model_overview"]["model_creator"] == text


def test_what_aws_takes_stays_as_it_is() -> None:
    kept = {
        "a": "Müller + Söhne, GmbH".replace(",", ""),
        "uri": "s3://b/k/x=1/y.json",
        "at": "2026-11-29T04:16:00+00:00",
    }
    assert metadata(kept) == kept
    assert metadata({"reason": "Looks good, approved!"}) == {"reason": "Looks good approved"}
    assert tag_list({"owner": "Conan O'Brien"}) == [{"Key": "owner", "Value": "Conan O Brien"}]
    assert metadata({"data_export (1).csv": "x", "data_export [1].csv": "y"}) == {
        "data_export_1_.csv": "x",
        "data_export_1_.csv_2": "y",
    }
    assert metadata({"empty": "", "none": None, "nothing left": "!!!"}) == {"nothing_left": "_"}
    assert len(metadata({str(n): n for n in range(100)})) == 50


@pytest.mark.parametrize("run_id", ["manual__2026-11-29T04:16:00+00:00", "my~run", "a,b", "über", "100%=x"])
def test_an_identifier_is_read_again(run_id: str) -> None:
    kept = metadata({"run_id": metadata_id(run_id)})["run_id"]
    assert original_id(kept) == run_id


@pytest.mark.parametrize("text", HOSTILE)
def test_a_mail_and_a_description_are_what_sns_and_sagemaker_take(text: str) -> None:
    subject, message = mail(text, text * 200)
    assert 0 < len(subject) <= 100
    assert subject.isprintable()
    assert 0 < len(message.encode()) <= 262144
    assert "\n" not in description(text)
    tags = owner_tags(MODEL.model_copy(update={"owner": text}), ENVIRONMENT)
    assert all(len(tag["Value"]) <= 256 for tag in tags)
