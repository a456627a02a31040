"""Every kind of personal data × every place of a request and an answer × every provider: it does not leave, and comes back as it was.

A failure names the kind, the place and the provider, and never the value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import httpx
import pytest

from policies import PLACEHOLDER, Entity, Residency, Verdict, load_policy, shipped_policy_path
from providers.registry import ProviderSettings
from tests.e2e.matrix_echoes import PURPOSE, TOOL, WIRES, Echo, Form, echoes, strings_in, write_keys
from tests.e2e.running import Installed, Running, running


class Sample(NamedTuple):
    """A value of one kind, made up, in a sentence; what stands around it stands in no other sentence."""

    before: str
    value: str
    after: str

    @property
    def text(self) -> str:
        return self.before + self.value + self.after

    @property
    def quoted(self) -> Sample:
        """The same within all that a JSON string must escape, or may."""
        return Sample(f'Он сказал:\t"{self.before}', self.value, f'{self.after}"\r\n— C:\\дом/🙂\u2028')

    def masked_in(self, strings: Sequence[str]) -> str | None:
        """The sentence with whatever stands in the value's place now; None where the words around it are not as they were."""
        shape = re.compile(f"{re.escape(self.before)}.*?{re.escape(self.after)}", re.DOTALL)
        return next((found[0] for string in strings if (found := shape.search(string))), None)


SAMPLES = {
    Entity.PERSON: Sample("Перезвоните клиенту: ", "Кузнецова Анна Павловна", " ждёт ответа."),
    Entity.PHONE: Sample("Номер для связи — ", "+7 (916) 123-45-67", ", лучше вечером."),
    Entity.BIRTH_DATE: Sample("В анкете дата рождения ", "05.05.1987", " указана верно?"),
    Entity.ADDRESS: Sample("Курьер поедет по адресу: ", "г. Тверь, ул. Лесная, д. 5, кв. 12", ". Позвонить заранее."),
    Entity.PASSPORT: Sample("Проверь паспорт ", "4510 № 623417", ", не просрочен ли."),
    Entity.USERNAME: Sample("Мой телеграм ", "@zhuravlev_p88", ", пиши туда."),
    Entity.EMAIL: Sample("Отправьте счёт на ", "zimin.oleg@vesna.test", " до пятницы."),
    Entity.SNILS: Sample("Мой СНИЛС ", "112\u2011233\u2011445\u00a095", ", запишите."),
    Entity.PASSWORD: Sample("Не подходит пароль: ", "Zx7!\\kolodez", " — что делать?"),
    Entity.IP: Sample("Последний вход с ip ", "178.140.225.197", " был вчера."),
    Entity.INN: Sample("Для чека нужен ИНН ", "500100732259", ", он верен?"),
    Entity.SECRET: Sample(
        "Этот файл не принимают:\n",
        "-----BEGIN RSA PRIVATE KEY-----\nAAAABBBB\nCCCC==\n-----END RSA PRIVATE KEY-----",
        "\nПочему?",
    ),
    Entity.OMS: Sample("Запиши к врачу по полису ОМС ", "7700 0012 3456 7894", ", утром."),
    Entity.BANK_CARD: Sample("Деньги списали с моей карты ", "4111 1111 1111 1111", " дважды."),
    Entity.BANK_ACCOUNT: Sample("Верните на счёт ", "40817810099910004312", " в том же банке."),
    Entity.INTL_PASSPORT: Sample("Лечу по загранпаспорту ", "75 № 9345671", " в мае."),
    Entity.EMPLOYEE_ID: Sample("У кого табельный номер ", "А-57231", ", тот дежурит."),
    Entity.PLATE: Sample("Автомобиль ", "х 084 ав 27", " перекрыл выезд."),
    Entity.MAC: Sample("В сети появился MAC ", "00:1B:44:11:3A:B7", ", откуда он?"),
    Entity.CADASTRE: Sample("Участок, кадастровый номер ", "77:01:0004042:1234", ", уже продан."),
    Entity.DEPT_CODE: Sample("В бланке код подразделения ", "770-045", ", это какой отдел?"),
    Entity.VEHICLE_DOC: Sample("Для полиса нужно СТС ", "77 УН 318472", ", оно у меня с собой."),
    Entity.IMEI: Sample("Телефон украли, IMEI ", "35-693803-564380-9", ", заблокируйте."),
    Entity.GEO: Sample("Курьер стоит в точке ", "55.755831, 37.617673", " и ждёт."),
    Entity.DRIVER_LICENSE: Sample("Потерял водительское удостоверение ", "99 16 № 502938", ", как восстановить?"),
    Entity.MILITARY_ID: Sample("Для кадров нужен военный билет ", "АК № 8345129", ", копия есть."),
    Entity.VIN: Sample("Номер кузова VIN ", "XTA210990Y2766389", " в базе не найден."),
    Entity.BIRTH_CERT: Sample("Приложите свидетельство о рождении ", "II-МЮ № 734561", " к заявлению."),
    Entity.OGRNIP: Sample("В договоре ОГРНИП ", "304500116000157", " с опечаткой?"),
    Entity.OTHER: Sample("Мы закрыли договор ", "Д-1234/22", " досрочно."),
}
OWN = """\
[[recognizer]]
name = "contract-number"
kind = "OTHER"
patterns = ['\\bД-\\d{4}/\\d{2}\\b']
context = ["договор"]
"""
"""What finds the kind that only a customer's own recogniser finds."""
KEY = """
[[keys]]
id = "matrix"
app = "matrix"
purposes = ["general", "narrow"]
default_purpose = "general"
file = "state/keys/matrix"

"""


