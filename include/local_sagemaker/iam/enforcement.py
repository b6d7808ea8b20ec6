"""IAM, enforced: with ``--enforce-iam`` every request of a role's session is checked against the role's policies in
moto.

Sessions come from ``sts:AssumeRole``; jobs and endpoints get one of the role in their request, as in AWS. All other
keys (such as "local") are the account's administrator, who creates roles and policies. Signatures are not verified:
they protect nothing on this machine. Every denial is a line of ``denied.jsonl`` in the state directory, so a denied
call is found even if the program ignored it.
"""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIEnvironment

from moto.backends import get_backend
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from include.local_sagemaker.core.errors import AccessDeniedException, ValidationException
from include.local_sagemaker.core.store import ACCOUNT, Store
from include.local_sagemaker.iam.actions import actions_of
from include.local_sagemaker.iam.policies import Action, Policy, PolicyError, is_allowed

log = logging.getLogger(__name__)

SERVICE = "sagemaker.amazonaws.com"
_KEY_ACTIONS = {
    "s3:GetObject": "kms:Decrypt",
    "s3:GetObjectVersion": "kms:Decrypt",
    "s3:PutObject": "kms:GenerateDataKey",
}
_KEY = re.compile(r"Credential=([^/,]+)/")


class Enforced:
    """Roles may do what their policies allow."""

    def __init__(self, state: Path, store: Store, key_of: Callable[[str], str | None]) -> None:
        """`key_of(bucket)`: the ARN of the bucket's KMS key, if it has one."""
        self._key_of = key_of
        self._denials = state / "denied.jsonl"
        self._store = store
        self._lock = threading.Lock()

    def check(self, environ: WSGIEnvironment, region: str, service: str) -> None:
        role = self._role_of(environ)
        if role is None:
            return
        # S3 objects may be large, and their content does not matter here
        reads_body = service != "s3" or "delete" in environ.get("QUERY_STRING", "")
        for action in actions_of(environ, region, service, _body(environ) if reads_body else b""):
            self._require(role, action)
            if action.name == "iam:PassRole":
                self._require_trust(action.resource)
            if action.name in _KEY_ACTIONS:
                self._require_key(role, region, action)

    def credentials(self, role_arn: str) -> dict[str, str]:
        self._require_trust(role_arn)
        session = sts_backends[ACCOUNT]["aws"].assume_role(
            region_name="us-east-1",
            role_session_name="SageMaker",
            role_arn=role_arn,
            policy="",
            duration=3600,
            external_id="",
        )
        return {
            "AWS_ACCESS_KEY_ID": session.access_key_id,
            "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
            "AWS_SESSION_TOKEN": session.session_token,
        }

    def require(self, role_arn: str, action: str, resource: str) -> None:
        self._require(role_arn.rpartition("/")[2], Action(action, resource))

    def _require_key(self, role: str, region: str, action: Action) -> None:
        """Objects of a bucket that encrypts with a key: S3 calls KMS as the caller."""
        key = self._key_of(action.resource.removeprefix("arn:aws:s3:::").partition("/")[0])
        if key:
            via = {"kms:viaservice": [f"s3.{region}.amazonaws.com"]}
            self._require(role, Action(_KEY_ACTIONS[action.name], key, via))

    def _require(self, role: str, action: Action) -> None:
        action = Action(action.name, action.resource, {**self._resource_tags(action.resource), **action.context})
        try:
            if action.name == "sts:GetCallerIdentity" or is_allowed(policies_of(role), action):
                return
        except PolicyError as error:
            raise ValidationException(f"The policies of {role} cannot be enforced here: {error}.") from error
        denied = {"at": time.time(), "role": role, "action": action.name, "resource": action.resource}
        with self._lock, self._denials.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**denied, "context": dict(action.context)}) + "\n")
        log.warning("denied: %s to %s on %s", role, action.name, action.resource)
        raise AccessDeniedException(
            f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{role}/session is not authorized to perform: {action.name} on "
            f"resource: {action.resource} because no identity-based policy allows the {action.name} action"
        )

    def _require_trust(self, role_arn: str) -> None:
        name = role_arn.rpartition("/")[2]
        role = next((one for one in _iam().roles.values() if one.name == name), None)
        trust = [json.loads(role.assume_role_policy_document)] if role else []
        context = {"aws:sourceaccount": [ACCOUNT]}
        trusted = [policy for policy in trust if SERVICE in json.dumps(policy)]
        if not is_allowed(trusted, Action("sts:AssumeRole", context=context)):
            raise ValidationException(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
                f"'{SERVICE}' to assume the role."
            )

    def _resource_tags(self, arn: str) -> dict[str, list[str]]:
        if arn.startswith("arn:aws:sagemaker:"):
            tags = {tag["Key"]: tag["Value"] for tag in self._store.tags(arn)}
        elif arn.startswith("arn:aws:cloudwatch:"):
            tags = get_backend("cloudwatch")[ACCOUNT][arn.split(":")[3]].list_tags_for_resource(arn)
        else:
            return {}
        return {f"aws:resourcetag/{key.lower()}": [value] for key, value in tags.items()}

    @staticmethod
    def _role_of(environ: WSGIEnvironment) -> str | None:
        """The name of the role whose session signed the request; None for the administrator."""
        signed = environ.get("HTTP_AUTHORIZATION", "") or environ.get("QUERY_STRING", "").replace("%2F", "/").replace(
            "X-Amz-Credential=", "Credential="
        )
        match = _KEY.search(signed)
        sessions = sts_backends[ACCOUNT]["aws"].assumed_roles
        session = next((one for one in sessions if match and one.access_key_id == match[1]), None)
        if session:
            return str(session.role_arn.rpartition("/")[2])
        if match and match[1].startswith("ASIA"):
            raise AccessDeniedException(f"The session of the access key {match[1]} is not known here.")
        return None


def _iam() -> Any:
    return iam_backends[ACCOUNT]["aws"]


def policies_of(role: str) -> list[Policy]:
    """Inline and attached policies. Empty for a role that does not exist."""
    backend = _iam()
    if not any(one.name == role for one in backend.roles.values()):
        return []
    inline = [backend.get_role_policy(role, name)[1] for name in backend.list_role_policies(role)]
    attached, _ = backend.list_attached_role_policies(role)
    managed = [next(version.document for version in policy.versions if version.is_default) for policy in attached]
    return [json.loads(document) if isinstance(document, str) else document for document in [*inline, *managed]]


def _body(environ: WSGIEnvironment) -> bytes:
    """The request's body; it can still be read afterwards."""
    stream = environ["wsgi.input"]
    body: bytes = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body
