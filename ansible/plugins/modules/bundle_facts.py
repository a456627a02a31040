#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Verify an appliance bundle before anything of it is used: signature, dates, every checksum. Standard library of Python 3.8.

Without Ansible:  python3 bundle_facts.py BUNDLE --key release.pub [--unpack FOLDER] [--json]
Exit code: 0 verified, 1 refused, 2 wrong call. The archive is read by a parser of its own which knows regular files of plain
ustar only: no two programs can see different members in a bundle that was accepted.
"""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bundle_facts
short_description: Проверить пакет установки и вернуть его описание
version_added: "0.1.0"
description:
  - Проверяет пакет C(appliance-<версия>-linux-<arch>-<тег>.tar) до того, как из него что-либо взято. Сначала подпись Ed25519 под списком
    контрольных сумм, затем срок, совместимость с машиной и сумму каждого файла.
  - Отвергает лишние, недостающие и повторные файлы, ссылки, устройства, пути наружу, обрезанный архив, неправдоподобные размеры.
  - Ничего не меняет; нужен только Python 3.8 и стандартная библиотека. Запускается и без Ansible, см. начало файла.
options:
  path:
    description: Файл пакета на той машине, где модуль выполняется.
    type: path
    required: true
  keys:
    description: Открытые ключи издателя. Каждый — текст PEM или путь к файлу PEM. Достаточно подписи одним из них.
    type: list
    elements: str
    default: []
  allow_unsigned:
    description: Принять пакет без подписи (для разработки). Неверную подпись этот параметр не прощает.
    type: bool
    default: false
  arch:
    description: Ожидаемая архитектура. По умолчанию — этой машины; V(any) — не сравнивать (на управляющей машине).
    type: str
  glibc:
    description: Версия glibc, на которой пакет будет работать. По умолчанию — этой машины; V(any) — не сравнивать.
    type: str
  python_tag:
    description: Тег интерпретатора, для которого нужен пакет, например V(cp311). Без него тег не сравнивается.
    type: str
  now:
    description: Время проверки, секунды от 1970 года. По умолчанию — часы машины.
    type: int
attributes:
  check_mode:
    support: full
    description: Модуль только читает, в режиме проверки работает так же.
  diff_mode:
    support: none
    description: Изменений нет.
author:
  - llm-privacy-appliance contributors
"""

EXAMPLES = r"""
- name: Проверить пакет ключом роли
  bundle_facts:
    path: /var/tmp/appliance-0.1.0-linux-x86_64-cp311.tar
    keys:
      - "{{ lookup('ansible.builtin.file', 'release.pub') }}"

- name: Проверить на управляющей машине до копирования
  delegate_to: localhost
  bundle_facts:
    path: "{{ appliance_bundle }}"
    keys: "{{ appliance_release_keys }}"
    arch: any
    glibc: any
"""

RETURN = r"""
manifest:
  description: Описание пакета из manifest.json — версия, архитектура, теги, сроки.
  returned: success
  type: dict
bundle:
  description: Сам файл — path, sha256, size и unpacked_size (байты), top (верхняя папка), signed, key (SHA-256 ключа),
    missing_libraries (чего из системных библиотек здесь нет), files.
  returned: success
  type: dict
ansible_facts:
  description: То же под именем C(appliance_bundle), поля описания и файла вместе.
  returned: success
  type: dict
kind:
  description: Вид отказа одним словом, для условий.
  returned: failure
  type: str
"""

import argparse
import base64
import ctypes
import hashlib
import json
import os
import platform
import re
import stat
import sys
import time
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn

try:
    from ansible.module_utils.basic import AnsibleModule
except ImportError:  # a plain command
    AnsibleModule = None

