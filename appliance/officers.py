"""What officers do while requests run, and the record of it: lay and lift stops, bring another policy into force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from appliance.auth import Duty, Officer, Pseudonyms
from appliance.endorsement import Endorsement
from appliance.errors import NotThereError, PolicyRejectedError
from appliance.events import PolicyChanged, StopChanged
from appliance.governance import Governance, StopOrder, now
from appliance.recorder import Recorder
from policies import Policy, PolicyFileError, StopKind

_PEOPLE = frozenset({StopKind.SUBJECT, StopKind.CONSENT})


class Impact(msgspec.Struct, frozen=True):
    """What was learned of a bundle before it was applied; `appliance policy apply` leaves it beside the bundle."""

    difference: str = ""  # hex
    replayed: int = 0
    refused: int = 0
    masked: int = 0
    allowed: int = 0


class Officers:
    """Joins governance with the log. `load` reads the policy that the settings name, and who stands behind it, and where it lies."""

    def __init__(
        self,
        governance: Governance,
        recorder: Recorder,
        pseudonyms: Pseudonyms,
        load: Callable[[], tuple[Policy, Endorsement, Path]],
    ) -> None:
        self._governance = governance
        self._recorder = recorder
        self._pseudonyms = pseudonyms
        self._load = load
        self._turn = asyncio.Lock()

    @property
    def governance(self) -> Governance:
        """What is in force."""
        return self._governance

    async def lay(
        self, officer: Officer, request_id: str, kind: StopKind, name: str, ground: str
    ) -> tuple[StopOrder, int]:
        """Stop something at once: it is in force before it is recorded. `name`: for people and consents the customer's own identifier.

        Returns the order and the log's number. Raises DutyError, and RecordingError: then the stop is in force all the same.
        """
        officer.needs(Duty.DPO, Duty.SECURITY, Duty.OPERATOR)
        order = StopOrder(kind, self.target(kind, name), officer.id, now(), ground)
        async with self._turn:
            self._governance.lay(order)
            record = await self._record(officer, request_id, order, laid=True)
        return order, record

    async def lift(self, officer: Officer, request_id: str, kind: StopKind, name: str, ground: str) -> int:
        """Lift a stop once that is recorded. Raises DutyError, NotThereError, RecordingError: then it is still in force.

        `name` may also be the pseudonym that the list of stops shows.
        """
        officer.needs(Duty.DPO, Duty.SECURITY)
        async with self._turn:
            target = next(
                (each for each in (name, self.target(kind, name)) if self._governance.is_stopped((kind, each))), None
            )
            if target is None:
                raise NotThereError(f"остановки `{kind}` с таким именем нет: список — GET /v1/admin/stops")
            order = StopOrder(kind, target, officer.id, now(), ground)
            record = await self._record(officer, request_id, order, laid=False)
            self._governance.lift((kind, target))
        return record

    def target(self, kind: StopKind, name: str) -> str:
        """What a stop of this kind is kept by: a pseudonym for people and consents, else the name itself."""
        if kind not in _PEOPLE:
            return name
        pseudonym = self._pseudonyms.of_consent if kind is StopKind.CONSENT else self._pseudonyms.of
        return pseudonym(name).hex()

    async def reload(self, officer: Officer | None = None, request_id: str = "") -> tuple[Policy, int]:
        """Bring the policy on disk into force; read off the loop, swapped at once. Requests under way keep the one they began with.

        Returns it and the log's number. Raises DutyError, PolicyRejectedError, RecordingError: then the old one stays.
        """
        if officer is not None:
            officer.needs(Duty.DPO, Duty.OPERATOR)
        by = "" if officer is None else officer.id
        async with self._turn:
            old = self._governance.policy
            try:
                policy, endorsement, folder = await asyncio.to_thread(self._load)
            except PolicyFileError as error:
                kept = PolicyChanged(
                    request_id,
                    by,
                    accepted=False,
                    old_digest=bytes.fromhex(old.digest),
                    new_digest=b"",
                    problems=len(error.problems),
                )
                receipt = await self._recorder.append(kept)
                raise PolicyRejectedError(error.problems, receipt.seq) from None
            impact = _impact(folder, policy.digest)
            changed = PolicyChanged(
                request_id=request_id,
                officer=by,
                accepted=True,
                old_digest=bytes.fromhex(old.digest),
                new_digest=bytes.fromhex(policy.digest),
                version=policy.version,
                profile=policy.profile,
                author=endorsement.author,
                approver=endorsement.approver,
                difference=bytes.fromhex(impact.difference),
                replayed=impact.replayed,
                refused=impact.refused,
                masked=impact.masked,
                allowed=impact.allowed,
            )
            receipt = await self._recorder.append(changed)
            self._governance.policy = policy
        return policy, receipt.seq

    async def _record(self, officer: Officer, request_id: str, order: StopOrder, *, laid: bool) -> int:
        if order.kind is StopKind.SUBJECT:  # a person belongs into the compartment, from which they can be erased
            event = StopChanged(request_id, officer.id, order.kind, "", laid, order.ground)
            return (await self._recorder.append(event, (bytes.fromhex(order.target),))).seq
        event = StopChanged(request_id, officer.id, order.kind, order.target, laid, order.ground)
        return (await self._recorder.append(event)).seq


def impact_file(folder: Path, digest: str) -> Path:
    """Where `appliance policy apply` leaves what it learned of a bundle: in the folder, under a name that is no part of the bundle."""
    return folder / "signatures" / f"{digest[:16]}.impact.json"


def _impact(folder: Path, digest: str) -> Impact:
    """What is known of the bundle's consequences; nothing when nobody asked, or when the file is not one of ours."""
    try:
        return msgspec.json.decode(impact_file(folder, digest).read_bytes(), type=Impact)
    except (OSError, msgspec.DecodeError):
        return Impact()
