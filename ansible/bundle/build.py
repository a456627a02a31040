"""Build the bundle: `make bundle`, or `python ansible/bundle/build.py --key release.key`. What goes in and why: README.md beside this file.

Run by the Python of the build tools (`tools.lock`), not of the product. Two builds of one commit give the same bytes.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import interpreter
import licences
import packing
import sbom
import wheelhouse
from cyclonedx.model.component import ComponentType
from packageurl import PackageURL

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PRODUCT = "llm-privacy-appliance"
DAY = 86_400  # seconds
PATCHELF = Path(sys.executable).parent / "patchelf"


@dataclass(frozen=True)
class Order:
    """What is to be built."""

    out: Path
    cache: Path  # wheels that were downloaded once
    key: Path | None
    python: Path | None  # prefix of a CPython to take along
    model: Path | None
    ca: tuple[Path, ...]
    extras: tuple[str, ...]
    days: int  # until the signature expires, from the date of the commit
    offline: bool
    worktree: bool  # what lies here, not what is committed


def main() -> int:
    """The command line; exit code 1 when the bundle cannot or may not be built."""
    given = arguments()
    if given.command == "keys":
        packing.make_keys(given.private, given.public)
        say(f"закрытый ключ: {given.private} (0600; хранить отдельно от сервера)\nоткрытый ключ: {given.public}")
        return 0
    order = Order(given.out, given.cache, given.key, given.python, given.model, tuple(given.ca),
                  tuple(sorted(filter(None, given.extras.split(",")))), given.days, given.offline, given.worktree)  # fmt: skip
    if order.key is None and not given.unsigned:
        say(
            "нет ключа подписи: RELEASE_KEY=/путь/к/release.key (make bundle-keys сделает пару) или UNSIGNED=1 — "
            "такой пакет роль без разрешения не примет"
        )
        return 1
    try:
        build(order)
    except (licences.LicenceError, LookupError, ValueError, TypeError, OSError, subprocess.CalledProcessError) as error:
        say(f"пакет не собран: {error}")
        return 1
    return 0


def arguments() -> argparse.Namespace:
    """The words of the command line."""
    parser = argparse.ArgumentParser(description="Собрать пакет установки.")
    commands = parser.add_subparsers(dest="command")
    keys = commands.add_parser("keys", help="сделать пару ключей для своих сборок")
    keys.add_argument("private", type=Path)
    keys.add_argument("public", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--cache", type=Path, default=ROOT / "var" / "bundle" / "wheels", help="скачанные колёса")
    parser.add_argument("--key", type=Path, help="закрытый ключ Ed25519, PEM")
    parser.add_argument("--unsigned", action="store_true", help="без подписи; имя файла кончится на -unsigned")
    parser.add_argument("--python", type=Path, metavar="PREFIX", help="взять с собой CPython из этого префикса")
    parser.add_argument("--model", type=Path, metavar="GGUF", help="взять с собой модель встроенного движка")
    parser.add_argument(
        "--ca", type=Path, action="append", default=[], metavar="PEM", help="сертификат УЦ; можно несколько"
    )
    parser.add_argument(
        "--extras", default="documents,embedded,pkcs11,vault", help="что из дополнений войдёт, через запятую"
    )
    parser.add_argument("--days", type=int, default=730, help="сколько дней от даты коммита пакет можно ставить")
    parser.add_argument("--offline", action="store_true", help="колёса — только из --cache")
    parser.add_argument("--worktree", action="store_true", help="собирать то, что лежит, а не то, что в коммите")
    return parser.parse_args()


def build(order: Order) -> Path:
    """Build, check what was built with the verifier itself, say the sizes; the bundle's path."""
    with tempfile.TemporaryDirectory(prefix="bundle-") as temporary:
        scratch = Path(temporary)
        source, epoch = source_tree(scratch / "source", worktree=order.worktree)
        project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
        version = project["project"]["version"]
        # (1) wheels
        wheels, pip, unused = wheels_of(source, scratch, order, epoch)
        files: dict[str, packing.Content] = {
            f"wheels/{wheel.file_name}": wheel.path for wheel in [*wheels.values(), pip]
        }
        digests = {wheel.name: packing.digest(wheel.path) for wheel in [*wheels.values(), pip]}
        files["requirements.lock"] = lock_of(wheels, digests)
        # (2) licences; then a private Python, a model, files to begin with
        rules = licences.Licences(source / "ansible" / "bundle" / "licences.toml")
        parts = sbom.of_wheels({**wheels, "pip": pip}, digests, order.extras, rules)
        glibc = max(wheel.glibc for wheel in wheels.values())
        elf = [f"{value}  wheels/{wheel.file_name}!{name}" for wheel in wheels.values() for name, value in wheel.elf]
        libraries = wheelhouse.system_libraries(wheels.values(), PATCHELF, scratch)
        if order.python is not None:
            place = scratch / "python"
            files["python/python.tar.gz"], part = python_part(order.python, place, epoch, rules, libraries)
            parts.append(part)
            glibc = max(glibc, interpreter.glibc_of(place))
            elf += [
                f"{packing.digest(path)}  python/{path.relative_to(place)}" for path in interpreter.elf_files(place)
            ]
            libraries = [name for name in libraries if not (place / "lib" / name).is_file()]
        if order.model is not None:
            files[f"models/{order.model.name}"] = order.model
            parts.append(model_part(order.model))
        files |= templates(source, order.ca)
        # (3) lists
        files["LICENSE"] = source / "LICENSE"
        files["LICENSES.md"] = sbom.table(parts)
        files["ELF.txt"] = ("\n".join(elf) + "\n").encode()
        files["sbom.cdx.json"] = sbom.document(parts, PRODUCT, epoch)
        manifest = {
            "format": 1,
            "name": PRODUCT,
            "version": version,
            "arch": wheelhouse.ARCH,
            "python_tag": wheelhouse.TAG,
            "python": "system" if order.python is None else "bundled",
            "glibc": f"{glibc[0]}.{glibc[1]}",
            "libraries": libraries,
            "audit_layout": audit_layout(source / "audit" / "schema.py"),
            "min_upgrade_from": project["tool"]["appliance-bundle"]["min-upgrade-from"],
            "created": epoch,
            "expires": epoch + order.days * DAY,
        }
        # (4) one file, which the verifier of the role accepts before it gets its name
        key = None if order.key is None else packing.signing_key(order.key)
        order.out.mkdir(parents=True, exist_ok=True)
        suffix = "-unsigned" if key is None else ""
        out = order.out / f"appliance-{version}-linux-{wheelhouse.ARCH}-{wheelhouse.TAG}{suffix}.tar"
        partial = out.with_name(out.name + ".partial")
        try:
            digest = packing.pack(partial, files, manifest, key)
            check(partial, None if key is None else packing.public_pem(key).decode(), epoch)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
        report(out, digest, files, unused)
    return out


