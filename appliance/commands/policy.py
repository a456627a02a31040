"""`appliance policy …`: check, explain, test, compare, replay, sign and apply a policy bundle."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from appliance.auth import Principal, Pseudonyms
from appliance.commands.options import chosen, fail, noted, with_settings
from appliance.declaration import Declaration
from appliance.endorsement import Role, check_endorsement, endorse
from appliance.errors import BadRequestError, GatewayError, SettingsError
from appliance.events import ReadWhat
from appliance.explanation import Explained, explained, in_words, leaving
from appliance.governance import Governance
from appliance.inspector import Call, Inspector
from appliance.officers import Impact, impact_file
from appliance.replay import Replayed, replay
from appliance.settings import Settings, problems
from appliance.wire.openai_request import decode_chat, to_chat_request
from audit import AuditError, AuditReader, create_signing_key, load_signing_key
from policies import (
    Detector,
    DetectorError,
    Policy,
    PolicyFileError,
    UnknownPurposeError,
    Verdict,
    differences,
    files_of,
    load_cases,
    load_policy,
    outcome_of,
    scan,
)
from providers import ChatRequest, Message, Route, Task, routes_of
from providers import Role as MessageRole

_FOLDER = click.Path(path_type=Path, exists=True)
_VERDICT = {Verdict.SEND: "как есть", Verdict.MASK: "со скрытыми данными", Verdict.REFUSE: "отказ"}
_COLOUR = {Verdict.SEND: "green", Verdict.MASK: "yellow", Verdict.REFUSE: "red"}


@click.group(name="policy")
def policy_group() -> None:
    """Политика: проверить, объяснить, испытать, сравнить, проиграть по журналу, подписать, применить."""


@policy_group.command(name="check")
@click.argument("folder", type=_FOLDER, required=False)
@with_settings
def check_command(folder: Path | None, settings_file: Path | None, state: Path) -> None:
    """Все ошибки политики и то, что ещё помешает маршрутам. Без ПАПКИ — действующая. Код выхода 2 — ошибки есть."""
    settings = chosen(settings_file, state)
    path = folder or settings.policy_path
    policy = _load(path)
    click.echo(
        f"Политика {policy.version} ({policy.digest[:16]}…): целей {len(policy.purposes)}, правил {len(policy.rules)}, "
        f"получателей {len(policy.recipients)}, надстройка {policy.profile}. Ошибок нет."
    )
    for card in policy.recipients.values():
        if card.status != "active":
            click.echo(f"  карточка `{card.id}`: {card.status}: персональные данные этому получателю не уйдут")
    if not policy.in_force(_today()):
        click.echo("  внимание: сегодня политика не действует, любой запрос получит отказ")


@policy_group.command(name="explain")
@click.argument("text", required=False)
@click.option(
    "--request",
    "request_file",
    type=click.Path(path_type=Path, exists=True),
    help="Файл с телом запроса /v1/chat/completions.",
)
@click.option("--purpose", help="Цель; без неё — цель первого ключа из настроек.")
@click.option("--subject", help="Идентификатор субъекта, как его передаёт приложение.")
@click.option("--consent", help="Ссылка на согласие.")
@click.option("--primary-record", help="Ссылка на запись в российской базе.")
@click.option("--policy", "folder", type=_FOLDER, help="Другая политика вместо действующей.")
@click.option("--outgoing", is_flag=True, help="Показать и всё, что ушло бы.")
@click.option("--json", "as_json", is_flag=True, help="В JSON.")
@with_settings
def explain_command(  # noqa: PLR0913, PLR0917  (one option each)
    text: str | None,
    request_file: Path | None,
    purpose: str | None,
    subject: str | None,
    consent: str | None,
    primary_record: str | None,
    folder: Path | None,
    settings_file: Path | None,
    state: Path,
    *,
    outgoing: bool,
    as_json: bool,
) -> None:
    """Что стало бы с запросом на каждом маршруте и почему. ТЕКСТ, `--request ФАЙЛ` или стандартный ввод. Ничего не отправляется."""
    settings = chosen(settings_file, state)
    declared = Declaration(purpose=purpose, subject=subject, consent=consent, primary_record=primary_record)
    try:
        raw, request = _request(text, request_file)
        call = Call("explain", "auto", request, raw, declared)
        routes = tuple(route for route in routes_of(settings.providers) if route.task is Task.CHAT)
        result, leaves = asyncio.run(_explain(settings, _load(folder or settings.policy_path), call, routes))
    except (GatewayError, SettingsError, DetectorError) as error:
        fail(str(error))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(result)).decode())
        return
    _show(result, leaves if outgoing else {})


@policy_group.command(name="test")
@click.argument("folder", type=_FOLDER, required=False)
@click.option("--all", "show_all", is_flag=True, help="Показать и удачные.")
@with_settings
def test_command(folder: Path | None, settings_file: Path | None, state: Path, *, show_all: bool) -> None:
    """Случаи из папки `cases` политики: текст → ожидаемое решение. Код выхода 1 — что-то решено иначе."""
    path = folder or chosen(settings_file, state).policy_path
    policy = _load(path)
    failed = run_cases(path, policy, show_all=show_all)
    if failed:
        raise SystemExit(1)


@policy_group.command(name="diff")
@click.argument("old", type=_FOLDER)
@click.argument("new", type=_FOLDER)
def diff_command(old: Path, new: Path) -> None:
    """Чем политика NEW отличается от OLD: что добавлено, убрано, изменено и какие решения станут другими."""
    lines = differences(_load(old), _load(new))
    click.echo("\n".join(lines) if lines else "Различий нет.")


@policy_group.command(name="replay")
@click.argument("folder", type=_FOLDER)
@click.option("--days", default=30, show_default=True, type=click.IntRange(1), help="За сколько последних дней.")
@with_settings
def replay_command(folder: Path, days: int, settings_file: Path | None, state: Path) -> None:
    """Решить записанное в журнале заново по политике FOLDER: что стало бы отказом, скрыто или разрешено. Тексты не нужны."""
    _show_replay(_replayed(chosen(settings_file, state), _load(folder), days))


@policy_group.command(name="keygen")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
def keygen_command(name: str, file: Path) -> None:
    """Создать ключ подписи человека NAME: FILE — закрытый, рядом с ним открытый `.pub` для настроек."""
    try:
        create_signing_key(file, name)
    except AuditError as error:
        fail(str(error))
    click.echo(f"создан {file}; открытый ключ для `[[policy.signers]]` — {file.with_suffix('.pub')}")


@policy_group.command(name="sign")
@click.argument("folder", type=_FOLDER)
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="Закрытый ключ подписывающего.")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.AUTHOR.value, show_default=True)
def sign_command(folder: Path, key_file: Path, role: str) -> None:
    """Подписать политику как автор или как утвердивший. Подпись ляжет в `signatures` внутри папки."""
    policy = _load(folder)
    try:
        path = endorse(
            folder, policy.digest, load_signing_key(key_file), Role(role), datetime.now(UTC).replace(microsecond=0)
        )
    except (AuditError, OSError) as error:
        fail(str(error))
    click.echo(f"подписано: {path}\nполитика {policy.version}, {policy.digest}")


@policy_group.command(name="apply")
@click.argument("folder", type=_FOLDER)
@click.option("--days", default=30, show_default=True, type=click.IntRange(1), help="За сколько дней проиграть журнал.")
@with_settings
def apply_command(folder: Path, days: int, settings_file: Path | None, state: Path) -> None:
    """Проверить, испытать, сравнить, проиграть и сделать политику действующей. Службе об этом скажет SIGHUP или /v1/admin/policy/reload."""
    settings = chosen(settings_file, state)
    if settings.policy.folder is not None:
        fail(
            f"политикой управляет каталог `{settings.policy.folder}` (`policy.folder` в настройках): замените файлы в нём и"
            " выполните `systemctl reload` (SIGHUP) или POST /v1/admin/policy/reload"
        )
    policy = _load(folder)
    try:
        who = check_endorsement(folder, policy.digest, settings.policy.signers, four_eyes=settings.policy.four_eyes)
    except PolicyFileError as error:
        fail(*error.problems)
    fitting = problems(
        msgspec.structs.replace(settings, policy=msgspec.structs.replace(settings.policy, folder=folder))
    )
    if fitting:
        fail(*fitting)
    if run_cases(folder, policy, show_all=False):
        fail("случаи политики решены иначе, чем ожидалось: политика не применена")
    lines = differences(_load(settings.policy_path), policy)
    click.echo("\n".join(lines) if lines else "Различий с действующей нет.")
    replayed = _replayed(settings, policy, days)
    _show_replay(replayed)
    target = _place(settings, folder, policy, lines, replayed)
    signed = f", подписали: {who.author}, {who.approver or 'второй подписи не требуется'}" if who.author else ""
    click.echo(f"Политика {policy.version} ({policy.digest[:16]}…) лежит в {target}{signed}.")
    click.echo("Чтобы служба взяла её: SIGHUP (`systemctl reload`) или POST /v1/admin/policy/reload.")


def run_cases(folder: Path, policy: Policy, *, show_all: bool) -> int:
    """Run the cases beside a bundle, say what became of them, and return how many failed."""
    try:
        files = load_cases(folder)
    except PolicyFileError as error:
        fail(*error.problems)
    total = failed = 0
    for path, file in files:
        for case in file.cases:
            total += 1
            verdict = case.expect
            try:
                ruling, wrong = outcome_of(case, file, policy, scan(case.text))
                verdict = ruling.verdict
            except UnknownPurposeError:
                wrong = f"цели `{case.purpose}` в политике нет"
            except DetectorError as error:
                wrong = f"поиск не удался ({type(error).__name__})"
            if wrong:
                failed += 1
                click.echo(f"иначе: {path.name}: {case.name}: {wrong}")
            elif show_all:
                click.echo(f"верно: {path.name}: {case.name}: {_VERDICT[verdict]}")
    if total:
        click.echo(f"Случаев {total}, решены как ожидалось {total - failed}.")
    else:
        click.echo(f"Случаев в {folder / 'cases'} нет: испытывать нечего.")
    return failed


def _place(settings: Settings, folder: Path, policy: Policy, lines: tuple[str, ...], replayed: Replayed) -> Path:
    """Copy the bundle under its digest and let the link `current` point to it, at once."""
    link = settings.applied_policy
    target = link.with_name(policy.digest)
    fresh = link.with_name(f"{policy.digest}.new")
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    for name, content in files_of(folder).items():
        (fresh / name).write_bytes(content)
    for part in ("signatures", "cases"):
        if (folder / part).is_dir():
            shutil.copytree(folder / part, fresh / part)
    impact = Impact(
        difference=hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest(),
        replayed=replayed.decisions,
        refused=replayed.count("refused"),
        masked=replayed.count("masked"),
        allowed=replayed.count("allowed"),
    )
    path = impact_file(fresh, policy.digest)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(impact))
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
    pointer = link.with_name("current.new")
    pointer.unlink(missing_ok=True)
    pointer.symlink_to(target.name)
    pointer.replace(link)
    descriptor = os.open(link.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return target


def _load(path: Path) -> Policy:
    try:
        return load_policy(path)
    except PolicyFileError as error:
        fail(*error.problems)


def _today() -> date:
    return datetime.now().astimezone().date()


def _request(text: str | None, file: Path | None) -> tuple[bytes, ChatRequest]:
    """The request of the command: a file, a text, or what stands on standard input. Raises BadRequestError."""
    if file is not None:
        raw = file.read_bytes()
        asked = decode_chat(raw)
        return raw, to_chat_request(asked, dict(asked.metadata or {}))
    said = text if text is not None else sys.stdin.read()
    if not said.strip():
        raise BadRequestError("пустой текст: передайте ТЕКСТ, `--request ФАЙЛ` или стандартный ввод")
    return said.encode(), ChatRequest(model="", messages=(Message(MessageRole.USER, said),))


async def _explain(
    settings: Settings, policy: Policy, call: Call[ChatRequest], routes: tuple[Route, ...]
) -> tuple[Explained, dict[str, ChatRequest]]:
    key = settings.keys[0]
    principal = Principal(key.id, key.app, frozenset(policy.purposes), key.default_purpose)
    pseudonyms = Pseudonyms.load(settings.pseudonym_key) if settings.pseudonym_key.exists() else Pseudonyms(b"")
    detector_settings = msgspec.structs.replace(settings.detector, workers=0)
    async with Detector.open(detector_settings) as detector:
        governance = Governance(policy, settings.stops_path)
        inspected = await Inspector(governance, detector, pseudonyms).inspect(principal, call, routes)
        rulings = inspected.decision.rulings
        leaves = {
            route.id: leaving(inspected, route) for route in routes if rulings[route.id].verdict is not Verdict.REFUSE
        }
        return explained(inspected, routes), leaves


def _show(result: Explained, leaves: dict[str, ChatRequest]) -> None:
    console = Console()
    console.print(f"Политика {result.policy} ({result.policy_digest[:16]}…), цель {result.purpose} ({result.ground})")
    console.print(f"Найдено: {in_words(result.found)}")
    if result.template:
        console.print(f"Шаблон или тема: {result.template}")
    if result.review:
        console.print("Ответ до выдачи проверит сотрудник (152-ФЗ, ст. 16).")
    table = Table(header_style="bold", show_lines=True)
    for title in ("Маршрут", "Решение", "Почему и что изменить"):
        table.add_column(title, overflow="fold")
    for each in result.routes:
        where = f"{each.route}\n{each.residency} {each.country} {each.recipient}".strip()
        masks = "".join(f"\n{kind}: {method}" for kind, method in each.masks.items())
        verdict = f"[{_COLOUR[each.verdict]}]{_VERDICT[each.verdict]}[/]"
        table.add_row(
            escape(where), verdict, escape(each.words or "Персональных данных нет, правил против нет.") + escape(masks)
        )
    console.print(table)
    for route, request in leaves.items():
        console.print(f"\n[bold]На {escape(route)} ушло бы:[/]")
        console.print(
            escape(
                msgspec.json.format(msgspec.json.encode(_shortened(msgspec.to_builtins(request))), indent=1).decode()
            ),
            soft_wrap=True,
        )


def _shortened(value: object) -> object:
    """The same without what is not there."""
    match value:
        case dict():
            return {name: _shortened(each) for name, each in value.items() if each not in (None, "", (), [], {})}
        case list() | tuple():
            return [_shortened(each) for each in value]
    return value


def _replayed(settings: Settings, policy: Policy, days: int) -> Replayed:
    if not settings.log.path.exists():
        return replay((), policy)
    since = (datetime.now(UTC) - timedelta(days=days)).timestamp() * 1_000_000
    try:
        with AuditReader.open(settings.log.path, settings.log.kek_source, settings.log.subject_keys) as reader:
            noted(settings, ReadWhat.REPLAY, reader.size)
            return replay((record for record in reader.entries(0, reader.size) if record.time_us >= since), policy)
    except AuditError as error:
        fail(str(error))


def _show_replay(replayed: Replayed) -> None:
    counts = {what: replayed.count(what) for what in ("refused", "masked", "allowed")}
    click.echo(
        f"Решений в журнале {replayed.decisions}: стало бы отказом {counts['refused']}, скрыто больше {counts['masked']}, "
        f"разрешено больше {counts['allowed']}."
        + (f" Не решить заново {replayed.unknown}: записи прежних версий." if replayed.unknown else "")
    )
    words = {"refused": "отказ", "masked": "скрыто больше", "allowed": "разрешено больше"}
    for change, number in replayed.changes.most_common(20):
        rules = f" [{', '.join(change.rules)}]" if change.rules else ""
        click.echo(f"  {number} × {words[change.what]}: {change.app}, цель {change.purpose} → {change.where}{rules}")
