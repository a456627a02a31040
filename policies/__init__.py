"""Personal data in texts: what it is, where it stands, what may happen to it under the policy, and how it is hidden."""

from policies.decision import Context, Decision, Ruling, evaluate
from policies.detector import Detector, DetectorSettings, scan
from policies.entities import Category, Entity
from policies.errors import (
    DetectorError,
    DetectorFailedError,
    DetectorTimeoutError,
    PoliciesError,
    PolicyFileError,
    UnknownPurposeError,
)
from policies.finding import Finding, Text
from policies.redaction import Vault, redact, restore
from policies.repeats import with_repeats
from policies.rules import Policy, Purpose, Residency, Rule, Verdict, load_policy, shipped_policy_path
from policies.stream import StreamRestorer

__all__ = [
    "Category",
    "Context",
    "Decision",
    "Detector",
    "DetectorError",
    "DetectorFailedError",
    "DetectorSettings",
    "DetectorTimeoutError",
    "Entity",
    "Finding",
    "PoliciesError",
    "Policy",
    "PolicyFileError",
    "Purpose",
    "Residency",
    "Rule",
    "Ruling",
    "StreamRestorer",
    "Text",
    "UnknownPurposeError",
    "Vault",
    "Verdict",
    "evaluate",
    "load_policy",
    "redact",
    "restore",
    "scan",
    "shipped_policy_path",
    "with_repeats",
]
