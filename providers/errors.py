"""Everything that can go wrong between us and an upstream, and the only place that knows the HTTP client's exceptions.

    ProviderError
    ├── RequestRejectedError         the same request would be rejected again: never sent elsewhere (failover = False)
    │   ├── InvalidRequestError          400
    │   ├── AuthenticationFailedError    401
    │   │   └── CredentialExpiredError       401 for a token that has a successor: the same upstream may be asked once more
    │   ├── PermissionDeniedError        403
    │   ├── ModelNotFoundError           404
    │   ├── RequestTooLargeError         413
    │   └── UnprocessableRequestError    422
    ├── UnavailableError             another route may do better (failover = True)
    │   ├── PaymentRequiredError         402
    │   ├── RateLimitedError             429
    │   ├── UpstreamServerError          5xx, or an error object inside a stream
    │   ├── UnexpectedStatusError        any other status; redirects, which are never followed
    │   ├── ConnectionFailedError        name, TCP, TLS, or closed before the first byte of the answer
    │   │   └── ConnectionLostError          it had been made and was lost: the same upstream may be asked once more
    │   ├── UpstreamTimeoutError         408, or one of our own limits
    │   ├── InterruptedStreamError       the answer broke off: what came before it is not a whole answer
    │   ├── MalformedReplyError          an answer that is not the protocol
    │   └── ModelLoadingError            модель загружается, restarting or has failed
    ├── UnknownModelError            no route has the name that was asked for
    ├── UnusableSettingsError        a URL, a file or a residency that cannot be used
    └── WeightsError                 model weights could not be fetched
        ├── NoIndexError                 the package index was not reached, or does not have the part
        ├── NotEnoughDiskError
        └── WrongDigestError

`failover` says whether trying another route may help at all, `again` whether asking the same one once more may, at once.
Whoever routes adds the other half of the rule: never after the first byte of an answer was handed on. A provider itself never
sends a prompt twice: each sending is an attempt that its caller records.

No message holds a word of what the upstream said (it may echo the prompt): only the status, a code out of
KNOWN_CODES and the upstream's request id. Foreign exceptions are dropped (`from None`) for the same reason.
"""

import math
import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import ClassVar, Final, TypeGuard

import aiohttp
import msgspec


class ProviderError(Exception):
    """`retry_after`: seconds, None when the upstream named no time. `request_id` and `code` are "" when unknown."""

    failover: ClassVar[bool] = False
    again: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None, request_id: str = "", code: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.request_id = request_id
        self.code = code


class RequestRejectedError(ProviderError):
    """The upstream read the request and will not have it."""


class InvalidRequestError(RequestRejectedError): ...


class AuthenticationFailedError(RequestRejectedError): ...


class CredentialExpiredError(AuthenticationFailedError):
    """The upstream no longer takes a short-lived token, which has been dropped: the next attempt gets a fresh one."""

    again = True


class PermissionDeniedError(RequestRejectedError): ...


class ModelNotFoundError(RequestRejectedError): ...


class RequestTooLargeError(RequestRejectedError): ...


class UnprocessableRequestError(RequestRejectedError): ...


class UnavailableError(ProviderError):
    """No answer from this upstream now."""

    failover = True


class PaymentRequiredError(UnavailableError): ...


class RateLimitedError(UnavailableError): ...


class UpstreamServerError(UnavailableError): ...


class UnexpectedStatusError(UnavailableError): ...


class ConnectionFailedError(UnavailableError): ...


class ConnectionLostError(ConnectionFailedError):
    """A connection that had been made was lost before any byte of an answer, as a kept-alive one that is closed just then."""

    again = True


class UpstreamTimeoutError(UnavailableError): ...


class InterruptedStreamError(UnavailableError): ...


class MalformedReplyError(UnavailableError): ...


class ModelLoadingError(UnavailableError): ...


class UnknownModelError(ProviderError):
    """No route matches. `retry_after` is always None."""


class UnusableSettingsError(ProviderError):
    """Raised when a provider is opened or routes are made, never by a request."""


class WeightsError(ProviderError):
    """Model weights could not be fetched; what was already downloaded is kept for the next try."""


class NoIndexError(WeightsError): ...


class NotEnoughDiskError(WeightsError): ...


class WrongDigestError(WeightsError): ...


KNOWN_CODES: Final = MappingProxyType(
    {
        # The `code` or `type` of an OpenAI-style error object → the status it stands for inside a 200 stream.
        "invalid_request_error": 400,
        "invalid_request": 400,
        "invalid_prompt": 400,
        "context_length_exceeded": 400,
        "exceed_context_size_error": 400,
        "unsupported_parameter": 400,
        "unsupported_value": 400,
        "content_filter": 400,
        "content_policy_violation": 400,
        "invalid_api_key": 401,
        "authentication_error": 401,
        "insufficient_quota": 402,
        "billing_hard_limit_reached": 402,
        "permission_error": 403,
        "permission_denied": 403,
        "not_found_error": 404,
        "model_not_found": 404,
        "request_too_large": 413,
        "unprocessable_entity": 422,
        "rate_limit_error": 429,
        "rate_limit_exceeded": 429,
        "requests": 429,
        "tokens": 429,
        "api_error": 500,
        "server_error": 500,
        "internal_server_error": 500,
        "model_call_error": 500,
        "not_supported_error": 501,
        "overloaded_error": 503,
        "service_unavailable": 503,
        "unavailable_error": 503,
        "timeout": 504,
    }
)

