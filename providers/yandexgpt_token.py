"""The short-lived IAM token of Yandex Cloud, for a signed request or from the machine's metadata, kept until shortly before its end."""

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from msgspec import Struct
from yarl import URL

from providers.errors import (
    CLIENT_ERRORS,
    AuthenticationFailedError,
    ConnectionLostError,
    MalformedReplyError,
    ProviderError,
    UnexpectedStatusError,
    UpstreamServerError,
    from_client,
)
from providers.exchange import Exchange, Timeouts, get, post

AUDIENCE: Final = "https://iam.api.cloud.yandex.net/iam/v1/tokens"  # the vendor's name for itself, whatever the address
REFRESH_AHEAD: Final = 60.0  # seconds before its end when a token is replaced
LONGEST_LIFE: Final = 3600.0  # seconds: the vendor gives up to twelve hours and asks to come back every hour
PATIENCE: Final = 30.0  # seconds for one token request at most


class AuthorizedKey(Struct, frozen=True):
    """A service account's key: `id` names the key, `account` whose it is."""

    id: str
    account: str
    private: RSAPrivateKey

    def __repr__(self) -> str:
        return "AuthorizedKey(…)"


class Granted(Struct, frozen=True):
    """`life`: seconds left, None when it cannot be told."""

    token: str
    life: float | None

    def __repr__(self) -> str:
        return "Granted(…)"


class TokenSource:
    """One identity's token. Token requests carry no prompt, so they alone are tried again here, once.

    `grant` asks for a token, `clock` gives seconds since the epoch. Neither a key nor a token is ever part of a message
    or a repr.
    """

    __slots__ = ("_born", "_clock", "_ends", "_fresh", "_grant", "_lock", "_token")

    def __init__(self, grant: Callable[[], Awaitable[Granted]], *, clock: Callable[[], float] = time.time) -> None:
        self._grant = grant
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._born = 0.0
        self._fresh = 0.0  # until when the token needs no successor
        self._ends = 0.0

    async def token(self) -> str:
        """A token that is good for another minute where possible; one that just still holds when no successor is to be had.

        However many ask at once, one request is sent. Raises ProviderError.
        """
        if self._is_fresh():
            return self._token
        async with self._lock:
            if not self._is_fresh():
                try:
                    await self._refresh()
                except ProviderError as error:
                    if not error.failover or not self._token or self._clock() >= self._ends:
                        raise
            return self._token

    def drop(self, token: str) -> None:
        """Never use `token` again. One that was already replaced is none of our business."""
        if token == self._token:
            self._token, self._born, self._fresh, self._ends = "", 0.0, 0.0, 0.0

    def _is_fresh(self) -> bool:
        # A clock that was set back would keep a token for longer than it lives.
        return self._born <= self._clock() < self._fresh

    async def _refresh(self) -> None:
        try:
            granted = await self._ask()
        except (ConnectionLostError, UpstreamServerError):
            granted = await self._ask()
        # A token that has just been given and has ended already tells of our clock, not of the token.
        life = granted.life if granted.life and granted.life > 0 else LONGEST_LIFE
        self._token = granted.token
        self._born = self._clock()
        self._ends = self._born + min(life, LONGEST_LIFE)
        self._fresh = self._ends - REFRESH_AHEAD

    async def _ask(self) -> Granted:
        try:
            return await self._grant()
        except ProviderError as error:
            # The same words as for a chat, and the same kind, but told apart: this was another address.
            told = type(error)(f"no token: {error}", retry_after=error.retry_after, request_id=error.request_id)
            raise told from None


class IamService:
    """Gives tokens for requests signed with an authorized key."""

    __slots__ = ("_clock", "_key", "_session", "_timeouts", "_url")

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        key: AuthorizedKey,
        *,
        timeouts: Timeouts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._url = url
        self._key = key
        self._timeouts = _patient(timeouts)
        self._clock = clock

    async def grant(self) -> Granted:
        """One request. Raises ProviderError."""
        signed = await asyncio.to_thread(signed_jwt, self._key, int(self._clock()))
        body = _ENCODER.encode({"jwt": signed})
        async with post(self._session, self._url, body, _OUR_HEADERS, self._timeouts) as exchange:
            reply = _decoded(_IAM_REPLY, await _body_of(exchange, _IAM_REASONS, "see `iam_key_file`"))
            ends = epoch_of(reply.expires_at or "")
            life = None if ends is None else ends - self._clock()
            return Granted(_usable(reply.iam_token), life)


class MetadataService:
    """Gives the token of the service account that a machine in Yandex Cloud runs under."""

    __slots__ = ("_session", "_timeouts", "_url")

    def __init__(self, session: aiohttp.ClientSession, url: URL, *, timeouts: Timeouts) -> None:
        self._session = session
        self._url = url
        self._timeouts = _patient(timeouts)

    async def grant(self) -> Granted:
        """One request. Raises ProviderError."""
        headers = _OUR_HEADERS | {"Metadata-Flavor": "Google"}
        async with get(self._session, self._url, headers, self._timeouts) as exchange:
            reply = _decoded(_METADATA_REPLY, await _body_of(exchange, {}, _NO_ACCOUNT, absent=True))
            return Granted(_usable(reply.access_token), reply.expires_in)


