"""What the role writes for systemd and the kernel, looked at without a server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "ansible/roles/appliance"
PLAYBOOK = ROOT / ".venv-ansible/bin/ansible-playbook"
ALLOWED = [{"address": "10.77.0.3", "port": 443}, {"address": "fd00::/64", "port": 8443}]

pytestmark = [
    pytest.mark.skipif(
        not PLAYBOOK.exists() and not os.environ.get("CI"), reason="no .venv-ansible: make lint-ansible makes it"
    ),
    pytest.mark.skipif(
        shutil.which("systemd-analyze") is None and not os.environ.get("CI"),
        reason="systemd-analyze is not installed: apt-get install systemd",
    ),
]


def rendered(folder: Path, name: str, **variables: object) -> Path:
    """A template of the role as Ansible writes it."""
    out = folder / name
    tasks = [
        {"ansible.builtin.include_vars": str(ROLE / "defaults/main.yml")},
        {"ansible.builtin.include_vars": str(ROLE / "vars/main.yml")},
        {"ansible.builtin.set_fact": variables},
        {"ansible.builtin.template": {"src": str(ROLE / f"templates/{name}.j2"), "dest": str(out), "mode": "0644"}},
    ]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    (folder / "play.json").write_text(json.dumps(play))
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false"}
    done = subprocess.run([PLAYBOOK, folder / "play.json"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_service_is_exposed_no_more_than_one(tmp_path: Path) -> None:
    unit = rendered(tmp_path, "appliance.service", appliance_egress_allow=ALLOWED, appliance_secrets={"crm": "x" * 40})
    gate = ["systemd-analyze", "security", "--offline=true", "--threshold=10", "--no-pager", str(unit)]
    looked = subprocess.run(gate, capture_output=True, text=True)
    assert looked.returncode == 0, looked.stdout + looked.stderr
    text = unit.read_text()
    assert "IPAddressAllow=localhost 10.77.0.3 fd00::/64\n" in text
    assert "LoadCredential=crm:/etc/appliance/credentials/crm\n" in text
    assert "x" * 40 not in text


@pytest.mark.parametrize(
    ("listen", "stream"),
    [("127.0.0.1:8080", "127.0.0.1:8080"), ("[::1]:9000", "[::1]:9000"), ("[::]:8080", "[::]:8080")],
)
def test_the_socket_listens_where_it_was_told(tmp_path: Path, listen: str, stream: str) -> None:
    text = rendered(tmp_path, "appliance.socket", appliance_listen=listen).read_text()
    assert f"ListenStream={stream}\n" in text
    assert ("BindIPv6Only=both" in text) == (listen.startswith("[::]"))


def test_settings_have_what_the_role_knows_itself(tmp_path: Path) -> None:
    import tomllib

    settings = '[[keys]]\nid = "crm"\n'
    path = rendered(
        tmp_path,
        "settings.toml",
        appliance_settings=settings,
        appliance_listen="[::]:9000",
        appliance_backup_recipients=["age1x"],
    )
    found = tomllib.loads(path.read_text())
    assert found["server"] == {"host": "::", "port": 9000, "drain_seconds": 60}
    assert (found["backup"], found["keys"]) == ({"recipients": ["age1x"]}, [{"id": "crm"}])


@pytest.mark.parametrize("name", ["ollama", "edge", "apparmor", "log_shipping", "appliance"])
def test_every_variable_of_a_role_is_specified_and_every_specified_one_has_its_default(name: str) -> None:
    import yaml

    role = ROOT / "ansible/roles" / name
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    entries = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    specified = {key: option for entry in entries.values() for key, option in (entry.get("options") or {}).items()}
    assert set(defaults) == {key for key, option in specified.items() if not option.get("required")}
    for key, value in defaults.items():
        assert specified[key].get("default") == value, key
        assert specified[key]["description"], key
