"""Daily partitions follow the raw tables that they are cut from."""

from pathlib import Path
from typing import Any

import pytest

from include.ops.local_stack import seed
from include.ops.local_stack.settings import Settings
from tests.include.fake_s3 import FakeS3

MODEL = "predictive_maintenance"
DAYS = ("2015-06-01", "2015-06-02")


class FakeS3WithMetadata(FakeS3):
    def __init__(self) -> None:
        super().__init__()
        self.metadata: dict[str, dict[str, str]] = {}

    def upload_file(self, path: str, bucket: str, key: str, ExtraArgs: dict[str, Any]) -> None:  # noqa: N803
        self.objects[key] = Path(path).read_bytes()
        self.metadata[key] = ExtraArgs["Metadata"]
        self.log.append(("put", key))

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        return {"Metadata": self.metadata.get(Key, {})}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> FakeS3WithMetadata:
    s3 = FakeS3WithMetadata()
    s3.objects[f"raw/{MODEL}/PdM_errors.csv"] = b"first"
    monkeypatch.setattr(seed, "s3_client", lambda _: s3)
    return s3


def upload(folder: Path) -> None:
    for day in DAYS:
        (folder / f"date={day}").mkdir(parents=True, exist_ok=True)
        (folder / f"date={day}" / "PdM_errors.csv.gz").write_bytes(day.encode())
    seed.upload_days(Settings(folder, 1, 2), MODEL, folder, print)


def test_partitions_are_cut_once_and_again_from_other_tables(s3: FakeS3WithMetadata, tmp_path: Path) -> None:
    upload(tmp_path)
    assert len(s3.log) == 2
    upload(tmp_path)
    assert len(s3.log) == 2, "the same tables: nothing to do"
    s3.objects[f"raw/{MODEL}/PdM_errors.csv"] = b"other"
    upload(tmp_path)
    assert len(s3.log) == 4


def test_a_partition_that_somebody_else_put_there_is_left_alone(s3: FakeS3WithMetadata, tmp_path: Path) -> None:
    theirs = f"daily/{MODEL}/date={DAYS[0]}/PdM_errors.csv.gz"
    s3.objects[theirs] = b"theirs"
    upload(tmp_path)
    assert [key for _, key in s3.log] == [f"daily/{MODEL}/date={DAYS[1]}/PdM_errors.csv.gz"]
    assert s3.objects[theirs] == b"theirs"


def test_days_need_raw_tables(s3: FakeS3WithMetadata, tmp_path: Path) -> None:
    s3.objects.clear()
    with pytest.raises(seed.SeedError, match="make run first"):
        seed.seed_days(Settings(tmp_path, 1, 2), MODEL, *DAYS, print)
