"""Asking witnesses to cosign the log (c2sp.org/tlog-witness), and being one for other logs.

A witness that has seen more than there is, or another history, says that the log was rolled back or forked: it then stops writing, and with
it everything that needs a record. A witness that cannot be reached stops nothing; that nobody has cosigned for a day is said and recorded.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from appliance.errors import RecordingError
from appliance.events import Unwitnessed, Witnessed
from appliance.recorder import Recorder
from audit import AuditError, AuditLog, Submission, VerificationError, WitnessVerifier

_SECONDS = 20.0  # of one request
_LONGEST = 1 << 16  # bytes of an answer
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\n")

Post = Callable[[str], tuple[int, str]]
"""Sends the body of `add-checkpoint`; status and text of the answer. Raises OSError and HTTPException."""


class Asked(NamedTuple):
    """One witness: what it is trusted by, and how it is asked."""

    key: WitnessVerifier
    post: Post


class Witnesses:
    """Has the log cosigned whenever it has grown. `every` seconds, `alarm` seconds without a cosignature; `clock` is POSIX."""

    def __init__(
        self,
        log: AuditLog,
        recorder: Recorder,
        asked: Sequence[Asked],
        *,
        every: float,
        alarm: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._recorder = recorder
        self._asked = asked
        self._every = every
        self._alarm = alarm
        self._clock = clock
        self._since = clock()
        self._alarmed = False
        self._states: dict[str, str] = {}
        self._heard = asyncio.Event()  # every witness answered once, or did not

    @property
    def states(self) -> dict[str, str]:
        """Witness → "ok" or what is wrong, in Russian."""
        return dict(self._states)

    async def heard(self, patience: float) -> None:
        """Return once every witness was asked, or after so many seconds: a log that was rolled back is known before the first request."""
        if self._asked:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), patience)

    async def run(self) -> None:
        """Ask all of them, for ever."""
        if self._asked:
            self._since = max((seen for _, seen in (await self._log.witnessed()).values()), default=self._since)
            await asyncio.gather(self._watch(), *(self._follow(each) for each in self._asked))

    async def _follow(self, asked: Asked) -> None:
        size = (await self._log.witnessed()).get(asked.key.name, (0, 0))[0]
        cosigned = -1  # by this run
        while True:
            if self._log.blocked is None and (self._log.size != cosigned or self._states.get(asked.key.name) != "ok"):
                size = await self._ask(asked, size)
                cosigned = size if self._states.get(asked.key.name) == "ok" else -1
            if len(self._states) == len(self._asked):
                self._heard.set()
            await asyncio.sleep(self._every)

    async def _ask(self, asked: Asked, old: int) -> int:
        """The size that the witness has seen now; a failure leaves it and is told in `states`."""
        name = asked.key.name
        try:
            submission, status, text = await self._sent(asked, old)
            stands = _SIZE.fullmatch(text) if status == 409 else None
            if stands is not None and int(stands[1]) != old:  # once more, from where the witness says that it stands
                old = int(stands[1])
                submission, status, text = await self._sent(asked, old)
            return await self._told(asked, submission, status, text, old)
        except IndexError:
            self._rolled_back(name, f"свидетель видел {old} записей, а в журнале их {self._log.size}")
        except (OSError, HTTPException) as error:
            self._states[name] = f"не отвечает ({type(error).__name__})"
        except (VerificationError, RecordingError) as error:
            self._states[name] = str(error)
        except AuditError as error:
            self._states[name] = f"журнал: {error}"
        except Exception as error:  # noqa: BLE001  (whatever it is, the next try comes, and the state says so)
            self._states[name] = f"сбой ({type(error).__name__})"
        return old

    async def _sent(self, asked: Asked, old: int) -> tuple[Submission, int, str]:
        submission = await self._log.submission(old)
        return submission, *(await asyncio.to_thread(asked.post, submission.body()))

    async def _told(self, asked: Asked, submission: Submission, status: int, text: str, old: int) -> int:
        name = asked.key.name
        match status:
            case 200:
                self._since = await self._log.keep_cosigned(asked.key, submission.note, text)
                size = submission.size
                if self._states.get(name) != "ok":
                    await self._recorder.append(Witnessed(name, size))
                self._states[name] = "ok"
                self._alarmed = False
                return size
            case 422:
                self._rolled_back(name, f"свидетель не признаёт, что журнал продолжает первые {old} записей")
            case 409 if _SIZE.fullmatch(text) or old == submission.size:
                self._rolled_back(name, f"история журнала до {old} записей не та, что видел свидетель")
            case 404:
                self._states[name] = "свидетель не знает этот журнал: дайте ему открытый ключ журнала"
            case 403:
                self._states[name] = "свидетель не признаёт ключ журнала: сверьте открытый ключ"
            case _:
                self._states[name] = f"ответил {status}"
        return old

    def _rolled_back(self, name: str, words: str) -> None:
        self._states[name] = (
            f"{words}: журнал откатили или подменили. Верните его из более новой копии; если утрата необратима, начните новый журнал"
        )
        self._log.stop_as_rolled_back()

    async def _watch(self) -> None:
        """Say once when nobody has cosigned for too long."""
        await self.heard(_SECONDS)
        while True:
            if not self._alarmed and self._clock() - self._since > self._alarm:
                self._alarmed = True
                with suppress(RecordingError):
                    await self._recorder.append(Unwitnessed(round(self._since)))
            await asyncio.sleep(min(self._every, 60.0))


def poster(url: str, ca_file: Path | None, client: tuple[Path, Path] | None) -> Post:
    """Posts to `<url>/add-checkpoint`; `client` is a certificate and its key, for a witness that asks for one."""
    address = urlsplit(url)
    tls = ssl.create_default_context(cafile=ca_file) if address.scheme == "https" else None
    if tls is not None and client is not None:
        tls.load_cert_chain(*client)

    def post(body: str) -> tuple[int, str]:
        host = address.hostname or ""
        connection: HTTPConnection
        if tls is None:
            connection = HTTPConnection(host, address.port, timeout=_SECONDS)
        else:
            connection = HTTPSConnection(host, address.port, timeout=_SECONDS, context=tls)
        try:
            connection.request(
                "POST", f"{address.path.rstrip('/')}/add-checkpoint", body.encode(), {"Content-Type": "text/plain"}
            )
            response = connection.getresponse()
            return response.status, response.read(_LONGEST).decode(errors="replace")
        finally:
            connection.close()

    return post
