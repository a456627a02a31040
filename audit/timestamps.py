"""RFC 3161 time-stamp tokens over checkpoints: asking for one, keeping it, and verifying it offline (`FORMAT.md`, section 6).

A token says that the checkpoint existed at its time, by the clock of the authority; what came later it says nothing of. It is over the
SHA-256 of the checkpoint's text, without signature lines, and holds for ever: the certificate must have been valid at the token's time.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import rfc3161_client as rfc3161
from cryptography import x509
from msgspec import Struct

from audit.checkpoint import MAX_NOTE, parse_checkpoint, split_note
from audit.errors import Finding, KeyFileError, VerificationError
from audit.keyfiles import sync_folder

MAX_TOKEN = 1 << 16  # bytes; a token with a long chain of certificates has some ten thousand

_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_NOTE = re.compile(r"(0|[1-9][0-9]{0,18})\.note")
_TOKEN = re.compile(r"(0|[1-9][0-9]{0,18})(?:\.([2-9]|[1-9][0-9]{1,2}))?\.tsr")
_CERTIFICATES = 0xA0  # the tag of SignedData.certificates


class Timestamped(Struct, frozen=True):
    """A checkpoint of this size existed at this time (seconds of POSIX), by the clock of `tsa`, as its certificate names it."""

    size: int
    time: int
    tsa: str


class Query(Struct, frozen=True):
    """What is sent to an authority (application/timestamp-query), and the nonce that its answer must have."""

    body: bytes
    nonce: int

    @classmethod
    def over(cls, text: str) -> Query:
        """A query for a token over a checkpoint's text."""
        algorithm = rfc3161.HashAlgorithm.SHA256
        request = rfc3161.TimestampRequestBuilder().data(text.encode()).hash_algorithm(algorithm).build()
        return cls(request.as_bytes(), request.nonce or 0)


class TimestampAuthority:
    """What an authority is trusted by: the certificates that its own has to lead to."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self._certificates = list(dict.fromkeys(certificates))

    @classmethod
    def parse(cls, pem: str) -> TimestampAuthority:
        """From certificates in PEM: the root, and intermediate ones that tokens do not carry. Raises KeyFileError."""
        try:
            return cls(x509.load_pem_x509_certificates(pem.encode()))
        except ValueError:
            raise KeyFileError("это не сертификат удостоверяющего центра службы меток времени (PEM)") from None

    def verify(self, response: bytes, text: str, nonce: int | None = None) -> tuple[int, str]:
        """When a checkpoint's text was stamped, in seconds of POSIX, and by whom. Raises VerificationError.

        Checked: that it was granted, for this text and nonce, signed by a certificate that leads to ours, was valid at the token's
        time and is for time stamping and nothing else.
        """
        try:
            return self._verified(response, text, nonce)
        except VerificationError:
            raise
        except rfc3161.VerificationError as error:
            raise _error(_reason(str(error))) from None
        except Exception:  # noqa: BLE001  (whatever a hostile token makes the libraries raise: it is no token)
            raise _error("это не метка времени RFC 3161") from None

    def _verified(self, response: bytes, text: str, nonce: int | None) -> tuple[int, str]:
        if len(response) > MAX_TOKEN:
            raise _error("метка времени слишком велика")
        decoded = rfc3161.decode_timestamp_response(_in_order(response))
        if decoded.status != rfc3161.PKIStatus.GRANTED:
            raise _error(f"служба меток времени отказала (статус {int(decoded.status)})")
        info = decoded.tst_info
        imprint = info.message_imprint
        if imprint.hash_algorithm != _SHA256 or imprint.message != sha256(text.encode()).digest():
            raise _error("метка времени — не об этой контрольной точке")
        if nonce is not None and info.nonce != nonce:
            raise _error("метка времени дана на другой запрос")
        rfc3161.VerifierBuilder(roots=self._certificates, nonce=nonce).build().verify_message(decoded, text.encode())
        return int(info.gen_time.timestamp()), _signer(decoded)


def text_of(note: str) -> str:
    """What of a note is stamped. Raises VerificationError."""
    return split_note(note)[0]


def keep_timestamp(folder: Path, note: str, response: bytes, slot: int = 1) -> None:
    """Put a note and its token into a folder, durably; `slot` tells the authorities apart. Raises OSError, VerificationError.

    The note of another history of the same size, and what stamps it, are put aside under other names.
    """
    text = text_of(note)
    size = parse_checkpoint(text).size
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{size}.note"
    if path.exists() and not path.read_text(encoding="utf-8").startswith(text + "\n"):
        for other in [path, *(folder / name for name in timestamps_in(folder).get(size, ()))]:
            other.rename(other.with_name(f"{other.name}.{secrets.token_hex(4)}.abandoned"))
    if not path.exists():
        _put(path, note.encode())
    _put(folder / _name(size, slot), response)


def newest_note(folder: Path) -> str | None:
    """The note of the largest size that was stamped. Raises OSError, VerificationError."""
    sizes = timestamps_in(folder)
    return _read_note(folder, max(sizes)) if sizes else None


def timestamps_in(folder: Path) -> dict[int, list[str]]:
    """Size → names of the files of its tokens; what has no note beside it is passed over. Raises OSError."""
    found: dict[int, list[str]] = {}
    names = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    for name in sorted(names):
        matched = _TOKEN.fullmatch(name)
        if matched is not None and f"{matched[1]}.note" in names:
            found.setdefault(int(matched[1]), []).append(name)
    return found


def copy_timestamps(folder: Path, out: Path, texts: Mapping[int, str]) -> None:
    """Copy the tokens over checkpoints of these texts (by size), with their notes. Raises OSError, VerificationError."""
    for size, names in sorted(timestamps_in(folder).items()):
        note = _read_note(folder, size) if size in texts else ""
        if note and text_of(note) == texts[size]:
            out.mkdir(exist_ok=True)
            (out / f"{size}.note").write_text(note, encoding="utf-8")
            for name in names:
                (out / name).write_bytes((folder / name).read_bytes())


def sizes_that_cover(sizes: Collection[int], numbers: Sequence[int]) -> list[int]:
    """Of these sizes, the first that covers each of the records, both rising."""
    covering: list[int] = []
    rising = iter(sorted(sizes))
    size = next(rising, None)
    for number in numbers:
        while size is not None and size <= number:
            size = next(rising, None)
        if size is None:
            break
        if not covering or covering[-1] != size:
            covering.append(size)
    return covering


def check_names(folder: Path) -> None:
    """Raise VerificationError for a file in a folder of tokens that is none, or no plain file."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        known = _NOTE.fullmatch(entry.name) or _TOKEN.fullmatch(entry.name)
        if known is None or not entry.is_file(follow_symlinks=False):
            raise VerificationError(f"в папке меток времени лишнее: `{entry.name}`", Finding.FORMAT)


