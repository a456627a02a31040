"""`[[audit.witnesses]]`: the kinds of witnesses, and what can be wrong with their settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias, assert_never
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from audit import KeyFileError, TimestampAuthority, WitnessVerifier
from providers import is_private_host

_Url = Annotated[str, Meta(pattern=r"^https?://[^\s#@]+$")]
_Name = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._/-]{0,127})?$")]
_Seconds = Annotated[float, Meta(gt=0)]


class C2spSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="c2sp"):
    """A witness that speaks C2SP tlog-witness: `<url>/add-checkpoint`, and the public key it is trusted by."""

    url: Annotated[str, Meta(pattern=r"^https?://[^\s?#@]+$")]
    key_file: Path
    ca_file: Path | None = None
    certificate_file: Path | None = None  # with its key, where the witness asks for one
    certificate_key_file: Path | None = None


class TsaSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tsa"):
    """A time-stamping authority, and the certificates that its own has to lead to. Without a name: `tsa/<host>`."""

    url: _Url
    tsa_ca_file: Path
    ca_file: Path | None = None  # of its https; a token needs none, for it is signed
    name: _Name = ""
    seconds: _Seconds = 3600.0  # between two tokens; each is kept
    tolerance_seconds: _Seconds = 300.0  # that its clock and ours may differ without a warning


class FileSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="file"):
    """A file that checkpoints are appended to, on another disk or a write-once mount."""

    path: Path
    name: _Name = "file"
    seconds: _Seconds = 60.0  # between two entries


class SiemSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="siem"):
    """The checkpoint as a record that goes to every SIEM sink; not counted among the k."""

    name: _Name = "siem"


WitnessedBySettings: TypeAlias = C2spSettings | TsaSettings | FileSettings | SiemSettings


def with_default_kind(document: Mapping[str, Any]) -> None:
    """Name the kind of those witnesses that name none: they are of the first kind there was. What is out of form stays so."""
    audit = document.get("audit")
    witnesses = audit.get("witnesses") if isinstance(audit, dict) else None
    for each in witnesses if isinstance(witnesses, list) else ():
        if isinstance(each, dict):
            each.setdefault("kind", "c2sp")


def name_of(settings: WitnessedBySettings) -> str:
    """What the witness is called. Raises KeyFileError, OSError, UnicodeDecodeError for a public key that cannot be used."""
    match settings:
        case C2spSettings():
            return WitnessVerifier.parse(settings.key_file.read_text(encoding="utf-8")).name
        case TsaSettings():
            return settings.name or f"tsa/{urlsplit(settings.url).hostname}"
        case FileSettings() | SiemSettings():
            return settings.name
        case _:
            assert_never(settings)


def problems_of_witnesses(
    witnesses: tuple[WitnessedBySettings, ...], quorum: int, alarm_seconds: float
) -> Iterator[str]:
    """Everything wrong with them, in Russian. No network."""
    names: list[str] = []
    for each in witnesses:
        yield from _problems(each, alarm_seconds)
        try:
            names.append(name_of(each))
        except (KeyFileError, OSError, UnicodeDecodeError):
            continue  # told among its own problems
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"свидетель `{name}`: описан дважды; дайте одному из них другое `name`"
    counted = sum(not isinstance(each, SiemSettings) for each in witnesses)
    if quorum > max(counted, 1):
        yield (
            f"`audit.witness_quorum`: нужно {quorum} подтверждений, а свидетелей, которые считаются, {counted} (`siem` не считается)"
        )


def _problems(each: WitnessedBySettings, alarm_seconds: float) -> Iterator[str]:
    match each:
        case C2spSettings():
            if urlsplit(each.url).scheme == "http" and not is_private_host(urlsplit(each.url).hostname or ""):
                yield f"свидетель `{each.url}`: http допустим только внутри сети, наружу — только https"
            if (each.certificate_file is None) != (each.certificate_key_file is None):
                yield f"свидетель `{each.url}`: `certificate_file` и `certificate_key_file` задаются вместе"
            yield from problems_of_text(each.key_file, WitnessVerifier.parse)
            yield from _absent(each.url, each.ca_file, each.certificate_file, each.certificate_key_file)
        case TsaSettings():
            yield from problems_of_text(each.tsa_ca_file, TimestampAuthority.parse)
            yield from _absent(each.url, each.ca_file)
            yield from _rare(each.url, each.seconds, alarm_seconds)
        case FileSettings():
            if not each.path.parent.is_dir():
                yield f"свидетель `{each.path}`: каталога `{each.path.parent}` нет"
            yield from _rare(str(each.path), each.seconds, alarm_seconds)
        case SiemSettings():
            pass
        case _:
            assert_never(each)


def problems_of_text(path: Path, parse: Callable[[str], object]) -> Iterator[str]:
    """What is wrong with a file that has to hold a public key or a certificate."""
    try:
        parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        yield f"`{path}`: файл открытого ключа не читается ({error.strerror})"
    except UnicodeDecodeError:
        yield f"`{path}`: в файле открытого ключа не текст"
    except KeyFileError as error:
        yield f"`{path}`: {error}"


def _absent(name: str, *paths: Path | None) -> Iterator[str]:
    for path in paths:
        if path is not None and not path.is_file():
            yield f"свидетель `{name}`: файла `{path}` нет"


def _rare(name: str, seconds: float, alarm_seconds: float) -> Iterator[str]:
    if seconds >= alarm_seconds:
        yield f"свидетель `{name}`: `seconds` больше, чем `witness_alarm_hours`: тревога была бы всегда"
