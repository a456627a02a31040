"""Names of people in running text: a dictionary, the forms of patronymics and surnames, and the words around them.

Capital letters help but are not needed: people type «иванов иван иванович». A word that is a name and also something else
needs a reason to be a name here: a patronymic or surname beside it, a word that announces a person, or its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from policies.entities import Entity
from policies.finding import Finding
from policies.names.lexicon import Kind, lexicon
from policies.recognizers.identifier import Example


class _Word(msgspec.Struct):
    start: int
    end: int
    lower: str
    kind: Kind
    capital: bool
    upper: bool  # all letters, of at least two
    opening: bool  # first in its sentence, line or quotation
    joined: bool  # only a space (or the dot of an initial) stands between it and the word before
    comma: bool  # …or only a comma and a space, as in a list «Фамилия, Имя Отчество»

    @property
    def initial(self) -> bool:
        return self.capital and self.end - self.start == 1


def find(text: str, lower: str) -> Iterator[Finding]:
    """Names in a folded text; they do not overlap."""
    words = _words(text, lower)
    place = 0
    while place < len(words):
        found = _name_at(words, place, lower)
        if found is None:
            place += 1
            continue
        count, score = found
        last = words[place + count - 1]
        # «Иванов И.»: the dot belongs to the initial.
        end = last.end + 1 if last.initial and text[last.end : last.end + 1] == "." else last.end
        yield Finding(words[place].start, end, Entity.PERSON, score)
        place += count


SURE = 0.95
PROBABLE = 0.75
POSSIBLE = 0.55

_WORD = re.compile(r"[А-Яа-яЁё]+(?:-[А-Яа-яЁё]+)*|[A-Za-z]+(?:['-][A-Za-z]+)*")
_ENDS = frozenset(".!?\n:;\"«([{>|*#-")
_NAME = Kind.FIRST | Kind.PATRONYMIC | Kind.SURNAME | Kind.SURNAME_LIKE


def _words(text: str, lower: str) -> list[_Word]:
    kind = lexicon().kind
    words: list[_Word] = []
    end = 0
    for match in _WORD.finditer(text):
        start = match.start()
        between = text[end:start]
        spelling = lower[start : match.end()]
        first = match[0][0]
        tight = between.strip(" \t")
        words.append(
            _Word(
                start=start,
                end=match.end(),
                lower=spelling,
                kind=kind(spelling),
                capital=first.isupper(),
                upper=len(spelling) > 1 and match[0].isupper(),
                opening=not words or any(sign in _ENDS for sign in tight),
                joined=bool(words) and (not tight and between != "" or (tight == "." and len(words[-1].lower) == 1)),
                comma=tight == ",",
            )
        )
        end = match.end()
    return words


def _name_at(words: list[_Word], place: int, lower: str) -> tuple[int, float] | None:
    """How many words from `place` on are one name, and how surely; None if none begins there."""
    word = words[place]
    announced = _announced(words, place, lower)
    if not (word.capital or announced or word.kind & _NAME):
        return None
    run = [word]
    while len(run) < 4 and place + len(run) < len(words) and words[place + len(run)].joined:
        run.append(words[place + len(run)])
    found = _full_name(run, announced) or _initials(run)
    if found:
        return None if _is_renowned(run[: found[0]]) or (not announced and _belongs_to_a_thing(words, place, lower, found)) else found
    if _belongs_to_a_thing(words, place, lower, (1, POSSIBLE)):
        return None
    return _pair(run, announced) or _single(run, announced, lower)


def _full_name(run: list[_Word], announced: bool) -> tuple[int, float] | None:
    """Names with a patronymic: Ф И О, И О Ф, И О, О."""
    place = next((place for place, word in enumerate(run[:3]) if word.kind & Kind.PATRONYMIC and _may_be_patronymic(word)), None)
    if place is None:
        return _turkic(run)
    if place == 2 and not (_may_be_surname(run[0], announced) and _may_be_first(run[1])):
        return None  # the name begins at the next word
    if place == 1 and not _may_be_first(run[0]):
        return None
    count = place + 1
    if place == 1 and len(run) > 2 and _may_be_surname(run[2], False) and not run[2].kind & Kind.PATRONYMIC:
        count = 3
    return count, SURE


def _turkic(run: list[_Word]) -> tuple[int, float] | None:
    """«Алиев Азамат Марат оглы»: the word that makes a patronymic stands by itself."""
    for place in (2, 3):
        if len(run) > place and run[place].lower in _TURKIC and all(word.capital or word.kind & _NAME for word in run[:place]):
            return place + 1, SURE
    return None


def _initials(run: list[_Word]) -> tuple[int, float] | None:
    """«Иванов И.И.», «И. И. Иванов»; a single initial too, if the surname is one."""
    first, *rest = run
    if first.initial:
        for place, word in enumerate(rest[:2], 1):
            if not word.initial:
                known = word.kind & (Kind.SURNAME | Kind.SURNAME_LIKE) and not word.kind & Kind.NEVER
                return (place + 1, SURE) if word.capital and len(word.lower) > 2 and (known or place == 2) else None
        return None
    if not first.capital or len(first.lower) < 2 or not rest or not rest[0].initial or rest[0].end == rest[0].start:
        return None
    count = 3 if len(rest) > 1 and rest[1].initial else 2
    if count == 3 and not first.kind & (Kind.NEVER | Kind.FIRST):
        return count, SURE
    return (count, SURE) if first.kind & (Kind.SURNAME | Kind.SURNAME_LIKE) and not first.kind & Kind.NEVER else None


def _pair(run: list[_Word], announced: bool) -> tuple[int, float] | None:
    """A first name and a surname, in either order."""
    if len(run) < 2:
        return None
    one, two = run[0], run[1]
    if _is_renowned(run[:2]):
        return None
    if one.kind & Kind.FIRST and _may_be_surname(two, announced) and not (two.kind & Kind.FIRST and not two.kind & Kind.SURNAME):
        return (2, SURE) if _sure_pair(one, two) or announced else None
    if two.kind & Kind.FIRST and _may_be_surname(one, announced):
        return (2, SURE) if _sure_pair(two, one) or announced else None
    if announced and one.capital and two.capital and not (one.kind | two.kind) & (Kind.NEVER | Kind.COMMON) and not one.upper:
        return 2, PROBABLE
    return None


def _sure_pair(first: _Word, surname: _Word) -> bool:
    """Whether two words that can be a name and a surname are one without anything else to say so."""
    if first.capital != surname.capital and not (first.kind & Kind.COMMON):
        return bool(surname.kind & Kind.SURNAME)
    if first.capital and surname.capital:
        return bool(surname.kind & (Kind.SURNAME | Kind.SURNAME_LIKE)) or not (first.kind & Kind.COMMON or surname.opening)
    # Lower case: both must be names and nothing else.
    return bool(surname.kind & (Kind.SURNAME | Kind.SURNAME_LIKE)) and not (first.kind | surname.kind) & Kind.COMMON


def _single(run: list[_Word], announced: bool, lower: str) -> tuple[int, float] | None:
    """A first name, a surname or a patronymic by itself."""
    word = run[0]
    kind = word.kind
    if kind & (Kind.NEVER | Kind.RENOWNED) or len(word.lower) < 2:
        return None
    if kind & Kind.VOICE:
        return None
    if announced and (kind & (Kind.FIRST | Kind.SURNAME | Kind.SURNAME_LIKE)) and (word.capital or not kind & Kind.COMMON):
        return 1, PROBABLE
    if kind & Kind.FIRST and len(word.lower) > 2:
        if not kind & Kind.COMMON:
            return (1, PROBABLE) if word.capital or len(word.lower) > 3 else None
        called = lower[word.end : word.end + 1] == ","
        if word.capital and not word.upper and (not word.opening or called):
            return 1, POSSIBLE
        return None
    if kind & Kind.SURNAME and word.capital and not word.upper and not kind & Kind.COMMON and len(word.lower) > 4:
        return 1, POSSIBLE
    return None


def _may_be_patronymic(word: _Word) -> bool:
    # A stem of the dictionary is enough; an unknown one needs its capital letter.
    return word.capital or bool(lexicon().known(word.lower) & Kind.PATRONYMIC)


def _may_be_first(word: _Word) -> bool:
    return bool(word.kind & Kind.FIRST) or (word.capital and not word.initial and not word.kind & Kind.NEVER)


def _may_be_surname(word: _Word, announced: bool) -> bool:
    kind = word.kind
    if kind & Kind.NEVER or len(word.lower) < 2:
        return False
    if kind & (Kind.SURNAME | Kind.SURNAME_LIKE):
        return True
    # An unknown word: its capital letter must not come from the sentence.
    return word.capital and not kind & Kind.COMMON and (announced or not word.opening)


def _is_renowned(words: list[_Word]) -> bool:
    if not any(word.kind & Kind.RENOWNED for word in words):
        return False
    return not any(word.kind & Kind.SURNAME and not word.kind & Kind.RENOWNED for word in words)


def _announced(words: list[_Word], place: int, lower: str) -> bool:
    """Whether the words before say that a person follows."""
    start = words[place].start
    return bool(_ANNOUNCE.search(lower, max(0, start - 40), start))


def _belongs_to_a_thing(words: list[_Word], place: int, lower: str, found: tuple[int, float]) -> bool:
    """Whether the name is a street's, a law's, a firm's: «улица Ленина», «теорема Пифагора», «ООО «Анна»»."""
    start = words[place].start
    if _THING.search(lower, max(0, start - 40), start):
        return True
    after = lower[words[place + found[0] - 1].end :][:12]
    return found[0] == 1 and bool(_THING_AFTER.match(after))