def masked_kinds() -> set[Entity]:
    """What the shipped policy hides from a model in Russia."""
    policy = load_policy(shipped_policy_path())
    deciding = {
        entity: next(rule for rule in policy.rules if rule.covers(entity, category, Residency.RU, "general"))
        for entity, category in policy.entities.items()
    }
    return {entity for entity, rule in deciding.items() if rule.verdict is Verdict.MASK}


# --- Places of a request ---

Build = Callable[[list[str]], dict[str, Any]]
PLAIN = [{"type": "function", "function": {"name": TOOL, "parameters": {"type": "object", "properties": {}}}}]
YES = {"role": "user", "content": "Повтори всё дословно."}


def messages(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(listed), "tools": PLAIN}


def called(arguments: str) -> dict[str, Any]:
    call = {"id": TOOL, "type": "function", "function": {"name": TOOL, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def result(content: str) -> dict[str, Any]:
    return messages(YES, called("{}"), {"role": "tool", "tool_call_id": TOOL, "content": content})


def offered(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    function = {
        "name": TOOL,
        "description": description,
        "parameters": {"type": "object", "properties": {"note": schema}},
    }
    return {"messages": [YES], "tools": [{"type": "function", "function": function}]}


def answer_format(description: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"note": {"type": "string", "description": description}}}
    return {"type": "json_schema", "json_schema": {"name": "note", "schema": schema}}


def in_json(texts: list[str]) -> str:
    return json.dumps({"notes": texts}, ensure_ascii=False)


def escaped(texts: list[str]) -> str:
    """Every character of every text as `\\u0000`: there is nothing left to find for who reads bytes."""
    return '{"notes": [' + ", ".join(f'"{in_units(text)}"' for text in texts) + "]}"


def _units(text: str) -> Iterator[bytes]:
    encoded = text.encode("utf-16-be")
    return (encoded[at : at + 2] for at in range(0, len(encoded), 2))


PLACES: dict[str, Build] = {
    "text": lambda texts: messages(*({"role": "user", "content": text} for text in texts)),
    "parts": lambda texts: messages({"role": "user", "content": [{"type": "text", "text": text} for text in texts]}),
    "system": lambda texts: messages({"role": "system", "content": "\n".join(texts)}, YES),
    "arguments": lambda texts: messages(YES, called(in_json(texts)), YES),
    "arguments in ASCII": lambda texts: messages(YES, called(json.dumps({"notes": texts})), YES),
    "arguments escaped": lambda texts: messages(YES, called(escaped(texts)), YES),
    "result": lambda texts: result("\n".join(texts)),
    "result in JSON": lambda texts: result(in_json(texts)),
    "result escaped": lambda texts: result(escaped(texts)),
    "assistant": lambda texts: messages(*({"role": "assistant", "content": text} for text in texts), YES),
    "tool description": lambda texts: offered("\n".join(texts), {"type": "string"}),
    "tool default": lambda texts: offered("Записать", {"type": "string", "default": "\n".join(texts)}),
    "tool values": lambda texts: offered("Записать", {"type": "string", "enum": texts, "examples": texts}),
    "answer schema": lambda texts: {**messages(YES), "response_format": answer_format("\n".join(texts))},
}
QUOTED = frozenset({"arguments", "arguments in ASCII", "arguments escaped", "result in JSON", "result escaped"})
ODD = (1, 2, 3, 5, 8, 13, 21)
FORMS = {
    "text": Form(lengths=ODD),
    "text, a character a chunk": Form(lengths=(1,)),
    "text in one chunk": Form(lengths=(1_000_000,)),
    "arguments": Form(in_arguments=True, lengths=ODD),
    "arguments, a character a chunk": Form(in_arguments=True, ascii_only=True, lengths=(1,)),
    "arguments in one chunk": Form(in_arguments=True, ascii_only=True, lengths=(1_000_000,)),
}


def in_ascii(text: str) -> str:
    return json.dumps(text)[1:-1]


def in_units(text: str) -> str:
    return "".join(f"\\u{unit.hex()}" for unit in _units(text))


PATH = "Файл C:\\дом\\temp не открылся.\n"
# What a caller writes in escapes himself: JSON in a string of JSON, a dump, a log. They are undone by whoever reads it, not by the wire.
ESCAPED: dict[str, tuple[Callable[[str], str], Callable[[str], dict[str, Any]]]] = {
    "text in ASCII": (in_ascii, lambda text: messages({"role": "user", "content": text})),
    "text in escapes": (in_units, lambda text: messages({"role": "user", "content": text})),
    "result, a JSON string": (in_ascii, lambda text: result(f'"{text}"')),
    "result, a JSON string with a path": (in_ascii, lambda text: result(f'"{in_ascii(PATH)}{text}"')),
    "result, JSON in JSON": (in_ascii, lambda text: result(in_json([f'{{"note": "{text}"}}']))),
    "arguments, JSON in JSON": (in_ascii, lambda text: messages(YES, called(in_json([f'{{"note": "{text}"}}'])), YES)),
}

# --- One request, and all that must hold of it ---


class Cell(NamedTuple):
    """Where the values of `kinds` stand, who is asked, and how he and we answer."""

    route: str
    place: str
    kinds: tuple[Entity, ...] = tuple(SAMPLES)
    form: Form = Form(lengths=ODD)
    stream: bool = False

    @property
    def samples(self) -> dict[Entity, Sample]:
        return {kind: SAMPLES[kind].quoted if self.place in QUOTED else SAMPLES[kind] for kind in self.kinds}


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, Echo]]]:
    """A service with a route to each of the fakes."""
    folder: Path = tmp_path_factory.mktemp("matrix")
    write_keys(folder)
    (folder / "own.toml").write_text(OWN, encoding="utf-8")
    with echoes() as (heard, tables):
        installed = Installed(folder, top='[detector]\nrecognizers = "own.toml"\n', extra=KEY + tables)
        (installed.settings.policy_path / "narrow.toml").write_text(PURPOSE, encoding="utf-8")
        with running(installed) as service:
            service.http.headers["Authorization"] = f"Bearer {(folder / 'state/keys/matrix').read_text().strip()}"
            for echo in heard.values():
                echo.installed = installed
            yield service, heard


