"""The IAM token: signed, fetched, kept, replaced and refused."""

import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from yarl import URL

from providers import (
    AuthenticationFailedError,
    ConnectionLostError,
    MalformedReplyError,
    ProviderError,
    RateLimitedError,
    Timeouts,
    UnexpectedStatusError,
    UpstreamServerError,
    UpstreamTimeoutError,
)
from providers.exchange import open_session
from providers.yandexgpt_token import (
    Granted,
    IamService,
    MetadataService,
    TokenSource,
    epoch_of,
    read_authorized_key,
    signed_jwt,
)
from tests.providers.fakes.openai_server import streams
from tests.providers.fakes.raw_server import RawServer, read_request
from tests.providers.fakes.yandex_server import (
    ACCOUNT,
    AUDIENCE,
    KEY_ID,
    PREAMBLE,
    YandexServer,
    fault_of_jwt,
    granted,
    key_file,
    private_key,
)

SECRET = "Иванов-Петров"  # stands for what a token service says: it may appear in no error
LIMITS = Timeouts(connect=5, first_byte=10, idle=10, total=30)


class Clock:
    def __init__(self, now=None):
        self.now = time.time() if now is None else now

    def __call__(self):
        return self.now


@pytest.fixture
def written(tmp_path):
    def write(text=None):
        path = tmp_path / "key.json"
        path.write_bytes(text if isinstance(text, bytes) else (key_file() if text is None else text).encode())
        return str(path)

    return write


@pytest.fixture
def key(written):
    return read_authorized_key(written())


@asynccontextmanager
async def iam(key, *, grant=None, clock=None, url=None):
    """A token source over a loopback IAM."""
    clock = clock or Clock()
    async with (
        YandexServer(streams([]), grant=grant).running() as server,
        open_session(tls=None, inside=True, keepalive=0, timeouts=LIMITS) as session,
    ):
        service = IamService(session, URL(url or server.iam_url), key, timeouts=LIMITS, clock=clock)
        yield TokenSource(service.grant, clock=clock), server


async def fails(tokens):
    with pytest.raises(ProviderError) as caught:
        await tokens.token()
    error = caught.value
    for secret in (SECRET, "synthetic", "PRIVATE", "t1."):
        assert secret not in str(error) + repr(error)
    assert error.__cause__ is None
    assert str(error).startswith("no token: ")
    return error


def in_seconds(clock, seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(clock.now + seconds))


# The signed request


def test_a_signed_request_says_who_asks_and_for_how_long_and_can_be_verified(key):
    jwt = signed_jwt(key, 1795386019)
    header, claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in jwt.split("."))
    assert json.loads(header) == {"typ": "JWT", "alg": "PS256", "kid": KEY_ID}
    assert json.loads(claims) == {"iss": ACCOUNT, "aud": AUDIENCE, "iat": 1795386019, "exp": 1795389619}
    assert "=" not in jwt
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signed = jwt.rpartition(".")[0].encode()
    private_key().public_key().verify(signature, signed, pss, hashes.SHA256())
    assert fault_of_jwt(signed_jwt(key, int(time.time()))) == ""
    assert fault_of_jwt(jwt[:-4] + "AAAA") == "Invalid JWT signature"


async def test_a_key_becomes_a_token_that_the_vendor_signed_for(key):
    async with iam(key) as (tokens, server):
        assert await tokens.token() == "t1.synthetic-token-1"
    assert [sorted(body) for body in server.token_bodies] == [["jwt"]]
    assert server.token_headers[0]["Content-Type"] == "application/json"


# Keeping and replacing


async def test_however_many_ask_at_once_one_request_is_sent(key):
    async with iam(key) as (tokens, server):
        assert set(await asyncio.gather(*(tokens.token() for _ in range(50)))) == {"t1.synthetic-token-1"}
    assert len(server.token_bodies) == 1


async def test_a_token_is_replaced_within_the_hour_a_minute_ahead(key):
    clock = Clock()
    async with iam(key, clock=clock) as (tokens, server):
        found = []
        for later in (0, 3539, 2, 3500):
            clock.now += later
            server.grant = lambda number: granted(server.issue(), in_seconds(clock, 43200))
            found.append((await tokens.token())[-1])
    assert found == ["1", "1", "2", "2"]


async def test_a_token_that_ends_sooner_is_replaced_sooner(key):
    clock = Clock()
    async with iam(key, clock=clock, grant=lambda _: granted(server.issue(), in_seconds(clock, 600))) as (
        tokens,
        server,
    ):
        found = []
        for later in (0, 530, 20):
            clock.now += later
            found.append((await tokens.token())[-1])
    assert found == ["1", "1", "2"]


async def test_a_token_that_still_holds_serves_while_no_successor_is_to_be_had(key):
    clock = Clock()

    def grant(number):
        return granted(server.issue(), in_seconds(clock, 600)) if number == 1 else web.Response(status=503, text=SECRET)

    async with iam(key, clock=clock, grant=grant) as (tokens, server):
        first = await tokens.token()
        clock.now += 570
        assert await tokens.token() == first
        clock.now += 40
        error = await fails(tokens)
    assert (type(error), error.failover) == (UpstreamServerError, True)


