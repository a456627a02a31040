"""`appliance keys …`: where the log's key-encryption key comes from, moving it under a provider, and its shares."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from appliance.commands.escrow import escrow_group
from appliance.commands.options import chosen, fail, with_settings
from appliance.commands.rotating import rotate_command
from appliance.events import ReadWhat
from appliance.kek import (
    FileKek,
    KekSettings,
    Pkcs11Kek,
    Pkcs11Sealer,
    SealedKek,
    VaultKek,
    VaultSealer,
    kek_source,
    sealed_kek,
)
from appliance.kek.escrow import spelled
from appliance.kek.secret_files import sync_folder
from appliance.readings import note
from appliance.settings import Settings
from audit import KEK_SIZE, AuditError, KekFile, KeyFileError, key_check_of, key_check_of_log

_F = TypeVar("_F", bound=Callable[..., object])
_KINDS = ("passphrase", "pkcs11", "vault")


@click.group(name="keys")
def keys_group() -> None:
    """Ключ шифрования журнала: откуда он, под какой печатью, его доли у хранителей."""


keys_group.add_command(escrow_group)
keys_group.add_command(rotate_command)


def _of_provider(command: _F) -> _F:
    return click.option(
        "-o",
        "--option",
        "options",
        multiple=True,
        metavar="ИМЯ=ЗНАЧЕНИЕ",
        help="Параметр раздела [audit.kek], как в настройках: -o address=https://… Секреты — только пути к файлам.",
    )(command)


@keys_group.command(name="status")
@with_settings
@click.option("--retry-pin", is_flag=True, help="Попробовать PIN, хотя прошлая попытка не удалась (pkcs11).")
def status_command(settings_file: Path | None, state: Path, *, retry_pin: bool) -> None:
    """Откуда берётся ключ и открывает ли он журнал. Код выхода 2 — не открывает."""
    settings = chosen(settings_file, state)
    source = kek_source(
        settings.audit.kek, settings.kek_file, settings.audit.origin, broker=settings.broker, retry_pin=retry_pin
    )
    click.echo(f"Ключ шифрования: {source.description}")
    if not isinstance(settings.audit.kek, FileKek) and settings.kek_file.exists():
        click.echo(f"Внимание: открытый файл ключа ещё лежит: `{settings.kek_file}` (keys seal --remove-plain)")
    try:
        key = source.load()
        click.echo(f"Контрольное значение: {spelled(key_check_of(key))}")
        if not settings.log.path.exists():
            click.echo("Журнал ещё не начат.")
            return
        _check_of_the_log(settings, key)
    except AuditError as error:
        click.echo("Открывает журнал: нет")
        fail(str(error))
    click.echo("Открывает журнал: да")


@keys_group.command(name="seal")
@click.option("--to", "kind", type=click.Choice(_KINDS), required=True, help="Под какую печать.")
@_of_provider
@click.option(
    "--from",
    "plain",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Открытый файл ключа вместо названного в настройках: новый ключ после `keys rotate --new-file`.",
)
@click.option("--new", is_flag=True, help="Новая установка: создать ключ сразу под печатью, без открытого файла.")
@click.option("--remove-plain", is_flag=True, help="После проверки затереть и удалить открытый файл ключа.")
@with_settings
def seal_command(  # noqa: PLR0913  (one an option)
    kind: str,
    options: tuple[str, ...],
    plain: Path | None,
    settings_file: Path | None,
    state: Path,
    *,
    new: bool,
    remove_plain: bool,
) -> None:
    """Запечатать ключ журнала: парольной фразой, в Vault или ключом токена. Сам ключ не меняется."""
    settings = chosen(settings_file, state)
    target = _target(kind, options, settings)
    sealed = sealed_kek(target, settings.kek_file, settings.audit.origin, broker=settings.broker)
    if sealed is None:
        raise AssertionError(kind)
    try:
        file = plain or settings.kek_file
        key = _new_key(settings) if new else _key_to_seal(settings, file)
        if sealed.path.exists():
            _compare(sealed, key)
            click.echo(f"Уже запечатан: {sealed.description}")
        else:
            sealed.seal(key, before=lambda: _noted(settings, ReadWhat.KEY_SEALED))
            _compare(sealed, key)
            click.echo(f"Готово: {sealed.description}. Проверено: раскрывается тем же ключом.")
        click.echo(f"Контрольное значение: {spelled(key_check_of(key))}")
        click.echo(f"\nВ файл настроек:\n\n{_toml(target, sealed.path)}\nЗатем: appliance keys status")
        if remove_plain:
            _remove(file, key)
        elif file.exists():
            click.echo(
                f"Открытый файл `{file}` остался. Когда служба запустится с новыми настройками, удалите его той же"
                " командой с --remove-plain; до того сделайте доли: appliance keys escrow split"
            )
    except AuditError as error:
        fail(str(error))


@keys_group.command(name="rewrap")
@with_settings
def rewrap_command(settings_file: Path | None, state: Path) -> None:
    """Vault: обновить печать до новой версии ключа transit. Ключ журнала Vault не покидает."""
    settings = chosen(settings_file, state)
    sealed = sealed_kek(settings.audit.kek, settings.kek_file, settings.audit.origin, broker=settings.broker)
    if sealed is None or not isinstance(settings.audit.kek, VaultKek):
        fail('в настройках [audit.kek] не `kind = "vault"`: обновлять нечего')
    try:
        sealed.replace(VaultSealer(settings.audit.kek, settings.broker).rewrap(sealed.inspect().seal))
    except AuditError as error:
        fail(str(error))
    click.echo(f"Печать обновлена и проверена: `{sealed.path}`")


@keys_group.command(name="token-key")
@_of_provider
@with_settings
def token_key_command(options: tuple[str, ...], settings_file: Path | None, state: Path) -> None:
    """Токен PKCS#11: создать на нём ключ AES, который из него не выходит."""
    target = _target("pkcs11", options, chosen(settings_file, state))
    if not isinstance(target, Pkcs11Kek):
        raise TypeError(type(target).__name__)
    try:
        Pkcs11Sealer(target).create_key()
    except AuditError as error:
        fail(str(error))
    click.echo(f"Ключ `{target.key}` создан на токене `{target.token}`.")