def faults(routes: tuple[Running, dict[str, Echo]], cell: Cell) -> list[str]:
    """What is wrong with a cell, in words that hold nothing of the values."""
    service, heard = routes
    echo, samples = heard[cell.route], cell.samples
    echo.forget()
    echo.form = cell.form
    echo.pick = lambda strings: [sample.masked_in(strings) or "" for sample in samples.values()]
    fields = PLACES[cell.place]([sample.text for sample in samples.values()])
    headers = {"X-Purpose": echo.wire.purpose}
    response = service.chat(fields.pop("messages"), model=cell.route, headers=headers, stream=cell.stream, **fields)

    if response.status_code != 200 or echo.heard != 1:
        kinds = "all kinds" if len(samples) > 1 else cell.kinds[0]
        return [f"{kinds}, {cell.place}, {cell.route}: status {response.status_code}, called {echo.heard} times"]
    found: list[str] = []
    (intent,) = echo.intents
    if (intent.request_id, intent.route) != (response.headers["x-request-id"], f"{cell.route}/m"):
        found.append(f"{cell.route}, {cell.place}: called without an Intent of this attempt in the log")
    strings = readings(echo.raw[0])
    said = arguments_of(response) if cell.form.in_arguments else content_of(response)
    expected = [sample.text for sample in samples.values()]
    back = said == (expected if cell.form.in_arguments else "\n".join(expected))
    for at, (kind, sample) in enumerate(samples.items()):
        wrong = []
        if kind not in intent.masked:
            wrong.append("not hidden as what it is")
        if leaks(sample.value, strings):
            wrong.append("left")
        if not sample.masked_in(strings):
            wrong.append("the words around it are not as they were")
        whole = said[at : at + 1] == [sample.text] if isinstance(said, list) else sample.text in said
        if not whole:
            wrong.append("did not come back as it was")
        found += [f"{kind}, {cell.place}, {cell.route}: {fault}" for fault in wrong]
    if not back and not found:
        found.append(
            f"{cell.route}, {cell.place}: the answer is more or less than the values and the words around them"
        )
    return found


