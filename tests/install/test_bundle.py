"""The bundle: what the builder packs is accepted, and every other file is refused with words before anything of it is used."""

from __future__ import annotations

import ast
import gzip
import hashlib
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "ansible" / "plugins" / "modules" / "bundle_facts.py"
BUILDER = ROOT / "ansible" / "bundle"


def loaded(path: Path) -> ModuleType:
    """A script that is no part of a package, under its own name, as the scripts beside it import it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


facts = loaded(MODULE)
packing = loaded(BUILDER / "packing.py")
wheelhouse = loaded(BUILDER / "wheelhouse.py")
licences = loaded(BUILDER / "licences.py")

CREATED, DAY = 1_790_000_000, 86_400
EXPIRES = CREATED + 730 * DAY
KEY, OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(32))), Ed25519PrivateKey.from_private_bytes(bytes(32))
TOP = "appliance-0.1.0"
MANIFEST = {
    "format": 1,
    "name": "llm-privacy-appliance",
    "version": "0.1.0",
    "arch": "x86_64",
    "python_tag": "cp311",
    "python": "system",
    "glibc": "2.28",
    "audit_layout": 3,
    "min_upgrade_from": "0.1.0",
    "created": CREATED,
    "expires": EXPIRES,
}
FILES = {
    "wheels/llm_privacy_appliance-0.1.0-py3-none-any.whl": b"ours",
    "wheels/pip-26.3-py3-none-any.whl": b"pip" * 700,
    "requirements.lock": b"llm-privacy-appliance==0.1.0\n",
    "sbom.cdx.json": b"{}\n",
    "LICENSES.md": b"# none\n",
    "ca/README.md": "Сюда кладут сертификаты\n".encode(),
}


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def terms(**changed: object) -> object:
    return facts.Terms(**{"keys": [raw(KEY)], "arch": "x86_64", "glibc": "2.28", "now": CREATED + DAY, **changed})


def packed(
    path: Path, files: dict[str, bytes] = FILES, key: Ed25519PrivateKey | None = KEY, **manifest: object
) -> Path:
    packing.pack(path, files, {**MANIFEST, **manifest}, key)
    return path


def signed(
    manifest: dict[str, object] | bytes | None = None, files: dict[str, bytes] = FILES, sums: bytes | None = None
) -> dict[str, bytes]:
    """The members below the top folder of a bundle that its publisher signed, with whatever is wrong in it."""
    if not isinstance(manifest, bytes):
        manifest = packing.manifest_bytes({**MANIFEST, "files": len(files) + 1, **(manifest or {})})
    whole = {**files, "manifest.json": manifest}
    sums = packing.checksums(whole) if sums is None else sums
    return {**whole, "SHA256SUMS": sums, "SHA256SUMS.sig": KEY.sign(sums)}


def written(path: Path, members: dict[str, bytes], top: str = TOP) -> Path:
    packing.write_tar(path, sorted((f"{top}/{name}", content) for name, content in members.items()), CREATED)
    return path


def refused(path: Path, kind: str, **changed: object) -> str:
    """Refused for this reason, in words that say where and what to do."""
    with pytest.raises(facts.BundleError) as caught:
        facts.verify(str(path), terms(**changed))
    assert caught.value.kind == kind, caught.value
    assert str(path) in str(caught.value)
    assert "Что делать: " in str(caught.value)
    return str(caught.value)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return packed(tmp_path / "good.tar")


# ━━ What is right ━━


def test_what_the_builder_packs_is_accepted_and_described(good: Path) -> None:
    found = facts.verify(str(good), terms())

    assert found["manifest"] == {**MANIFEST, "files": 7, "libraries": []}
    assert found["bundle"]["sha256"] == hashlib.sha256(good.read_bytes()).hexdigest()
    assert found["bundle"]["size"] == good.stat().st_size
    assert found["bundle"]["key"] == hashlib.sha256(raw(KEY)).hexdigest()
    assert found["bundle"]["files"] == sorted([*FILES, "manifest.json", "SHA256SUMS", "SHA256SUMS.sig"])


def test_one_of_several_keys_suffices(good: Path) -> None:
    assert facts.verify(str(good), terms(keys=[raw(OTHER), raw(KEY)]))["bundle"]["signed"]


def test_tar_and_sha256sum_read_it_too(good: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xf", good, "-C", tmp_path], check=True)

    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path / TOP, check=True)
    assert (tmp_path / TOP / "ca/README.md").read_bytes() == FILES["ca/README.md"]


def test_the_same_files_give_the_same_bytes_in_any_order_at_any_place(good: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    content = tmp_path / "elsewhere" / "sbom"
    content.write_bytes(FILES["sbom.cdx.json"])
    os.utime(content, (1, 1))
    content.chmod(0o600)

    again = packed(tmp_path / "elsewhere/again.tar", {**dict(reversed(FILES.items())), "sbom.cdx.json": content})

    assert again.read_bytes() == good.read_bytes()


# ━━ Signature, dates, machine ━━


def test_an_unsigned_bundle_needs_leave(tmp_path: Path) -> None:
    path = packed(tmp_path / "unsigned.tar", key=None)

    refused(path, "unsigned")
    assert not facts.verify(str(path), terms(allow_unsigned=True))["bundle"]["signed"]


def test_another_key_and_no_key_are_refused_whatever_is_allowed(good: Path) -> None:
    assert hashlib.sha256(raw(OTHER)).hexdigest()[:16] in refused(
        good, "signature", keys=[raw(OTHER)], allow_unsigned=True
    )
    refused(good, "no-key", keys=[], allow_unsigned=True)


def test_it_is_accepted_from_the_day_it_was_made_to_the_second_it_expires(good: Path) -> None:
    facts.verify(str(good), terms(now=CREATED - DAY))
    facts.verify(str(good), terms(now=EXPIRES - 1))

    assert "часы" in refused(good, "clock", now=CREATED - DAY - 1)
    assert time_of(EXPIRES) in refused(good, "expired", now=EXPIRES)


def time_of(moment: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).date().isoformat()


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"arch": "aarch64"}, "arch"),
        ({"python_tag": "cp312"}, "python"),
        ({"glibc": "2.27"}, "glibc"),
        ({"glibc": ""}, None),
    ],
)
def test_a_bundle_for_another_machine_is_refused(good: Path, changed: dict[str, str], kind: str | None) -> None:
    if kind:
        refused(good, kind, **changed)
    facts.verify(str(good), terms(arch="any", glibc="any", python_tag="cp311"))
    facts.verify(str(good), terms(glibc="2.100"))


def test_libraries_that_this_machine_lacks_are_named(tmp_path: Path) -> None:
    path = packed(tmp_path / "good.tar", libraries=["libc.so.6", "libnobody-has-this.so.1"])

    assert facts.verify(str(path), terms())["bundle"]["missing_libraries"] == ["libnobody-has-this.so.1"]
    assert facts.verify(str(path), terms(glibc="any"))["bundle"]["missing_libraries"] == []


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        ({"format": 2}, "format"),
        ({"format": True}, "format"),
        ({"format": None}, "format"),
        ({"name": "another"}, "manifest"),
        ({"version": "0.1.1"}, "manifest"),
        ({"version": "../../etc"}, "manifest"),
        ({"arch": 64}, "manifest"),
        ({"python": "bundled"}, "manifest"),
        ({"python": "any"}, "manifest"),
        ({"glibc": "new"}, "manifest"),
        ({"created": "yesterday"}, "manifest"),
        ({"expires": 1 << 60}, "manifest"),
        ({"expires": True}, "manifest"),
        ({"audit_layout": 0}, "manifest"),
        ({"min_upgrade_from": ""}, "manifest"),
        ({"libraries": "libgomp.so.1"}, "manifest"),
        ({"libraries": ["../evil.so.1"]}, "manifest"),
        ({"libraries": [1]}, "manifest"),
        ({"files": 6}, "manifest"),
        (b"", "manifest"),
        (b"[]", "manifest"),
        (b'{"format": 1, "format": 1}', "manifest"),
        (b"[" * 50_000, "manifest"),
        (b" " * 70_000, "size"),
    ],
)
def test_a_signed_manifest_that_makes_no_sense_is_refused(
    tmp_path: Path, manifest: dict[str, object] | bytes, kind: str
) -> None:
    refused(written(tmp_path / "bad.tar", signed(manifest)), kind)


# ━━ What is listed is there, and nothing else ━━


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_changed_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    members = signed()
    members[name] = bytes([members[name][0] ^ 1]) + members[name][1:]

    assert name in refused(written(tmp_path / "bad.tar", members), "checksum")


@pytest.mark.parametrize("name", [*FILES, "manifest.json", "SHA256SUMS"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    members = signed()
    del members[name]

    assert name in refused(written(tmp_path / "bad.tar", members), "missing-member")


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("ca/")])
def test_a_bundle_that_was_signed_without_what_an_installation_needs_is_refused(tmp_path: Path, name: str) -> None:
    refused(packed(tmp_path / "bad.tar", {each: FILES[each] for each in FILES if each != name}), "missing-member")


def test_an_extra_file_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "bad.tar", {**signed(), "wheels/zz-1-py3-none-any.whl": b"malice"})

    assert "wheels/zz-1-py3-none-any.whl" in refused(path, "extra")


def test_a_file_beside_the_top_folder_is_refused(tmp_path: Path) -> None:
    members = sorted((f"{TOP}/{name}", content) for name, content in signed().items())
    for extra in (("zz/file", b""), ("file", b"")):
        packing.write_tar(tmp_path / "bad.tar", [*members, extra], CREATED)
        refused(tmp_path / "bad.tar", "extra")


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda sums: b"",
        lambda sums: sums[:-1],
        lambda sums: b"".join(reversed(sums.splitlines(keepends=True))),
        lambda sums: sums.splitlines(keepends=True)[0] + sums,
        lambda sums: sums.replace(b"  ", b" *"),
        lambda sums: sums + b"0" * 64 + b"  SHA256SUMS\n",
        lambda sums: sums.upper(),
        lambda sums: b"\xff" + sums,
    ],
)
def test_a_signed_list_of_another_shape_is_refused(tmp_path: Path, spoilt: Callable[[bytes], bytes]) -> None:
    right = signed()["SHA256SUMS"]

    refused(written(tmp_path / "bad.tar", signed(sums=spoilt(right))), "sums")


def test_a_list_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    refused(written(tmp_path / "bad.tar", signed(sums=b"0" * ((1 << 20) + 1))), "size")


# ━━ The archive itself ━━


def entry(name: str = f"{TOP}/zz", content: bytes = b"", **header: object) -> bytes:
    """One member as tar has it."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    for field, value in header.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def with_entry(good: Path, more: bytes) -> Path:
    """The good bundle with one more member at its end."""
    content = good.read_bytes()
    end = len(content) - len(content[:].rstrip(b"\0"))
    body = content[: len(content) - end]
    body += bytes(-len(body) % 512)
    path = good.with_name("bad.tar")
    path.write_bytes(body + more + bytes(1024))
    return path


