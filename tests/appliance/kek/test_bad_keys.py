"""Whatever is wrong with a seal or with what opens it: said in Russian with the place and a way out, and nothing is written."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.settings import load_settings, problems
from tests.appliance.kek.conftest import begun, configured, private, section_of, tree
from tests.appliance.kek.fake_vault import TOKEN, FakeVault
from tests.e2e.running import Installed
from tests.e2e.test_command_line import appliance

Spoil = Callable[[Path], None]


def sealed(installed: Installed, kind: str, options: tuple[str, ...]) -> Path:
    """The key under a seal, the settings changed, the plain file gone."""
    done = appliance("keys", "seal", "--to", kind, *options, "--settings", installed.path)
    assert done.exit_code == 0, done.output
    configured(installed, section_of(done.output))
    installed.settings.kek_file.unlink()
    return installed.settings.kek_file.with_name("audit.kek.sealed")


def refused(installed: Installed, *told: str) -> None:
    """Each command that needs the key fails with these words, and leaves every file as it was."""
    folder = installed.path.parent
    before = tree(folder)
    out = folder / "sheets"
    for command in (("keys", "status"), ("keys", "escrow", "split", "--out", out)):
        result = appliance(*command, "--settings", installed.path)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        for word in told:
            assert word in result.output, result.output
    assert tree(folder) == before
    assert not out.exists()


def edited(change: Callable[[dict], None]) -> Spoil:
    """The sealed file with something changed in its document."""

    def spoil(path: Path) -> None:
        document = json.loads(path.read_bytes())
        change(document)
        private(path, json.dumps(document))

    return spoil


def flipped(field: str, size: int = 0) -> Spoil:
    def change(document: dict) -> None:
        content = bytearray(base64.b64decode(document["seal"][field]))
        content[size] ^= 1
        document["seal"][field] = base64.b64encode(bytes(content)).decode()

    return edited(change)


FILES: dict[str, tuple[Spoil, str]] = {
    "gone": (lambda path: path.unlink(), "не читается"),
    "a folder": (lambda path: (path.unlink(), path.mkdir())[0], "не читается"),
    "empty": (lambda path: private(path, "") and None, "пуст"),
    "truncated": (lambda path: private(path, path.read_bytes()[:-20]) and None, "повреждён"),
    "garbage": (lambda path: private(path, os.urandom(300)) and None, "повреждён"),
    "a plain key": (lambda path: private(path, b"k" * 32) and None, "повреждён"),
    "too large": (lambda path: private(path, b"{" * 70_000) and None, "не тот файл"),
    "deep": (lambda path: private(path, b"[" * 60_000) and None, "повреждён"),
    "open to the group": (lambda path: path.chmod(0o640), "chmod 600"),
    "open to the world": (lambda path: path.chmod(0o604), "chmod 600"),
    "of another log": (edited(lambda it: it.update(origin="other.example/audit")), "для журнала `other.example/audit`"),
    "of a later format": (edited(lambda it: it.update(format="LLM AUDIT SEALED KEK 2")), "повреждён"),
    "with a field more": (edited(lambda it: it.update(more=1)), "повреждён"),
    "of an unknown kind": (edited(lambda it: it["seal"].update(kind="telepathy")), "повреждён"),
    "of another kind": (
        edited(lambda it: it.update(seal={"kind": "vault", "ciphertext": "vault:v1:" + "A" * 80})),
        "способом `vault`",
    ),
    "another check value": (
        edited(lambda it: it.update(key_check=base64.b64encode(bytes(16)).decode())),
        "парольная фраза не та",
    ),
    "a short check value": (edited(lambda it: it.update(key_check="AAAA")), "повреждён"),
    "scrypt of 2^30": (edited(lambda it: it["seal"].update(n=2**30)), "повреждён"),
    "scrypt of 2^10": (edited(lambda it: it["seal"].update(n=2**10)), "повреждён"),
    "scrypt of no power of two": (edited(lambda it: it["seal"].update(n=2**17 + 1)), "недопустимы"),
    "scrypt of r 64": (edited(lambda it: it["seal"].update(r=64)), "повреждён"),
    "scrypt of p 1000": (edited(lambda it: it["seal"].update(p=1000)), "повреждён"),
    "a long salt": (edited(lambda it: it["seal"].update(salt="A" * 4000)), "повреждён"),
    "a bit of the salt": (flipped("salt"), "парольная фраза не та"),
    "a bit of the nonce": (flipped("nonce"), "парольная фраза не та"),
    "a bit of the ciphertext": (flipped("ciphertext", 40), "парольная фраза не та"),
    "a long nonce": (edited(lambda it: it["seal"].update(nonce="A" * 32)), "парольная фраза не та"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation whose key is under a passphrase; every path in its settings is relative."""
    folder = tmp_path_factory.mktemp("template")
    phrase = private(folder / "phrase", "шесть случайных слов йод ёлка\n")
    installed = Installed(folder)
    begun(installed)
    sealed(installed, "passphrase", ("-o", f"passphrase_file={phrase}"))
    installed.path.write_text(installed.path.read_text(encoding="utf-8").replace(f"{folder}/", ""), encoding="utf-8")
    return folder


