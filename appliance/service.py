"""The parts of a running service, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import NamedTuple, assert_never

from appliance import __version__
from appliance.accounting import Accounting
from appliance.analysis import Analyst
from appliance.aside import Aside, keep_recovering, recover
from appliance.auth import Keyring, Officer, Principal, Pseudonyms
from appliance.clocks import Clocks
from appliance.custody import Custody
from appliance.disclosures import Disclosures
from appliance.dispatch import Dispatcher
from appliance.errors import AuthenticationError, NotReadyError, RecordingError, SettingsError, SubjectHeldError
from appliance.events import (
    AuditBlocked,
    AuthFailed,
    Booted,
    ErasureAsked,
    Outcome,
    Resumed,
    ShutDown,
    Status,
    entry,
)
from appliance.gateway import Gateway
from appliance.governance import Governance
from appliance.halting import Halts
from appliance.holds import Holds
from appliance.inspector import Inspector
from appliance.keeping import keep_sweeping
from appliance.measurement import digest_of_code
from appliance.officers import Officers
from appliance.privacy import Privacy
from appliance.readings import keep_recording
from appliance.recorder import Recorder
from appliance.scrubbing import Scrubber
from appliance.sealing import Seal
from appliance.settings import Settings, WhenBlocked, load_governed, load_keyring
from appliance.siem import Stream
from appliance.witnesses import Confirmation, Witnesses
from appliance.witnessing import (
    C2spSettings,
    C2spWitness,
    Confirming,
    FileSettings,
    NoteFile,
    SiemSettings,
    SiemStream,
    TsaSettings,
    TsaWitness,
    problem_of_stop,
)
from audit import AuditError, AuditLog, Notices, Verifier, Witness, load_witness_key
from policies import Detector, Policy
from providers import Directory, HealthBoard, Provider, Task, load_tariffs, open_provider, routes_of, vendor_of

_WITNESS_SECONDS = 5.0  # that a start waits for the witnesses' first word
_ORPHANS_AT_ONCE = 500
_UNDER_WAY = 1000  # records that a collector which is there may be behind, before that is told
_NOTICES = Notices(
    blocked=lambda reason, since_us: entry(AuditBlocked(reason, since_us)),
    resumed=lambda reason: entry(Resumed(reason)),
)


class Surfaces(NamedTuple):
    """What requests are answered by: those of applications, of those who only ask where data stand or call a model themselves, of staff."""

    gateway: Gateway
    analyst: Analyst
    privacy: Privacy
    officers: Officers
    holds: Holds
    custody: Custody
    disclosures: Disclosures
    witnesses: Witnesses
    witness: Witness | None
    aside: Aside | None
    scrubber: Scrubber


class Service:
    """What the routes need: who may ask, the gateway, and how the parts are."""

    def __init__(
        self,
        settings: Settings,
        keyring: Keyring,
        surfaces: Surfaces,
        log: AuditLog,
        providers: dict[str, Provider],
        streams: Sequence[Stream] = (),
    ) -> None:
        self._aside = surfaces.aside
        self._streams = streams
        self.gateway = surfaces.gateway
        self.analyst = surfaces.analyst
        self.privacy = surfaces.privacy
        self.officers = surfaces.officers
        self.holds = surfaces.holds
        self.custody = surfaces.custody
        self.disclosures = surfaces.disclosures
        self.witnesses = surfaces.witnesses
        self.witness = surfaces.witness
        self.scrubber = surfaces.scrubber
        self._settings = settings
        self._keyring = keyring
        self._log = log
        self._providers = providers
        self._in_flight = 0
        self._failed_logins = 0
        self._failed_login_recorded = float("-inf")

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal behind an Authorization header. Raises AuthenticationError; failures are recorded, at most one a second."""
        try:
            return self._keyring.authenticate(authorization)
        except AuthenticationError:
            await self._count_failed_login()
            raise

    async def officer(self, authorization: str | None) -> Officer:
        """The member of staff behind an Authorization header, as `authenticate` does for applications."""
        try:
            return self._keyring.officer(authorization)
        except AuthenticationError:
            await self._count_failed_login()
            raise

    async def _count_failed_login(self) -> None:
        self._failed_logins += 1
        if time.monotonic() - self._failed_login_recorded >= 1.0:
            count, self._failed_logins = self._failed_logins, 0
            self._failed_login_recorded = time.monotonic()
            await self._append_failed_logins(count)

    async def _append_failed_logins(self, count: int) -> None:
        try:
            await self._log.append(entry(AuthFailed(count)))
        except AuditError:
            raise RecordingError("the audit log cannot be written: tell the administrator") from None

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Counts a request while it lasts. Raises NotReadyError when there are too many."""
        if self._in_flight >= self._settings.server.max_in_flight:
            raise NotReadyError("too many requests at once: try again in a second", 1.0)
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def try_log(self) -> None:
        """Try a log that could not write once more, now and not when its turn comes."""
        with suppress(AuditError):
            await recover(self._log, self._aside)

    def readiness(self) -> dict[str, str]:
        """Each part → "ok" or what is wrong with it. Costs nothing and asks no upstream."""
        report = {"audit": self._log.blocked or "ok", "detector": "ok"}
        if self._log.reserve is not None:
            report["audit-reserve"] = self._log.reserve
        if self._aside is not None:
            waits = "есть записи в стороне: будут перенесены в журнал" if self._aside.waiting else "ok"
            report["audit-aside"] = self._aside.failure or waits
        if self.scrubber.state:
            report["audit-scrub"] = self.scrubber.state
        report.update({f"witness:{name}": state for name, state in self.witnesses.states.items()})
        if self.witnesses.lacking:
            report["witnesses"] = self.witnesses.lacking
        for stream in self._streams:
            lag = f"не отправлено {stream.lag}" if stream.lag > (0 if stream.state else _UNDER_WAY) else ""
            report[f"siem:{stream.name}"] = "; ".join(part for part in (stream.state, lag) if part) or "ok"
        for name, provider in self._providers.items():
            state = provider.readiness()
            report[f"provider:{name}"] = "ok" if state.ready else state.reason
        return report

    def ready(self) -> bool:
        """Whether a request can be taken at all: it can be recorded, in the log or aside, and some provider answers."""
        aside = self._aside is not None and self._aside.takes and self._aside.failure is None
        return (self._log.blocked is None or aside) and any(
            provider.readiness().ready for provider in self._providers.values()
        )

    @property
    def sqlite(self) -> dict[str, str | bool]:
        """Which SQLite writes the log, and whether it is one that two writers can corrupt; then the start made sure that there is one."""
        return {"version": self._log.sqlite_version, "wal_race": self._log.sqlite_has_wal_race}

    async def close(self) -> None:
        """Finish the records of answers that were broken off, then say goodbye in the log."""
        await self.gateway.settle()
        await self.try_log()  # what cannot be brought in waits for the next start
        if self._failed_logins:
            await self._append_failed_logins(self._failed_logins)
        if self._log.blocked is None:
            await self._log.append(entry(ShutDown(requests=self.gateway.requests)))


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Open the policy, the log, the detector and the providers. Raises the error of the first part that cannot be opened."""
    stopped = problem_of_stop(settings.stop_mark)
    if stopped is not None:
        raise SettingsError((stopped,))
    policy, _ = load_governed(settings)
    governance = Governance(policy, settings.stops_path)
    keyring = load_keyring(settings)
    pseudonyms = Pseudonyms.load(settings.pseudonym_key)
    prices = load_tariffs(settings.router.tariff_file)
    routes = routes_of(settings.providers)
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(AuditLog.open(settings.log, notices=_NOTICES))
        taking = settings.audit.when_blocked is WhenBlocked.DENY_PERSONAL_DATA
        aside = None if log.side is None else Aside(log, log.side, taking=taking)
        if aside is not None:
            await aside.bring_in()
        orphans, erasures = await _close_orphans(log)
        detector = await stack.enter_async_context(Detector.open(settings.detector))
        providers = {
            each.name: await stack.enter_async_context(open_provider(each, settings.broker))
            for each in settings.providers
        }
        board = HealthBoard([route.id for route in routes], settings.router.health)
        inspector = Inspector(governance, detector, pseudonyms)
        recorder = Recorder(log, governance, detector.version, aside)
        holds = Holds(recorder, settings.policy.hold_seconds)
        gateway = Gateway(
            inspector=inspector,
            recorder=recorder,
            dispatcher=Dispatcher(settings.router, board),
            accounting=Accounting(prices, {each.name: vendor_of(each) for each in settings.providers}),
            directory=Directory(routes, settings.aliases),
            providers=providers,
            holds=holds,
            halts=Halts(governance),
        )
        officers = Officers(
            governance, recorder, pseudonyms, lambda: (*load_governed(settings), settings.policy_path.resolve())
        )
        chats = tuple(route for route in routes if route.task is Task.CHAT)
        privacy = Privacy(inspector, recorder, Seal(pseudonyms), chats)
        custody = Custody(log, recorder, pseudonyms)
        witnesses = _witnesses(settings, log, recorder)
        scrubber = Scrubber(log, recorder, settings.state / "scrub.json", settings.audit.scrub_hours)
        surfaces = Surfaces(
            gateway,
            Analyst(inspector, recorder),
            privacy,
            officers,
            holds,
            custody,
            Disclosures(log, recorder, pseudonyms),
            witnesses,
            _witness(settings),
            aside,
            scrubber,
        )
        streams = [
            Stream(sink, log, settings.audit.origin, settings.state / "siem", settings.broker) for sink in settings.siem
        ]
        service = Service(settings, keyring, surfaces, log, providers, streams)
        code = await asyncio.to_thread(digest_of_code)
        await log.append(entry(_booted(policy, detector, tuple(route.id for route in routes), log, orphans, code)))
        with suppress(SubjectHeldError):  # recorded as such
            await custody.resume(erasures)
        stack.push_async_callback(service.close)
        following = asyncio.gather(
            witnesses.run(),
            keep_recording(settings.readings, recorder),
            Clocks(recorder).watch(),
            keep_recovering(log, aside),
            keep_sweeping(log, recorder, settings.audit.keep_decisions_days),
            scrubber.run(),
            *(stream.run() for stream in streams),
        )
        await witnesses.heard(_WITNESS_SECONDS)
        try:
            yield service
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def _witnesses(settings: Settings, log: AuditLog, recorder: Recorder) -> Witnesses:
    audit, clock = settings.audit, time.time
    witnesses: list[Confirming] = []
    for each in audit.witnesses:
        match each:
            case C2spSettings():
                witnesses.append(C2spWitness(each, audit.witness_seconds, settings.broker))
            case TsaSettings():
                slot = 1 + sum(isinstance(one, TsaWitness) for one in witnesses)
                witnesses.append(TsaWitness(each, settings.timestamps, slot, clock, settings.broker))
            case FileSettings():
                witnesses.append(NoteFile(each, clock))
            case SiemSettings():
                witnesses.append(SiemStream(each, audit.witness_seconds, recorder.append, clock))
            case _:
                assert_never(each)
    wanted = Confirmation(audit.witness_quorum, audit.witness_alarm_hours * 3600, audit.witness_seconds)
    return Witnesses(log, recorder, witnesses, wanted, settings.stop_mark)


