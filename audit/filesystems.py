"""On what kind of file system a path lies: on some, a lock that is granted does not keep other machines out."""

from __future__ import annotations

import re
from pathlib import Path, PurePath, PurePosixPath

_MOUNTS = Path("/proc/self/mountinfo")
_SHARED = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "ceph",
        "lustre",
        "afs",
        "gpfs",
        "glusterfs",
        "ocfs2",
        "gfs2",
        "virtiofs",
        "vboxsf",
        "prl_fs",
        "fuse",
        "beegfs",
    ]
)


def shared_kind(path: Path) -> str | None:
    """The kind of file system under a path when other machines may have it open too; None when not, or when the system does not say."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = kind_in(mounts, path.resolve())
    return kind if kind.split(".")[0] in _SHARED else None


def kind_in(mounts: str, path: PurePath) -> str:
    """The kind of the file system that a path lies on, by the lines of `/proc/self/mountinfo` (proc(5)); "" for none of them."""
    found, deepest = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = PurePosixPath(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        if (
            path.is_relative_to(point) and len(point.parts) >= deepest
        ):  # of two at one place the later covers the earlier
            found, deepest = after.split(" ")[0], len(point.parts)
    return found
