"""An operation that moto lacks: the SageMaker SDK 3.x calls it before it starts a job, and so does ``make
aws-check``."""

from __future__ import annotations

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

from include.local_sagemaker.iam.enforcement import policies_of
from include.local_sagemaker.iam.policies import Action, decision


def _simulate_principal_policy(self: IamResponse) -> ActionResult:
    """SimulatePrincipalPolicy. Without resources, and for a role without policies, everything is allowed, as this
    machine allows it too."""
    asked = self._get_params()
    policies = policies_of(asked["PolicySourceArn"].rpartition("/")[2]) if asked.get("ResourceArns") else []
    context = {one["ContextKeyName"].lower(): one["ContextKeyValues"] for one in asked.get("ContextEntries", [])}
    results = [
        {
            "EvalActionName": name,
            "EvalResourceName": resource,
            "EvalDecision": decision(policies, Action(name, resource, context)) if policies else "allowed",
        }
        for name in asked.get("ActionNames", [])
        for resource in asked.get("ResourceArns") or ["*"]
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def complete() -> None:
    """Adds the operation to moto, unless a later moto has it."""
    if not hasattr(IamResponse, "simulate_principal_policy"):
        IamResponse.simulate_principal_policy = _simulate_principal_policy  # type: ignore[attr-defined]
