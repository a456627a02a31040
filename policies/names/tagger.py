"""Names of people in running text: a dictionary, the forms of patronymics and surnames, and the words around them.

Capital letters help but are not needed: people type «иванов иван иванович». A word that is a name and also something else
needs a reason to be a name here: a patronymic or surname beside it, a word that announces a person, or its place.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator

import msgspec

from policies.entities import Entity
from policies.finding import Finding
from policies.names.lexicon import TURKIC, Kind, lexicon
from policies.recognizers.identifier import THRESHOLD, Example


class _Word(msgspec.Struct):
    start: int
    end: int
    lower: str
    kind: int  # of `Kind`
    capital: bool
    upper: bool  # all letters, of at least two
    opening: bool  # first in its sentence, line or quotation
    joined: bool  # only a space (or the dot of an initial) stands between it and the word before
    dotted: bool  # a dot follows

    @property
    def initial(self) -> bool:
        return self.end - self.start == 1 and (self.capital or self.dotted)


def find(text: str, lower: str) -> Iterator[Finding]:
    """Names in a folded text; they do not overlap. A score of 0 says that this is somebody of the past or of fiction."""
    words = _words(text, lower)
    place = 0
    while place < len(words):
        found = _name_at(words, place, lower)
        if (
            found is None
            and words[place].kind & Kind.VOICE
            and _VOICED.search(lower, max(0, words[place].start - 24), words[place].start)
        ):
            yield Finding(words[place].start, words[place].end, Entity.PERSON, NOBODY)
        if found is None:
            place += 1
            continue
        count, score = found
        renowned = score == NOBODY and count > 1 and _is_renowned(words[place : place + count])
        if score >= THRESHOLD or renowned:
            last = words[place + count - 1]
            # «Иванов И.»: the dot belongs to the initial.
            end = last.end + 1 if last.initial and last.dotted else last.end
            yield Finding(words[place].start, end, Entity.PERSON, score)
        place += count


SURE = 0.95
ANNOUNCED = 0.9  # a lone name after a word for people
PROBABLE = 0.75
POSSIBLE = 0.55
NOBODY = 0.0  # a name, but not of anybody whose data it could be

_WORD = re.compile(r"[А-Яа-яЁё]+(?:-[А-Яа-яЁё]+)*|[A-Za-z]+(?:['-][A-Za-z]+)*")
OF_A_HANDLE = frozenset("_@/0123456789")
_ENDS = frozenset('.!?\n:;"«([{>|*#-')
_NAME = Kind.FIRST | Kind.PATRONYMIC | Kind.SURNAME | Kind.SURNAME_LIKE


def _words(text: str, lower: str) -> list[_Word]:
    words: list[_Word] = []
    # In a text all in capitals a capital letter says nothing.
    shouting = text.upper() == text or sum(map(str.isupper, text)) > sum(map(str.islower, text))
    end = 0
    before = ""
    for match in _WORD.finditer(text):
        start, stop = match.span()
        written = match[0]
        if written[0].isascii() and (text[start - 1 : start] in OF_A_HANDLE or text[stop : stop + 1] in OF_A_HANDLE):
            continue  # part of a user name, an address or a code
        between = text[end:start]
        spelling = lower[start:stop]
        upper = len(spelling) > 1 and written.isupper()
        tight = "" if between == " " else between.strip(" \t")
        words.append(
            _Word(
                start,
                stop,
                spelling,
                _kind(spelling),
                written[0].isupper() and not (shouting and written.isupper()),
                upper,
                not words or (tight != "" and not _ENDS.isdisjoint(tight)),
                before != "" and ((not tight and between != "") or (tight == "." and len(before) == 1)),
                text[stop : stop + 1] == ".",
            )
        )
        end, before = stop, spelling
    return words


@functools.lru_cache(maxsize=50_000)
def _kind(spelling: str) -> int:
    return lexicon().kind(spelling)


def _name_at(words: list[_Word], place: int, lower: str) -> tuple[int, float] | None:
    """How many words from `place` on are one name, and how surely it is a person's; None if none begins there."""
    word = words[place]
    if not (word.capital or word.dotted or word.kind & _NAME):
        return None
    announced = _announced(words, place, lower)
    if not (word.capital or announced or word.kind & _NAME):
        return None
    run = [word]
    while len(run) < 4 and place + len(run) < len(words) and words[place + len(run)].joined:
        run.append(words[place + len(run)])
    found = _full_name(run, announced) or _initials(run) or _pair(run, announced) or _single(run, announced, lower)
    if found is None:
        return None
    count, score = found
    if count > 1 and _is_renowned(run[:count]):
        return count, NOBODY
    if score == PROBABLE and word.capital and _INTRODUCED.search(lower, max(0, word.start - 12), word.start):
        found = count, ANNOUNCED
    return (count, NOBODY) if _belongs_to_a_thing(word.start, run[count - 1].end, lower, count) else found


