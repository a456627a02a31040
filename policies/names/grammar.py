"""What the words of one found name say of its bearer: surname, given name, patronymic or initials; gender, and the grammatical case.

Words are read by pymorphy3's dictionary (OpenCorpora), which costs a tenth of a millisecond a word; only names already found come here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from policies.names.lexicon import TURKIC, Kind, given_names, lexicon, transliterations

if TYPE_CHECKING:
    from pymorphy3 import MorphAnalyzer

MALE, FEMALE = "male", "female"
CASES = ("nominative", "genitive", "dative", "accusative", "instrumental", "prepositional")


class Reading(msgspec.Struct, frozen=True):
    """A name, read. Words are in lower case and in a form that all their cases share; several where it is not certain which.

    `given` holds full names («Саша» is «александр» and «александра»). `initials` are those of the given name and the patronymic, the
    second one possibly "". `genders` are the possible ones. `case` is one of CASES, of two that look alike the first, or "" where unknown.
    """

    surname: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    patronymic: frozenset[str] = frozenset()
    initials: tuple[str, str] = ("", "")
    genders: frozenset[str] = frozenset((MALE, FEMALE))
    case: str = ""
    plural: bool = False

    @property
    def gender(self) -> str:
        """The one gender that is possible, or ""."""
        return next(iter(self.genders)) if len(self.genders) == 1 else ""


def load() -> None:
    """Read the dictionaries, which takes a tenth of a second, before the first name comes."""
    _analyzer()
    given_names()


def is_never_a_name(word: str) -> bool:
    """Whether a Russian word is in the dictionary and can only be an adverb, a verb, a particle and the like: «Хорошо», «Ладно»."""
    lower = word.lower()
    parses = _parses(lower)
    return (
        bool(parses)
        and all(parse.is_known and parse.tag.POS not in _NAMELIKE for parse in parses)
        and lower.replace("ё", "е") not in given_names()
        and not lexicon().known(lower) & (Kind.FIRST | Kind.SURNAME)
    )


class Word(msgspec.Struct, frozen=True):
    """A word of a name: where it stands there, and whether it is a surname, given name, patronymic or initial."""

    start: int
    end: int
    text: str
    role: str


def words(name: str) -> tuple[Word, ...]:
    """The words of a name as it stands in a text, with their roles."""
    found = list(_WORD.finditer(name))[:_MOST_WORDS]
    roles = _roles([match[0] for match in found])
    return tuple(Word(*match.span(), match[0], role) for match, role in zip(found, roles, strict=True))


def nominatives(word: str, role: str, gender: str, case: str) -> tuple[str, ...]:
    """What a Russian word of a name in this case can be in the nominative, the likeliest first; in lower case."""
    tag = {SURNAME: "Surn", GIVEN: "Name", PATRONYMIC: "Patr"}[role]
    found: dict[str, None] = {}
    for parse in _parses(word.lower()):
        if tag not in parse.tag or parse.tag.number == "plur" or _CASES.get(parse.tag.case or "") != case:
            continue
        if gender not in _GENDERS.get(parse.tag.gender or "", (MALE, FEMALE)):
            continue
        nominative = parse.inflect({"nomn", "sing"})
        if nominative is not None:
            found.setdefault(nominative.word)
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def read(name: str) -> Reading:
    """The reading of a name as it stands in a text. Of words it does not know it keeps the words."""
    by_role: dict[str, list[str]] = {}
    for word in words(name):
        by_role.setdefault(word.role, []).append(word.text.lower().replace("ё", "е"))
    surname = _surname(by_role.get(SURNAME, []))
    given = frozenset(full for word in by_role.get(GIVEN, []) for full in _full(word))
    patronymic = frozenset(lemma for word in by_role.get(PATRONYMIC, []) for lemma in _lemmas(word, "Patr"))
    letters = by_role.get(INITIAL, [])
    genders, case, plural = _agreement(by_role)
    return Reading(
        surname=surname,
        given=given,
        patronymic=patronymic,
        initials=(letters[0] if letters else "", letters[1] if len(letters) > 1 else ""),
        genders=genders,
        case=case,
        plural=plural,
    )


_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_RUSSIAN = re.compile(r"[а-яё-]{1,60}")
_MOST_WORDS = 8
SURNAME, GIVEN, PATRONYMIC, INITIAL = "surname", "given", "patronymic", "initial"


def _roles(words: list[str]) -> list[str]:
    kinds = [lexicon().kind(word.lower()) for word in words]
    roles = [INITIAL if len(word) == 1 else "" for word in words]
    whole = [place for place, role in enumerate(roles) if not role]
    patronymic = next(
        (
            place
            for place in whole
            if kinds[place] & Kind.PATRONYMIC and (place > 0 or len(whole) == 1 or kinds[place] == Kind.PATRONYMIC)
        ),
        None,
    )
    if patronymic is None:
        patronymic = next((place for place in whole[1:] if words[place].lower() in TURKIC), None)
        if patronymic is not None and patronymic > 1:
            roles[patronymic - 1] = PATRONYMIC
            patronymic -= 1
            roles[patronymic + 1] = PATRONYMIC
    if patronymic is not None:
        roles[patronymic] = PATRONYMIC
        if patronymic > 0 and not roles[patronymic - 1]:
            roles[patronymic - 1] = GIVEN
    elif INITIAL not in roles and whole:
        place = _given_place(words, kinds, whole)
        if place is not None:
            roles[place] = GIVEN
    return [role or SURNAME for role in roles]


def _given_place(words: list[str], kinds: list[int], whole: list[int]) -> int | None:
    """Which of the words of a name without patronymic and initials is the given one."""
    known = [place for place in whole if kinds[place] & Kind.FIRST]
    if len(known) > 1:
        # «Иван Роман»: the surname is what no list of given names holds without it being a surname too.
        known = [place for place in known if not kinds[place] & Kind.SURNAME] or known
    if known:
        return known[0]
    tagged = [
        place
        for place in whole
        if not kinds[place] & (Kind.SURNAME | Kind.SURNAME_LIKE)
        and any("Name" in parse.tag for parse in _parses(words[place].lower()))
    ]
    return tagged[0] if tagged else None


def _surname(words: Iterable[str]) -> frozenset[str]:
    return frozenset(
        latin(form) for word in words for form in (_mens(word) if word.isascii() else _stems(word, "Surn"))
    )


def _stems(word: str, tag: str) -> Iterator[str]:
    """What the cases of a name have in common: its dictionary forms, and the word without its ending, for those in no dictionary."""
    yield from _lemmas(word, tag)
    stem = _ENDING.sub("", word)
    yield stem if len(stem) > 2 else word


_ENDING = re.compile(r"(?:ого|ому|ыми|ими|ый|ий|ой|ым|им|ом|ем|ая|ую|ых|их|ою|ею|ей|[аеиоуыьйюя])$")


def _mens(word: str) -> Iterator[str]:
    """A surname in Latin letters, and as a man bears it if it may be a woman's."""
    yield word
    if word.endswith(("ova", "eva", "ina")):
        yield word[:-1]
    elif word.endswith(("skaya", "skaia", "skaja")):
        yield word[:-3] + "ii"


