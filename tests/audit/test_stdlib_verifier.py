"""The second verifier, against logs that this file writes itself from FORMAT.md: whole ones pass, every damage is found and named."""

from __future__ import annotations

import ast
import asyncio
import base64
import copy
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from audit import (
    AuditError,
    AuditLog,
    AuditReader,
    Entry,
    Selection,
    Trust,
    TrustRoot,
    Verifier,
    Witnesser,
    WitnessVerifier,
    export_folder,
    verify_file,
    verify_record,
)
from audit import stdlib_verifier as second
from tests.audit.conftest import installed

PROGRAM = Path(second.__file__)
ORIGIN = "log.test/second"
T0 = 1_790_000_000
NOT_KEPT = b"\xff\xff\xff\xff"


# --- a writer of its own ---


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Signs:
    """A key of a log, an epoch or a witness."""

    def __init__(self, seed: str, name: str = ORIGIN, kind: int = 1) -> None:
        self.name, self.kind = name, kind
        self.private = Ed25519PrivateKey.from_private_bytes(sha256(seed.encode()))
        blob = bytes((kind,)) + self.private.public_key().public_bytes_raw()
        self.id = sha256(name.encode() + b"\n" + blob)[:4]
        self.vkey = f"{name}+{self.id.hex()}+{b64(blob)}"

    def line(self, text: str) -> str:
        return f"— {self.name} {b64(self.id + self.private.sign(text.encode()))}\n"

    def cosigned(self, text: str, at: int = T0) -> str:
        signature = self.private.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        return f"— {self.name} {b64(self.id + at.to_bytes(8, 'big') + signature)}\n"


LOG, STRANGER = Signs("log"), Signs("stranger")
EPOCHS = [Signs("epoch 0"), Signs("epoch 1"), Signs("epoch 2")]
W1, W2 = Signs("one", "witness.test/1", 4), Signs("two", "witness.test/2", 4)


def noted(text: str, *signers: Signs) -> str:
    return text + "\n" + "".join(signer.line(text) for signer in signers)


def mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:]))


@dataclass
class Rec:
    header: bytes
    leaf: bytes
    body: bytes | None
    subjects: bytes | None
    key: bytes

    def framed(self) -> bytes:
        parts = [
            NOT_KEPT if part is None else struct.pack(">I", len(part)) + part for part in (self.body, self.subjects)
        ]
        return self.header + self.leaf + b"".join(parts)

    def with_header(self, at: int, new: bytes) -> Rec:
        header = self.header[:at] + new + self.header[at + len(new) :]
        return replace(self, header=header, leaf=sha256(b"\0" + header))


