import re
from datetime import UTC, datetime

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import errors
from providers.errors import (
    CLIENT_ERRORS,
    ProviderError,
    from_client,
    from_status,
    retry_after_seconds,
    safe_request_id,
    status_of,
)

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def tree(root):
    yield root
    for below in root.__subclasses__():
        yield from tree(below)


def bare(kind):
    """An instance without running its constructor: every one of these wants other arguments."""
    return kind.__new__(kind)


@pytest.mark.parametrize("began", [False, True])
@pytest.mark.parametrize(
    "kind",
    sorted({*tree(aiohttp.ClientError), TimeoutError, OSError, msgspec.DecodeError}, key=lambda kind: kind.__name__),
)
def test_every_exception_of_the_client_becomes_one_of_ours(kind, began):
    assert issubclass(kind, CLIENT_ERRORS)
    ours = from_client(bare(kind), began=began, request_id="r")
    assert isinstance(ours, errors.UnavailableError)
    assert ours.request_id == "r"


@pytest.mark.parametrize(
    ("kind", "began", "ours"),
    [
        (TimeoutError, False, errors.UpstreamTimeoutError),
        (aiohttp.SocketTimeoutError, True, errors.UpstreamTimeoutError),
        (aiohttp.ConnectionTimeoutError, False, errors.UpstreamTimeoutError),
        (aiohttp.ClientConnectorError, False, errors.ConnectionFailedError),
        (aiohttp.ClientConnectorCertificateError, False, errors.ConnectionFailedError),
        (aiohttp.ServerDisconnectedError, False, errors.ConnectionLostError),
        (aiohttp.ServerDisconnectedError, True, errors.InterruptedStreamError),
        (aiohttp.ClientPayloadError, True, errors.InterruptedStreamError),
        (aiohttp.ClientOSError, True, errors.InterruptedStreamError),
        (aiohttp.ClientResponseError, False, errors.MalformedReplyError),
        (aiohttp.TooManyRedirects, False, errors.MalformedReplyError),
        (aiohttp.InvalidURL, False, errors.ConnectionFailedError),
        (aiohttp.NonHttpUrlRedirectClientError, False, errors.UnexpectedStatusError),
        (msgspec.ValidationError, True, errors.MalformedReplyError),
    ],
)
def test_the_kind_of_failure_survives_the_conversion(kind, began, ours):
    assert type(from_client(bare(kind), began=began)) is ours


def test_an_exception_that_is_not_the_clients_is_a_bug_and_stays_one():
    with pytest.raises(TypeError):
        from_client(ZeroDivisionError(), began=False)


@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        (aiohttp.ServerDisconnectedError, True),
        (aiohttp.ClientConnectionResetError, True),
        (aiohttp.ClientOSError, True),
        (aiohttp.ClientConnectorError, False),
        (aiohttp.ClientConnectorDNSError, False),
        (TimeoutError, False),
    ],
)
def test_only_a_connection_that_had_been_made_can_be_lost(kind, lost):
    assert isinstance(from_client(bare(kind), began=False), errors.ConnectionLostError) is lost


@pytest.mark.parametrize(
    ("status", "kind", "failover"),
    [
        (400, errors.InvalidRequestError, False),
        (401, errors.AuthenticationFailedError, False),
        (402, errors.PaymentRequiredError, True),
        (403, errors.PermissionDeniedError, False),
        (404, errors.ModelNotFoundError, False),
        (408, errors.UpstreamTimeoutError, True),
        (413, errors.RequestTooLargeError, False),
        (422, errors.UnprocessableRequestError, False),
        (429, errors.RateLimitedError, True),
        (500, errors.UpstreamServerError, True),
        (503, errors.UpstreamServerError, True),
        (504, errors.UpstreamTimeoutError, True),
        (529, errors.UpstreamServerError, True),
        (301, errors.UnexpectedStatusError, True),
        (409, errors.UnexpectedStatusError, True),
    ],
)
def test_each_status_has_its_error_and_its_failover(status, kind, failover):
    error = from_status(status, retry_after=3.0, request_id="r", code="server_error")
    assert type(error) is kind
    assert (error.failover, error.retry_after, error.request_id, error.code) == (failover, 3.0, "r", "server_error")
    assert str(status) in str(error)


def test_a_code_nobody_knows_is_not_repeated():
    error = from_status(400, code="паспорт 0000 000000")
    assert (error.code, str(error)) == ("", "the upstream answered 400")


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        ("context_length_exceeded", "invalid_request_error", (400, "context_length_exceeded")),
        (400, "exceed_context_size_error", (400, "exceed_context_size_error")),
        (429, None, (429, "")),
        ("429", None, (429, "")),
        ("что угодно", "server_error", (500, "server_error")),
        (None, None, (500, "")),
        (200, None, (500, "")),
        ("99999999999999999999", None, (500, "")),
        (True, "неизвестно", (500, "")),
    ],
)
def test_an_error_object_inside_a_reply_has_a_status(code, kind, expected):
    assert status_of(code, kind) == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),  # RFC 9110 section 10.2.3, the examples
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("0.5", 0.5),
        ("-7", 0.0),
        ("999999999", 86_400.0),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(value, seconds):
    assert retry_after_seconds(value, now=NOW) == seconds


@given(st.text())
def test_no_retry_after_makes_the_reader_fail_or_wait_for_days(value):
    seconds = retry_after_seconds(value, now=NOW)
    assert seconds is None or 0 <= seconds <= 86_400


def test_a_request_id_is_an_identifier_or_nothing():
    assert safe_request_id("req_8a1f-22.b:1") == "req_8a1f-22.b:1"
    assert safe_request_id("Иванов Иван") == safe_request_id("a b") == safe_request_id("x" * 129) == ""
    assert safe_request_id(None) == safe_request_id("") == ""


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    drawn = set(re.findall(r"\b(\w+Error)\b", errors.__doc__))
    assert drawn == {kind.__name__ for kind in tree(ProviderError)}


def test_every_leaf_can_be_imported_from_the_package():
    import providers

    assert {kind.__name__ for kind in tree(ProviderError)} <= set(providers.__all__)
    assert sorted(providers.__all__) == providers.__all__
    assert all(hasattr(providers, name) for name in providers.__all__)
