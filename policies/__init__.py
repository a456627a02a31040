"""Personal data in texts: what it is, where it stands, what may happen to it under the policy, and how it is hidden."""

from policies.custom import ClassEntry, CustomFile, RuleEntry, load_custom, read_custom
from policies.decision import Context, Decision, Ruling, evaluate
from policies.detector import Detector, DetectorSettings, problems_of_recognizers, scan
from policies.entities import TITLES, Category, Entity
from policies.errors import (
    DetectorError,
    DetectorFailedError,
    DetectorTimeoutError,
    EvaluationError,
    PoliciesError,
    PolicyFileError,
    RecognizersFileError,
    UnknownPurposeError,
)
from policies.evaluation import Counts, Evaluation, Labelled, Mistake, evaluate_findings, load_labelled
from policies.finding import Finding, Text
from policies.identity import Identity, Value, identify
from policies.recognizers.catalogue import BuiltIn, built_in
from policies.redaction import Vault, redact, restore
from policies.repeats import with_repeats
from policies.rules import Policy, Purpose, Residency, Rule, Verdict, load_policy, shipped_policy_path
from policies.stream import StreamRestorer

__all__ = [
    "TITLES",
    "BuiltIn",
    "Category",
    "ClassEntry",
    "Context",
    "Counts",
    "CustomFile",
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
    "RecognizersFileError",
    "Residency",
    "Rule",
    "RuleEntry",
    "Ruling",
    "StreamRestorer",
    "Text",
    "UnknownPurposeError",
    "Value",
    "Vault",
    "Verdict",
    "built_in",
    "evaluate",
    "evaluate_findings",
    "identify",
    "load_custom",
    "load_labelled",
    "load_policy",
    "problems_of_recognizers",
    "read_custom",
    "redact",
    "restore",
    "scan",
    "shipped_policy_path",
    "with_repeats",
]
