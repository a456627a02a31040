"""Cosignatures of witnesses (c2sp.org/tlog-cosignature, Ed25519): "at this time, this was the largest tree of the log that I saw"."""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.checkpoint import COSIGNATURE, VerifierKey, signature_line, signatures_by, split_note
from audit.errors import Finding, VerificationError

_TIME = struct.Struct(">Q")
_LATEST = (1 << 63) - 1


class Witnesser:
    """A witness's signing key."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._private_key = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = VerifierKey(name, COSIGNATURE, self._private_key.public_key().public_bytes_raw())

    def cosign(self, text: str, time: int) -> str:
        """The signature line over a checkpoint's text, `time` in seconds of POSIX; ends with a line feed."""
        signature = self._private_key.sign(_message(text, time))
        return signature_line(self.key, _TIME.pack(time) + signature)


class WitnessVerifier:
    """The public half: what an auditor trusts a witness by."""

    def __init__(self, key: VerifierKey) -> None:
        self.key = key
        self._public_key = Ed25519PublicKey.from_public_bytes(key.public)

    @classmethod
    def parse(cls, vkey: str) -> WitnessVerifier:
        """The key in `<name>+<key id>+<base64>`, type 0x04. Raises KeyFileError."""
        return cls(VerifierKey.parse(vkey, COSIGNATURE))

    @property
    def name(self) -> str:
        """The witness."""
        return self.key.name

    def cosigned(self, note: str, answer: str) -> str:
        """The note with the lines of this witness in `answer`, in place of its earlier ones; other lines of the answer are passed over.

        Raises VerificationError for a note out of form.
        """
        text, lines = split_note(note)
        others = [line for line in lines if not signatures_by(self.key, [line])]
        fresh = [line for line in answer.split("\n") if signatures_by(self.key, [line])]
        return text + "\n" + "".join(f"{line}\n" for line in (*others, *fresh))

    def seen(self, note: str) -> int | None:
        """When the witness cosigned this checkpoint, in seconds of POSIX: the latest time; None when it did not.

        Raises VerificationError for a line of this key that does not hold.
        """
        text, lines = split_note(note)
        times = []
        for blob in signatures_by(self.key, lines):
            try:
                (time,) = _TIME.unpack_from(blob)
                self._public_key.verify(blob[_TIME.size :], _message(text, time))
            except (InvalidSignature, struct.error):
                raise _error("подпись свидетеля неверна") from None
            if time > _LATEST:
                raise _error("время в подписи свидетеля не по форме")
            times.append(time)
        return max(times, default=None)


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _error(message: str) -> VerificationError:
    return VerificationError(message, Finding.SIGNATURE)
