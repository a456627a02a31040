"""Where the log's key-encryption key comes from, and how it is kept from being lost."""

from appliance.kek.passphrase import PassphraseKek
from appliance.kek.pkcs11 import Pkcs11Kek, Pkcs11Sealer
from appliance.kek.sealed import SealedKek
from appliance.kek.settings import FileKek, KekSettings, kek_source, problems_of_kek, sealed_beside, sealed_kek
from appliance.kek.systemd import SystemdKek
from appliance.kek.vault import VaultKek, VaultSealer

__all__ = [
    "FileKek",
    "KekSettings",
    "PassphraseKek",
    "Pkcs11Kek",
    "Pkcs11Sealer",
    "SealedKek",
    "SystemdKek",
    "VaultKek",
    "VaultSealer",
    "kek_source",
    "problems_of_kek",
    "sealed_beside",
    "sealed_kek",
]
