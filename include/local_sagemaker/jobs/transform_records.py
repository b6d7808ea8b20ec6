"""Batch transform's view of data: records, mini-batches, JSONPath filters, the join of input and output; pure.

A record is the text of one line (SplitType Line) or of a whole object (SplitType None), without its line end.
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from include.local_sagemaker.core.store import Json, JsonValue

MEGABYTE = 1024 * 1024
Step = tuple[str | int, ...] | slice  # names or indexes; a slice, which is every member of an object


class BadRecordError(ValueError):
    """A record or a filter that transform cannot process; the message goes to the job's data log."""


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The non-empty lines of a byte stream, without their line ends (LF or CRLF)."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in (line.removesuffix(b"\r") for line in whole) if line)
    last = rest.removesuffix(b"\r")
    if last:
        yield last


def batches(records: Iterable[bytes], limit: int | None, *, single: bool) -> Iterator[list[bytes]]:
    """Group records, in order: one each, or as many as fit into ``limit`` bytes (None: no limit).

    Raises:
        BadRecordError: a record alone is larger than ``limit``.
    """
    batch: list[bytes] = []
    size = 0
    for record in records:
        length = len(record) + 1
        if limit is not None and length - 1 > limit:
            raise BadRecordError(f"Too much data for max payload size: a record of {length - 1} bytes, {limit} allowed")
        if batch and (single or (limit is not None and size + length > limit)):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    if batch:
        yield batch