def source_tree(folder: Path, *, worktree: bool) -> tuple[Path, int]:
    """What is built and the date of it: the last commit, or with `worktree` what lies here. SOURCE_DATE_EPOCH goes first."""
    stamp = git("log", "-1", "--format=%ct").decode().strip()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or stamp)
    if worktree:
        return ROOT, epoch
    if changed := git("status", "--porcelain").decode().splitlines():
        say(f"не войдёт, потому что не в коммите: {len(changed)} изменений (WORKTREE=1 — собрать с ними)")
    with tarfile.open(fileobj=io.BytesIO(git("archive", "HEAD"))) as tar:
        tar.extractall(folder)  # noqa: S202 — our own commit; Debian 12 has no filters yet
    return folder, epoch


def git(*words: str) -> bytes:
    """What git says."""
    return subprocess.run(["git", "-C", ROOT, *words], check=True, capture_output=True).stdout


def wheels_of(
    source: Path, scratch: Path, order: Order, epoch: int
) -> tuple[dict[str, wheelhouse.Wheel], wheelhouse.Wheel, list[wheelhouse.Wheel]]:
    """Wheels of the product, pip's, and those of the lock that nothing here needs."""
    built = scratch / "built"
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run(command, cwd=source, env=environment, check=True, capture_output=True)
    product = wheelhouse.read(next(built.glob("*.whl")))
    lock = source / "requirements.lock"
    own = order.cache / packing.digest(lock)[:16]  # wheels of other locks are not looked at
    wheelhouse.download(lock, own, offline=order.offline)
    pool = {wheel.name: wheel for wheel in map(wheelhouse.read, sorted(own.glob("*.whl")))}
    wheels = wheelhouse.needed(product, order.extras, pool)
    tools = source / "ansible" / "bundle" / "tools.lock"
    only_pip = scratch / "pip.lock"
    only_pip.write_text(entry(tools.read_text(encoding="utf-8"), "pip"), encoding="utf-8")
    with_pip = order.cache / packing.digest(only_pip)[:16]
    wheelhouse.download(only_pip, with_pip, offline=order.offline)
    return (
        wheels,
        wheelhouse.read(next(with_pip.glob("pip-*.whl"))),
        [wheel for name, wheel in pool.items() if name not in wheels],
    )