FORMAT = 1
NAME = "llm-privacy-appliance"
BLOCK = 512
MAX_MEMBERS = 4096
MAX_ARCHIVE = 32 << 30  # bytes
MAX_SUMS = 1 << 20
MAX_MANIFEST = 64 << 10
MAX_PATH = 240
SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
MANIFEST = "manifest.json"
REQUIRED = (MANIFEST, "requirements.lock", "sbom.cdx.json", "LICENSES.md")
VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){1,3}((a|b|rc|\.post|\.dev)\d{1,6})*")
PLACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*")  # one step of a path: no dot-file, no option, nothing to be quoted
SONAME = re.compile(r"lib[A-Za-z0-9_+.-]{1,60}\.so(\.[0-9]{1,4}){1,3}")
AGAIN = "возьмите пакет заново у издателя и сверьте SHA-256 по другому каналу; этот не используйте"
ADVICE = {  # by kind; for the rest AGAIN
    "missing": "проверьте путь; на сервер пакет копирует роль или вы сами",
    "unreadable": "проверьте путь, права и диск; нужен обычный файл .tar",
    "exists": "назовите новую папку",
    "truncated": "скопируйте пакет заново и сверьте размер; хватает ли места на диске",
    "archive": "нужен файл .tar от издателя как есть, не перепакованный; возьмите его заново",
    "unsigned": "возьмите подписанный выпуск; собранный для разработки принимается только с явным разрешением (allow_unsigned)",
    "no-key": "укажите открытый ключ: файл release.pub роли или свой",
    "key": "укажите файл PEM с открытым ключом Ed25519: release.pub издателя или свой, сделанный `make bundle-keys`",
    "format": "возьмите роль той же версии, что и пакет",
    "clock": "поставьте часы (chronyc tracking, timedatectl) и повторите",
    "expired": "возьмите у издателя действующий выпуск; если неверны часы машины — поставьте их",
    "arch": "возьмите пакет для своей архитектуры",
    "python": "возьмите пакет со своим Python (python = bundled) или поставьте нужный интерпретатор",
    "glibc": "нужна более новая ОС или сборка пакета под вашу (ansible/bundle/README.md)",
}

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Point = tuple[int, int, int, int]  # extended coordinates
    Facts = dict[str, Any]


class BundleError(Exception):
    """A bundle that must not be used: what is wrong, where, and what to do; `kind` is one word for programs."""

    def __init__(self, kind: str, what: str, where: str) -> None:
        super().__init__(f"{what} — {where}. Что делать: {ADVICE.get(kind, AGAIN)}.")
        self.kind = kind


class Member(NamedTuple):
    """A regular file of the archive: its path below the top folder, where its content begins, how many bytes it has."""

    path: str
    offset: int
    size: int


class Terms(NamedTuple):
    """What a bundle is accepted by. `keys`: raw Ed25519, 32 bytes each. arch and glibc: None is this machine's, `any` is not compared.

    `python_tag`: None is not compared. `now`: seconds since 1970, None is the clock.
    """

    keys: Sequence[bytes] = ()
    allow_unsigned: bool = False
    arch: str | None = None
    glibc: str | None = None
    python_tag: str | None = None
    now: int | None = None


# ━━ The whole check ━━


def verify(path: str, terms: Terms) -> Facts:
    """The facts of a bundle: {"manifest": …, "bundle": …}. Raises BundleError; nothing is written."""
    with opened(path) as file:
        return verified(file, path, terms)


def verified(file: BinaryIO, path: str, terms: Terms) -> Facts:
    """As `verify`, over an open file."""
    # (1) the shape of the archive, from headers alone
    top, members = listing(file, path)
    by_path = {member.path: member for member in members}
    # (2) who signed the list of checksums
    sums_text = content(file, by_path, SUMS, MAX_SUMS, path)
    signer = signed_by(file, by_path, sums_text, terms, path)
    sums = checksums(sums_text, path)
    # (3) what it is, for whom, until when
    raw = content(file, by_path, MANIFEST, MAX_MANIFEST, path)
    if hashlib.sha256(raw).hexdigest() != sums.get(MANIFEST):
        raise BundleError("checksum", f"контрольная сумма не сходится: {MANIFEST}", path)
    manifest = manifest_of(raw, top, path)
    check_complete(sums, by_path, manifest, path)
    check_dates(manifest, path, int(time.time()) if terms.now is None else terms.now)
    missing = check_target(manifest, terms, path)
    # (4) every byte
    whole = compare(file, members, sums, path)
    bundle = {
        "path": os.path.abspath(path),
        "sha256": whole,
        "size": os.fstat(file.fileno()).st_size,
        "unpacked_size": sum(member.size for member in members),
        "top": top,
        "signed": signer is not None,
        "key": signer,
        "missing_libraries": missing,
        "files": sorted(by_path),
    }
    return {"manifest": manifest, "bundle": bundle}


