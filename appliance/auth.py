"""API key → Principal, and the keyed pseudonyms of people.

A key is 32 random bytes behind the prefix `apl_`, so a plain SHA-256 of it can be stored: there is nothing to guess.
A pseudonym is HMAC-SHA256 of a customer's own identifier of a person, cut to 16 bytes (RFC 2104; enough against collisions
among 2^32 people): the identifier itself is dropped at the door and is in no record.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import msgspec

from appliance.errors import AuthenticationError, DutyError, NotAllowedError, PurposeError
from appliance.keyfiles import KEY_SIZE, read_secret, write_secret

_PREFIX = "apl_"


class Principal(msgspec.Struct, frozen=True):
    """Who is asking: an application's key and the purposes it was given."""

    key_id: str
    app: str
    purposes: frozenset[str]
    default_purpose: str | None
    route: str | None = None  # the name that every request of this key is taken to ask for

    def purpose(self, asked: str | None) -> str:
        """The purpose of a request that names `asked`, or the key's default.

        Raises PurposeError when there is none (152-ФЗ ст. 5 ч. 2: no processing without a purpose set in advance) and
        NotAllowedError when this key was not given it.
        """
        purpose = asked or self.default_purpose
        if purpose is None:
            raise PurposeError(
                "no purpose: name one in the `X-Purpose` header or in `metadata.purpose`", "metadata.purpose"
            )
        if purpose not in self.purposes:
            raise NotAllowedError(
                "this API key may not be used for the purpose asked for: ask the administrator, or use one of "
                + ", ".join(f"`{name}`" for name in sorted(self.purposes))
            )
        return purpose


class Duty(StrEnum):
    """What a member of staff is there for; one person may have several, but no duty includes another."""

    DPO = "dpo"  # answers for the processing of personal data: policy, stops, holds
    SECURITY = "security"  # lays stops, sees what is in force
    OPERATOR = "operator"  # keeps the service running: reloads the policy
    REVIEWER = "reviewer"  # looks at answers with legal effect before anybody acts on them


class Officer(msgspec.Struct, frozen=True):
    """A member of staff and their duties."""

    id: str
    duties: frozenset[Duty]

    def needs(self, *duties: Duty) -> None:
        """Raises DutyError unless the officer has one of these duties."""
        if self.duties.isdisjoint(duties):
            raise DutyError(f"для этого нужна одна из обязанностей: {', '.join(duties)}")


class Keyring:
    """The keys that are let in, of applications and of staff, held only as SHA-256."""

    def __init__(
        self, principals: Iterable[tuple[bytes, Principal]], officers: Iterable[tuple[bytes, Officer]] = ()
    ) -> None:
        self._principals = dict(principals)
        self._officers = dict(officers)

    def authenticate(self, authorization: str | None) -> Principal:
        """The principal of an `Authorization` header: `Bearer <key>` (RFC 6750), or `Basic` with the key as the password (RFC 7617), for
        clients that know nothing but `http://name:key@host`. Raises AuthenticationError.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() == "basic":
            key = _password(key)
        elif scheme.lower() != "bearer":
            key = ""
        if not key:
            raise AuthenticationError("no API key: send `Authorization: Bearer <key>`")
        principal = self._principals.get(digest(key.strip()))
        if principal is None:
            raise AuthenticationError("the API key is not known: check it, or ask the administrator for one")
        return principal

    def officer(self, authorization: str | None) -> Officer:
        """The member of staff behind `Bearer <key>`. Raises AuthenticationError; an application's key is none of theirs."""
        scheme, _, key = (authorization or "").partition(" ")
        officer = self._officers.get(digest(key.strip())) if scheme.lower() == "bearer" else None
        if officer is None:
            raise AuthenticationError(
                "нужен ключ сотрудника: `Authorization: Bearer <ключ>` (`[[staff]]` в настройках)"
            )
        return officer


class Pseudonyms:
    """Identifiers of people → 16-byte pseudonyms, the same for the same person as long as the key file is kept."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def load(cls, path: Path) -> Pseudonyms:
        """With the key in a file. Raises SettingsError."""
        return cls(read_secret(path, size=KEY_SIZE))

    def of(self, identifier: str) -> bytes:
        """The pseudonym of a data subject or an end user, named by the customer's own identifier."""
        return hmac.digest(self._key, b"subject\x00" + identifier.encode(), "sha256")[:16]

    def of_consent(self, reference: str) -> bytes:
        """The pseudonym of a reference to a consent, 16 bytes: a reference may itself name a person."""
        return hmac.digest(self._key, b"consent\x00" + reference.encode(), "sha256")[:16]

    def sealing_key(self, app: str) -> bytes:
        """The key under which mappings are sealed to an application, 32 bytes."""
        return hmac.digest(self._key, b"mapping\x00" + app.encode(), "sha256")

    def conversation_key(self, app: str, conversation: str) -> bytes:
        """The secret of one conversation of one application, 32 bytes: its placeholders and stand-ins are derived from it."""
        return hmac.digest(self._key, b"conversation\x00" + app.encode() + b"\x00" + conversation.encode(), "sha256")


def _password(credentials: str) -> str:
    """The password of Basic credentials, whatever the name; "" when they are none."""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def digest(key: str) -> bytes:
    """What is kept of an API key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def new_key(path: Path) -> None:
    """Write a fresh API key to a new file only its owner can read."""
    write_secret(path, (_PREFIX + secrets.token_urlsafe(32) + "\n").encode())


def is_digest(text: str) -> bool:
    """Whether a settings value is a SHA-256 in hex."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
