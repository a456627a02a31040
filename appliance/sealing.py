"""A mapping of placeholders sealed to the application it was made for, with an expiry: the appliance itself keeps nothing.

AES-256-GCM (NIST SP 800-38D) under a key derived by HMAC-SHA256 from the key file of pseudonyms and the application's name; a
random nonce of 96 bits, so that one application's key should seal no more than 2^32 mappings. Whoever changes that key file voids them all.
"""

from __future__ import annotations

import base64
import binascii
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.auth import Pseudonyms
from appliance.errors import BadRequestError
from policies import VaultContents

_VERSION = b"\x01"
_NONCE = 12
_LONGEST = 4_000_000  # characters of a sealed mapping; hundreds of values make thousands


class Mapping(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed: until when (Unix seconds, UTC), under which record of the log, and what the placeholders stand for."""

    expires: int
    record: int
    contents: VaultContents


class Seal:
    """Seals and opens mappings for applications."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms

    def seal(self, app: str, mapping: Mapping) -> str:
        """The mapping as a token that only this application can bring back."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(app).encrypt(nonce, _ENCODER.encode(mapping), _VERSION)
        return base64.urlsafe_b64encode(_VERSION + nonce + sealed).rstrip(b"=").decode()

    def open(self, app: str, token: str, now: float) -> Mapping:
        """The mapping in a token. Raises BadRequestError: not ours, another application's, changed, or expired at `now`."""
        wrong = BadRequestError(
            "the mapping is not one that was sealed for this application, or it was changed: mask the texts again",
            "mapping",
        )
        if len(token) > _LONGEST:
            raise wrong
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            if raw[:1] != _VERSION or len(raw) < 1 + _NONCE:
                raise wrong
            opened = self._cipher(app).decrypt(raw[1 : 1 + _NONCE], raw[1 + _NONCE :], _VERSION)
            mapping = _DECODER.decode(opened)
        except (binascii.Error, ValueError, InvalidTag, msgspec.DecodeError):
            raise wrong from None
        if mapping.expires < now:
            raise BadRequestError("the mapping has expired: mask the texts again", "mapping")
        return mapping

    def _cipher(self, app: str) -> AESGCM:
        return AESGCM(self._pseudonyms.sealing_key(app))


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Mapping)
