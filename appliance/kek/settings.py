"""`[audit.kek]`: which provider the key-encryption key comes from, and the source that this makes."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias, assert_never

import msgspec

from appliance.kek.passphrase import PassphraseKek, PassphraseSealer
from appliance.kek.pkcs11 import Pkcs11Kek, Pkcs11Sealer
from appliance.kek.sealed import SealedKek, Sealer
from appliance.kek.secret_files import read_private
from appliance.kek.systemd import CredentialKek, SystemdKek
from appliance.kek.vault import VaultKek, VaultSealer
from audit import KekFile, KekSource, KeyFileError, check_kek


class FileKek(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="file"):
    """`kind = "file"`: the 32 bytes as they are, in `audit.kek_file`."""


KekSettings: TypeAlias = FileKek | PassphraseKek | SystemdKek | VaultKek | Pkcs11Kek


def sealed_beside(kek_file: Path) -> Path:
    """Where a sealed KEK lies unless it was said otherwise."""
    return kek_file.with_name(f"{kek_file.name}.sealed")


def sealed_kek(
    kek: KekSettings, kek_file: Path, origin: str, *, broker: str = "", retry_pin: bool = False
) -> SealedKek | None:
    """The sealed file that a provider opens; None for the kinds that have none. `broker`: the socket of the egress broker."""
    sealer: Sealer
    match kek:
        case FileKek() | SystemdKek():
            return None
        case PassphraseKek():
            sealer = PassphraseSealer(kek.passphrase_file)
        case VaultKek():
            sealer = VaultSealer(kek, broker)
        case Pkcs11Kek():
            sealer = Pkcs11Sealer(kek, after_a_failure=retry_pin)
        case _:
            assert_never(kek)
    return SealedKek(kek.sealed_file or sealed_beside(kek_file), origin, sealer)


def kek_source(
    kek: KekSettings, kek_file: Path, origin: str, *, broker: str = "", retry_pin: bool = False
) -> KekSource:
    """Where the KEK of the log comes from."""
    if isinstance(kek, SystemdKek):
        return CredentialKek(kek)
    return sealed_kek(kek, kek_file, origin, broker=broker, retry_pin=retry_pin) or KekFile(kek_file)


def problems_of_kek(kek: KekSettings, kek_file: Path, origin: str) -> list[str]:
    """What can be seen to be wrong without a network, a token or a question, in Russian."""
    found = list(kek.problems) if isinstance(kek, VaultKek) else []
    try:
        if isinstance(kek, FileKek):
            check_kek(kek_file)
        elif isinstance(kek, SystemdKek):
            CredentialKek(kek).load()
        elif (sealed := sealed_kek(kek, kek_file, origin)) is not None:
            sealed.inspect()
    except KeyFileError as error:
        found.append(str(error))
    for path, what in _secrets(kek):
        try:
            read_private(path, what)
        except KeyFileError as error:
            found.append(str(error))
    return found


def _secrets(kek: KekSettings) -> list[tuple[Path, str]]:
    """The secret files that a provider names, and what they are."""
    match kek:
        case PassphraseKek():
            named = [(kek.passphrase_file, "файл парольной фразы")]
        case VaultKek():
            named = [
                (kek.token_file, "файл токена Vault"),
                (kek.role_id_file, "файл role_id"),
                (kek.secret_id_file, "файл secret_id"),
            ]
        case Pkcs11Kek():
            named = [(kek.pin_file, "файл PIN")]
        case _:
            named = []
    return [(path, what) for path, what in named if path is not None]
