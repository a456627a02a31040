"""The life of an installation on a clean Debian with a real systemd and no network: `make test-install`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from tests.install.nspawn import Server, booted, lacking

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / "ansible"
PLAYBOOK = ROOT / ".venv-ansible/bin/ansible-playbook"
KEY = "sk-test-0123456789abcdef0123456789abcdef0123456789"
SETTINGS = """
[[keys]]
id = "crm"
app = "crm"
purposes = ["general", "support"]
default_purpose = "support"
file = "/run/credentials/appliance.service/crm"

[[providers]]
kind = "testing"
name = "local"
models = [{ name = "mock", residency = "local" }]
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(lacking()), reason=lacking() or "everything is there"),
    pytest.mark.skipif(not PLAYBOOK.exists(), reason="no .venv-ansible: make test-install makes it"),
]


def packing() -> ModuleType:
    sys.path.insert(0, str(COLLECTION / "bundle"))
    try:
        import packing as found
    finally:
        sys.path.pop(0)
    return found


class Publisher:
    """Builds the real bundle, and later ones out of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packing = packing()
        self.private, self.public = folder / "release.key", folder / "release.pub"
        self._packing.make_keys(self.private, self.public)
        subprocess.run(["make", "bundle", f"RELEASE_KEY={self.private}"], cwd=ROOT, check=True, capture_output=True)
        (self.bundle,) = (ROOT / "dist").glob("appliance-*-cp311.tar")
        self._unpacked = folder / "unpacked"
        self._unpacked.mkdir()
        subprocess.run(["tar", "-xf", self.bundle, "-C", self._unpacked, "--strip-components=1"], check=True)

    def later(
        self, version: str, change: tuple[str, bytes] | None = None, key: Path | None = None, **manifest: object
    ) -> Path:
        """The same as another version; `change` is added to the end of a file of our own wheel."""
        names = [path for path in self._unpacked.rglob("*") if path.is_file()]
        files: dict[str, bytes | Path] = {path.relative_to(self._unpacked).as_posix(): path for path in names}
        for name in ("manifest.json", "SHA256SUMS", "SHA256SUMS.sig"):
            del files[name]
        if change is not None:
            wheel = next(name for name in files if name.startswith("wheels/llm_privacy_appliance"))
            altered = self._folder / "altered.whl"
            with zipfile.ZipFile(files[wheel]) as old, zipfile.ZipFile(altered, "w") as new:
                for info in old.infolist():
                    new.writestr(info, old.read(info) + (change[1] if info.filename == change[0] else b""))
            lock = (self._unpacked / "requirements.lock").read_bytes()
            files["requirements.lock"] = lock.replace(
                self._packing.digest(files[wheel]).encode(), self._packing.digest(altered).encode()
            )
            files[wheel] = altered
        said = json.loads((self._unpacked / "manifest.json").read_text())
        out = self._folder / f"appliance-{version}-linux-x86_64-cp311.tar"
        signing = self._packing.signing_key(key or self.private)
        self._packing.pack(out, files, {**said, "version": version, **manifest}, signing)
        return out


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return Publisher(tmp_path_factory.mktemp("publisher"))


class Played:
    """How a playbook ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.ok = done.returncode == 0
        self.output = done.stdout + done.stderr
        counts = [line for line in self.output.splitlines() if line.startswith("server ") and "ok=" in line]
        self.changed = int(counts[-1].split("changed=")[1].split()[0]) if counts else -1


class Administrator:
    """Runs playbooks against one server."""

    def __init__(self, server: Server, folder: Path, publisher: Publisher) -> None:
        self.server = server
        self._folder = folder
        self._inventory = server.inventory(folder)
        self.variables: dict[str, object] = {
            "appliance_bundle": str(publisher.bundle),
            "appliance_release_keys": [str(publisher.public)],
            "appliance_secrets": {"crm": KEY},
            "appliance_settings": SETTINGS,
            "appliance_health_retries": 15,
        }

    def play(self, name: str, *options: str, **more: object) -> Played:
        path = self._folder / "vars.json"
        path.write_text(json.dumps({**self.variables, **more}))
        command = [str(PLAYBOOK), "-i", str(self._inventory), "-e", f"@{path}", f"playbooks/{name}.yml", *options]
        environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_CONFIG": str(COLLECTION / "ansible.cfg")}
        return Played(subprocess.run(command, cwd=COLLECTION, env=environment, capture_output=True, text=True))

    def asked(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, object]:
        """What the service answers on its server."""
        content = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        key = ["-H", f"Authorization: Bearer {KEY}"]
        return json.loads(self.server.run("curl", "-sS", f"http://127.0.0.1:8080{path}", *key, *content))

    def chat(self) -> str:
        asked = {"model": "local/mock", "messages": [{"role": "user", "content": "Привет"}]}
        return str(self.asked("/v1/chat/completions", asked)["object"])

    def records(self) -> int:
        """How many the log has, verified whole."""
        found = self.server.run(
            *(
                "/opt/appliance/current/venv/bin/python",
                "-I",
                "-m",
                "audit",
                "verify",
                "/var/lib/appliance/audit/audit.db",
            ),
            *("--key", "/var/lib/appliance/keys/audit-signing.pub", "--json"),
        )
        report = json.loads(found)
        assert report["ok"]
        return int(report["size"])