def _full(word: str) -> frozenset[str]:
    known = given_names().get(word)
    return frozenset(known) if known else frozenset(_stems(word, "Name"))


def _lemmas(word: str, tag: str) -> frozenset[str]:
    """The dictionary forms of a word as a surname, name or patronymic; as any noun if it is none; the word itself if nothing is known."""
    parses = _parses(word)
    tagged = {parse.normal_form for parse in parses if tag in parse.tag}
    if not tagged:
        tagged = {parse.normal_form for parse in parses if parse.tag.POS in _NAMELIKE} | {word}
    return frozenset(lemma.replace("ё", "е") for lemma in tagged)


_NAMELIKE = frozenset({"NOUN", "ADJF"})


def _agreement(by_role: dict[str, list[str]]) -> tuple[frozenset[str], str, bool]:
    """The genders that all words allow, the case that they most likely share, and whether several people are meant."""
    weights: dict[tuple[str, str], float] = {}
    plural = False
    for role, tag in ((PATRONYMIC, "Patr"), (GIVEN, "Name"), (SURNAME, "Surn")):
        for word in by_role.get(role, ()):
            forms, many = _forms(word, tag)
            plural = plural or (many and role == SURNAME and GIVEN not in by_role)
            if forms:
                weights = {
                    pair: (weights.get(pair, _UNLIKELY) if weights else 1.0) * forms.get(pair, _UNLIKELY)
                    for pair in weights.keys() | forms.keys()
                }
    listed = _listed(by_role.get(GIVEN, ()))
    weights = {pair: weight for pair, weight in weights.items() if pair[0] in listed} or weights
    if not weights or plural:
        return listed, "", plural
    genders: dict[str, float] = {}
    for (gender, _), weight in weights.items():
        genders[gender] = genders.get(gender, 0.0) + weight
    total = sum(genders.values())
    possible = frozenset(gender for gender, weight in genders.items() if weight >= _POSSIBLE * total)
    cases = {_case({case: weights.get((gender, case), 0.0) for case in CASES}) for gender in possible}
    return possible, cases.pop() if len(cases) == 1 else "", False


