"""S3 stored in files and rows: what a client sees, and what remains on disk."""

from __future__ import annotations

import base64
import gzip
import hashlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.conftest import BUCKET, client_of
from tests.include.local_sagemaker.local_server import REGION, LocalSageMaker

PART = 5 * 2**20


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def keys(s3: Any, **more: Any) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, **more)
    return [item["Key"] for page in pages for item in page.get("Contents", ())]


def upload(s3: Any, key: str, *pieces: bytes, **more: Any) -> Any:
    where = {"Bucket": BUCKET, "Key": key}
    where["UploadId"] = s3.create_multipart_upload(**where, **more)["UploadId"]
    etags = [s3.upload_part(**where, PartNumber=n, Body=piece)["ETag"] for n, piece in enumerate(pieces, 1)]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    return s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})


def test_lists_in_pages_with_folders(s3: Any) -> None:
    names = [f"list/{folder}/{number}" for folder in "abc" for number in range(3)] + ["list/z", "list/ä"]
    for name in names:
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"")
    assert keys(s3, Prefix="list/") == sorted(names)
    for size in (1, 2, 5, 100):
        config = {"PageSize": size}
        assert keys(s3, Prefix="list/", PaginationConfig=config) == sorted(names)
        for lister in ("list_objects", "list_objects_v2"):
            pages = list(
                s3.get_paginator(lister).paginate(Bucket=BUCKET, Prefix="list/", Delimiter="/", PaginationConfig=config)
            )
            folders = [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", ())]
            assert folders == ["list/a/", "list/b/", "list/c/"], lister
            assert [item["Key"] for page in pages for item in page.get("Contents", ())] == ["list/z", "list/ä"]
            assert all(len(p.get("Contents", ())) + len(p.get("CommonPrefixes", ())) <= size for p in pages)
    after = s3.list_objects_v2(Bucket=BUCKET, Prefix="list/", StartAfter="list/b/1")
    assert [item["Key"] for item in after["Contents"]] == sorted(names)[5:]
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=BUCKET, ContinuationToken="no token of ours")
    assert code_of(error) == "InvalidArgument"


def test_ranges(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="range", Body=b"0123456789")
    for asked, wanted in (("0-3", b"0123"), ("8-", b"89"), ("-3", b"789"), ("5-100", b"56789")):
        answer = s3.get_object(Bucket=BUCKET, Key="range", Range=f"bytes={asked}")
        assert answer["Body"].read() == wanted
        assert answer["ContentLength"] == len(wanted)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=BUCKET, Key="range", Range="bytes=10-")
    assert code_of(error) == "InvalidRange"


def test_a_body_that_is_not_what_its_digest_says_is_refused(s3: Any) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=BUCKET, Key="digest", Body=b"body", ContentMD5=wrong)
    assert code_of(error) == "BadDigest"
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=BUCKET, Key="digest", Body=b"body", ChecksumSHA256=base64.b64encode(b"0" * 32).decode())
    assert code_of(error) == "BadDigest"
    assert "digest" not in keys(s3, Prefix="digest")