@pytest.fixture
def under(template: Path, tmp_path: Path) -> Installed:
    """A copy of it."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    installed = object.__new__(Installed)
    installed.path = tmp_path / "settings.toml"
    installed.settings = load_settings(installed.path)
    return installed


@pytest.mark.parametrize("name", FILES)
def test_a_spoiled_file_is_named_and_nothing_is_written(name: str, under: Installed) -> None:
    path = under.settings.kek_file.with_name("audit.kek.sealed")
    spoil, told = FILES[name]
    spoil(path)
    refused(under, told, str(path))


def test_the_same_file_unspoiled_opens(under: Installed) -> None:
    for command in (("keys", "status"), ("audit", "list")):
        assert appliance(*command, "--settings", under.path).exit_code == 0


PHRASES: dict[str, tuple[Spoil, str]] = {
    "another": (lambda path: private(path, "не та фраза, но длинная") and None, "парольная фраза не та"),
    "in another case": (lambda path: private(path, path.read_text().upper()) and None, "парольная фраза не та"),
    "with a space": (lambda path: private(path, " " + path.read_text()) and None, "парольная фраза не та"),
    "gone": (lambda path: path.unlink(), "файл парольной фразы не читается"),
    "empty": (lambda path: private(path, "\n") and None, "пуст"),
    "open": (lambda path: path.chmod(0o644), "chmod 600"),
    "no text": (lambda path: private(path, b"\xff\xfe" * 20) and None, "не текст"),
}


@pytest.mark.parametrize("name", PHRASES)
def test_a_wrong_passphrase_opens_nothing(name: str, under: Installed) -> None:
    phrase = under.path.with_name("phrase")
    spoil, told = PHRASES[name]
    secret = phrase.read_text().strip()
    spoil(phrase)
    refused(under, told)
    listed = appliance("audit", "list", "--settings", under.path)
    assert (listed.exit_code, told in listed.output, secret in listed.output) == (2, True, False)


def other_key(vault: FakeVault) -> None:
    vault.keys["llm-audit"] = [os.urandom(32)]


VAULTS: dict[str, tuple[Callable[[FakeVault], object], str]] = {
    "sealed": (lambda vault: setattr(vault, "sealed", True), "vault operator unseal"),
    "another key": (other_key, "другой или файл повреждён"),
    "no such key": (lambda vault: vault.keys.clear(), "проверьте `key`"),
    "a token that is no more": (lambda vault: vault.tokens.clear(), "проверьте токен"),
    "no right to decrypt": (lambda vault: vault.allowed.clear(), "право update на decrypt"),
    "not initialised": (lambda vault: setattr(vault, "status", 501), "не инициализирован"),
    "too many requests": (lambda vault: setattr(vault, "status", 429), "повторите позже"),
    "an error of its own": (lambda vault: setattr(vault, "status", 500), "журнал"),
    "behind a broken proxy": (lambda vault: setattr(vault, "status", 502), "балансировщик"),
    "a mount that is not there": (lambda vault: setattr(vault, "status", 404), "проверьте `mount`"),
    "a teapot": (lambda vault: setattr(vault, "status", 418), "ошибкой"),
    "not JSON": (lambda vault: setattr(vault, "garbage", b"<html>"), "проверьте адрес"),
    "no data": (lambda vault: setattr(vault, "garbage", b'{"data": null}'), "проверьте адрес"),
    "a list": (lambda vault: setattr(vault, "garbage", b"[]"), "проверьте адрес"),
    "no base64": (lambda vault: setattr(vault, "garbage", b'{"data": {"plaintext": "!"}}'), "проверьте адрес"),
    "a number": (lambda vault: setattr(vault, "garbage", b'{"data": {"plaintext": 7}}'), "проверьте адрес"),
    "a key that is another": (
        lambda vault: setattr(
            vault, "garbage", json.dumps({"data": {"plaintext": base64.b64encode(bytes(32)).decode()}}).encode()
        ),
        "под печатью не тот ключ",
    ),
    "a redirect": (lambda vault: setattr(vault, "location", "http://127.0.0.1:9"), "проверьте адрес"),
    "gone": (lambda vault: vault.__exit__(), "недоступен"),
    "silent": (lambda vault: setattr(vault, "silent", threading.Event()), "не ответил за 0.3 с"),
}


@pytest.mark.parametrize("name", VAULTS)
def test_what_a_vault_refuses_is_said_without_its_secrets(name: str, installed: Installed, tmp_path: Path) -> None:
    vault = FakeVault()
    vault.__enter__()
    try:
        token = private(tmp_path / "token", TOKEN)
        options = (
            "-o",
            f"address={vault.address}",
            "-o",
            f"token_file={token}",
            "-o",
            f"timeout={0.3 if name == 'silent' else 30}",
        )
        sealed(installed, "vault", options)
        spoil, told = VAULTS[name]
        spoil(vault)
        refused(installed, told, vault.address if name != "a key that is another" else "audit.kek.sealed")
        output = appliance("keys", "status", "--settings", installed.path).output
        assert TOKEN not in output
        assert "vault:v1:" not in output
    finally:
        if name != "gone":
            vault.__exit__()


ROLES: dict[str, tuple[Callable[[FakeVault, Path], object], str]] = {
    "a wrong secret_id": (lambda vault, folder: private(folder / "secret-id", "other"), "проверьте role_id"),
    "no secret_id": (lambda vault, folder: (folder / "secret-id").unlink(), "файл secret_id не читается"),
    "an open role_id": (lambda vault, folder: (folder / "role-id").chmod(0o644), "chmod 600"),
    "a sealed vault": (lambda vault, folder: setattr(vault, "sealed", True), "unseal"),
    "a login without a token": (lambda vault, folder: setattr(vault, "garbage", b'{"auth": null}'), "проверьте адрес"),
}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_that_is_not_let_in_is_told_so(
    name: str, installed: Installed, vault: FakeVault, role_options: tuple[str, ...], tmp_path: Path
) -> None:
    sealed(installed, "vault", role_options)
    spoil, told = ROLES[name]
    spoil(vault, tmp_path)
    refused(installed, told)


OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "http to elsewhere": (("address=http://vault.example:8200", "token_file=t"), "укажите https"),
    "http to a name of this machine": (("address=http://localhost:8200", "token_file=t"), "укажите https"),
    "no address": (("token_file=t",), "address"),
    "neither token nor role": (("address=https://vault.example",), "либо `token_file`"),
    "both": (("address=https://v.example", "token_file=t", "role_id_file=r", "secret_id_file=s"), "либо `token_file`"),
    "half a role": (("address=https://v.example", "role_id_file=r"), "задаются вместе"),
    "an authority that is not there": (("address=https://v.example", "token_file=t", "ca_file=nowhere"), "nowhere"),
    "an unknown name": (("address=https://v.example", "colour=red"), "colour"),
    "no sign": (("address",), "ИМЯ=ЗНАЧЕНИЕ"),
    "another kind": (("kind=file",), "ИМЯ=ЗНАЧЕНИЕ"),
    "no time": (("address=https://v.example", "token_file=t", "timeout=0"), "timeout"),
    "a token in the address": (("address=https://user:secret@v.example", "token_file=t"), "address"),
    "a path in the key": (("address=https://v.example", "token_file=t", "key=../sys/seal?x"), "key"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_settings_that_cannot_be_meant_are_refused_before_anything_is_asked(name: str, installed: Installed) -> None:
    options, told = OPTIONS[name]
    before = tree(installed.path.parent)
    words = [word for option in options for word in ("-o", option)]
    result = appliance("keys", "seal", "--to", "vault", *words, "--settings", installed.path)
    assert (result.exit_code, told in result.output) == (2, True), result.output
    assert "Traceback" not in result.output
    assert tree(installed.path.parent) == before


def test_a_short_passphrase_seals_nothing(installed: Installed, tmp_path: Path) -> None:
    short = private(tmp_path / "short", "коротко\n")
    before = tree(tmp_path)
    result = appliance(
        "keys", "seal", "--to", "passphrase", "-o", f"passphrase_file={short}", "--settings", installed.path
    )
    assert (result.exit_code, "короче 14" in result.output) == (2, True)
    assert tree(tmp_path) == before


def option(options: tuple[str, ...], name: str) -> str:
    return next(each.split("=", 1)[1] for each in options if each.startswith(f"{name}="))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a wrong PIN", "PIN неверен"),
        ("no PIN", "файл PIN не читается"),
        ("an open PIN", "chmod 600"),
        ("no module", "не загружается"),
        ("a module that is none", "не загружается"),
        ("no token", "не найден"),
        ("no key", "ключа `other` нет"),
        ("a spoiled file", "повреждён"),
    ],
)
def test_what_a_token_refuses_is_said(name: str, told: str, installed: Installed, token: tuple[str, ...]) -> None:
    path = sealed(installed, "pkcs11", token)
    text = installed.path.read_text(encoding="utf-8")
    pin, module, label = (option(token, each) for each in ("pin_file", "module", "token"))
    match name:
        case "a wrong PIN":
            private(Path(pin), "0000")
        case "no PIN":
            Path(pin).unlink()
        case "an open PIN":
            Path(pin).chmod(0o604)
        case "no module":
            text = text.replace(module, "/nowhere/module.so")
        case "a module that is none":
            text = text.replace(module, str(installed.path))
        case "no token":
            text = text.replace(label, "absent")
        case "no key":
            text = f'{text}\nkey = "other"\n'
        case _:
            flipped("ciphertext", 3)(path)
    configured(installed, text[text.index("[audit.kek]") :])
    result = appliance("keys", "status", "--settings", installed.path)
    assert (result.exit_code, told in result.output) == (2, True), result.output
    assert "2468" not in result.output
    assert "Traceback" not in result.output


def test_a_check_of_the_settings_names_what_is_missing_and_asks_nobody(
    installed: Installed, vault: FakeVault, vault_options: tuple[str, ...], tmp_path: Path
) -> None:
    path = sealed(installed, "vault", vault_options)
    assert problems(installed.settings) == []
    vault.received.clear()
    (tmp_path / "vault-token").chmod(0o644)
    path.unlink()

    result = appliance("check", "--settings", installed.path)

    assert result.exit_code == 2
    assert "audit.kek.sealed" in result.output
    assert "vault-token" in result.output
    assert vault.received == []


def test_a_service_whose_key_does_not_open_says_why_and_does_not_start(under: Installed) -> None:
    installed = under
    private(under.path.with_name("phrase"), "совсем другая парольная фраза")
    before = tree(installed.path.parent)
    command = [sys.executable, "-m", "appliance", "serve", "--settings", str(installed.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "парольная фраза не та" in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert tree(installed.path.parent) == before