def unpack(path: str, terms: Terms, folder: str) -> Facts:
    """Verify, then write the members into a new folder, hashed once more as they are written; a folder half written is taken away."""
    if os.path.lexists(folder):
        raise BundleError("exists", "папка уже есть", folder)
    partial = f"{folder}.partial-{os.getpid()}"
    with opened(path) as file:
        facts = verified(file, path, terms)
        members = {member.path: member for member in listing(file, path)[1]}
        sums = checksums(content(file, members, SUMS, MAX_SUMS, path), path)
        os.mkdir(partial, 0o755)
        try:
            for name, member in members.items():
                written = write(file, member, os.path.join(partial, *name.split("/")))
                if sums.get(name, written) != written:
                    raise BundleError("checksum", f"файл изменился, пока пакет читали: {name}", path)
            os.rename(partial, folder)
        except BaseException:
            remove(partial)
            raise
    return facts


# ━━ The archive: POSIX.1-1988 ustar, regular files only ━━

KINDS = {
    b"1": ("link", "жёсткая ссылка"),
    b"2": ("link", "символическая ссылка"),
    b"3": ("device", "символьное устройство"),
    b"4": ("device", "блочное устройство"),
    b"5": ("folder", "отдельная запись о папке"),
    b"6": ("device", "канал FIFO"),
}


def opened(path: str) -> BinaryIO:
    """The file, if it is a regular one."""
    try:
        file = open(path, "rb")  # noqa: SIM115 — the caller closes it
    except FileNotFoundError:
        raise BundleError("missing", "файла нет", path) from None
    except OSError as error:
        raise BundleError("unreadable", f"файл не читается ({error.strerror})", path) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BundleError("unreadable", "это не обычный файл", path)
    return file


def listing(file: BinaryIO, path: str) -> tuple[str, list[Member]]:
    """The top folder and the members, in order; raises unless names grow strictly and the end is where it must be."""
    size = os.fstat(file.fileno()).st_size
    if size > MAX_ARCHIVE:
        raise BundleError("size", f"пакет больше {MAX_ARCHIVE >> 30} ГиБ", path)
    members: list[Member] = []
    top, at, before = "", 0, ""
    while True:
        block = read(file, at, BLOCK, path)
        if block == bytes(BLOCK):
            break
        name, length = header(block, path, at)
        folder, _, rest = name.partition("/")
        if not rest or (members and folder != top):
            raise BundleError("extra", f"файл вне верхней папки пакета: {plain(name)}", path)
        if name <= before:
            kind, words = (
                ("duplicate", "повторный файл")
                if name == before or rest in {m.path for m in members}
                else ("order", "файл не на своём месте")
            )
            raise BundleError(kind, f"{words}: {plain(name)}", path)
        if at + BLOCK + length > size:
            raise BundleError("truncated", f"архив обрезан на файле {plain(rest)}", path)
        if len(members) == MAX_MEMBERS:
            raise BundleError("size", f"в архиве больше {MAX_MEMBERS} файлов", path)
        top, before = folder, name
        members.append(Member(rest, at + BLOCK, length))
        at += BLOCK + length
        if any(read(file, at, -length % BLOCK, path)):
            raise BundleError("archive", f"лишние байты после файла: {plain(rest)}", path)
        at += -length % BLOCK
    if not members:
        raise BundleError("archive", "архив пуст", path)
    if size - at > 1 << 16 or any(read(file, at, size - at, path)) or size - at < 2 * BLOCK:
        raise BundleError("archive", "после последнего файла не конец архива", path)
    return top, members


