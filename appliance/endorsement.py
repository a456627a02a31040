"""Who stands behind a policy bundle: signed notes beside it, one a person and role (C2SP signed-note, Ed25519).

A note lies in the bundle's folder as `signatures/NAME.ROLE.note`; what is signed is the bundle's digest, so no file can change after.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from audit import AuditError, Signer, VerificationError, Verifier
from policies import PolicyFileError

_TITLE = "appliance policy bundle"


class Role(StrEnum):
    """What a signature says of its signer."""

    AUTHOR = "author"
    APPROVER = "approver"


class SignerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person whose signature counts. `key_file` holds the public key; a revoked one keeps its place so that the refusal can name it."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    key_file: Path
    revoked: bool = False


class Endorsement(msgspec.Struct, frozen=True):
    """Who signed a bundle; "" for nobody."""

    author: str = ""
    approver: str = ""


def endorse(folder: Path, digest: str, signer: Signer, role: Role, when: datetime) -> Path:
    """Write a person's signature beside the bundle and return its file. An older one of the same person and role is replaced."""
    note = signer.sign(f"{_TITLE}\n{digest}\n{role}\n{when.isoformat()}\n")
    path = folder / "signatures" / f"{signer.name}.{role}.note"
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(note, encoding="utf-8")
    fresh.replace(path)
    return path


def check_endorsement(folder: Path, digest: str, signers: Iterable[SignerSettings], *, four_eyes: bool) -> Endorsement:
    """Who stands behind the bundle in `folder`. Without known signers nobody need to.

    Raises PolicyFileError: no valid signature of an author, or, where four eyes are required, of another person who approves.
    """
    known = list(signers)
    if not known:
        return Endorsement()
    problems: list[str] = []
    signed: dict[Role, list[str]] = {Role.AUTHOR: [], Role.APPROVER: []}
    keys: dict[str, str] = {}
    for person in known:
        for role in Role:
            path = folder / "signatures" / f"{person.id}.{role}.note"
            if not path.is_file():
                continue
            try:
                keys[person.id] = _verify(path, person, digest, role)
            except PolicyFileError as error:
                problems.extend(error.problems)
            else:
                signed[role].append(person.id)
    pairs = [
        Endorsement(author, approver)
        for author in signed[Role.AUTHOR]
        for approver in signed[Role.APPROVER]
        if author != approver and keys[author] != keys[approver]
    ]
    if pairs:
        return pairs[0]
    if not signed[Role.AUTHOR]:
        problems.append(f"{folder}: политика не подписана автором: `appliance policy sign {folder} --key …`")
    elif four_eyes:
        problems.append(
            f"{folder}: нужна подпись второго человека: `appliance policy sign {folder} --role approver --key …`"
        )
    else:
        return Endorsement(signed[Role.AUTHOR][0])
    raise PolicyFileError(tuple(problems))


def _verify(path: Path, person: SignerSettings, digest: str, role: Role) -> str:
    """The public key behind a valid signature. Raises PolicyFileError."""
    if person.revoked:
        raise PolicyFileError((f"{path}: подпись `{person.id}` отозвана в настройках (`policy.signers`)",))
    try:
        verifier = Verifier.parse(person.key_file.read_text(encoding="utf-8").strip())
        text = verifier.verify(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyFileError((f"{error.filename}: не читается ({error.strerror})",)) from None
    except (AuditError, VerificationError, UnicodeDecodeError):
        raise PolicyFileError((f"{path}: подпись не принадлежит ключу `{person.key_file}`",)) from None
    lines = text.split("\n")
    if verifier.name != person.id or lines[:1] != [_TITLE] or lines[2:3] != [role.value]:
        raise PolicyFileError((f"{path}: подпись `{person.id}` сделана для другого",))
    if lines[1:2] != [digest]:
        raise PolicyFileError((f"{path}: подпись `{person.id}` — от другой редакции политики: подпишите заново",))
    return verifier.vkey.split("+", 2)[2]
