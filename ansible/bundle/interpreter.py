"""A private CPython for servers that have none of this version: a prefix copied, stripped of what a server never runs, made relocatable."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

LEFT_OUT = {  # of lib/python3.11
    "test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "lib2to3", "pydoc_data", "ensurepip", "site-packages", "__pycache__",
    "config-3.11-x86_64-linux-gnu", "idle_test", "__phello__", "LICENSE.txt",
}  # fmt: skip
# Modules of C that are left out: tests, windows, terminals (readline is GPL), databases nobody asked for, devices.
NO_MODULES = re.compile(r"_?(test|xx|tkinter|curses|readline|gdbm|dbm|ossaudiodev|nis|crypt|_?ctypes_test)")
EVERYWHERE = {
    "libgcc_s.so.1",
    "libstdc++.so.6",
}  # package managers themselves need them; a copy could be older than the host's
OF_GLIBC = re.compile(r"(ld-linux|lib(c|m|dl|pthread|rt|util|resolv|nsl|anl)\.so)")


def private_copy(
    prefix: Path, folder: Path, patchelf: Path, licence_of: Callable[[str], str], wanted: Iterable[str] = ()
) -> dict[str, str]:
    """Copy the CPython of `prefix` into a new folder; libraries of the system that went along → licence.

    `wanted` are libraries the wheels load, by the loader's names; what every server has of the compiler's is not taken.

    Raises ValueError when the prefix is not a CPython 3.11 of this architecture, and what `licence_of` raises.
    """
    program = prefix / "bin" / "python3.11"
    library = prefix / "lib" / "python3.11"
    if not program.is_file() or not (library / "os.py").is_file():
        raise ValueError(f"{prefix}: no CPython 3.11 prefix (bin/python3.11 and lib/python3.11 are wanted)")
    strip = shutil.which("strip")
    if strip is None:
        raise ValueError("the program `strip` is missing: apt-get install binutils")
    (folder / "bin").mkdir(parents=True)
    shutil.copy(program.resolve(), folder / "bin" / "python3.11")
    shutil.copytree(library, folder / "lib" / "python3.11", ignore=_left_out, symlinks=False)
    modules = folder / "lib" / "python3.11" / "lib-dynload"
    for shared in prefix.glob("lib/libpython3.11.so.*"):
        shutil.copy(shared.resolve(), folder / "lib" / shared.name)
    own = [folder / "bin" / "python3.11", *sorted(modules.glob("*.so")), *sorted((folder / "lib").glob("libpython*"))]
    taken: dict[str, str] = {}
    for name, path in {**_system_libraries(own), **_found(set(wanted) - EVERYWHERE)}.items():
        taken[name] = licence_of(name)
        shutil.copy(path, folder / "lib" / name)
    licence = next((each for each in (library / "LICENSE.txt", prefix / "LICENSE") if each.is_file()), None)
    if licence is not None:
        shutil.copy(licence, folder / "LICENSE.txt")
    # DT_RPATH, not RUNPATH: the program's own then holds for what the wheels load, too.
    for path in [*own, *(folder / "lib" / name for name in sorted(taken))]:
        to_lib = os.path.relpath(folder / "lib", path.parent)
        path.chmod(0o755)
        subprocess.run([strip, "--strip-unneeded", path], check=True)
        subprocess.run(
            [patchelf, "--force-rpath", "--set-rpath", f"$ORIGIN/{to_lib}".removesuffix("/."), path], check=True
        )
    return dict(sorted(taken.items()))


def _left_out(folder: str, names: list[str]) -> set[str]:
    inside = Path(folder).name
    return {
        name
        for name in names
        if name in LEFT_OUT or name.endswith((".pyc", ".a")) or (inside == "lib-dynload" and NO_MODULES.match(name))
    }


def _found(names: Iterable[str]) -> dict[str, Path]:
    """Where this machine has these libraries."""
    listed = subprocess.run(
        ["ldconfig", "-p"], capture_output=True, text=True, check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin"}
    ).stdout
    places = dict(reversed(re.findall(r"^\s*(\S+) \(libc6,x86-64[^)]*\) => (/\S+)", listed, re.MULTILINE)))
    if lacking := sorted(set(names) - set(places)):
        raise ValueError(f"the wheels need {', '.join(lacking)}, which is not on this machine")
    return {name: Path(places[name]).resolve() for name in sorted(names)}


def _system_libraries(files: list[Path]) -> dict[str, Path]:
    """Shared libraries outside glibc that these files load, over all steps."""
    found: dict[str, Path] = {}
    for path in files:
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for name, place in re.findall(r"^\s*(\S+) => (/\S+)", listed, re.MULTILINE):
            if not OF_GLIBC.match(name) and not name.startswith("libpython"):
                found[name] = Path(place).resolve()
        if lacking := re.findall(r"^\s*(\S+) => not found", listed, re.MULTILINE):
            raise ValueError(f"{path.name} needs {', '.join(lacking)}, which is not on this machine")
    return dict(sorted(found.items()))


def archive(folder: Path, epoch: int) -> bytes:
    """The folder as a reproducible .tar.gz with `python/` on top."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                info = tarfile.TarInfo(f"python/{path.relative_to(folder).as_posix()}")
                info.mtime, info.size = epoch, path.stat().st_size
                info.mode = 0o755 if path.parent.name == "bin" or ".so" in path.name else 0o644
                with path.open("rb") as file:
                    tar.addfile(info, file)
    return gzip.compress(raw.getvalue(), 9, mtime=0)


def glibc_of(folder: Path) -> tuple[int, int]:
    """The newest glibc whose symbols the ELF files name."""
    found = {(2, 5)}
    for path in elf_files(folder):
        found |= {(2, int(minor)) for minor in re.findall(rb"\0GLIBC_2\.(\d+)", path.read_bytes())}
    return max(found)


def elf_files(folder: Path) -> list[Path]:
    """Every ELF file below."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.open("rb").read(4) == b"\x7fELF"]