STRANGERS = [
    (entry(), "extra"),
    (entry(f"{TOP}/wheels/zz"), "extra"),
    (entry(f"{TOP}/SHA256SUMS"), "duplicate"),
    (entry(f"{TOP}/wheels/pip-26.3-py3-none-any.whl", b"other"), "duplicate"),
    (entry(f"{TOP}/aa"), "order"),
    (entry(f"{TOP}/../../etc/passwd"), "path"),
    (entry(f"{TOP}/zz/../../../etc/passwd"), "path"),
    (entry("/etc/passwd"), "path"),
    (entry(f"{TOP}//zz"), "path"),
    (entry(f"{TOP}/zz/."), "path"),
    (entry(f"{TOP}/.hidden"), "path"),
    (entry(f"{TOP}/-rf"), "path"),
    (entry(f"{TOP}/z z"), "path"),
    (entry(f"{TOP}/z\nz"), "path"),
    (entry(f"{TOP}/z\\z"), "path"),
    (entry(f"{TOP}/яя"), "path"),
    (entry(f"{TOP}/{'z' * 67}/{'z' * 66}/{'z' * 95}"), "path"),
    (entry(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "link"),
    (entry(type=tarfile.LNKTYPE, linkname=f"{TOP}/manifest.json"), "link"),
    (entry(type=tarfile.CHRTYPE), "device"),
    (entry(type=tarfile.BLKTYPE), "device"),
    (entry(type=tarfile.FIFOTYPE), "device"),
    (entry(type=tarfile.DIRTYPE), "folder"),
    (entry(type=tarfile.AREGTYPE), "archive"),
    (entry(type=tarfile.CONTTYPE), "archive"),
    (entry(type=tarfile.GNUTYPE_SPARSE), "archive"),
    (entry(type=b"L", content=b"/etc/passwd\0"), "archive"),
    (entry(type=b"x", content=b"30 path=../../../etc/passwd\n\n"), "archive"),
    (entry(type=b"g", content=b"30 path=../../../etc/passwd\n\n"), "archive"),
    (entry(mode=0o4755), "archive"),
    (entry(linkname="/etc/passwd"), "archive"),
    (entry(size=0o77777777777), "truncated"),
    (entry(size=1), "archive"),
    (b"\1" * 512, "archive"),
    (bytes(512) + entry(), "archive"),
    (bytes(1 << 17), "archive"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "kind"), STRANGERS, ids=[f"{at}-{kind}" for at, (_, kind) in enumerate(STRANGERS)])
def test_a_member_that_is_no_plain_file_of_the_list_is_refused(good: Path, more: bytes, kind: str) -> None:
    refused(with_entry(good, more), kind)


def test_sizes_in_the_binary_form_are_refused(good: Path) -> None:
    block = bytearray(entry())
    block[124:136] = b"\x80" + bytes(3) + (1 << 40).to_bytes(8, "big")
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))

    refused(with_entry(good, bytes(block)), "size")