def verify_timestamps(
    folder: Path, authority: TimestampAuthority, texts: Mapping[int, str]
) -> Iterator[Timestamped | VerificationError]:
    """What every token shows, or what is wrong with it, by size. `texts`: those of the checkpoints that the log contains, by size."""
    names = sorted(entry.name for entry in os.scandir(folder))
    noted = {int(matched[1]) for name in names if (matched := _NOTE.fullmatch(name)) is not None}
    tokens: dict[int, list[str]] = {size: [] for size in noted}
    for name in names:
        if (matched := _TOKEN.fullmatch(name)) is not None:
            tokens.setdefault(int(matched[1]), []).append(name)
    for size, stamps in sorted(tokens.items()):
        try:
            if not stamps or size not in noted:
                raise _error("нет самой метки" if size in noted else f"нет файла `{size}.note`")
            text = text_of(_read_note(folder, size))
            if texts.get(size) != text:
                raise _error("такой контрольной точки в журнале нет")
            for name in stamps:
                time, tsa = authority.verify(_read(folder / name, MAX_TOKEN), text)
                yield Timestamped(size, time, tsa)
        except VerificationError as error:
            yield _error(f"метка времени на {size} записей: {error}")


def _name(size: int, slot: int) -> str:
    return f"{size}.tsr" if slot == 1 else f"{size}.{slot}.tsr"


def _put(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _read_note(folder: Path, size: int) -> str:
    try:
        return _read(folder / f"{size}.note", MAX_NOTE * 4).decode()
    except UnicodeDecodeError:
        raise _error(f"`{size}.note` — не текст") from None


def _read(path: Path, most: int) -> bytes:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise _error(f"`{path.name}` — не файл")
    with path.open("rb") as file:
        return file.read(most + 1)


def _signer(decoded: rfc3161.TimeStampResponse) -> str:
    """The name in the certificate of the one who signed."""
    (signed,) = decoded.signed_data.signer_infos
    for der in decoded.signed_data.certificates:
        certificate = x509.load_der_x509_certificate(der)
        if (certificate.issuer, certificate.serial_number) == (signed.issuer, signed.serial_number):
            names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            return str(names[0].value) if names else certificate.subject.rfc4514_string()
    raise _error("в метке времени нет сертификата службы")


def _reason(words: str) -> str:
    """The library's words in ours."""
    if "expired" in words or "not yet valid" in words:
        return "сертификат службы меток времени не действовал во время метки"
    if "EKU" in words or "purpose" in words:
        return "сертификат службы — не для меток времени"
    return "подпись метки времени не подтверждается данным сертификатом удостоверяющего центра"


def _in_order(response: bytes) -> bytes:
    """The response with the token's certificates in the order that DER wants of a set: OpenSSL writes them as they come, the library
    refuses that, and nothing signs their order.
    """
    try:
        at = _after(response, _inside(response, 0))  # TimeStampResp: past the status
        at = _after(response, _inside(response, at))  # ContentInfo: past its type
        at = _inside(response, _inside(response, at))  # SignedData
        for _ in range(3):  # version, digest algorithms, content
            at = _after(response, at)
        if response[at] != _CERTIFICATES:
            return response
        start, stop = _inside(response, at), _after(response, at)
        certificates, at = [], start
        while at < stop:
            following = _after(response, at)
            certificates.append(response[at:following])
            at = following
    except IndexError:
        return response
    return response[:start] + b"".join(sorted(certificates)) + response[stop:]


def _inside(der: bytes, at: int) -> int:
    """Where the content of the element at this place begins."""
    length = der[at + 1]
    return at + 2 + (length & 0x7F if length & 0x80 else 0)


def _after(der: bytes, at: int) -> int:
    """Where the element after the one at this place begins."""
    start = _inside(der, at)
    stop = start + (int.from_bytes(der[at + 2 : start]) if start > at + 2 else der[at + 1])
    if not start <= stop <= len(der):
        raise IndexError(at)
    return stop


def _error(message: str) -> VerificationError:
    return VerificationError(message, Finding.TIMESTAMP)