_Kind = type[ProviderError]

_BY_STATUS: Final[MappingProxyType[int, _Kind]] = MappingProxyType(
    {
        400: InvalidRequestError,
        401: AuthenticationFailedError,
        402: PaymentRequiredError,
        403: PermissionDeniedError,
        404: ModelNotFoundError,
        408: UpstreamTimeoutError,
        413: RequestTooLargeError,
        422: UnprocessableRequestError,
        429: RateLimitedError,
        504: UpstreamTimeoutError,
    }
)

_LONGEST_WAIT: Final = 86_400.0
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

# What one exchange with an upstream may raise. aiohttp lets OSError and TimeoutError through in places;
# ssl errors are OSErrors; ValueError covers bodies that are not the JSON or the UTF-8 they claim to be.
CLIENT_ERRORS: Final = (aiohttp.ClientError, OSError, msgspec.MsgspecError, UnicodeError, RecursionError)


# The first line that fits counts. The classes: before a byte of the answer had arrived, and after.
_FROM_CLIENT: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], _Kind, _Kind, str], ...]] = (
    (
        TimeoutError,
        UpstreamTimeoutError,
        UpstreamTimeoutError,
        "the upstream was silent for too long",
    ),
    (
        (msgspec.MsgspecError, UnicodeError, RecursionError),
        MalformedReplyError,
        MalformedReplyError,
        "the upstream's reply is not the JSON it should be",
    ),
    (
        aiohttp.RedirectClientError,
        UnexpectedStatusError,
        UnexpectedStatusError,
        "the upstream redirects, which is not followed",
    ),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
        ConnectionFailedError,
        ConnectionFailedError,
        "the upstream's address cannot be used, see `base_url`",
    ),
    (
        aiohttp.ClientResponseError,
        MalformedReplyError,
        MalformedReplyError,
        "the upstream does not speak HTTP as it should",
    ),
    (
        (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError),
        ConnectionFailedError,
        InterruptedStreamError,
        "TLS with the upstream failed: its certificate is not trusted or its protocol is too old, see `ca_file`",
    ),
    (
        aiohttp.ClientConnectorError,
        ConnectionFailedError,
        InterruptedStreamError,
        "the upstream cannot be reached",
    ),
    (
        (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError),
        ConnectionLostError,
        InterruptedStreamError,
        "the upstream closed the connection before its answer was complete",
    ),
    (
        (aiohttp.ClientError, OSError),
        ConnectionFailedError,
        InterruptedStreamError,
        "the upstream cannot be reached",
    ),
)


def from_client(error: BaseException, *, began: bool, request_id: str = "") -> ProviderError:
    """Convert one of CLIENT_ERRORS. `began`: a byte of the answer had arrived. Raise the result `from None`."""
    for kinds, before, after, message in _FROM_CLIENT:
        if isinstance(error, kinds):
            return (after if began else before)(message, request_id=request_id)
    raise TypeError("not an exception of the HTTP client") from error


def from_status(
    status: int, *, retry_after: float | None = None, request_id: str = "", code: str = ""
) -> ProviderError:
    """The error for a status other than 200. `code` is put through KNOWN_CODES here: unknown ones are dropped."""
    code = code if code in KNOWN_CODES else ""
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = UpstreamServerError if status >= 500 else UnexpectedStatusError
    message = f"the upstream answered {status}"
    if 300 <= status < 400:
        message += ": redirects are not followed, set `base_url` to the address it moved to"
    if code:
        message += f" `{code}`"
    return kind(message, retry_after=retry_after, request_id=request_id, code=code)


def status_of(code: object, kind: object) -> tuple[int, str]:
    """Status and known code of an error object found inside a reply whose own status was 200.

    `code` may be a word or an HTTP status; `kind` is the object's `type`. An unknown error counts as 500:
    the upstream says it failed, and nothing says that the request was at fault.
    """
    for word in (code, kind):
        if isinstance(word, str) and word in KNOWN_CODES:
            return (code if _is_status(code) else KNOWN_CODES[word]), word
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code[:3])
    return (code if _is_status(code) else 500), ""


def safe_request_id(value: str | None) -> str:
    """The id, or "" when it is anything but a short identifier: a header is the upstream's own text too."""
    return value if value and _REQUEST_ID.fullmatch(value) else ""


def retry_after_seconds(value: str | None, *, now: datetime) -> float | None:
    """Retry-After, in either form of RFC 9110 section 10.2.3, as seconds within one day; None when unreadable."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else None


def _is_status(code: object) -> TypeGuard[int]:
    return isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600
