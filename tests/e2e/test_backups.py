"""Backups of a running appliance, sealed; putting one back, with every loss named and refused unless a person answers for it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pyrage
import pytest

from appliance.events import Intent, LogRead, Restored
from appliance.settings import load_settings
from audit import AuditError, Trust, Witness, create_witness_key, load_witness_key, verify_file
from tests.e2e.running import Installed, running
from tests.e2e.test_command_line import appliance
from tests.e2e.upstream import Upstream

KEY = pyrage.x25519.Identity.generate()
CLIENT = {"X-Subject": b"client-17"}


@pytest.fixture
def installed(tmp_path: Path, upstream: Upstream) -> Installed:
    folder = tmp_path / "appliance"
    folder.mkdir()
    made = Installed(folder, upstream.base_url, extra=f'[backup]\nrecipients = ["{KEY.to_public()}"]\n')
    identity = tmp_path / "identity"
    identity.write_text(f"# created: today\n# public key: {KEY.to_public()}\n{KEY}\n")
    identity.chmod(0o600)
    return made


def run(installed: Installed, command: str, *arguments: object, code: int = 0) -> str:
    done = appliance(command, *arguments, "--settings", installed.path)
    assert done.exit_code == code, done.output
    return done.output


def restore(installed: Installed, parcel: Path, *options: object, code: int = 0) -> str:
    return run(installed, "restore", parcel, "--identity", parcel.with_name("identity"), *options, code=code)


def asked(installed: Installed, times: int = 1) -> None:
    with running(installed) as service:
        for _ in range(times):
            assert service.chat(model="local", headers=CLIENT).status_code == 200


def test_a_backup_is_made_while_requests_run_and_put_back_whole(installed: Installed, tmp_path: Path) -> None:
    parcel = tmp_path / "backup.age"
    with running(installed) as service:
        assert service.chat(model="local", headers=CLIENT).status_code == 200
        assert "Записей: 3" in run(installed, "backup", parcel)
        assert "уже есть" in run(installed, "backup", parcel, code=2)
    assert parcel.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert "Учения прошли" in restore(installed, parcel, "--check")
    before = installed.records()
    shown = restore(installed, parcel, "--fork", "--ground", "act-1")
    assert "запись 3" in shown
    after = installed.records()
    assert after[:3] == before[:3]
    (restored,) = installed.events(Restored)
    assert (restored.size, restored.lost, restored.broken, restored.ground) == (3, len(before) - 3, True, "act-1")
    asked(installed)
    assert len(installed.events(Intent)) == 2
    kept = list(installed.settings.log.path.parent.glob("audit.db.before-*"))
    assert kept
    damage = installed.verify().damage
    assert [each.finding for each in damage] == ["break"]
    public = installed.settings.log.signing_key_file.with_suffix(".pub").read_text()
    report = verify_file(installed.settings.log.path, Trust(public, breaks=(1,)))
    assert (report.ok, report.breaks) == (True, (1,))
    assert not [path for path in installed.settings.log.path.parent.iterdir() if path.name.startswith(".")]


def test_in_a_folder_copies_are_named_by_time_and_old_ones_go(installed: Installed, tmp_path: Path) -> None:
    asked(installed)
    folder = tmp_path / "copies"
    folder.mkdir()
    (folder / "notes.txt").write_text("stays")
    for year in (2019, 2020):
        (folder / f"appliance-{year}0101T000000Z.age").write_text("")
    assert "Убрана старая" in run(installed, "backup", folder, "--keep", 2)
    assert len(list(folder.glob("appliance-20[12]*.age"))) == 2
    assert (folder / "appliance-20200101T000000Z.age").exists()
    assert (folder / "notes.txt").exists()
    assert "каталог" in run(installed, "backup", tmp_path / "one.age", "--keep", 2, code=2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_notes_the_service_can_read(installed: Installed, tmp_path: Path) -> None:
    asked(installed)
    state = installed.settings.state
    for path in (state, *state.rglob("*")):
        os.chown(path, 4321, 4321)
    run(installed, "backup", tmp_path / "one.age")
    noted = list(installed.settings.readings.rglob("*"))
    assert noted
    assert {path.stat().st_uid for path in (installed.settings.readings, *noted)} == {4321}


def test_a_loss_is_named_and_refused_until_somebody_answers_for_it(installed: Installed, tmp_path: Path) -> None:
    parcel = tmp_path / "backup.age"
    asked(installed)
    run(installed, "backup", parcel)
    asked(installed, 3)
    content = installed.settings.log.path.read_bytes()
    for options in ((), ("--fork",), ("--ground", "act-1"), ("--fork", "--ground", "акт о потере")):
        words = restore(installed, parcel, *options, code=2)
        assert "утрачено будет" in words or "номер акта" in words
    assert installed.settings.log.path.read_bytes() == content
    note = tmp_path / "kept"
    note.write_text(appliance("audit", "checkpoint", "--settings", installed.path).output)
    installed.settings.log.path.rename(tmp_path / "gone")
    assert "контрольная точка, которую вы назвали" in restore(installed, parcel, "--known", note, code=2)
    assert "утрачено" not in restore(installed, parcel)


def test_what_a_witness_has_seen_is_asked_for(tmp_path: Path, upstream: Upstream) -> None:
    folders = tmp_path / "log", tmp_path / "witness"
    for folder in folders:
        folder.mkdir()
    create_witness_key(folders[1] / "state/keys/witness.key", "witness.test/w")
    log = Installed(folders[0], upstream.base_url)
    public = log.settings.log.signing_key_file.with_suffix(".pub")
    watching = Installed(
        folders[1], upstream.base_url, extra=f'[witness]\nname = "witness.test/w"\nlogs = ["{public}"]\n'
    )
    (tmp_path / "identity").write_text(f"{KEY}\n")
    (tmp_path / "identity").chmod(0o600)
    parcel = tmp_path / "backup.age"
    with running(watching) as witness:
        witnesses = (
            f'[[audit.witnesses]]\nurl = "{witness.url}/witness"\nkey_file = "{folders[1]}/state/keys/witness.pub"\n'
        )
        text = log.path.read_text()
        log.path.write_text(text.replace("[[keys]]", witnesses + "[[keys]]", 1))
        log.settings = load_settings(log.path)
        asked(log)
        run(log, "backup", parcel, "--to", KEY.to_public())
        asked(log, 3)
        log.settings.log.path.rename(tmp_path / "gone")
        assert "свидетель http" in restore(log, parcel, code=2)
    assert "не отвечает" in restore(log, parcel, code=2)
    assert "запись" in restore(log, parcel, "--without-witnesses")
    assert "никогда не видел" in run(watching, "audit", "witness", "forget", "log.test/x", "--ground", "act-2", code=2)
    kept = Witness(
        load_witness_key(watching.settings.witness_key), [], watching.settings.state / "witness", lambda: 0.0
    )
    seen = kept.seen("appliance.local/audit")
    assert seen is not None
    assert seen[0] > log.events(Restored)[0].size
    assert "отложено" in run(watching, "audit", "witness", "forget", "appliance.local/audit", "--ground", "act-2")
    with running(watching) as witness:
        text = log.path.read_text()
        log.path.write_text(re.sub(r"http://127\.0\.0\.1:[0-9]+/witness", f"{witness.url}/witness", text))
        log.settings = load_settings(log.path)
        asked(log)
    new = kept.seen("appliance.local/audit")
    assert new is not None
    for note, holds in ((new[1], True), (seen[1], False)):
        trust = Trust(public.read_text(), known=note, breaks=range(9))
        assert verify_file(log.settings.log.path, trust).ok is holds
    assert [(event.what, event.ground) for event in watching.events(LogRead)] == [("witness-forgot", "act-2")]
    assert list((watching.settings.state / "witness").glob("*.forgotten-*"))


def test_a_new_machine_gets_its_log_back_and_says_what_it_lost(
    installed: Installed, tmp_path: Path, upstream: Upstream
) -> None:
    parcel = tmp_path / "backup.age"
    asked(installed, 2)
    run(installed, "backup", parcel)
    folder = tmp_path / "machine"
    folder.mkdir()
    other = Installed(folder, upstream.base_url)
    keys = other.settings.state / "keys"
    for name in ("audit-signing.key", "audit-signing.pub", "pseudonyms.key"):
        (keys / name).unlink()
    assert "ключ шифрования не от этого журнала" in restore(other, parcel, code=2)
    assert not other.settings.log.path.exists()
    for name in ("audit-signing.key", "audit-signing.pub", "pseudonyms.key"):
        (keys / name).unlink(missing_ok=True)
    shutil.copy(installed.settings.kek_file, other.settings.kek_file)  # from its shares
    assert "--without-subject-keys" in restore(other, parcel, code=2)
    restore(other, parcel, "--without-subject-keys")
    mine, theirs = installed.records(), other.records()
    assert [record.body for record in theirs[: len(mine)]] == [record.body for record in mine]
    assert {subject for record in theirs[: len(mine)] for subject in record.subjects} == {None}
    asked(other)
    new = [record for record in other.records() if record.subjects][-1]
    old = next(record for record in mine if record.subjects)
    assert new.subjects == old.subjects  # the same person under the same pseudonym
    assert other.events(Restored)[0].broken


def test_an_appliance_that_kept_its_keys_goes_on_without_a_break(installed: Installed, tmp_path: Path) -> None:
    parcel = tmp_path / "backup.age"
    asked(installed)
    run(installed, "backup", parcel)
    for path in installed.settings.log.path.parent.glob("audit.db*"):
        path.unlink()
    restore(installed, parcel)
    assert installed.events(Restored)[0].broken is False
    asked(installed)
    assert installed.verify().ok
    assert [event.what for event in installed.events(LogRead)] == ["backup"]


def test_what_is_no_backup_of_ours_changes_nothing(installed: Installed, tmp_path: Path) -> None:
    parcel = tmp_path / "backup.age"
    asked(installed)
    run(installed, "backup", parcel)
    whole = parcel.read_bytes()
    before = {path: path.read_bytes() for path in installed.settings.state.rglob("*") if path.is_file()}
    stranger = pyrage.x25519.Identity.generate()
    for content in (whole[: len(whole) // 2], whole[:-1], b"", pyrage.encrypt(b"not a tar", [KEY.to_public()])):
        parcel.write_bytes(content)
        restore(installed, parcel, code=2)
    parcel.write_bytes(whole)
    (tmp_path / "identity").write_text(f"{stranger}\n")
    assert "не раскрывается" in restore(installed, parcel, code=2)
    (tmp_path / "identity").write_text("nonsense\n")
    assert "нет закрытого ключа" in restore(installed, parcel, code=2)
    (tmp_path / "identity").write_text(f"{KEY}\n")
    (tmp_path / "identity").chmod(0o644)
    restore(installed, parcel, code=2)
    (tmp_path / "identity").chmod(0o600)
    with running(installed):
        assert "другой процесс" in restore(installed, parcel, "--fork", "--ground", "act-1", code=2)
    assert "age1" in run(installed, "backup", tmp_path / "x", "--to", "nonsense", code=2)
    after = {path: path.read_bytes() for path in before if "audit.db" not in path.name and "readings" not in str(path)}
    assert all(before[path] == after[path] for path in after if "epoch" not in path.name)
    with pytest.raises(AuditError):
        verify_file(tmp_path / "absent", "x")


def test_nothing_is_backed_up_in_the_clear(tmp_path: Path, upstream: Upstream) -> None:
    plain = Installed(tmp_path, upstream.base_url)
    asked(plain)
    assert "некому зашифровать" in run(plain, "backup", tmp_path / "backup", code=2)