_TURKIC = frozenset({"оглы", "оглу", "огли", "угли", "кызы", "кизи", "гызы", "улы", "уулу", "заде"})

# Each ends right before the name. `search` is given a window of 40 characters, so none of these can run away.
_ANNOUNCE = re.compile(
    r"(?:(?<![а-яёa-z])(?:(?:меня|его|её|ее|их|тебя) зовут|зовут|звать|фамили[яиюей]{1,2}|имя|имени|отчество|фио|ф\. ?и\. ?о\.?|г-н\w?|г-ж\w{1,2}|гр\.|тов\.|господин\w?|госпож\w{1,2}"
    r"|клиент\w{0,3}|пациент\w{0,3}|больн\w{2,3}|абонент\w{0,2}|гражданин\w?|гражданк\w{1,2}|сотрудни\w{1,3}|работни\w{1,3}|водител\w{1,2}|студент\w{0,3}|ученик\w?|учени\w{2,3}"
    r"|истец|истц\w|ответчик\w?|заявител\w{1,2}|подсудим\w{2,3}|обвиняем\w{2,3}|потерпевш\w{2,3}|свидетел\w{1,2}|страховател\w{1,2}|арендодател\w{1,2}|арендатор\w{0,2}|владелец|владельц\w"
    r"|получател\w{1,2}|отправител\w{1,2}|исполнител\w{1,2}|заказчик\w?|подрядчик\w?|директор\w{0,2}|менеджер\w{0,2}|бухгалтер\w{0,2}|руководител\w{1,2}|начальник\w{0,2}|коллег\w|врач\w{0,2}|доктор\w{0,2}|кандидат\w{0,2}"
    r"|с уважением|ваш|ваша|подпись|от кого|кому|уважаем\w{2,3}|дорог\w{2,3}|dear|mr|mrs|ms|regards|sincerely|client|customer|patient|fio|name|last_?name|first_?name|surname|full_?name|owner|holder|contact|author)"
    r"[.\"']{0,2}[ \t]{0,3}[:=,>-]{0,2}[ \t\n]{0,3}[\"'«(]?)$"
)
_THING = re.compile(
    r"(?<![а-яё])(?:ул\.?|улиц\w{1,2}|просп\.?|проспект\w{0,2}|пр-т\w?|пр\.|пер\.|переул\w{2,3}|пл\.|площад\w{1,2}|бульвар\w{0,2}|б-р|шоссе|наб\.|набережн\w{2,3}|проезд\w?|тупик\w?|аллея|мкр\.?|микрорайон\w?"
    r"|метро|станци\w{1,2}|м\.|памятник\w{0,2}|музе\w{1,2}|театр\w?|парк\w?|сквер\w?|библиотек\w|институт\w?|университет\w?|вуз\w?|школ\w|им\.|имени|г\.|гор\.|город\w{0,2}|пос\.|пгт|с\.|дер\.|деревн\w|сел[оае]|област\w{1,2}|район\w{0,2}"
    r"|ооо|ао|пао|зао|оао|нко|фгуп|муп|ип \"|компани\w{1,2}|фирм\w|бренд\w?|магазин\w?|кафе|ресторан\w?|банк\w?|журнал\w?|газет\w|корабл\w|теплоход\w?"
    r"|закон\w?|теорем\w{1,2}|правил\w|эффект\w?|формул\w|метод\w?|алгоритм\w?|числ\w|постоянн\w{2}|уравнени\w|преобразовани\w|ряд\w?|критери\w|тест\w?|синдром\w?|болезн\w|шкал\w|принцип\w?|парадокс\w?|диаграмм\w|матриц\w|дерев\w|пирамид\w|бритв\w|индекс\w?|коэффициент\w?|распределени\w|функци\w|машин\w|задач\w|гипотез\w"
    r"|премии|преми\w|орден\w?|медал\w|роман\w?|повест\w|рассказ\w?|поэм\w|сказк\w|фильм\w?|мультфильм\w?|сериал\w?|книг\w|песн\w|опер\w|балет\w?|картин\w|стих\w{0,5}|биографи\w|творчеств\w|персонаж\w?|геро\w{1,2}|писател\w{1,2}|поэт\w{0,2}|композитор\w?|художник\w?|учён\w{2}|ассистент\w?|колонк\w|помощник\w?|нейросет\w)"
    r"[ ]{0,2}[\"«(]{0,2}$"
)
_THING_AFTER = re.compile(r"[\"»]? ?(?:,? ?(?:ул\.|улица|проспект|переулок|область|обл\.|район|р-н|край|стрит)|- ?банк)")

