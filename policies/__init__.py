"""Personal data in texts: what it is, where it stands, what may happen to it under the policy, and how it is hidden."""

from policies.decision import Context, Decision, Ruling, evaluate
from policies.detector import Detector, DetectorSettings, scan
from policies.entities import Category, Entity
from policies.errors import (
    DetectorError,
    DetectorFailedError,
    DetectorTimeoutError,
    EvaluationError,
    PoliciesError,
    PolicyFileError,
    UnknownPurposeError,
)
from policies.evaluation import Counts, Evaluation, Labelled, Mistake, evaluate_findings, load_labelled
from policies.finding import Finding, Text
from policies.identity import Identity, Value, identify
from policies.redaction import Vault, redact, restore
from policies.repeats import with_repeats
from policies.rules import Policy, Purpose, Residency, Rule, Verdict, load_policy, shipped_policy_path
from policies.stream import StreamRestorer

__all__ = [
    "Category",
    "Context",
    "Counts",
    "Decision",
    "Detector",
    "DetectorError",
    "DetectorFailedError",
    "DetectorSettings",
    "DetectorTimeoutError",
    "Entity",
    "Evaluation",
    "EvaluationError",
    "Finding",
    "Identity",
    "Labelled",
    "Mistake",
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
    "Value",
    "Vault",
    "Verdict",
    "evaluate",
    "evaluate_findings",
    "identify",
    "load_labelled",
    "load_policy",
    "redact",
    "restore",
    "scan",
    "shipped_policy_path",
    "with_repeats",
]
