"""Inside the build stage: the file tree of an image from an unpacked bundle: product, interpreter, their libraries, nothing to type into.

    python3 assemble.py BUNDLE IMAGE

BUNDLE is what `bundle_facts.py --unpack` wrote; IMAGE is a new folder which becomes the image's root. No network is used.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

HOME = Path("/opt/appliance")
USER = 10001  # one that owns nothing elsewhere; the compose and quadlet examples name it too
TEXTS = {
    "etc/passwd": f"root:x:0:0:root:/:/nologin\nappliance:x:{USER}:{USER}:appliance:/var/lib/appliance:/nologin\n",
    "etc/group": f"root:x:0:\nappliance:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
LEFT_OUT = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data",
                                  "site-packages", "dist-packages", "config-*", "_tkinter*", "readline*", "_curses*", "_test*")  # fmt: skip


def main(bundle: Path, image: Path) -> None:
    """Install, then gather what runs."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    HOME.mkdir(parents=True)
    python = interpreter(bundle, bundled=manifest["python"] == "bundled")
    # (1) the product, at its final place
    venv = HOME / "venv"
    subprocess.run([python, "-I", "-m", "venv", "--without-pip", venv], check=True)
    pip = next((bundle / "wheels").glob("pip-*.whl")) / "pip"
    subprocess.run(
        [venv / "bin/python", pip, "install", "--quiet", "--no-index", "--find-links", bundle / "wheels", "--require-hashes",
         "--no-compile", "--requirement", bundle / "requirements.lock"], check=True)  # fmt: skip
    for name in ("manifest.json", "sbom.cdx.json", "LICENSES.md"):
        shutil.copy(bundle / name, HOME / name)
    shutil.copy(Path(__file__).with_name("healthy.py"), HOME)
    if (bundle / "models").is_dir():
        shutil.copytree(bundle / "models", HOME / "models")
    for path in venv.glob("bin/[aA]ctivate*"):
        path.unlink()
    compiled = [
        venv / "bin/python",
        "-m",
        "compileall",
        "-q",
        "-j0",
        "--invalidation-mode",
        "unchecked-hash",
        venv / "lib",
    ]
    subprocess.run(
        compiled, check=False, stdout=subprocess.DEVNULL
    )  # a template of someone's that is no Python is no error
    # (2) the tree
    shutil.copytree(HOME, image / HOME.relative_to("/"), symlinks=True)
    if manifest["python"] != "bundled":
        copy_system_python(image)
    for library in libraries(image):
        take(library, image)
    for name, text in TEXTS.items():
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        (image / name).write_text(text, encoding="ascii")
    for name in ("/etc/ld.so.cache", "/etc/ssl/certs/ca-certificates.crt"):
        if Path(name).is_file():
            take(Path(name), image)
    for name in ("tmp", "run", "var/lib/appliance", "etc/appliance"):
        (image / name).mkdir(parents=True, exist_ok=True)
    (image / "tmp").chmod(0o1777)
    for name in ("var/lib/appliance", "run"):
        os.chown(image / name, USER, USER)
    # (3) nothing to type into
    shells = sorted(
        str(path)
        for path in image.rglob("*")
        if re.fullmatch(r"(ba|da|a|z|k)?sh|busybox|perl[\d.]*", path.name) and path.is_file()
    )
    if shells:
        raise SystemExit(f"в образ попала оболочка: {', '.join(shells)}")


def interpreter(bundle: Path, *, bundled: bool) -> Path:
    """The Python that runs the product: the bundle's, at its final place, or the one of the base image."""
    if not bundled:
        return Path(sys.executable).resolve()
    with tarfile.open(bundle / "python" / "python.tar.gz") as tar:
        tar.extractall(HOME)  # noqa: S202 — its checksum is signed; Debian 12 has no filters yet
    return HOME / "python" / "bin" / "python3.11"


def copy_system_python(image: Path) -> None:
    """The base image's Python at the paths it has there, without what a service never runs."""
    take(Path(sys.executable).resolve(), image)
    for name in ("stdlib", "platstdlib"):
        place = Path(sysconfig.get_path(name))
        shutil.copytree(place, image / place.relative_to("/"), ignore=LEFT_OUT, symlinks=False, dirs_exist_ok=True)


def libraries(image: Path) -> list[Path]:
    """Every shared library outside the tree that something in it loads, the loader, and glibc's name services."""
    found: set[Path] = set()
    lacking: dict[str, str] = {}
    for path in image.rglob("*"):
        if path.is_symlink() or not path.is_file() or not is_elf(path):
            continue
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        loaded = {Path(name) for name in re.findall(r"(/\S+) \(0x", listed)}
        found |= {name for name in loaded if not name.is_relative_to(image) and not name.is_relative_to(HOME)}
        lacking |= dict.fromkeys(re.findall(r"(\S+) => not found", listed), path.name)
    for name, user in sorted(lacking.items()):
        if not (HOME / "python" / "lib" / name).exists():  # a private Python's own folder is searched at run time
            sys.stderr.write(f"ВНИМАНИЕ: в основе нет {name}, без неё не загрузится {user}\n")
    libc = next((path for path in found if path.name == "libc.so.6"), None)
    if libc is not None:
        found |= {
            path
            for name in ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
            if (path := libc.with_name(name)).exists()
        }
    return sorted(found)


def is_elf(path: Path) -> bool:
    """Whether ldd has something to say."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def take(path: Path, image: Path) -> None:
    """One file at the same path in the image, with the content behind any links."""
    target = image / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