EXAMPLES = (
    Example("Иванов Иван Иванович", ("Иванов Иван Иванович",)),
    Example("договор с Ивановой Марией Петровной подписан", ("Ивановой Марией Петровной",)),
    Example("иванов иван иванович просит справку", ("иванов иван иванович",)),
    Example("ПЕТРОВА АННА СЕРГЕЕВНА", ("ПЕТРОВА АННА СЕРГЕЕВНА",)),
    Example("Алиев Азамат Марат оглы", ("Алиев Азамат Марат оглы",)),
    Example("Гражданин Асхаб Магомедович Хизриев", ("Асхаб Магомедович Хизриев",)),
    Example("Прошу Петрова И.С. и Сидорову А. В. зайти", ("Петрова И.С.", "Сидорову А. В.")),
    Example("Акт подписал А.С. Кузнецов", ("А.С. Кузнецов",)),
    Example("Меня зовут Ольга, чем могу помочь?", ("Ольга",)),
    Example("клиент сидоров не отвечает", ("сидоров",)),
    Example("С уважением,\nПётр Ильин", ("Пётр Ильин",)),
    Example("поздравь Веру Артёмовну", ("Веру Артёмовну",)),
    Example("катя скинь отчёт", ("катя",)),
    Example("Dear Ivan Petrov, your order is ready", ("Ivan Petrov",)),
    Example('{"last_name": "Кипиани"}', ("Кипиани",)),
    Example("Ива\u0301нов Иван Иванович", ("Ива\u0301нов Иван Иванович",)),
    Example("Римский-Корсаков Николай Сергеевич", ("Римский-Корсаков Николай Сергеевич",)),
    Example("Напиши письмо о переносе встречи"),
    Example("Переведи на английский: добрый день"),
    Example("Памятник на улице Гагарина откроют завтра"),
    Example("Теорема Пифагора и закон Ома"),
    Example("Алиса, какая погода?"),
    Example("GigaChat и Маруся отвечают по-разному"),
    Example("Роман «Война и мир» читают в школе"),
    Example("Надежда умирает последней, а вера творит чудеса"),
    Example("Расскажи биографию Пушкина"),
    Example("Поставка в ООО «Анна» сорвана"),
    Example("Основной договор и новая машина"),
    Example("Ростов и Саратов стоят на реках"),
)
