"""The service without HTTP: request bodies in, content out."""

from __future__ import annotations

import json
from typing import Any

from include.jobs.serving.payload import CSV, JSON, BadRequestError
from include.online.answering import Answering
from include.online.backends import Backend
from include.online.reading import ROW_LISTS, has_no_header, is_of_features, loads, read_request
from include.online.shape import Shape
from include.online.state import FeatureState

Content = dict[str, Any]
FEW_ROWS = 1000  # for /predict; larger requests go to /predict/batch


class Service:
    """Predictions of one model, and its feature state."""

    def __init__(
        self, shape: Shape, answering: Answering, backend: Backend, state: FeatureState | None, max_rows: int
    ) -> None:
        self.shape, self.backend, self.state = shape, backend, state
        self._answering, self._max_rows = answering, max_rows

    def predict(self, body: bytes, given: str, *, each: bool = False, why: bool = False) -> Content:
        """Answers for all rows of a request, or none; with ``each``, for every row an answer or an error; with ``why``,
        or where the request says ``explain``, their reasons too.

        Raises:
            BadRequestError: a row is invalid; with ``each``, the request as a whole.
            UnavailableError: the backend is unavailable.
        """
        if given == CSV and has_no_header(body):
            return self._of_features(body, given, why)
        content = loads(body, given)
        rows = content if isinstance(content, list) else None
        if isinstance(content, dict):
            rows = next((content[word] for word in ROW_LISTS if word in content), None)
        why = why or (isinstance(content, dict) and content.get("explain") is True)
        most = self._max_rows if each else FEW_ROWS
        if isinstance(rows, list) and len(rows) > most:
            raise BadRequestError(f"the request has {len(rows):,} rows; at most {most:,} are answered at once here.")
        if each and isinstance(rows, list):
            beside = content if isinstance(content, dict) else {}
            return self._each(rows, {name: beside[name] for name in ("history",) if name in beside}, why)
        found = self._answer(content, why)
        if wrong := next((reply["error"] for reply in found["predictions"] if "error" in reply), None):
            raise BadRequestError(str(wrong))
        return found

    def _answer(self, content: object, why: bool) -> Content:
        if is_of_features(self.shape, content):
            if isinstance(content, dict):
                content = content.get("records", {name: content[name] for name in content if name != "explain"})
            return self._of_features(json.dumps(content).encode(), JSON, why)
        replies = self._answering.answer(read_request(self.shape, content), why=why)
        return {"predictions": replies.replies, "version": replies.version.name if replies.version else None}

    def _of_features(self, body: bytes, given: str, why: bool) -> Content:
        found = self.backend.answer_body(body, given, why=why)
        return {"predictions": found.answers, "version": found.version.name}

    def _each(self, rows: list[object], beside: Content, why: bool) -> Content:
        """All rows at once or, if one of them is invalid, each separately."""
        try:
            return self._answer({"instances": rows, **beside}, why)
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
