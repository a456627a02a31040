"""Which HTTP status each of our errors has, and its words for the client: the one table."""

from __future__ import annotations

import logging
import math
import traceback
import uuid
from typing import Any

from litestar import Request, Response
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from appliance import errors
from appliance.routes.answers import error_response
from appliance.routes.headers import shown
from appliance.wire.openai_answer import ErrorBody, ErrorDetail, event
from providers import errors as upstream

REQUEST_ID = "request_id"

STATUS: dict[type[Exception], tuple[int, str, str]] = {
    # error → HTTP status, OpenAI's `type`, our `code`. The nearest class in the error's own line of descent decides.
    errors.BadRequestError: (400, "invalid_request_error", "invalid_request"),
    errors.UninspectableError: (400, "invalid_request_error", "uninspectable_content"),
    errors.PurposeError: (400, "invalid_request_error", "purpose_required"),
    errors.AuthenticationError: (401, "authentication_error", "invalid_api_key"),
    errors.NotAllowedError: (403, "permission_error", "purpose_not_allowed"),
    errors.DutyError: (403, "permission_error", "duty_required"),
    errors.NotThereError: (404, "invalid_request_error", "not_found"),
    errors.SubjectHeldError: (409, "invalid_request_error", "subject_held"),
    errors.CustodyError: (503, "service_unavailable", "audit_unavailable"),
    errors.PolicyRejectedError: (409, "invalid_request_error", "policy_rejected"),
    errors.PolicyRefusedError: (403, "policy_refusal", "policy_refused"),
    errors.StoppedError: (403, "policy_refusal", "stopped"),
    errors.AnswerWithheldError: (403, "policy_refusal", "answer_withheld"),
    errors.NotReadyError: (503, "service_unavailable", "not_ready"),
    errors.RecordingError: (503, "service_unavailable", "audit_unavailable"),
    errors.InspectionError: (503, "service_unavailable", "inspection_failed"),
    upstream.UnknownModelError: (404, "invalid_request_error", "model_not_found"),
    upstream.InvalidRequestError: (400, "invalid_request_error", "upstream_rejected"),
    upstream.UnprocessableRequestError: (422, "invalid_request_error", "upstream_rejected"),
    upstream.RequestTooLargeError: (413, "invalid_request_error", "request_too_large"),
    upstream.RequestRejectedError: (
        502,
        "api_error",
        "upstream_misconfigured",
    ),  # its 401, 403, 404: for our administrator
    upstream.RateLimitedError: (429, "rate_limit_error", "rate_limit_exceeded"),
    upstream.UpstreamTimeoutError: (504, "api_error", "upstream_timeout"),
    upstream.ModelLoadingError: (503, "service_unavailable", "model_loading"),
    upstream.ProviderError: (502, "api_error", "upstream_failed"),
    RequestEntityTooLarge: (413, "invalid_request_error", "request_too_large"),
    NotFoundException: (404, "invalid_request_error", "not_found"),
    MethodNotAllowedException: (405, "invalid_request_error", "method_not_allowed"),
    ClientException: (400, "invalid_request_error", "invalid_request"),
    HTTPException: (500, "api_error", "internal_error"),
    Exception: (500, "api_error", "internal_error"),
}

_LOG = logging.getLogger("appliance")


def described(error: Exception) -> tuple[int, ErrorDetail]:
    """Status and words of an error. What is not ours says nothing but that it happened."""
    if isinstance(error, errors.AttemptsFailedError):
        return described(error.cause)
    status, kind, code = next(STATUS[base] for base in type(error).__mro__ if base in STATUS)
    match error:
        case errors.GatewayError() | upstream.ProviderError():
            message = str(error)
        case RequestEntityTooLarge():
            message = "the request body is larger than `server.max_body_bytes` allows: send less"
        case NotFoundException():
            message = "there is nothing at this address: see `/v1/models`, `/v1/chat/completions`, `/v1/embeddings` and `/v1/pii/analyze`"
        case MethodNotAllowedException():
            message = "this address does not take this method"
        case ClientException():
            message = "the request cannot be read: the client closed the connection or sent no valid HTTP body"
        case _:
            message = "an error of the service itself; tell the administrator the `X-Request-Id`"
    return status, ErrorDetail(message, kind, getattr(error, "param", None), code)


def answer_error(request: Request[Any, Any, State], error: Exception) -> Response[bytes]:
    """The HTTP answer to any error."""
    status, detail = described(error)
    if status == 500:
        _report(error, request.scope["state"].get(REQUEST_ID, ""))
    headers: dict[str, str] = {}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    record = getattr(error, "record", None)
    if record is not None:
        headers["X-Audit-Record"] = shown(record)
    if isinstance(error, errors.PolicyRefusedError):
        headers["X-Verdict"] = "refuse"
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer, Basic realm="appliance", charset="UTF-8"'
    return error_response(status, detail, headers)


def event_of(error: Exception) -> bytes:
    """The last event of a stream that failed after its status had been sent."""
    status, detail = described(error)
    if status == 500:
        _report(error, "")
    return event(ErrorBody(detail))


def _report(error: Exception, request_id: str) -> None:
    # Types and places only: a message or a local variable could hold a prompt.
    places = " < ".join(
        f"{frame.name}:{frame.lineno}" for frame in reversed(traceback.extract_tb(error.__traceback__)[-6:])
    )
    _LOG.error("internal error %s in request %s at %s", type(error).__name__, request_id, places)


def numbered(app: ASGIApp) -> ASGIApp:
    """Middleware: each request gets an id of ours, given back in `X-Request-Id`; a client's own is not trusted as a log key."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        scope["state"][REQUEST_ID] = request_id

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [item for item in message["headers"] if item[0].lower() != b"x-request-id"]
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        await app(scope, receive, stamped)

    return middleware