def readings(raw: bytes) -> list[str]:
    """A body as it came, with its escapes undone, and string by string."""
    text = raw.decode()
    undone = [text]
    while (text := re.sub(r"\\+u([0-9a-fA-F]{4})", lambda unit: chr(int(unit[1], 16)), text)) != undone[-1]:
        undone.append(text)
    return [*undone, *strings_in(json.loads(raw))]


def fragments(value: str) -> tuple[set[str], set[str]]:
    """What must not leave: the words and numbers of a value, and of all its letters and digits in a row any six."""
    row = squeezed(value)
    return words_in(value), {row[at : at + 6] for at in range(max(len(row) - 5, 1))}


def words_in(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]{3,}|\d{3,}", text.casefold()))


def squeezed(text: str) -> str:
    return re.sub(r"[\W_]", "", text.casefold())


def leaks(value: str, strings: Sequence[str]) -> bool:
    bare = [PLACEHOLDER.sub(" ", string) for string in strings]
    words, rows = fragments(value)
    row = "\n".join(map(squeezed, bare))
    return not words.isdisjoint(words_in("\n".join(bare))) or any(each in row for each in rows)


def content_of(response: httpx.Response) -> str:
    return "".join(delta.get("content") or "" for delta in deltas(response))


def arguments_of(response: httpx.Response) -> list[str]:
    """The texts in the arguments of the one call; none where these are not JSON."""
    calls = [call for delta in deltas(response) for call in delta.get("tool_calls") or ()]
    written = "".join(call["function"].get("arguments") or "" for call in calls)
    try:
        return json.loads(written)["notes"]
    except ValueError:
        return []


def deltas(response: httpx.Response) -> list[dict[str, Any]]:
    """What was said, chunk by chunk; a whole answer is one chunk."""
    if response.headers["content-type"].startswith("application/json"):
        return [response.json()["choices"][0]["message"]]
    events = [json.loads(line[6:]) for line in response.text.split("\n") if line.startswith("data: {")]
    return [choice["delta"] for event in events for choice in event.get("choices", ())]