def entry(lock: str, name: str) -> str:
    """One package of a lock: its line and those of its hashes."""
    lines = lock.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name}=="))
    end = next(number for number in range(start, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[start : end + 1]) + "\n"


def lock_of(wheels: Mapping[str, wheelhouse.Wheel], digests: Mapping[str, str]) -> bytes:
    """requirements.lock of the bundle: the wheels in it and no others, ours among them."""
    lines = [f"{name}=={wheel.version} --hash=sha256:{digests[name]}" for name, wheel in wheels.items()]
    return ("\n".join(lines) + "\n").encode()


def python_part(
    prefix: Path, folder: Path, epoch: int, rules: licences.Licences, libraries: list[str]
) -> tuple[bytes, sbom.Part]:
    """A private CPython, left in the folder too: its archive, and what the lists say of it."""
    licence_of = lambda name: rules.named(name, rules.system, "Python")  # noqa: E731 — one rule, handed on
    taken = interpreter.private_copy(prefix, folder, PATCHELF, licence_of, libraries)
    content = interpreter.archive(folder, epoch)
    asked = [folder / "bin" / "python3.11", "-I", "-S", "-c", "import platform; print(platform.python_version())"]
    version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    purl, kind = PackageURL("generic", None, "cpython", version), ComponentType.PLATFORM
    note, inside = "свой Python (python/)", tuple(taken.items())
    return content, sbom.Part("cpython", version, "PSF-2.0", packing.digest(content), purl, kind, note, inside=inside)


def model_part(model: Path) -> sbom.Part:
    """What the lists say of a model; its licence is for its owner to look at."""
    digest = packing.digest(model)
    purl, kind = PackageURL("generic", None, model.stem, digest[:16]), ComponentType.MACHINE_LEARNING_MODEL
    return sbom.Part(
        model.stem, digest[:16], "LicenseRef-model", digest, purl, kind, "лицензию проверяет тот, кто её дал"
    )


def templates(source: Path, ca: tuple[Path, ...]) -> dict[str, packing.Content]:
    """Policies to begin with, and the place of certificates."""
    files: dict[str, packing.Content] = {}
    for place in ("bundle", "profiles"):
        for path in sorted((source / "policies" / "data" / place).rglob("*")):
            if path.is_file():
                files[f"policies/{path.relative_to(source / 'policies' / 'data').as_posix()}"] = path
    files["policies/recognizers.example.toml"] = source / "policies" / "data" / "recognizers.example.toml"
    files["ca/README.md"] = source / "ansible" / "bundle" / "ca.md"
    for path in ca:
        if b"-----BEGIN CERTIFICATE-----" not in path.read_bytes() or b"PRIVATE KEY" in path.read_bytes():
            raise ValueError(f"{path}: сертификат PEM без закрытого ключа, и ничего другого")
        files[f"ca/{path.name}"] = path
    return files


def audit_layout(path: Path) -> int:
    """LAYOUT of audit.schema, read without running it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(each, "id", "") for each in node.targets] == ["LAYOUT"]:
            return int(ast.literal_eval(node.value))
    raise ValueError(f"{path}: LAYOUT is not there")


def check(path: Path, public: str | None, now: int) -> None:
    """The verifier's own word on the finished file; raises what it raises."""
    verifier = verifier_module()
    keys = [] if public is None else verifier.public_keys(public)
    terms = verifier.Terms(keys, allow_unsigned=public is None, arch="any", glibc="any", now=now)
    try:
        verifier.verify(str(path), terms)
    except verifier.BundleError as error:
        raise ValueError(f"проверка собранного: {error}") from None


def verifier_module() -> ModuleType:
    """`bundle_facts.py`, which is no part of any package."""
    spec = importlib.util.spec_from_file_location(
        "bundle_facts", HERE.parent / "plugins" / "modules" / "bundle_facts.py"
    )
    if spec is None or spec.loader is None:
        raise ValueError("bundle_facts.py is not where it belongs")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(out: Path, digest: str, files: Mapping[str, packing.Content], unused: list[wheelhouse.Wheel]) -> None:
    """Sizes, largest first."""
    sizes = {
        name: len(content) if isinstance(content, bytes) else content.stat().st_size for name, content in files.items()
    }
    rooms: dict[str, Any] = {}
    for name, size in sizes.items():
        room = name.partition("/")[0] + "/" if "/" in name else "списки"
        rooms[room] = [rooms.get(room, [0, 0])[0] + 1, rooms.get(room, [0, 0])[1] + size]
    say(f"{'часть':<44}{'файлов':>8}{'МБ':>10}")
    for room, (count, size) in sorted(rooms.items(), key=lambda item: -item[1][1]):
        say(f"{room:<44}{count:>8}{size / 1e6:>10.1f}")
    say("крупнейшие:")
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:8]:
        say(f"  {name.rpartition('/')[2][:50]:<52}{size / 1e6:>8.1f}")
    say(f"оставлены за дверью: {', '.join(wheel.name for wheel in unused) or 'ничего'}")
    say(f"{out}: {out.stat().st_size / 1e6:.1f} МБ\nSHA-256 {digest}")


def say(words: str) -> None:
    """A line for whoever builds."""
    sys.stdout.write(words + "\n")


if __name__ == "__main__":
    sys.exit(main())
