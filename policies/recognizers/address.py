"""Postal addresses of people: from a street, a plot, a flat or a field's name, to all of the address around it.

What is cheap to find anchors the search («ул.», «кв.», «дер.», a well-known street before a number), and only there the
parts on both sides are read one by one. A town or a street alone is nobody's address; the address of a firm is no person's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files

import msgspec

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.address_examples import EXAMPLES
from policies.recognizers.address_owner import is_of_a_firm
from policies.recognizers.identifier import LABELLED, LIKELY, UNMISTAKABLE
from policies.recognizers.tables import Headings

__all__ = ["EXAMPLES", "find", "may_be"]


def find(text: str, lower: str, persons: Sequence[Finding], headings: Headings) -> Iterator[Finding]:
    """Addresses in a folded text; they do not overlap, but for those that a field's name gives.

    `persons` are the names found in the same text, `headings` those of its tables.
    """
    done = 0
    for anchor in _ANCHOR.finditer(lower):
        if anchor.start() < done:
            continue
        place = _RULES[anchor.lastgroup or ""](lower, anchor, done)
        if place is None or not place.is_complete:
            continue
        place = _extended(text, lower, place, done)
        done = place.end
        # A flat is a person's all the same.
        if place.has_flat or not is_of_a_firm(lower, place.start, persons, has_office=place.has_office):
            yield Finding(place.start, place.end, Entity.ADDRESS, LABELLED if place.has_flat else UNMISTAKABLE)
    for match in _IN_LATIN.finditer(lower):
        yield Finding(*match.span(), Entity.ADDRESS, UNMISTAKABLE)
    yield from _fields(lower, persons)
    for start, end, heading in headings.cells():
        if _names_address(heading) and _LETTER.search(lower, start, end) and end - start <= _LONGEST:
            yield Finding(start, end, Entity.ADDRESS, LABELLED)


def may_be(lower: str, found: Finding, persons: Sequence[Finding]) -> bool:
    """Whether what somebody else takes for an address can be a person's: it is long enough, and no firm is its owner."""
    spelled = lower[found.start : found.end]
    if len(spelled) < _SHORTEST:
        return False
    return bool(_FLAT_WORD.search(spelled)) or not is_of_a_firm(lower, found.start, persons, has_office=False)


_SHORTEST = 8  # characters of an address
_FLAT_WORD = re.compile(r"(?<![а-яё])(?:кв|квартира|ком|комн|flat|apt)(?![а-яё])")


class _Place(msgspec.Struct, frozen=True):
    """A part of a text that is read as an address so far, and what is in it."""

    start: int
    end: int
    has_street: bool = False  # or a settlement in its place
    has_house: bool = False
    has_flat: bool = False
    has_office: bool = False

    @property
    def is_complete(self) -> bool:
        return self.has_house and (self.has_street or self.has_flat)


_LONGEST = 240  # characters of one address
_PARTS = 12

# --- words ---------------------------------------------------------------------------------------------------------------

_TYPE = (
    r"пр|ул(?:иц[аеуы]|ице|ицей)?|пр-?к?т|просп(?:ект[ае]?)?|пер(?:еул(?:ок|ка|ке|ку))?|ш(?:оссе)?|б-р"
    r"|бульв(?:ар[ае]?)?|бул"
    r"|наб(?:ережн(?:ая|ой|ую))?|пл(?:ощад[ьи])?|пр-?з?д|проезд[ае]?|туп(?:ик[ае]?)?|алле[яеию]|лини[яеию]"
    r"|тракт[ае]?|съезд|спуск"
)
_SETTLEMENT = (
    r"с(?:ел[оае])?|дер(?:евн[яеию])?|д|пос(?:[её]л(?:ок|ка|ке|ку))?|п|пгт|рп|р\.п|ст-ца|станиц[аеы]"
    r"|хутор[е]?|х|аул[е]?|слобод[аые]"
    r"|мкрн?|мкр-н|микрорайон[ае]?|мик-н|кв-л|квартал[е]?|жк|снт|сдт|днт|днп|онт|тсн|кп|с/т|гск|к/п"
    r"|садов(?:ое|ом) товариществ[оe]"
)
_CITY_TYPE = r"г|гор|город[ае]?|гор-д"
_FLAT_TYPE = r"кварт(?:ир[аеуы])?|кв-ра|кв|комн(?:ат[аеуы])?|ком|апарт(?:аменты)?|апт"
_OFFICE_TYPE = r"оф(?:ис[ае]?)?|пом(?:ещени[ея])?|каб(?:инет)?|секция|бокс|магазин|ангар|склад"
_HOUSE_TYPE = r"д(?:ом[ае]?|\.)?|двлд|вл(?:адени[ея])?|домовладени[ея]|зд(?:ание)?|уч(?:аст(?:ок|ка|ке)|-к)?|з/у"
_BUILDING_TYPE = r"корп(?:ус[ае]?)?|крп|к|стр(?:оени[ея])?|лит(?:ер[аыу]?)?|соор(?:ужение)?|блок"
_WITHIN_TYPE = r"под(?:ъезд[ае]?|-д)?|пд|п|эт(?:аж[ае]?)?|домоф(?:он[ае]?)?|код|парадн(?:ая|ой)|вход|секц"

