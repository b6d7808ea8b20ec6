"""Who may do what: everybody may do everything, unless `iam.enforcement` replaces `Open`."""

from __future__ import annotations

from typing import Protocol
from wsgiref.types import WSGIEnvironment

from include.local_sagemaker.core.store import ACCOUNT

ADMINISTRATOR = {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "local"}


class Access(Protocol):
    """What may be done by whom."""

    def check(self, environ: WSGIEnvironment, region: str, service: str) -> None:
        """Raises AccessDeniedException, or ValidationException for a role that SageMaker could not assume."""

    def credentials(self, role_arn: str) -> dict[str, str]:
        """A session of the role, as environment variables."""

    def require(self, role_arn: str, action: str, resource: str) -> None:
        """For what SageMaker does as the role without a call of this server. Raises AccessDeniedException."""


class Open:
    """Everybody may do everything, which is what a laptop needs."""

    def check(self, environ: WSGIEnvironment, region: str, service: str) -> None:
        """Allows it."""

    def credentials(self, role_arn: str) -> dict[str, str]:
        return ADMINISTRATOR

    def require(self, role_arn: str, action: str, resource: str) -> None:
        """Allows it."""