def _target(kind: str, options: Sequence[str], settings: Settings) -> KekSettings:
    """The provider that the options describe, on top of the one in the settings when that is of this kind."""
    current = settings.audit.kek
    fields: dict[str, object] = {"kind": kind}
    if current.__struct_config__.tag == kind:
        given = msgspec.to_builtins(current, enc_hook=str)
        fields = {name: value for name, value in given.items() if value is not None}
    for option in options:
        name, sign, value = option.partition("=")
        if not sign or name == "kind":
            fail(f"`-o {name}`: пишется ИМЯ=ЗНАЧЕНИЕ, имена — как в разделе [audit.kek] примера настроек")
        fields[name] = value
    try:
        target: KekSettings = msgspec.convert(fields, KekSettings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        fail(f"параметры `-o` для `{kind}`: {error}")
    if isinstance(target, VaultKek) and target.problems:
        fail(*target.problems)
    return target


def _path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str) or not value:
        raise TypeError("expected a path")
    return Path(value).absolute()


def _new_key(settings: Settings) -> bytes:
    """Raises KeyFileError: there is a log or a key already."""
    for path in (settings.log.path, settings.kek_file):
        if path.exists():
            raise KeyFileError(f"`{path}`: уже есть; новый ключ создаётся только для новой установки")
    return secrets.token_bytes(KEK_SIZE)


def _key_to_seal(settings: Settings, file: Path) -> bytes:
    """The key as it is today. Raises KeyFileError, LogFileError: also when it is not the log's."""
    source = KekFile(file) if file.exists() or file != settings.kek_file else settings.log.kek_source
    key = source.load()
    if settings.log.path.exists():
        _check_of_the_log(settings, key)
    return key


def _check_of_the_log(settings: Settings, key: bytes) -> None:
    if not secrets.compare_digest(key_check_of_log(settings.log.path), key_check_of(key)):
        raise KeyFileError(
            f"ключ шифрования не от журнала `{settings.log.path}`; возьмите его ключ из копии или из долей"
        )


def _compare(sealed: SealedKek, key: bytes) -> None:
    if not secrets.compare_digest(sealed.load(), key):
        raise KeyFileError(f"`{sealed.path}`: под печатью другой ключ; файл не тронут")


def _noted(settings: Settings, what: ReadWhat) -> None:
    try:
        note(settings.readings, what, 1)
    except OSError as error:
        raise KeyFileError(
            f"`{settings.readings}`: об этом нельзя оставить запись ({error.strerror}); ничего не сделано"
        ) from None


def _remove(path: Path, key: bytes) -> None:
    """Overwrite the plain file and take it away. Raises KeyFileError, also when it holds another key: then it stays."""
    if not path.exists():
        click.echo(f"Открытого файла `{path}` уже нет.")
        return
    if not secrets.compare_digest(KekFile(path).load(), key):
        raise KeyFileError(f"`{path}`: в открытом файле другой ключ; файл не тронут")
    try:
        with path.open("r+b") as file:
            file.write(os.urandom(KEK_SIZE))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise KeyFileError(f"`{path}`: открытый файл не удалён ({error.strerror})") from None
    click.echo(f"Открытый файл `{path}` затёрт и удалён. В прежних копиях и снимках диска он мог остаться.")


def _toml(target: KekSettings, sealed_file: Path) -> str:
    """The section of the settings for a provider; what is as by default is left out."""
    fields = msgspec.to_builtins(target, enc_hook=str)
    fields["sealed_file"] = str(sealed_file.absolute())
    defaults = {each.name: each.default for each in msgspec.structs.fields(target)}
    lines = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in fields.items()
        if name == "kind" or value != defaults[name]
    ]
    return "\n".join(["[audit.kek]", *lines, ""])