def _witness(settings: Settings) -> Witness | None:
    if not settings.witness.logs:
        return None
    logs = [Verifier.parse(path.read_text(encoding="utf-8")) for path in settings.witness.logs]
    return Witness(load_witness_key(settings.witness_key), logs, settings.state / "witness", time.time)


async def _close_orphans(log: AuditLog) -> tuple[int, list[int]]:
    """Intents that a crash left open get their Outcome: what became of them is unknown, and that is what is written.

    How many they were, and the demands of erasure that were not carried out.
    """
    intents: list[int] = []
    erasures: list[int] = []
    for seq in await log.unclosed():
        (erasures if (await log.read(seq)).kind == ErasureAsked.KIND else intents).append(seq)
    for at in range(0, len(intents), _ORPHANS_AT_ONCE):
        some = intents[at : at + _ORPHANS_AT_ONCE]
        await asyncio.gather(*(log.append(entry(Outcome(intent=seq, status=Status.UNKNOWN))) for seq in some))
    return len(intents), erasures


def _booted(
    policy: Policy, detector: Detector, routes: tuple[str, ...], log: AuditLog, orphans: int, code: bytes
) -> Booted:
    return Booted(
        version=__version__,
        policy_version=policy.version,
        policy_digest=bytes.fromhex(policy.digest),
        detector=detector.version,
        routes=routes,
        sqlite=log.sqlite_version,
        orphans=orphans,
        code=code,
    )
