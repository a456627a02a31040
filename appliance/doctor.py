"""What may be wrong with an installation, found without its running: each finding with what to do about it, for `appliance doctor`."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from appliance import __version__
from appliance.first_run import missing_keys
from appliance.kek import FileKek
from appliance.settings import Settings, load_governed, problems
from audit import AuditError, AuditReader, Verifier
from policies import PoliciesError

_GIB = 1 << 30
_LITTLE = 2 * _GIB  # free space that a day of a busy log may need
_PYTHON = (3, 11)
_LEAST_FILES = 4096
_SECONDS = 3.0
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC).timestamp()  # no machine of ours was set up before


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it works; somebody should know
    FAILURE = "failure"  # it does not work, or must not be used so


class Check(msgspec.Struct, frozen=True):
    """One thing looked at: what it is, how it stands and, unless all is well, what to do. In Russian."""

    name: str
    level: Level
    words: str
    hint: str = ""


def examine(settings: Settings, unreachable: Callable[[Settings], list[str]] | None) -> list[Check]:
    """Look at everything; a look that fails is itself a finding. `unreachable` names providers not on the network; None: not asked."""
    looks: list[tuple[str, Callable[[Settings], Iterator[Check]]]] = [
        ("среда", _environment),
        ("настройки", _settings),
        ("диск", _disk),
        ("порт", _port),
        ("часы", _clock),
        ("журнал", _log),
        ("ключи", _keys),
        ("свидетели", _witnesses),
        ("политика", _policy),
        ("резервные копии", _backups),
    ]
    if unreachable is not None:
        looks.append(("поставщики", lambda settings: _providers(unreachable(settings))))
    found: list[Check] = []
    for name, look in looks:
        try:
            found.extend(look(settings))
        except Exception as error:  # noqa: BLE001  (the doctor goes on, and says what it could not look at)
            found.append(
                Check(name, Level.FAILURE, f"проверка не удалась ({type(error).__name__})", "сообщите разработчику")
            )
    return found


def _environment(_: Settings) -> Iterator[Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON:
        yield Check(
            "Python", Level.FAILURE, f"{python}: нужен 3.11 или новее", "установите его или возьмите комплект со своим"
        )
    else:
        yield Check("Python", Level.OK, f"{python}, версия сервиса {__version__}")
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _LEAST_FILES:
        hint = "в модуле службы: LimitNOFILE=16384"
        yield Check("открытые файлы", Level.WARNING, f"предел {soft}: при нагрузке соединений не хватит", hint)
    core, _hard = resource.getrlimit(resource.RLIMIT_CORE)
    if core:
        words = "после сбоя ядро запишет память процесса на диск, а в ней данные запросов"
        yield Check("дампы памяти", Level.WARNING, words, "в модуле службы: LimitCORE=0")
    if os.geteuid() == 0:
        hint = "запускайте под отдельным пользователем"
        yield Check(
            "пользователь", Level.WARNING, "проверка запущена от root: права других пользователей не проверены", hint
        )


def _settings(settings: Settings) -> Iterator[Check]:
    found = problems(settings)
    for problem in found:
        yield Check("настройки", Level.FAILURE, problem, "appliance check повторит только это")
    for path in missing_keys(settings):
        if not settings.log.path.exists():
            yield Check("файлы ключей", Level.FAILURE, f"`{path}`: нет", "новой установке их создаёт `appliance init`")
    if not found:
        yield Check("настройки", Level.OK, f"поставщиков {len(settings.providers)}, ключей API {len(settings.keys)}")


def _disk(settings: Settings) -> Iterator[Check]:
    for name, path in (("журнал", settings.log.path.parent), ("состояние", settings.state)):
        there = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
        free = shutil.disk_usage(there).free
        words = f"{name}, `{path}`: свободно {free / _GIB:.1f} ГиБ"
        if free < _LITTLE // 20:
            yield Check("диск", Level.FAILURE, words, "освободите место: без записи в журнал сервис отказывает во всём")
        elif free < _LITTLE:
            yield Check(
                "диск", Level.WARNING, words, "журнал занимает около 750 байт на запись, по две записи на запрос"
            )
        else:
            yield Check("диск", Level.OK, words)
        if not os.access(there, os.W_OK):
            yield Check(
                "диск", Level.FAILURE, f"`{there}`: записывать нельзя", "дайте службе права на свой каталог состояния"
            )


def _port(settings: Settings) -> Iterator[Check]:
    server = settings.server
    if not server.port:
        return
    place = f"{server.host}:{server.port}"
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError as error:
            if _is_ours(server.host, server.port):
                yield Check("порт", Level.OK, f"{place}: сервис работает")
            else:
                hint = f"узнайте, кто его занял (`ss -ltnp`), или смените `server.port` ({error.strerror})"
                yield Check("порт", Level.FAILURE, f"{place} занят не нашим сервисом или адреса нет на машине", hint)
            return
    yield Check("порт", Level.OK, f"{place} свободен: сервис сейчас не работает")


def _is_ours(host: str, port: int) -> bool:
    connection = HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=_SECONDS)  # noqa: S104  (asked there, not bound)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _clock(settings: Settings) -> Iterator[Check]:
    now = time.time()
    if now < _EPOCH:
        yield Check(
            "часы", Level.FAILURE, f"показывают {datetime.fromtimestamp(now, UTC):%d.%m.%Y}", "поставьте верное время"
        )
        return
    if settings.log.path.exists():
        with AuditReader.open(settings.log.path, settings.log.kek_source, settings.log.subject_keys) as reader:
            last = reader.entry(reader.size - 1).time_us / 1e6 if reader.size else 0.0
        if last > now + 60:
            words = f"последняя запись журнала на {last - now:.0f} с новее, чем показывают часы"
            yield Check(
                "часы", Level.FAILURE, words, "часы отстали или журнал писали при спешащих: сверьте с сервером времени"
            )
            return
    synchronized = Path("/run/systemd/timesync/synchronized").exists() or any(
        Path(path).exists() for path in ("/run/chrony/chronyd.pid", "/var/run/chrony/chronyd.pid", "/run/ntpd.pid")
    )
    if synchronized:
        yield Check("часы", Level.OK, "сверяются с сервером времени")
    else:
        hint = "включите systemd-timesyncd или chrony: время записей — доказательство для проверяющего"
        yield Check("часы", Level.WARNING, "не видно, чтобы они сверялись с сервером времени", hint)


def _log(settings: Settings) -> Iterator[Check]:
    log = settings.log
    if not log.path.exists():
        yield Check("журнал", Level.OK, "ещё не начат")
        return
    try:
        verifier = Verifier.parse(log.signing_key_file.with_suffix(".pub").read_text())
        with AuditReader.open(log.path, log.kek_source, log.subject_keys) as reader:
            size = verifier.open_checkpoint(reader.checkpoint()).size
            if size:
                reader.entry(size - 1)
    except (AuditError, OSError) as error:
        hint = "appliance audit verify покажет, что с ним; вернуть из копии — appliance restore"
        yield Check("журнал", Level.FAILURE, str(error), hint)
        return
    yield Check(
        "журнал",
        Level.OK,
        f"записей {size}; ключ подходит, контрольная точка подписана. Целиком: appliance audit verify",
    )


def _keys(settings: Settings) -> Iterator[Check]:
    if isinstance(settings.audit.kek, FileKek) and settings.kek_file.exists():
        hint = "переведите под печать: appliance keys seal; и сделайте доли: appliance keys escrow split"
        words = "ключ шифрования журнала лежит открытым файлом: копия диска раскроет журнал"
        yield Check("ключ журнала", Level.WARNING, words, hint)
    if not settings.staff:
        hint = "[[staff]]: без них некому остановить обработку, отвязать человека, разрешить раскрытие"
        yield Check("сотрудники", Level.WARNING, "в настройках нет ни одного", hint)
    elif len(settings.staff) == 1:
        yield Check(
            "сотрудники", Level.WARNING, "один: раскрыть записи постороннему некому разрешить", "добавьте второго"
        )


def _witnesses(settings: Settings) -> Iterator[Check]:
    if settings.audit.witnesses:
        yield Check("свидетели", Level.OK, f"{len(settings.audit.witnesses)}; нужно {settings.audit.witness_quorum}")
    else:
        hint = "[[audit.witnesses]]: другой такой же сервис, служба меток времени или файл на чужом диске"
        yield Check("свидетели", Level.WARNING, "нет: владелец машины может переписать журнал незаметно", hint)


def _policy(settings: Settings) -> Iterator[Check]:
    try:
        policy, _ = load_governed(settings)
    except PoliciesError:
        return  # told among the settings
    drafts = sorted(name for name, card in policy.recipients.items() if card.status != "active")
    if drafts:
        words = f"карточки получателей не действуют: {', '.join(drafts)}; с персональными данными к ним ничего не уйдёт"
        yield Check("политика", Level.WARNING, words, "заполните их по договору и поставьте `active`")
    yield Check("политика", Level.OK, f"{policy.version}, профиль {policy.profile}, целей {len(policy.purposes)}")


def _backups(settings: Settings) -> Iterator[Check]:
    if not settings.backup.recipients:
        yield Check(
            "резервные копии",
            Level.WARNING,
            "получатели не заданы",
            "[backup] recipients и appliance backup по расписанию",
        )


def _providers(found: list[str]) -> Iterator[Check]:
    for problem in found:
        yield Check("поставщики", Level.FAILURE, problem, "проверьте сеть, разрешённые адреса и `ca_file`")
    if not found:
        yield Check("поставщики", Level.OK, "все доступны по сети")
