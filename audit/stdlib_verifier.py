"""Verify an export of the decision log with Python alone: one file, no libraries, written from FORMAT.md, apart from what keeps the log.

    python3 -I verify.py [PATH] --key LOG.pub [--known NOTE] [--witness WITNESS.pub]... [--quorum K]
                         [--accept-break N]... [--json] [--entries]

PATH is a bundle, an export folder, or one disclosed record (JSON); without it, the folder this file lies in.
Exit code: 0 verified, 1 damage found, 2 a file cannot be read, is none of these, or a key is none.
It reads nothing but the files it is given and writes nothing but its report.

To be read from top to bottom: limits and words, Ed25519, AES-256-GCM-SIV, MessagePack, files, notes and keys, tree,
signing epochs, report, record, bundle, folder, single record, words for people, command line. "Section" is one of FORMAT.md.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import stat
import struct
import sys
import unicodedata
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Point = tuple[int, int, int, int]  # extended coordinates x, y, z, t: affine (x/z, y/z), t = xy/z
    Addend = tuple[int, int, int]  # of an affine point: y + x, y - x, 2dxy
    Tell = Callable[[dict[str, object]], None]

# ━━ Limits and words ━━

MAGIC = b"LLM AUDIT BUNDLE 2\n\0"
RECORD_FORMAT = "LLM AUDIT RECORD 1"
MAX_SECTION = MAX_JSON = 8 << 20  # bytes
MAX_NOTE = 65_536  # characters
MAX_NAMED = 20  # damages of one kind that are named
MAX_NESTING = 32
MAX_LEVEL = 40  # of a skipped span
NOT_KEPT = 0xFFFF_FFFF
BREAKS = ("lost-key", "restored")

NOT_PROVEN = {  # in the order of section 8
    "witness": "ни один свидетель не подтвердил журнал: владелец машины и ключей мог переписать его целиком",
    "unwitnessed-tail": "записи после последней подтверждённой свидетелями точки никто посторонний не видел",
    "truncation": "не дано прежней контрольной точки (--known): что журнал её продолжает, не проверено",
    "first-epoch": "ключ первой эпохи подписи не закреплён: начало цепочки эпох держится на одном ключе журнала",
    "epoch-tail": "записи после начала последней эпохи может подписать заново тот, у кого её ключ и ключ журнала",
    "break": "в цепочке эпох принят разрыв: связь через него подтверждает только ключ журнала и ваш акт",
    "skipped": "часть записей не выгружена: показаны лишь их место и число",
    "dropped": "содержимое части записей уже не хранится: остались заголовки и хеши",
    "clock": "время в записях — по часам самой машины",
    "content": "содержимое не раскрытых записей зашифровано: что в них сказано, не проверено",
    "labels": "имена полей раскрытых записей ничем не заверены",
    "timestamps": "метки времени в папке этой программой не проверяются (см. FORMAT.md, раздел 6)",
    "epoch-roots": "корни деревьев в удостоверениях эпох по одной записи не проверить",
}


class UnusableError(Exception):
    """Exit code 2: a file cannot be read or is none of ours, a key is none."""


class DamageError(Exception):
    """Exit code 1: one finding of section 8, and the number of the record when it is about one."""

    def __init__(self, finding: str, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.finding, self.message, self.seq = finding, message, seq


def sha256(data: bytes) -> bytes:
    """H of FORMAT.md."""
    return hashlib.sha256(data).digest()


# ━━ Ed25519: RFC 8032 section 5.1.7, strict ━━
# Refused: S not below the group's order, a key or R in another spelling than the canonical one, keys of small order.
# The equation is the one without the cofactor. Speed: the sum [S]B + [k](-A) is made of additions alone, from tables of
# multiples of B (made once) and of A (once a key).

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def decompressed(raw: bytes) -> Point | None:
    """The point of these 32 bytes (RFC 8032 section 5.1.3), or None."""
    number = int.from_bytes(raw, "little")
    y, odd = number & ((1 << 255) - 1), number >> 255
    if len(raw) != 32 or y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (v * x * x - u) % P or (x == 0 and odd):
        return None
    if x & 1 != odd:
        x = P - x
    return x, y, 1, x * y % P


def added(p: Point, q: Point) -> Point:
    """The sum; right for equal points too (the formula is complete)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * D * p[3] % P * q[3] % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiples(point: Point, width: int) -> list[list[Addend]]:
    """Row i holds j * 2**(width * i) * point for j = 1 … 2**(width - 1), at index j - 1."""
    points: list[Point] = []
    for _ in range(256 // width):
        first = point
        points.append(point)
        for _ in range((1 << (width - 1)) - 1):
            point = added(point, first)
            points.append(point)
        point = added(point, point)
    products = [1]  # one inversion for all z
    for each in points:
        products.append(products[-1] * each[2] % P)
    inverse = pow(products[-1], -1, P)
    table: list[Addend] = [(0, 0, 0)] * len(points)
    for at in range(len(points) - 1, -1, -1):
        x, y, z, _ = points[at]
        one_over_z = inverse * products[at] % P
        inverse = inverse * z % P
        x, y = x * one_over_z % P, y * one_over_z % P
        table[at] = ((y + x) % P, (y - x) % P, 2 * D * x * y % P)
    size = 1 << (width - 1)
    return [table[start : start + size] for start in range(0, len(table), size)]


def plus_multiple(point: Point, table: list[list[Addend]], width: int, scalar: int) -> Point:
    """The sum of the point and [scalar]Q, where `table` is multiples(Q, width)."""
    x, y, z, t = point
    half, full = 1 << (width - 1), 1 << width
    for row in table:
        digit = scalar & (full - 1)
        scalar >>= width
        if digit > half:  # digits from -half + 1 to half
            scalar += 1
            minus, plus, c = row[full - digit - 1]
            c = -c
        elif digit:
            plus, minus, c = row[digit - 1]
        else:
            continue
        a, b, c = (y - x) * minus % P, (y + x) * plus % P, t * c % P
        e, f, g, h = b - a, 2 * z - c, 2 * z + c, b + a
        x, y, z, t = e * f % P, g * h % P, f * g % P, e * h % P
    return x, y, z, t


class PublicKey:
    """An Ed25519 public key; raises ValueError when the bytes are none."""

    base: list[list[Addend]] = []  # noqa: RUF012 — shared on purpose: the multiples of B, made at the first use

    def __init__(self, raw: bytes) -> None:
        point = decompressed(raw)
        if point is None:
            raise ValueError("not a point")
        eight_times = point
        for _ in range(3):
            eight_times = added(eight_times, eight_times)
        if eight_times[0] == 0:  # then every message would have the same signatures
            raise ValueError("small order")
        self.raw = raw
        self.minus = (P - point[0], point[1], 1, P - point[3])
        self.width = self.uses = 0
        self.table: list[list[Addend]] = []

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this is a signature of the message."""
        s = int.from_bytes(signature[32:], "little")
        if len(signature) != 64 or s >= ORDER:
            return False
        self.uses += 1
        wanted = 4 if self.uses < 256 else 8  # a greater table pays for keys that sign much
        if self.width != wanted:
            self.width, self.table = wanted, multiples(self.minus, wanted)
        if not PublicKey.base:
            base = decompressed((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
            PublicKey.base = multiples(base or NEUTRAL, 8)
        k = int.from_bytes(hashlib.sha512(signature[:32] + self.raw + message).digest(), "little") % ORDER
        found = plus_multiple(NEUTRAL, PublicKey.base, 8, s)
        x, y, z, _ = plus_multiple(found, self.table, self.width, k)
        one_over_z = pow(z, -1, P)
        x, y = x * one_over_z % P, y * one_over_z % P
        return signature[:32] == (y | (x & 1) << 255).to_bytes(32, "little")


# ━━ AES-256-GCM-SIV: FIPS 197 and RFC 8452 ━━


def aes_tables() -> tuple[bytes, list[list[int]]]:
    """The S-box, and the four tables that join it with MixColumns."""
    box, p, q = bytearray(256), 1, 1
    while True:
        p ^= (p << 1 & 0xFF) ^ (0x1B if p & 0x80 else 0)  # p times 3, q divided by 3: q is the inverse of p
        for shift in (1, 2, 4):
            q ^= q << shift & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        turned = q << 8 | q
        box[p] = 0x63 ^ q ^ turned >> 7 & 0xFF ^ turned >> 6 & 0xFF ^ turned >> 5 & 0xFF ^ turned >> 4 & 0xFF
        if p == 1:
            break
    box[0] = 0x63
    first = []
    for s in box:
        double = (s << 1) ^ (0x11B if s & 0x80 else 0)
        first.append(double << 24 | s << 16 | s << 8 | double ^ s)
    return bytes(box), [[word >> n | word << 32 - n & 0xFFFF_FFFF for word in first] for n in (0, 8, 16, 24)]


BOX, TABLES = aes_tables()


def aes256(key: bytes) -> Callable[[bytes], bytes]:
    """Encryption of one block of 16 bytes under this key."""
    k, constant = list(struct.unpack(">8I", key)), 1
    for at in range(8, 60):
        word = k[-1]
        if at % 8 == 0:
            word = (word << 8 | word >> 24) & 0xFFFF_FFFF
        if at % 4 == 0:
            word = int.from_bytes(bytes(BOX[byte] for byte in word.to_bytes(4, "big")), "big")
        if at % 8 == 0:
            word ^= constant << 24
            constant <<= 1
        k.append(k[-8] ^ word)
    t0, t1, t2, t3 = TABLES

    def encrypted(block: bytes) -> bytes:
        words = struct.unpack(">4I", block)
        a, b, c, d = words[0] ^ k[0], words[1] ^ k[1], words[2] ^ k[2], words[3] ^ k[3]
        for at in range(4, 56, 4):
            a, b, c, d = (
                t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ k[at],
                t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ k[at + 1],
                t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ k[at + 2],
                t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ k[at + 3],
            )
        last = ((a, b, c, d), (b, c, d, a), (c, d, a, b), (d, a, b, c))
        return struct.pack(
            ">4I",
            *(
                (BOX[p >> 24] << 24 | BOX[q >> 16 & 255] << 16 | BOX[r >> 8 & 255] << 8 | BOX[s & 255]) ^ k[56 + at]
                for at, (p, q, r, s) in enumerate(last)
            ),
        )

    return encrypted


def polyval(key: bytes, data: bytes) -> bytes:
    """RFC 8452 section 3, over whole blocks."""
    h = int.from_bytes(key, "little")
    by_nibble = {f"{n:x}": (n & 1) * h ^ (n & 2) * h ^ (n & 4) * h ^ (n & 8) * h for n in range(16)}
    s = 0
    for at in range(0, len(data), 16):
        product = 0
        for nibble in f"{s ^ int.from_bytes(data[at : at + 16], 'little'):032x}":
            product = product << 4 ^ by_nibble[nibble]
        for _ in range(2):  # times x^-128, modulo x^128 + x^127 + x^126 + x^121 + 1: 64 bits at a time
            low = product & 0xFFFF_FFFF_FFFF_FFFF
            product = (product ^ low ^ low << 121 ^ low << 126 ^ low << 127 ^ low << 128) >> 64
        s = product
    return s.to_bytes(16, "little")


def siv_opened(key: bytes, nonce: bytes, sealed: bytes, additional: bytes) -> bytes | None:
    """The plain text, or None when the tag does not hold. RFC 8452 section 5."""
    if len(sealed) < 16:
        return None
    ciphertext, tag = sealed[:-16], sealed[-16:]
    derive = aes256(key)
    derived = [derive(struct.pack("<I", n) + nonce)[:8] for n in range(6)]
    encrypt = aes256(b"".join(derived[2:]))
    counter, rest = int.from_bytes(tag[:4], "little"), tag[4:15] + bytes((tag[15] | 0x80,))
    count = (len(ciphertext) + 15) // 16
    stream = b"".join(encrypt(struct.pack("<I", counter + n & 0xFFFF_FFFF) + rest) for n in range(count))
    plain = bytes(a ^ b for a, b in zip(ciphertext, stream))  # noqa: B905 — Python 3.9 has no `strict`; the stream is longer
    padded = b"".join(part + bytes(-len(part) % 16) for part in (additional, plain))
    s = polyval(b"".join(derived[:2]), padded + struct.pack("<QQ", 8 * len(additional), 8 * len(plain)))
    masked = bytearray(a ^ b for a, b in zip(s, nonce + bytes(4)))  # noqa: B905 — both have 16 bytes
    masked[15] &= 0x7F
    return plain if encrypt(bytes(masked)) == tag else None


# ━━ MessagePack, read into what JSON can say: bytes become hexadecimal ━━

FIXED = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I",
    0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
COUNTED = {
    0xC4: ("bin", 1), 0xC5: ("bin", 2), 0xC6: ("bin", 4), 0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4),
    0xDC: ("array", 2), 0xDD: ("array", 4), 0xDE: ("map", 2), 0xDF: ("map", 4),
}  # fmt: skip


class Unpacker:
    """One value and nothing after it; extension types are refused. Raises ValueError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def whole(self) -> object:
        value = self.value(0)
        if self.at != len(self.data):
            raise ValueError("bytes left")
        return value

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError("too short")
        self.at += count
        return self.data[self.at - count : self.at]

    def value(self, depth: int) -> object:
        if depth > MAX_NESTING:
            raise ValueError("nested too deep")
        first = self.take(1)[0]
        if first < 0x80 or first >= 0xE0:
            return first if first < 0x80 else first - 256
        if first in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[first]
        if first in FIXED:
            (number,) = struct.unpack(FIXED[first], self.take(struct.calcsize(FIXED[first])))
            return number if number - number == 0 else str(number)  # JSON has no infinities
        if first in COUNTED:
            kind, size = COUNTED[first]
            return self.collection(kind, int.from_bytes(self.take(size), "big"), depth)
        if first < 0xC0:
            kind = "str" if first >= 0xA0 else "array" if first >= 0x90 else "map"
            return self.collection(kind, first & (0x1F if kind == "str" else 0x0F), depth)
        raise ValueError("extension")

    def collection(self, kind: str, count: int, depth: int) -> object:
        if kind == "bin":
            return self.take(count).hex()
        if kind == "str":
            return self.take(count).decode("utf-8")
        if kind == "array":
            return [self.value(depth + 1) for _ in range(count)]
        found: dict[str, object] = {}
        for _ in range(count):
            name = str(self.value(depth + 1))
            if name in found:
                raise ValueError("a name twice")
            found[name] = self.value(depth + 1)
        return found


# ━━ Files ━━


def opened(path: str) -> BinaryIO:
    """A plain file: no link, no pipe, no folder. Raises UnusableError."""
    extra = (getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
    try:
        if os.path.islink(path):  # noqa: PTH114 — strings throughout: names are compared, not resolved
            raise UnusableError(f"`{path}`: это ссылка, а нужен сам файл")
        descriptor = os.open(path, os.O_RDONLY | sum(extra))
    except OSError as error:
        raise UnusableError(f"`{path}`: файл не читается ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnusableError(f"`{path}`: это не обычный файл")
    return os.fdopen(descriptor, "rb")


def content_of(path: str, limit: int) -> bytes:
    """The whole of a file that has at most `limit` bytes; of a greater one `limit` + 1 bytes. Raises UnusableError."""
    try:
        with opened(path) as file:
            return file.read(limit + 1)
    except OSError as error:
        raise UnusableError(f"`{path}`: файл не читается ({error.strerror})") from None


def text_of(path: str) -> str:
    """A short text file that the auditor named. Raises UnusableError."""
    raw = content_of(path, 4 * MAX_NOTE)
    try:
        if len(raw) <= 4 * MAX_NOTE:
            return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise UnusableError(f"`{path}`: в файле не текст, или он слишком велик")


def unbase64(text: str, size: int | None = None) -> bytes:
    """Standard base64 in its one canonical spelling, of so many bytes. Raises ValueError."""
    raw = base64.b64decode(text.encode("ascii"), validate=True)
    if base64.b64encode(raw).decode("ascii") != text or (size is not None and len(raw) != size):
        raise ValueError("not canonical base64 of that size")
    return raw


def decimal(text: str) -> int:
    """A number below 2^64 without leading zeros. Raises ValueError."""
    if not re.fullmatch("0|[1-9][0-9]{0,19}", text) or int(text) >= 1 << 64:
        raise ValueError("not a decimal number")
    return int(text)


def strict_json(raw: bytes) -> object:
    """JSON of objects, lists and strings alone (ours has no others), no name twice. Raises ValueError."""

    def refuse(_: str) -> NoReturn:
        raise ValueError("a number")

    def pairs(members: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(members)) != len(members):
            raise ValueError("a name twice")
        return dict(members)

    text = raw.decode("utf-8")
    try:
        found: object = json.loads(
            text, object_pairs_hook=pairs, parse_int=refuse, parse_float=refuse, parse_constant=refuse
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    return found


def encodable(text: object) -> bool:
    """Whether this is a string without lone surrogates."""
    return isinstance(text, str) and not re.search("[\ud800-\udfff]", text)


# ━━ Section 2: notes, checkpoints, keys ━━


class Key:
    """A key from its line (vkey): name, id, and the type that the caller asks for. Raises ValueError."""

    def __init__(self, line: str, kind: int) -> None:
        self.name, digits, encoded = line.split("+", 2)
        blob = unbase64(encoded, 33)
        self.id = sha256(self.name.encode() + b"\n" + blob)[:4]
        if not is_name(self.name) or digits != self.id.hex() or blob[0] != kind:
            raise ValueError("not a key of that type")
        self.line, self.public = line, PublicKey(blob[1:])


def is_name(text: str) -> bool:
    """Whether a key may be called so: c2sp.org/signed-note."""
    return bool(text) and "+" not in text and not any(c.isspace() for c in text) and not CONTROL.search(text)


CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class Note(NamedTuple):
    """A signed note: its text, and of each signature line the name, the key id and the rest."""

    text: str
    lines: list[tuple[str, bytes, bytes]]

    @classmethod
    def parse(cls, raw: bytes) -> Note:
        """Raises ValueError."""
        whole = raw.decode("utf-8")
        body, gap, tail = whole.rpartition("\n\n")
        if len(whole) > MAX_NOTE or CONTROL.search(whole) or not gap or not tail.endswith("\n"):
            raise ValueError("not a note")
        lines = []
        for line in tail[:-1].split("\n"):
            dash, name, encoded = line.split(" ")
            blob = unbase64(encoded)
            if dash != "—" or not is_name(name) or len(blob) < 5:
                raise ValueError("not a signature line")
            lines.append((name, blob[:4], blob[4:]))
        return cls(body + "\n", lines)

    def signatures(self, key: Key) -> list[bytes]:
        """What stands in the lines of this key."""
        return [rest for name, key_id, rest in self.lines if (name, key_id) == (key.name, key.id)]

    def signed_by(self, key: Key) -> bool:
        """Whether there is a line of this key, and every line of it holds."""
        found = self.signatures(key)
        return bool(found) and all(key.public.verifies(self.text.encode(), each) for each in found)

    def cosigned_at(self, witness: Key) -> int | None:
        """When this witness cosigned (section 4; POSIX seconds), None when it did not. Raises DamageError: a line of it does not hold."""
        times = []
        for each in self.signatures(witness):
            seconds = int.from_bytes(each[:8], "big")
            message = f"cosignature/v1\ntime {seconds}\n{self.text}".encode()
            if len(each) != 72 or seconds >= 1 << 63 or not witness.public.verifies(message, each[8:]):
                raise DamageError("signature", f"подпись свидетеля {witness.name} не сходится")
            times.append(seconds)
        return max(times, default=None)


class Checkpoint(NamedTuple):
    """What a checkpoint says, and the note that says it."""

    note: Note
    size: int
    root: bytes

    @classmethod
    def parse(cls, raw: bytes, origin: str) -> Checkpoint:
        """A checkpoint of the log of this name. Raises ValueError."""
        note = Note.parse(raw)
        lines = note.text[:-1].split("\n")
        if len(lines) < 3 or not all(lines) or lines[0] != origin:
            raise ValueError("not a checkpoint of this log")
        return cls(note, decimal(lines[1]), unbase64(lines[2], 32))


class Trust(NamedTuple):
    """What the auditor brings."""

    log: Key
    first: Key | None
    known: Checkpoint | None = None
    witnesses: Sequence[Key] = ()
    quorum: int = 1
    accepted: Sequence[int] = ()


def trust_root(text: str, path: str) -> tuple[Key, Key | None]:
    """The log's key and, when pinned, that of its first epoch. Raises UnusableError."""
    lines = [line for line in text.split("\n") if line]
    try:
        keys = [Key(line, 1) for line in lines]
        if len(keys) not in (1, 2) or len(set(lines)) != len(lines) or keys[0].name != keys[-1].name:
            raise ValueError("one or two different lines of one name")
    except ValueError:
        raise UnusableError(f"`{path}`: это не открытый ключ журнала") from None
    return keys[0], keys[1] if len(keys) == 2 else None


def witness_key(text: str, path: str) -> Key:
    """Raises UnusableError."""
    try:
        (line,) = [line for line in text.split("\n") if line]
        return Key(line, 4)
    except ValueError:
        raise UnusableError(f"`{path}`: это не открытый ключ свидетеля") from None


# ━━ Section 2: the tree of RFC 9162, of which only the right edge is kept ━━


def node(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return sha256(b"\1" + left + right)


class Tree:
    """The complete subtrees at the right edge, each as (level, hash), the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self.edge: list[tuple[int, bytes]] = []

    def add(self, level: int, subtree: bytes) -> None:
        """A complete subtree over 2^level leaves; the size must be a multiple of that."""
        self.size += 1 << level
        while self.edge and self.edge[-1][0] == level:
            subtree = node(self.edge.pop()[1], subtree)
            level += 1
        self.edge.append((level, subtree))

    def root(self) -> bytes:
        """The root over all of it."""
        if not self.edge:
            return sha256(b"")
        found = self.edge[-1][1]
        for _, left in reversed(self.edge[:-1]):
            found = node(left, found)
        return found


def root_by_proof(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to, None when it has not the right number of hashes. RFC 9162 section 2.1.3.2."""
    number, last, found = index, size - 1, leaf
    for each in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            found = node(each, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node(found, each)
        number, last = number >> 1, last >> 1
    return found if last == 0 else None


# ━━ Section 3: signing epochs ━━


class Chain:
    """The certificates so far. `newest` is the key of the last one, `active` that of the epoch of checkpoints where we stand."""

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self.count = self.since = 0
        self.active: Key | None = None
        self.newest: Key | None = None
        self.lost = False  # INVARIANT: once true, a finding `epoch` stands; nobody can say who should sign what follows
        self.breaks: list[int] = []

    def add(self, raw: bytes, size: int | None, root: bytes) -> None:
        """The next certificate, at this size and root of the tree (size None: not known). Raises DamageError, for a break too."""
        if self.lost:
            return
        self.lost = True  # until all was found right
        try:
            reason = self._add(Note.parse(raw), size, root)
        except ValueError:
            raise self._wrong("не по форме") from None
        self.lost = False
        number = self.count - 1
        if reason in BREAKS and number not in self.trust.accepted:
            message = (
                f"разрыв: эпоху {number} ({reason}) не заверил ключ прежней (принять по акту: --accept-break {number})"
            )
            raise DamageError("break", message)
        self.breaks += [number] if reason in BREAKS else []

    def _wrong(self, what: str) -> DamageError:
        return DamageError("epoch", f"удостоверение эпохи {self.count}: {what}")

    def _add(self, note: Note, size: int | None, root: bytes) -> str:
        log, lines = self.trust.log, note.text[:-1].split("\n")
        reason = lines[6] if len(lines) > 6 else ""
        if lines[0] != f"{log.name}/signing-epoch" or len(lines) != (9 if reason == "restored" else 7):
            raise ValueError("not a certificate of this log")
        number, since, its_root, key = decimal(lines[1]), decimal(lines[2]), unbase64(lines[3], 32), Key(lines[4], 1)
        decimal(lines[5])
        if reason == "restored":
            decimal(lines[7])
            unbase64(lines[8], 32)
        if (number == 0) != (reason == "first") or reason not in ("first", "next", *BREAKS) or key.name != log.name:
            raise ValueError("not a certificate of this log")
        if number != self.count or since < self.since or size not in (None, since):
            raise self._wrong("стоит не на своём месте")
        if its_root != root and size is not None:
            raise self._wrong("корень дерева другой")
        by, not_by = (self.newest or log, log) if reason == "next" else (log, self.newest)
        if not note.signed_by(by) or (not_by and not_by.line != by.line and note.signatures(not_by)):
            raise self._wrong("подписано не тем ключом, каким должно")
        if number == 0 and self.trust.first and self.trust.first.line != key.line:
            raise self._wrong("ключ первой эпохи не тот, что закреплён в открытом ключе журнала")
        self.count, self.since, self.newest = number + 1, since, key
        return reason

    def grew(self) -> None:
        """The tree is now larger than the last certificate's `since`."""
        self.active = self.newest

    def check(self, checkpoint: Checkpoint) -> None:
        """Raises DamageError when the log or the epoch of this size did not sign it."""
        if not checkpoint.note.signed_by(self.trust.log):
            raise DamageError("signature", f"контрольная точка размера {checkpoint.size} не подписана ключом журнала")
        if self.active and not self.lost and not checkpoint.note.signed_by(self.active):
            raise DamageError("epoch", f"контрольная точка размера {checkpoint.size} не подписана ключом своей эпохи")


# ━━ Section 8: the report ━━


class Report:
    """What was found out about a bundle or folder. The names of the members are those of the JSON report, in its order."""

    def __init__(self, source: str, origin: str) -> None:
        self.ok, self.source, self.origin, self.size, self.root = True, source, origin, 0, ""
        self.records = self.skipped = self.opened = self.dropped = self.checkpoints = self.epochs = 0
        self.breaks: list[int] = []
        self.sealing_keys = 0
        self.first_us: int | None = None
        self.last_us: int | None = None
        self.witnesses: list[dict[str, object]] = []
        self.witnessed = 0
        self.known: int | None = None
        self.tiles = 0
        self.timestamps: list[object] = []  # what this verifier cannot check, it does not list
        self.damage: list[dict[str, object]] = []
        self.not_proven: list[str] = []

    def find(self, damage: DamageError, since: int | None = None) -> None:
        """Note a damage; of each kind the first so many are named."""
        self.ok = False
        if sum(each["finding"] == damage.finding for each in self.damage) < MAX_NAMED:
            found: dict[str, object] = {
                "finding": damage.finding,
                "message": damage.message,
                "seq": damage.seq,
                "since": since,
            }
            self.damage.append(found)

    def close(self, *, pinned: bool, tail: bool, tokens: bool) -> None:
        """Say what is not proven: the codes of section 8, in its order."""
        holds = {
            "witness": not self.witnessed,
            "unwitnessed-tail": 0 < self.witnessed < self.size,
            "truncation": self.known is None,
            "first-epoch": not pinned,
            "epoch-tail": tail,
            "break": bool(self.breaks),
            "skipped": self.skipped > 0,
            "dropped": self.dropped > 0,
            "clock": True,
            "content": self.opened < self.records,
            "labels": self.opened > 0,
            "timestamps": tokens,
        }
        self.not_proven = [code for code, there in holds.items() if there]


# ━━ Sections 1 and 7: a record ━━

HEADER = struct.Struct(">BBHHQQ")  # version, suite, kind, schema, number, time; 142 bytes in all


def check_record(header: bytes, leaf: bytes | None, body: bytes | None, subjects: bytes | None, seq: int) -> None:
    """A record against its own header and leaf hash; None for a ciphertext no longer kept. Raises DamageError."""
    if header[0] != 1 or header[1] != 1:
        raise DamageError("record", f"запись {seq}: неизвестная версия или набор алгоритмов", seq)
    if leaf is not None and sha256(b"\0" + header) != leaf:
        raise DamageError("record", f"запись {seq}: заголовок не сходится с хешем листа", seq)
    if body is not None and sha256(body) != header[78:110]:
        raise DamageError("record", f"запись {seq}: содержимое не сходится с заголовком", seq)
    if subjects is not None and sha256(subjects) != header[110:142]:
        raise DamageError("record", f"запись {seq}: отсек субъектов не сходится с заголовком", seq)


def opened_body(header: bytes, body: bytes | None, key: bytes, names: Sequence[str]) -> dict[str, object]:
    """What the body says. Raises DamageError when the key does not open it."""
    _, _, kind, _, seq, time_us = HEADER.unpack_from(header)
    plain = None if body is None or len(key) != 32 else siv_opened(key, bytes(12), body, header[:78])
    if not plain:
        raise DamageError("record", f"запись {seq}: приложенный ключ её не открывает", seq)
    flags, start = plain[0], 1 + (32 if plain[0] & 1 else 0)
    stop = start + (8 if flags & 4 else 0)
    if flags & ~7 or stop > len(plain):
        raise DamageError("record", f"запись {seq}: раскрытое содержимое не по форме", seq)
    closes = int.from_bytes(plain[start:stop], "big") if flags & 4 else None
    return {"seq": seq, "kind": kind, "time_us": time_us, "closes": closes, "fields": fields_of(plain[stop:], names)}


def fields_of(body: bytes, names: Sequence[str]) -> dict[str, object]:
    """The elements of a MessagePack array by their names or places; `body`, hexadecimal, when it is none."""
    try:
        found = Unpacker(body).whole()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        return {"body": body.hex()}
    fields: dict[str, object] = {}
    for at, value in enumerate(found):
        name = names[at] if at < len(names) and names[at] else str(at)
        fields[str(at) if name in fields else name] = value
    return fields


# ━━ Section 5: the bundle ━━

TAGS = (b"HEAD", b"CERT", b"NOTE", b"KEYS", b"RECS", b"SKIP", b"LABL", b"DONE")


class Bundle:
    """Reads a bundle once, front to back; keeps no record. `tell` gets every opened body."""

    def __init__(self, file: BinaryIO, trust: Trust, report: Report, tell: Tell | None) -> None:
        self.file, self.trust, self.report, self.tell = file, trust, report, tell
        self.tree, self.chain = Tree(), Chain(trust)
        self.head: Checkpoint | None = None
        self.head_raw = b""
        self.held: int | None = None  # the size up to which a NOTE or CERT held
        self.note_at = -1  # size of the last NOTE
        self.keys: dict[int, bytes] = {}
        self.labels: dict[int, list[str]] = {}
        self.sealing_ids: set[bytes] = set()
        self.seen: dict[str, tuple[int, int]] = {}  # of witnesses: size, time

    def verify(self) -> None:
        """Fill in the report, all but what is not proven."""
        try:
            self._read()
        except DamageError as damage:
            self.report.find(damage, self.held)
        report, chain = self.report, self.chain
        report.epochs, report.breaks, report.sealing_keys = chain.count, chain.breaks, len(self.sealing_ids)
        for name, (size, at) in sorted(self.seen.items()):
            report.witnesses.append({"witness": name, "size": size, "time": at})
        if self.head:
            report.size, report.root = self.head.size, self.head.root.hex()

    def _read(self) -> None:
        if self._exactly(len(MAGIC)) != MAGIC:
            raise DamageError("format", "файл начинается не так, как выгрузка")
        before = b""
        for tag, content in self._sections():
            misplaced = (tag == b"HEAD") != (not before) or (tag == b"LABL" and before != b"HEAD")
            if misplaced or (before == b"KEYS" and tag != b"RECS"):
                raise DamageError("format", f"раздел {tag.decode()} стоит не на своём месте")
            if tag in (b"CERT", b"NOTE"):
                self._tolerating(self._certificate if tag == b"CERT" else self._kept, content)
            elif tag != b"DONE":
                steps = {b"HEAD": self._head, b"KEYS": self._keys, b"RECS": self._records, b"SKIP": self._spans}
                steps.get(tag, self._labels)(content)
            before = tag
        for step in (self._end_of_tree, self._end_of_chain, self._end_of_known):
            self._tolerating(step)

    def _tolerating(self, step: Callable[..., None], *content: bytes) -> None:
        """A step whose damage does not keep us from reading on."""
        try:
            step(*content)
        except DamageError as damage:
            self.report.find(damage, self.held)

    def _exactly(self, count: int) -> bytes:
        found = self.file.read(count)
        if len(found) != count:
            raise DamageError("format", "файл обрывается")
        return found

    def _sections(self) -> Iterator[tuple[bytes, bytes]]:
        tag = b""
        while tag != b"DONE":
            tag, length = struct.unpack(">4sQ", self._exactly(12))
            if tag not in TAGS or length > MAX_SECTION or (tag == b"DONE" and length):
                raise DamageError("format", "неизвестный или слишком большой раздел")
            content = self._exactly(length)
            if tag == b"DONE" and self.file.read(1):
                raise DamageError("format", "после конца выгрузки есть ещё что-то")
            yield tag, content

    def _head(self, content: bytes) -> None:
        try:
            self.head = Checkpoint.parse(content, self.trust.log.name)
        except ValueError:
            raise DamageError("signature", "главная контрольная точка не этого журнала или не по форме") from None
        self.head_raw = content
        self.chain.check(self.head)  # by the log's key; by the epoch's at the end
        self._compare_known()

    def _compare_known(self) -> None:
        known = self.trust.known
        if known and known.size == self.tree.size:
            if known.root != self.tree.root():
                raise DamageError("known", f"журнал не продолжает прежнюю контрольную точку размера {known.size}")
            self.report.known = known.size

    def _certificate(self, content: bytes) -> None:
        if self.note_at == self.tree.size:
            self.chain.lost = True
            raise DamageError("epoch", f"удостоверение эпохи {self.chain.count} стоит после контрольной точки")
        self.chain.add(content, self.tree.size, self.tree.root())
        if not self.chain.lost:
            self.held = self.tree.size

    def _kept(self, content: bytes) -> None:
        try:
            checkpoint = Checkpoint.parse(content, self.trust.log.name)
        except ValueError:
            raise DamageError("signature", "контрольная точка не этого журнала или не по форме") from None
        if checkpoint.size != self.tree.size or self.note_at == self.tree.size:
            raise DamageError("order", f"контрольная точка размера {checkpoint.size} стоит не на своём месте")
        self.note_at = self.tree.size
        self.chain.check(checkpoint)
        if checkpoint.root != self.tree.root():
            raise DamageError("root", f"корень дерева при размере {checkpoint.size} не тот, что подписан")
        self._count_witnesses(checkpoint)
        self.report.checkpoints += 1
        self.held = self.tree.size

    def _count_witnesses(self, checkpoint: Checkpoint) -> None:
        times = {witness.name: checkpoint.note.cosigned_at(witness) for witness in self.trust.witnesses}
        there = {name: (checkpoint.size, at) for name, at in times.items() if at is not None}
        self.seen.update(there)
        if there and len(there) >= self.trust.quorum:
            self.report.witnessed = checkpoint.size

    def _keys(self, content: bytes) -> None:
        numbers = [int.from_bytes(content[at : at + 8], "big") for at in range(0, len(content), 40)]
        if not content or len(content) % 40 or any(a >= b for a, b in zip(numbers, numbers[1:])):  # noqa: B905, RUF007 — Python 3.9 has no `strict`, no pairwise
            raise DamageError("format", "раздел KEYS не по форме")
        self.keys = {number: content[40 * at + 8 : 40 * at + 40] for at, number in enumerate(numbers)}

    def _records(self, content: bytes) -> None:
        if not content:
            raise DamageError("format", "раздел RECS пуст")
        at = 0
        while at < len(content):
            header, leaf = content[at : at + 142], content[at + 142 : at + 174]
            body, at = self._ciphertext(content, at + 174)
            subjects, at = self._ciphertext(content, at)
            self._record(header, leaf, body, subjects)
        if self.keys:
            raise DamageError("format", f"ключ для записи {min(self.keys)}, которой в следующем разделе нет")

    def _ciphertext(self, content: bytes, at: int) -> tuple[bytes | None, int]:
        if at + 4 > len(content):
            raise DamageError("format", f"раздел RECS обрывается в записи {self.tree.size}")
        length = int.from_bytes(content[at : at + 4], "big")
        if length == NOT_KEPT:
            return None, at + 4
        if length > len(content) - at - 4:
            raise DamageError("format", f"раздел RECS обрывается в записи {self.tree.size}")
        return content[at + 4 : at + 4 + length], at + 4 + length

    def _record(self, header: bytes, leaf: bytes, body: bytes | None, subjects: bytes | None) -> None:
        place, report = self.tree.size, self.report
        _, _, kind, _, seq, time_us = HEADER.unpack_from(header)
        key = self.keys.pop(place, None)
        try:
            if seq != place:
                raise DamageError("order", f"на месте записи {place} стоит запись {seq}", place)
            check_record(header, leaf, body, subjects, seq)
            if key is not None:
                entry = opened_body(header, body, key, self.labels.get(kind, ()))
                report.opened += 1
                if self.tell:
                    self.tell(entry)
        except DamageError as damage:
            report.find(damage)
        report.records += 1
        report.dropped += body is None or subjects is None
        report.first_us = time_us if report.first_us is None else report.first_us
        report.last_us = time_us
        self.sealing_ids.add(header[46:62])
        self._grow(0, leaf)

    def _grow(self, level: int, subtree: bytes) -> None:
        self.tree.add(level, subtree)
        self.chain.grew()
        if self.trust.known and self.trust.known.size == self.tree.size:
            self._tolerating(self._compare_known)

    def _spans(self, content: bytes) -> None:
        if not content or len(content) % 33:
            raise DamageError("format", "раздел SKIP не по форме")
        for at in range(0, len(content), 33):
            level = content[at]
            if level > MAX_LEVEL or self.tree.size % (1 << level):
                raise DamageError("format", f"пропуск 2^{level} записей не может стоять на месте {self.tree.size}")
            self.report.skipped += 1 << level
            self._grow(level, content[at + 1 : at + 33])

    def _labels(self, content: bytes) -> None:
        try:
            found = strict_json(content)
            if not isinstance(found, dict):
                raise ValueError("not an object")  # noqa: TRY004 — one error for all that is not of the form
            for kind, names in found.items():
                if not isinstance(names, list) or not all(encodable(name) for name in names) or decimal(kind) > 0xFFFF:
                    raise ValueError("not labels")
                self.labels[decimal(kind)] = names
        except ValueError:
            raise DamageError("format", "раздел LABL не по форме") from None

    def _end_of_tree(self) -> None:
        head = self.head
        if head and head.size != self.tree.size:
            raise DamageError("size", f"подписано записей: {head.size}, в выгрузке: {self.tree.size}")
        if head and head.root != self.tree.root():
            raise DamageError("root", "корень дерева не тот, что подписан в главной контрольной точке")

    def _end_of_chain(self) -> None:
        if self.trust.first and not self.chain.count and not self.chain.lost:
            raise DamageError("epoch", "ключ первой эпохи закреплён, а удостоверения эпохи 0 в выгрузке нет")
        if self.head and self.head.size == self.tree.size:
            self.chain.check(self.head)
            self._count_witnesses(self.head)

    def _end_of_known(self) -> None:
        known = self.trust.known
        if known and known.size > self.tree.size:
            raise DamageError("known", f"прежняя контрольная точка больше журнала: в ней записей {known.size}")
        if known and self.report.known is None and not any(each["finding"] == "known" for each in self.report.damage):
            raise DamageError("known", f"с прежней контрольной точкой не сравнить: место {known.size} пропущено")


# ━━ Section 6: the folder ━━

FILES = ("log.bundle", "keys.pub", "verify.py", "ЧИТАЙТЕ.txt", "tiles/checkpoint")
TILE = re.compile(r"tiles/tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
TOKEN = re.compile(r"timestamps/(0|[1-9][0-9]{0,18})(\.note|(?:\.(?:[2-9]|[1-9][0-9]{1,2}))?\.tsr)")


def tile_path(level: str, number: int, width: int) -> str:
    """c2sp.org/tlog-tiles: tile/<L>/<N>[.p/<W>]."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03d}")
    return f"tiles/tile/{level}/" + "/".join(groups) + ("" if width == 256 else f".p/{width}")


class Folder:
    """The files beside the bundle."""

    def __init__(self, path: str, report: Report) -> None:
        self.path, self.report = path, report
        self.size = 0
        self.rows: dict[int, list[bytes]] = {}  # of each tile level above 0, the hashes of the tile under way
        self.done: dict[int, int] = {}  # of each, how many full tiles were compared
        self.with_entries = True
        self.tokens = False  # whether there is a time-stamp token with its note

    def check(self, bundle: Bundle) -> None:
        """Every tile there and right, nothing else beside them."""
        if not bundle.head:
            return
        self.size, self.with_entries = bundle.head.size, not self.report.skipped
        self._walk("", 0)
        try:
            if self._content("tiles/checkpoint", 4 * MAX_NOTE) != bundle.head_raw:
                raise DamageError("tiles", "tiles/checkpoint: не та же контрольная точка, что в выгрузке")
            self._tiles(bundle.head.root)
        except DamageError as damage:
            self.report.find(damage)

    def _full(self, name: str) -> str:
        return os.path.join(self.path, *name.split("/"))  # noqa: PTH118 — see `opened`

    def _content(self, name: str, size: int) -> bytes:
        try:
            return content_of(self._full(name), size)
        except UnusableError:
            raise DamageError("tiles", f"{name}: файла нет, или он не читается") from None

    def _walk(self, name: str, depth: int) -> bool:
        """Whether something in this folder belongs to the export; whatever does not is a finding."""
        belongs = False
        with os.scandir(self._full(name) if name else self.path) as entries:
            for entry in entries:
                inner = f"{name}/{entry.name}" if name else entry.name
                if entry.is_dir(follow_symlinks=False):
                    there = depth < MAX_NESTING and self._walk(inner, depth + 1)
                else:
                    there = entry.is_file(follow_symlinks=False) and self._is_ours(unicodedata.normalize("NFC", inner))
                belongs = belongs or there
                if not there:
                    self.report.find(DamageError("format", f"{inner}: в папке выгрузки такого быть не должно"))
        return belongs

    def _is_ours(self, name: str) -> bool:
        token = TOKEN.fullmatch(name)
        if token:
            beside = self._full(f"timestamps/{token.group(1)}.note")
            self.tokens |= token.group(2) != ".note" and os.path.lexists(beside)
            return True
        tile = TILE.fullmatch(name)
        if not tile:
            return name in FILES
        level, groups, width = tile.group(1), tile.group(2), int(tile.group(3) or 256)
        if len(groups) > 40 or (level == "entries" and not self.with_entries):
            return False
        number = int(groups.replace("x", "").replace("/", ""))
        count = self.size >> (0 if level == "entries" else 8 * int(level))
        fits = number < count >> 8 if width == 256 else (number, width) == (count >> 8, count & 255)
        return fits and name == tile_path(level, number, width)

    def _tiles(self, root: bytes) -> None:
        """Hash all tiles from the leaves up: each tile against those below it, all of them against the root."""
        tree = Tree()
        for number in range((self.size + 255) >> 8):
            width = min(256, self.size - 256 * number)
            name = tile_path("0", number, width)
            tile = self._content(name, 8192)
            if len(tile) != 32 * width:
                raise DamageError("tiles", f"{name}: не та длина")
            self.report.tiles += 1
            leaves = [tile[at : at + 32] for at in range(0, len(tile), 32)]
            if self.with_entries:
                self._entries(tile_path("entries", number, width), leaves)
            if width == 256:
                self._above(1, over_256(leaves))
                tree.add(8, over_256(leaves))
            else:
                for leaf in leaves:
                    tree.add(0, leaf)
        for level in sorted(self.rows):
            if self.rows[level]:
                self._compare(level)
        if tree.root() != root:
            raise DamageError("tiles", "плитки складываются в другой корень, чем подписан")

    def _entries(self, name: str, leaves: list[bytes]) -> None:
        content = self._content(name, 256 * 144)
        headers = [content[at + 2 : at + 144] for at in range(0, len(content), 144)]
        if (
            b"".join(b"\0\x8e" + header for header in headers) != content
            or [sha256(b"\0" + h) for h in headers] != leaves
        ):
            raise DamageError("tiles", f"{name}: заголовки записей не сходятся с хешами")
        self.report.tiles += 1

    def _above(self, level: int, subtree: bytes) -> None:
        row = self.rows.setdefault(level, [])
        row.append(subtree)
        if len(row) == 256:
            self._compare(level)
            self.rows[level] = []
            self._above(level + 1, over_256(row))

    def _compare(self, level: int) -> None:
        number, row = self.done.get(level, 0), self.rows[level]
        name = tile_path(str(level), number, len(row))
        if self._content(name, 8192) != b"".join(row):
            raise DamageError("tiles", f"{name}: не сходится с плитками под ней")
        self.done[level] = number + 1
        self.report.tiles += 1


def over_256(hashes: list[bytes]) -> bytes:
    """The root over 256 hashes."""
    while len(hashes) > 1:
        hashes = [node(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


# ━━ Section 7: a single record ━━

MEMBERS = {"format", "proof", "header", "body", "subjects", "record_key", "labels", "certificates"}


def proof_of(text: str, origin: str) -> tuple[int, list[bytes], Checkpoint]:
    """The number, the hashes and the checkpoint of c2sp.org/tlog-proof@v1. Raises ValueError."""
    above, _, note = text.partition("\n\n")
    first, *lines = above.split("\n")
    if lines and lines[0].startswith("extra "):
        unbase64(lines.pop(0)[6:])
    if first != "c2sp.org/tlog-proof@v1" or not lines or not lines[0].startswith("index ") or len(lines) > 1 + 64:
        raise ValueError("not a proof")
    return decimal(lines[0][6:]), [unbase64(line, 32) for line in lines[1:]], Checkpoint.parse(note.encode(), origin)


def verify_record(document: dict[str, Any], trust: Trust) -> dict[str, object]:
    """The report of a single record. Raises DamageError."""
    strings = ("proof", "header", "body", "subjects", "record_key")
    lists = ("labels", "certificates")
    if set(document) != MEMBERS or not all(encodable(document[name]) for name in strings):
        raise DamageError("format", "состав файла записи не тот")
    if not all(isinstance(document[name], list) and all(encodable(each) for each in document[name]) for name in lists):
        raise DamageError("format", "состав файла записи не тот")
    try:
        header, body, subjects, key = (unbase64(document[name]) for name in strings[1:])
        index, path, checkpoint = proof_of(document["proof"], trust.log.name)
    except ValueError:
        raise DamageError("format", "файл записи не по форме, или он другого журнала") from None
    if len(header) != 142:
        raise DamageError("record", "заголовок записи не той длины")
    _, _, kind, schema, seq, time_us = HEADER.unpack_from(header)
    check_record(header, None, body, subjects, seq)
    if seq != index or seq >= checkpoint.size:
        raise DamageError("proof", f"доказательство не о записи {seq}")
    if root_by_proof(seq, checkpoint.size, sha256(b"\0" + header), path) != checkpoint.root:
        raise DamageError("proof", f"доказательство не приводит запись {seq} к подписанному корню")
    chain = Chain(trust)
    for each in document["certificates"]:
        chain.add(each.encode(), None, b"")
        if chain.since < checkpoint.size:
            chain.grew()
    if trust.first and not chain.count:
        raise DamageError("epoch", "ключ первой эпохи закреплён, а удостоверения эпохи 0 в файле нет")
    chain.check(checkpoint)
    times = {witness.name: checkpoint.note.cosigned_at(witness) for witness in trust.witnesses}
    cosigned = [{"witness": name, "size": checkpoint.size, "time": at} for name, at in times.items() if at is not None]
    entry = opened_body(header, body, key, document["labels"]) if key else None
    found = {
        "witness": len(cosigned) < trust.quorum,
        "first-epoch": trust.first is None or not chain.count,
        "break": bool(chain.breaks),
        "clock": True,
        "content": entry is None,
        "labels": entry is not None,
        "epoch-roots": chain.count > 0,
    }
    return {
        "ok": True,
        "source": "record",
        "origin": trust.log.name,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "seq": seq,
        "kind": kind,
        "schema": schema,
        "time_us": time_us,
        "closes": entry and entry["closes"],
        "fields": entry and entry["fields"],
        "epochs": chain.count,
        "breaks": chain.breaks,
        "witnesses": cosigned,
        "not_proven": [code for code in NOT_PROVEN if found.get(code)],
    }


# ━━ The report for people ━━


def json_line(document: object) -> str:
    """JSON on one line, readable, with escapes for what a terminal would obey."""
    text = json.dumps(document, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def plain(text: object) -> str:
    """Text that a terminal shows as it is: no control characters, no marks that turn the direction."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in str(text))


def moment(us: object) -> str:
    """Microseconds since 1970 as a date, or as a number when no calendar has it."""
    try:
        at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=int(str(us)))  # noqa: UP017 — Python 3.9 has no datetime.UTC
        return at.strftime("%d.%m.%Y %H:%M:%S UTC")
    except (OverflowError, ValueError):
        return f"{us} мкс"


def explained(report: dict[str, Any]) -> str:
    """The report of a bundle or folder in Russian."""
    lines = ["Журнал цел: повреждений не найдено." if report["ok"] else "ЖУРНАЛ НЕ ПРОШЁЛ ПРОВЕРКУ."]
    for each in report["damage"]:
        since = "" if each["since"] is None else f" (до размера {each['since']} всё сходилось)"
        lines.append(f"  ✗ [{each['finding']}] {each['message']}{since}")
    lines += [
        f"Журнал: {report['origin']}",
        f"Записей в журнале: {report['size']}; дано целиком: {report['records']}, раскрыто: {report['opened']}",
        f"Пропущено записей: {report['skipped']}; содержимое уже не хранится: {report['dropped']}",
        f"Корень дерева: {report['root']}",
        f"Сошлось контрольных точек: {report['checkpoints']}, эпох подписи: {report['epochs']}, плиток: {report['tiles']}",
        f"Ключей шифрования, которыми закрыты записи: {report['sealing_keys']}",
    ]
    if report["first_us"] is not None:
        lines.append(f"Время записей: с {moment(report['first_us'])} по {moment(report['last_us'])} (по часам машины)")
    if report["witnessed"]:
        lines.append(f"Нужное число свидетелей подтвердило журнал до размера {report['witnessed']}")
    if report["known"] is not None:
        lines.append(f"Журнал продолжает прежнюю контрольную точку размера {report['known']}")
    return "\n".join(map(plain, [*lines, *common_end(report)]))


def explained_record(report: dict[str, Any]) -> str:
    """The report of a single record in Russian."""
    lines = [
        f"Запись {report['seq']} подлинна: она есть в журнале {report['origin']}, в котором записей не меньше {report['size']}.",
        f"Вид {report['kind']}, схема {report['schema']}, {moment(report['time_us'])} (по часам машины)",
        f"Корень дерева: {report['root']}; эпох подписи: {report['epochs']}",
    ]
    if report["fields"] is not None:
        lines += [f"  {name}: {json_line(value)}" for name, value in report["fields"].items()]
    return "\n".join(map(plain, [*lines, *common_end(report)]))


def common_end(report: dict[str, Any]) -> Iterator[str]:
    """Witnesses, accepted breaks, and what the verification does not prove."""
    for each in report["witnesses"]:
        yield f"Свидетель {each['witness']}: подтвердил размер {each['size']}, {moment(1_000_000 * each['time'])}"
    if report["breaks"]:
        yield f"Приняты разрывы цепочки эпох: {', '.join(map(str, report['breaks']))}"
    yield "Проверка НЕ доказывает:"
    for code in report["not_proven"]:
        yield f"  · {NOT_PROVEN[code]}"


def explained_entry(entry: dict[str, Any]) -> str:
    """One opened record in Russian, before the report."""
    closes = "" if entry["closes"] is None else f", закрывает запись {entry['closes']}"
    lines = [f"Запись {entry['seq']}, вид {entry['kind']}, {moment(entry['time_us'])}{closes}"]
    lines += [f"  {name}: {json_line(value)}" for name, value in entry["fields"].items()]
    return "\n".join(map(plain, lines))


# ━━ The command line ━━


class Arguments(argparse.ArgumentParser):
    """argparse, whose complaints are in Russian as far as they are ours."""

    def error(self, message: str) -> NoReturn:
        raise UnusableError(f"неверный вызов: {message}; справка: --help")


def chosen(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Raises UnusableError."""
    words = "Проверка выгрузки журнала решений: нужен только Python."
    parser = Arguments(prog="verify.py", description=words, add_help=False, allow_abbrev=False)
    option = parser.add_argument
    option("path", nargs="?", help="выгрузка, её папка или раскрытая запись; без него — папка этой программы")
    option("--key", help="открытый ключ журнала (.pub) из рук, которым вы доверяете, а не из папки выгрузки")
    option("--known", help="контрольная точка, полученная раньше: журнал обязан её продолжать")
    option("--witness", action="append", default=[], help="открытый ключ свидетеля; можно несколько")
    option("--quorum", type=int, default=1, help="сколько свидетелей нужно")
    option("--accept-break", type=int, action="append", default=[], metavar="N", help="разрыв эпох, о котором есть акт")
    option("--entries", action="store_true", help="показать раскрытые записи")
    option("--json", action="store_true", help="отчёт в JSON")
    option("--help", action="help", help="эта справка")
    found = parser.parse_args(arguments)
    if not found.key:
        raise UnusableError("нужен открытый ключ журнала: --key ФАЙЛ.pub")
    if not 1 <= found.quorum <= max(1, len(found.witness)) or min(found.accept_break, default=0) < 0:
        raise UnusableError("неверный вызов: --quorum от 1 до числа свидетелей, --accept-break от 0")
    return found


def trust_of(found: argparse.Namespace) -> Trust:
    """What the auditor brought. Raises UnusableError."""
    log, first = trust_root(text_of(found.key), found.key)
    witnesses = [witness_key(text_of(path), path) for path in found.witness]
    distinct = {key.public.raw for key in witnesses}, {key.name for key in witnesses}
    if any(len(each) != len(witnesses) for each in distinct):
        raise UnusableError("один и тот же свидетель назван дважды")
    known = None
    if found.known:
        try:
            known = Checkpoint.parse(text_of(found.known).encode(), log.name)
        except ValueError:
            raise UnusableError(f"`{found.known}`: это не контрольная точка этого журнала") from None
        if not known.note.signed_by(log):
            raise UnusableError(f"`{found.known}`: контрольная точка не подписана ключом журнала")
    return Trust(log, first, known, witnesses, found.quorum, found.accept_break)


def verify(path: str, trust: Trust, tell: Tell | None) -> dict[str, Any]:
    """The report. Raises UnusableError; DamageError for a single record alone."""
    folder = os.path.isdir(path)  # noqa: PTH112 — see `opened`
    name = os.path.join(path, "log.bundle") if folder else path  # noqa: PTH118 — see `opened`
    with opened(name) as file:
        start = file.read(64)
        if start.lstrip()[:1] == b"{" and not folder:
            return single_record(start + file.read(MAX_JSON + 1 - len(start)), path, trust)
        if start[:16] == b"SQLite format 3\0":
            raise UnusableError(
                f"`{path}`: это база журнала; её проверяет `python -m audit verify`, а эта программа — выгрузки"
            )
        if start[: len(MAGIC)] != MAGIC:
            raise UnusableError(f"`{path}`: это не выгрузка журнала и не раскрытая запись")
        file.seek(0)
        report = Report("folder" if folder else "bundle", trust.log.name)
        bundle, beside = Bundle(file, trust, report, tell), Folder(path, report)
        try:
            bundle.verify()
            if folder:
                beside.check(bundle)
        except (ValueError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
            report.find(DamageError("format", f"разбор прерван ({type(error).__name__})"), bundle.held)
    chain = bundle.chain
    pinned, tail = trust.first is not None and chain.count > 0, chain.count > 0 and report.size > chain.since
    report.close(pinned=pinned, tail=tail, tokens=beside.tokens)
    return vars(report)


def single_record(raw: bytes, path: str, trust: Trust) -> dict[str, Any]:
    """Raises UnusableError, DamageError."""
    try:
        document = strict_json(raw)
    except ValueError:
        document = None
    if len(raw) > MAX_JSON or document is None:
        raise DamageError("format", "файл записи — не JSON, или он слишком велик")
    if not isinstance(document, dict) or document.get("format") != RECORD_FORMAT:
        raise UnusableError(f"`{path}`: это не выгрузка журнала и не раскрытая запись")
    if trust.known:
        raise UnusableError("прежнюю контрольную точку с одной записью не сравнить: --known здесь неприменим")
    return verify_record(document, trust)


def say(text: str) -> None:
    """One line or more on standard output."""
    sys.stdout.write(text + "\n")


def told(report: dict[str, Any], *, as_json: bool) -> int:
    """Print a report; its exit code."""
    if as_json:
        say(json_line(report))
    elif "damage" in report:
        say(explained(report))
    elif report["ok"]:
        say(explained_record(report))
    else:
        say(plain(f"ЗАПИСЬ НЕ ПРОШЛА ПРОВЕРКУ: [{report['finding']}] {report['message']}"))
    return 0 if report["ok"] else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; every exception ends in one."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        found = chosen(arguments)
        here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 — see `opened`
        tell = (lambda entry: say(json_line(entry) if as_json else explained_entry(entry))) if found.entries else None
        try:
            return told(verify(found.path or here, trust_of(found), tell), as_json=as_json)
        except DamageError as damage:
            return told({"ok": False, "finding": damage.finding, "message": damage.message}, as_json=as_json)
    except Exception as error:  # noqa: BLE001 — whatever happens, it is not "verified"
        known = isinstance(error, (UnusableError, OSError))
        words = str(error) if known else f"программа не справилась с этим файлом ({type(error).__name__})"
        if as_json:
            say(json_line({"ok": False, "error": type(error).__name__, "message": words}))
        else:
            sys.stderr.write(f"проверить нельзя: {plain(words)}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
