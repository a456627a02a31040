"""Policy bundles for the tests: the shipped one with recipients that may be relied on. Everybody in them is made up."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

from policies import Destination, Residency, shipped_policy_path

DAY = date(2026, 11, 23)
CLAUSES = (
    "data", "operations", "purposes", "confidentiality", "localisation", "duties", "proof", "protection", "incidents",
)  # fmt: skip
PARTNER = f"""
[[recipients]]
id = "partner"
name = "ООО «Партнёр»"
inn = "7707083893"
country = "RU"
status = "active"
contract = "Д-1 от 01.01.2026"
valid_from = 2026-01-01
valid_until = 2099-12-31
clauses = {list(CLAUSES)}
categories = ["general", "special", "biometric"]
operations = ["use", "storage"]
purposes = ["general", "support", "development"]
"""
OVERSEAS = f"""
[[recipients]]
id = "overseas"
name = "Overseas Inc."
inn = ""
country = "US"
status = "active"
contract = "C-1"
valid_from = 2026-01-01
valid_until = 2099-12-31
clauses = {list(CLAUSES)}
categories = ["general", "special", "biometric"]
operations = ["use", "storage"]
purposes = ["general", "support", "development"]
cross_border = {{ notice = "У-1", notice_date = 2026-01-10, countries = ["US"], categories = ["general", "special", "biometric"], \
assessed = 2026-01-05, assessment = ["measures", "contacts", "law"], reviewed = 2026-02-01 }}
"""

LOCAL = Destination("l/m", Residency.LOCAL, "RU")
RU = Destination("r/m", Residency.RU, "RU", "partner")
FOREIGN = Destination("f/m", Residency.FOREIGN, "US", "overseas")
DESTINATIONS = (LOCAL, RU, FOREIGN)


def shipped() -> dict[str, str]:
    """The files of the shipped bundle."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(shipped_policy_path().glob("*.toml"))}


def with_partners(folder: Path) -> Path:
    """The shipped bundle in a folder of its own, with a recipient in Russia and one abroad."""
    shutil.copytree(shipped_policy_path(), folder)
    (folder / "partners.toml").write_text(PARTNER + OVERSEAS, encoding="utf-8")
    return folder
