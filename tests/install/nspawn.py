"""A clean server for the tests: a Debian root with a real systemd, in a container without any network, reached as ssh reaches a server.

Needs root, and from Debian: mmdebstrap, systemd-container, openssh-client. The clean root is made once and kept under `ROOTS`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOTS = Path(os.environ.get("INSTALL_ROOTS", "/var/tmp/appliance-roots"))  # noqa: S108  (a cache of public packages)
PACKAGES = "systemd,systemd-sysv,dbus,python3,ca-certificates,iproute2,nftables,curl,openssh-server,libgomp1"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter", "ssh", "ssh-keygen", "ip")


def lacking() -> str:
    """What keeps servers from being made here; empty when nothing does."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "not root"


def clean_root(suite: str) -> Path:
    """A Debian as it is after its installation, made when it is not there."""
    root = ROOTS / suite
    if not root.is_dir():
        ROOTS.mkdir(parents=True, exist_ok=True)
        fresh = ROOTS / f".{suite}.{os.getpid()}"
        command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(fresh)]
        subprocess.run(command, check=True, capture_output=True)
        fresh.rename(root)
    return root


class Server:
    """One that has booted."""

    def __init__(self, leader: int, root: Path, key: Path) -> None:
        self.leader = leader
        self.root = root  # its file system, as seen from here
        self._key = key

    def run(self, *command: str, check: bool = True) -> str:
        """What a command says there; a failure is one of the test unless `check` is off."""
        entered = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--", *command]
        done = subprocess.run(entered, capture_output=True, text=True)
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def inventory(self, folder: Path) -> Path:
        """The inventory of the collection with this one server."""
        proxy = f"nsenter -t {self.leader} -m -u -i -n -p -- /usr/sbin/sshd -i"
        arguments = (
            f"-o ProxyCommand='{proxy}' -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        )
        path = folder / "hosts"
        path.write_text(
            f'[appliance]\nserver ansible_user=root ansible_ssh_private_key_file={self._key} ansible_ssh_common_args="{arguments}"\n'
        )
        return path


@contextmanager
def booted(suite: str, folder: Path, more: Sequence[str] = ()) -> Iterator[Server]:
    """A fresh copy of the clean root, booted; gone afterwards."""
    root, upper, work, merged = clean_root(suite), folder / "upper", folder / "work", folder / "root"
    for each in (upper, work, merged):
        each.mkdir(parents=True)
    key = folder / "ssh_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    options = f"lowerdir={root},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(merged)], check=True)
    try:
        keys = merged / "root/.ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        (keys / "authorized_keys").write_text((folder / "ssh_key.pub").read_text())
        command = [
            *("systemd-nspawn", "-q", "-D", str(merged), "--register=no", "--keep-unit", "--machine=server"),
            *("--private-network", "--system-call-filter=bpf", "--console=pipe", *more, "-b"),
        ]
        environment: Mapping[str, str] = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with (folder / "console.log").open("wb") as console:
            outside = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        try:
            leader = _leader(outside)
            yield _ready(Server(leader, merged, key))
        finally:
            _stop(outside)
    finally:
        subprocess.run(["umount", "-l", str(merged)], check=False)
        shutil.rmtree(upper, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)


def _leader(outside: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert outside.poll() is None, "the container did not start"
        found = subprocess.run(["pgrep", "-P", str(outside.pid)], capture_output=True, text=True).stdout.split()
        for each in found:
            with suppress(FileNotFoundError):  # one that is gone again
                if Path(f"/proc/{each}/comm").read_text().strip() == "systemd":
                    return int(each)
        time.sleep(0.1)
    raise AssertionError("no systemd in the container")


def _ready(server: Server) -> Server:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if server.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded"):
            server.run("mkdir", "-p", "/run/sshd")
            server.run("ip", "link", "set", "lo", "up")
            return server
        time.sleep(0.2)
    raise AssertionError("the server did not boot")


def _stop(outside: subprocess.Popen[bytes]) -> None:
    for each in subprocess.run(["pgrep", "-P", str(outside.pid)], capture_output=True, text=True).stdout.split():
        subprocess.run(["kill", "-s", "SIGRTMIN+4", each], check=False)
    try:
        outside.wait(timeout=30)
    except subprocess.TimeoutExpired:
        outside.kill()
        outside.wait()