def header(block: bytes, path: str, at: int) -> tuple[str, int]:
    """Name and size in bytes of one header block."""
    where = f"{path}, байт {at}"
    if block[257:265] != b"ustar\x0000":
        raise BundleError("archive", "это не архив tar нужного вида (ustar без сжатия)", where)
    if number(block[148:156], where) != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise BundleError("archive", "заголовок архива повреждён", where)
    kind = block[156:157]
    name = "/".join(part for part in (text(block[345:500], where), text(block[:100], where)) if part)
    if kind != b"0":
        word, words = KINDS.get(kind, ("archive", f"запись вида {kind!r}"))
        raise BundleError(word, f"в пакете бывают только обычные файлы, а здесь {words}: {plain(name)}", where)
    if len(name) > MAX_PATH or not all(PLACE.fullmatch(step) for step in name.split("/")):
        raise BundleError("path", f"недопустимый путь: {plain(name)}", where)
    if number(block[100:108], where) != 0o644 or block[157:257].strip(b"\0"):
        raise BundleError("archive", f"права не 0644 или указана ссылка: {plain(name)}", where)
    return name, number(block[124:136], where)


def number(field: bytes, where: str) -> int:
    """An octal field; the binary form of GNU tar is for sizes no bundle has."""
    digits = field.rstrip(b"\0 ")
    if not re.fullmatch(rb"[0-7]{1,12}", digits):
        raise BundleError("size" if field[:1] >= b"\x80" else "archive", "неправдоподобное число в заголовке", where)
    return int(digits, 8)


def text(field: bytes, where: str) -> str:
    """The text of a field up to its first zero byte; nothing may hide behind it."""
    shown, _, hidden = field.partition(b"\0")
    if hidden.strip(b"\0") or not shown.isascii():
        raise BundleError("path", "недопустимое имя файла", where)
    return shown.decode("ascii")


def read(file: BinaryIO, at: int, length: int, path: str) -> bytes:
    """Exactly so many bytes from there."""
    file.seek(at)
    found = file.read(length)
    if len(found) != length:
        raise BundleError("truncated", "архив обрезан", path)
    return found


def content(file: BinaryIO, members: dict[str, Member], name: str, limit: int, path: str) -> bytes:
    """The content of a small member."""
    if name not in members:
        raise BundleError("missing-member", f"в пакете нет {name}", path)
    if members[name].size > limit:
        raise BundleError("size", f"{name} больше {limit} байт", path)
    return read(file, members[name].offset, members[name].size, path)


def compare(file: BinaryIO, members: Sequence[Member], sums: dict[str, str], path: str) -> str:
    """Read the archive once from its beginning; raises at the first member that differs. The SHA-256 of it all."""
    whole, at = hashlib.sha256(), 0
    file.seek(0)
    for member in members:
        for piece in pieces(file, member.offset - at, path):
            whole.update(piece)
        own = hashlib.sha256()
        for piece in pieces(file, member.size, path):
            whole.update(piece)
            own.update(piece)
        if member.path not in (SUMS, SIGNATURE) and own.hexdigest() != sums[member.path]:
            raise BundleError("checksum", f"контрольная сумма не сходится: {member.path}", path)
        at = member.offset + member.size
    for piece in pieces(file, os.fstat(file.fileno()).st_size - at, path):
        whole.update(piece)
    return whole.hexdigest()


def pieces(file: BinaryIO, length: int, path: str) -> Iterator[bytes]:
    """The next so many bytes, in pieces."""
    while length:
        piece = file.read(min(length, 1 << 20))
        if not piece:
            raise BundleError("truncated", "архив обрезан", path)
        length -= len(piece)
        yield piece


def write(file: BinaryIO, member: Member, target: str) -> str:
    """Write one member; the SHA-256 of what was written."""
    os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
    own = hashlib.sha256()
    file.seek(member.offset)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as out:
        for piece in pieces(file, member.size, target):
            own.update(piece)
            out.write(piece)
    return own.hexdigest()


