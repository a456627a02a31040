"""What can go wrong in this room.

PoliciesError
├── PolicyFileError            the policy file cannot be used: every problem found in it
├── RecognizersFileError       the file of a customer's recognisers cannot be used: every problem found in it
├── EvaluationError            a file of labelled texts cannot be used: which, where
├── UnknownPurposeError        a purpose that the policy does not declare
└── DetectorError              nothing is known about the texts: they must not leave
    ├── DetectorFailedError    a recogniser failed, or the detector is not open
    └── DetectorTimeoutError   the answer did not come in time

A message never carries the text that was looked at, nor anything found in it.
"""

from __future__ import annotations


class PoliciesError(Exception):
    """The root of this room's errors."""


class PolicyFileError(PoliciesError):
    """A policy file that cannot be used. Each problem names the file, the line or key, and the reason."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class RecognizersFileError(PoliciesError):
    """A file of recognisers that cannot be used. Each problem names the file, the entry or line, and the reason; no word is quoted."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class EvaluationError(PoliciesError):
    """A file of labelled texts that cannot be used. The message, in Russian, names the file and the line."""


class UnknownPurposeError(PoliciesError):
    """The purpose is not one of those the policy declares; without a purpose nothing may be processed (ст. 5 ч. 2)."""


class DetectorError(PoliciesError):
    """The detector has no answer. This never means that nothing was found."""


class DetectorFailedError(DetectorError):
    """A recogniser raised, or the detector was used while it was not open."""


class DetectorTimeoutError(DetectorError):
    """The detector did not answer within `DetectorSettings.timeout_ms`."""
