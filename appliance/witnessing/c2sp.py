"""A witness that speaks c2sp.org/tlog-witness, such as another appliance: it cosigns what continues all that it has seen."""

from __future__ import annotations

import asyncio
import re
from http.client import HTTPException

from appliance.errors import BackupError
from appliance.witnessing.confirming import NotConfirmedError, RolledBackError, Seen, Trouble
from appliance.witnessing.posting import Post, poster
from appliance.witnessing.settings import C2spSettings
from audit import AuditLog, Submission, WitnessVerifier

_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\n")


class C2spWitness:
    """Asked at `<url>/add-checkpoint`; its cosignatures are kept among the log's checkpoints."""

    kind = "c2sp"
    counts = True

    def __init__(self, settings: C2spSettings, every: float, broker: str = "") -> None:
        self._key = WitnessVerifier.parse(settings.key_file.read_text(encoding="utf-8"))
        self._post = _poster(settings, broker)
        self.every = every

    @property
    def name(self) -> str:
        """The witness's own, from its key."""
        return self._key.name

    async def confirm(self, log: AuditLog, seen: Seen) -> Seen:
        """See Confirming."""
        old = seen.size
        try:
            submission, status, text = await self._sent(log, old)
            stands = _SIZE.fullmatch(text) if status == 409 else None
            if stands is not None and int(stands[1]) != old:  # once more, from where the witness says that it stands
                old = int(stands[1])
                submission, status, text = await self._sent(log, old)
        except IndexError:
            raise RolledBackError(f"свидетель видел {old} записей, а в журнале их {log.size}") from None
        except (OSError, HTTPException) as error:
            raise NotConfirmedError(Trouble.UNREACHABLE, f"не отвечает ({type(error).__name__})") from None
        if status == 200:
            return Seen(submission.size, await log.keep_cosigned(self._key, submission.note, text))
        raise _refusal(status, text, old, submission.size)

    async def _sent(self, log: AuditLog, old: int) -> tuple[Submission, int, str]:
        submission = await log.submission(old)
        status, content = await asyncio.to_thread(self._post, submission.body().encode())
        return submission, status, content.decode(errors="replace")


def _refusal(status: int, text: str, old: int, size: int) -> NotConfirmedError | RolledBackError:
    match status:
        case 422:
            return RolledBackError(f"свидетель не признаёт, что журнал продолжает первые {old} записей")
        case 409 if _SIZE.fullmatch(text) or old == size:
            return RolledBackError(f"история журнала до {old} записей не та, что видел свидетель")
        case 404:
            words = "свидетель не знает этот журнал: дайте ему открытый ключ журнала"
        case 403:
            words = "свидетель не признаёт ключ журнала: сверьте открытый ключ"
        case _:
            words = f"ответил {status}"
    return NotConfirmedError(Trouble.REFUSED, words)


def size_seen(settings: C2spSettings, submission: Submission, broker: str = "") -> int:
    """How many records the witness has seen, asked about a log that is not open. Raises BackupError: it does not say."""
    try:
        status, content = _poster(settings, broker)(submission.body().encode())
    except (OSError, HTTPException) as error:
        raise BackupError(
            f"свидетель {settings.url} не отвечает ({type(error).__name__}): не видел ли он больше, чем в копии, неизвестно."
            " Дождитесь его или укажите `--without-witnesses`"
        ) from None
    stands = _SIZE.fullmatch(content.decode(errors="replace")) if status == 409 else None
    if stands is not None:
        return int(stands[1])
    if status in {200, 404}:  # it agrees, or has never seen this log
        return submission.old
    raise BackupError(f"свидетель {settings.url} ответил {status}: видел ли он больше, чем в копии, неизвестно")


def _poster(settings: C2spSettings, broker: str) -> Post:
    certificate, key = settings.certificate_file, settings.certificate_key_file
    client = None if certificate is None or key is None else (certificate, key)
    return poster(f"{settings.url.rstrip('/')}/add-checkpoint", "text/plain", settings.ca_file, client, broker)