async def test_a_refused_successor_is_no_reason_to_go_on_with_the_old_token(key):
    clock = Clock()

    def grant(number):
        refusal = web.json_response({"code": 16, "message": SECRET}, status=401)
        return granted(server.issue(), in_seconds(clock, 600)) if number == 1 else refusal

    async with iam(key, clock=clock, grant=grant) as (tokens, server):
        await tokens.token()
        clock.now += 570
        assert type(await fails(tokens)) is AuthenticationFailedError


async def test_a_dropped_token_is_not_used_again_even_if_no_successor_is_to_be_had(key):
    def grant(number):
        return granted(server.issue()) if number == 1 else web.Response(status=503, text=SECRET)

    async with iam(key, grant=grant) as (tokens, server):
        tokens.drop(await tokens.token())
        assert type(await fails(tokens)) is UpstreamServerError


async def test_dropping_a_token_that_was_already_replaced_keeps_its_successor(key):
    async with iam(key) as (tokens, server):
        tokens.drop(await tokens.token())
        second = await tokens.token()
        tokens.drop("t1.synthetic-token-1")
        assert await tokens.token() == second
    assert len(server.token_bodies) == 2


@pytest.mark.parametrize("hours", [-30, -13, 11, 13])
async def test_a_clock_that_is_hours_wrong_costs_no_more_than_an_hourly_request(key, hours):
    clock = Clock(time.time() + hours * 3600)
    async with iam(key, clock=clock, grant=lambda _: granted(server.issue())) as (tokens, server):
        found = []
        for later in (0, 3000, 541 + 60):
            clock.now += later
            found.append((await tokens.token())[-1])
    assert found == ["1", "1", "2"]


async def test_a_clock_that_is_set_back_does_not_keep_a_token_alive(key):
    clock = Clock()
    async with iam(key, clock=clock, grant=lambda _: granted(server.issue())) as (tokens, server):
        await tokens.token()
        clock.now -= 7200
        assert await tokens.token() == "t1.synthetic-token-2"
        assert await tokens.token() == "t1.synthetic-token-2"


@pytest.mark.parametrize("moment", ["", "soon", SECRET, "2026-13-45T99:00:00Z"])
async def test_an_end_that_cannot_be_read_is_an_hour_away(key, moment):
    clock = Clock()

    def grant(_):
        return web.json_response({"iamToken": server.issue(), "expiresAt": moment})

    async with iam(key, clock=clock, grant=grant) as (tokens, server):
        found = []
        for later in (0, 3539, 2):
            clock.now += later
            found.append((await tokens.token())[-1])
    assert found == ["1", "1", "2"]


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        ("2026-11-23T09:00:00.000000000Z", 1795424400.0),
        ("2026-11-23T09:00:00.123456789Z", 1795424400.123456789),
        ("2026-11-23T09:00:00Z", 1795424400.0),
        ("2026-11-23T12:00:00.5+03:00", 1795424400.5),
        ("2026-11-23T09:00:00.Z", None),
        ("2026-11-23T09:00:00", None),
        ("2026-02-30T09:00:00Z", None),
        ("٢٠٢٦-11-23T09:00:00Z", None),
        ("", None),
    ],
)
def test_a_moment_may_have_nanoseconds(moment, seconds):
    assert epoch_of(moment) == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


# Refusals


@pytest.mark.parametrize(
    ("status", "number", "word"),
    [
        (400, 3, "clock"),
        (401, 16, "clock"),
        (403, 7, "roles"),
        (404, 5, "does not exist"),
        (400, 99, "see `iam_key_file`"),
        (401, None, "see `iam_key_file`"),
    ],
)
async def test_each_refusal_names_what_to_look_at(key, status, number, word):
    def grant(_):
        return web.json_response({"code": number, "message": SECRET, "details": [SECRET]}, status=status)

    async with iam(key, grant=grant) as (tokens, server):
        error = await fails(tokens)
    assert type(error) is AuthenticationFailedError
    assert word in str(error)
    assert len(server.token_bodies) == 1


@pytest.mark.parametrize(
    ("status", "kind", "asked"),
    [
        (404, UnexpectedStatusError, 1),
        (422, UnexpectedStatusError, 1),
        (302, UnexpectedStatusError, 1),
        (429, RateLimitedError, 1),
        (500, UpstreamServerError, 2),
        (503, UpstreamServerError, 2),
        (504, UpstreamTimeoutError, 1),
    ],
)
async def test_a_token_service_in_trouble_is_not_the_callers_fault(key, status, kind, asked):
    reply = {"status": status, "headers": {"Retry-After": "7", "Location": "/elsewhere"}, "text": SECRET}
    async with iam(key, grant=lambda _: web.Response(**reply)) as (tokens, server):
        error = await fails(tokens)
    assert (type(error), error.failover, error.retry_after, len(server.token_bodies)) == (kind, True, 7.0, asked)


