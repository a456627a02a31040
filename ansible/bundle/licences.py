"""Which licences may be in a bundle: what wheels say of themselves, held against `licences.toml`. Anything else stops the build."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from wheelhouse import Wheel


class LicenceError(Exception):
    """Something may not be handed on, or nobody knows whether it may."""


class Licences:
    """The house's rules, `licences.toml`."""

    def __init__(self, path: Path) -> None:
        rules = tomllib.loads(path.read_text(encoding="utf-8"))
        self.allowed: set[str] = set(rules["allowed"])
        self.words: dict[str, str] = rules["words"]
        self.packages: dict[str, dict[str, str]] = rules["packages"]
        self.libraries: dict[str, dict[str, str]] = rules["libraries"]
        self.system: dict[str, dict[str, str]] = rules["system"]

    def of_wheel(self, wheel: Wheel) -> tuple[str, str]:
        """SPDX expression and a note; raises LicenceError."""
        if known := self.packages.get(wheel.name):
            return known["licence"], known["reason"]
        stated = self.stated(wheel)
        if stated is None:
            raise LicenceError(f"{wheel.name} {wheel.version}: metadata name no licence that is understood")
        if not self.permits(stated):
            raise LicenceError(f"{wheel.name} {wheel.version}: {stated} is not among the allowed licences")
        return stated, ""

    def stated(self, wheel: Wheel) -> str | None:
        """What the metadata say, as an SPDX expression: License-Expression, else the classifiers, else License."""
        if expression := wheel.metadata["License-Expression"]:
            return self.spdx(expression)
        words = [
            line.rpartition("::")[2].strip()
            for line in wheel.metadata.get_all("Classifier") or []
            if line.startswith("License ::")
        ]
        short = self.spdx((wheel.metadata["License"] or "").strip().split("\n")[0])
        if not words or short is not None:  # `License` is often the more exact of the two
            return short
        found = [self.spdx(word) for word in words if word != "OSI Approved"]
        # Two classifiers: nobody says whether "and" or "or", so both have to be allowed.
        return " AND ".join(sorted(each for each in found if each)) if found and all(found) else None

    def spdx(self, words: str) -> str | None:
        """An SPDX expression, or None."""
        try:
            return str(canonicalize_license_expression(self.words.get(words, words)))
        except InvalidLicenseExpression:
            return None

    def permits(self, expression: str) -> bool:
        """Whether the expression can be met with allowed licences alone."""
        return _meets(re.findall(r"\(|\)|[^\s()]+", expression), self.allowed)

    def inside(self, wheel: Wheel) -> tuple[tuple[str, str], ...]:
        """The foreign libraries in a wheel with their licences; raises LicenceError at one that nobody has looked at."""
        return tuple((name, self.named(name, self.libraries, wheel.name)) for name in wheel.libraries)

    def named(self, library: str, table: Mapping[str, Mapping[str, str]], where: str) -> str:
        """The licence of a shared library by the beginning of its name."""
        for start, rule in table.items():
            if re.match(rf"{re.escape(start)}\d*[_.-]", library):
                return rule["licence"]
        raise LicenceError(f"{where}: nobody has looked at the licence of {library}")


def _meets(tokens: list[str], allowed: set[str]) -> bool:
    """OR of ANDs, brackets; consumes the tokens."""
    result, term = False, True
    while tokens:
        token = tokens.pop(0)
        if token == "(":  # noqa: S105 — a bracket, no secret
            term = _meets(tokens, allowed) and term
        elif token == ")":  # noqa: S105 — the same
            break
        elif token == "OR":  # noqa: S105 — the same
            result, term = result or term, True
        elif token == "WITH":  # noqa: S105 — an exception only adds permissions
            tokens.pop(0)
        elif token != "AND":  # noqa: S105 — the same
            term = term and token in allowed
    return result or term
