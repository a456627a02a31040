"""What a text tells about a person's health, beliefs, convictions, origin, intimate life or body (152-ФЗ ст. 10 and 11).

A word alone is no personal data: «что такое диабет» speaks of nobody. A finding needs a subject, and is the word that
gives it away: the policy rules on the whole text, so the span is evidence and not the extent of what was told.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import NamedTuple

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LIKELY, UNMISTAKABLE, Example

_REACH = 160  # characters between a word and the person it is told of


def find(lower: str, somebody: Sequence[Finding]) -> Iterator[Finding]:
    """Words of a special category that are said of somebody; `somebody` are the names and numbers found in the same text, in order."""
    told = _Told(lower, somebody)
    for evidence in _evidence(lower):
        score = told.score(evidence)
        if score:
            yield Finding(evidence.start, evidence.end, evidence.entity, score)


class _Evidence(NamedTuple):
    start: int
    end: int
    entity: Entity
    own: bool  # counts only beside its subject


class _Entry(NamedTuple):
    """Words in a row: each with whether more letters may follow it; "_" is any word."""

    words: tuple[tuple[str, bool], ...]
    entity: Entity
    own: bool


class _Told:
    """Of whom the words of a text are told. Looked at only once there is such a word."""

    def __init__(self, lower: str, somebody: Sequence[Finding]) -> None:
        self._lower = lower
        self._somebody = [found.start for found in somebody]

    def score(self, evidence: _Evidence) -> float:
        """How surely the evidence speaks of somebody; 0 if of nobody."""
        lower, place = self._lower, evidence.start
        first, last = self._sentence(place)
        beside = self._within(max(first, place - _REACH), min(last, place + _REACH))
        if _GENERAL.search(lower, first, place) or _TOPIC.search(lower, max(first, place - 50), place):
            own = _OWN.search(lower, max(first, place - _REACH), min(last, place + _REACH))
            return LIKELY if own or beside else 0.0
        if beside or (not evidence.own and self._within(place - _REACH, place + _REACH)):
            return UNMISTAKABLE
        near = _SUBJECT.finditer(lower, max(first, place - _REACH), min(last, place + _REACH))
        return (
            LIKELY if any(not _OF_SPEECH.search(lower, max(0, each.start() - 16), each.end()) for each in near) else 0.0
        )

    def _within(self, first: int, last: int) -> bool:
        return bisect.bisect_left(self._somebody, first) < bisect.bisect_right(self._somebody, last)

    def _sentence(self, place: int) -> tuple[int, int]:
        first = max(self._lower.rfind(end, 0, place) for end in (". ", "! ", "? ", "\n")) + 1
        ends = [self._lower.find(end, place) for end in (". ", "! ", "? ", "\n")]
        return first, min((end for end in ends if end >= 0), default=len(self._lower))


def _evidence(lower: str) -> Iterator[_Evidence]:
    plain = lower.replace("ё", "е")
    words = [match.span() for match in _WORD.finditer(plain)]
    done = 0
    for number, (start, end) in enumerate(words):
        word = plain[start:end]
        if start < done:
            continue
        longest: tuple[int, _Entry] | None = None
        for entry in _beginning_with(word):
            stop = _fits(entry, plain, words, number)
            if stop and (longest is None or stop > longest[0]):
                longest = stop, entry
        if longest:
            done, entry = longest
            yield _Evidence(start, done, entry.entity, entry.own)
    for match in _MEASURED.finditer(plain):
        yield _Evidence(*match.span(), Entity.HEALTH, own=False)


def _fits(entry: _Entry, plain: str, words: list[tuple[int, int]], number: int) -> int:
    """Where the words of an entry end if they stand here; 0 if they do not."""
    if number + len(entry.words) > len(words):
        return 0
    stop = 0
    for (wanted, open_ended), (start, end) in zip(entry.words, words[number:], strict=False):
        if stop and (start - stop > _GAP or "\n" in plain[stop:start]):
            return 0
        if wanted != "_" and not (plain.startswith(wanted, start, end) and (open_ended or end - start == len(wanted))):
            return 0
        stop = end
    return stop


_WORD = re.compile(r"[а-яa-z0-9]+(?:[-/_][а-яa-z0-9]+)*")
_GAP = 3  # characters between the words of one entry


@functools.lru_cache(maxsize=50_000)
def _beginning_with(word: str) -> tuple[_Entry, ...]:
    """Entries whose first word this can be: none, of nearly all words."""
    exact, begun = _lexicon()
    likely = (*exact.get(word, ()), *begun.get(word[:4], ()), *begun.get(word[:3], ()))
    return tuple(entry for entry in likely if word.startswith(entry.words[0][0]))


@functools.cache
def _lexicon() -> tuple[dict[str, list[_Entry]], dict[str, list[_Entry]]]:
    """Entries by their first word where it is whole, and by the first letters of it (four, or three) where it may go on."""
    exact: dict[str, list[_Entry]] = {}
    begun: dict[str, list[_Entry]] = {}
    entity, own = Entity.HEALTH, False
    for line in (files("policies.recognizers") / "special.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            name, _, kind = line.strip("[]").partition(" ")
            entity, own = Entity(name), kind == "own"
        elif not line.startswith("#"):
            for listed in filter(None, map(str.strip, line.split(","))):
                words = tuple((word.rstrip("*.").replace("ё", "е"), word.endswith("*")) for word in listed.split())
                first, open_ended = words[0]
                index, key = (begun, first[:4]) if open_ended else (exact, first)
                index.setdefault(key, []).append(_Entry(words, entity, own))
    return exact, begun


# Somebody in particular: the speaker, his kin, or a person in a role that papers are written about.
_SUBJECT = re.compile(
    r"(?<![а-яё])(?:(?:у (?:него|не[её]|них)|мне|меня|мной|мой|моя|мо[её]|моей|моего|моему|моим|моих|мою|я|нам|нас"
    r"|наш\w{0,3}|ваш\w{0,3}|ему|ей|его|е[её]|он"
    r"|она)(?![а-яё])"
    r"|(?:мам|пап|бат[яюе]|отц|отец|мать|матер|дочк|дочер|доч|сын|муж|жен|супруг|брат|сестр|бабушк|бабул|дедушк|дед[ау]"
    r"|внук|внуч|т[её]т|дяд"
    r"|т[её]щ|тест[ья]|зят[ья]|невестк|свекр|реб[её]н[ко]|малыш|мальчик|девочк|подрост|племянни|подруг|парн|девушк|женщин"
    r"|мужчин|друг[ау]?(?![а-яё])"
    r")\w{0,4}(?![а-яё])|(?:муж|жен|м|ж)[.,]{1,2} ?[0-9]{1,2}(?![0-9])|[0-9]{1,3} (?:лет|год|года|мес|месяц\w{0,2}|г\.р|л\.)(?![а-яё])"
    r"|(?:пациент|больн|подсудим|обвиняем|осужд[её]нн|заключ[её]нн|застрахованн|пострадавш|потерпевш|призывник|постоял"
    r"|жильц|заявител|роженис|роженниц)\w{0,4}(?![а-яё])"
    r"|(?:сотрудни|работни)(?:к|ка|ку|ком|це|ца|цу|цы)(?![а-яё])|клиент(?:а|у|ом|ка|ки|ке)?(?![а-яё])|коллег[аиу](?![а-яё])"
    r"|кандидат(?:а|у|ка|ки|ке)?(?![а-яё])|ученик\w{0,3}(?![а-яё])|ученица\w{0,2}|студент(?:а|у|ка|ки|ке)?(?![а-яё])"
    r"|сосед\w{0,3}(?![а-яё])|начальни\w{1,3}(?![а-яё])|воспитанни\w{1,3}(?![а-яё])|patient(?!s)|my (?:wife|husband|son"
    r"|daughter|mother|father))"
)
# «Расскажи мне», «напиши нам», «хочу, чтобы я понял»: the speaker asks and tells nothing of himself.
_OF_SPEECH = re.compile(
    r"(?:расскаж|объясн|поясн|напиш|подскаж|скаж|помог|дай|состав|посовет|покаж|переве[дс]|сдела|опиш|сгенерир|найд|нужн"
    r"|пишу|я пиш|я готовл|я хоч)\w{0,6} ?(?:мне|нам|я)?(?![а-яё])"
)
_OWN = re.compile(
    r"(?<![а-яё])(?:у меня|у нас|у (?:мо\w{1,3}|него|не[её])|мо(?:й|я|ей|его|ему|им|их|ю|е[йю]?)(?![а-яё])|мне (?:поставил"
    r"|назначил|сделал|диагност)"
    r"|у (?:мам|пап|муж|жен|сын|доч|бабушк|дедушк|реб[её]нк|брат|сестр)\w{0,4}(?![а-яё]))"
)
_GENERAL = re.compile(
    r"(?<![а-яё])(?:что (?:такое|значит|означа\w+)|что входит|кто так\w{2}|как (?:лечи|леча|переда|проявля|возника"
    r"|диагностир|отличи|предотврат|избежать|называ|расшифров|пиш)\w*|чем (?:отлича|опас)\w*"
    r"|почему (?:возника|люди|у людей|\w+ опас)\w*|каки[емх] (?:симптом|признак|виды|бывают|причин|препарат|норм)\w*"
    r"|расскажи (?:мне )?(?:об?|про)|симптом\w* (?:и|при)|профилактик\w*"
    r"|какой врач|что говорит (?:закон|библия|коран)|какие (?:страны|религии)|кто (?:имеет право|может получить|считается)"
    r"|история (?:возникновения|религи)|перечисли|объясни(?:те)? (?:разницу|что)|what is|how does)"
)
_TOPIC = re.compile(
    r"(?<![а-яё])(?:стать|пост|доклад|реферат|презентаци|лекци|сочинени|эсс|памятк|буклет|опрос|вебинар|книг|фильм|курс"
    r"|тест|викторин|текст|сценари|рассказ|роман|урок|обзор|сайт|лендинг|реклам)\w{0,4}"
    r" (?:\w+ ){0,2}(?:об?|про|по|на тему|для)(?: \w+){0,3} ?[«\"]?$"
)
_MEASURED = re.compile(
    r"(?<![а-яa-z0-9])(?:темп\w{0,8}|t)[ :=-]{1,3}(?:3[789]|4[012])(?:[.,][0-9])?(?![0-9])|давлени\w{1,2} [0-9]{2,3}(?:/"
    r"| на )[0-9]{2,3}|(?:1[0-9]{2}|2[0-4][0-9])/(?:[5-9][0-9]|1[0-3][0-9]) п(?:ульс)? ?[0-9]{2,3}"
    r"|(?:сахар|глюкоза|пса|т4|т3|hb|сад|алт|аст|имт|чсс|spo2|сатурация)[ :=-]{1,3}[0-9]{1,3}(?:[.,][0-9]{1,2})?(?![0-9])"
    r"|(?:ds|dx|диагноз\w{0,2}|мкб)[ :.\"=>-]{1,6}[a-z][0-9]{2}(?:\.[0-9]{1,2})?(?![0-9])"
)

EXAMPLES = (
    Example("у меня диабет, что можно есть?", ("диабет",)),
    Example("Пациент поступил утром, диагноз: пневмония", ("диагноз", "пневмония")),
    Example("у него астма с детства", ("астма",)),
    Example("У мамы нашли опухоль", ("опухоль",)),
    Example("Иванов Пётр Ильич ранее судимый", ("ранее судимый",)),
    Example("Сотрудник исповедует ислам", ("исповедует", "ислам")),
    Example("Она по национальности татарка", ("по национальности", "татарка")),
    Example("Мой сосед состоит в партии", ("состоит в партии",)),
    Example("Анна Петрова изменяет мужу", ("изменяет мужу",)),
    Example("Отпечатки пальцев, Иванов Пётр Ильич", ("Отпечатки пальцев",)),
    Example("дочь 4 года, темп 39.2 третий день, в садике ветрянка", ("темп 39.2", "ветрянка")),
    Example("Катя Ким, 27, сдаёт анализы на ИППП", ("анализы на", "ИППП")),
    Example('{"patient": "Иванов Пётр Ильич", "diagnosis": "K29.7"}', ("diagnosis",)),
    Example("Ученик 4 класса, ЗПР, заключение ПМПК № 214", ("ЗПР", "ПМПК")),
    Example("Отправляю бате анализы: ТТГ 8,9", ("ТТГ",)),
    Example("Сегодня сын болеет, в школу не придёт", ("болеет",)),
    Example("Моя жена Снежана мне изменяет с соседом", ("мне изменяет",)),
    Example("Пётр Ильич Иванов, еврей, иудей", ("еврей", "иудей")),
    Example("Состою в партии, мой билет № 5", ("Состою в партии",)),
    Example("Шаблон лица Анны Петровой уже в базе", ("Шаблон лица",)),
    Example("что такое диабет"),
    Example("Расскажи мне о диабете"),
    Example("Какие симптомы гепатита?"),
    Example("Напишите мне статью про аллергию"),
    Example("Иванов Пётр Ильич живёт в Башкирии на Коммунистической"),
    Example("Наша операция по счёту не прошла"),
    Example("У меня сломался телефон, а в машине низкое давление в шинах"),
    Example("Что такое диабет и как его лечить?"),
    Example("Расскажи об исламе для школьников"),
    Example("Напиши статью о профилактике инсульта"),
    Example("Как политические партии финансируются?"),
    Example("У сервера аптайм год. Статья про гипертонию готова."),
)