_NO = r"(?<![0-9а-яёa-z])"
_END = r"(?![а-яё])"
_GAP = r"[ ,.;:\n\t/-]{0,3}"  # what may stand between a word and its number
_HOUSE = (
    r"[0-9]{1,4}(?: ?[/-] ?[0-9]{1,4})?(?: ?[а-дг](?![а-яё.])|[е-яклс](?=[ ,.;]|$)| [кл](?=[,;]"
    r"|$))?(?:/[0-9]{1,4})?(?:[ ]?[кс] ?[0-9]{1,2}(?![0-9]))?(?![0-9]|[.,][0-9])"
)
_ONE_SAID = (
    r"(?:один|одна|два|две|три|четыре|пять|шесть|семь|восемь|девять|десять|[а-я]{3,7}надцать|двадцать"
    r"|тридцать|сорок|[а-я]{4,7}десят|девяносто|сто|двести|триста)"
)
_SAID = rf"{_ONE_SAID}(?: {_ONE_SAID}){{0,2}}(?![а-яё])"
_MARKER = (
    rf"(?:{_HOUSE_TYPE}|{_BUILDING_TYPE}|{_FLAT_TYPE}|{_OFFICE_TYPE}|{_WITHIN_TYPE}|тел|телефон|моб|инн"
    r"|снилс|паспорт|почт\w*|e-?mail|г|гор"
    r"|город|индекс|и|или|на|в|по|у|от|до|для|это|мой|моя|меня|зовут|рядом|напротив|около)(?![а-яё-])"
)
# A word of a street's name, but not what begins the next part of the address.
_WORD = rf"(?!{_MARKER})(?:[а-яё]\. ?)?[а-яё][а-яё-]{{1,30}}\.?"
_ORDINAL = r"(?:[0-9]{1,3}(?:-?(?:я|й|ая|ый|ой|го|ый|е))? ?(?=[а-яё]{3}))"
_NAME = rf"[\"«]?(?:им(?:ени|\.)? ?)?{_ORDINAL}?{_WORD}(?: (?:{_ORDINAL})?{_WORD}){{0,2}}[\"»]?"

_STREET_AFTER = re.compile(rf"\.?[ ]{{0,2}}(?P<name>{_NAME})")
_SETTLEMENT_AFTER = re.compile(
    rf"\.?[ ]{{0,2}}(?P<name>[\"«]?{_WORD}(?: {_WORD}){{0,1}}(?:[ -][0-9]{{1,2}}(?=[ ,]))?[\"»]?)"
)
_NUMBER_NEXT = re.compile(
    rf"\.?[ ,]{{0,3}}(?:(?:{_HOUSE_TYPE})\.? ?)?[0-9]{{1,4}}(?![0-9])(?! ?(?:-?(?:я|й|го|ая|ый)[ ]"
    rf"|[а-яё]{{3,}} ?[а-яё]* ?[0-9]))"
)
_NAME_BEFORE = re.compile(rf"(?:^|(?<=[\s,;:(\"'>|]))(?P<name>{_ORDINAL}?{_WORD}(?: {_WORD}){{0,1}})[ ]{{1,2}}$")

