"""Answers with legal effect that wait for a person (152-ФЗ ст. 16): in memory only, until somebody decides or nobody did in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec

from appliance.auth import Duty, Officer
from appliance.errors import AnswerWithheldError, NotThereError
from appliance.events import HoldAct, HoldDecided
from appliance.governance import now
from appliance.inspector import Inspected
from appliance.recorder import Recorder
from providers import ChatRequest, Chunk, Role


class Held(msgspec.Struct, frozen=True):
    """An answer that waits. `question` and `answer` are as the application wrote and would get them; they are in no record."""

    id: str
    intent: int
    app: str
    purpose: str
    route: str
    since: datetime
    question: str
    answer: str


class Holds:
    """The queue. `patience`: seconds that an answer waits; then it is withheld, for nobody has looked at it."""

    def __init__(self, recorder: Recorder, patience: float) -> None:
        self._recorder = recorder
        self._patience = patience
        self._waiting: dict[str, tuple[Held, asyncio.Future[tuple[str, bool]]]] = {}

    @property
    def waiting(self) -> tuple[Held, ...]:
        """What waits, the oldest first."""
        return tuple(held for held, _ in self._waiting.values())

    async def wait(self, held: Held) -> str:
        """Returns who approved the answer, once that is recorded.

        Raises AnswerWithheldError when it is denied, or nobody decides in time.
        """
        decision: asyncio.Future[tuple[str, bool]] = asyncio.get_running_loop().create_future()
        self._waiting[held.id] = held, decision
        try:
            reviewer, approved = await asyncio.wait_for(decision, self._patience)
        except TimeoutError:
            raise AnswerWithheldError(
                "Ответ ждал проверки сотрудником и не дождался: повторите запрос позже."
            ) from None
        finally:
            del self._waiting[held.id]
        if not approved:
            raise AnswerWithheldError(
                "Сотрудник, который проверил ответ, не разрешил его выдать (152-ФЗ, ст. 16).", reviewer
            )
        return reviewer

    async def view(self, officer: Officer, name: str) -> Held:
        """What waits under this id; that it was looked at is recorded first. Raises DutyError, NotThereError, RecordingError."""
        held, _ = self._find(officer, name)
        await self._record(officer, held, HoldAct.VIEWED)
        return held

    async def decide(self, officer: Officer, name: str, *, approve: bool) -> int:
        """Let an answer out or not. Returns the log's number. Raises DutyError, NotThereError, RecordingError: then it still waits."""
        held, decision = self._find(officer, name)
        record = await self._record(officer, held, HoldAct.APPROVED if approve else HoldAct.DENIED)
        if decision.done():
            raise NotThereError("этот ответ уже не ждёт: его срок вышел, приложение ушло или решение принято")
        decision.set_result((officer.id, approve))
        return record

    def _find(self, officer: Officer, name: str) -> tuple[Held, asyncio.Future[tuple[str, bool]]]:
        officer.needs(Duty.REVIEWER, Duty.DPO)
        if name not in self._waiting:
            raise NotThereError("такого ответа в очереди нет: список — GET /v1/admin/holds")
        return self._waiting[name]

    async def _record(self, officer: Officer, held: Held, act: HoldAct) -> int:
        return (await self._recorder.append(HoldDecided(held.id, held.intent, officer.id, act))).seq


def held(inspected: Inspected[ChatRequest], intent: int, route: str, chunks: Sequence[Chunk]) -> Held:
    """An answer as it will wait: what was last asked, and all that the model says, tool calls included."""
    asked = next((each.content for each in reversed(inspected.call.request.messages) if each.role is Role.USER), None)
    calls = "".join(call.name + call.arguments for chunk in chunks for call in chunk.tool_calls)
    return Held(
        id=inspected.call.request_id,
        intent=intent,
        app=inspected.principal.app,
        purpose=inspected.decision.purpose.id,
        route=route,
        since=now(),
        question="\n".join(asked) if isinstance(asked, tuple) else asked or "",
        answer="".join(chunk.content + chunk.refusal for chunk in chunks) + calls,
    )
