"""A KEK wrapped by the transit engine of HashiCorp Vault or OpenBao: it opens where the Vault is, and where the Vault lets us."""

from __future__ import annotations

import base64
import binascii
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from appliance.kek.sealed import Seal, VaultSeal, wrong_kind
from appliance.kek.secret_files import read_word
from audit import KeyFileError

if TYPE_CHECKING:
    import hvac
    import requests

_Mount = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")]
_LOOPBACK = {"127.0.0.1", "::1"}


class VaultKek(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="vault"):
    """`kind = "vault"`. It proves itself by a token, or by a role (AppRole); all of them from files."""

    address: Annotated[str, Meta(pattern=r"^https?://[^\s?#@]+$")]
    key: _Mount = "llm-audit"
    mount: _Mount = "transit"
    token_file: Path | None = None
    role_id_file: Path | None = None
    secret_id_file: Path | None = None
    approle_mount: _Mount = "approle"
    namespace: str = ""
    ca_file: Path | None = None
    timeout: Annotated[float, Meta(gt=0, le=120)] = 10.0  # seconds, for connecting and for each silence
    sealed_file: Path | None = None

    @property
    def problems(self) -> list[str]:
        """What is wrong with the settings themselves, in Russian."""
        address = urlsplit(self.address)
        found = []
        if address.scheme != "https" and address.hostname not in _LOOPBACK:
            found.append(f"Vault `{self.address}`: http допустим только на 127.0.0.1; укажите https")
        role = (self.role_id_file is not None, self.secret_id_file is not None)
        if role[0] != role[1]:
            found.append(f"Vault `{self.address}`: `role_id_file` и `secret_id_file` задаются вместе")
        elif (self.token_file is not None) == role[0]:
            found.append(
                f"Vault `{self.address}`: укажите либо `token_file`, либо `role_id_file` вместе с `secret_id_file`"
            )
        if self.ca_file is not None and not self.ca_file.is_file():
            found.append(f"Vault `{self.address}`: файла `{self.ca_file}` нет")
        return found


