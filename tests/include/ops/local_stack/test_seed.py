"""Daily partitions match the raw tables they are cut from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.ops.local_stack import seed
from include.ops.local_stack.settings import BUCKET, Settings
from tests.include.local_aws import LocalS3
from tests.include.local_sagemaker.local_server import LocalSageMaker

MODEL = "predictive_maintenance"
DAYS = ("2015-06-01", "2015-06-02")


@pytest.fixture
def s3(local_aws: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalS3]:
    s3 = LocalS3(local_aws, BUCKET)
    s3.objects[f"raw/{MODEL}/PdM_errors.csv"] = b"first"
    monkeypatch.setattr(seed, "s3_client", lambda _: s3)
    yield s3
    s3.objects.clear()


def upload(folder: Path) -> None:
    for day in DAYS:
        (folder / f"date={day}").mkdir(parents=True, exist_ok=True)
        (folder / f"date={day}" / "PdM_errors.csv.gz").write_bytes(day.encode())
    seed.upload_days(Settings(folder, 1, 2), MODEL, folder, print)


def test_partitions_are_cut_once_and_again_from_other_tables(s3: LocalS3, tmp_path: Path) -> None:
    upload(tmp_path)
    assert len(s3.log) == 2
    upload(tmp_path)
    assert len(s3.log) == 2, "the same tables: nothing to do"
    s3.objects[f"raw/{MODEL}/PdM_errors.csv"] = b"other"
    upload(tmp_path)
    assert len(s3.log) == 4


def test_a_partition_that_somebody_else_put_there_is_left_alone(s3: LocalS3, tmp_path: Path) -> None:
    theirs = f"daily/{MODEL}/date={DAYS[0]}/PdM_errors.csv.gz"
    s3.objects[theirs] = b"theirs"
    upload(tmp_path)
    assert [key for _, key in s3.log] == [f"daily/{MODEL}/date={DAYS[1]}/PdM_errors.csv.gz"]
    assert s3.objects[theirs] == b"theirs"


def test_days_need_raw_tables(s3: LocalS3, tmp_path: Path) -> None:
    s3.objects.clear()
    with pytest.raises(seed.SeedError, match="make run first"):
        seed.seed_days(Settings(tmp_path, 1, 2), MODEL, *DAYS, print)
