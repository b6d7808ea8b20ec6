"""IAM calls that moto lacks and the SageMaker SDK 3.x makes before it starts a job."""

from __future__ import annotations

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse


def _simulate_principal_policy(self: IamResponse) -> ActionResult:
    """SimulatePrincipalPolicy. Everything is allowed, as no policy is enforced on this machine."""
    names = self._get_params().get("ActionNames", [])
    return ActionResult(
        {
            "EvaluationResults": [
                {"EvalActionName": name, "EvalResourceName": "*", "EvalDecision": "allowed"} for name in names
            ],
            "IsTruncated": False,
        }
    )


def complete() -> None:
    """Adds the operation to moto's; a later moto that has it keeps its own."""
    if not hasattr(IamResponse, "simulate_principal_policy"):
        IamResponse.simulate_principal_policy = _simulate_principal_policy  # type: ignore[attr-defined]
