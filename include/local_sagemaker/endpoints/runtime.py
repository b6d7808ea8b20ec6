"""InvokeEndpoint: brings a request to a serving process and the answer back, byte for byte."""

import json
import time

from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.errors import ServiceError
from include.local_sagemaker.core.service import Service
from include.local_sagemaker.core.store import ACCOUNT, Json
from include.local_sagemaker.endpoints.live_endpoints import Endpoints, LiveEndpoint
from include.local_sagemaker.endpoints.model_server import Answer, ask
from include.local_sagemaker.endpoints.variants import ThrottledError
from include.local_sagemaker.http import api_model, capabilities
from include.local_sagemaker.http.routing import route, scope

_TO_MODEL = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Inference-Id")


@route("POST", r"/endpoints/(?P<name>[^/]+)/invocations", signed_for="sagemaker")
def invoke_endpoint(service: Service, request: Request, name: str) -> Response:
    """The operation InvokeEndpoint of sagemaker-runtime."""
    began = time.perf_counter()
    region = scope(request.environ)[0]
    endpoints = Endpoints.of(service)
    try:
        asked = _read_headers(request, name)
    except ServiceError as error:
        return _error(400, "ValidationError", error.message)
    endpoint = endpoints.live(region, name)
    if endpoint is None:
        return _error(400, "ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
    body = request.get_data()
    if len(body) > endpoint.largest_body:
        return _too_large(endpoint.largest_body)
    wanted = asked.get("TargetVariant")
    if wanted is not None and not endpoint.has_variant(wanted):
        return _error(400, "ValidationError", f"Variant {wanted} of endpoint {name} not found.")
    try:
        return _invoke(endpoints, endpoint, request, body, wanted, began)
    except ThrottledError:
        return _error(400, "ThrottlingException", "Rate exceeded")


def _read_headers(request: Request, name: str) -> Json:
    """The members of InvokeEndpoint except its body. Raises ServiceError for what is invalid or not supported."""
    shape = api_model.operation_model("InvokeEndpoint").input_shape
    headers = {
        member: request.headers[header.serialization["name"]]
        for member, header in (shape.members if shape else {}).items()
        if header.serialization.get("location") == "header" and header.serialization["name"] in request.headers
    }
    given = {"EndpointName": name, "Body": "", **headers}  # the body is bytes, with its own limits
    asked = api_model.parse_request("InvokeEndpoint", given)
    capabilities.check("InvokeEndpoint", asked)
    return asked


def _too_large(most: int) -> Response:
    """Without an error type, like the gateway in front of SageMaker: clients read the status 413 as the code."""
    return Response(
        json.dumps({"message": f"HTTP content length exceeded {most} bytes."}), 413, content_type="application/json"
    )


def _invoke(
    endpoints: Endpoints, endpoint: LiveEndpoint, request: Request, body: bytes, wanted: str | None, began: float
) -> Response:
    headers = {key: request.headers[key] for key in _TO_MODEL if key in request.headers}
    with endpoint.server(wanted) as (fleet, variant, server):
        if fleet:
            endpoints.shadowing.copy(endpoint, fleet, headers, body)
        asked = time.perf_counter()
        answer = ask(server, headers, body)
        model_seconds = time.perf_counter() - asked
    if len(answer.body) > (most := endpoint.largest_body):
        message = f"Response payload size ({len(answer.body)}) exceeded maximum allowed payload ({most})."
        answer = Answer(500, {}, message.encode())
    status = answer.status or 500
    seconds = time.perf_counter() - began
    endpoints.metrics.record(
        endpoint.region.name, endpoint.name, variant, status=status, model_seconds=model_seconds, all_seconds=seconds
    )
    endpoint.recent.note_answer(variant, status, seconds, body, answer.body)
    if not 200 <= status < 300:
        return _model_error(endpoint, answer)
    if endpoint.capture:
        endpoint.capture.record(variant, headers, body, answer)
    response = Response(answer.body, 200)
    response.headers["Content-Type"] = answer.headers.get("content-type", "application/octet-stream")
    response.headers["X-Amzn-Invoked-Production-Variant"] = variant
    attributes = answer.headers.get("x-amzn-sagemaker-custom-attributes")
    if attributes is not None:
        response.headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
    return response


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
    """InvokeEndpointAsync is not supported."""
    return _unsupported("InvokeEndpointAsync")


@route("POST", r"/endpoints/(?P<name>[^/]+)/invocations-response-stream", signed_for="sagemaker")
def invoke_endpoint_with_response_stream(service: Service, request: Request, name: str) -> Response:
    """InvokeEndpointWithResponseStream is not supported."""
    return _unsupported("InvokeEndpointWithResponseStream")
