"""One attempt while it goes on: what is counted of it, and what that makes of its route's health and of its cost."""

from __future__ import annotations

from collections.abc import Callable

from appliance.accounting import Accounting
from appliance.events import Outcome, Status, provider_id
from appliance.reply import Seen
from providers import Chunk, Cost, Health, ProviderError, Route, Usage


class Attempt:
    """Made when the route was chosen, before anything is recorded or sent. `clock` is monotonic, in seconds.

    Ends by exactly one of `completed`, `failed` and `dropped`; what comes after the first changes nothing.
    """

    def __init__(
        self, route: Route, characters: int, health: Health, accounting: Accounting, clock: Callable[[], float]
    ) -> None:
        self.route = route
        self.intent = -1  # the log's number of its Intent, once that is durable
        self.placeholders = 0
        self.begun = False  # whether its answer was handed on
        self.recorded = False  # whether its Outcome is written or being written
        self.held: list[Chunk] = []  # the end of the answer, given only after the Outcome is durable
        self.cost: Cost | None = None
        self.seen = Seen()  # what was found in its answer
        self.unrestored = 0
        self.reviewer = ""
        self._characters = characters
        self._health = health
        self._accounting = accounting
        self._clock = clock
        self._began = clock()
        self._first: float | None = None  # seconds until the first chunk that says something
        self._ended = False
        self._chunks = 0
        self._usage: Usage | None = None
        self._finish_reason = ""
        self._request_id = ""
        health.began(self._began)

    def left(self, unrestored: int) -> None:
        """Note how many placeholders of the answer could not be put back."""
        self.unrestored = unrestored

    def see(self, chunk: Chunk) -> bool:
        """Count a chunk; whether it says something."""
        self._chunks += 1
        self._usage = chunk.usage or self._usage
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._request_id = chunk.request_id or self._request_id
        says = bool(chunk.content or chunk.refusal or chunk.reasoning or chunk.tool_calls or chunk.finish_reason)
        if says and self._first is None:
            self._first = self._clock() - self._began
        return says

    def answered(self, usage: Usage | None, request_id: str) -> None:
        """Count an answer that came whole and is no chat."""
        self._usage, self._request_id = usage, request_id
        self._first = self._clock() - self._began

    def completed(self) -> Outcome:
        """The answer came to its end."""
        now = self._clock()
        if not self._ended:
            self._health.succeeded(now, self._first, began=self._began)
            self._accounting.learn(self.route, self._characters, self._usage)
        self._ended = True
        return self._outcome(Status.COMPLETED, now)

    def failed(self, error: ProviderError) -> Outcome:
        """The provider failed, before its answer was handed on or after."""
        now = self._clock()
        if not self._ended:
            self._health.failed(now, error, began=self._began)
        self._ended = True
        self._request_id = self._request_id or error.request_id
        return self._outcome(Status.INTERRUPTED if self.begun else Status.FAILED, now, type(error).__name__)

    def withheld(self) -> Outcome:
        """The answer came, and is not let out; the provider did its work."""
        now = self._clock()
        if not self._ended:
            self._health.succeeded(now, self._first, began=self._began)
        self._ended = True
        return self._outcome(Status.WITHHELD, now)

    def dropped(self, status: Status = Status.ABORTED) -> Outcome:
        """Nobody waits for it any more, or a stop ended it; that says nothing of the provider."""
        now = self._clock()
        if not self._ended:
            self._health.abandoned(now, began=self._began)
        self._ended = True
        return self._outcome(status, now)

    def _outcome(self, status: Status, now: float, error: str = "") -> Outcome:
        seconds = now - self._began
        cost = self.cost = self._accounting.cost(self.route, self._usage, seconds=seconds)
        usage = self._usage or Usage(0, 0, 0)
        return Outcome(
            intent=self.intent,
            status=status,
            error=error,
            finish_reason=self._finish_reason,
            provider_request_id=provider_id(self._request_id),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            chunks=self._chunks,
            milliseconds=round(seconds * 1000),
            placeholders=self.placeholders,
            first_milliseconds=None if self._first is None else round(self._first * 1000),
            cached_tokens=usage.cached_tokens,
            cost=None if cost is None else cost.microrubles,
            cost_exact=cost is not None and cost.exact,
            tariff="" if cost is None else cost.tariff,
            inspected=self.seen.inspected,
            found=dict(self.seen.found),
            suspicions=tuple(sorted(self.seen.suspicions)),
            unrestored=self.unrestored,
            reviewer=self.reviewer,
        )
