"""InvokeEndpoint: brings a request to a serving process and the answer back, byte for byte."""

import json
import time

from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.service import Service
from include.local_sagemaker.core.store import ACCOUNT
from include.local_sagemaker.endpoints.live_endpoints import Endpoints, LiveEndpoint
from include.local_sagemaker.endpoints.model_server import Answer, ModelServer, NoAnswerError
from include.local_sagemaker.endpoints.variants import ThrottledError
from include.local_sagemaker.http.routing import route, scope

LARGEST_BODY = 6 * 1024 * 1024
TIMEOUT_SECONDS = 60.0
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)
_TO_MODEL = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Inference-Id")


@route("POST", r"/endpoints/(?P<name>[^/]+)/invocations", signed_for="sagemaker")
def invoke_endpoint(service: Service, request: Request, name: str) -> Response:
    """The operation InvokeEndpoint of sagemaker-runtime."""
    began = time.perf_counter()
    region = scope(request.environ)[0]
    endpoints = Endpoints.of(service)
    endpoint = endpoints.live(region, name)
    if endpoint is None:
        return _error(400, "ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
    body = request.get_data()
    if len(body) > LARGEST_BODY:
        return _error(
            400,
            "ValidationError",
            "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length less "
            f"than or equal to {LARGEST_BODY}",
        )
    wanted = request.headers.get("X-Amzn-SageMaker-Target-Variant")
    if wanted is not None and not endpoint.has_variant(wanted):
        return _error(400, "ValidationError", f"Variant {wanted} of endpoint {name} not found.")
    try:
        return _invoke(endpoints, endpoint, request, body, wanted, began)
    except ThrottledError:
        return _error(400, "ThrottlingException", "Rate exceeded")


def _invoke(
    endpoints: Endpoints, endpoint: LiveEndpoint, request: Request, body: bytes, wanted: str | None, began: float
) -> Response:
    headers = {key: request.headers[key] for key in _TO_MODEL if key in request.headers}
    with endpoint.server(wanted) as (variant, server):
        asked = time.perf_counter()
        answer = _ask(server, headers, body)
        model_seconds = time.perf_counter() - asked
    if len(answer.body) > LARGEST_BODY:
        message = f"Response payload size ({len(answer.body)}) exceeded maximum allowed payload ({LARGEST_BODY})."
        answer = Answer(500, {}, message.encode())
    status = answer.status or 500
    seconds = time.perf_counter() - began
    endpoints.metrics.record(
        endpoint.region.name, endpoint.name, variant, status=status, model_seconds=model_seconds, all_seconds=seconds
    )
    if not 200 <= status < 300:
        return _model_error(endpoint, answer)
    if endpoint.capture:
        endpoint.capture.record(variant, request, body, answer)
    response = Response(answer.body, 200)
    response.headers["Content-Type"] = answer.headers.get("content-type", "application/octet-stream")
    response.headers["X-Amzn-Invoked-Production-Variant"] = variant
    attributes = answer.headers.get("x-amzn-sagemaker-custom-attributes")
    if attributes is not None:
        response.headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
    return response


def _ask(server: ModelServer | None, headers: dict[str, str], body: bytes) -> Answer:
    if server is None:
        return Answer(503, {}, b"No serving process of the container is healthy; it is being restarted.")
    try:
        return server.call("POST", "/invocations", headers, body, TIMEOUT_SECONDS)
    except TimeoutError:
        return Answer(0, {}, _TIMED_OUT.encode())
    except NoAnswerError as error:
        return Answer(503, {}, str(error).encode())


def _model_error(endpoint: LiveEndpoint, answer: Answer) -> Response:
    region, name = endpoint.region.name, endpoint.name
    original = answer.body.decode(errors="replace")
    side = "client" if 400 <= answer.status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{name}"
    message = (
        f'Received {side} error ({answer.status}) from primary with message "{original[:1024]}". See '
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} "
        f"in account {ACCOUNT} for more information."
    )
    about: dict[str, str | int] = {
        "OriginalStatusCode": answer.status,
        "OriginalMessage": original,
        "LogStreamArn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}",
    }
    return _error(424, "ModelError", message, **about)


def _error(status: int, code: str, message: str, **more: str | int) -> Response:
    # botocore's parser of this protocol wants "Message" for modelled errors and takes the code from the header
    response = Response(json.dumps({"Message": message, **more}), status, content_type="application/json")
    response.headers["x-amzn-ErrorType"] = code
    return response


def _unsupported(operation: str) -> Response:
    return _error(400, "UnknownOperationException", f"The local SageMaker does not have the operation {operation}.")


@route("POST", r"/endpoints/(?P<name>[^/]+)/async-invocations", signed_for="sagemaker")
def invoke_endpoint_async(service: Service, request: Request, name: str) -> Response:
    """InvokeEndpointAsync is not here."""
    return _unsupported("InvokeEndpointAsync")


@route("POST", r"/endpoints/(?P<name>[^/]+)/invocations-response-stream", signed_for="sagemaker")
def invoke_endpoint_with_response_stream(service: Service, request: Request, name: str) -> Response:
    """InvokeEndpointWithResponseStream is not here."""
    return _unsupported("InvokeEndpointWithResponseStream")
