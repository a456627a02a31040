"""With a SQLite that two writers can corrupt, the lock has to be one: checked at every start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from audit import AuditLog, LogFileError, LogSettings
from audit.filesystems import kind_in, shared_kind
from audit.logfile import write_lock
from audit.store import SQLITE_HAS_WAL_RACE, SQLITE_VERSION, has_wal_race

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)
def test_the_versions_with_the_race_are_known(version: tuple[int, int, int], *, affected: bool) -> None:
    assert has_wal_race(version) is affected


def test_the_log_says_which_library_it_uses() -> None:
    assert (AuditLog.sqlite_version, AuditLog.sqlite_has_wal_race) == (SQLITE_VERSION, SQLITE_HAS_WAL_RACE)
    assert has_wal_race(tuple(map(int, SQLITE_VERSION.split(".")))) is SQLITE_HAS_WAL_RACE


MOUNTS = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:31 / /srv rw - nfs4 server:/export rw
31 30 0:32 / /srv/a\040disk rw shared:3 master:1 - xfs /dev/vdb rw
32 27 0:33 / /mnt rw - ext4 /dev/vdc rw
33 32 0:34 / /mnt rw - fuse.sshfs host: rw
34 27 0:35 / /share rw - 9p share rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/audit.db", "ext4"),
        ("/srv/audit.db", "nfs4"),
        ("/srvs/audit.db", "ext4"),
        ("/srv/a disk/audit.db", "xfs"),
        ("/mnt/audit.db", "fuse.sshfs"),
        ("/share", "9p"),
    ],
)
def test_the_kind_of_file_system_is_that_of_the_deepest_mount(path: str, kind: str) -> None:
    assert kind_in(MOUNTS, PurePosixPath(path)) == kind


def test_a_shared_file_system_is_refused_only_with_an_affected_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"  # no such file system can be mounted in a test: the system's word on it is replaced
    mounts.write_text(f"1 1 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path.resolve()} rw - cifs //server/share rw\n")
    monkeypatch.setattr("audit.filesystems._MOUNTS", mounts)
    assert shared_kind(tmp_path / "audit.db") == "cifs"
    with pytest.raises(LogFileError, match="cifs"), write_lock(tmp_path / "audit.db", real=True):
        pytest.fail("locked")
    with write_lock(tmp_path / "audit.db", real=False):
        pass


OPEN = """
import asyncio, sys
from pathlib import Path
from audit import AuditError
from audit.logfile import write_lock
try:
    with write_lock(Path(sys.argv[1]), real=True):
        print("opened")
except AuditError as error:
    print(error)
"""


def test_a_lock_that_is_granted_twice_is_none(settings: LogSettings, tmp_path: Path) -> None:
    source, shim = tmp_path / "noflock.c", tmp_path / "noflock.so"
    source.write_text("int flock(int fd, int operation) { (void)fd; (void)operation; return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source], check=True)

    def opened(**environment: str) -> str:
        command = [sys.executable, "-c", OPEN, settings.path]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT), **environment}
        )
        return done.stdout

    assert opened() == "opened\n"
    assert "дважды" in opened(LD_PRELOAD=str(shim))
