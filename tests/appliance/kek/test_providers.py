"""A log whose key was put under a seal goes on as if nothing had happened, and its key lies nowhere in the clear."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.kek.escrow import spelled
from appliance.readings import noted
from appliance.settings import problems
from audit import AuditReader, KeyFileError, key_check_of
from tests.appliance.kek.conftest import begun, configured, private, section_of, tree
from tests.appliance.kek.fake_vault import TOKEN, FakeVault
from tests.e2e.running import Installed
from tests.e2e.test_command_line import appliance

Options = tuple[str, ...]


def bodies(installed: Installed) -> list[bytes]:
    log = installed.settings.log
    with AuditReader.open(log.path, log.kek_source, log.subject_keys) as reader:
        return [each.body for each in reader.entries()]


def seal(installed: Installed, kind: str, options: Options, *more: str):
    return appliance("keys", "seal", "--to", kind, *options, *more, "--settings", installed.path)


@pytest.fixture(params=["passphrase", "vault", "vault-role", "pkcs11"])
def provider(request: pytest.FixtureRequest) -> tuple[str, Options]:
    """Each kind, and its options."""
    match request.param:
        case "passphrase":
            return "passphrase", ("-o", f"passphrase_file={request.getfixturevalue('phrase')}")
        case "vault":
            return "vault", request.getfixturevalue("vault_options")
        case "vault-role":
            return "vault", request.getfixturevalue("role_options")
        case _:
            return "pkcs11", request.getfixturevalue("token")


def test_a_key_goes_under_a_seal_and_the_log_goes_on(installed: Installed, provider, tmp_path: Path) -> None:
    plain = installed.settings.kek_file
    key, before = plain.read_bytes(), bodies(installed)

    sealed = seal(installed, *provider)

    assert sealed.exit_code == 0, sealed.output
    assert plain.read_bytes() == key  # never taken away unasked
    assert spelled(key_check_of(key)) in sealed.output
    configured(installed, section_of(sealed.output))
    assert problems(installed.settings) == []
    removed = seal(installed, provider[0], (), "--remove-plain")
    assert (removed.exit_code, plain.exists()) == (0, False), removed.output
    path = plain.with_name("audit.kek.sealed")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    status = appliance("keys", "status", "--settings", installed.path)
    assert (status.exit_code, "Открывает журнал: да" in status.output) == (0, True), status.output
    begun(installed)
    assert bodies(installed) == before * 2
    everything = b"".join(tree(tmp_path).values()) + (sealed.output + removed.output + status.output).encode()
    assert key not in everything
    assert key.hex().encode() not in everything
    assert [reading.what for _, reading in noted(installed.settings.readings)] == ["key-sealed"]


def test_a_new_installation_never_has_a_plain_key(tmp_path: Path, phrase: Path) -> None:
    installed = Installed(tmp_path)
    installed.settings.kek_file.unlink()
    options = ("-o", f"passphrase_file={phrase}")
    assert seal(installed, "passphrase", options).exit_code == 2  # there is nothing to seal yet

    made = seal(installed, "passphrase", options, "--new")

    assert made.exit_code == 0, made.output
    configured(installed, section_of(made.output))
    assert appliance("init", "--settings", installed.path).exit_code == 0
    begun(installed)
    assert (len(bodies(installed)), installed.settings.kek_file.exists()) == (3, False)
    again = seal(installed, "passphrase", options, "--new")
    assert (again.exit_code, "новой установки" in again.output) == (2, True)


def test_a_key_moves_from_one_seal_to_another(installed: Installed, phrase: Path, vault_options: Options) -> None:
    before = bodies(installed)
    configured(installed, section_of(seal(installed, "passphrase", ("-o", f"passphrase_file={phrase}")).output))
    assert seal(installed, "passphrase", (), "--remove-plain").exit_code == 0
    elsewhere = ("-o", f"sealed_file={installed.path.parent / 'by-vault'}")

    moved = seal(installed, "vault", (*vault_options, *elsewhere))

    assert moved.exit_code == 0, moved.output
    configured(installed, section_of(moved.output))
    installed.settings.kek_file.with_name("audit.kek.sealed").unlink()
    assert bodies(installed) == before


def test_a_key_that_was_changed_goes_under_a_seal_of_its_own(
    installed: Installed, phrase: Path, tmp_path: Path
) -> None:
    before = bodies(installed)
    configured(installed, section_of(seal(installed, "passphrase", ("-o", f"passphrase_file={phrase}")).output))
    assert seal(installed, "passphrase", (), "--remove-plain").exit_code == 0
    fresh, again = tmp_path / "fresh.kek", ("-o", f"sealed_file={tmp_path / 'fresh.sealed'}")
    rotated = appliance("keys", "rotate", "--new-file", fresh, "--settings", installed.path)
    assert rotated.exit_code == 0, rotated.output
    status = appliance("keys", "status", "--settings", installed.path)
    assert (status.exit_code, "не от журнала" in status.output) == (2, True)

    sealed = seal(installed, "passphrase", again, "--from", fresh, "--remove-plain")

    assert sealed.exit_code == 0, sealed.output
    configured(installed, section_of(sealed.output))
    assert (fresh.exists(), bodies(installed)) == (False, before)
    assert appliance("keys", "status", "--settings", installed.path).exit_code == 0
    wrong = seal(
        installed, "passphrase", ("-o", f"sealed_file={tmp_path / 'x'}"), "--from", private(tmp_path / "o", b"o" * 32)
    )
    assert (wrong.exit_code, "не от журнала" in wrong.output, (tmp_path / "x").exists()) == (2, True, False)


def test_a_plain_key_that_is_another_stays(installed: Installed, phrase: Path) -> None:
    options = ("-o", f"passphrase_file={phrase}")
    configured(installed, section_of(seal(installed, "passphrase", options).output))
    plain = private(installed.settings.kek_file, os.urandom(32)).read_bytes()

    refused = seal(installed, "passphrase", (), "--remove-plain")

    assert refused.exit_code == 2
    assert installed.settings.kek_file.read_bytes() == plain


def test_what_cannot_be_noted_is_not_sealed(installed: Installed, phrase: Path) -> None:
    installed.settings.readings.write_text("in the way")

    refused = seal(installed, "passphrase", ("-o", f"passphrase_file={phrase}"))

    assert (refused.exit_code, "ничего не сделано" in refused.output) == (2, True)
    assert not installed.settings.kek_file.with_name("audit.kek.sealed").exists()


class TestPassphrase:
    def test_one_letter_composed_in_two_ways_is_one_letter(self, installed: Installed, tmp_path: Path) -> None:
        composed = private(tmp_path / "composed", "йод и ёлка и чайник\n")
        decomposed = private(tmp_path / "decomposed", "и\u0306од и е\u0308лка и чаи\u0306ник")
        configured(installed, section_of(seal(installed, "passphrase", ("-o", f"passphrase_file={composed}")).output))
        key = installed.settings.log.kek_source.load()

        text = installed.path.read_text(encoding="utf-8").replace(str(composed), str(decomposed))
        installed.path.write_text(text, encoding="utf-8")
        configured(installed, text[text.index("[audit.kek]") :])

        assert installed.settings.log.kek_source.load() == key == installed.settings.kek_file.read_bytes()

    def test_it_is_asked_for_at_a_terminal_and_by_nobody_else(self, installed: Installed) -> None:
        def at_a_terminal(*words: str, answers: list[str]) -> tuple[int, str]:
            ours, theirs = os.openpty()
            command = [sys.executable, "-m", "appliance", *words, "--settings", str(installed.path)]
            process = subprocess.Popen(
                ["setsid", "--ctty", "--wait", *command], stdin=theirs, stdout=theirs, stderr=theirs
            )
            os.close(theirs)
            shown, asked, waiting = b"", b"", list(answers)
            while True:
                try:
                    chunk = os.read(ours, 4096)
                except OSError:  # Linux says so when the other end is closed
                    break
                shown, asked = shown + chunk, asked + chunk
                if waiting and asked.decode("utf-8", "ignore").endswith(("журнала: ", "раз: ")):
                    os.write(ours, (waiting.pop(0) + "\n").encode())
                    asked = b""
            os.close(ours)
            return process.wait(), shown.decode()

        phrase = "семь тёплых слов у терминала"
        code, output = at_a_terminal("keys", "seal", "--to", "passphrase", answers=[phrase, phrase + "!"])
        assert (code, "не совпали" in output) == (2, True)
        code, output = at_a_terminal("keys", "seal", "--to", "passphrase", answers=[phrase, phrase])
        assert code == 0, output
        assert phrase not in output
        configured(installed, '[audit.kek]\nkind = "passphrase"\n')
        assert at_a_terminal("keys", "status", answers=[phrase])[0] == 0
        code, output = at_a_terminal("keys", "status", answers=["другая фраза, не та"])
        assert (code, "не та" in output) == (2, True)
        alone = appliance("keys", "status", "--settings", installed.path)
        assert (alone.exit_code, "passphrase_file" in alone.output) == (2, True)

    def test_each_seal_is_salted_anew(self, installed: Installed, phrase: Path, tmp_path: Path) -> None:
        contents = set()
        for name in ("one", "two"):
            options = ("-o", f"passphrase_file={phrase}", "-o", f"sealed_file={tmp_path / name}")
            assert seal(installed, "passphrase", options).exit_code == 0
            contents.add((tmp_path / name).read_bytes())
        assert len(contents) == 2


class TestSystemd:
    def given(self, installed: Installed, mode: int, folder_mode: int = 0o550) -> Path:
        folder = installed.path.parent / "credentials"
        folder.mkdir()
        path = private(folder / "audit.kek", installed.settings.kek_file.read_bytes())
        path.chmod(mode)
        folder.chmod(folder_mode)
        configured(installed, f'[audit.kek]\nkind = "systemd"\ndirectory = "{folder}"\n')
        return path

    @pytest.mark.parametrize("mode", [0o400, 0o440, 0o600])
    def test_a_credential_opens_the_log_though_an_acl_shows_as_group_bits(
        self, installed: Installed, mode: int
    ) -> None:
        before = bodies(installed)
        self.given(installed, mode)
        installed.settings.kek_file.unlink()
        assert problems(installed.settings) == []
        begun(installed)
        assert bodies(installed) == before * 2

    @pytest.mark.parametrize(("mode", "folder_mode"), [(0o444, 0o550), (0o460, 0o550), (0o440, 0o555), (0o440, 0o570)])
    def test_one_that_others_could_read_or_change_is_refused(
        self, installed: Installed, mode: int, folder_mode: int
    ) -> None:
        path = self.given(installed, mode, folder_mode)
        with pytest.raises(KeyFileError, match="доступен не только владельцу"):
            installed.settings.log.kek_source.load()
        path.parent.chmod(0o750)

    def test_group_bits_elsewhere_are_refused_as_ever(self, installed: Installed) -> None:
        installed.settings.kek_file.chmod(0o440)
        with pytest.raises(KeyFileError, match="chmod 600"):
            installed.settings.log.kek_source.load()

    def test_outside_of_its_unit_there_is_no_credential(self, installed: Installed) -> None:
        configured(installed, '[audit.kek]\nkind = "systemd"\n')
        status = appliance("keys", "status", "--settings", installed.path)
        assert (status.exit_code, "LoadCredentialEncrypted" in status.output) == (2, True)


class TestVault:
    def test_a_vault_is_asked_once_a_start_and_sees_no_more_than_it_must(
        self, installed: Installed, vault: FakeVault, role_options: Options
    ) -> None:
        sealed = seal(installed, "vault", (*role_options, "-o", "namespace=team"))
        assert sealed.exit_code == 0, sealed.output
        configured(installed, section_of(sealed.output))
        vault.received.clear()
        vault.revoked.clear()
        vault.allowed = {"decrypt"}

        installed.settings.log.kek_source.load()

        assert [path for path, _, _ in vault.received] == [
            "auth/approle/login",
            "transit/decrypt/llm-audit",
            "auth/token/revoke-self",
        ]
        assert {namespace for _, _, namespace in vault.received} == {"team"}
        assert vault.revoked == [vault.received[-1][1]]  # the token that was lent is given back

    def test_nothing_of_the_environment_says_where_to_or_as_whom(
        self, installed: Installed, vault: FakeVault, vault_options: Options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with FakeVault() as stranger:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "VAULT_ADDR"):
                monkeypatch.setenv(name, stranger.address)
            monkeypatch.setenv("VAULT_TOKEN", "hvs.of-the-environment")
            monkeypatch.setenv("VAULT_NAMESPACE", "elsewhere")
            assert seal(installed, "vault", vault_options).exit_code == 0
            assert stranger.received == []
        assert {(token, namespace) for _, token, namespace in vault.received} == {(TOKEN, "")}

    def test_a_redirect_is_not_followed_with_the_token(
        self, installed: Installed, vault: FakeVault, vault_options: Options
    ) -> None:
        with FakeVault() as stranger:
            vault.location = stranger.address
            refused = seal(installed, "vault", vault_options)
            assert (refused.exit_code, stranger.received) == (2, [])

    def test_the_seal_follows_the_vaults_key_to_its_new_version(
        self, installed: Installed, vault: FakeVault, vault_options: Options
    ) -> None:
        configured(installed, section_of(seal(installed, "vault", vault_options).output))
        path = installed.settings.kek_file.with_name("audit.kek.sealed")
        assert b"vault:v1:" in path.read_bytes()
        vault.rotate()

        done = appliance("keys", "rewrap", "--settings", installed.path)

        assert done.exit_code == 0, done.output
        assert b"vault:v2:" in path.read_bytes()
        assert installed.settings.log.kek_source.load() == installed.settings.kek_file.read_bytes()
        vault.sealed, before = True, tree(path.parent)
        assert appliance("keys", "rewrap", "--settings", installed.path).exit_code == 2
        assert tree(path.parent) == before

    def test_tls_trusts_the_named_authority_and_no_other(
        self, installed: Installed, authority: tuple[str, tuple[str, str]], tmp_path: Path
    ) -> None:
        ca, certificate = authority
        token = private(tmp_path / "token", TOKEN)
        with FakeVault(certificate) as vault:
            options = ("-o", f"address={vault.address}", "-o", f"token_file={token}")
            refused = seal(installed, "vault", options)
            assert (refused.exit_code, "ca_file" in refused.output, vault.received) == (2, True, [])
            assert seal(installed, "vault", (*options, "-o", f"ca_file={ca}")).exit_code == 0


class TestPkcs11:
    def test_the_tokens_key_cannot_be_taken_out(self, installed: Installed, token: Options, softhsm) -> None:
        import pkcs11

        assert seal(installed, "pkcs11", token).exit_code == 0
        module, _ = softhsm
        label = token[3].removeprefix("token=")
        library = pkcs11.lib(module)
        try:
            with library.get_token(token_label=label).open(user_pin="2468") as session:
                key = session.get_key(label="llm-audit")
                assert key[pkcs11.Attribute.EXTRACTABLE] is False
                with pytest.raises(pkcs11.AttributeSensitive):
                    key[pkcs11.Attribute.VALUE]
        finally:
            library.finalize()

    def test_a_second_key_of_the_name_is_not_made(self, installed: Installed, token: Options) -> None:
        again = appliance("keys", "token-key", *token, "--settings", installed.path)
        assert (again.exit_code, "уже есть" in again.output) == (2, True)

    def test_a_wrong_pin_is_tried_once_and_then_no_more_until_a_person_says_so(
        self, installed: Installed, token: Options
    ) -> None:
        configured(installed, section_of(seal(installed, "pkcs11", token).output))
        pin = Path(token[5].removeprefix("pin_file="))
        good = pin.read_text()
        private(pin, "1111")

        def status(*more: str) -> str:
            return appliance("keys", "status", *more, "--settings", installed.path).output

        assert "PIN неверен" in status()
        for _ in range(5):
            assert "новая не делается" in status()
        private(pin, good)
        assert "новая не делается" in status()  # the token cannot know that the file was mended
        assert "Открывает журнал: да" in status("--retry-pin")
        assert "Открывает журнал: да" in status()