class VaultSealer:
    """Seals with a key that the Vault keeps to itself."""

    def __init__(self, settings: VaultKek, broker: str = "") -> None:
        self._settings = settings
        self._broker = broker  # the socket of the egress broker, "" without one

    @property
    def description(self) -> str:
        """Which Vault and which key of it."""
        return f"ключом `{self._settings.mount}/{self._settings.key}` в Vault {self._settings.address}"

    def seal(self, key: bytes, bound: bytes) -> VaultSeal:  # noqa: ARG002  (rewrapping knows no associated data)
        """The key, encrypted by the Vault. Raises KeyFileError."""
        return self._sealed(self._asked("encrypt", plaintext=base64.b64encode(key).decode()))

    def unseal(self, seal: Seal, bound: bytes) -> bytes:  # noqa: ARG002  (as above)
        """The key in a seal, decrypted by the Vault. Raises KeyFileError."""
        if not isinstance(seal, VaultSeal):
            raise wrong_kind(seal)
        answer = self._asked("decrypt", ciphertext=seal.ciphertext)
        try:
            return base64.b64decode(_data(answer)["plaintext"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise self._strange() from None

    def rewrap(self, seal: Seal) -> VaultSeal:
        """The seal under the newest version of the Vault's key; the KEK does not leave the Vault. Raises KeyFileError."""
        if not isinstance(seal, VaultSeal):
            raise wrong_kind(seal)
        return self._sealed(self._asked("rewrap", ciphertext=seal.ciphertext))

    def _sealed(self, answer: dict[str, object]) -> VaultSeal:
        try:
            return msgspec.convert({"kind": "vault", "ciphertext": _data(answer)["ciphertext"]}, VaultSeal)
        except (KeyError, TypeError, msgspec.ValidationError):
            raise self._strange() from None

    def _asked(self, act: str, **fields: str) -> dict[str, object]:
        """What the Vault's transit answers, after we proved ourselves to it; what goes wrong becomes ours here. Raises KeyFileError."""
        if found := self._settings.problems:
            raise KeyFileError("; ".join(found))
        try:
            import hvac
            import requests
        except ImportError:
            raise KeyFileError(
                "нет библиотеки hvac; установите её: `pip install llm-privacy-appliance[vault]`"
            ) from None
        try:
            return self._exchange(act, fields)
        except hvac.exceptions.VaultError as error:
            refused = self._refused(error, act)
        except requests.exceptions.SSLError:
            refused = self._failed("сертификат не проверен; назовите `ca_file` удостоверяющего центра")
        except requests.exceptions.Timeout:
            refused = self._failed(f"не ответил за {self._settings.timeout:g} с; проверьте сеть и сам Vault")
        except (requests.exceptions.RequestException, OSError):
            refused = self._failed("недоступен; проверьте адрес, сеть и сам Vault")
        raise refused  # out here, where it refers to no frame with a token or a connection in it

    def _exchange(self, act: str, fields: dict[str, str]) -> dict[str, object]:
        """The answer to one request; empty when it is none of Vault's. A token of a role is given back. Raises what the client raises."""
        import hvac
        import requests

        settings = self._settings
        with requests.Session() as session:
            client = self._client(session)
            self._prove(client)
            ask = getattr(client.secrets.transit, f"{act}_data")
            answer = ask(name=settings.key, mount_point=settings.mount, **fields)
            if settings.role_id_file is not None:
                with suppress(hvac.exceptions.VaultError):  # the token dies by itself soon
                    client.auth.token.revoke_self()
        return answer if isinstance(answer, dict) else {}

    def _client(self, session: requests.Session) -> hvac.Client:
        import hvac

        settings = self._settings
        session.trust_env = False  # neither a proxy nor .netrc nor another trust store from the environment
        if self._broker:
            from appliance.kek.vault_way import lead_through

            lead_through(session, self._broker, settings.timeout)
        session.verify = str(settings.ca_file) if settings.ca_file else _system_trust()
        return hvac.Client(
            url=settings.address,
            token="",  # None would take one from the environment
            cert=(),  # the same
            verify=session.verify,
            timeout=settings.timeout,
            allow_redirects=False,  # the token would go along
            session=session,
            namespace=settings.namespace or None,
        )

    def _prove(self, client: hvac.Client) -> None:
        settings = self._settings
        if settings.token_file is not None:
            client.token = read_word(settings.token_file, "файл токена Vault")
        elif settings.role_id_file is not None and settings.secret_id_file is not None:
            role_id = read_word(settings.role_id_file, "файл role_id")
            token = self._lent(client, role_id, read_word(settings.secret_id_file, "файл secret_id"))
            if token is None:
                raise self._failed("не принял роль; проверьте role_id, secret_id и срок их действия")
            if not token:
                raise self._strange()
            client.token = token

    def _lent(self, client: hvac.Client, role_id: str, secret_id: str) -> str | None:
        """A token for the role: None when it is not let in, empty when the answer is none of Vault's."""
        from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized

        try:
            answer = client.auth.approle.login(
                role_id=role_id, secret_id=secret_id, use_token=False, mount_point=self._settings.approle_mount
            )
            return str(answer["auth"]["client_token"])
        except (Forbidden, InvalidPath, InvalidRequest, Unauthorized):
            return None
        except (KeyError, TypeError):
            return ""

    def _refused(self, error: Exception, act: str) -> KeyFileError:
        key = f"{self._settings.mount}/{self._settings.key}"
        name = type(error).__name__
        told = _AWAY.get(name) or _REFUSALS.get(name, "ответил ошибкой; посмотрите его журнал")
        return self._failed(told.format(key=key, act=act))

    def _strange(self) -> KeyFileError:
        return self._failed("ответил не так, как отвечает Vault; проверьте адрес")

    def _failed(self, what: str) -> KeyFileError:
        return KeyFileError(f"Vault {self._settings.address} {what}")


_AWAY = {
    "VaultDown": "запечатан или остановлен; распечатайте его: `vault operator unseal`",
    "VaultNotInitialized": "ещё не инициализирован",
    "RateLimitExceeded": "отказал из-за числа запросов; повторите позже",
    "BadGateway": "недоступен за своим балансировщиком; проверьте сам Vault",
}
_REFUSALS = {
    "Forbidden": "не допустил к `{key}`; проверьте токен, его срок и право update на {act}",
    "Unauthorized": "не допустил к `{key}`; проверьте токен, его срок и право update на {act}",
    "InvalidPath": "не знает пути `{key}`; проверьте `mount` и `key`",
    "InvalidRequest": "не выполнил {act}: ключа `{key}` нет, он другой или файл повреждён; проверьте `key`",
}


def _data(answer: dict[str, object]) -> dict[str, str]:
    """The part `data` of an answer. Raises TypeError, KeyError for what is no answer."""
    data = answer["data"]
    if not isinstance(data, dict):
        raise TypeError(type(data).__name__)
    return data


def _system_trust() -> str:
    """The operating system's trust store, where an administrator puts the company's authority."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or paths.openssl_cafile
