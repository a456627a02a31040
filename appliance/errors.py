"""What can go wrong between a request and its answer, as the gateway sees it.

GatewayError
├── BadRequestError            the request itself: what, where (`param`), what to do
│   ├── UninspectableError     it carries something that cannot be looked into
│   └── PurposeError           no purpose, or one that is not declared
├── NotAllowedError            the key may not do this
│   └── DutyError              a member of staff without the duty for it
├── NotThereError              what staff asked for is not there
├── SubjectHeldError           a person who is not to be cut off from the log, because a hold says so
├── CustodyError               the log could not do what an officer asked of it
├── PolicyRejectedError        a policy that cannot come into force: the old one stays
├── AuthenticationError        no key, or a key that is not ours
├── PolicyRefusedError         no route of any permitted residency: rules and articles inside
├── StoppedError              an officer's stop fell on a request under way
├── AnswerWithheldError        a model answered, and the policy or a person does not let the answer out
├── NotReadyError              permitted, but no route can take it now
├── AttemptsFailedError        every attempt that was permitted and made has failed: `cause` is the last one's error
├── RecordingError             the log cannot write: nothing was sent
└── InspectionError            the detector failed or timed out: nothing was sent
BackupError                    a backup that could not be made, or must not be put back, outside a request
ParcelError                    a sealed archive that could not be made or opened, outside a request
SettingsError                  every problem of a settings file, outside a request

A message never carries personal data, a secret or the text of a prompt.
"""

from __future__ import annotations

from policies import Rule
from providers import ProviderError


class GatewayError(Exception):
    """The root of all errors that become an HTTP answer."""

    param: str | None = None
    retry_after: float | None = None
    record: int | None = None


class BadRequestError(GatewayError):
    """The request cannot be accepted as it is; `param` is the place, as OpenAI names it."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UninspectableError(BadRequestError):
    """A part that would leave and cannot be inspected: it is refused rather than let through."""


class PurposeError(BadRequestError):
    """No purpose of processing is named, or one that the policy does not declare (152-ФЗ ст. 5 ч. 2)."""


class NotAllowedError(GatewayError):
    """The key is good but was not given this purpose."""


class DutyError(NotAllowedError):
    """The member of staff has none of the duties that this needs."""


class NotThereError(GatewayError):
    """There is no such stop, held answer or the like; or no longer."""


class SubjectHeldError(GatewayError):
    """A hold wins over erasure (152-ФЗ ст. 21 ч. 6). In Russian."""


class CustodyError(GatewayError):
    """The log could not be searched or changed as asked. In Russian."""


class BackupError(Exception):
    """A backup could not be made, or must not be put back. In Russian."""


class ParcelError(Exception):
    """A sealed archive could not be made or opened. In Russian; nothing is left half done."""


class PolicyRejectedError(GatewayError):
    """The policy on disk has faults or lacks signatures; the one in force stays. `problems` are for people, in Russian."""

    def __init__(self, problems: tuple[str, ...], record: int | None) -> None:
        super().__init__("Политика не принята, действует прежняя. " + "; ".join(problems))
        self.problems = problems
        self.record = record


class AuthenticationError(GatewayError):
    """No API key, or one that is not ours."""


class PolicyRefusedError(GatewayError):
    """Policy lets this request go to none of the routes asked for."""

    def __init__(self, message: str, rules: tuple[Rule, ...], record: int) -> None:
        super().__init__(message)
        self.rules = rules
        self.record = record


class StoppedError(GatewayError):
    """An officer stopped what this request falls under while it was under way; the attempt has its Outcome. In Russian."""

    def __init__(self, message: str, rules: tuple[Rule, ...]) -> None:
        super().__init__(message)
        self.rules = rules


class AnswerWithheldError(GatewayError):
    """The answer is not given out; the attempt has its Outcome. In Russian: for the people behind the application."""

    def __init__(self, message: str, reviewer: str = "") -> None:
        super().__init__(message)
        self.reviewer = reviewer


def told(rules: tuple[Rule, ...]) -> str:
    """Rules as people are told them, in Russian: name, article, why, what to change."""
    return " ".join(f"[{rule.id}; {rule.article}] {rule.reason} {rule.advice}" for rule in rules)


class NotReadyError(GatewayError):
    """A route is permitted but cannot take the request now; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AttemptsFailedError(GatewayError):
    """The providers that were asked did not answer; `record` is the Intent of the last attempt."""

    def __init__(self, cause: ProviderError, record: int) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.record = record
        self.retry_after = cause.retry_after


class RecordingError(GatewayError):
    """The log could not make the record durable."""


class InspectionError(GatewayError):
    """Personal data could not be looked for."""


class SettingsError(Exception):
    """A settings file that cannot be used, with every problem found in it."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
