"""Personal data in texts: what it is, where it stands, what may happen to it under the policy, and how it is hidden."""

from policies.bundle import Policy, Profile, files_of, load_policy, read_policy, shipped_policy_path
from policies.cases import Case, CaseFile, load_cases, outcome_of
from policies.custom import ClassEntry, CustomFile, RuleEntry, load_custom, read_custom
from policies.decision import Context, Decision, Destination, Ruling, admit, evaluate, stopped
from policies.detector import Detector, DetectorSettings, problems_of_recognizers, scan
from policies.difference import differences
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
from policies.manipulation import Suspicion, suspicions_of_answer, suspicions_of_request
from policies.masking import Method, masked
from policies.purposes import AnswerCheck, Basis, Purpose
from policies.recipients import Recipient
from policies.recognizers.catalogue import BuiltIn, built_in
from policies.redaction import PLACEHOLDER, Vault, VaultContents, redact, restore, unrestored
from policies.repeats import with_repeats
from policies.rules import Residency, Rule, Verdict
from policies.statutes import REVIEW_HERE
from policies.stops import Stop, StopKind
from policies.stream import StreamRestorer
from policies.surrogates import Surrogate, surrogate
from policies.templates import AnswerFormat, Template, Topic, fitting

__all__ = [
    "PLACEHOLDER",
    "REVIEW_HERE",
    "TITLES",
    "AnswerCheck",
    "AnswerFormat",
    "Basis",
    "BuiltIn",
    "Case",
    "CaseFile",
    "Category",
    "ClassEntry",
    "Context",
    "Counts",
    "CustomFile",
    "Decision",
    "Destination",
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
    "Method",
    "Mistake",
    "PoliciesError",
    "Policy",
    "PolicyFileError",
    "Profile",
    "Purpose",
    "Recipient",
    "RecognizersFileError",
    "Residency",
    "Rule",
    "RuleEntry",
    "Ruling",
    "Stop",
    "StopKind",
    "StreamRestorer",
    "Surrogate",
    "Suspicion",
    "Template",
    "Text",
    "Topic",
    "UnknownPurposeError",
    "Value",
    "Vault",
    "VaultContents",
    "Verdict",
    "admit",
    "built_in",
    "differences",
    "evaluate",
    "evaluate_findings",
    "files_of",
    "fitting",
    "identify",
    "load_cases",
    "load_custom",
    "load_labelled",
    "load_policy",
    "masked",
    "outcome_of",
    "problems_of_recognizers",
    "read_custom",
    "read_policy",
    "redact",
    "restore",
    "scan",
    "shipped_policy_path",
    "stopped",
    "surrogate",
    "suspicions_of_answer",
    "suspicions_of_request",
    "unrestored",
    "with_repeats",
]
