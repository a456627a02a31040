"""The short-lived token of GigaChat's API, fetched with a key and kept until shortly before it ends."""

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import msgspec
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
from providers.exchange import Timeouts, post, read_key

REFRESH_AHEAD: Final = 60.0  # seconds before its end when a token is replaced
LONGEST_LIFE: Final = 1800.0  # seconds: half an hour is what the vendor gives, whatever our two clocks say
PATIENCE: Final = 30.0  # seconds for one token request at most
OTHER_CONTRACT: Final = "permission_denied"  # the code of the error for a key that belongs to another scope
SPACING: Final = 0.1  # seconds between token requests: the vendor allows ten a second


class Scope(StrEnum):
    """Whose contract pays: a person's, a company's prepaid packages, a company's account."""

    PERS = "GIGACHAT_API_PERS"
    B2B = "GIGACHAT_API_B2B"
    CORP = "GIGACHAT_API_CORP"


class Key(Struct, frozen=True):
    """The authorization key of the vendor's cabinet, base64 of "id:secret", and the contract it belongs to."""

    text: str
    scope: Scope

    def __repr__(self) -> str:
        return f"Key({self.scope.value})"


class TokenSource:
    """One key's token. Token requests carry no prompt, so they alone are tried again here, once.

    `clock` gives seconds since the epoch, `pause` waits for some. Neither the key nor the token is ever part of a message or a repr.
    """

    __slots__ = (
        "_clock",
        "_ends",
        "_fresh",
        "_headers",
        "_lock",
        "_next",
        "_pause",
        "_scope",
        "_session",
        "_timeouts",
        "_token",
        "_url",
    )

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        key: Key,
        *,
        timeouts: Timeouts,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._url = url
        self._headers = _OUR_HEADERS | {"Authorization": f"Basic {key.text}"}
        self._scope = key.scope
        self._timeouts = msgspec.structs.replace(
            timeouts, first_byte=min(timeouts.first_byte, PATIENCE), total=min(timeouts.total, PATIENCE)
        )
        self._clock = clock
        self._pause = pause
        self._lock = asyncio.Lock()
        self._token = ""
        self._fresh = 0.0  # until when the token needs no successor
        self._ends = 0.0
        self._next = 0.0  # when the next token request may be sent

    async def token(self) -> str:
        """A token that is good for another minute where possible; one that just still holds when no successor is to be had.

        However many ask at once, one request is sent. Raises ProviderError.
        """
        if self._clock() < self._fresh:
            return self._token
        async with self._lock:
            if self._clock() >= self._fresh:
                try:
                    await self._refresh()
                except ProviderError as error:
                    if not error.failover or self._clock() >= self._ends:
                        raise
            return self._token

    def drop(self, token: str) -> None:
        """Never use `token` again. One that was already replaced is none of our business."""
        if token == self._token:
            self._token, self._fresh, self._ends = "", 0.0, 0.0

    async def fitting_scope(self) -> Scope | None:
        """The scope of the contract that the key was issued for, when it is not ours; None when none of the others fits.

        Asks for tokens and throws them away. Raises ProviderError at the first answer that is not about the contract.
        """
        async with self._lock:
            for scope in Scope:
                if scope is self._scope:
                    continue
                try:
                    await self._ask(scope)
                except AuthenticationFailedError as error:
                    if error.code != OTHER_CONTRACT:
                        raise
                else:
                    return scope
        return None

    async def _refresh(self) -> None:
        try:
            granted = await self._ask(self._scope)
        except (ConnectionLostError, UpstreamServerError):
            granted = await self._ask(self._scope)
        now = self._clock()
        self._token = granted.token
        self._ends = min(granted.ends, now + LONGEST_LIFE)
        self._fresh = self._ends - REFRESH_AHEAD

    async def _ask(self, scope: Scope) -> "Granted":
        # Never longer than the spacing itself: the clock may have been set back.
        await self._pause(min(max(0.0, self._next - self._clock()), SPACING))
        self._next = self._clock() + SPACING
        try:
            return await self._exchange(scope)
        except ProviderError as error:
            # The same words as for a chat, and the same kind, but told apart: this was another address.
            told = type(error)(
                f"no token: {error}", retry_after=error.retry_after, request_id=error.request_id, code=error.code
            )
            raise told from None

    async def _exchange(self, scope: Scope) -> "Granted":
        body = urlencode({"scope": scope.value}).encode()
        headers = self._headers | {"RqUID": str(uuid4())}
        async with post(self._session, self._url, body, headers, self._timeouts) as exchange:
            if exchange.status != 200:
                refusal = _Refusal()
                error = await exchange.failure(refusal.read)
                raise refusal.error(exchange.status, error)
            try:
                return decode_granted(await exchange.whole())
            except CLIENT_ERRORS as error:
                raise from_client(error, began=True, request_id=exchange.request_id) from None