def _case(weights: dict[str, float]) -> str:
    """The likeliest case; of those that look alike the first."""
    top = max(weights.values())
    return next(case for case, weight in weights.items() if weight >= _ALIKE * top)


def _listed(given: Iterable[str]) -> frozenset[str]:
    """The genders of given names in the list; both where none is there."""
    genders = {_OF_LIST[gender] for word in given for gender in given_names().get(word, {}).values()}
    return frozenset(genders or (MALE, FEMALE))


_UNLIKELY = 0.002
_POSSIBLE = 0.05  # of the whole weight
_ALIKE = 0.75  # of two cases that look alike pymorphy3 gives weights that differ by little


def _forms(word: str, tag: str) -> tuple[dict[tuple[str, str], float], bool]:
    """Gender and case → weight, and whether the word is more likely a plural."""
    forms: dict[tuple[str, str], float] = {}
    one = many = 0.0
    for parse in _parses(word):
        case = _CASES.get(parse.tag.case or "")
        if tag not in parse.tag or case is None:
            continue
        if parse.tag.number == "plur":
            many += parse.score
            continue
        one += parse.score
        for gender in _GENDERS.get(parse.tag.gender or "", (MALE, FEMALE)):
            forms[gender, case] = max(forms.get((gender, case), 0.0), parse.score)
    return forms, many > one


_OF_LIST = {"m": MALE, "f": FEMALE}
_CASES = dict(zip(("nomn", "gent", "datv", "accs", "ablt", "loct"), CASES, strict=True))
_GENDERS = {"masc": (MALE,), "femn": (FEMALE,)}


@functools.lru_cache(maxsize=20_000)
def _parses(word: str) -> tuple[Any, ...]:
    # Only what can be Russian: of a letter without a name in Unicode pymorphy3 makes an error.
    return tuple(_analyzer().parse(word)[:12]) if _RUSSIAN.fullmatch(word) else ()


@functools.cache
def _analyzer() -> MorphAnalyzer:
    from pymorphy3 import MorphAnalyzer

    return MorphAnalyzer()


def latin(word: str) -> str:
    """A word in Latin letters, spellings that differ by table only («y», «i», «j») made one, so that a name in both alphabets is one."""
    if not word.isascii():
        word = next(iter(transliterations(word))).lower()
    for one, other in _LOOSE:
        word = word.replace(one, other)
    return word


_LOOSE = (
    ("shch", "sch"),
    ("kh", "h"),
    ("ck", "k"),
    ("x", "ks"),
    ("yu", "u"),
    ("iu", "u"),
    ("ju", "u"),
    ("ya", "a"),
    ("ia", "a"),
    ("ja", "a"),
    ("yo", "e"),
    ("jo", "e"),
    ("ye", "e"),
    ("ie", "e"),
    ("y", "i"),
    ("j", "i"),
    ("ii", "i"),
    ("tc", "ts"),
    ("'", ""),
)