def test_conditional_writes_are_won_by_one(client: Any, s3: Any, server: LocalSageMaker) -> None:
    won: list[int] = []
    refused: list[int] = []

    def put(number: int) -> None:
        session = boto3.session.Session("local", "local", region_name=REGION)
        mine = session.client("s3", endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1}))
        try:
            mine.put_object(Bucket=BUCKET, Key="lock", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            refused.append(error.response["ResponseMetadata"]["HTTPStatusCode"])
        else:
            won.append(number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert refused == [412] * 11
    assert s3.get_object(Bucket=BUCKET, Key="lock")["Body"].read() == str(won[0]).encode()
    etag = s3.head_object(Bucket=BUCKET, Key="lock")["ETag"]
    s3.put_object(Bucket=BUCKET, Key="lock", Body=b"next", IfMatch=etag)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=BUCKET, Key="lock", Body=b"late", IfMatch=etag)
    assert code_of(error) == "PreconditionFailed"


def test_an_upload_in_parts(s3: Any) -> None:
    pieces = (b"a" * PART, b"b" * PART, b"end")
    done = upload(s3, "parts", *pieces, Metadata={"kind": "large"}, Tagging="a=b", ChecksumAlgorithm="SHA256")
    digests = b"".join(hashlib.md5(piece, usedforsecurity=False).digest() for piece in pieces)
    assert done["ETag"].strip('"') == f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-3"
    found = s3.get_object(Bucket=BUCKET, Key="parts", ChecksumMode="ENABLED")
    assert found["Body"].read() == b"".join(pieces)
    assert {name.lower(): value for name, value in found["Metadata"].items()} == {"kind": "large"}
    composite = hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces)).digest()
    assert found["ChecksumSHA256"] == f"{base64.b64encode(composite).decode()}-3"
    assert s3.get_object_tagging(Bucket=BUCKET, Key="parts")["TagSet"] == [{"Key": "a", "Value": "b"}]
    second = s3.head_object(Bucket=BUCKET, Key="parts", PartNumber=2)
    assert (second["ContentLength"], second["PartsCount"]) == (PART, 3)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET, Prefix="parts")
    s3.copy_object(Bucket=BUCKET, Key="parts-copy", CopySource=f"{BUCKET}/parts")
    whole = hashlib.md5(b"".join(pieces), usedforsecurity=False).hexdigest()
    assert s3.head_object(Bucket=BUCKET, Key="parts-copy")["ETag"] == f'"{whole}"'
    copied = s3.get_object(Bucket=BUCKET, Key="parts-copy", ChecksumMode="ENABLED")
    assert copied["Body"].read() == b"".join(pieces)  # the client verifies it with the checksum
    assert copied["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"".join(pieces)).digest()).decode()


def test_parts_that_are_missing_small_or_sent_again(s3: Any) -> None:
    where = {"Bucket": BUCKET, "Key": "odd"}
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    small = s3.upload_part(**where, PartNumber=1, Body=b"small")["ETag"]
    last = s3.upload_part(**where, PartNumber=2, Body=b"last")["ETag"]

    def complete(*parts: tuple[int, str]) -> Any:
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
        return s3.complete_multipart_upload(**where, MultipartUpload={"Parts": listed})

    for parts, wanted in (
        ([(1, small), (3, last)], "InvalidPart"),
        ([(1, last)], "InvalidPart"),
        ([(1, small), (2, last)], "EntityTooSmall"),
    ):
        with pytest.raises(ClientError) as error:
            complete(*parts)
        assert code_of(error) == wanted
    again = s3.upload_part(**where, PartNumber=1, Body=b"x" * PART)["ETag"]
    assert [part["Size"] for part in s3.list_parts(**where)["Parts"]] == [PART, 4]
    complete((1, again), (2, last))
    assert s3.head_object(Bucket=BUCKET, Key="odd")["ContentLength"] == PART + 4
    with pytest.raises(ClientError) as error:
        s3.upload_part(**{**where, "UploadId": "gone"}, PartNumber=1, Body=b"x")
    assert code_of(error) == "NoSuchUpload"


def test_parts_may_be_copied(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"0123456789" * 2**20)
    where = {"Bucket": BUCKET, "Key": "assembled"}
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    source = {"CopySource": f"{BUCKET}/source"}
    first = s3.upload_part_copy(**where, **source, PartNumber=1, CopySourceRange=f"bytes=0-{PART - 1}")
    rest = s3.upload_part_copy(**where, **source, PartNumber=2, CopySourceRange=f"bytes={PART}-{PART + 4}")
    parts = [{"PartNumber": n, "ETag": one["CopyPartResult"]["ETag"]} for n, one in enumerate((first, rest), 1)]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=BUCKET, Key="assembled")["Body"].read() == (b"0123456789" * 2**20)[: PART + 5]


def test_what_is_read_whole_is_still_read(s3: Any) -> None:
    """S3 Select and the checksum of a copy need all of an object's bytes."""
    s3.put_object(Bucket=BUCKET, Key="table.csv.gz", Body=gzip.compress(b"a,b\n1,2\n"))
    answer = s3.select_object_content(
        Bucket=BUCKET,
        Key="table.csv.gz",
        ExpressionType="SQL",
        Expression="SELECT * FROM s3object",
        InputSerialization={"CSV": {"FileHeaderInfo": "USE"}, "CompressionType": "GZIP"},
        OutputSerialization={"JSON": {}},
    )
    records = b"".join(event["Records"]["Payload"] for event in answer["Payload"] if "Records" in event)
    assert b'"a"' in records
    copied = s3.copy_object(
        Bucket=BUCKET, Key="copied", CopySource=f"{BUCKET}/table.csv.gz", ChecksumAlgorithm="SHA256"
    )
    body = s3.get_object(Bucket=BUCKET, Key="copied")["Body"].read()
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[LocalSageMaker]:
    running = LocalSageMaker(tmp_path / "state")
    running.start()
    yield running
    running.stop()


def files(server: LocalSageMaker) -> int:
    return sum(1 for path in (server.state / "objects").rglob("*") if path.is_file())


