"""The pages for people."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.include.local_sagemaker.job_requests import processing, run_processing
from tests.include.local_sagemaker.local_server import ROOT, LocalSageMaker


def _read(server: LocalSageMaker, path: str) -> str:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=10) as response:  # noqa: S310 - our own address
        return str(response.read().decode())


def test_a_jobs_log_and_reason_are_shown(server: LocalSageMaker, sagemaker: Any, names: Callable[[str], str]) -> None:
    name = names("page")
    run_processing(sagemaker, processing(name, ["sh", "-c", "echo '<b>bold</b>'; exit 1"]))
    page = _read(server, f"/_local/logs/processing/{name}")
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "AlgorithmError" in page
    overview = _read(server, "/_local/")
    assert f'href="/_local/show/processing/{name}?region=us-east-1"' in overview
    assert "Failed" in overview


def test_health(server: LocalSageMaker) -> None:
    assert _read(server, "/_local/health") == '{"status": "ok"}'


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("processing/absent", "There is no processing-job named absent."),
        ("coffee/x", "not of coffee."),
        ("training/..", "There is no training-job named ..."),
    ],
)
def test_what_is_not_there_is_a_404_that_says_so(server: LocalSageMaker, path: str, said: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        _read(server, f"/_local/logs/{path}")
    assert error.value.code == 404
    assert said in error.value.read().decode()


def test_a_job_says_who_asked_for_it_and_leads_to_what_it_read_and_wrote(
    server: LocalSageMaker, sagemaker: Any, s3: Any, names: Callable[[str], str]
) -> None:
    name = names("traced")
    s3.put_object(Bucket="ml-local", Key=f"{name}/in/rows.csv", Body=b"a,b\n1,<2>\n")
    request = processing(
        name,
        ["sh", "-c", "cp /opt/ml/processing/input/rows/rows.csv /opt/ml/processing/output/kept/"],
        inputs={"rows": f"s3://ml-local/{name}/in/"},
        outputs={"kept": f"s3://ml-local/{name}/out"},
        Tags=[{"Key": "dag_id", "Value": "score_pumps"}, {"Key": "task_id", "Value": "build_features"}],
    )
    request["Tags"] += [{"Key": "day", "Value": "2015-06-05"}, {"Key": "owner", "Value": "team/pumps"}]
    run_processing(sagemaker, request)
    page = _read(server, f"/_local/show/processing/{name}")
    asked, tags = page.split("<h2>Tags</h2>")
    assert "<tr><th>Dag</th><td>score_pumps</td></tr>" in asked
    assert "<tr><th>Task</th><td>build_features</td></tr>" in asked
    assert "<tr><th>Day</th><td>2015-06-05</td></tr>" in asked
    assert "<tr><th>owner</th><td>team/pumps</td></tr>" in tags
    assert f"/{name}?" in _read(server, "/_local/list/processing?from=2015-06-05")
    for place in (f"/_local/s3/ml-local/{name}/in/", f"/_local/s3/ml-local/{name}/out"):
        assert f'href="{place}"' in page
    folder = _read(server, f"/_local/s3/ml-local/{name}/out")  # a folder without its slash
    assert f'href="/_local/s3/ml-local/{name}/out/rows.csv?preview"' in folder
    assert "<td>&lt;2&gt;</td>" in _read(server, f"/_local/s3/ml-local/{name}/out/rows.csv?preview")
    assert "ml-local/" in _read(server, "/_local/s3/")


def test_lists_are_filtered_and_come_in_pages(
    server: LocalSageMaker, sagemaker: Any, names: Callable[[str], str]
) -> None:
    bad, good = names("listed-bad"), names("listed-good")
    run_processing(sagemaker, processing(bad, ["false"], Tags=[{"Key": "dag_id", "Value": "train_lamps"}]))
    run_processing(sagemaker, processing(good, ["true"], Tags=[{"Key": "dag_id", "Value": "train_pumps"}]))

    def listed(query: str) -> set[str]:
        page = _read(server, f"/_local/list/processing?{query}")
        return {name for name in (bad, good) if f"/{name}?" in page}

    assert listed("name=LISTED") == {bad, good}
    assert listed("name=listed&state=Failed") == {bad}
    assert listed("from=train_pumps") == {good}
    assert listed("name=listed&page=2") == set()
    assert listed("page=x&name=listed-b") == {bad}


def test_versions_are_shown_with_their_metrics(server: LocalSageMaker, sagemaker: Any, s3: Any) -> None:
    s3.put_object(Bucket="ml-local", Key="shown/model.tar.gz", Body=b"packed")
    sagemaker.create_model_package_group(ModelPackageGroupName="shown")
    container = {"Image": "ml-jobs:1", "ModelDataUrl": "s3://ml-local/shown/model.tar.gz"}
    sagemaker.create_model_package(
        ModelPackageGroupName="shown",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        CustomerMetadataProperties={"metric_f1": "0.93"},
    )
    group = _read(server, "/_local/show/groups/shown")
    assert "f1 0.93" in group
    assert 'href="/_local/show/packages/shown/1?region=us-east-1"' in group
    assert "s3://ml-local/shown/model.tar.gz" in _read(server, "/_local/show/packages/shown/1")


def test_parquet_is_shown_as_a_table(server: LocalSageMaker, s3: Any, tmp_path: Path) -> None:
    file = tmp_path / "scores.parquet"
    program = "import polars, sys; polars.DataFrame({'machine': ['<m1>'], 'risk': [0.25]}).write_parquet(sys.argv[1])"
    subprocess.run([ROOT / ".venv/local_sagemaker/bin/python", "-c", program, file], check=True)
    s3.upload_file(str(file), "ml-local", "shown/scores.parquet")
    page = _read(server, "/_local/s3/ml-local/shown/scores.parquet?preview")
    assert "<th>machine</th><th>risk</th>" in page
    assert "<td>&lt;m1&gt;</td><td>0.25</td>" in page
    s3.put_object(Bucket="ml-local", Key="shown/broken.parquet", Body=b"PAR1")
    assert "cannot be read as Parquet" in _read(server, "/_local/s3/ml-local/shown/broken.parquet?preview")


def test_what_is_supported_is_shown(server: LocalSageMaker) -> None:
    page = _read(server, "/_local/support")
    executed, refused = page.split("Refused as a whole")
    assert "CreateTrainingJob" in executed
    assert "AsyncInferenceConfig" in executed, "a member that is refused by its name"
    assert "CreatePipeline" in refused
    assert "CreateTrainingJob" not in refused