def record(seq: int, body: bytes, flags: bytes = b"\0") -> Rec:
    key = sha256(b"key %d" % seq)
    start = (
        struct.pack(">BBHHQQQ", 1, 1, 1 + seq % 3, 1, seq, (T0 + seq) * 1_000_000, seq)
        + b"b" * 16
        + sha256(b"%d" % (seq // 100))[:16]
        + sha256(b"salt %d" % seq)[:16]
    )
    sealed = AESGCMSIV(key).encrypt(bytes(12), flags + body, start)
    subjects = b"subject %d" % seq if seq % 4 == 0 else b""
    header = start + sha256(sealed) + sha256(subjects)
    return Rec(header, sha256(b"\0" + header), sealed, subjects, key)


def certificate(
    number: int, since: int, root: bytes, key: Signs, reason: str, *signers: Signs, more: str = "", origin: str = ORIGIN
) -> str:
    return noted(
        f"{origin}/signing-epoch\n{number}\n{since}\n{b64(root)}\n{key.vkey}\n{T0 + since}\n{reason}\n{more}", *signers
    )


@dataclass
class Made:
    """A log and what of it is exported."""

    records: list[Rec]
    certificates: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    head: str = ""
    labels: bytes = b""
    opened: dict[int, bytes] = field(default_factory=dict)
    given: set[int] | None = None

    @property
    def leaves(self) -> list[bytes]:
        return [each.leaf for each in self.records]

    def root(self, size: int) -> bytes:
        return mth(self.leaves[:size])

    def epoch(self, size: int) -> Signs:
        return EPOCHS[0 if size <= 120 else 1 if size <= 250 else 2]

    def text(self, size: int) -> str:
        return f"{ORIGIN}\n{size}\n{b64(self.root(size))}\n"

    def signed(self, size: int) -> str:
        return noted(self.text(size), LOG, self.epoch(size))

    def sections(self) -> list[tuple[bytes, bytes]]:
        found = [(b"HEAD", self.head.encode())]
        found += [(b"LABL", self.labels)] if self.labels else []
        at, end = 0, len(self.records)
        while True:
            found += [(b"CERT", note.encode()) for since, note in self.certificates if since == at]
            found += [(b"NOTE", note.encode()) for size, note in self.notes if size == at]
            if at == end:
                return [*found, (b"DONE", b"")]
            edges = [since for since, _ in self.certificates] + [end]
            if self.given is None or at in self.given:
                stop = min(edge for edge in [*edges, *(size for size, _ in self.notes), at + 40] if edge > at)
                while self.given is not None and any(n not in self.given for n in range(at, stop)):
                    stop -= 1
                keys = b"".join(n.to_bytes(8, "big") + self.opened[n] for n in range(at, stop) if n in self.opened)
                found += [(b"KEYS", keys)] if keys else []
                found.append((b"RECS", b"".join(each.framed() for each in self.records[at:stop])))
                at = stop
            else:
                stop = min(edge for edge in [*edges, *self.given] if edge > at)
                level = max(n for n in range(20) if at % (1 << n) == 0 and at + (1 << n) <= stop)
                found.append((b"SKIP", bytes((level,)) + mth(self.leaves[at : at + (1 << level)])))
                at += 1 << level


def framed(sections: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"LLM AUDIT BUNDLE 2\n\0" + b"".join(
        tag + struct.pack(">Q", len(content)) + content for tag, content in sections
    )


def made_log(count: int = 300) -> Made:
    made = Made([record(n, msgspec.msgpack.encode(["app", n, b"\1\2"])) for n in range(count)])
    root = made.root
    made.certificates = [(0, certificate(0, 0, root(0), EPOCHS[0], "first", LOG))]
    if count == 300:
        made.certificates.append((120, certificate(1, 120, root(120), EPOCHS[1], "next", EPOCHS[0])))
        made.certificates.append((250, certificate(2, 250, root(250), EPOCHS[2], "next", EPOCHS[1])))
        made.notes = [(size, made.signed(size)) for size in (0, 50, 120, 200, 300)]
        text = made.text(200)
        made.notes[3] = (200, made.signed(200) + W1.cosigned(text) + W2.cosigned(text, T0 + 9))
    made.head = made.signed(count) + W1.cosigned(made.text(count), T0 + 20)
    return made


@pytest.fixture(scope="module")
def whole() -> Made:
    return made_log()


@pytest.fixture
def made(whole: Made) -> Made:
    return copy.deepcopy(whole)


@dataclass
class Bench:
    """A folder with the auditor's keys, and the program run on what is laid there."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def file(self, name: str, content: bytes | str) -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def run(self, path: Path | str, *more: str, key: str | None = None) -> tuple[int, dict]:
        root = key if key is not None else f"{LOG.vkey}\n{EPOCHS[0].vkey}\n"
        code = second.main([str(path), "--key", self.file("log.pub", root), "--json", *more])
        return code, json.loads(self.capsys.readouterr().out.splitlines()[-1])

    def bundle(
        self, content: bytes | Made | Sequence[tuple[bytes, bytes]], *more: str, key: str | None = None
    ) -> tuple[int, dict]:
        if isinstance(content, Made):
            content = content.sections()
        return self.run(
            self.file("log.bundle", content if isinstance(content, bytes) else framed(content)), *more, key=key
        )


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


def findings(report: dict) -> list[str]:
    return [each["finding"] for each in report["damage"]]


# --- published vectors ---

LONG = (
    "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1e355f6c50544e23fb1433ddf73be84d8"
    "79de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d658675fc6ea534e0810a4432826bf58c941efb65d57a338bbd2e26640f89ffbc"
    "1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4feba15452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e"
    "06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbefefd75499da96bd68a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7"
    "aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed185ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2"
    "d17ba70eb6248e594e1a2297acbbb39d502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f270"
    "88d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2cf65bd92dd597b07"
    "07e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128bab27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51a"
    "ddd3b75a2b1ae0784504df543af8969be3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb7"
    "51fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb038dda0847dd988dcda6f3bfd15c4b4c4525004aa06eeff8"
    "ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34dff7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08"
    "d78ff4ef5d63653a65040cf9bfd4aca7984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e4"
    "88acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac0943bf6686b64b2579376504ccc493d97e"
    "6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5fb93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b5"
    "0d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380d"
    "b2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8cac60c905c15fc910840b94c00a0b9d0"
)
RFC_8032 = [  # section 7.1: public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        LONG,
        "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032, ids=["1", "2", "3", "1024", "sha-abc"])
def test_ed25519_is_that_of_rfc_8032_and_strict(public: str, message: str, signature: str) -> None:
    key = second.PublicKey(bytes.fromhex(public))
    said, raw = bytes.fromhex(message), bytes.fromhex(signature)
    assert key.verifies(said, raw)
    for at in range(512):
        if not at % 7:
            flipped = bytearray(raw)
            flipped[at // 8] ^= 1 << at % 8
            assert not key.verifies(said, bytes(flipped))
    s = int.from_bytes(raw[32:], "little") + second.ORDER
    assert not key.verifies(said, raw[:32] + s.to_bytes(32, "little"))  # the same S in another spelling
    assert not key.verifies(said + b"x", raw)
    assert not key.verifies(said, raw[:63])
    assert not key.verifies(said, b"")


def test_ed25519_agrees_with_a_library_before_and_after_its_tables_grow() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key = second.PublicKey(private.public_key().public_bytes_raw())
    for number in range(270):
        message = b"%d" % number
        assert key.verifies(message, private.sign(message))
        assert not key.verifies(message + b" ", private.sign(message))


@pytest.mark.parametrize(
    "raw",
    [
        bytes(32),  # order 4
        bytes((1, *bytes(31))),  # the neutral element
        bytes((0xEC, *b"\xff" * 30, 0x7F)),  # order 2
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),  # order 8
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        bytes((1, *bytes(30), 0x80)),  # x = 0 with a sign
        bytes((0xEE, *b"\xff" * 30, 0x7F)),  # y = p + 1
        bytes((2, *bytes(31))),  # no point
        b"\xff" * 32,
        bytes(31),
        bytes(33),
    ],
)
def test_a_key_that_is_no_point_or_of_small_order_or_spelled_otherwise_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        second.PublicKey(raw)


RFC_8452 = [  # appendix C.2 and C.3: key, nonce, additional data, plain text, result
    ("01" + "00" * 31, "03" + "00" * 11, "", "", "07f5f4169bbf55a8400cd47ea6fd400f"),
    ("01" + "00" * 31, "03" + "00" * 11, "", "01" + "00" * 7, "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"),
    (
        "01" + "00" * 31,
        "03" + "00" * 11,
        "",
        "01" + "00" * 11,
        "9aab2aeb3faa0a34aea8e2b18ca50da9ae6559e48fd10f6e5c9ca17e",
    ),
    (
        "01" + "00" * 31,
        "03" + "00" * 11,
        "",
        "01" + "00" * 15,
        "85a01b63025ba19b7fd3ddfc033b3e76c9eac6fa700942702e90862383c6c366",
    ),
    (
        "01" + "00" * 31,
        "03" + "00" * 11,
        "",
        "01" + "00" * 15 + "02" + "00" * 15,
        "4a6a9db4c8c6549201b9edb53006cba821ec9cf850948a7c86c68ac7539d027fe819e63abcd020b006a976397632eb5d",
    ),
    (
        "01" + "00" * 31,
        "03" + "00" * 11,
        "",
        "".join(f"0{n}" + "00" * 15 for n in (1, 2, 3, 4)),
        "c2d5160a1f8683834910acdafc41fbb1632d4a353e8b905ec9a5499ac34f96c7e1049eb080883891a4db8caaa1f99dd004d80487540735234e3744512c6f90ce112864c269fc0d9d88c61fa47e39aa08",
    ),
    ("01" + "00" * 31, "03" + "00" * 11, "01", "02" + "00" * 7, "1de22967237a813291213f267e3b452f02d01ae33e4ec854"),
    (
        "01" + "00" * 31,
        "03" + "00" * 11,
        "01",
        "02" + "00" * 15,
        "c91545823cc24f17dbb0e9e807d5ec17b292d28ff61189e8e49f3875ef91aff7",
    ),
    (
        "01" + "00" * 31,
        "03" + "00" * 11,
        "01",
        "02" + "00" * 15 + "03" + "00" * 15 + "04" + "00" * 15,
        "c67a1f0f567a5198aa1fcc8e3f21314336f7f51ca8b1af61feac35a86416fa47fbca3b5f749cdf564527f2314f42fe2503332742b228c647173616cfd44c54eb",
    ),
    ("01" + "00" * 31, "03" + "00" * 11, "01" + "00" * 11, "02000000", "22b3f4cd1835e517741dfddccfa07fa4661b74cf"),
    (
        "01" + "00" * 31,
        "03" + "00" * 11,
        "01" + "00" * 15 + "0200",
        "03" + "00" * 15 + "04000000",
        "43dd0163cdb48f9fe3212bf61b201976067f342bb879ad976d8242acc188ab59cabfe307",
    ),
    (
        "e66021d5eb8e4f4066d4adb9c33560e4f46e44bb3da0015c94f7088736864200",
        "e0eaf5284d884a0e77d31646",
        "",
        "",
        "169fbb2fbf389a995f6390af22228a62",
    ),
    (
        "bae8e37fc83441b16034566b7a806c46bb91c3c5aedb64a6c590bc84d1a5e269",
        "e4b47801afc0577e34699b9e",
        "4fbdc66f14",
        "671fdd",
        "0eaccb93da9bb81333aee0c785b240d319719d",
    ),
    (
        "3c535de192eaed3822a2fbbe2ca9dfc88255e14a661b8aa82cc54236093bbc23",
        "688089e55540db1872504e1c",
        "734320ccc9d9bbbb19cb81b2af4ecbc3e72834321f7aa0f70b7282b4f33df23f167541",
        "ced532ce4159b035277d4dfbb7db62968b13cd4eec",
        "626660c26ea6612fb17ad91e8e767639edd6c9faee9d6c7029675b89eaf4ba1ded1a286594",
    ),
    (  # C.3: the counter wraps
        "00" * 32,
        "00" * 12,
        "",
        "00" * 16 + "4db923dc793ee6497c76dcc03a98e108",
        "f3f80f2cf0cb2dd9c5984fcda908456cc537703b5ba70324a6793a7bf218d3eaffffffff000000000000000000000000",
    ),
]


@pytest.mark.parametrize(("key", "nonce", "additional", "text", "sealed"), RFC_8452)
def test_aes_256_gcm_siv_is_that_of_rfc_8452(key: str, nonce: str, additional: str, text: str, sealed: str) -> None:
    asked = [bytes.fromhex(each) for each in (key, nonce, sealed, additional)]
    assert second.siv_opened(*asked) == bytes.fromhex(text)
    for which, part in enumerate(asked):
        if part:
            changed = [*asked[:which], bytes((part[0] ^ 1,)) + part[1:], *asked[which + 1 :]]
            assert second.siv_opened(*changed) is None
    assert second.siv_opened(asked[0], asked[1], asked[2][:15], asked[3]) is None


VALUES = [
    None, True, False, 0, 127, 128, 255, 256, 65535, 65536, 2**32, 2**64 - 1, -1, -32, -33, -128, -129, -32769, -(2**63), 1.5, "", "ы" * 40,
    "x" * 300, "x" * 70000, [], [[]], list(range(20)), [0] * 70000, {}, {"a": {"b": 1}}, {str(n): n for n in range(20)}, {str(n): n for n in range(70000)},
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(VALUES)))
def test_messagepack_says_what_a_library_said(at: int) -> None:
    assert second.Unpacker(msgspec.msgpack.encode(VALUES[at])).whole() == VALUES[at]


@pytest.mark.parametrize("size", [0, 300, 70000])
def test_messagepack_bytes_are_hexadecimal(size: int) -> None:
    assert second.Unpacker(msgspec.msgpack.encode(bytes(size))).whole() == "00" * size


@pytest.mark.parametrize(
    "raw",
    ["", "c1", "91", "a2ff", "a1ff", "cd00", "0000", "dd7fffffff", "dfffffffff", "dbffffffff", "8201010101", "d40000", "c70000", "91" * 40 + "01", "91" * 9999],
)  # fmt: skip
def test_what_is_no_messagepack_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        second.Unpacker(bytes.fromhex(raw)).whole()


def test_no_number_that_json_lacks_comes_out() -> None:
    for raw in ("cb7ff8000000000000", "cb7ff0000000000000", "caff800000"):
        assert isinstance(second.Unpacker(bytes.fromhex(raw)).whole(), str)


# --- whole logs ---


def test_a_whole_log_passes_and_the_report_has_every_member(made: Made, bench: Bench) -> None:
    code, report = bench.bundle(made)
    assert code == 0
    assert report == {
        "ok": True, "source": "bundle", "origin": ORIGIN, "size": 300, "root": made.root(300).hex(), "records": 300, "skipped": 0, "opened": 0,
        "dropped": 0, "checkpoints": 5, "epochs": 3, "breaks": [], "sealing_keys": 3, "first_us": T0 * 1_000_000, "last_us": (T0 + 299) * 1_000_000,
        "witnesses": [], "witnessed": 0, "known": None, "tiles": 0, "timestamps": [], "damage": [],
        "not_proven": ["witness", "truncation", "epoch-tail", "clock", "content"],
    }  # fmt: skip
    assert "first-epoch" in bench.bundle(made, key=LOG.vkey)[1]["not_proven"]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 63, 64, 65])
def test_logs_of_every_shape_pass(count: int, bench: Bench) -> None:
    made = made_log(count)
    if not count:
        made.head = noted(made.text(0), LOG)
    code, report = bench.bundle(made)
    assert (code, report["root"], report["damage"]) == (0, mth(made.leaves).hex(), [])
    assert (report["first_us"] is None) == (count == 0)


def test_witnesses_count_by_quorum(made: Made, bench: Bench) -> None:
    w1, w2 = bench.file("w1.pub", W1.vkey + "\n"), bench.file("w2.pub", "\n" + W2.vkey)
    seen = [
        {"witness": "witness.test/1", "size": 300, "time": T0 + 20},
        {"witness": "witness.test/2", "size": 200, "time": T0 + 9},
    ]
    for more, witnessed, witnesses in (
        (["--witness", w1], 300, seen[:1]),
        (["--witness", w2], 200, seen[1:]),
        (["--witness", w1, "--witness", w2], 300, seen),
        (["--witness", w1, "--witness", w2, "--quorum", "2"], 200, seen),
    ):
        code, report = bench.bundle(made, *more)
        assert (code, report["witnessed"], report["witnesses"]) == (0, witnessed, witnesses)
        assert ("unwitnessed-tail" in report["not_proven"]) == (witnessed == 200)
        assert "witness" not in report["not_proven"]
    text = made.text(200)
    bad = W2.cosigned(text, T0 + 9)[:-9] + "AAAAAAA=\n"
    made.notes[3] = (200, made.signed(200) + W1.cosigned(text) + bad)
    assert findings(bench.bundle(made, "--witness", w2)[1]) in (["signature"], ["signature", "signature"])


def test_an_earlier_checkpoint_is_continued_or_not(made: Made, bench: Bench) -> None:
    for size in (0, 1, 17, 120, 300):
        known = bench.file("known", noted(made.text(size), LOG))
        code, report = bench.bundle(made, "--known", known)
        assert (code, report["known"], "truncation" in report["not_proven"]) == (0, size, False)
    other = f"{ORIGIN}\n17\n{b64(bytes(32))}\n"
    assert findings(bench.bundle(made, "--known", bench.file("known", noted(other, LOG)))[1]) == ["known"]
    later = f"{ORIGIN}\n301\n{b64(bytes(32))}\n"
    assert findings(bench.bundle(made, "--known", bench.file("known", noted(later, LOG)))[1]) == ["known"]
    for unusable in (noted(made.text(17), STRANGER), made.text(17), noted(other.replace(ORIGIN, "other"), LOG), ""):
        assert bench.bundle(made, "--known", bench.file("known", unusable))[0] == 2
    made.given = {299}
    assert findings(bench.bundle(made, "--known", bench.file("known", noted(made.text(17), LOG)))[1]) == ["known"]
    assert bench.bundle(made, "--known", bench.file("known", noted(made.text(120), LOG)))[0] == 0


def test_records_left_out_are_counted_and_the_rest_holds(made: Made, bench: Bench) -> None:
    made.given = {0, 5, 6, 7, 119, 120, 255, 256, 299}
    code, report = bench.bundle(made)
    assert (code, report["records"], report["skipped"], report["epochs"], report["damage"]) == (0, 9, 291, 3, [])
    assert "skipped" in report["not_proven"]


def test_content_no_longer_kept_is_counted(made: Made, bench: Bench) -> None:
    made.records[3] = replace(made.records[3], body=None)
    made.records[4] = replace(made.records[4], body=None, subjects=None)
    code, report = bench.bundle(made)
    assert (code, report["dropped"], "dropped" in report["not_proven"]) == (0, 2, True)


def test_keys_open_bodies_and_nothing_a_terminal_would_obey_is_printed(bench: Bench) -> None:
    made = made_log(3)
    made.records[1] = record(
        1, msgspec.msgpack.encode(["имя", 7, "\x1b[2J\u202e\x9b"]), b"\5" + b"c" * 32 + (0).to_bytes(8, "big")
    )
    made.records[2] = record(2, b"\xc1not msgpack")
    made.certificates, made.head = [(0, certificate(0, 0, made.root(0), EPOCHS[0], "first", LOG))], made.signed(3)
    made.opened = {n: made.records[n].key for n in (1, 2)}
    made.labels = json.dumps({"2": ["name", "count"]}).encode()
    path = bench.file("log.bundle", framed(made.sections()))
    key = bench.file("log.pub", LOG.vkey)
    assert second.main([path, "--key", key, "--json", "--entries"]) == 0
    lines = [json.loads(line) for line in bench.capsys.readouterr().out.splitlines()]
    assert lines[0] == {
        "seq": 1,
        "kind": 2,
        "time_us": (T0 + 1) * 1_000_000,
        "closes": 0,
        "fields": {"name": "имя", "count": 7, "2": "\x1b[2J\u202e\x9b"},
    }
    assert lines[1]["fields"] == {"body": b"\xc1not msgpack".hex()}
    assert (lines[2]["opened"], lines[2]["ok"]) == (2, True)
    assert {"content", "labels"} <= set(lines[2]["not_proven"])
    assert second.main([path, "--key", key, "--entries"]) == 0
    out = bench.capsys.readouterr().out
    assert "Журнал цел" in out
    assert "НЕ доказывает" in out
    assert all(c.isprintable() or c == "\n" for c in out)


# --- damages ---

FIELDS = {"version": 0, "suite": 1, "kind": 3, "schema": 5, "number": 13, "time": 21, "monotonic": 29, "boot": 45, "sealing": 61, "salt": 77, "body": 109, "subjects": 141}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "rehashed"])
def test_a_changed_field_of_a_header_is_found(made: Made, bench: Bench, name: str, *, hidden: bool) -> None:
    old = made.records[130]
    new = old.with_header(FIELDS[name], bytes((old.header[FIELDS[name]] ^ 1,)))
    made.records[130] = new if hidden else replace(new, leaf=old.leaf)
    code, report = bench.bundle(made)
    named = [(each["finding"], each["seq"]) for each in report["damage"]]
    assert code == 1
    if hidden and name not in ("version", "suite", "number", "body", "subjects"):
        assert named[0] == ("root", None)
        assert report["damage"][0]["since"] == 120
    else:
        assert named[0] == ("order" if name == "number" else "record", 130)


def swapped(made: Made, a: int, b: int) -> Made:
    made.records[a], made.records[b] = made.records[b], made.records[a]
    return made


def with_record(made: Made, at: int, **changes: object) -> Made:
    made.records[at] = replace(made.records[at], **changes)
    return made


def with_cert(made: Made, which: int, note: str, at: int | None = None) -> Made:
    made.certificates[which] = (made.certificates[which][0] if at is None else at, note)
    return made


def with_note(made: Made, which: int, note: str) -> Made:
    made.notes[which] = (made.notes[which][0], note)
    return made


def edited(made: Made, change: Callable[[list[tuple[bytes, bytes]]], object]) -> list[tuple[bytes, bytes]]:
    sections = made.sections()
    change(sections)
    return sections


def first(sections: list[tuple[bytes, bytes]], tag: bytes) -> int:
    return next(at for at, section in enumerate(sections) if section[0] == tag)


def insert(made: Made, before: bytes, tag: bytes, content: bytes) -> list[tuple[bytes, bytes]]:
    return edited(made, lambda sections: sections.insert(first(sections, before), (tag, content)))


def resigned(made: Made, text: str, *signers: Signs) -> Made:
    made.head = noted(text, *signers)
    return made


def broken(made: Made, reason: str, *signers: Signs, more: str = "") -> Made:
    return with_cert(made, 1, certificate(1, 120, made.root(120), EPOCHS[1], reason, *signers, more=more))


def sealed_with(made: Made, flags: bytes) -> Made:
    """The last record sealed anew, with its key, in a tree signed anew."""
    made.records[299] = record(299, b"", flags)
    made.notes, made.opened, made.head = made.notes[:4], {299: made.records[299].key}, made.signed(300)
    return made


R120 = "made.root(120)"
DAMAGES: dict[str, tuple[Callable[[Made], object], str]] = {
    "leaf hash changed": (lambda m: with_record(m, 7, leaf=bytes(32)), "record"),
    "body changed": (lambda m: with_record(m, 7, body=m.records[7].body[:-1] + b"x"), "record"),
    "body empty": (lambda m: with_record(m, 7, body=b""), "record"),
    "subjects changed": (lambda m: with_record(m, 7, subjects=b"x"), "record"),
    "record missing": (lambda m: m.records.pop(7) and m, "order"),
    "last record missing": (lambda m: setattr(m, "notes", m.notes[:4]) or (m.records.pop() and m), "size"),
    "record repeated": (lambda m: m.records.insert(8, m.records[7]) or m, "order"),
    "records swapped": (lambda m: swapped(m, 7, 8), "order"),
    "records far apart swapped": (lambda m: swapped(m, 7, 280), "order"),
    "a record more": (lambda m: edited(m, lambda s: s.insert(-1, (b"RECS", record(300, b"x").framed()))), "size"),
    "certificates swapped": (lambda m: with_cert(with_cert(m, 1, m.certificates[2][1]), 2, m.certificates[1][1]), "epoch"),
    "certificate removed": (lambda m: m.certificates.pop(1) and m, "epoch"),
    "last certificate removed": (lambda m: m.certificates.pop(2) and m, "epoch"),
    "first certificate removed": (lambda m: m.certificates.pop(0) and m, "epoch"),
    "all certificates removed": (lambda m: m.certificates.clear() or m, "epoch"),
    "certificate twice": (lambda m: m.certificates.insert(2, m.certificates[1]) or m, "epoch"),
    "certificate misplaced": (lambda m: with_cert(m, 1, m.certificates[1][1], at=121), "epoch"),
    "certificate after a note of its place": (lambda m: edited(m, lambda s: s.insert(s.index((b"CERT", m.certificates[1][1].encode())), (b"NOTE", m.notes[2][1].encode()))), "epoch"),
    "certificate of another root": (lambda m: with_cert(m, 1, certificate(1, 120, bytes(32), EPOCHS[1], "next", EPOCHS[0])), "epoch"),
    "certificate of another size": (lambda m: with_cert(m, 1, certificate(1, 119, m.root(119), EPOCHS[1], "next", EPOCHS[0])), "epoch"),
    "certificate of another number": (lambda m: with_cert(m, 1, certificate(2, 120, m.root(120), EPOCHS[1], "next", EPOCHS[0])), "epoch"),
    "certificate of another log": (lambda m: with_cert(m, 1, certificate(1, 120, m.root(120), EPOCHS[1], "next", EPOCHS[0], origin="other")), "epoch"),
    "certificate of an unknown reason": (lambda m: broken(m, "because", EPOCHS[0]), "epoch"),
    "certificate says first again": (lambda m: broken(m, "first", LOG), "epoch"),
    "certificate 0 says next": (lambda m: with_cert(m, 0, certificate(0, 0, m.root(0), EPOCHS[0], "next", LOG)), "epoch"),
    "certificate 0 says lost-key": (lambda m: with_cert(m, 0, certificate(0, 0, m.root(0), EPOCHS[0], "lost-key", LOG)), "epoch"),
    "next signed by the log's key": (lambda m: broken(m, "next", LOG), "epoch"),
    "next signed by both": (lambda m: broken(m, "next", EPOCHS[0], LOG), "epoch"),
    "next signed by a stranger": (lambda m: broken(m, "next", STRANGER), "epoch"),
    "next signed by nobody known": (lambda m: broken(m, "next", EPOCHS[2]), "epoch"),
    "certificate with a line more": (lambda m: broken(m, "next", EPOCHS[0], more="more\n"), "epoch"),
    "certificate of a key of another name": (lambda m: with_cert(m, 1, certificate(1, 120, m.root(120), Signs("epoch 1", "other"), "next", EPOCHS[0])), "epoch"),
    "certificate of a witness's key": (lambda m: with_cert(m, 1, certificate(1, 120, m.root(120), Signs("epoch 1", kind=4), "next", EPOCHS[0])), "epoch"),
    "certificate is no note": (lambda m: with_cert(m, 1, "nothing"), "epoch"),
    "a lost key": (lambda m: broken(m, "lost-key", LOG), "break"),
    "a lost key certified by the epoch before": (lambda m: broken(m, "lost-key", EPOCHS[0]), "epoch"),
    "a restore": (lambda m: broken(m, "restored", LOG, more=f"130\n{b64(bytes(32))}\n"), "break"),
    "a restore that does not say from where": (lambda m: broken(m, "restored", LOG), "epoch"),
    "a restore with half a root": (lambda m: broken(m, "restored", LOG, more=f"130\n{b64(bytes(16))}\n"), "epoch"),
    "future checkpoint": (lambda m: with_note(m, 2, m.notes[3][1]), "order"),
    "past checkpoint": (lambda m: with_note(m, 2, m.notes[1][1]), "order"),
    "checkpoint twice": (lambda m: m.notes.insert(1, m.notes[1]) or m, "order"),
    "checkpoint of yesterday's epoch": (lambda m: with_note(m, 3, noted(m.text(200), LOG, EPOCHS[0])), "epoch"),
    "checkpoint of tomorrow's epoch": (lambda m: with_note(m, 2, noted(m.text(120), LOG, EPOCHS[1])), "epoch"),
    "checkpoint without its epoch": (lambda m: with_note(m, 3, noted(m.text(200), LOG)), "epoch"),
    "checkpoint without the log": (lambda m: with_note(m, 3, noted(m.text(200), EPOCHS[1])), "signature"),
    "checkpoint of a stranger": (lambda m: with_note(m, 3, noted(m.text(200), STRANGER, EPOCHS[1])), "signature"),
    "checkpoint with a second line that fails": (lambda m: with_note(m, 3, m.signed(200) + LOG.line("else")), "signature"),
    "checkpoint of another root": (lambda m: with_note(m, 3, noted(f"{ORIGIN}\n200\n{b64(bytes(32))}\n", LOG, EPOCHS[1])), "root"),
    "checkpoint of another log": (lambda m: with_note(m, 3, noted(m.text(200).replace(ORIGIN, "other"), LOG, EPOCHS[1])), "signature"),
    "checkpoint with an empty line": (lambda m: with_note(m, 3, noted(m.text(200) + "\nmore\n", LOG, EPOCHS[1])), "signature"),
    "checkpoint with a leading zero": (lambda m: with_note(m, 3, noted(m.text(200).replace("\n200", "\n0200"), LOG, EPOCHS[1])), "signature"),
    "checkpoint with a line that is none": (lambda m: with_note(m, 3, m.signed(200) + "- x AAAAAAA=\n"), "signature"),
    "checkpoint with a short line": (lambda m: with_note(m, 3, m.signed(200) + "— x AAAAAA==\n"), "signature"),
    "checkpoint with a tab": (lambda m: with_note(m, 3, noted(m.text(200) + "\t\n", LOG, EPOCHS[1])), "signature"),
    "checkpoint too long": (lambda m: with_note(m, 3, noted(m.text(200) + "x" * 65_536 + "\n", LOG, EPOCHS[1])), "signature"),
    "checkpoint in no UTF-8": (lambda m: insert(m, b"DONE", b"NOTE", b"\xff" + m.head.encode()), "signature"),
    "checkpoint unsigned": (lambda m: with_note(m, 3, m.text(200)), "signature"),
    "head over more": (lambda m: resigned(m, f"{ORIGIN}\n301\n{b64(bytes(32))}\n", LOG, EPOCHS[2]), "size"),
    "head over less": (lambda m: resigned(m, m.text(299), LOG, EPOCHS[2]), "size"),
    "head of another root": (lambda m: resigned(m, f"{ORIGIN}\n300\n{b64(bytes(32))}\n", LOG, EPOCHS[2]), "root"),
    "head without its epoch": (lambda m: resigned(m, m.text(300), LOG), "epoch"),
    "head of yesterday's epoch": (lambda m: resigned(m, m.text(300), LOG, EPOCHS[1]), "epoch"),
    "head of a stranger": (lambda m: resigned(m, m.text(300), STRANGER, EPOCHS[2]), "signature"),
    "head of 60000 digits": (lambda m: resigned(m, f"{ORIGIN}\n{'9' * 60000}\n{b64(bytes(32))}\n", LOG, EPOCHS[2]), "signature"),
    "head twice": (lambda m: insert(m, b"DONE", b"HEAD", m.head.encode()), "format"),
    "no head": (lambda m: edited(m, lambda s: s.pop(0)), "format"),
    "nothing": (lambda m: [], "format"),
    "no end": (lambda m: m.sections()[:-1], "format"),
    "an end with content": (lambda m: [*m.sections()[:-1], (b"DONE", b"x")], "format"),
    "two ends": (lambda m: [*m.sections(), (b"DONE", b"")], "format"),
    "a byte after the end": (lambda m: framed(m.sections()) + b"\0", "format"),
    "an unknown section": (lambda m: insert(m, b"DONE", b"MORE", b""), "format"),
    "empty RECS": (lambda m: insert(m, b"DONE", b"RECS", b""), "format"),
    "half a record": (lambda m: insert(m, b"DONE", b"RECS", record(300, b"").framed()[:100]), "format"),
    "a record without lengths": (lambda m: insert(m, b"DONE", b"RECS", record(300, b"").framed()[:174]), "format"),
    "a body longer than the section": (lambda m: insert(m, b"DONE", b"RECS", record(300, b"").framed()[:174] + b"\0\0\1\0" + bytes(9)), "format"),
    "empty SKIP": (lambda m: insert(m, b"DONE", b"SKIP", b""), "format"),
    "half a span": (lambda m: insert(m, b"DONE", b"SKIP", bytes(32)), "format"),
    "a span out of place": (lambda m: insert(m, b"DONE", b"SKIP", b"\3" + bytes(32)), "format"),
    "a span too large": (lambda m: insert(m, b"RECS", b"SKIP", b"\x29" + bytes(32)), "format"),
    "a span that is none": (lambda m: insert(m, b"DONE", b"SKIP", b"\0" + bytes(32)), "size"),
    "empty KEYS": (lambda m: insert(m, b"RECS", b"KEYS", b""), "format"),
    "half a key": (lambda m: insert(m, b"RECS", b"KEYS", bytes(39)), "format"),
    "keys of nothing": (lambda m: insert(m, b"DONE", b"KEYS", bytes(40)), "format"),
    "keys out of order": (lambda m: insert(m, b"RECS", b"KEYS", b"".join(n.to_bytes(8, "big") + m.records[n].key for n in (2, 1))), "format"),
    "a key twice": (lambda m: insert(m, b"RECS", b"KEYS", b"".join(n.to_bytes(8, "big") + m.records[n].key for n in (1, 1))), "format"),
    "a key of a record elsewhere": (lambda m: insert(m, b"RECS", b"KEYS", (200).to_bytes(8, "big") + m.records[200].key), "format"),
    "a key that opens nothing": (lambda m: setattr(m, "opened", {5: bytes(32)}) or m, "record"),
    "the key of another record": (lambda m: setattr(m, "opened", {5: m.records[6].key}) or m, "record"),
    "a key to content not kept": (lambda m: setattr(m, "opened", {5: m.records[5].key}) or with_record(m, 5, body=None), "record"),
    "unknown flags": (lambda m: sealed_with(m, b"\x08"), "record"),
    "flags of what is not there": (lambda m: sealed_with(m, b"\1" + bytes(31)), "record"),
    "no flags": (lambda m: sealed_with(m, b""), "record"),
    "labels late": (lambda m: insert(m, b"DONE", b"LABL", b"{}"), "format"),
    "labels twice": (lambda m: [m.sections()[0], (b"LABL", b"{}"), (b"LABL", b"{}"), *m.sections()[1:]], "format"),
    **{
        f"labels {labels[:20]!r}": (lambda m, labels=labels: setattr(m, "labels", labels) or m, "format")
        for labels in (
            b"[]", b"{", b"null", b'{"1":[1]}', b'{"x":[]}', b'{"01":[]}', b'{"65536":[]}', b'{"1":["a"],"1":["b"]}', b'{"1":{}}', b"\xff",
            b'{"1":["\\ud800"]}', b"[" * 100_000, b'{"1":' + b"[" * 100_000, b"\xef\xbb\xbf{}", b"9" * 5000, b'{"1":[NaN]}',
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_found_and_named(made: Made, bench: Bench, name: str) -> None:
    change, finding = DAMAGES[name]
    code, report = bench.bundle(change(made))
    assert (code, report["ok"]) == (1, False)
    assert findings(report)[0] == finding


def test_a_break_that_the_auditor_accepts_is_listed(made: Made, bench: Bench) -> None:
    made = broken(made, "restored", LOG, more=f"130\n{b64(bytes(32))}\n")
    assert bench.bundle(made, "--accept-break", "2")[0] == 1
    code, report = bench.bundle(made, "--accept-break", "2", "--accept-break", "1")
    assert (code, report["breaks"], "break" in report["not_proven"]) == (0, [1], True)


def test_a_span_with_another_hash_is_found(made: Made, bench: Bench) -> None:
    made.given = {299}
    sections = made.sections()
    at = first(sections, b"SKIP")
    sections[at] = (b"SKIP", sections[at][1][:-1] + b"x")
    assert findings(bench.bundle(sections)[1])[0] == "epoch"


@pytest.mark.parametrize(
    ("key", "code", "finding"),
    [
        (Signs("log", "other").vkey, 1, "signature"),
        (STRANGER.vkey, 1, "signature"),
        (f"{LOG.vkey}\n{STRANGER.vkey}\n", 1, "epoch"),
        (f"{LOG.vkey}\n{EPOCHS[0].vkey}\n{EPOCHS[1].vkey}\n", 2, ""),
        (f"{LOG.vkey}\n{W1.vkey}\n", 2, ""),
        (W1.vkey, 2, ""),
        (LOG.vkey.replace("+", "+0", 1), 2, ""),
        (LOG.vkey + "A", 2, ""),
        (LOG.vkey + "\r\n", 2, ""),
        (" " + LOG.vkey, 2, ""),
        ("", 2, ""),
        ("\n", 2, ""),
        ("a" * 300_000, 2, ""),
    ],
)
def test_the_wrong_key_file_verifies_nothing(made: Made, bench: Bench, key: str, code: int, finding: str) -> None:
    found, report = bench.bundle(made, key=key)
    assert (found, report["ok"]) == (code, False)
    assert code == 2 or findings(report)[0] == finding


@pytest.mark.no_cover  # many thousand times the same lines
def test_every_truncation_and_every_lost_or_moved_section_is_found(whole: Made, bench: Bench) -> None:
    sections = whole.sections()
    content = framed(sections)
    border = 20
    for _, inner in sections:
        for at in {border, border + 4, border + 12, border + 12 + len(inner) // 2} - {len(content)}:
            code, report = bench.bundle(content[:at])
            assert (code, findings(report)) == (1, ["format"])
        border += 12 + len(inner)
    for at, (tag, _) in enumerate(sections):
        others = [sections[:at] + sections[at + 1 :], sections[: at + 1] + sections[at:]]
        if at + 1 < len(sections):
            others.append([*sections[:at], sections[at + 1], sections[at], *sections[at + 2 :]])
        for number, other in enumerate(others):
            if tag == b"NOTE" and number == 0:  # a kept checkpoint less is no damage
                assert bench.bundle(other)[0] == 0
            else:
                assert bench.bundle(other)[0] == 1, (at, tag, number)


@pytest.mark.no_cover  # many thousand times the same lines
def test_every_byte_matters(bench: Bench) -> None:
    made = made_log(2)
    made.opened = {1: made.records[1].key}
    made.labels = b'{"1":["a"]}'
    made.head = made.signed(2)  # a cosignature can be taken off, or be made one of a witness that nobody knows
    content = bytearray(framed(made.sections()))
    labels = range(content.index(made.labels), content.index(made.labels) + len(made.labels))
    for at in range(len(content)):
        content[at] ^= 1 << at % 7
        code, report = bench.bundle(bytes(content))
        assert (code and not report["ok"]) or at in labels, at  # a label says what it likes
        content[at] ^= 1 << at % 7
    assert bench.bundle(bytes(content))[0] == 0


def test_a_section_larger_than_allowed_is_not_read(made: Made, bench: Bench) -> None:
    path = Path(bench.file("log.bundle", framed(made.sections()[:1]) + b"RECS" + struct.pack(">Q", 1 << 39)))
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    tracemalloc.start()
    code, report = bench.run(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (code, findings(report)) == (1, ["format"])
    assert peak < 4 << 20


def test_memory_does_not_grow_with_the_log(bench: Bench) -> None:
    made = made_log(3)
    for n in range(3):
        made.records[n] = record(n, bytes(4 << 20))
    made.head = made.signed(3)
    leaves = [made.records[n % 3].with_header(6, n.to_bytes(8, "big")) for n in range(12)]
    big = Made(leaves, head="")
    big.certificates = [(0, certificate(0, 0, sha256(b""), EPOCHS[0], "first", LOG))]
    big.head = big.signed(12)
    sections = [big.sections()[0], big.sections()[1], *((b"RECS", each.framed()) for each in leaves), (b"DONE", b"")]
    path = bench.file("log.bundle", framed(sections))
    assert Path(path).stat().st_size > 48 << 20
    del made, leaves, big, sections
    tracemalloc.start()
    code, report = bench.run(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (code, report["records"]) == (0, 12)
    assert peak < 20 << 20


# --- folders ---


def tile_name(level: str, number: int, width: int) -> str:
    groups = f"{number:0{(len(str(number)) + 2) // 3 * 3}d}"
    parts = [groups[at : at + 3] for at in range(0, len(groups), 3)]
    return (
        f"tile/{level}/"
        + "/".join([*("x" + part for part in parts[:-1]), parts[-1]])
        + ("" if width == 256 else f".p/{width}")
    )


def tiles_of(leaves: list[bytes], headers: list[bytes] | None) -> Iterator[tuple[str, bytes]]:
    """c2sp.org/tlog-tiles by its definition: MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l])."""
    hashes, level = leaves, 0
    while hashes:
        for n in range(0, len(hashes), 256):
            row = hashes[n : n + 256]
            yield tile_name(str(level), n // 256, len(row)), b"".join(row)
            if headers is not None and level == 0:
                bundle = b"".join(struct.pack(">H", 142) + header for header in headers[n : n + 256])
                yield tile_name("entries", n // 256, len(row)), bundle
        hashes, level = [mth(hashes[n : n + 256]) for n in range(0, len(hashes) - 255, 256)], level + 1


def folder_of(made: Made, folder: Path) -> Path:
    folder.mkdir()
    files = {
        "log.bundle": framed(made.sections()),
        "keys.pub": LOG.vkey.encode(),
        "verify.py": b"",
        "ЧИТАЙТЕ.txt": b"",
        "tiles/checkpoint": made.head.encode(),
    }
    headers = None if made.given is not None else [each.header for each in made.records]
    files |= {f"tiles/{name}": content for name, content in tiles_of(made.leaves, headers)}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_a_folder_passes_with_all_its_tiles(made: Made, bench: Bench) -> None:
    code, report = bench.run(folder_of(made, bench.folder / "whole"))
    assert (code, report["source"], report["tiles"], report["damage"]) == (0, "folder", 5, [])
    made.given = {3, 290}
    code, report = bench.run(folder_of(made, bench.folder / "part"))
    assert (code, report["tiles"], report["skipped"], report["damage"]) == (0, 3, 298, [])


def test_the_tiles_of_a_great_log_pass(bench: Bench) -> None:
    leaves = [sha256(b"%d" % n) for n in range(70_000)]  # the example of c2sp.org/tlog-tiles
    text = f"{ORIGIN}\n70000\n{b64(mth(leaves))}\n"
    made = Made([], head=noted(text, LOG, EPOCHS[0]))
    made.certificates = [(0, certificate(0, 0, sha256(b""), EPOCHS[0], "first", LOG))]
    at, spans = 0, b""
    for level in reversed(range(17)):
        if 70_000 >> level & 1:
            spans += bytes((level,)) + mth(leaves[at : at + (1 << level)])
            at += 1 << level
    sections = [*made.sections()[:-1], (b"SKIP", spans), (b"DONE", b"")]
    made.given = set()
    folder = folder_of(made, bench.folder / "great")
    (folder / "log.bundle").write_bytes(framed(sections))
    for name, content in tiles_of(leaves, None):
        path = folder / "tiles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    code, report = bench.run(folder)
    assert (code, report["tiles"], report["damage"]) == (0, 273 + 1 + 1 + 1 + 1, [])
    tile = folder / "tiles/tile/0/272"
    tile.write_bytes(bytes((tile.read_bytes()[0] ^ 1,)) + tile.read_bytes()[1:])
    assert findings(bench.run(folder)[1]) == ["tiles"]


def flipped(path: Path, at: int = 40) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def renamed(path: Path, to: str) -> None:
    (path.parent / to).parent.mkdir(exist_ok=True)
    path.rename(path.parent / to)


TILES = "tiles/tile/"
FOLDER_DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "tile missing": (lambda f: (f / TILES / "0/000").unlink(), "tiles"),
    "partial tile missing": (lambda f: (f / TILES / "0/001.p/44").unlink(), "format"),
    "upper tile missing": (lambda f: (f / TILES / "1/000.p/1").unlink(), "format"),
    "entries missing": (lambda f: (f / TILES / "entries/000").unlink(), "tiles"),
    "tile altered": (lambda f: flipped(f / TILES / "0/000"), "tiles"),
    "partial tile altered": (lambda f: flipped(f / TILES / "0/001.p/44"), "tiles"),
    "upper tile altered": (lambda f: flipped(f / TILES / "1/000.p/1", 3), "tiles"),
    "entries altered": (lambda f: flipped(f / TILES / "entries/001.p/44"), "tiles"),
    "a length in entries altered": (lambda f: flipped(f / TILES / "entries/000", 1), "tiles"),
    "tile longer": (lambda f: (f / TILES / "0/000").write_bytes((f / TILES / "0/000").read_bytes() + b"x"), "tiles"),
    "tile shorter": (lambda f: (f / TILES / "0/000").write_bytes((f / TILES / "0/000").read_bytes()[:-32]), "tiles"),
    "tile empty": (lambda f: (f / TILES / "0/000").write_bytes(b""), "tiles"),
    "entries longer": (lambda f: (f / TILES / "entries/000").write_bytes((f / TILES / "entries/000").read_bytes() + bytes(144)), "tiles"),
    "tile of another width": (lambda f: renamed(f / TILES / "0/001.p/44", "45"), "format"),
    "tile of another number": (lambda f: renamed(f / TILES / "0/000", "002"), "format"),
    "another spelling of a tile": (lambda f: renamed(f / TILES / "0/000", "x000/000"), "format"),
    "another checkpoint": (lambda f: flipped(f / "tiles/checkpoint"), "tiles"),
    "no checkpoint": (lambda f: (f / "tiles/checkpoint").unlink(), "tiles"),
    "a stranger's file": (lambda f: (f / "more.txt").write_bytes(b""), "format"),
    "a stranger's file among tiles": (lambda f: (f / TILES / "0/readme").write_bytes(b""), "format"),
    "an empty folder": (lambda f: (f / "more").mkdir(), "format"),
    "a level too many": (lambda f: (f / TILES / "2").mkdir() or (f / TILES / "2/000").write_bytes(b""), "format"),
    "a link for a tile": (lambda f: renamed(f / TILES / "0/000", "../../../../moved") or (f / TILES / "0/000").symlink_to(f.parent / "moved"), "format"),
    "a link for a folder": (lambda f: renamed(f / "tiles", "../elsewhere") or (f / "tiles").symlink_to(f.parent / "elsewhere"), "format"),
    "a pipe for a tile": (lambda f: (f / TILES / "0/000").unlink() or os.mkfifo(f / TILES / "0/000"), "format"),
    "a folder for a tile": (lambda f: (f / TILES / "0/000").unlink() or (f / TILES / "0/000").mkdir(), "format"),
    "a token of another name": (lambda f: (f / "timestamps").mkdir() or (f / "timestamps/042.tsr").write_bytes(b""), "format"),
    "a token of no number": (lambda f: (f / "timestamps").mkdir() or (f / "timestamps/42.1.tsr").write_bytes(b""), "format"),
    "a folder for a token": (lambda f: (f / "timestamps/42.tsr").mkdir(parents=True), "format"),
    "the bundle damaged": (lambda f: flipped(f / "log.bundle", 5000), "record"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDER_DAMAGES)
def test_a_damage_of_a_folder_is_found_and_named(whole: Made, bench: Bench, name: str) -> None:
    change, finding = FOLDER_DAMAGES[name]
    folder = folder_of(whole, bench.folder / "export")
    change(folder)
    code, report = bench.run(folder)
    assert (code, findings(report)[0]) == (1, finding)


def test_entries_do_not_belong_where_records_were_left_out(made: Made, bench: Bench) -> None:
    made.given = {7}
    folder = folder_of(made, bench.folder / "export")
    (folder / TILES / "entries").mkdir()
    (folder / TILES / "entries/000").write_bytes(b"".join(b"\0\x8e" + each.header for each in made.records[:256]))
    assert findings(bench.run(folder)[1])[0] == "format"


def test_tokens_are_listed_as_not_verified_when_their_note_is_there(whole: Made, bench: Bench) -> None:
    folder = folder_of(whole, bench.folder / "export")
    (folder / "timestamps").mkdir()
    (folder / "timestamps/50.note").write_bytes(b"")
    (folder / "timestamps/51.999.tsr").write_bytes(b"")
    assert "timestamps" not in bench.run(folder)[1]["not_proven"]
    (folder / "timestamps/50.2.tsr").write_bytes(b"")
    code, report = bench.run(folder)
    assert (code, "timestamps" in report["not_proven"], report["timestamps"]) == (0, True, [])


# --- single records ---


def path_of(leaves: list[bytes], index: int) -> list[bytes]:
    """RFC 9162 section 2.1.3.1."""
    if len(leaves) < 2:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return [*path_of(leaves[:k], index), mth(leaves[k:])]
    return [*path_of(leaves[k:], index - k), mth(leaves[:k])]


def proof_of(made: Made, seq: int, size: int = 300, note: str = "") -> str:
    lines = ["c2sp.org/tlog-proof@v1", f"index {seq}", *map(b64, path_of(made.leaves[:size], seq))]
    return "\n".join(lines) + "\n\n" + (note or made.signed(size))


def document_of(made: Made, seq: int = 42, **changes: object) -> dict:
    each = made.records[seq]
    return {
        "format": "LLM AUDIT RECORD 1",
        "proof": proof_of(made, seq),
        "header": b64(each.header),
        "body": b64(each.body or b""),
        "subjects": b64(each.subjects or b""),
        "record_key": b64(each.key),
        "labels": ["app", "attempt"],
        "certificates": [note for _, note in made.certificates],
        **changes,
    }


@pytest.mark.parametrize("seq", [0, 1, 42, 119, 255, 256, 299])
def test_a_single_record_passes(whole: Made, bench: Bench, seq: int) -> None:
    code, report = bench.run(bench.file("record.json", json.dumps(document_of(whole, seq))))
    assert (code, report["ok"], report["seq"], report["size"], report["epochs"]) == (0, True, seq, 300, 3)
    assert report["fields"] == {"app": "app", "attempt": seq, "2": "0102"}
    assert {"clock", "labels", "epoch-roots"} <= set(report["not_proven"])
    closed = bench.run(bench.file("record.json", json.dumps(document_of(whole, seq, record_key=""))))
    assert (closed[0], closed[1]["fields"], "content" in closed[1]["not_proven"]) == (0, None, True)
    early = document_of(whole, 42, proof=proof_of(whole, 42, 120), certificates=[whole.certificates[0][1]])
    assert bench.run(bench.file("record.json", json.dumps(early)))[0] == 0


def test_witnesses_of_a_single_record_count_and_an_earlier_checkpoint_is_refused(whole: Made, bench: Bench) -> None:
    text = whole.text(300)
    good, bad = W1.cosigned(text, 7), W1.cosigned(text + "x", 7)
    path, w1 = bench.folder / "record.json", bench.file("w1.pub", W1.vkey)
    for lines, more, code, proven in (
        (good, ["--witness", w1], 0, True),
        (good, [], 0, False),
        (bad, [], 0, False),
        (bad, ["--witness", w1], 1, False),
    ):
        path.write_text(json.dumps(document_of(whole, proof=proof_of(whole, 42, note=whole.signed(300) + lines))))
        found, report = bench.run(path, *more)
        assert (found, "witness" not in report.get("not_proven", ["witness"])) == (code, proven)
    path.write_text(json.dumps(document_of(whole)))
    assert bench.run(path, "--known", bench.file("known", noted(whole.text(17), LOG)))[0] == 2


RECORD_DAMAGES: dict[str, tuple[Callable[[Made], dict], str]] = {
    "another record's proof": (lambda m: document_of(m, proof=proof_of(m, 43)), "proof"),
    "another number": (lambda m: document_of(m, proof=proof_of(m, 42).replace("index 42", "index 43")), "proof"),
    "a number beyond the tree": (lambda m: document_of(m, 200, proof=proof_of(m, 100, 120).replace("index 100", "index 200")), "proof"),
    "a hash less": (lambda m: document_of(m, proof=proof_of(m, 42).replace(b64(path_of(m.leaves, 42)[2]) + "\n", "")), "proof"),
    "a hash more": (lambda m: document_of(m, proof=proof_of(m, 42).replace("\n\n", "\n" + b64(bytes(32)) + "\n\n", 1)), "proof"),
    "a hash changed": (lambda m: document_of(m, proof=proof_of(m, 42).replace(b64(path_of(m.leaves, 42)[2]), b64(bytes(32)))), "proof"),
    "70 hashes": (lambda m: document_of(m, proof=proof_of(m, 42).replace("\n\n", ("\n" + b64(bytes(32))) * 70 + "\n\n", 1)), "format"),
    "no proof": (lambda m: document_of(m, proof=""), "format"),
    "a leading zero": (lambda m: document_of(m, proof=proof_of(m, 42).replace("index 42", "index 042")), "format"),
    "header changed": (lambda m: document_of(m, header=b64(m.records[42].with_header(30, b"x").header)), "proof"),
    "header short": (lambda m: document_of(m, header=b64(m.records[42].header[:-1])), "record"),
    "body changed": (lambda m: document_of(m, body=b64(b"x")), "record"),
    "subjects changed": (lambda m: document_of(m, subjects=b64(b"x")), "record"),
    "another key": (lambda m: document_of(m, record_key=b64(bytes(32))), "record"),
    "half a key": (lambda m: document_of(m, record_key=b64(bytes(16))), "record"),
    "base64 spelled otherwise": (lambda m: document_of(m, subjects="eB=="), "format"),
    "a member more": (lambda m: document_of(m, more=""), "format"),
    "a member less": (lambda m: {k: v for k, v in document_of(m).items() if k != "labels"}, "format"),
    "a number for a string": (lambda m: document_of(m, body=1), "format"),
    "null for a string": (lambda m: document_of(m, body=None), "format"),
    "labels of no text": (lambda m: document_of(m, labels=[["x"]]), "format"),
    "checkpoint of a stranger": (lambda m: document_of(m, proof=proof_of(m, 42, note=noted(m.text(300), STRANGER, EPOCHS[2]))), "signature"),
    "checkpoint without its epoch": (lambda m: document_of(m, proof=proof_of(m, 42, note=noted(m.text(300), LOG))), "epoch"),
    "checkpoint of yesterday's epoch": (lambda m: document_of(m, proof=proof_of(m, 42, note=noted(m.text(300), LOG, EPOCHS[1]))), "epoch"),
    "no certificates": (lambda m: document_of(m, certificates=[]), "epoch"),
    "the last certificate missing": (lambda m: document_of(m, certificates=[c for _, c in m.certificates[:2]]), "epoch"),
    "certificates swapped": (lambda m: document_of(m, certificates=[m.certificates[n][1] for n in (0, 2, 1)]), "epoch"),
    "a break": (lambda m: document_of(broken(m, "lost-key", LOG)), "break"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORD_DAMAGES)
def test_a_damage_of_a_single_record_is_found_and_named(made: Made, bench: Bench, name: str) -> None:
    change, finding = RECORD_DAMAGES[name]
    code, report = bench.run(bench.file("record.json", json.dumps(change(made))))
    assert (code, report["ok"], report.get("finding", "format")) == (1, False, finding)


@pytest.mark.no_cover  # many thousand times the same lines
def test_every_byte_of_a_single_record_matters(bench: Bench) -> None:
    made = made_log(3)
    good = json.dumps(document_of(made, 1, proof=proof_of(made, 1, 3)), indent=1).encode()
    proven = [name for name in bench.run(bench.file("record.json", good))[1] if name not in ("fields", "closes")]
    whole = bench.run(bench.file("record.json", good))[1]
    content = bytearray(good)
    for at in range(len(content)):
        content[at] ^= 1 << at % 7
        code, report = bench.run(bench.file("record.json", bytes(content)))
        assert code or {name: report[name] for name in proven} == {name: whole[name] for name in proven}, at
        content[at] ^= 1 << at % 7


# --- files that are none, and hostile ones ---


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 64, b"LLM AUDIT BUNDLE 2\n", b"LLM AUDIT BUNDLE 1\n\0" + bytes(99), b"SQLite format 3\0" + bytes(99), b"text", b"{}", b'{"format": "other"}', b"PK\3\4"],
)  # fmt: skip
def test_what_is_none_of_ours_is_no_verdict_on_a_log(bench: Bench, content: bytes) -> None:
    code, report = bench.run(bench.file("thing", content))
    assert (code, report["ok"]) == (2, False)
    assert report["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{" * 200_000,
        b'{"a":' * 100_000,
        b'{"a":"' + bytes(9 << 20),
        b"{\xff}",
        b'{"a":1e999}',
        b'{"a":"","a":""}',
    ],
)
def test_json_that_is_none_is_damage(bench: Bench, content: bytes) -> None:
    code, report = bench.run(bench.file("record.json", content))
    assert (code, report["finding"]) == (1, "format")


@pytest.mark.parametrize("role", ["path", "--key", "--known", "--witness"])
@pytest.mark.parametrize("kind", ["missing", "link", "pipe", "folder", "vast"])
def test_what_is_no_plain_file_is_refused(whole: Made, bench: Bench, role: str, kind: str) -> None:
    odd = bench.folder / "odd"
    if kind == "link":
        odd.symlink_to(bench.file("target", framed(whole.sections())))
    elif kind == "pipe":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    elif kind == "vast":
        odd.touch()
        os.truncate(odd, 1 << 40)
    if role == "path":
        assert bench.run(odd)[0] == 2
    else:
        assert bench.bundle(whole, role, str(odd))[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "y"],
        ["--quorum", "0"],
        ["--quorum", "x"],
        ["--quorum", "2"],
        ["--accept-break", "-1"],
        ["--unknown"],
        ["--key"],
    ],
)
def test_a_wrong_call_is_answered_without_a_traceback(bench: Bench, arguments: list[str]) -> None:
    code = second.main(
        [
            *arguments,
            *(
                ["--key", bench.file("k", LOG.vkey), bench.file("b", b"")]
                if arguments and arguments != ["--key"]
                else []
            ),
        ]
    )
    assert code == 2
    assert "проверить нельзя" in bench.capsys.readouterr().err


def test_a_witness_named_twice_does_not_count_twice(whole: Made, bench: Bench) -> None:
    w1, again = bench.file("w1", W1.vkey), bench.file("again", Signs("one", "witness.test/other", 4).vkey)
    assert bench.bundle(whole, "--witness", w1, "--witness", w1, "--quorum", "2")[0] == 2
    assert bench.bundle(whole, "--witness", w1, "--witness", again, "--quorum", "2")[0] == 2
    assert bench.bundle(whole, "--witness", bench.file("log-key", LOG.vkey))[0] == 2


def test_a_flood_of_damage_names_twenty(made: Made, bench: Bench) -> None:
    made.records = [replace(each, subjects=b"x") for each in made.records]
    code, report = bench.bundle(made)
    assert (code, findings(report)) == (1, ["record"] * 20)


# --- what an auditor's machine needs ---


def test_the_program_needs_nothing_but_the_standard_library(whole: Made, bench: Bench) -> None:
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    folder = folder_of(whole, bench.folder / "export")
    (folder / "verify.py").write_bytes(PROGRAM.read_bytes())
    key = bench.file("log.pub", f"{LOG.vkey}\n{EPOCHS[0].vkey}\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", folder / "verify.py", "--key", key],
        capture_output=True,
        env={"LC_ALL": "C"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Журнал цел" in done.stdout.decode()
    (folder / "more").touch()
    done = subprocess.run(
        [sys.executable, "-I", "-S", folder / "verify.py", ".", "--key", key], capture_output=True, cwd=folder
    )
    assert done.returncode == 1
    assert "НЕ ПРОШЁЛ" in done.stdout.decode()
    done = subprocess.run([sys.executable, "-I", "-S", folder / "verify.py", "--key", folder], capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr


# --- both verifiers, on what the product exports ---

DAY_US = 86_400_000_000


@dataclass
class Product:
    """A real log of five epochs with content dropped and two witnesses, exported whole and in part, and the auditor's files."""

    key: Path
    w1: Path
    w2: Path
    known: Path
    whole: Path
    part: Path
    record: Path


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    folder = tmp_path_factory.mktemp("product")
    settings = installed(folder)
    now = [T0 * 1_000_000]
    one, two = Witnesser("witness.test/1", sha256(b"one")), Witnesser("witness.test/2", sha256(b"two"))
    found = Product(
        *(folder / name for name in ("sign.pub", "w1.pub", "w2.pub", "known", "whole", "part", "record.json"))
    )

    async def run() -> None:
        for day in range(3):
            async with AuditLog.open(settings, clock=lambda: now[0]) as log:
                for n in range(100):
                    body = msgspec.msgpack.encode(["приложение", n, {"PERSON": 1}, b"\0"])
                    subjects = (bytes(16),) if n % 4 == 0 else ()
                    await log.append(
                        Entry(
                            1 + n % 3, 1, body, subjects, opens=n % 10 == 0, commit_to=b"x" * (n % 2), retention=n % 2
                        )
                    )
                if day == 1:
                    await log.hand_over()
                now[0] += 40 * DAY_US if day == 0 else 1_000_000
                if day == 2:
                    for each in await log.expired({1: 20}):
                        await log.drop(each)
                asked = await log.submission(0)
                for witness, at in [(one, T0 + 3), (two, T0 + 4)] if day == 1 else [(two, T0 + 5 * day)]:
                    await log.keep_cosigned(
                        WitnessVerifier(witness.key),
                        asked.note,
                        witness.cosign(asked.note.partition("\n\n")[0] + "\n", at),
                    )
                if day == 1:
                    found.known.write_text(asked.note)

    asyncio.run(run())
    found.w1.write_text(one.key.vkey)
    found.w2.write_text(two.key.vkey)
    root = TrustRoot.parse(found.key.read_text())
    export_folder(settings.path, found.whole, root)
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        export_folder(
            settings.path, found.part, root, Selection((1, 5, 100, 150, 299), reader.keys(), {2: ("app", "n")})
        )
        found.record.write_bytes(
            reader.disclose(150, Verifier.parse(found.key.read_text()), key=True, labels=("app", "n")).encoded()
        )
    return found


def both(*arguments: Path | str) -> list[tuple[int, dict]]:
    """Exit code and report of the first verifier, and of the second, alone in a process without any library."""
    answers = []
    for program in ([sys.executable, "-m", "audit", "verify"], [sys.executable, "-I", "-S", str(PROGRAM)]):
        done = subprocess.run([*program, *arguments, "--json"], capture_output=True, cwd=PROGRAM.parents[1])
        assert b"Traceback" not in done.stderr
        answers.append((done.returncode, json.loads(done.stdout.splitlines()[-1])))
    return answers


@pytest.mark.parametrize("more", [[], ["--witness"], ["--quorum"], ["--known"], ["one line"]], ids=str)
@pytest.mark.parametrize("which", ["whole", "part"])
@pytest.mark.parametrize("beside", ["", "log.bundle"], ids=["folder", "bundle"])
def test_both_verifiers_say_the_same_of_a_real_log(
    product: Product, tmp_path: Path, which: str, beside: str, more: list[str]
) -> None:
    key = product.key
    options: list[str] = []
    if more == ["one line"]:
        key = tmp_path / "short.pub"
        key.write_text(product.key.read_text().splitlines()[0])
    elif more == ["--known"]:
        options = ["--known", str(product.known)]
    elif more:
        options = [
            "--witness",
            str(product.w2),
            "--witness",
            str(product.w1),
            *(["--quorum", "2"] if "--quorum" in more else []),
        ]
    (code, first), (second_code, other) = both(getattr(product, which) / beside, "--key", key, *options)
    assert (code, second_code) == (0, 0)
    assert set(first) - set(other) <= {"key"}
    assert {name: first[name] for name in other} == other
    assert other["size"] == 300
    assert other["dropped"] > 0
    assert bool(other["witnesses"]) == bool({"--witness", "--quorum"} & set(more))


def test_both_verifiers_read_the_same_in_opened_bodies(product: Product) -> None:
    answers = []
    for program in ([sys.executable, "-m", "audit", "verify"], [sys.executable, "-I", "-S", str(PROGRAM)]):
        done = subprocess.run(
            [*program, product.part / "log.bundle", "--key", product.key, "--entries", "--json"],
            capture_output=True,
            cwd=PROGRAM.parents[1],
        )
        answers.append([json.loads(line) for line in done.stdout.splitlines()[:-1]])
    assert answers[0] == answers[1]
    assert [each["seq"] for each in answers[1]] == [100, 150, 299]  # of the others nothing is kept


def verdicts(path: Path, key: Path) -> tuple[bool, bool]:
    """Whether the first and the second verifier find it whole."""
    text = key.read_text()
    try:
        first = verify_record(path, text).seq >= 0 if path.suffix == ".json" else verify_file(path, Trust(text)).ok
    except AuditError:
        first = False
    try:
        other = second.verify(str(path), second.Trust(*second.trust_root(text, "")), None)["ok"]
    except (second.DamageError, second.UnusableError):
        other = False
    return first, other


def sections_of(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 20
    while at < len(content):
        length = int.from_bytes(content[at + 4 : at + 12], "big")
        found.append((content[at : at + 4], content[at + 12 : at + 12 + length]))
        at += 12 + length
    return found


@pytest.mark.parametrize("which", ["whole", "part"])
@pytest.mark.no_cover  # many thousand times the same lines
def test_both_verifiers_agree_on_every_section_lost_moved_cut_or_altered(
    product: Product, tmp_path: Path, which: str
) -> None:
    content = (getattr(product, which) / "log.bundle").read_bytes()
    sections = sections_of(content)
    assert framed(sections) == content
    damaged: list[bytes] = [content, content + b"\0", content[:-12], content[:-13]]
    border = 20
    for at, (tag, inner) in enumerate(sections):
        damaged.append(content[: border + 12])
        damaged.append(framed(sections[:at] + sections[at + 1 :]))
        if at + 1 < len(sections):
            damaged.append(framed([*sections[:at], sections[at + 1], sections[at], *sections[at + 2 :]]))
        for share in (0, 0.13, 0.37, 0.61, 0.89, 1):
            changed = bytearray(inner or b"\0")
            changed[int(share * (len(changed) - 1))] ^= 4
            damaged.append(framed([*sections[:at], (tag, bytes(changed)), *sections[at + 1 :]]))
        damaged.append(framed([*sections[:at], (tag, inner[: len(inner) // 2]), *sections[at + 1 :]]))
        border += 12 + len(inner)
    path = tmp_path / "log.bundle"
    seen = set()
    for number, each in enumerate(damaged):
        path.write_bytes(each)
        first, other = verdicts(path, product.key)
        assert first == other, (number, which)
        seen.add(other)
    assert seen == {True, False}


def test_both_verifiers_agree_on_a_single_record_and_its_damages(product: Product, tmp_path: Path) -> None:
    assert verdicts(product.record, product.key) == (True, True)
    good = json.loads(product.record.read_text())
    path = tmp_path / "record.json"
    for name, value in good.items():
        others: list[object] = [{"proof": "", "format": ""}.get(name, 1)]
        if isinstance(value, str) and value:
            others += [
                value[: len(value) // 2],
                value[:-1] + "~",
                value[:5] + ("A" if value[5] != "A" else "B") + value[6:],
            ]
        if name == "certificates":
            others += [value[:-1], value[1:], value[::-1], [*value, value[-1]], []]
        for other in others:
            path.write_text(json.dumps({**good, name: other}))
            assert verdicts(path, product.key) == (False, False), (name, other)
    path.write_text(json.dumps({**good, "more": ""}))
    assert verdicts(path, product.key) == (False, False)


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_both_verifiers_refuse_what_is_in_the_table(made: Made, tmp_path: Path, name: str) -> None:
    changed = DAMAGES[name][0](made)
    path, key = tmp_path / "log.bundle", tmp_path / "log.pub"
    key.write_text(f"{LOG.vkey}\n{EPOCHS[0].vkey}\n")
    path.write_bytes(
        changed if isinstance(changed, bytes) else framed(changed.sections() if isinstance(changed, Made) else changed)
    )
    assert verdicts(path, key) == (False, False)


@pytest.mark.parametrize("name", sorted(FOLDER_DAMAGES))
def test_both_verifiers_refuse_the_damages_of_a_folder(whole: Made, tmp_path: Path, name: str) -> None:
    folder, key = folder_of(whole, tmp_path / "export"), tmp_path / "log.pub"
    key.write_text(f"{LOG.vkey}\n{EPOCHS[0].vkey}\n")
    assert verdicts(folder, key) == (True, True)
    FOLDER_DAMAGES[name][0](folder)
    assert verdicts(folder, key) == (False, False)


@pytest.mark.parametrize(
    "options",
    [["--quorum", "0"], ["--quorum", "2"], ["--witness", "{w1}", "--witness", "{w1}"], ["--accept-break", "-1"], ["--known", "{fifo}"], ["--key", "{fifo}"]],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("which", ["whole", "record"])
def test_both_verifiers_refuse_a_call_that_cannot_be_meant(
    product: Product, tmp_path: Path, which: str, options: list[str]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    named = [each.format(w1=product.w1, fifo=tmp_path / "fifo") for each in options]
    key = [] if "--key" in options else ["--key", str(product.key)]
    for code, report in both(getattr(product, which), *key, *named):
        assert (code, report["ok"], bool(report["message"])) == (2, False, True)


def test_neither_verifier_waits_for_a_pipe_or_reads_a_device(product: Product, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path / "nowhere"):
        assert [code for code, _ in both(path, "--key", product.key)] == [2, 2]


def test_both_verifiers_say_the_same_of_a_single_record(product: Product) -> None:
    witness = ["--witness", str(product.w1)]
    for options in ([], witness):
        (code, first), (second_code, other) = both(product.record, "--key", product.key, *options)
        assert (code, second_code) == (0, 0)
        assert first == other
        assert {"epoch-roots", "labels"} <= set(first["not_proven"])
    for code, report in both(product.record, "--key", product.key, "--known", product.known):
        assert (code, report["ok"]) == (2, False)


def test_both_verifiers_refuse_a_record_whose_json_has_two_meanings(product: Product, tmp_path: Path) -> None:
    good = product.record.read_text()
    document = json.loads(good)
    path = tmp_path / "record.json"
    others = [
        good.replace('"header"', '"header": "", "header"', 1),
        json.dumps({name: value for name, value in document.items() if name != "subjects"}),
        json.dumps({**document, "header": document["header"] + "\n"}),
        json.dumps({**document, "proof": document["proof"].replace("index", "extra \u0416\nindex", 1)}),
        json.dumps({**document, "labels": ["\ud800"]}),
        "\ufeff" + good,
    ]
    for content in others:
        path.write_text(content)
        assert verdicts(path, product.key) == (False, False), content[:80]
    path.write_text(json.dumps({**document, "proof": document["proof"].replace("index", "extra QUJD\nindex", 1)}))
    assert verdicts(path, product.key) == (True, True)


def test_both_verifiers_refuse_keys_that_are_no_use(product: Product, tmp_path: Path) -> None:
    name, _, _ = product.key.read_text().partition("+")
    path = tmp_path / "log.pub"
    points = {
        "small order": bytes(32),
        "order eight": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        "another spelling": (2**255 - 19 + 3).to_bytes(32, "little"),
        "not on the curve": (2).to_bytes(32, "little"),
    }
    for point in points.values():
        material = b"\x01" + point
        key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex()
        path.write_text(f"{name}+{key_id}+{base64.b64encode(material).decode()}\n")
        assert [code for code, _ in both(product.whole, "--key", path)] == [2, 2]


def test_both_verifiers_miss_the_tiles(product: Product, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    shutil.copytree(product.whole, folder)
    for name in ("keys.pub", "verify.py", "ЧИТАЙТЕ.txt"):
        (folder / name).unlink()
    assert [code for code, _ in both(folder, "--key", product.key)] == [0, 0]
    shutil.rmtree(folder / "tiles")
    for code, report in both(folder, "--key", product.key):
        assert (code, report["damage"][0]["finding"]) == (1, "tiles")
