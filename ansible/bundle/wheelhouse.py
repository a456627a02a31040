"""The wheels of a bundle: downloaded by hash for old systems, pared to what the product asks for."""

from __future__ import annotations

import email.message
import email.parser
import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

GLIBC = (2, 28)  # RHEL 8, Astra 1.7, Debian 10: nothing newer is asked for
ARCH, PYTHON, TAG = "x86_64", "3.11", "cp311"
PLATFORMS = [f"manylinux_2_{minor}_{ARCH}" for minor in range(GLIBC[1], 4, -1)] + [
    f"manylinux{year}_{ARCH}" for year in ("2014", "2010", "1")
]
MARKERS = {  # of the machine the bundle is for, whatever builds it
    "implementation_name": "cpython",
    "implementation_version": "3.11.0",
    "os_name": "posix",
    "platform_machine": ARCH,
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": "3.11.0",
    "python_version": PYTHON,
    "sys_platform": "linux",
}


@dataclass(frozen=True)
class Wheel:
    """One wheel file and what it says of itself."""

    path: Path
    name: str  # canonical
    version: str
    metadata: email.message.Message
    libraries: tuple[str, ...]  # file names in NAME.libs/: foreign shared libraries that travel inside
    elf: tuple[tuple[str, str], ...]  # (path inside, SHA-256) of every ELF file: Astra's ЗПС wants them signed

    def requires(self, extras: Iterable[str]) -> Iterator[Requirement]:
        """What it needs on the target, with these extras."""
        for line in self.metadata.get_all("Requires-Dist") or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({**MARKERS, "extra": extra}) for extra in ("", *extras)):
                yield requirement

    @property
    def glibc(self) -> tuple[int, int]:
        """The oldest glibc that its tags promise; (2, 5) for pure Python."""
        return min(map(_glibc, self.path.stem.rpartition("-")[2].split(".")))

    @property
    def file_name(self) -> str:
        """Its name in the bundle: of many platform tags the one that asks for least, since ustar has room for 100 characters."""
        stem, _, platforms = self.path.stem.rpartition("-")
        return f"{stem}-{min(platforms.split('.'), key=lambda tag: (_glibc(tag), tag))}.whl"


def _glibc(platform: str) -> tuple[int, int]:
    """The glibc of a platform tag; raises ValueError at one that is not for this bundle."""
    known = {
        "any": (2, 5),
        f"manylinux1_{ARCH}": (2, 5),
        f"manylinux2010_{ARCH}": (2, 12),
        f"manylinux2014_{ARCH}": (2, 17),
    }
    if platform in known:
        return known[platform]
    if match := re.fullmatch(rf"manylinux_(\d+)_(\d+)_{ARCH}", platform):
        return int(match[1]), int(match[2])
    raise ValueError(f"a wheel for {platform} cannot be in this bundle")


def download(lock: Path, folder: Path, *, offline: bool) -> None:
    """Fetch every wheel of the lock for the target into the folder; those that lie there already are not fetched again."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(lock), "--dest", str(folder)]
    command += ["--python-version", PYTHON, "--implementation", "cp", "--abi", TAG, "--abi", "abi3", "--abi", "none"]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command += ["--find-links", str(folder)] + (["--no-index"] if offline else [])
    subprocess.run(command, check=True)


def read(path: Path) -> Wheel:
    """A wheel from its file."""
    name, version, _, _ = parse_wheel_filename(path.name)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        found = [each for each in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", each)]
        if len(found) != 1:
            raise ValueError(f"{path.name}: {len(found)} METADATA files")
        metadata = email.parser.BytesParser().parsebytes(archive.read(found[0]), headersonly=True)
        libraries = tuple(sorted(Path(each).name for each in names if re.match(r"[^/]+\.libs/.", each)))
        elf = []
        for each in sorted(names):
            if re.search(r"\.so(\.|$)|/bin/[^/]+$", each):
                content = archive.read(each)
                if content[:4] == b"\x7fELF":
                    elf.append((each, hashlib.sha256(content).hexdigest()))
    return Wheel(path, canonicalize_name(name), str(version), metadata, libraries, tuple(elf))


OF_GLIBC = re.compile(r"(ld-linux.*|lib(c|m|dl|pthread|rt|util|resolv|anl))\.so\.\d+")


def system_libraries(wheels: Iterable[Wheel], patchelf: Path, scratch: Path) -> list[str]:
    """Shared libraries that the wheels load and neither bring nor find in glibc: names as the loader knows them, sorted."""
    found: set[str] = set()
    probe = scratch / "probe.so"
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as archive:
            own = {Path(name).name for name in archive.namelist()}
            for name, _ in wheel.elf:
                probe.write_bytes(archive.read(name))
                told = subprocess.run([patchelf, "--print-needed", probe], check=True, capture_output=True, text=True)
                found |= {each for each in told.stdout.split() if each not in own and not OF_GLIBC.fullmatch(each)}
    return sorted(found)


def needed(product: Wheel, extras: Sequence[str], pool: Mapping[str, Wheel]) -> dict[str, Wheel]:
    """The product and all it asks for, name → wheel; raises LookupError naming what the pool lacks."""
    chosen: dict[str, Wheel] = {product.name: product}
    queue = [(product, frozenset(extras))]
    done = set(queue)
    while queue:
        wheel, wanted = queue.pop()
        for requirement in wheel.requires(wanted):
            name = canonicalize_name(requirement.name)
            found = product if name == product.name else pool.get(name)
            if found is None:
                raise LookupError(f"{wheel.name} needs {requirement}, which the lock does not bring")
            if not requirement.specifier.contains(found.version, prereleases=True):
                raise LookupError(f"{wheel.name} needs {requirement}, the lock has {found.version}")
            chosen[name] = found
            step = (found, frozenset(requirement.extras))
            if step not in done:
                done.add(step)
                queue.append(step)
    return dict(sorted(chosen.items()))
