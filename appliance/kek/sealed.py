"""A KEK sealed in a file: one JSON document that says which log it is of, and how it opens; the provider opens it.

    {"format": "LLM AUDIT SEALED KEK 1", "origin": <the log>, "key_check": <16 bytes>, "seal": {"kind": …, …}}

The check value is public: a key is recognised by it and cannot be computed from it. Whatever a provider gives back is compared with it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeAlias

import msgspec
from msgspec import Meta

from appliance.kek.secret_files import read_private, sync_folder, write_new
from audit import KEK_SIZE, KeyFileError, key_check_of

_FORMAT: Literal["LLM AUDIT SEALED KEK 1"] = "LLM AUDIT SEALED KEK 1"
_WHAT = "запечатанный ключ шифрования"

_Short = Annotated[bytes, Meta(min_length=12, max_length=512)]


class PassphraseSeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="passphrase"):
    """AES-256-GCM-SIV (RFC 8452) under a key derived by scrypt (RFC 7914); the bounds are of cost, so that no file can eat the memory."""

    n: Annotated[int, Meta(ge=2**17, le=2**18)]  # with r = 8: 128 or 256 MiB
    r: Literal[8]
    p: Annotated[int, Meta(ge=1, le=4)]
    salt: _Short
    nonce: _Short
    ciphertext: _Short


class VaultSeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="vault"):
    """A ciphertext of Vault's transit engine."""

    ciphertext: Annotated[str, Meta(pattern=r"^vault:v[0-9]{1,9}:[A-Za-z0-9+/=]{16,1024}$")]


class Pkcs11Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="pkcs11"):
    """AES-256-GCM (NIST SP 800-38D) under a key that does not leave its token."""

    nonce: _Short
    ciphertext: _Short


Seal: TypeAlias = PassphraseSeal | VaultSeal | Pkcs11Seal


class SealedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds."""

    format: Literal["LLM AUDIT SEALED KEK 1"]
    origin: Annotated[str, Meta(max_length=256)]
    key_check: Annotated[bytes, Meta(min_length=16, max_length=16)]
    seal: Seal

    @property
    def bound(self) -> bytes:
        """What a seal with associated data is bound to."""
        return _bound(self.origin, self.key_check)


class Sealer(Protocol):
    """What seals a KEK and opens it again: a passphrase, a Vault, a token."""

    @property
    def description(self) -> str:
        """What and where, for people, in Russian: `парольной фразой из …`; follows the word `запечатан`."""

    def seal(self, key: bytes, bound: bytes) -> Seal:
        """The key, sealed. Raises KeyFileError."""

    def unseal(self, seal: Seal, bound: bytes) -> bytes:
        """The key in a seal. Raises KeyFileError: it cannot be opened, and why."""


class SealedKek:
    """The KEK in a sealed file, for the log of this name."""

    def __init__(self, path: Path, origin: str, sealer: Sealer) -> None:
        self.path = path
        self._origin = origin
        self._sealer = sealer

    @property
    def description(self) -> str:
        """The file, and what it is sealed with."""
        return f"файл `{self.path}`, запечатан {self._sealer.description}"

    def inspect(self) -> SealedFile:
        """What the file says without being opened. Raises KeyFileError: no such file, not one of ours, of another log."""
        content = read_private(self.path, _WHAT)
        try:
            sealed = msgspec.json.decode(content, type=SealedFile)
        except msgspec.DecodeError:
            raise KeyFileError(
                f"`{self.path}`: это не запечатанный ключ шифрования или файл повреждён; верните его из резервной копии"
            ) from None
        if sealed.origin != self._origin:
            raise KeyFileError(
                f"`{self.path}`: ключ запечатан для журнала `{sealed.origin}`, а в настройках — `{self._origin}`"
            )
        return sealed

    def load(self) -> bytes:
        """The 32 bytes. Raises KeyFileError."""
        sealed = self.inspect()
        try:
            key = self._sealer.unseal(sealed.seal, sealed.bound)
        except KeyFileError as error:
            raise KeyFileError(f"`{self.path}`: {error}") from None
        if len(key) != KEK_SIZE or not hmac.compare_digest(key_check_of(key), sealed.key_check):
            raise KeyFileError(
                f"`{self.path}`: под печатью не тот ключ, что назван в файле; верните файл из резервной копии"
            )
        return key

    def seal(self, key: bytes, before: Callable[[], None]) -> None:
        """Write the file, having opened its content again and compared, and called `before`. Raises KeyFileError; never overwrites."""
        if self.path.exists():
            raise KeyFileError(f"`{self.path}`: такой файл уже есть; ключ не перезаписывается")
        content = self._sealed(key)
        before()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_new(self.path, content)
        except OSError as error:
            raise KeyFileError(f"`{self.path}`: файл не создаётся ({error.strerror})") from None

    def replace(self, seal: Seal) -> None:
        """Another seal of the same key, in place of the file's. Raises KeyFileError: then the old file stands."""
        sealed = msgspec.structs.replace(self.inspect(), seal=seal)
        fresh = SealedKek(self.path.with_name(f".{self.path.name}.new"), self._origin, self._sealer)
        try:
            fresh.path.unlink(missing_ok=True)
            write_new(fresh.path, msgspec.json.encode(sealed) + b"\n")
            fresh.load()
            fresh.path.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise KeyFileError(f"`{self.path}`: файл не заменён ({error.strerror})") from None
        finally:
            fresh.path.unlink(missing_ok=True)

    def _sealed(self, key: bytes) -> bytes:
        check = key_check_of(key)
        bound = _bound(self._origin, check)
        sealed = SealedFile(_FORMAT, self._origin, check, self._sealer.seal(key, bound))
        if self._sealer.unseal(sealed.seal, bound) != key:
            raise KeyFileError(f"`{self.path}`: запечатанное не раскрылось тем же ключом; файл не записан")
        return msgspec.json.encode(sealed) + b"\n"


def _bound(origin: str, key_check: bytes) -> bytes:
    return b"\n".join((_FORMAT.encode(), origin.encode(), key_check))


def wrong_kind(seal: Seal) -> KeyFileError:
    """That a file is sealed with something else than the settings say."""
    kind = msgspec.to_builtins(seal)["kind"]
    return KeyFileError(f"ключ запечатан способом `{kind}`; поправьте `kind` в [audit.kek] или путь `sealed_file`")