def signed_jwt(key: AuthorizedKey, now: int) -> str:
    """The request for a token, good for an hour from `now` (seconds since the epoch): RFC 7519 with PS256 of RFC 7518."""
    header = {"typ": "JWT", "alg": "PS256", "kid": key.id}
    claims = {"iss": key.account, "aud": AUDIENCE, "iat": now, "exp": now + int(LONGEST_LIFE)}
    signed = b".".join(_base64url(_ENCODER.encode(part)) for part in (header, claims))
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    return b".".join((signed, _base64url(key.private.sign(signed, pss, hashes.SHA256())))).decode()


def read_authorized_key(path: str) -> AuthorizedKey:
    """The key of a file as the vendor's console writes it.

    Raises OSError, or ValueError whose words, in Russian, say what the file lacks and repeat nothing of it.
    """
    written = Path(path).read_bytes()
    if not written.strip():
        raise ValueError("файл пуст")
    try:
        key = _KEY_FILE.decode(written)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ValueError("это не авторизованный ключ в JSON, каким его выдаёт консоль") from None
    if not key.id or not key.service_account_id:
        raise ValueError("в ключе нет `id` или `service_account_id`")
    return AuthorizedKey(key.id, key.service_account_id, _private(key))


def epoch_of(moment: str) -> float | None:
    """A moment of RFC 3339, with up to nanoseconds, in seconds since the epoch; None when it is none."""
    found = _MOMENT.fullmatch(moment)
    if not found:
        return None
    whole, fraction, zone = found.groups()
    try:
        return datetime.fromisoformat(whole + zone).timestamp() + float(f"0.{fraction or 0}")
    except (ValueError, OverflowError):
        return None


_OUR_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": "llm-client/1.0",
}
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,30}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_SMALLEST_KEY: Final = 2048  # bits
_Reply = TypeVar("_Reply")

# The numbers of gRPC in the token service's error bodies, and what an operator should look at.
_IAM_REASONS: Final = {
    3: "the signed request cannot be read, see `iam_key_file` and this machine's clock",
    5: "the key or its service account does not exist, see `iam_key_file`",
    7: "the service account may not have a token, see its roles",
    16: "the key is not known or the signature is not in time, see `iam_key_file` and this machine's clock",
}
_NO_ACCOUNT: Final = "this machine has no service account, see `metadata`"


def _private(key: "_KeyFile") -> RSAPrivateKey:
    # The console puts a line of its own before the PEM.
    _, begin, rest = key.private_key.partition("-----BEGIN")
    try:
        private = load_pem_private_key((begin + rest).encode(), password=None)
        if not isinstance(private, RSAPrivateKey) or private.key_size < _SMALLEST_KEY:
            raise ValueError("not the key of an RSA pair")
        public = load_pem_public_key(key.public_key.encode()) if key.public_key else private.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("в `private_key` нет незашифрованного ключа RSA не короче 2048 бит") from None
    if public != private.public_key():
        raise ValueError("`private_key` и `public_key` — не одна пара RSA")
    return private


def _base64url(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def _patient(timeouts: Timeouts) -> Timeouts:
    return msgspec.structs.replace(
        timeouts, first_byte=min(timeouts.first_byte, PATIENCE), total=min(timeouts.total, PATIENCE)
    )


def _usable(token: str | None) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise MalformedReplyError("the token service answered without a usable token")
    return token


def _decoded(decoder: msgspec.json.Decoder[_Reply], body: bytes) -> _Reply:
    try:
        return decoder.decode(body)
    except CLIENT_ERRORS as error:
        raise from_client(error, began=True) from None


async def _body_of(exchange: Exchange, reasons: Mapping[int, str], advice: str, *, absent: bool = False) -> bytes:
    """The body of a grant. `absent`: a 404 is a refusal too. Raises ProviderError."""
    if exchange.status != 200:
        refusal = _Refusal(reasons, advice)
        error = await exchange.failure(refusal.read)
        raise refusal.error(exchange.status, error, absent=absent)
    return await exchange.whole()


class _Refusal:
    """Why no token was given: of the body only the number is looked at."""

    __slots__ = ("_advice", "_number", "_reasons")

    def __init__(self, reasons: Mapping[int, str], advice: str) -> None:
        self._reasons = reasons
        self._advice = advice
        self._number = 0

    def read(self, body: bytes) -> str:
        try:
            self._number = _REFUSED.decode(body).code or 0
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            self._number = 0
        return ""

    def error(self, status: int, error: ProviderError, *, absent: bool) -> ProviderError:
        """`error` is what a chat would make of this status: it may blame the caller, who has no part in this."""
        if status in (400, 401, 403) or (status == 404 and (absent or self._number in self._reasons)):
            reason = self._reasons.get(self._number, self._advice)
            return AuthenticationFailedError(
                f"the token service answered {status}: {reason}", request_id=error.request_id
            )
        kind = type(error) if error.failover else UnexpectedStatusError
        return kind(f"the token service answered {status}", retry_after=error.retry_after, request_id=error.request_id)


# The peer's side. Unknown fields are tolerated.


class _KeyFile(Struct):
    id: str
    service_account_id: str
    private_key: str
    public_key: str = ""


class _IamReply(Struct, rename="camel"):
    iam_token: str | None = None
    expires_at: str | None = None


class _MetadataReply(Struct):
    access_token: str | None = None
    expires_in: float | None = None


class _Refused(Struct):
    code: int | None = None


_KEY_FILE: Final = msgspec.json.Decoder(_KeyFile)
_IAM_REPLY: Final = msgspec.json.Decoder(_IamReply)
_METADATA_REPLY: Final = msgspec.json.Decoder(_MetadataReply)
_REFUSED: Final = msgspec.json.Decoder(_Refused)
_ENCODER: Final = msgspec.json.Encoder()
