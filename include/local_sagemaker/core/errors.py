"""SageMaker's errors, raised anywhere below an operation; `http.application` answers them."""

from __future__ import annotations

import errno
import sqlite3

from boto3.exceptions import Boto3Error
from botocore.exceptions import ClientError

_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}


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
    """A bug of this program, never a fault of the request; the traceback is in the server's log."""

    status = 500


def is_passing(error: BaseException) -> bool:
    """Whether a fault of this machine may be temporary (no disk, memory or descriptors left, an AWS service that
    answers 5xx), so that nothing should fail immediately because of it."""
    if isinstance(error, ClientError):
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] >= InternalFailure.status)
    if isinstance(error, Boto3Error):  # of a transfer; it was raised while the real one was handled
        return error.__context__ is not None and is_passing(error.__context__)
    return isinstance(error, sqlite3.OperationalError) or (isinstance(error, OSError) and error.errno in _EXHAUSTED)
