"""Registration plates of vehicles (ГОСТ Р 50577): twelve letters that both alphabets have, digits, and the code of a region."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.entities import Entity
from policies.finding import Finding
from policies.recognizers.identifier import LABELLED, UNMISTAKABLE, Example


def find(text: str, lower: str) -> Iterator[Finding]:
    """Plates in a folded text."""
    for match in _SPOKEN.finditer(lower):
        if _LABEL.search(lower, max(0, match.start() - _BEFORE), match.start()):
            yield Finding(*match.span(), Entity.PLATE, LABELLED)
    for match in _PLATE.finditer(lower):
        region = match["region"] or match["other_region"] or ""
        if region and not _is_region(region):
            continue
        letters = "".join(character for character in match[0] if character.isalpha())
        if not (letters.isascii() or letters.translate(_CYRILLIC) == letters):
            continue
        if _PATTERN.search(lower, max(0, match.start() - _BEFORE - _BEFORE), match.start()):
            continue  # a sample, to explain how plates are written
        labelled = _LABEL.search(lower, max(0, match.start() - _BEFORE), match.start()) or _VEHICLE.match(
            lower, match.end()
        )
        if labelled and _MEASURED.match(lower, match.start()):
            labelled = _NUMBER.search(lower, max(0, match.start() - _BEFORE), match.start())
        if labelled:
            yield Finding(*match.span(), Entity.PLATE, LABELLED)
        elif match["number"] and match["number"] != "000" and region and _is_plain(text[match.start() : match.end()]):
            yield Finding(*match.span(), Entity.PLATE, UNMISTAKABLE)


_BEFORE = 40
_PATTERN = re.compile(r"регуляр|regex|regexp|(?<![а-яё])формат[а-яё]? ?$|по маске|образец")
_LETTERS = "авекмнорстухabekmhopctyx"
_CYRILLIC = str.maketrans("", "", "abekmhopctyx")
_PLATE = re.compile(
    rf"(?<![0-9a-zа-яё_-])(?:[{_LETTERS}][ ]?(?P<number>[0-9]{{3}})[ ]?[{_LETTERS}]{{2}}(?:[ /|_-]{{0,2}}\(?(?P<region>[0-9]{{2,3}})\)?)?"
    rf"|(?:[0-9]{{4}}[ ]?[{_LETTERS}]{{2}}|[{_LETTERS}]{{2}}[ ]?[0-9]{{3,4}})[ /|-]?(?P<other_region>[0-9]{{2,3}})"
    rf")(?: ?ru[s]?(?![a-z]))?(?![0-9a-zа-яё_-])"
)
_MEASURED = re.compile(r"[восук] [0-9]{3} (?:км|см|мм)")  # «машина в 200 км 50 м отсюда»
_NUMBER = re.compile(r"(?:номер[а-яё]{0,3}|знак|№|н\.|г/н|грз)[ :=№\"'-]{1,4}$")
# As it is said: «а ноль пять четыре тт сто девяносто восемь», whether its words were read as digits or not.
_HUNDREDS = "сто|двести|триста|четыреста|пятьсот|шестьсот|семьсот|восемьсот|девятьсот"
_BELOW = (
    "двадцать|тридцать|сорок|пятьдесят|шестьдесят|семьдесят|восемьдесят|девяносто|десять|[а-яё]{3,8}надцать"
    "|ноль|один|два|три|четыре|пять|шесть|семь|восемь|девять"
)
_IN_WORDS = rf"(?:(?:{_HUNDREDS}|{_BELOW})(?: (?:{_BELOW})){{0,2}})"
_SPOKEN = re.compile(
    rf"(?<![0-9a-zа-яё_-])[авекмнорстух] (?:[0-9] [0-9] [0-9]|[0-9] [0-9]{{2}}|{_IN_WORDS}) [авекмнорстух] ?[авекмнорстух]"
    rf"(?: (?:[0-9]{{2,3}}|{_IN_WORDS}))?(?![0-9a-zа-яё_-])"
)
_LABEL = re.compile(
    r"(?<![а-яёa-z])(?:(?:гос|рег|авто)[а-яё]*\.?[ -]?(?:рег[а-яё.]* ?)?(?:номер|знак|№)\w{0,3}|грз|г/н"
    r"|г\.? ?н\.|г\.?р\.?з\.?|номер\w{0,3}"
    r"|знак\w{0,2}|авто\w*|машин\w*|т/с|тс|(?:полу)?прицеп\w*|п/п|мотоцикл\w*|такси|пропуск\w*|борт|фур[аыуе]|тягач\w*|погрузчик\w*|трактор\w*|экскаватор\w*"
    r"|автобус\w*|маршрутк\w*|самосвал\w*|грузовик\w*|бульдозер\w*|снегоход\w*|квадроцикл\w*|скутер\w*|мопед\w*|автокран\w*"
    # A car by its colour: «белая гранта».
    r"|(?:бел|ч[её]рн|сер|красн|син|зел[её]н|ж[её]лт|серебрист|коричнев|бежев|золотист|голуб)[а-яё]{2,3} [а-яёa-z0-9]{3,14}"
    r"|(?:license |car "
    r"|reg )?plate\w*|car|auto|[a-z]*plate|тойот\w*|toyota|лад[ауыей]|lada|ваз|газель|уаз|камаз|ки[ая]|kia|х[её]нд[аэе]\w*|хундай"
    r"|hyundai|рено|renault"
    r"|ниссан\w*|nissan|мазд\w*|форд\w*|шкод\w*|фольксваген\w*|мерседес\w*|бмв|bmw|ауди|audi|хонд\w*|honda|мицубиси|субару"
    r"|опель|шевроле|чери|хавал|haval|джили|geely)"
    r"(?:[ _:=№\"'.,-]{1,4}(?:[a-zа-яё]{1,12}[ _:=№\"'.,-]{1,3}){0,3})$"
)
_VEHICLE = re.compile(r"[ ,(-]{1,3}(?:гос|авто|машин|один хозяин|рег|мой номер)")


def _is_region(code: str) -> bool:
    """Whether a code was given to a region: two digits, or the same with 1 to 9 before them for the large ones."""
    return code in _REGIONS if len(code) == 3 else code != "00"


# fmt: off
_REGIONS = frozenset({
    "102", "113", "116", "118", "121", "122", "123", "124", "125", "126", "130", "134", "136", "138", "142", "147",
    "150", "152", "154", "155", "156", "158", "159", "161", "163", "164", "172", "173", "174", "177", "178", "180",
    "181", "182", "184", "185", "186", "188", "190", "193", "196", "197", "198", "199", "202", "206", "216", "217",
    "224", "238", "250", "252", "254", "277", "288", "299", "323", "351", "550", "702", "716", "725", "750", "754",
    "761", "763", "774", "777", "790", "797", "799", "977",
})
# fmt: on


def _is_plain(written: str) -> bool:
    """Whether a plate can be told from words and a number without help: «А123ВС77», but not «в 200 км 50»."""
    return " " not in written.rstrip("0123456789").rstrip() or written.upper() == written


EXAMPLES = (
    Example("тойота камри, х 084 ав 27, колёса р17", ("х 084 ав 27",)),
    Example("А123ВС77", ("А123ВС77",)),
    Example("госномер А 123 ВС 777", ("А 123 ВС 777",)),
    Example("продам киа рио а123вс 77 один хозяин", ("а123вс 77",)),
    Example("г/н x123yx750", ("x123yx750",)),
    Example("Машина A123BC/197 во дворе", ("A123BC/197",)),
    Example("номер машины а 123 вс", ("а 123 вс",)),
    Example("прицеп АО 1234 77", ("АО 1234 77",)),
    Example("мотоцикл 1234 АО 77", ("1234 АО 77",)),
    Example('{"plate": "А123ВС77"}', ("А123ВС77",)),
    Example("Въезд: М001ММ 99 RUS, пропустить", ("М001ММ 99 RUS",)),
    Example("гос. рег. знак К777КК-178", ("К777КК-178",)),
    Example("такси АО 123 77", ("АО 123 77",)),
    Example("фольксваген поло номер о 662 ту 750", ("о 662 ту 750",)),
    Example("Машина А: у 407 ос 72, ВУ есть", ("у 407 ос 72",)),
    Example("белая гранта м 655 ет 797", ("м 655 ет 797",)),
    Example("погрузчик 5511 УК 38, полуприцеп ВЕ 0913 52", ("5511 УК 38", "ВЕ 0913 52")),
    Example("КамАЗ А 771 УР 152, п/п ВЕ 0913 52", ("А 771 УР 152", "ВЕ 0913 52")),
    Example("борт ТА 118 86", ("ТА 118 86",)),
    Example("серая шкода а ноль пять четыре тт сто девяносто восемь", ("а ноль пять четыре тт сто девяносто восемь",)),
    Example(
        "номер машины е девятьсот двенадцать вн сто тридцать четыре мне надо",
        ("е девятьсот двенадцать вн сто тридцать четыре",),
    ),
    Example("машина в 200 км 50 м отсюда, красная лента с 100 см 50"),
    Example("а ноль пять четыре тт сто девяносто восемь"),
    Example("едем в 200 км 50 минут"),
    Example("с 100 ру 50 штук"),
    Example("Артикул Б123ВС77"),
    Example("А123ВС00"),
    Example("ГОСТ Р 123 МЭК 50"),
    Example("уу123456789"),
    Example("госномер РФ формата А123ВС77 — маска для регулярки"),
)
