"""A KEK that systemd hands to the service as a credential; sealing it to a TPM or to the host is systemd's own business."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.kek.secret_files import read_private
from audit import KEK_SIZE, KeyFileError

_UNIT = Path("/run/credentials/appliance.service")


class SystemdKek(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="systemd"):
    """`kind = "systemd"`. `directory` is what systemd calls $CREDENTIALS_DIRECTORY: /run/credentials and the unit's name."""

    directory: Path = _UNIT
    credential: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] = "audit.kek"


class CredentialKek:
    """The key in a credential of the unit."""

    def __init__(self, settings: SystemdKek) -> None:
        self._directory = settings.directory
        self._path = settings.directory / settings.credential

    @property
    def description(self) -> str:
        """The credential."""
        return f"учётные данные systemd `{self._path}`"

    def load(self) -> bytes:
        """The 32 bytes. Raises KeyFileError."""
        if not self._directory.is_dir():
            raise KeyFileError(
                f"`{self._directory}`: systemd не передал учётных данных; запускайте службой с LoadCredentialEncrypted= и"
                " проверьте `directory` в [audit.kek]"
            )
        key = read_private(self._path, "ключ шифрования", credentials=self._directory)
        if len(key) != KEK_SIZE:
            raise KeyFileError(f"`{self._path}`: в ключе {len(key)} байт, нужно {KEK_SIZE}")
        return key
