"""A KEK sealed with a passphrase: scrypt (RFC 7914) at 128 MiB, AES-256-GCM-SIV (RFC 8452)."""

from __future__ import annotations

import getpass
import os
import sys
import unicodedata
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from appliance.kek.sealed import PassphraseSeal, Seal, wrong_kind
from appliance.kek.secret_files import read_private
from audit import KeyFileError

_N, _P = 2**17, 1  # with r = 8: 128 MiB, about 0.4 s of one core
_SHORTEST = 14  # characters


class PassphraseKek(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="passphrase"):
    """`kind = "passphrase"`. Without a file of the passphrase it is asked for at the terminal."""

    sealed_file: Path | None = None
    passphrase_file: Path | None = None


class PassphraseSealer:
    """Seals under a passphrase from a file, or from the person at the terminal."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._typed: bytes | None = None  # twice by who seals, so that checking the seal need not ask a third time

    @property
    def description(self) -> str:
        """Where the passphrase comes from."""
        return f"парольной фразой из `{self._file}`" if self._file else "парольной фразой, её спрашивают у терминала"

    def seal(self, key: bytes, bound: bytes) -> PassphraseSeal:
        """The key sealed under a fresh salt. Raises KeyFileError."""
        phrase = self._phrase(confirm=True)
        if len(phrase.decode()) < _SHORTEST:
            raise KeyFileError(f"парольная фраза короче {_SHORTEST} знаков; возьмите пять-шесть случайных слов")
        salt, nonce = os.urandom(16), os.urandom(12)
        cipher = AESGCMSIV(_derived(phrase, salt, (_N, _P)))
        return PassphraseSeal(_N, 8, _P, salt, nonce, cipher.encrypt(nonce, key, bound))

    def unseal(self, seal: Seal, bound: bytes) -> bytes:
        """The key in a seal. Raises KeyFileError."""
        if not isinstance(seal, PassphraseSeal):
            raise wrong_kind(seal)
        if seal.n.bit_count() != 1:
            raise KeyFileError("параметры scrypt в файле недопустимы; верните файл из резервной копии")
        phrase = self._phrase(confirm=False)
        try:
            cipher = AESGCMSIV(_derived(phrase, seal.salt, (seal.n, seal.p)))
            return cipher.decrypt(seal.nonce, seal.ciphertext, bound)
        except (InvalidTag, ValueError):
            raise KeyFileError(
                "парольная фраза не та или файл повреждён; проверьте фразу, затем верните файл из резервной копии"
            ) from None

    def _phrase(self, *, confirm: bool) -> bytes:
        if self._file is not None:
            return _normal(read_private(self._file, "файл парольной фразы").removesuffix(b"\n").removesuffix(b"\r"))
        if self._typed is not None:
            return self._typed
        phrase = _asked("Парольная фраза ключа журнала: ")
        if confirm:
            if phrase != _asked("Ещё раз: "):
                raise KeyFileError("парольные фразы не совпали; ничего не записано")
            self._typed = phrase
        return phrase


def _asked(prompt: str) -> bytes:
    """What is typed at the terminal. Raises KeyFileError when there is none: a service has nobody to ask."""
    if not sys.stdin.isatty():
        raise KeyFileError("парольную фразу спросить не у кого; назовите её файл: `passphrase_file` в [audit.kek]")
    try:
        return _normal(getpass.getpass(prompt).encode("utf-8", "surrogateescape"))
    except EOFError:
        raise KeyFileError("парольная фраза не введена; ничего не записано") from None


def _normal(phrase: bytes) -> bytes:
    """One spelling of the same letters (NFC): keyboards and editors compose «й» differently. Raises KeyFileError."""
    try:
        return unicodedata.normalize("NFC", phrase.decode("utf-8")).encode()
    except UnicodeDecodeError:
        raise KeyFileError("парольная фраза — не текст в UTF-8") from None


def _derived(phrase: bytes, salt: bytes, cost: tuple[int, int]) -> bytes:
    n, p = cost
    return Scrypt(salt=salt, length=32, n=n, r=8, p=p).derive(phrase)