def test_more_members_than_any_bundle_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    packing.write_tar(path, ((f"{TOP}/{number:06}", b"") for number in range(4097)), CREATED)

    refused(path, "size")


def test_an_archive_cut_anywhere_is_refused(good: Path) -> None:
    content = good.read_bytes()
    data = len(content.rstrip(b"\0"))
    path = good.with_name("cut.tar")
    for length in (*range(0, data, 512), *range(1, data, 509), data + -data % 512, data + -data % 512 + 512):
        path.write_bytes(content[:length])
        with pytest.raises(facts.BundleError) as caught:
            facts.verify(str(path), terms())
        assert caught.value.kind in ("truncated", "archive")


def test_any_changed_bit_is_refused(good: Path) -> None:
    content = bytearray(good.read_bytes())
    chance = random.Random(7)
    path = good.with_name("flipped.tar")
    for _ in range(600):
        at, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
        content[at] ^= bit
        path.write_bytes(content)
        with pytest.raises(facts.BundleError):
            facts.verify(str(path), terms())
        content[at] ^= bit


@given(noise=st.binary(max_size=3000))
def test_any_bytes_at_all_are_refused_in_words(noise: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.tar"
    path.write_bytes(noise)

    with pytest.raises(facts.BundleError):
        facts.verify(str(path), terms())


def test_other_archives_and_no_files_are_refused(good: Path, tmp_path: Path) -> None:
    (tmp_path / "packed.tar").write_bytes(gzip.compress(good.read_bytes()))
    with zipfile.ZipFile(tmp_path / "zip.tar", "w") as archive:
        archive.writestr("file", "content" * 100)
    (tmp_path / "zeros.tar").write_bytes(bytes(10_240))
    (tmp_path / "empty.tar").write_bytes(b"")
    (tmp_path / "folder.tar").mkdir()

    for name, kind in (
        ("packed", "archive"),
        ("zip", "archive"),
        ("zeros", "archive"),
        ("empty", "truncated"),
        ("folder", "unreadable"),
        ("none", "missing"),
    ):
        refused(tmp_path / f"{name}.tar", kind)


# ━━ Ed25519 ━━

RFC8032 = [  # section 7.1: public key, message, signature
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip
ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("key", "message", "signature"), RFC8032)
def test_the_published_vectors_hold(key: str, message: str, signature: str) -> None:
    key, message, signature = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)

    assert facts.signature_holds(key, message, signature)
    assert not facts.signature_holds(key, message + b"\0", signature)
    beyond = int.from_bytes(signature[32:], "little") + ORDER  # the same point, another spelling
    assert not facts.signature_holds(key, message, signature[:32] + beyond.to_bytes(32, "little"))
    assert not facts.signature_holds(key, message, signature[:63])


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200), at=st.integers(0, 64 * 8 - 1))
def test_the_own_check_agrees_with_the_library(seed: bytes, message: bytes, at: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    signature = bytearray(key.sign(message))

    assert facts.signature_holds(raw(key), message, bytes(signature))
    signature[at // 8] ^= 1 << at % 8
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(raw(key)).verify(bytes(signature), message)
    assert not facts.signature_holds(raw(key), message, bytes(signature))


def pem(content: bytes) -> str:
    import base64

    return f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(content).decode()}\n-----END PUBLIC KEY-----\n"


def test_keys_are_read_from_text_and_from_files(tmp_path: Path) -> None:
    both = packing.public_pem(KEY) + packing.public_pem(OTHER)
    (tmp_path / "both.pub").write_bytes(both)

    assert facts.public_keys(both.decode()) == facts.public_keys(str(tmp_path / "both.pub")) == [raw(KEY), raw(OTHER)]


@pytest.mark.parametrize(
    "text",
    [
        "/nowhere/release.pub",
        "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----",
        pem(b"not a key"),
        pem(facts.SPKI + bytes(31)),
        pem(facts.SPKI + b"\1" + bytes(31)),  # of order 1: under it one signature fits every message
        pem(facts.SPKI + bytes(32)),  # of order 4
        pem(facts.SPKI + b"\xff" * 32),  # y not below the field's prime
        pem(facts.SPKI + b"\2" + bytes(31)),  # no point
    ],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(facts.BundleError) as caught:
        facts.public_keys(text)
    assert caught.value.kind == "key"


# ━━ The command, and the module under Ansible ━━


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", MODULE, *map(str, words)], capture_output=True, text=True)


def test_the_command_says_yes_unpacks_and_says_no(good: Path, tmp_path: Path) -> None:
    (tmp_path / "release.pub").write_bytes(packing.public_pem(KEY))
    ask = (good, "--key", tmp_path / "release.pub", "--arch", "any", "--glibc", "any", "--now", CREATED)

    done = run(*ask, "--unpack", tmp_path / "out")
    again = run(*ask, "--unpack", tmp_path / "out", "--json")
    wrong = run(*ask[:1], "--key", tmp_path / "none.pub")

    assert done.returncode == 0 and "Пакет проверен" in done.stdout, done
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {*FILES, "manifest.json", "SHA256SUMS", "SHA256SUMS.sig"}
    assert all((tmp_path / "out" / name).read_bytes() == content for name, content in FILES.items())
    assert again.returncode == 1 and json.loads(again.stdout)["kind"] == "exists"
    assert wrong.returncode == 1 and wrong.stdout.startswith("ОТКАЗ: ") and not wrong.stderr
    assert run().returncode == 2


def test_a_bundle_that_is_refused_leaves_nothing(good: Path, tmp_path: Path) -> None:
    content = bytearray(good.read_bytes())
    content[content.index(b"pippip")] ^= 1
    good.write_bytes(content)
    before = sorted(tmp_path.iterdir())

    with pytest.raises(facts.BundleError):
        facts.unpack(str(good), terms(), str(tmp_path / "out"))
    assert sorted(tmp_path.iterdir()) == before


def test_a_disk_that_fails_half_way_leaves_nothing(good: Path, tmp_path: Path) -> None:
    import resource

    script = (
        "import importlib.util, resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "sys.argv[0] = sys.argv.pop(1)\n"
        "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    assert resource.RLIMIT_FSIZE is not None
    (tmp_path / "release.pub").write_bytes(packing.public_pem(KEY))
    words = [
        good,
        "--key",
        tmp_path / "release.pub",
        "--arch",
        "any",
        "--glibc",
        "any",
        "--now",
        CREATED,
        "--unpack",
        tmp_path / "out",
    ]
    before = sorted(tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, MODULE, *map(str, words)], capture_output=True, text=True
    )

    assert done.returncode == 1 and "ОТКАЗ" in done.stdout, done
    assert sorted(tmp_path.iterdir()) == before


def test_the_module_needs_python_3_8_and_its_library_alone() -> None:
    tree = ast.parse(MODULE.read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert imported - {"ansible"} <= sys.stdlib_module_names


def test_the_module_documents_the_options_it_takes() -> None:
    source = MODULE.read_text(encoding="utf-8")
    documented = yaml.safe_load(facts.DOCUMENTATION)["options"]
    spec = next(
        ast.literal_eval(keyword.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "AnsibleModule"
        for keyword in node.keywords
        if keyword.arg == "argument_spec"
    )

    assert set(documented) == set(spec) == {"path", *facts.Terms._fields}
    for name, option in documented.items():
        assert (option["type"], option.get("default"), option.get("required", False)) == (
            spec[name]["type"], spec[name].get("default"), spec[name].get("required", False))  # fmt: skip
    assert yaml.safe_load(facts.EXAMPLES) and set(yaml.safe_load(facts.RETURN)) == {
        "manifest",
        "bundle",
        "ansible_facts",
        "kind",
    }


# ━━ What goes in ━━


def wheel(
    folder: Path,
    name: str,
    version: str,
    tag: str = "py3-none-any",
    extra: dict[str, bytes] | None = None,
    **metadata: str | list[str],
) -> object:
    headers = Message()
    for field, values in {"Metadata-Version": "2.4", "Name": name, "Version": version, **metadata}.items():
        for value in values if isinstance(values, list) else [values]:
            headers[field.replace("_", "-")] = value
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-{version}.dist-info/METADATA", headers.as_bytes())
        for place, content in (extra or {}).items():
            archive.writestr(place, content)
    return wheelhouse.read(path)


def test_only_what_the_product_asks_for_goes_in(tmp_path: Path) -> None:
    asks = ["a>=1", "b[more]; extra == 'some'", "c; extra == 'other'", "d; sys_platform == 'win32'"]
    product = wheel(tmp_path, "product", "1", Requires_Dist=asks)
    pool = {
        "a": wheel(tmp_path, "a", "1.5"),
        "b": wheel(tmp_path, "b", "2", Requires_Dist=["e; extra == 'more'", "f; extra == 'less'", "product"]),
        "c": wheel(tmp_path, "c", "1"),
        "e": wheel(tmp_path, "e", "1", Requires_Dist=["a; python_version >= '3.11'"]),
    }

    assert list(wheelhouse.needed(product, ["some"], pool)) == ["a", "b", "e", "product"]
    assert list(wheelhouse.needed(product, [], pool)) == ["a", "product"]
    with pytest.raises(LookupError, match=r"e; extra == .more., which the lock does not bring"):
        wheelhouse.needed(product, ["some"], {name: pool[name] for name in "ab"})
    with pytest.raises(LookupError, match=r"needs a>=1, the lock has 0\.9"):
        wheelhouse.needed(product, [], {"a": wheel(tmp_path, "a", "0.9")})


def test_a_wheel_tells_its_glibc_its_short_name_and_its_elf_files(tmp_path: Path) -> None:
    content = b"\x7fELF..."
    both = wheel(
        tmp_path,
        "x",
        "1",
        "cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64",
        {"x/y.so": content, "x/z.so": b"text", "x.libs/libfoo-1.so": content},
    )

    assert (both.glibc, both.file_name) == ((2, 27), "x-1-cp311-cp311-manylinux_2_27_x86_64.whl")
    assert both.libraries == ("libfoo-1.so",)
    assert [name for name, _ in both.elf] == ["x.libs/libfoo-1.so", "x/y.so"]
    assert wheel(tmp_path, "y", "1").glibc == (2, 5)
    with pytest.raises(ValueError, match="cannot be in this bundle"):
        assert wheel(tmp_path, "z", "1", "cp311-cp311-win_amd64").glibc


RULES = licences.Licences(BUILDER / "licences.toml")


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ({"License_Expression": "MIT"}, "MIT"),
        ({"License_Expression": "GPL-3.0-only OR (MIT AND BSD-3-Clause)"}, "GPL-3.0-only OR (MIT AND BSD-3-Clause)"),
        ({"License": "MIT License"}, "MIT"),
        ({"Classifier": ["License :: OSI Approved :: Apache Software License", "Topic :: X"]}, "Apache-2.0"),
        ({"Classifier": ["License :: OSI Approved :: BSD License"], "License": "BSD-2-Clause"}, "BSD-2-Clause"),
        ({"Classifier": ["License :: OSI Approved :: MIT License", "License :: OSI Approved :: Apache Software License"]}, "Apache-2.0 AND MIT"),
        ({"License_Expression": "GPL-3.0-only"}, None),
        ({"License_Expression": "AGPL-3.0-or-later"}, None),
        ({"License_Expression": "LGPL-2.1-only"}, None),
        ({"License_Expression": "MIT AND GPL-3.0-only"}, None),
        ({"License_Expression": "GPL-3.0-only AND (MIT OR BSD-3-Clause)"}, None),
        ({"License_Expression": "GPL-2.0-only WITH Classpath-exception-2.0"}, None),
        ({"License_Expression": "MIT OR"}, None),
        ({"Classifier": ["License :: OSI Approved :: MIT License", "License :: OSI Approved :: GNU General Public License (GPL)"]}, None),
        ({"Classifier": ["License :: OSI Approved :: GNU Affero General Public License v3"]}, None),
        ({"License": "Proprietary"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_a_licence_that_may_not_be_handed_on_stops_the_build(
    tmp_path: Path, metadata: dict[str, str | list[str]], licence: str | None
) -> None:
    found = wheel(tmp_path, "x", "1", **metadata)

    if licence is None:
        with pytest.raises(licences.LicenceError, match="x 1"):
            RULES.of_wheel(found)
    else:
        assert RULES.of_wheel(found) == (licence, "")


def test_a_foreign_library_nobody_has_looked_at_stops_the_build(tmp_path: Path) -> None:
    known = wheel(tmp_path, "x", "1", extra={"x.libs/libgfortran-0352e75f.so.5.0.0": b"\x7fELF"})
    unknown = wheel(tmp_path, "y", "1", extra={"y.libs/libgfortranesque-1.so": b"\x7fELF"})

    assert RULES.inside(known) == (("libgfortran-0352e75f.so.5.0.0", "GPL-3.0-or-later WITH GCC-exception-3.1"),)
    with pytest.raises(licences.LicenceError, match="libgfortranesque"):
        RULES.inside(unknown)


def test_every_exception_has_its_reason() -> None:
    rules = tomllib.loads((BUILDER / "licences.toml").read_text(encoding="utf-8"))

    assert all(rule["reason"] for table in ("packages", "libraries") for rule in rules[table].values())
    assert not [licence for licence in rules["allowed"] if "GPL" in licence]


def test_the_readme_names_every_file_of_the_builder() -> None:
    text = (BUILDER / "README.md").read_text(encoding="utf-8")

    names = {path.name for path in BUILDER.iterdir() if path.is_file()} - {"README.md"}

    assert sorted(name for name in names if name not in text) == []


def test_new_keys_are_private_and_never_replace_old_ones(tmp_path: Path) -> None:
    packing.make_keys(tmp_path / "keys/release.key", tmp_path / "release.pub")

    assert (tmp_path / "keys/release.key").stat().st_mode & 0o777 == 0o600
    key = packing.signing_key(tmp_path / "keys/release.key")
    assert facts.public_keys(str(tmp_path / "release.pub")) == [raw(key)]
    with pytest.raises(FileExistsError):
        packing.make_keys(tmp_path / "keys/release.key", tmp_path / "release.pub")
    (tmp_path / "public").write_bytes(packing.public_pem(KEY))
    with pytest.raises(ValueError, match="PEM"):
        packing.signing_key(tmp_path / "public")


def test_our_own_wheel_is_the_same_twice(tmp_path: Path) -> None:
    digests = []
    for number, umask in enumerate((0o022, 0o077)):
        place = tmp_path / str(number) / ("deeper" * number)
        place.mkdir(parents=True)
        archive = subprocess.run(["git", "-C", ROOT, "archive", "HEAD"], check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", place], input=archive, check=True, umask=umask)
        command = [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
            tmp_path / f"out{number}",
        ]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(CREATED)}
        subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True, umask=umask)
        digests.append(packing.digest(next((tmp_path / f"out{number}").glob("*.whl"))))

    assert digests[0] == digests[1]


# ━━ The image and the release: what a machine can read of them ━━

CONTAINER = ROOT / "ansible" / "container"


def test_the_image_is_built_from_files_that_exist_and_runs_without_a_shell() -> None:
    lines = (CONTAINER / "Containerfile").read_text(encoding="utf-8").splitlines()
    copied = [
        word
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
        if "$" not in word
    ]

    assert all(
        (place / name).is_file() for name in copied for place in [MODULE.parent if name == MODULE.name else CONTAINER]
    )
    assert all(
        line.split(" ", 1)[1].startswith("[") for line in lines if line.startswith(("RUN ", "CMD ", "ENTRYPOINT "))
    )
    last = lines[lines.index("FROM scratch") :]
    assert not any(line.startswith("RUN ") for line in last) and any(line.startswith("USER 10001") for line in last)


def test_compose_and_quadlet_keep_the_root_read_only_and_the_port_at_home() -> None:
    services = yaml.safe_load((CONTAINER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for service in services.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["user"] == "10001:10001"
    assert services["appliance"]["ports"] == ["127.0.0.1:8080:8080"]

    unit = (CONTAINER / "appliance.container").read_text(encoding="utf-8").splitlines()
    assert {
        "ReadOnly=true",
        "DropCapability=all",
        "NoNewPrivileges=true",
        "User=10001",
        "PublishPort=127.0.0.1:8080:8080",
    } <= set(unit)
    health = next(line.partition("=")[2] for line in unit if line.startswith("HealthCmd="))
    assert json.loads(health) == services["appliance"]["healthcheck"]["test"][1:]


def test_the_settings_of_the_image_are_settings(tmp_path: Path) -> None:
    from appliance.first_run import create_keys
    from appliance.settings import load_settings, problems

    text = (
        (CONTAINER / "settings.toml").read_text(encoding="utf-8").replace("/var/lib/appliance", str(tmp_path / "state"))
    )
    (tmp_path / "settings.toml").write_text(text, encoding="utf-8")
    settings = load_settings(tmp_path / "settings.toml")
    create_keys(settings)

    assert problems(settings) == []


def test_a_health_check_says_no_when_nobody_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-I", CONTAINER / "healthy.py", "http://127.0.0.1:9/readyz"], capture_output=True, text=True
    )

    assert done.returncode == 1 and done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_are_yaml_with_pinned_actions_and_few_rights(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]

    assert True in workflow  # YAML 1.1 reads `on` so
    assert workflow["permissions"] == {"contents": "read"}
    assert all(re.fullmatch(r"[\w-]+/[\w./-]+@v\d+\.\d+\.\d+", step["uses"]) for step in steps if "uses" in step)
    assert not [step for step in steps if "${{ github.event" in step.get("run", "")]  # a title is no command


# ━━ The real one: `make test-bundle` ━━


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.enable_socket
def test_two_builds_are_equal_and_install_without_network(tmp_path: Path) -> None:
    packing.make_keys(tmp_path / "release.key", tmp_path / "release.pub")
    python = [*([] if os.environ.get("BUNDLE_PYTHON") is None else ["--python", os.environ["BUNDLE_PYTHON"]])]
    digests = []
    for number in range(2):
        words = [
            "--key",
            tmp_path / "release.key",
            "--out",
            tmp_path / f"dist{number}",
            *python,
            *(["--offline"] * number),
        ]
        subprocess.run([ROOT / ".venv-bundle/bin/python", BUILDER / "build.py", *words], check=True, cwd=tmp_path)
        (path,) = (tmp_path / f"dist{number}").iterdir()
        digests.append(packing.digest(path))
    assert digests[0] == digests[1]

    done = run(path, "--key", tmp_path / "release.pub", "--unpack", tmp_path / "out")
    assert done.returncode == 0, done.stdout
    bom = json.loads((tmp_path / "out/sbom.cdx.json").read_bytes())
    assert bom["specVersion"] == "1.6" and bom["metadata"]["component"]["name"] == "llm-privacy-appliance"
    sums = {
        name: digest
        for digest, name in (line.split("  ") for line in (tmp_path / "out/SHA256SUMS").read_text().splitlines())
    }
    listed = {component["hashes"][0]["content"] for component in [*bom["components"], bom["metadata"]["component"]]}
    assert listed >= {digest for name, digest in sums.items() if name.startswith("wheels/")}
    assert all(component["licenses"] for component in bom["components"])

    out = tmp_path / "out"
    interpreter = sys.executable
    if python:
        subprocess.run(["tar", "xzf", "python/python.tar.gz"], cwd=out, check=True)
        interpreter = str(out / "python/bin/python3.11")
    script = (
        f"set -e; {interpreter} -I -m venv --without-pip {tmp_path}/venv\n"
        f"{tmp_path}/venv/bin/python {next((out / 'wheels').glob('pip-*.whl'))}/pip install -q --no-index --find-links {out}/wheels"
        f" --require-hashes -r {out}/requirements.lock\n"
        f"cd /; {tmp_path}/venv/bin/python -I -c 'import presidio_analyzer, xllamacpp, pkcs11, hvac, openpyxl, ssl, sqlite3'\n"
        f"{tmp_path}/venv/bin/python -I -m appliance --help\n"
    )
    installed = subprocess.run(
        ["unshare", "--net", "--map-root-user", "sh", "-c", script],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert installed.returncode == 0, installed.stderr
    assert "Usage" in installed.stdout
    assert re.search(r"^\s+serve\s", installed.stdout, re.MULTILINE)
