"""The matching spelling: what it takes off, and that every place in it leads back to the original."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import Entity, scan
from policies.folding import fold


@pytest.mark.parametrize(
    ("original", "folded"),
    [
        ("112\u00a0233\u2011445\u202f95", "112 233-445 95"),
        ("+7\u200b912\u2060345", "+7912345"),
        ("Ива\u0301нов", "Иванов"),
        ("Андреи\u0306", "Андрей"),
        ("\uff11\uff12\u0663", "123"),
        ("Ивaнoв", "Иванов"),  # Latin a and o
        ("Smitн", "Smitн"),  # no alphabet fits: left as it is
        ("8912З4567О9", "89123456709"),
        ("рост 2 м", "рост 2 м"),
        ("восемь девятьсот шестнадцать сто двадцать три сорок пять шестьдесят семь", "8 916 123 45 67"),
        ("Восемь 916 ноль ноль пять 67", "8 916 0 0 5 67"),
        ("сто двадцать три", "123"),
        ("двадцать пять рублей", "двадцать пять рублей"),  # two numerals are a part of any sentence
        ("ivan%40example.ru", "ivan@example.ru"),
        ("%D0%98%D0%B2%D0%B0%D0%BD", "Иван"),
        ("%FF и 100%", "%FF и 100%"),
        (r"\u0418\u0432\u0430\u043d", "Иван"),
        (r"{\"phone\": 1}\nа", '{"phone": 1}\nа'),
        (r"C:\new\temp", r"C:\new\temp"),  # a path and no line breaks
        ("a&#64;b &quot;c&quot; &nbsp;&unknown;", 'a@b "c"  &unknown;'),
    ],
)
def test_disguises_are_taken_off(original, folded):
    assert fold(original).text == folded


def test_a_letter_that_grows_when_it_is_made_small_keeps_its_place():
    folded = fold("İ 89123456789")
    assert len(folded.lower) == len(folded.text)


def test_what_is_decoded_leads_back_to_all_that_was_written():
    original = "тел. восемь девятьсот шестнадцать, ivan%40example.ru"
    folded = fold(original)
    assert folded.text == "тел. 8 916, ivan@example.ru"
    sign = folded.text.index("@")
    assert folded.original(sign, sign + 1) == (original.index("%"), original.index("%") + 3)
    spoken = fold("+ семь девятьсот шестнадцать пять")
    place = spoken.text.index("916")
    start, end = spoken.original(place, place + 3)
    assert "+ семь девятьсот шестнадцать пять"[start:end] == "девятьсот шестнадцать"


PIECES = [
    "%D0%98",
    "%",
    "\\u0418",
    "\\n",
    "&amp;",
    "сто ",
    "двадцать ",
    "пять ",
    "\u0301",
    "\u200f",
    "И\u0306",
    "א",
    "İ",
    "8",
    "x",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=30).map("".join))
def test_places_never_run_backwards(original):
    folded = fold(original)
    assert list(folded.starts) == sorted(folded.starts)
    assert list(folded.ends) == sorted(folded.ends)
    assert all(start < end <= len(original) for start, end in zip(folded.starts, folded.ends, strict=True))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_every_span_of_the_folded_text_leads_back_into_the_original(original):
    folded = fold(original)
    assert len(folded.text) == len(folded.lower)
    assert len(folded.starts) == len(folded.ends) == len(folded.text)
    for place in range(len(folded.text)):
        start, end = folded.original(place, place + 1)
        assert 0 <= start < end <= len(original)


@settings(deadline=None)  # the first call loads the engine
@given(st.lists(st.sampled_from("\u200b\u00ad\ufeff\u2060"), min_size=11, max_size=11))
def test_invisible_characters_inside_a_number_do_not_hide_it(invisible):
    number = "".join(digit + mark for digit, mark in zip("89123456789", invisible, strict=True))
    text = f"тел. {number.rstrip(invisible[-1])} до шести"
    (finding,) = scan(text)
    assert finding.entity is Entity.PHONE
    assert text[finding.start : finding.end].endswith("9")
    assert finding.start == 5