_HOUSE_PART = re.compile(
    rf"[ ,.;\n]{{0,4}}(?:(?<= )в )?(?:{_NO}(?:{_HOUSE_TYPE})(?:(?: номер)?[ .№:]{{0,3}}{_HOUSE}| {_SAID}"
    rf"|[ .№]{{1,3}}[а-я](?![а-яё])))"
)
_BARE_HOUSE = re.compile(rf"[ ,.;]{{1,3}}(?P<house>{_HOUSE})")
_BUILDING_PART = re.compile(
    rf"[ ,.;\n]{{0,4}}(?:{_BUILDING_TYPE})(?:[ .№]{{0,3}})(?:[0-9]{{1,3}}[а-я]?(?![а-яё0-9])|[а-яa-z](?![а-яёa-z]))"
)
_FLAT_PART = re.compile(
    rf"[ ,.;\n(-]{{0,4}}(?:(?<= )в )?{_NO}(?:{_FLAT_TYPE})(?: {_SAID}"
    rf"|(?:[ .:№]{{0,3}})[0-9]{{1,5}}(?: ?[а-я](?![а-яё.]))?(?![0-9]))"
)
_OFFICE_PART = re.compile(
    rf"[ ,.;\n(-]{{0,4}}{_NO}(?:{_OFFICE_TYPE})(?:[ .:№]{{0,3}})[0-9]{{1,5}}(?: ?[а-я](?![а-яё.]))?(?![0-9])"
)
_WITHIN_PART = re.compile(
    rf"[ ,.;\n(-]{{0,4}}(?:{_NO}(?:{_WITHIN_TYPE})(?:[ .:№]{{0,3}})[0-9]{{1,4}}(?: ?[квkv] ?[0-9]{{0,5}})?(?![0-9а-яё])"
    rf"|[0-9]{{1,2}}(?:-?й)? ?(?:этаж|подъезд|под\.|эт\.)(?![а-яё]))"
)
_BARE_FLAT = re.compile(r"[ ]{0,1}(?:,[ ]?|-[ ]?)[0-9]{1,4}(?=[ ]{0,2}(?:$|[\n.;)\"'|,!?]))(?![.,][0-9])")
_TRAILING = re.compile(
    rf"[ ,;\n]{{1,3}}(?:[1-6][0-9]{{5}}(?![0-9])|{_NO}(?:{_CITY_TYPE}|{_SETTLEMENT})(?:\. ?"
    rf"| )[а-яё-]{{3,24}}|росси[яи]{_END}|рф{_END}"
    rf"|[а-яё-]{{4,24}} (?:обл(?:асть)?|край|р-н|район)\.?{_END}|респ(?:ублика|\.) [а-яё-]{{3,24}})"
)