@pytest.mark.parametrize(
    "reply",
    [
        {"text": json.dumps({})},
        {"text": json.dumps({"iamToken": f"{SECRET}", "expiresAt": ""})},
        {"text": json.dumps({"iamToken": "two words"})},
        {"text": json.dumps({"iamToken": "a\r\nx: y"})},
        {"text": json.dumps([SECRET])},
        {"text": f"<html>{SECRET}"},
        {"text": '{"iamToken":' * 3000},
        {"body": b"\xff\xfe"},
    ],
)
async def test_an_answer_without_a_token_is_malformed(key, reply):
    async with iam(key, grant=lambda _: web.Response(**reply)) as (tokens, _):
        assert type(await fails(tokens)) is MalformedReplyError


async def test_a_token_service_that_hangs_up_is_asked_twice(key):
    async def answer(number, reader, writer):
        await read_request(reader)

    async with RawServer(answer).running() as raw, iam(key, url=raw.base_url) as (tokens, _):
        assert type(await fails(tokens)) is ConnectionLostError
    assert raw.connections == 2


# The machine's own account


@asynccontextmanager
async def metadata(grant=None, clock=None):
    async with (
        YandexServer(streams([]), grant=grant).running() as server,
        open_session(tls=None, inside=True, keepalive=0, timeouts=LIMITS) as session,
    ):
        service = MetadataService(session, URL(server.metadata_url), timeouts=LIMITS)
        yield TokenSource(service.grant, clock=clock or Clock()), server


async def test_a_machine_in_the_cloud_has_a_token_of_its_own():
    async with metadata() as (tokens, server):
        assert await tokens.token() == "t1.synthetic-token-1"
    assert server.token_headers[0]["Metadata-Flavor"] == "Google"


async def test_the_machines_token_ends_when_its_metadata_say():
    clock = Clock()

    def grant(_):
        return web.json_response({"access_token": server.issue(), "expires_in": 600, "token_type": "Bearer"})

    async with metadata(grant, clock) as (tokens, server):
        found = []
        for later in (0, 530, 20):
            clock.now += later
            found.append((await tokens.token())[-1])
    assert found == ["1", "1", "2"]


@pytest.mark.parametrize("status", [404, 403])
async def test_a_machine_without_an_account_is_told_so(status):
    async with metadata(lambda _: web.Response(status=status, text=SECRET)) as (tokens, _):
        error = await fails(tokens)
    assert type(error) is AuthenticationFailedError
    assert "no service account" in str(error)


# The key's file


def test_the_line_before_the_pem_is_cut_off_and_the_key_is_whole(written):
    assert PREAMBLE in json.loads(key_file())["private_key"]
    found = read_authorized_key(written())
    assert (found.id, found.account) == (KEY_ID, ACCOUNT)
    assert found.private.private_numbers() == private_key().private_numbers()
    without = key_file(private_key=json.loads(key_file())["private_key"].removeprefix(PREAMBLE), public_key="")
    assert read_authorized_key(written(without)).id == KEY_ID


def pem(private):
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return private.private_bytes(*pkcs8, serialization.NoEncryption()).decode()


def locked():
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return private_key().private_bytes(*pkcs8, serialization.BestAvailableEncryption(b"synthetic")).decode()


def other_public():
    return json.loads(key_file(rsa.generate_private_key(65537, 2048)))["public_key"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (lambda: "", "пуст"),
        (lambda: " \n", "пуст"),
        (lambda: SECRET, "JSON"),
        (lambda: "[]", "JSON"),
        (lambda: b"\xff\xfe", "JSON"),
        (lambda: '{"id":"x","private_key":"y"}', "JSON"),
        (lambda: '{"id":' * 5000, "JSON"),
        (lambda: key_file(id=""), "`id`"),
        (lambda: key_file(private_key=SECRET), "RSA"),
        (lambda: key_file(private_key=f"-----BEGIN PRIVATE KEY-----\n{SECRET}"), "RSA"),
        (lambda: key_file(private_key=locked()), "RSA"),
        (lambda: key_file(private_key=pem(ec.generate_private_key(ec.SECP256R1()))), "RSA"),
        (lambda: key_file(private_key=pem(rsa.generate_private_key(65537, 1024)), public_key=""), "2048"),  # noqa: S505 — the weak key that must be refused
        (lambda: key_file(public_key=SECRET), "RSA"),
        (lambda: key_file(public_key=other_public()), "не одна пара"),
    ],
    ids=range(15),
)
def test_a_file_that_is_no_authorized_key_is_named_without_its_content(written, text, word):
    with pytest.raises(ValueError, match=word) as caught:
        read_authorized_key(written(text()))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_neither_key_nor_token_is_shown(key):
    tokens = TokenSource(lambda: None)
    shown = repr(key) + repr(Granted("t1.synthetic", 5.0)) + repr(tokens)
    for secret in (KEY_ID, ACCOUNT, "synthetic", "PRIVATE"):
        assert secret not in shown