def _full_name(run: list[_Word], announced: bool) -> tuple[int, float] | None:
    """Names with a patronymic: Ф И О, И О Ф, И О, О."""
    place = next(
        (place for place, word in enumerate(run[:3]) if word.kind & Kind.PATRONYMIC and _may_be_patronymic(word)), None
    )
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
        if (
            len(run) > place
            and run[place].lower in TURKIC
            and all(word.capital or word.kind & _NAME for word in run[:place])
        ):
            return place + 1, SURE
    return None


def _initials(run: list[_Word]) -> tuple[int, float] | None:
    """«Иванов И.И.», «И. И. Иванов»; a single initial too, if the surname is one."""
    first, *rest = run
    if first.initial:
        surname = next((place for place, word in enumerate(rest[:2], 1) if not word.initial), 0)
        # A single letter without its dot is a preposition: «К Ильину».
        signed = surname and (surname == 2 or first.dotted) and _is_signed(run[surname], surname)
        return (surname + 1, SURE) if signed else None
    if len(rest) > 1 and first.kind & Kind.SURNAME and _are_undotted_initials(*rest[:2]):
        return 3, PROBABLE
    initials = 0
    while initials < min(2, len(rest)) and rest[initials].initial:
        initials += 1
    return (initials + 1, SURE) if initials and _is_signed(first, initials) else None


def _is_signed(surname: _Word, initials: int) -> bool:
    """Whether a word beside so many initials is a surname."""
    known = surname.kind & (Kind.SURNAME | Kind.SURNAME_LIKE)
    if surname.kind & Kind.NEVER or len(surname.lower) < 2:
        return False
    if surname.capital:
        return bool(known) or (initials == 2 and not surname.kind & Kind.FIRST and len(surname.lower) > 2)
    return bool(known) and initials == 2


def _are_undotted_initials(one: _Word, two: _Word) -> bool:
    """«кузнецова п в»: two single letters, at least one of which is no word of its own."""
    letters = one.lower + two.lower
    return len(letters) == 2 and not all(letter in "иаовскуя" for letter in letters)


def _pair(run: list[_Word], announced: bool) -> tuple[int, float] | None:
    """A first name and a surname, in either order."""
    if len(run) < 2:
        return None
    one, two = run[0], run[1]
    if (
        one.kind & Kind.FIRST
        and _may_be_surname(two, announced)
        and not (two.kind & Kind.FIRST and not two.kind & Kind.SURNAME)
    ):
        return (2, SURE) if _sure_pair(one, two) or announced else None
    if two.kind & Kind.FIRST and _may_be_surname(one, announced):
        return (2, SURE) if _sure_pair(two, one) or announced else None
    if (
        announced
        and one.capital
        and two.capital
        and not (one.kind | two.kind) & (Kind.NEVER | Kind.COMMON)
        and not one.upper
    ):
        return 2, PROBABLE
    return None


def _sure_pair(first: _Word, surname: _Word) -> bool:
    """Whether two words that can be a name and a surname are one without anything else to say so."""
    if first.capital != surname.capital and not (first.kind & Kind.COMMON):
        return bool(surname.kind & Kind.SURNAME)
    if first.capital and surname.capital:
        return bool(surname.kind & (Kind.SURNAME | Kind.SURNAME_LIKE)) or not (
            first.kind & Kind.COMMON or surname.opening
        )
    # Lower case: one of the two must be nothing else, and the surname be known as one.
    if first.kind & Kind.COMMON:
        return bool(surname.kind & Kind.SURNAME) and not surname.kind & Kind.COMMON
    return bool(surname.kind & Kind.SURNAME or (surname.kind & Kind.SURNAME_LIKE and not surname.kind & Kind.COMMON))