_INDEX = r"[1-6][0-9]{5}"
_ADJECTIVE = r"[а-яё-]{3,24}(?:ск|цк|н|в)(?:ая|ий|ой|ом|ого|ый|ое)"
# What can stand to the left of a part, nearest first. Each is searched for in a short piece of the text that ends there.
_LEFT = (
    re.compile(rf"(?<![0-9]){_INDEX}[ ,;.\n]{{1,3}}(?:по )?$"),
    re.compile(r"(?<![а-яё])(?:в\. ?о|п\. ?с|во)\.?[ ,;]{1,3}(?:по )?$"),
    re.compile(r"(?<![а-яё])(?:росси[яи]|рф|российск[а-я]{2} федераци[яи])[ ,;.\n]{1,3}(?:по )?$"),
    re.compile(
        rf"(?<![а-яё])(?:(?:{_ADJECTIVE}|[а-яё]{{3,20}}) (?:обл(?:аст[ьи])?|кра[йяе]|а\.?о\.?"
        rf"|автономн[а-я]{{2}} округ)|(?:республик[аие]|респ\.?) [а-яё-]{{3,24}}(?: \([а-яё]+\))?"
        r"|(?:хмао|янао|ленобласт[ьи]|подмосковье|мо)(?: ?- ?югра)?)\.?[ ,;\n]{1,3}(?:по )?$"
    ),
    re.compile(
        rf"(?<![а-яё])(?:{_ADJECTIVE} (?:р-о?н[еа]?|район[еа]?|м\.?р-?н|улус|округ|с/?п|с/с|сельсовет|волость)"
        r"|(?:р-н|район|г\.? ?о\.?|м\.? ?о\.?|гор(?:одской)?\.? окр(?:уг)?\.?|мун(?:иципальный)?\.? (?:р-н"
        r"|район|окр(?:уг)?)\.?) [а-яё-]{3,24}(?: (?:городской )?округ)?)\.?[ ,;\n]{1,3}(?:по )?$"
    ),
    re.compile(
        rf"(?<![а-яё-])(?:{_CITY_TYPE})(?:\. ?"
        rf"| )[а-яё][а-яё-]{{2,24}}(?: [а-яё-]{{4,16}})?(?: \([^()\n]{{3,30}}\))?[ ,;.\n]{{1,3}}(?:по )?$"
    ),
    re.compile(
        rf"(?<![а-яё-])(?:{_SETTLEMENT})(?:\. ?| "
        rf"|(?=[\"«]))[\"«]?[а-яё][а-яё-]{{2,24}}(?: [а-яё-]{{4,16}})?[\"»]?[ ,;.\n]{{1,3}}(?:по )?$"
    ),
    re.compile(
        r"(?<![а-яё])(?:[а-яё-]{3,20}) (?:мкрн?|микрорайон|пос[её]лок|деревня|село|жк|снт)\.?[ ,;\n]{1,3}(?:по )?$"
    ),
)
_TOWN_LEFT = re.compile(
    r"(?<![а-яё-])(?P<town>[а-яё][а-яё-]{2,24}(?: [а-яё]{4,12})?)(?P<comma>[ ]?,)?[ \n]{1,2}(?:по |на )?$"
    r"|(?<![а-яё-])(?P<other>[а-яё]{3,24}),$"
)
_TOWN_FORM = re.compile(r"(?:[а-яё]{3,}(?:ск|цк|град|бург|поль|горск|вичи|ино|ово|ево)(?:е|у|а)?)$")
_CITY_STEMS = frozenset(
    line
    for line in files("policies.recognizers").joinpath("towns.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
_TOWN_ENDINGS = ("", "а", "у", "е", "ом", "и", "ь", "ы", "я", "ю", "ий", "ем", "о", "ый", "ой", "ом", "ое")

# Names that streets all over the country have, in the genitive they stand in and as adjectives: known without «ул.».
_STREETS = (
    r"ленина|мира|гагарина|кирова|пушкина|советск(?:ая|ой|ую)|молод[её]жн(?:ая|ой|ую)|центральн(?:ая|ой"
    r"|ую)|школьн(?:ая|ой|ую)|лесн(?:ая|ой|ую)"
    r"|садов(?:ая|ой|ую)|набережн(?:ая|ой|ую)|заречн(?:ая|ой|ую)|зел[её]н(?:ая|ой|ую)|горьк(?:ого)"
    r"|лермонтова|чехова|толстого|некрасова|тургенева|маяковского|есенина"
    r"|карла маркса|розы люксембург|клары цеткин|дзержинского|калинина|куйбышева|фрунзе|чапаева|свердлова"
    r"|орджоникидзе|комсомольск(?:ая|ой|ую)|октябрьск(?:ая|ой|ую)"
    r"|первомайск(?:ая|ой|ую)|пролетарск(?:ая|ой|ую)|красноармейск(?:ая|ой|ую)|интернациональн(?:ая|ой|ую)"
    r"|коммунистическ(?:ая|ой|ую)|революции|победы|космонавтов|строителей|энергетиков"
    r"|железнодорожн(?:ая|ой|ую)|вокзальн(?:ая|ой|ую)|заводск(?:ая|ой|ую)|промышленн(?:ая|ой|ую)"
    r"|рабоч(?:ая|ей|ую)|спортивн(?:ая|ой|ую)|больничн(?:ая|ой|ую)|студенческ(?:ая|ой|ую)"
    r"|королева|королёва|жукова|суворова|кутузова|ломоносова|менделеева|мичурина|циолковского|матросова"
    r"|космодемьянской|8 марта|9 мая|1 мая|[0-9]{2} лет (?:октября|победы|влксм)"
    r"|тверск(?:ая|ой|ую)|московск(?:ая|ой|ую)|ленинградск(?:ая|ой|ую)|киевск(?:ая|ой|ую)|невск(?:ий|ого"
    r"|ом)|ленинск(?:ий|ого|ом)|кутузовск(?:ий|ого|ом)|литейн(?:ый|ого|ом)|арбат\w?"
    r"|нов(?:ая|ой|ую)|полев(?:ая|ой|ую)|лугов(?:ая|ой|ую)|степн(?:ая|ой|ую)|южн(?:ая|ой|ую)|северн(?:ая"
    r"|ой|ую)|восточн(?:ая|ой|ую)|западн(?:ая|ой|ую)|солнечн(?:ая|ой|ую)"
    r"|больш(?:ая|ой|ую) садов(?:ая|ой|ую)|профсоюзн(?:ая|ой|ую)|вавилова|баумана|бауманск(?:ая|ой|ую)"
    r"|тимирязева|белинского|гоголя|островского|крылова|щорса|ватутина|чкалова|панфилова|шевченко"
)
_HOME = (
    r"жив[уёе]\w{0,3}|жил(?:а|и)?|прожива\w{2,5}|прописан\w?|пропис[аки]\w{0,2}|зарегистрирован\w{0,3}"
    r"|регистраци[яиюей]{1,2}|адрес\w{0,3}|(?:до|при|от|за)ста[вн][а-яё]{2,6}"
    r"|привез\w{2,4}|приез\w{2,5}|подъез\w{2,4}|курьер\w{0,2}|забер\w{2,4}|забрать|переех\w{2,5}|сня(?:л"
    r"|ла|ть)|снима\w{2,4}|куп\w{2,4} квартиру|домой|вызов|скорую|такси"
)

_ANCHOR = re.compile(
    r"(?<![а-яёa-z0-9-])(?:"
    rf"(?P<street>(?:{_TYPE})(?=[., ]))(?![а-яё-])"
    rf"|(?P<settlement>(?:{_SETTLEMENT})(?=\.? ?[\"«]?[а-яё]{{3}})(?=[. ]))"
    rf"|(?P<flat>(?:{_FLAT_TYPE})(?=[. :№]{{0,3}}[0-9]))(?![а-яё-])"
    rf"|(?P<known>(?:{_STREETS}),? (?=[0-9д]))"
    rf"|(?P<home>(?:{_HOME})(?=[ :,=]))"
    rf"|(?P<pair>[0-9]{{1,3}}[а-г]?(?:/[0-9]{{1,2}})?(?: ?- ?|, ?)[0-9]{{1,4}}(?![0-9-]|[.,][0-9]"
    r"|[ ]?(?:руб|%|шт|₽|лет|дн|час)))"
    rf"|(?P<town>(?:{_CITY_TYPE})(?:\. ?| )(?=[а-яё-]{{3,24}}[ ,]))"
    r")"
)
_LETTER = re.compile("[a-zа-яё]")


# «ul. Lenina, d. 5, kv. 12», «12 Lenina St, apt 5»: a street, a house and a flat in Latin letters.
_IN_LATIN = re.compile(
    r"(?<![a-z0-9])(?:(?:(?:[1-6][0-9]{5}, ?)?(?:g\.? ?)?[a-z-]{3,20}, ?)?(?:ul(?:itsa|\.)|prosp(?:ekt|\.)"
    r"|pr-t|per(?:eulok|\.)|shosse|b-r|nab\.) ?[a-z][a-z-]{1,24}(?: [a-z-]{3,20})?,? ?(?:d(?:om"
    r"|\.)? ?)?[0-9]{1,4}[a-z]?"
    r"(?:[ ,]{1,2}(?:k(?:orp|\.)|str)\.? ?[0-9]{1,3})?(?:[ ,-]{1,2}(?:kv|apt|flat|of)?\.? ?[0-9]{1,4})?"
    r"|[0-9]{1,4}[a-z]?,? [a-z][a-z-]{2,24}(?: [a-z-]{3,20})? (?:st|str|street|ave|avenue|road|rd|lane|ln"
    r"|blvd|boulevard|prospekt)(?:\.|(?![a-z])),? (?:apt|apartment|flat|unit|suite"
    r"|kv)\.? ?[0-9]{1,4}(?:, ?[a-z-]{3,20}){0,2})(?![a-z0-9])"
)

# --- from an anchor to a street and a house --------------------------------------------------------------------------------


def _from_street(lower: str, anchor: re.Match[str], floor: int) -> _Place | None:
    """«ул. Ленина», or «Ленина ул.» where a number follows the word."""
    start, end = anchor.span()
    before = _NAME_BEFORE.search(lower, max(floor, start - 48), start)
    if before and _NUMBER_NEXT.match(lower, end) and not _is_other_word(before["name"]):
        place = _Place(_name_start(before), _dot(lower, end), has_street=True)
    else:
        name = _STREET_AFTER.match(lower, end)
        if name is None:
            return None
        place = _Place(start, _name_end(lower, name), has_street=True)
    return _housed(lower, place)


def _name_start(name: re.Match[str]) -> int:
    """Where a street's name before its type begins: of two words the first may well be of the sentence, or a town."""
    first, space, _ = name["name"].partition(" ")
    if space and not (_ADJECTIVE_END.search(first) or first in _OF_DOUBLE_NAMES or first[0].isdigit()):
        return name.start("name") + len(first) + 1
    return name.start("name")


_ADJECTIVE_END = re.compile(r"(?:ая|ой|ий|ый|ого|его|[0-9]-?[яй])$")
_OF_DOUBLE_NAMES = frozenset(
    {
        "карла", "розы", "клары", "максима", "богдана", "льва", "юрия", "антона", "ивана", "степана", "павла", "петра",
        "сергея", "александра", "николая", "михаила", "академика", "маршала", "генерала", "адмирала", "капитана", "героев",
        "братьев", "космонавта", "летчика", "лётчика", "художника", "архитектора", "зои", "лизы", "веры", "8", "9", "1",
        "бориса", "василия", "алексея", "дмитрия", "федора", "фёдора", "андрея", "константина",
    }
)  # fmt: skip


def _is_other_word(name: str) -> bool:
    return name.rpartition(" ")[2] in {
        "на",
        "по",
        "с",
        "от",
        "до",
        "это",
        "моя",
        "наша",
        "адрес",
        "адресу",
        "улица",
        "одна",
        "эта",
    }


def _name_end(lower: str, name: re.Match[str]) -> int:
    """Where a street's name ends: of several words only those that belong to it, unless a number follows them all."""
    if _HOUSE_PART.match(lower, name.end()) or _BARE_HOUSE.match(lower, name.end()):
        return name.end()
    words = name["name"].split(" ")
    return name.start("name") + len(words[0])


def _dot(lower: str, end: int) -> int:
    return end + 1 if lower[end : end + 1] == "." else end


def _from_settlement(lower: str, anchor: re.Match[str], _floor: int) -> _Place | None:
    """«дер. Ивановка, 12», «СНТ «Заречье», уч. 5»; a street in it is an anchor of its own, further on."""
    name = _SETTLEMENT_AFTER.match(lower, anchor.end())
    if name is None:
        return None
    kind = anchor.group()
    end = name.end()
    if kind in {"с", "д", "п", "х", "к/п", "кп"} and lower[anchor.end() : anchor.end() + 1] != ".":
        # «с», «д» without their dot are letters of any text: something of an address must stand before, and a house after.
        return None
    return _housed(lower, _Place(anchor.start(), end, has_street=True), marked=kind in {"с", "д", "п", "х"})


def _from_flat(lower: str, anchor: re.Match[str], floor: int) -> _Place | None:
    """«… 5, кв. 12»: a house and perhaps a street without «ул.» stand before it."""
    flat = _FLAT_PART.match(lower, anchor.start())
    house = _HOUSE_LEFT.search(lower, max(floor, anchor.start() - 40), anchor.start())
    if flat is None or house is None:
        return None
    start = house.start("house")
    street = _STREET_LEFT.search(lower, max(floor, start - 48), start)
    has_street = False
    if street and not _is_other_word(street["name"]) and not _NOT_STREET.search(street["name"]):
        start = _name_start(street)
        has_street = True
    elif not (house["marked"] or _HOME_BEFORE.search(lower, max(0, start - 48), start)):
        return None  # «3 кв. 2024»
    return _Place(start, flat.end(), has_street=has_street, has_house=True, has_flat=True)


_HOUSE_LEFT = re.compile(
    rf"(?P<house>(?:{_NO}(?P<marked>{_HOUSE_TYPE})[ .№]{{0,3}}"
    rf"|(?<![0-9а-яё.,]))[0-9]{{1,4}}(?:[/-][0-9]{{1,4}})?(?: ?[а-е])?(?:[ ,]{{0,2}}(?:{_BUILDING_TYPE})\.? ?[0-9а-я]{{1,3}})?"
    rf"(?:[ ,]{{1,2}}(?:{_WITHIN_TYPE})\.? ?[0-9]{{1,3}})?(?:[ ,]{{1,2}}[0-9]{{1,2}} (?:подъезд"
    rf"|этаж))?)[ ,.;\n(]{{1,4}}$"
)
_STREET_LEFT = re.compile(rf"(?:^|(?<=[\s,;:(\"'>|]))(?P<name>{_ORDINAL}?{_WORD}(?: {_WORD}){{0,1}})[ ,.]{{1,2}}$")
_NOT_STREET = re.compile(
    r"(?:^| )(?:дом\w?|квартир\w|этаж\w?|подъезд\w?|за|около|примерно|всего|купил\w?|продал\w?|сдам|сниму"
    r"|номер|году?|квартал|площадь\w?|метраж|ещё|еще|и|или|не|есть|было|кв|адрес\w?|живу"
    r"|[а-яё]+(?:[аеиуюя]т|ть|те|[аеиыя]л[аио]?|но|ли))$"
)
_HOME_BEFORE = re.compile(rf"(?<![а-яё])(?:{_HOME})[ :,-]{{1,3}}(?:[а-яё]{{1,10}} ){{0,3}}$")


def _from_known(lower: str, anchor: re.Match[str], _floor: int) -> _Place | None:
    """«ленина 15-3»: a name that streets everywhere have, a house and a flat."""
    place = _housed(lower, _Place(anchor.start(), anchor.end("known"), has_street=True), bare=True)
    if place is None:
        return None
    spoken_of = _HOME_BEFORE.search(lower, max(0, anchor.start() - 48), anchor.start())
    within = (
        _WITHIN_PART.match(lower, place.end)
        or _OFFICE_PART.match(lower, place.end)
        or _BUILDING_PART.match(lower, place.end)
    )
    return (
        place
        if place.has_flat or spoken_of or within or _FLAT_AFTER_DASH.search(lower, place.start, place.end)
        else None
    )


_FLAT_AFTER_DASH = re.compile(r"[ ,][0-9]{1,3}[а-г]?(?:[к/][0-9]{1,2})? ?- ?[0-9]{1,4}$")


def _from_home(lower: str, anchor: re.Match[str], _floor: int) -> _Place | None:
    """«живу на Сиреневой 15»: a word of dwelling, and a name with a number."""
    match = _AT_HOME.match(lower, anchor.end())
    if (
        match is None
        or _NOT_STREET.search(match["name"])
        or _PERIOD.search(lower, match.start("name"), match.end() + 12)
    ):
        return None
    if _TYPED.search(lower, anchor.end(), match.end()):
        return None  # «ул.» is an anchor of its own
    return _housed(lower, _Place(match.start("name"), match.end("name"), has_street=True), bare=True)


_AT_HOME = re.compile(
    rf"[ ]{{0,1}}(?:[:=,-]| по адресу:?| проживания:?| регистрации:?| доставки:?| такой:?| мой:?| меня:?"
    rf"| сюда:?| на дом:?){{0,3}}[ \n\"']{{1,3}}(?:(?:в|на|по|к|это) ){{0,1}}"
    rf"(?:[а-яё-]{{3,24}},? на "
    rf"|[а-яё-]{{3,24}}, )?(?P<name>{_ORDINAL}?{_WORD}(?: {_WORD})?)[ ,]{{1,2}}(?=(?:д\.? ?"
    rf"|дом )?[0-9]{{1,3}}[а-г]?(?:[ ,/к-]|$|\n|\.))"
)
_TYPED = re.compile(rf"(?<![а-яё])(?:{_TYPE})(?![а-яё-])")
_PERIOD = re.compile(
    r"[0-9] ?(?:-?(?:го|й|му|м)\b|час|мин|числ|год|лет|мес|дн|день|сут|руб|₽|шт|:|январ|феврал|март|апрел"
    r"|ма[яй]|июн|июл|август|сентябр|октябр|ноябр|декабр|процент|%|км|кг|человек|раз|экз|тыс)"
)


def _from_town(lower: str, anchor: re.Match[str], _floor: int) -> _Place | None:
    """«г. Казань, Ленина 15»: a town that is called one, a name and a number."""
    match = _IN_TOWN.match(lower, anchor.end())
    if match is None or _PERIOD.search(lower, match.start("name"), match.end() + 12):
        return None
    return _housed(lower, _Place(anchor.start(), match.end("name"), has_street=True), bare=True)


_IN_TOWN = re.compile(
    rf"[а-яё-]{{3,24}}(?: [а-яё]{{4,12}})?, ?(?P<name>{_ORDINAL}?{_WORD}(?: {_WORD}){{0,2}})[ ,]{{1,2}}(?=(?:д\.? ?"
    rf"|дом )?[0-9]{{1,3}}[а-г]?(?:[ ,/к-]|$|\n|\.))"
)


def _from_pair(lower: str, anchor: re.Match[str], floor: int) -> _Place | None:
    """«Казань, Светлая 33-12»: a known town, a name, a house and a flat."""
    match = _TOWN_AND_STREET.search(lower, max(floor, anchor.start() - 64), anchor.start())
    if match is None or not _is_city(match["town"]) or _NOT_STREET.search(match["name"]):
        return None
    return _Place(match.start("town"), anchor.end(), has_street=True, has_house=True, has_flat=True)


_TOWN_AND_STREET = re.compile(rf"(?<![а-яё-])(?P<town>[а-яё-]{{3,24}}), ?(?P<name>{_WORD}(?: {_WORD})?),? $")

_RULES = {
    "pair": _from_pair,
    "street": _from_street,
    "settlement": _from_settlement,
    "flat": _from_flat,
    "known": _from_known,
    "home": _from_home,
    "town": _from_town,
}


# --- from there to the whole address ---------------------------------------------------------------------------------------


def _housed(lower: str, place: _Place, *, marked: bool = False, bare: bool = False) -> _Place | None:
    """The place with the house that follows it; None when there is none. `marked` wants «д.» or the like before the number."""
    end = place.end - 1 if bare and lower[place.end - 1] == " " else place.end
    house = (
        _HOUSE_PART.match(lower, end)
        or _BUILDING_PART.match(lower, end)
        or (None if marked else _BARE_HOUSE.match(lower, end))
    )
    if house is None or _TELEPHONE.match(lower, house.end() - 1):
        flat = _FLAT_PART.match(lower, place.end)
        return msgspec.structs.replace(place, end=flat.end(), has_house=True, has_flat=True) if flat else None
    if _MEASURED.match(lower, house.end()):
        return None
    return msgspec.structs.replace(place, end=house.end(), has_house=True)


_TELEPHONE = re.compile(r"[78][ (-]{1,2}[0-9]{3}")
_MEASURED = re.compile(
    r" ?(?:час|мин|дн|день|лет|год|руб|₽|%|км|кг|чел|раз|тыс|млн|декабр|январ|феврал|март|апрел|мая|июн"
    r"|июл|август|сентябр|октябр|ноябр|:[0-9])"
)


def _extended(text: str, lower: str, place: _Place, floor: int) -> _Place:
    """The place with all the parts of an address around it."""
    end, has_flat, has_office = place.end, place.has_flat, place.has_office
    for _ in range(_PARTS):
        if flat := _FLAT_PART.match(lower, end):
            end, has_flat = flat.end(), True
        elif office := _OFFICE_PART.match(lower, end):
            end, has_office = office.end(), True
        elif (
            part := _BUILDING_PART.match(lower, end) or _WITHIN_PART.match(lower, end) or _HOUSE_PART.match(lower, end)
        ):
            end = part.end()
        elif not has_flat and not has_office and (flat := _BARE_FLAT.match(lower, end)):
            end, has_flat = flat.end(), True
        elif part := _TRAILING.match(lower, end):
            end = part.end()
        else:
            break
    start = place.start
    for _ in range(_PARTS):
        left = _left_of(text, lower, start, max(floor, place.start - _LONGEST))
        if left is None:
            break
        start = left
    return msgspec.structs.replace(place, start=start, end=end, has_flat=has_flat, has_office=has_office)


def _left_of(text: str, lower: str, start: int, floor: int) -> int | None:
    """Where the part that ends at `start` begins, if what stands there is a part of an address."""
    floor = max(floor, start - 64)
    for pattern in _LEFT:
        if part := pattern.search(lower, floor, start):
            return part.start()
    town = _TOWN_LEFT.search(lower, floor, start)
    if town is None:
        return None
    name = town["town"] or town["other"]
    opening = town.start("town") if town["town"] else town.start("other")
    first, space, second = name.partition(" ")
    if space and not _is_city(first):
        opening, name = opening + len(first) + 1, second
    capital = text[opening].isupper() and bool(town["comma"] or town["other"])
    if _is_city(name.partition(" ")[0]) or (capital and _TOWN_FORM.search(name)):
        return opening
    # Any word with a capital and a comma is a town after a region or a district.
    in_region = capital and any(part.search(lower, max(0, opening - 64), opening) for part in _LEFT)
    return opening if in_region else None


def _is_city(word: str) -> bool:
    return any(word.endswith(ending) and word[: len(word) - len(ending)] in _CITY_STEMS for ending in _TOWN_ENDINGS)


# --- whose it is -----------------------------------------------------------------------------------------------------------


def _fields(lower: str, persons: Sequence[Finding]) -> Iterator[Finding]:
    """Values under a key that names an address or a part of one: `"address": "…"`, `street=…`, `<flat>12</flat>`."""
    for key in _KEY.finditer(lower):
        value = _FIELD.match(lower, key.end())
        if value is None or _FIRMS_KEY.search(key["key"]):
            continue
        group = "quoted" if value["quoted"] else "bare"
        before = lower[lower.rfind("\n", 0, key.start()) + 1 : key.start()].strip(" -\t")
        if group == "bare" and value["sign"] == ":" and before and (key["whole"] or before[-1] not in ";,"):
            continue  # «адрес: …» in a sentence, whose end is not known: other anchors read it
        content = value[group]
        if key["whole"] and not (_LETTER.search(content) and _DIGIT.search(content)):
            continue  # a bare town, or an address of the network
        if _NO_VALUE.match(content) or is_of_a_firm(lower, value.start(group), persons, has_office=False):
            continue
        yield Finding(*value.span(group), Entity.ADDRESS, LABELLED if key["whole"] else LIKELY)


_NO_VALUE = re.compile(
    r"(?:string|str|int|integer|number|bool|null|none|true|false|optional|varchar|text|char|any|type|field"
    r"|0x)(?![a-z])|0x[0-9a-f]|[a-z_.]+\("
)
_DIGIT = re.compile("[0-9]")
_KEY = re.compile(
    r"(?<![a-zа-яё0-9])(?P<key>[a-zа-яё_]{0,24}?(?:(?P<whole>address(?:_?line)?_?1?|addr|adres"
    r"|адрес(?:_(?:регистрации|проживания|доставки|прописки|жительства))?|прописка|место_жительства)"
    r"|(?P<part>street(?:_?name)?|ulitsa|ulica|улица|house(?:_?(?:number|no|num))?|дом|номер_дома"
    r"|flat(?:_?no)?|apartment|apt|квартира|корпус|подъезд)))(?=[\"'\]]{0,2}[ \t]{0,3}(?:[:=]|>))"
)
_FIELD = re.compile(
    r"[\"'\]]{0,2}[ \t]{0,3}(?P<sign>=>|:=|[:=>])[ \t]{0,3}(?:[\"'](?P<quoted>[^\"'\n<>]{1,240})[\"']"
    r"|(?P<bare>[^\"'\n<>{}\[\];&|=]{1,160}?)(?=\s*(?:$|[\n<};&|]|,? [a-zа-яё_]{2,20}[:=])))"
)
_FIRMS_KEY = re.compile(
    r"legal|company|org|office|shop|store|юр|офис|компани|mail|email|ip|mac|url|web|remote|host|server"
    r"|bank|банк|wallet|e_?mail|bind|listen|book"
)
_HEADING = re.compile(
    r"(?<![а-яёa-z])(?:address|addr|adres|адрес|прописка|место жительства|улица|street|дом|house|квартира"
    r"|flat|apartment)(?![а-яёa-z])"
)


def _names_address(heading: str) -> bool:
    return bool(_HEADING.search(heading)) and not _FIRMS_KEY.search(heading)