def test_from_an_empty_server_to_an_empty_server(publisher: Publisher, tmp_path: Path) -> None:  # noqa: PLR0915  (one life, in its order)
    with booted("bookworm", tmp_path) as server:
        administrator = Administrator(server, tmp_path, publisher)
        play, run = administrator.play, server.run

        looked = play("install", "--check", "--diff")
        assert looked.ok, looked.output
        assert not Path(server.root, "opt/appliance").exists()
        assert KEY not in looked.output

        installed = play("install")
        assert installed.ok, installed.output
        assert KEY not in installed.output
        assert administrator.asked("/readyz")["ready"] is True
        assert administrator.chat() == "chat.completion"
        assert administrator.records() > 2
        assert "0.9 SAFE" in run("systemd-analyze", "security", "appliance.service", "--no-pager")

        again = play("install")
        assert (again.ok, again.changed) == (True, 0), again.output
        assert play("install", "--check").changed == 0

        # What is written there is the service's alone, and nobody writes what runs.
        assert run("stat", "-c", "%a %U", "/var/lib/appliance", "/etc/appliance/credentials").split() == [
            "700",
            "appliance",
            "700",
            "root",
        ]
        assert (
            run("find", "/opt/appliance", "(", "-user", "appliance", "-o", "-perm", "/022", ")", "-not", "-type", "l")
            == ""
        )

        wrong = play("install", appliance_settings=SETTINGS + "\n[surprise]\n")
        assert (wrong.ok, "Снова работает" in wrong.output) == (False, True), wrong.output
        assert administrator.chat() == "chat.completion"
        assert (play("install").ok, play("install").changed) == (True, 0)

        later = publisher.later("0.1.1")
        without = play("install", appliance_bundle=str(later))
        assert (without.ok, "appliance_backup_recipients" in without.output) == (False, True), without.output
        identity = Path(server.root, "root/identity")
        recipient = _age_pair(identity)
        administrator.variables["appliance_backup_recipients"] = [recipient]
        before = administrator.records()
        upgraded = play("install", appliance_bundle=str(later))
        assert upgraded.ok, upgraded.output
        assert json.loads(Path(server.root, "opt/appliance/state.json").read_text()) == {
            "current": "0.1.1",
            "previous": "0.1.0",
        }
        assert administrator.records() > before
        assert administrator.chat() == "chat.completion"
        (backup,) = Path(server.root, "var/backups/appliance").iterdir()
        assert "appliance-backup.timer" in run("systemctl", "list-timers", "--no-pager")
        run("systemctl", "start", "appliance-backup.service")
        assert len(list(Path(server.root, "var/backups/appliance").iterdir())) == 2
        # What root noted of it, the service has recorded.
        run(
            "sh",
            "-c",
            "for i in $(seq 60); do ls /var/lib/appliance/readings/*.json 2>/dev/null || exit 0; sleep 1; done; exit 1",
        )

        broken = publisher.later("0.1.2", ("appliance/commands/serve.py", b"raise SystemExit('broken on purpose')\n"))
        early = play("install", appliance_bundle=str(broken))
        assert (early.ok, "broken on purpose" in early.output) == (False, True), early.output
        ailing = b"\n\nasync def _close_orphans(log):\n    raise RuntimeError('broken on purpose')\n"
        broken = publisher.later("0.1.2", ("appliance/service.py", ailing))
        failed = play("install", appliance_bundle=str(broken), appliance_health_retries=3)
        assert not failed.ok
        assert "Снова работает 0.1.1" in failed.output, failed.output
        assert administrator.chat() == "chat.completion"
        assert not Path(server.root, "opt/appliance/releases/0.1.2").exists()

        tampered = tmp_path / later.name
        content = bytearray(later.read_bytes())
        content[len(content) // 2] ^= 1
        tampered.write_bytes(content)
        refused = play("install", appliance_bundle=str(tampered))
        assert (refused.ok, refused.changed) == (False, 0), refused.output
        stranger = tmp_path / "stranger.key"
        packing().make_keys(stranger, tmp_path / "stranger.pub")
        foreign = play("install", appliance_bundle=str(publisher.later("0.1.3", key=stranger)))
        assert (foreign.ok, foreign.changed) == (False, 0), foreign.output
        older = play("install", appliance_bundle=str(publisher.later("0.0.9", audit_layout=2)))
        assert (older.ok, "раскладка" in older.output) == (False, True), older.output

        back = play("rollback")
        assert back.ok, back.output
        assert json.loads(Path(server.root, "opt/appliance/state.json").read_text())["current"] == "0.1.0"
        assert administrator.chat() == "chat.completion"

        held = administrator.records()
        name = "/" + backup.relative_to(server.root).as_posix()
        refused = play("restore", appliance_restore_file=name, appliance_restore_identity="/root/identity")
        assert not refused.ok  # it would lose records that somebody may have seen: a fork is a ceremony
        run("systemctl", "start", "appliance.socket", "appliance.service")
        assert administrator.records() >= held

        removed = play("uninstall")
        assert removed.ok, removed.output
        assert not any(Path(server.root, each).exists() for each in ("opt/appliance", "etc/appliance"))
        assert Path(server.root, "var/lib/appliance/audit/audit.db").exists()
        assert play("uninstall", appliance_purge_data=True).ok
        assert not any(Path(server.root, each).exists() for each in ("var/lib/appliance", "var/backups/appliance"))
        assert "appliance" not in run("systemctl", "list-unit-files", "--no-pager")
        assert play("uninstall", appliance_purge_data=True).changed == 0


def _age_pair(path: Path) -> str:
    """A private key in a file, its public half returned."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    path.touch(0o600)
    path.write_text(f"{identity}\n")
    return str(identity.to_public())