class Granted(Struct, frozen=True):
    """`ends`: seconds since the epoch."""

    token: str
    ends: float

    def __repr__(self) -> str:
        return "Granted(…)"


def decode_granted(json: bytes) -> Granted:
    """Both shapes: `access_token` and `expires_at`, or the older `tok` and `exp`; in milliseconds or in seconds.

    Raises msgspec's errors, and MalformedReplyError when there is no token or it cannot stand in a header.
    """
    reply = _DECODER.decode(json)
    token, ends = reply.access_token or reply.tok, reply.expires_at or reply.exp
    if not token or not ends or not token.isascii() or not token.isprintable() or " " in token:
        raise MalformedReplyError("the token service answered without a usable token")
    return Granted(token=token, ends=ends / 1000 if ends >= _MILLISECONDS else ends)


def read_credentials(path: str, scope: Scope) -> Key:
    """The key of a file. Raises OSError, or ValueError when it is not base64 of "id:secret"."""
    text = read_key(path)
    try:
        if b":" not in base64.b64decode(text, validate=True):
            raise ValueError("not an authorization key")
    except binascii.Error:
        raise ValueError("not an authorization key") from None
    return Key(text, scope)


_OUR_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/x-www-form-urlencoded",
    "User-Agent": "llm-client/1.0",
}
_MILLISECONDS: Final = 1e12  # a smaller number is in seconds: some gateways write them

# The numbers of the token service's error bodies, and what an operator should look at.
_CODES: Final = {4: "invalid_api_key", 6: "invalid_api_key", 7: OTHER_CONTRACT}
_REASONS: Final = {
    1: "the scope is not one of the three, see `scope`",
    4: "the key cannot be read, see `credentials_file`",
    5: "no scope was named, see `scope`",
    6: "the key is not known, see `credentials_file`",
    7: "the key was issued for another contract, see `scope`",
}


class _Refusal:
    """Why no token was given: of the body only the number is looked at."""

    __slots__ = ("_number",)

    def __init__(self) -> None:
        self._number: int | None = None

    def read(self, body: bytes) -> str:
        try:
            self._number = _REFUSED.decode(body).code
        except (msgspec.MsgspecError, UnicodeError):
            self._number = None
        return ""

    def error(self, status: int, error: ProviderError) -> ProviderError:
        """`error` is what a chat would make of this status: it may blame the caller, who has no part in this."""
        if status in (400, 401, 403):
            number = self._number or 0
            reason = _REASONS.get(number, "see `credentials_file` and `scope`")
            return AuthenticationFailedError(
                f"the token service answered {status}: {reason}",
                request_id=error.request_id,
                code=_CODES.get(number, ""),
            )
        kind = type(error) if error.failover else UnexpectedStatusError
        return kind(f"the token service answered {status}", retry_after=error.retry_after, request_id=error.request_id)


class _Reply(Struct):
    access_token: str | None = None
    expires_at: int | float | None = None
    tok: str | None = None
    exp: int | float | None = None


class _Refused(Struct):
    code: int | None = None


_DECODER: Final = msgspec.json.Decoder(_Reply)
_REFUSED: Final = msgspec.json.Decoder(_Refused)