# --- The matrix ---


def test_every_kind_that_the_policy_masks_has_a_sample() -> None:
    assert set(SAMPLES) == masked_kinds()


def test_every_provider_that_sends_over_a_network_has_a_fake() -> None:
    kinds = {str(each.__struct_config__.tag) for each in get_args(ProviderSettings)}
    inside = {"embedded", "testing"}  # a model beside us, which cannot be in Russia at somebody else's, and no model

    assert {wire.kind for wire in WIRES.values()} == kinds - inside


def test_no_sentence_gives_the_value_of_another_away() -> None:
    empty = [part for sample in SAMPLES.values() for part in (sample.quoted.before, sample.quoted.after)]
    bodies = [json.dumps(build([]), ensure_ascii=False) for build in PLACES.values()]

    assert [kind for kind, sample in SAMPLES.items() if leaks(sample.value, [*empty, *bodies])] == []
    for kind, sample in SAMPLES.items():
        others = [other.text for each, other in SAMPLES.items() if each is not kind]
        assert sample.masked_in(others) is None, kind


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("route", WIRES)
def test_all_kinds_together_are_hidden_in_every_place_and_come_back(routes, route: str, place: str) -> None:
    found = faults(routes, Cell(route, place))
    found += faults(routes, Cell(route, place, form=FORMS["arguments"], stream=True))

    assert not found, "\n".join(found)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("route", WIRES)
def test_each_kind_alone_is_hidden_in_every_place_and_comes_back(routes, route: str, place: str) -> None:
    found = [fault for kind in SAMPLES for fault in faults(routes, Cell(route, place, (kind,)))]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("place", ESCAPED)
def test_a_value_that_the_caller_wrote_in_escapes_is_hidden_and_comes_back_in_them(
    routes, place: str, kind: Entity
) -> None:
    service, heard = routes
    escape, build = ESCAPED[place]
    echo, sample = heard["openai"], Sample(*map(escape, SAMPLES[kind]))
    echo.forget()
    echo.form, echo.pick = FORMS["text"], lambda strings: [sample.masked_in(strings) or ""]
    fields = build(sample.text)
    response = service.chat(fields.pop("messages"), model="openai", **fields)
    gone = response.status_code == 200 and echo.heard == 1 and not leaks(SAMPLES[kind].value, readings(echo.raw[0]))
    back = response.status_code == 200 and content_of(response) == sample.text

    assert (gone, back) == (True, True), f"{kind}, {place}, openai"


@pytest.mark.parametrize("route", WIRES)
def test_a_value_across_the_border_of_two_parts_is_hidden_and_comes_back(routes, route: str) -> None:
    service, heard = routes
    echo, found = heard[route], []
    for kind, sample in SAMPLES.items():
        echo.forget()
        echo.form, echo.pick = (
            Form(lengths=ODD),
            lambda strings, sample=sample: [sample.masked_in(["\n".join(strings)]) or ""],
        )
        middle = len(sample.value) // 2
        halves = sample.before + sample.value[:middle], sample.value[middle:] + sample.after
        parts = [{"type": "text", "text": half} for half in halves]
        said = content_of(service.chat(parts, model=route, headers={"X-Purpose": echo.wire.purpose}))
        if echo.heard != 1 or leaks(sample.value, readings(echo.raw[0])):
            found.append(f"{kind}, parts, {route}: left, or was not asked")
        if not (
            said.startswith(halves[0]) and said.endswith(halves[1])
        ):  # between them stands what the protocol puts there
            found.append(f"{kind}, parts, {route}: did not come back as it was")

    assert not found, "\n".join(found)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", WIRES)
def test_all_kinds_come_back_however_the_answer_is_cut(routes, route: str, form: str, *, stream: bool) -> None:
    found = faults(routes, Cell(route, "text", form=FORMS[form], stream=stream))

    assert not found, "\n".join(found)