@dataclass(frozen=True)
class Path:
    """A JSONPath of the subset that batch transform knows: ``$ .name * ['a','b'] [0,-1] [start:end]``."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> "Path":
        """Read a filter.

        Raises:
            BadRecordError: it is none of the supported paths.
        """
        steps: list[Step] = []
        rest = text.strip()
        if not rest.startswith("$"):
            raise BadRecordError(f"the JSONPath {text!r} does not start with $")
        rest = rest[1:]
        while rest:
            match = _STEP.match(rest)
            if not match:
                raise BadRecordError(f"the JSONPath {text!r} cannot be read from {rest!r} on")
            steps.append(_step(match))
            rest = rest[match.end() :]
        return cls(tuple(steps))

    def select(self, value: JsonValue) -> JsonValue:
        """What the path finds; several names give an object, several indexes or a slice a list.

        Raises:
            BadRecordError: the path leads nowhere in this record.
        """
        for step in self.steps:
            value = _follow(value, step)
        return value


_STEP = re.compile(
    r"""\.?\[\s*(?P<names>'[^']*'(?:\s*,\s*'[^']*')*|"[^"]*"(?:\s*,\s*"[^"]*")*)\s*\]
      | \.?\[\s*(?P<indexes>-?\d+(?:\s*,\s*-?\d+)*)\s*\]
      | \.?\[\s*(?P<start>-?\d*)\s*:\s*(?P<end>-?\d*)\s*\]
      | \.?\[\s*(?P<any>\*)\s*\]
      | \.(?P<star>\*)
      | \.(?P<name>[^.\[\]*'"\s]+)""",
    re.VERBOSE,
)


def _step(match: re.Match[str]) -> Step:
    if match["names"]:
        return tuple(name[1:-1] for name in re.findall(r"'[^']*'|\"[^\"]*\"", match["names"]))
    if match["indexes"]:
        return tuple(int(index) for index in match["indexes"].split(","))
    if match["any"] or match["star"]:
        return slice(None)
    if match["name"]:
        return (match["name"],)
    return slice(*(int(match[bound]) if match[bound] else None for bound in ("start", "end")))


def _follow(value: JsonValue, step: Step) -> JsonValue:
    try:
        if isinstance(step, slice):
            return _every(value, step)
        if len(step) == 1:
            return _at(value, step[0])
        found = [_at(value, place) for place in step]
        return dict(zip(map(str, step), found, strict=True)) if isinstance(value, dict) else found
    except LookupError as error:
        wanted = step if isinstance(step, slice) else list(step)
        raise BadRecordError(f"the filter asks for {wanted} of a record without it: {str(value)[:200]}") from error


def _at(value: JsonValue, place: str | int) -> JsonValue:
    match value, place:
        case dict(), str():
            return value[place]
        case list(), int():
            return value[place]
    raise LookupError(place)


def _every(value: JsonValue, part: slice) -> JsonValue:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value[part]
    raise LookupError(part)


_NEEDS_QUOTES = re.compile(r'["\r\n]')


def is_csv(content_type: str | None) -> bool:
    """Whether records of this media type are comma-separated; the others are JSON to the filters."""
    return (content_type or "").split(";")[0].strip().lower() == "text/csv"


def parse(record: bytes, content_type: str | None) -> JsonValue:
    """A record as the filters see it: a list of columns, or any JSON value.

    Raises:
        BadRecordError: the record is not what its content type says.
    """
    try:
        text = record.decode()
        if not is_csv(content_type):
            return cast("JsonValue", json.loads(text))
        # without quotes, a CSV line is just its cells; the reader takes several times as long to find them
        cells = text.split(",") if '"' not in text else next(csv.reader([text]), [])
        return cast("JsonValue", cells)
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        kind = "CSV" if is_csv(content_type) else "JSON"
        raise BadRecordError(f"Failed to parse a record as {kind}: {error}: {record[:200]!r}") from error


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [value]


def render(value: JsonValue, content_type: str | None) -> bytes:
    """The text of a filtered or joined record, without line end."""
    if not is_csv(content_type):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    columns = _listed(value)
    texts = [column for column in columns if isinstance(column, str)]
    plain = ",".join(texts) if len(texts) == len(columns) else ""
    if plain and plain.count(",") == len(columns) - 1 and not _NEEDS_QUOTES.search(plain):
        return plain.encode()
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(columns)
    return text.getvalue().encode()


@dataclass(frozen=True)
class Processing:
    """A job's DataProcessing: which part of a record the model sees, and what is written for it."""

    input_filter: Path
    output_filter: Path
    join: bool
    input_type: str | None
    output_type: str | None

    @classmethod
    def from_request(cls, request: Json) -> "Processing":
        """Read DataProcessing, ContentType and Accept of a CreateTransformJob request.

        Raises:
            BadRecordError: a filter is not a supported JSONPath.
        """
        about = request.get("DataProcessing", {})
        input_type = request["TransformInput"].get("ContentType")
        return cls(
            input_filter=Path.parse(about.get("InputFilter", "$")),
            output_filter=Path.parse(about.get("OutputFilter", "$")),
            join=about.get("JoinSource", "None") == "Input",
            input_type=input_type,
            output_type=request["TransformOutput"].get("Accept") or input_type,
        )

    @property
    def per_record(self) -> bool:
        """Whether the model's answers must be taken apart into records."""
        return self.join or bool(self.output_filter.steps)

    def model_input(self, record: bytes) -> bytes:
        """The record as it is sent to the model."""
        if not self.input_filter.steps:
            return record
        return render(self.input_filter.select(parse(record, self.input_type)), self.input_type)

    def output(self, records: Sequence[bytes], answer: bytes, *, split: bool) -> list[bytes]:
        """The output records for a mini-batch, from its original records and the model's answer to it.

        Raises:
            BadRecordError: the answer does not have the mini-batch's number of records, or cannot be parsed.
        """
        if not self.per_record:
            return [answer]
        answers = list(lines([answer])) if split else [answer]
        if len(answers) != len(records) and self.join:
            raise BadRecordError(
                f"Fail to join data: mismatched line count between the input and the output: "
                f"{len(records)} records went in, {len(answers)} came out"
            )
        if not self.join:
            return [self._filtered(parse(one, self.output_type)) for one in answers]
        if not self.output_filter.steps and is_csv(self.input_type):
            return [record + b"," + one for record, one in zip(records, answers, strict=True)]
        return [self._filtered(self._joined(record, one)) for record, one in zip(records, answers, strict=True)]

    def _joined(self, record: bytes, answer: bytes) -> JsonValue:
        before, after = parse(record, self.input_type), parse(answer, self.output_type)
        if is_csv(self.input_type):
            return [*_listed(before), *_listed(after)]
        if isinstance(before, dict):
            return {**before, "SageMakerOutput": after}
        return {"SageMakerInput": before, "SageMakerOutput": after}

    def _filtered(self, value: JsonValue) -> bytes:
        return render(self.output_filter.select(value), self.input_type if self.join else self.output_type)