def remove(folder: str) -> None:
    """Take away what a broken unpacking left."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            os.unlink(os.path.join(place, name))
        os.rmdir(place)


# ━━ What is signed ━━


def checksums(raw: bytes, path: str) -> dict[str, str]:
    """SHA256SUMS: path → hexadecimal digest; lines of sha256sum, sorted, no path twice."""
    found: dict[str, str] = {}
    before = ""
    for line in raw.decode("ascii", "replace").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  (\S+)", line)
        if not match or match[2] <= before or match[2] in (SUMS, SIGNATURE):
            raise BundleError("sums", f"{SUMS} составлен неверно у строки {plain(line)}", path)
        before = match[2]
        found[before] = match[1]
    if not found or not raw.endswith(b"\n"):
        raise BundleError("sums", f"{SUMS} пуст или обрезан", path)
    return found


def manifest_of(raw: bytes, top: str, path: str) -> Facts:
    """The manifest, every field of it checked; unknown fields are kept."""

    def refuse(what: str, kind: str = "manifest") -> NoReturn:
        raise BundleError(kind, f"{MANIFEST}: {what}", path)

    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        refuse("это не JSON")
    if not isinstance(found, dict):
        refuse("это не описание пакета")
    if found.get("format") != FORMAT or type(found["format"]) is not int:
        raise BundleError(
            "format", f"{MANIFEST}: формат {plain(found.get('format'))}, а эта программа знает только {FORMAT}", path
        )
    if found.get("name") != NAME:
        refuse(f"это пакет другого продукта: {plain(found.get('name'))}")
    for name, pattern in (("version", VERSION), ("min_upgrade_from", VERSION), ("glibc", re.compile(r"\d{1,3}\.\d{1,3}")),
                          ("arch", re.compile(r"[a-z0-9_]{2,20}")), ("python_tag", re.compile(r"cp\d{2,4}")),
                          ("python", re.compile(r"bundled|system"))):  # fmt: skip
        if not isinstance(found.get(name), str) or not pattern.fullmatch(found[name]):
            refuse(f"поле {name} отсутствует или неверно")
    for name, least in (("audit_layout", 1), ("created", 1), ("expires", 1), ("files", 1)):
        if type(found.get(name)) is not int or not least <= found[name] < 1 << 40:
            refuse(f"поле {name} отсутствует или неверно")
    libraries = found.setdefault("libraries", [])
    if not isinstance(libraries, list) or not all(
        isinstance(each, str) and SONAME.fullmatch(each) for each in libraries
    ):
        refuse("поле libraries неверно")
    if top != f"appliance-{found['version']}":
        refuse(f"версия {found['version']}, а верхняя папка {top}")
    return dict(found)


def pairs(found: Sequence[tuple[str, object]]) -> Facts:
    """An object of JSON in which no name comes twice."""
    if len({name for name, _ in found}) != len(found):
        raise ValueError("a name comes twice")
    return dict(found)


def check_complete(sums: dict[str, str], members: dict[str, Member], manifest: Facts, path: str) -> None:
    """Listed and present are the same, and what an installation needs is there."""
    extra = sorted(set(members) - set(sums) - {SUMS, SIGNATURE})
    if extra:
        raise BundleError("extra", f"файла нет в подписанном списке: {extra[0]} (всего таких {len(extra)})", path)
    lacking = sorted(set(sums) - set(members)) or [name for name in REQUIRED if name not in members]
    lacking += [f"wheels/{stem}-*.whl" for stem in (NAME.replace("-", "_"), "pip")
                if not any(re.fullmatch(rf"wheels/{stem}-[^/]+\.whl", name) for name in members)]  # fmt: skip
    if lacking:
        raise BundleError("missing-member", f"в пакете нет {lacking[0]} (всего не хватает {len(lacking)})", path)
    if len(sums) != manifest["files"]:
        raise BundleError("manifest", f"{MANIFEST}: файлов {manifest['files']}, а в списке {len(sums)}", path)
    if (manifest["python"] == "bundled") != ("python/python.tar.gz" in members):
        raise BundleError("manifest", f"{MANIFEST}: python = {manifest['python']}, но это не так", path)


def check_dates(manifest: Facts, path: str, now: int) -> None:
    """Not before it was made (a day is forgiven), not after it expires."""
    if now < manifest["created"] - 86_400:
        raise BundleError("clock", f"пакет создан {day(manifest['created'])}, а на часах машины {day(now)}", path)
    if now >= manifest["expires"]:
        raise BundleError("expired", f"срок подписи истёк {day(manifest['expires'])}, сегодня {day(now)}", path)


def check_target(manifest: Facts, terms: Terms, path: str) -> list[str]:
    """Made for this machine; the shared libraries it will look for in vain here. Where nothing is compared, nothing is looked for."""
    arch = terms.arch or platform.machine()
    if arch not in ("any", manifest["arch"]):
        raise BundleError("arch", f"пакет для {manifest['arch']}, а нужен для {arch}", path)
    if terms.python_tag not in (None, "any", manifest["python_tag"]):
        raise BundleError("python", f"пакет для Python {manifest['python_tag']}, а нужен для {terms.python_tag}", path)
    library, version = platform.libc_ver()
    found = terms.glibc or (version if library == "glibc" else "")
    if found != "any" and not [int(part) for part in re.findall(r"\d+", found)[:2]] >= [
        int(part) for part in manifest["glibc"].split(".")
    ]:
        raise BundleError(
            "glibc", f"пакету нужна glibc {manifest['glibc']}, а здесь {found or 'другая библиотека C'}", path
        )
    return [] if found == "any" else [name for name in manifest["libraries"] if not loads(name)]


def loads(name: str) -> bool:
    """Whether the machine has this shared library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


