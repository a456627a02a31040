"""Cases beside a bundle: a text, where it would go, and what the policy must say of it. `appliance policy test` runs them.

They lie in the folder `cases` of the bundle, are no part of its digest, and may bring cards of recipients of their own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import msgspec

from policies.bundle import Policy
from policies.decision import Context, Destination, Ruling, evaluate
from policies.entities import Entity
from policies.errors import PolicyFileError
from policies.finding import Finding
from policies.recipients import Recipient
from policies.rules import Residency, Verdict, Words
from policies.templates import fitting


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case. `rule` and `masks` are checked where they are given; `consent` says that the request refers to one."""

    name: Words
    text: Words
    purpose: str
    residency: Residency
    expect: Verdict
    country: str = "RU"
    recipient: str = ""
    day: date | None = None
    consent: bool = False
    primary_record: bool = False
    rule: str = ""
    masks: tuple[Entity, ...] | None = None


class CaseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of cases. `day` is that of every case without one; `recipients` are added to the bundle's for these cases."""

    day: date
    cases: tuple[Case, ...]
    recipients: tuple[Recipient, ...] = ()


def load_cases(folder: Path) -> list[tuple[Path, CaseFile]]:
    """Every file of cases of the bundle in `folder`. Raises PolicyFileError with every problem."""
    loaded, problems = [], []
    for path in sorted((folder / "cases").glob("*.toml")):
        try:
            loaded.append((path, msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), CaseFile)))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise PolicyFileError(tuple(problems))
    return loaded


def outcome_of(case: Case, file: CaseFile, policy: Policy, findings: Sequence[Finding]) -> tuple[Ruling, str]:
    """What the policy says of the case, and what is wrong with that in Russian; "" when it is what the case expects.

    Raises UnknownPurposeError.
    """
    recipients = {**policy.recipients, **{card.id: card for card in file.recipients}}
    policy = msgspec.structs.replace(policy, recipients=recipients)
    fit = fitting(policy.templates, policy.topics, case.purpose, [case.text])
    context = Context(
        purpose=case.purpose,
        day=case.day or file.day,
        consent="case" if case.consent else "",
        primary_record=case.primary_record,
        template="" if fit is None else fit.id,
    )
    found: dict[Entity, int] = {}
    for finding in findings:
        found[finding.entity] = found.get(finding.entity, 0) + 1
    destination = Destination("case", case.residency, case.country, case.recipient)
    ruling = evaluate(policy, found, context, [destination]).rulings["case"]
    told = [rule.id for rule in ruling.rules]
    if ruling.verdict is not case.expect:
        return (
            ruling,
            f"ожидалось {case.expect}, получено {ruling.verdict} [{', '.join(told)}]; найдено: {_kinds(found)}",
        )
    if case.rule and case.rule not in told:
        return ruling, f"правила `{case.rule}` среди решивших нет: [{', '.join(told)}]"
    if case.masks is not None and set(case.masks) != set(ruling.masks):
        return ruling, f"скрыто {_kinds(ruling.masks)}, а ожидалось {_kinds(case.masks)}"
    return ruling, ""


def _kinds(entities: Iterable[Entity]) -> str:
    return ", ".join(sorted(map(str, entities))) or "ничего"
