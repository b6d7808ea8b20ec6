"""The service without HTTP: request bodies in, content out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from include.jobs.serving.endpoint import UnavailableError
from include.jobs.serving.payload import CSV, JSON, BadRequestError
from include.online.answering import Answering, Replies
from include.online.backends import Backend
from include.online.reading import ROW_LISTS, RawRequest, has_no_header, is_of_features, loads, read_request
from include.online.shape import Shape
from include.online.state import FeatureState

Content = dict[str, Any]
BY_POSITION = object()  # the content of CSV without a header: features, which the backend reads itself
FEW_ROWS = 1000  # for /predict; larger requests go to /predict/batch


@dataclass(frozen=True)
class Asked:
    """A request for predictions: its body, its media type, and whether it asks for reasons."""

    body: bytes
    given: str
    why: bool = False


class Service:
    """Predictions of one model, and its feature state."""

    def __init__(
        self, shape: Shape, answering: Answering, backend: Backend, state: FeatureState | None, max_rows: int
    ) -> None:
        self.shape, self.backend, self.state = shape, backend, state
        self._answering, self._max_rows = answering, max_rows

    def predict(self, body: bytes, given: str, *, why: bool = False) -> Content:
        """Answers for all rows of a request, or none; with ``why``, or where the request says ``explain``, their
        reasons too.

        Raises:
            BadRequestError: a row is invalid.
            UnavailableError: the backend is unavailable.
        """
        [found] = self.predict_together([Asked(body, given, why)])
        if isinstance(found, Exception):
            raise found
        return found

    def predict_together(self, asked: Sequence[Asked]) -> list[Content | Exception]:
        """What ``predict`` returns or raises for each of several requests, at little more than the cost of one."""
        found: dict[int, Content | Exception] = {}
        raw: dict[bool, dict[int, RawRequest]] = {False: {}, True: {}}
        for number, one in enumerate(asked):
            try:
                content, why = self._content(one, FEW_ROWS)
                if content is BY_POSITION:
                    found[number] = self._of_body(one.body, one.given, why)
                elif is_of_features(self.shape, content):
                    found[number] = self._of_features(content, why)
                else:
                    raw[why][number] = read_request(self.shape, content)
            except Exception as error:  # noqa: BLE001 - it is this request's answer
                found[number] = error
        for why, requests in raw.items():
            found |= self._of_events(requests, why)
        return [found[number] for number in range(len(asked))]

    def predict_each(self, body: bytes, given: str, *, why: bool = False) -> Content:
        """For every row an answer or an error.

        Raises:
            BadRequestError: the request as a whole is invalid.
            UnavailableError: the backend is unavailable.
        """
        content, why = self._content(Asked(body, given, why), self._max_rows)
        rows, beside = _rows(content), content if isinstance(content, dict) else {}
        if isinstance(rows, list):
            return self._each(rows, {name: beside[name] for name in ("history",) if name in beside}, why)
        return self.predict(body, given, why=why)

    def _content(self, asked: Asked, most_rows: int) -> tuple[object, bool]:
        """The parsed request, and whether it asks for reasons."""
        if asked.given == CSV and has_no_header(asked.body):
            return BY_POSITION, asked.why
        content = loads(asked.body, asked.given)
        rows = _rows(content)
        if isinstance(rows, list) and len(rows) > most_rows:
            raise BadRequestError(
                f"the request has {len(rows):,} rows; at most {most_rows:,} are answered at once here."
            )
        return content, asked.why or (isinstance(content, dict) and content.get("explain") is True)

    def _of_events(self, requests: dict[int, RawRequest], why: bool) -> dict[int, Content | Exception]:
        if not requests:
            return {}
        try:
            together = self._answering.answer_together(list(requests.values()), why=why)
        except Exception as error:  # noqa: BLE001 - it is the answer of one of them
            if len(requests) == 1 or isinstance(error, UnavailableError):
                return dict.fromkeys(requests, error)
            alone = [self._of_events({number: request}, why) for number, request in requests.items()]
            return {number: found for one in alone for number, found in one.items()}
        return {number: _all_or_none(replies) for number, replies in zip(requests, together, strict=True)}

    def _of_features(self, content: object, why: bool) -> Content:
        if isinstance(content, dict):
            content = content.get("records", {name: content[name] for name in content if name != "explain"})
        return self._of_body(json.dumps(content).encode(), JSON, why)

    def _of_body(self, body: bytes, given: str, why: bool) -> Content:
        found = self.backend.answer_body(body, given, why=why)
        return {"predictions": found.answers, "version": found.version.name}

    def _of_rows(self, content: Content, why: bool) -> Content:
        if is_of_features(self.shape, content):
            return self._of_features(content, why)
        return _content_of(self._answering.answer(read_request(self.shape, content), why=why))

    def _each(self, rows: list[object], beside: Content, why: bool) -> Content:
        """All rows at once or, if one of them is invalid, each separately."""
        try:
            return self._of_rows({"instances": rows, **beside}, why)
        except BadRequestError as error:
            if len(rows) == 1:
                return {"predictions": [{"error": str(error)}], "version": None}
        half = len(rows) // 2
        parts = [self._each(some, beside, why) for some in (rows[:half], rows[half:])]
        version = parts[0]["version"] or parts[1]["version"]
        return {"predictions": [*parts[0]["predictions"], *parts[1]["predictions"]], "version": version}

    def remember(self, body: bytes, given: str) -> Content:
        """Stores events; returns the outcome by table.

        Raises:
            BadRequestError: they are invalid, or the service has no feature state.
        """
        if self.state is None:
            raise BadRequestError("this service has no feature state (STATE is not set): send history with requests.")
        request = read_request(self.shape, loads(body, given), may_ask_nothing=True)
        if not all(question.is_named for question in request.questions):
            raise BadRequestError(f"events are kept by {', '.join(self.shape.thing)}; one of them names none.")
        counts = self.state.remember({name: frame for name, frame in request.tables.items() if frame.height})
        return {"events": {name: dict(count) for name, count in counts.items()}, "notes": request.notes}


def _rows(content: object) -> object:
    if isinstance(content, dict):
        return next((content[word] for word in ROW_LISTS if word in content), None)
    return content if isinstance(content, list) else None


def _all_or_none(replies: Replies) -> Content | BadRequestError:
    if wrong := next((reply["error"] for reply in replies.replies if "error" in reply), None):
        return BadRequestError(str(wrong))
    return _content_of(replies)


def _content_of(replies: Replies) -> Content:
    return {"predictions": replies.replies, "version": replies.version.name if replies.version else None}
