"""A KEK sealed by an AES key that does not leave its PKCS#11 token (a smart card, an HSM, SoftHSM)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from appliance.kek.sealed import Pkcs11Seal, Seal, wrong_kind
from appliance.kek.secret_files import read_word
from audit import KeyFileError

if TYPE_CHECKING:
    import pkcs11

_Label = Annotated[str, Meta(min_length=1, max_length=64)]
_MODULE = threading.Lock()  # a module has one state for the process


class Pkcs11Kek(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="pkcs11"):
    """`kind = "pkcs11"`. `token` and `key` are labels."""

    module: Path
    token: _Label
    pin_file: Path
    key: _Label = "llm-audit"
    sealed_file: Path | None = None


class Pkcs11Sealer:
    """Seals with the token's key.

    A wrong PIN locks a token after a few attempts, and a service that restarts makes them within seconds. So a PIN is tried once, and
    not at all while the token says that the last attempt failed, unless `after_a_failure`.
    """

    def __init__(self, settings: Pkcs11Kek, *, after_a_failure: bool = False) -> None:
        self._settings = settings
        self._after_a_failure = after_a_failure

    @property
    def description(self) -> str:
        """Which key of which token."""
        return f"ключом `{self._settings.key}` токена `{self._settings.token}`"

    def seal(self, key: bytes, bound: bytes) -> Pkcs11Seal:
        """The key, encrypted by the token. Raises KeyFileError."""
        nonce = os.urandom(_NONCE)
        with self._session() as session:
            return Pkcs11Seal(nonce, bytes(self._key(session).encrypt(key, **_gcm(nonce, bound))))

    def unseal(self, seal: Seal, bound: bytes) -> bytes:
        """The key in a seal, decrypted by the token. Raises KeyFileError."""
        if not isinstance(seal, Pkcs11Seal):
            raise wrong_kind(seal)
        with self._session() as session:
            return bytes(self._key(session).decrypt(seal.ciphertext, **_gcm(seal.nonce, bound)))

    def create_key(self) -> None:
        """Make the AES-256 key in the token, never to leave it. Raises KeyFileError, also when there is one."""
        from pkcs11 import Attribute, KeyType, NoSuchKey

        with self._session(writing=True) as session:
            with suppress(NoSuchKey):
                self._found(session)
                raise self._failed(f"ключ `{self._settings.key}` уже есть; второй не создан")
            uses = {Attribute.ENCRYPT: True, Attribute.DECRYPT: True, Attribute.WRAP: False, Attribute.UNWRAP: False}
            secret = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}
            session.generate_key(KeyType.AES, 256, label=self._settings.key, store=True, template=uses | secret)

    def _key(self, session: pkcs11.Session) -> Any:  # noqa: ANN401  (what a key can do is mixed in at run time)
        from pkcs11 import MultipleObjectsReturned, NoSuchKey

        try:
            return self._found(session)
        except NoSuchKey:
            raise self._failed(
                f"ключа `{self._settings.key}` нет; проверьте `key` или создайте его: `appliance keys token-key`"
            ) from None
        except MultipleObjectsReturned:
            raise self._failed(f"ключей с именем `{self._settings.key}` несколько; оставьте один") from None

    def _found(self, session: pkcs11.Session) -> object:
        from pkcs11 import KeyType, ObjectClass

        return session.get_key(object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=self._settings.key)

    @contextmanager
    def _session(self, *, writing: bool = False) -> Iterator[pkcs11.Session]:
        """A session of who knows the PIN; what goes wrong becomes ours here."""
        settings = self._settings
        try:
            import pkcs11
        except ImportError:
            raise KeyFileError(
                "нет библиотеки python-pkcs11; установите её: `pip install llm-privacy-appliance[pkcs11]`"
            ) from None
        pin = read_word(settings.pin_file, "файл PIN")
        with _MODULE:
            try:
                library = pkcs11.lib(str(settings.module))
            except (pkcs11.PKCS11Error, RuntimeError, OSError):
                raise KeyFileError(
                    f"`{settings.module}`: модуль PKCS#11 не загружается; проверьте `module` и что он установлен"
                ) from None
            try:
                token = library.get_token(token_label=settings.token)
                self._check_counter(pkcs11.TokenFlag(token.flags))
                with token.open(user_pin=pin, rw=writing) as session:
                    yield session
            except pkcs11.PKCS11Error as error:
                raise self._failed(_FAILURES.get(type(error).__name__, _OTHERWISE)) from None
            finally:
                with suppress(pkcs11.PKCS11Error):
                    library.finalize()  # nothing of ours stays logged in, and the next start sees the token as it is then

    def _check_counter(self, flags: pkcs11.TokenFlag) -> None:
        if flags & flags.USER_PIN_LOCKED:
            raise self._failed(_FAILURES["PinLocked"])
        if flags & flags.USER_PIN_FINAL_TRY:
            raise self._failed(
                "осталась последняя попытка ввода PIN, и здесь она не тратится; введите PIN средством токена"
            )
        if flags & flags.USER_PIN_COUNT_LOW and not self._after_a_failure:
            raise self._failed(
                "прошлая попытка ввода PIN не удалась, новая не делается, чтобы токен не заблокировался;"
                " исправьте файл PIN и выполните один раз `appliance keys status --retry-pin`"
            )

    def _failed(self, what: str) -> KeyFileError:
        return KeyFileError(f"токен `{self._settings.token}`: {what}")


_NONCE = 12
_FAILURES = {
    "NoSuchToken": "не найден; проверьте `token`, вставлен ли он и доступен ли службе",
    "MultipleTokensReturned": "таких токенов несколько; оставьте один",
    "TokenNotPresent": "вынут; вставьте его",
    "DeviceRemoved": "вынут; вставьте его",
    "PinIncorrect": "PIN неверен; попытка была одна, исправьте файл PIN и выполните `appliance keys status --retry-pin`",
    "PinInvalid": "в PIN недопустимые знаки; исправьте файл PIN",
    "PinLenRange": "длина PIN недопустима; исправьте файл PIN",
    "PinExpired": "срок PIN истёк; смените его средством токена",
    "PinLocked": "PIN заблокирован; разблокируйте его средством токена",
    "UserPinNotInitialized": "PIN ещё не задан; задайте его средством токена",
    "MechanismInvalid": "не умеет AES-GCM; выберите другой способ",
    "GeneralError": "ключ не раскрылся: ключ токена другой или файл повреждён; проверьте `key` и файл",
    "EncryptedDataInvalid": "ключ не раскрылся: ключ токена другой или файл повреждён; проверьте `key` и файл",
    "TokenWriteProtected": "закрыт для записи; ключ на нём не создать",
}
_OTHERWISE = "отказал; посмотрите журнал токена и его драйвера"


def _gcm(nonce: bytes, bound: bytes) -> dict[str, Any]:
    from pkcs11 import GCMParams, Mechanism

    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, bound, 128)}
