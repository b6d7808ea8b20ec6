"""The errors that SageMaker answers with, raised anywhere below an operation; `http.application` answers them."""

from __future__ import annotations


class ServiceError(Exception):
    """Answered as HTTP `status` with `{"__type": <class name>, "message": ...}`."""

    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def code(self) -> str:
        return type(self).__name__


class ValidationException(ServiceError):  # noqa: N818 - the names are AWS's
    pass


class SerializationException(ServiceError):  # noqa: N818
    pass


class ResourceInUse(ServiceError):  # noqa: N818
    pass


class ResourceNotFound(ServiceError):  # noqa: N818
    pass


class ResourceLimitExceeded(ServiceError):  # noqa: N818
    pass


class ThrottlingException(ServiceError):  # noqa: N818
    pass


class ConflictException(ServiceError):  # noqa: N818
    pass


class AccessDeniedException(ServiceError):  # noqa: N818
    pass


class UnknownOperationException(ServiceError):  # noqa: N818
    pass


class InternalFailure(ServiceError):  # noqa: N818
    """A fault of this program, never of the request; the traceback is in the server's log."""

    status = 500