# ━━ Ed25519: RFC 8032 section 5.1.7, strict (no cofactor, canonical encodings, no key of small order) ━━

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
SPKI = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before the 32 bytes


def signed_by(file: BinaryIO, members: dict[str, Member], message: bytes, terms: Terms, path: str) -> str | None:
    """SHA-256 of the key that signed the list; None for an unsigned bundle that is allowed to be one."""
    if SIGNATURE not in members:
        if terms.allow_unsigned:
            return None
        raise BundleError("unsigned", "пакет не подписан", path)
    if not terms.keys:
        raise BundleError("no-key", "не дан ни один ключ издателя", path)
    signature = content(file, members, SIGNATURE, 4096, path)
    for key in terms.keys:
        if signature_holds(key, message, signature):
            return hashlib.sha256(key).hexdigest()
    known = ", ".join(hashlib.sha256(key).hexdigest()[:16] for key in terms.keys)
    raise BundleError(
        "signature",
        f"подпись не сходится ни с одним из ключей ({known}): пакет изменён или подписан другим ключом",
        path,
    )


def public_keys(source: str) -> list[bytes]:
    """The raw keys in PEM text, or in the file of that path."""
    where, found = "ключ", source
    if "-----BEGIN" not in source:
        where = source
        try:
            with open(source, encoding="ascii") as file:
                found = file.read(1 << 16)
        except (OSError, UnicodeDecodeError):
            raise BundleError("key", "ключ издателя не читается", where) from None
    if "PRIVATE KEY" in found:
        raise BundleError("key", "это закрытый ключ", where)
    keys = []
    for body in re.findall(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----", found):
        try:
            raw = base64.b64decode("".join(body.split()), validate=True)
        except ValueError:
            raw = b""
        key = raw[len(SPKI) :]
        if raw[: len(SPKI)] != SPKI or not usable(key):
            raise BundleError("key", "это не открытый ключ Ed25519", where)
        keys.append(key)
    if not keys:
        raise BundleError("key", "в файле нет открытого ключа PEM", where)
    return keys


def usable(key: bytes) -> bool:
    """A point, and not one of small order, under which every message would have the same signatures."""
    point = decompressed(key)
    return point is not None and times(8, point)[0] % P != 0


def signature_holds(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is a signature of the message."""
    point, s = decompressed(key), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= ORDER or point is None:
        return False
    base = decompressed((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or (0, 1, 1, 0)
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    x, y, z, _ = added(times(s, base), times(k, (P - point[0], point[1], 1, P - point[3])))
    inverse = pow(z, P - 2, P)
    return signature[:32] == (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")


def decompressed(raw: bytes) -> Point | None:
    """The point of these 32 bytes (section 5.1.3), or None."""
    encoded = int.from_bytes(raw, "little")
    y, odd = encoded & ((1 << 255) - 1), encoded >> 255
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
    """The sum; right for equal points too."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * D * p[3] % P * q[3] % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar: int, point: Point) -> Point:
    """The multiple; everything here is public, so its time may tell."""
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = added(total, point)
        point, scalar = added(point, point), scalar >> 1
    return total


# ━━ Words and doors ━━


def plain(found: object) -> str:
    """Something foreign, fit to be shown: short, printable."""
    words = str(found)
    return "".join(each if each.isprintable() else "?" for each in words[:80]) + ("…" if len(words) > 80 else "")


def day(moment: int) -> str:
    """Seconds → a date, UTC."""
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(moment))
    except (OverflowError, ValueError, OSError):
        return str(moment)


def as_module() -> None:
    """Under Ansible."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "allow_unsigned": {"type": "bool", "default": False},
            "arch": {"type": "str"},
            "glibc": {"type": "str"},
            "python_tag": {"type": "str"},
            "now": {"type": "int"},
        },
        supports_check_mode=True,
    )
    given = dict(module.params)
    try:
        keys = [key for source in given.pop("keys") for key in public_keys(source)]
        facts = verify(given.pop("path"), Terms(keys, **given))
    except BundleError as error:
        module.fail_json(msg=str(error), kind=error.kind)
    except OSError as error:
        module.fail_json(msg=f"ошибка чтения пакета — {error}. Что делать: проверьте диск и права.", kind="unreadable")
    else:
        module.exit_json(
            changed=False, ansible_facts={"appliance_bundle": {**facts["manifest"], **facts["bundle"]}}, **facts
        )


def as_command(arguments: Sequence[str] | None = None) -> int:
    """Without Ansible."""
    parser = argparse.ArgumentParser(description="Проверить пакет установки до того, как из него что-либо взято.")
    parser.add_argument("bundle", help="файл appliance-<версия>-linux-<arch>-<тег>.tar")
    parser.add_argument(
        "--key", action="append", default=[], metavar="PEM", help="открытый ключ издателя; можно несколько"
    )
    parser.add_argument("--allow-unsigned", action="store_true", help="принять пакет без подписи (для разработки)")
    parser.add_argument("--arch", help="ожидаемая архитектура; any — не сравнивать; по умолчанию этой машины")
    parser.add_argument("--glibc", help="версия glibc; any — не сравнивать; по умолчанию этой машины")
    parser.add_argument("--python-tag", help="ожидаемый тег, например cp311")
    parser.add_argument("--now", type=int, help="время проверки, секунды от 1970 года; по умолчанию часы машины")
    parser.add_argument("--unpack", metavar="FOLDER", help="после проверки распаковать в новую папку")
    parser.add_argument("--json", action="store_true", help="ответ машине: JSON")
    given = parser.parse_args(arguments)
    try:
        keys = [key for source in given.key for key in public_keys(source)]
        terms = Terms(keys, given.allow_unsigned, given.arch, given.glibc, given.python_tag, given.now)
        facts = unpack(given.bundle, terms, given.unpack) if given.unpack else verify(given.bundle, terms)
    except BundleError as error:
        return told({"ok": False, "kind": error.kind, "error": str(error)}, f"ОТКАЗ: {error}", 1, as_json=given.json)
    except OSError as error:
        return told({"ok": False, "kind": "unreadable", "error": str(error)}, f"ОТКАЗ: {error}", 1, as_json=given.json)
    manifest, bundle = facts["manifest"], facts["bundle"]
    words = (f"Пакет проверен: {manifest['name']} {manifest['version']}, {manifest['arch']}, {manifest['python_tag']}, "
             f"Python {'свой' if manifest['python'] == 'bundled' else 'системный'}, glibc от {manifest['glibc']}, "
             f"действует до {day(manifest['expires'])}.\n"
             f"SHA-256 {bundle['sha256']}, {bundle['size']} байт, файлов {len(bundle['files'])}, "
             + (f"ключ {bundle['key']}." if bundle["signed"] else "БЕЗ ПОДПИСИ."))  # fmt: skip
    return told({"ok": True, **facts}, words, 0, as_json=given.json)


def told(document: Facts, words: str, code: int, *, as_json: bool) -> int:
    """Say it; the exit code."""
    sys.stdout.write((json.dumps(document, ensure_ascii=False, sort_keys=True) if as_json else words) + "\n")
    return code


if __name__ == "__main__":
    if AnsibleModule is not None and len(sys.argv) == 1:
        as_module()
    else:
        sys.exit(as_command())