def _single(run: list[_Word], announced: bool, lower: str) -> tuple[int, float] | None:
    """A first name or a surname by itself."""
    word = run[0]
    kind = word.kind
    common = bool(kind & Kind.COMMON)
    if kind & Kind.NEVER or len(word.lower) < 2:
        score = NOBODY
    elif announced and kind & _NAME and (word.capital or kind & Kind.FIRST or not common):
        score = ANNOUNCED if word.capital and not word.upper and not common else PROBABLE
    elif kind & (Kind.RENOWNED | Kind.VOICE):
        score = POSSIBLE if announced and word.capital else NOBODY
    elif kind & Kind.FIRST and len(word.lower) > 2:
        if common:
            score = POSSIBLE if _is_meant_as_name(word, lower) else NOBODY
        elif word.capital and word.opening and _SPOKEN_TO.match(lower, word.end):
            score = ANNOUNCED  # «Лена, перешли акт», «Славик: он там»
        else:
            score = PROBABLE if word.capital or len(word.lower) > 3 else NOBODY
    else:
        score = POSSIBLE if _is_lone_surname(word) else NOBODY
    return (1, score) if score else None


def _is_lone_surname(word: _Word) -> bool:
    """Whether a word is a surname by itself: a known one, or, inside a sentence, one that only has the form."""
    if not word.capital or word.upper or len(word.lower) < 5:
        return False
    known = bool(word.kind & Kind.SURNAME)
    if word.opening:
        return known and not word.kind & Kind.COMMON
    return known or bool(_CERTAIN_ENDING.search(word.lower))


def _is_meant_as_name(word: _Word, lower: str) -> bool:
    """Whether the place of a word that is also a name makes it one: a capital inside a sentence, or a comma of address."""
    called = lower[word.end : word.end + 1] == ","
    return word.capital and not word.upper and (not word.opening or called) and not word.lower.isascii()


def _may_be_patronymic(word: _Word) -> bool:
    # A stem of the dictionary is enough; an unknown one needs its capital letter.
    return (
        word.capital or word.lower.rpartition("-")[2] in TURKIC or bool(lexicon().known(word.lower) & Kind.PATRONYMIC)
    )


def _may_be_first(word: _Word) -> bool:
    return bool(word.kind & Kind.FIRST) or (word.capital and not word.initial and not word.kind & Kind.NEVER)


def _may_be_surname(word: _Word, announced: bool) -> bool:
    kind = word.kind
    if kind & Kind.NEVER or len(word.lower) < 2:
        return False
    if kind & (Kind.SURNAME | Kind.SURNAME_LIKE | Kind.RENOWNED):
        return True
    # An unknown word: its capital letter must not come from the sentence, nor the word be what opens many of them, a verb.
    return word.capital and not kind & Kind.COMMON and (announced or not word.opening or not VERB.search(word.lower))


def _is_renowned(words: list[_Word]) -> bool:
    if any(lexicon().is_classic(one.lower, two.lower) for one, two in itertools.combinations(words, 2)):
        return True
    # With another name or an initial beside it, it is somebody else's («Андрей Попов», «Рафаэль Наилевич»).
    others = [word for word in words if not word.kind & Kind.RENOWNED]
    if any(word.initial or word.kind & (Kind.FIRST | Kind.PATRONYMIC | Kind.SURNAME) for word in others):
        return False
    return any(word.kind & Kind.RENOWNED and not word.kind & Kind.SURNAME for word in words)


def _announced(words: list[_Word], place: int, lower: str) -> bool:
    """Whether the words before say that a person follows."""
    start = words[place].start
    return bool(_ANNOUNCE.search(lower, max(0, start - 40), start))


def _belongs_to_a_thing(start: int, end: int, lower: str, count: int) -> bool:
    """Whether the name is a street's, a law's, a firm's: «улица Ленина», «теорема Пифагора», «ООО «Анна»»."""
    left = max(0, start - 40)
    if _NAMESAKE.search(lower, left, start):
        return True
    # A whole name after these words is a person's: «губернатор области Пётр Ильин».
    if count > 1 or not _NAMED_BY_ONE_WORD.search(lower, left, start):
        return False
    return lower[start - 1] in '"«(' or not _NOMINATIVE.search(lower, start, end)


_VOICED = re.compile(r"(?<![а-яё])(?:яндекс\w{0,2}|станци\w|колонк\w|ассистент\w{0,2}|помощни\w{1,3})[ .:«\"-]{1,3}$")
_SPOKEN_TO = re.compile(r", |(?: [а-яё]\.)?: ")
_CERTAIN_ENDING = re.compile(r"(?:[а-я]{2}(?:ов|[её]в|ин)(?:а|у|ым|ой)?|енко|швили)$")
VERB = re.compile(r"(?:[аеиоуыюя]й|[иь]|те|ть|ся|сь|ю|у|ет|ит|ат|ят|ем|им|л|ла|ло|о|ие|ые|ое|ий|ый)$")