def test_versions_tags_and_uploads_survive_a_kill(own_server: LocalSageMaker) -> None:
    s3 = client_of(own_server)("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=BUCKET, Key="versions", Body=b"first", Tagging="n=1")["VersionId"]
    s3.put_object(Bucket=BUCKET, Key="versions", Body=b"second")
    s3.delete_object(Bucket=BUCKET, Key="versions")
    where = {"Bucket": BUCKET, "Key": "parts"}
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    etag = s3.upload_part(**where, PartNumber=1, Body=b"part")["ETag"]
    own_server.stop(signal.SIGKILL)
    own_server.start()
    assert keys(s3) == []
    listed = s3.list_object_versions(Bucket=BUCKET)
    assert [version["IsLatest"] for version in listed["Versions"]] == [False, False]
    assert len(listed["DeleteMarkers"]) == 1
    assert s3.get_object(Bucket=BUCKET, Key="versions", VersionId=first)["Body"].read() == b"first"
    tags = s3.get_object_tagging(Bucket=BUCKET, Key="versions", VersionId=first)["TagSet"]
    assert tags == [{"Key": "n", "Value": "1"}]
    s3.delete_object(Bucket=BUCKET, Key="versions", VersionId=listed["DeleteMarkers"][0]["VersionId"])
    assert s3.get_object(Bucket=BUCKET, Key="versions")["Body"].read() == b"second"
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert s3.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == b"part"


def test_what_nothing_refers_to_any_more_leaves_the_disk(own_server: LocalSageMaker) -> None:
    s3 = client_of(own_server)("s3")
    s3.create_bucket(Bucket=BUCKET)
    for _ in range(3):
        s3.put_object(Bucket=BUCKET, Key="again", Body=b"x", Tagging="a=b")
    assert files(own_server) == 1
    upload(s3, "parts", b"x" * PART, b"y")
    assert files(own_server) == 2
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/parts")
    s3.delete_object(Bucket=BUCKET, Key="parts")
    assert s3.get_object(Bucket=BUCKET, Key="copy")["Body"].read() == b"x" * PART + b"y"
    with pytest.raises(ClientError):
        s3.put_object(Bucket="no-such-bucket", Key="refused", Body=b"x")
    where = {"Bucket": BUCKET, "Key": "aborted"}
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    s3.upload_part(**where, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(**where)
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "again"}, {"Key": "copy"}]})
    assert files(own_server) == 0
    (own_server.state / "objects" / "ab" / "ab-left-by-a-kill").touch()
    own_server.stop(signal.SIGKILL)
    own_server.start()
    assert files(own_server) == 0
    s3.delete_bucket(Bucket=BUCKET)
    own_server.stop()
    own_server.start()
    assert s3.list_buckets()["Buckets"] == []


def test_a_reader_reads_to_the_end_what_is_deleted_meanwhile(own_server: LocalSageMaker) -> None:
    s3 = client_of(own_server)("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="large", Body=b"x" * 50_000_000)
    body = s3.get_object(Bucket=BUCKET, Key="large")["Body"]
    read = len(body.read(1000))
    s3.delete_object(Bucket=BUCKET, Key="large")
    assert read + len(body.read()) == 50_000_000


def test_a_receipt_is_good_after_a_kill(own_server: LocalSageMaker) -> None:
    sqs = client_of(own_server)("sqs")
    url = sqs.create_queue(QueueName="receipts")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="once")
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    own_server.stop(signal.SIGKILL)
    own_server.start()
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert "Messages" not in sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)


def test_who_waits_for_messages_holds_nobody_up(own_server: LocalSageMaker) -> None:
    sqs, s3 = client_of(own_server)("sqs"), client_of(own_server)("s3")
    url = sqs.create_queue(QueueName="patience")["QueueUrl"]
    got: list[Any] = []
    asked = threading.Event()
    sqs.meta.events.register("before-send.sqs.ReceiveMessage", lambda **_: asked.set())
    waiting = threading.Thread(
        target=lambda: got.extend(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages", ()))
    )
    waiting.start()
    assert asked.wait(30)
    s3.create_bucket(Bucket=BUCKET)
    assert waiting.is_alive()
    client_of(own_server)("sqs").send_message(QueueUrl=url, MessageBody="at last")
    waiting.join()
    assert [message["Body"] for message in got] == ["at last"]


def test_a_state_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state" / "moto").mkdir(parents=True)
    with pytest.raises(RuntimeError, match="earlier version"):
        LocalSageMaker(tmp_path / "state").start()