# Each ends right before the name. `search` is given a window of 40 characters, so none of these can run away.
_ANNOUNCE = re.compile(
    r"(?:(?<![а-яёa-z])(?:(?:меня|его|её|ее|их|тебя) зовут|зовут|звать|фамили[яиюей]{1,2}|имя|отчество|фио"
    r"|ф\. ?и\. ?о\.?|г-н\w?|г-ж\w{1,2}|гр\.|тов\.|господин\w?|госпож\w{1,2}"
    r"|клиент\w{0,3}|пациент\w{0,3}|больн\w{2,3}|абонент\w{0,2}|гражданин\w?|гражданк\w{1,2}|сотрудни\w{1,3}"
    r"|работни\w{1,3}|водител\w{1,2}|студент\w{0,3}|ученик\w?|учени\w{2,3}"
    r"|истец|истц\w|ответчик\w?|заявител\w{1,2}|подсудим\w{2,3}|обвиняем\w{2,3}|потерпевш\w{2,3}|свидетел\w{1,2}"
    r"|страховател\w{1,2}|арендодател\w{1,2}|арендатор\w{0,2}|владелец|владельц\w"
    r"|получател\w{1,2}|отправител\w{1,2}|исполнител\w{1,2}|заказчик\w?|подрядчик\w?|директор\w{0,2}|менеджер\w{0,2}"
    r"|бухгалтер\w{0,2}|руководител\w{1,2}|начальник\w{0,2}|коллег\w|врач\w{0,2}|доктор\w{0,2}|кандидат\w{0,2}"
    r"|с уважением|ваш|ваша|подпись|от кого|кому|уважаем\w{2,3}|дорог\w{2,3}|my name is|dear|mr|mrs|ms|regards|sincerely|client"
    r"|customer|patient|fio|name|last_?name|first_?name|surname|full_?name|owner|holder|contact|author)"
    r"[.\"']{0,2}[ \t]{0,3}[:=,>-]{0,2}[ \t\n]{0,3}[\"'«(]?)$"
)
_INTRODUCED = re.compile(r"(?<![a-z])(?:my name is|mr\.?|mrs\.?|ms\.?) $")  # nothing but a person comes after these
# What is named after people, whole names included. A museum or a prize is not here: they have directors and laureates.
_NAMESAKE = re.compile(
    r"(?<![а-яё])(?:ул\.?|улиц\w{1,2}|просп\.?|проспект\w{0,2}|пр-т\w?|пер\.|переул\w{2,3}|пл\.|площад\w{1,2}"
    r"|бульвар\w{0,2}|б-р|шоссе|наб\.|набережн\w{2,3}|проезд\w?|тупик\w?|аллея|мкр\.?|микрорайон\w?"
    r"|метро|памятник\w{0,2}|им\.|имени)[ ]{0,2}[\"«(]{0,2}$"
)
# What is named after people by one word of their name: a law of nature, a place, a firm, a work of art.
_NAMED_BY_ONE_WORD = re.compile(
    r"(?<![а-яё])(?:станци\w{1,2}|музе\w{1,2}|театр\w?|сквер\w?|библиотек\w|корабл\w|теплоход\w?|парк\w?|институт\w?|университет\w?|гор\.|город\w{0,2}|пос\.|пгт|дер\.|деревн\w|сел[оае]|област\w{1,2}|район\w{0,2}|м\."
    r"|ооо|ао|пао|зао|оао|нко|фгуп|муп|бренд\w?|кафе|ресторан\w?|банк\w?|журнал\w?|газет\w"
    r"|закон\w?|теорем\w{1,2}|правил\w|эффект\w?|формул\w|метод\w?|алгоритм\w?|числ\w|постоянн\w{2}|уравнени\w|преобразовани\w|ряд\w?"
    r"|критери\w|синдром\w?|болезн\w|шкал\w|принцип\w?|парадокс\w?|диаграмм\w|пирамид\w|бритв\w|индекс\w?|коэффициент\w?"
    r"|распределени\w|гипотез\w|роман\w?|повест\w|поэм\w|сказк\w|фильм\w?|мультфильм\w?|сериал\w?|опер\w|балет\w?|биографи\w"
    r"|творчеств\w|персонаж\w?|колонк\w)[ ]{0,2}[\"«(]{0,2}$"
)
# A man's surname in the nominative: «по закону Иванов обязан» is no law of Ivanov's.
_NOMINATIVE = re.compile(r"(?:[оеё]в|[иы]н|[сц]кий|енко)$")

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
    Example("Сидоров-Орлов Николай Сергеевич", ("Сидоров-Орлов Николай Сергеевич",)),
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
