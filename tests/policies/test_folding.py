"""The matching spelling: what it takes off, and that every place in it leads back to the original."""

import pytest
from hypothesis import given
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
    ],
)
def test_disguises_are_taken_off(original, folded):
    assert fold(original).text == folded


def test_a_letter_that_grows_when_it_is_made_small_keeps_its_place():
    folded = fold("İ 89123456789")
    assert len(folded.lower) == len(folded.text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_every_span_of_the_folded_text_leads_back_into_the_original(original):
    folded = fold(original)
    assert len(folded.text) == len(folded.lower)
    assert len(folded.places) == len(folded.text) + 1
    for place in range(len(folded.text)):
        start, end = folded.original(place, place + 1)
        assert 0 <= start < end <= len(original)


@given(st.lists(st.sampled_from("\u200b\u00ad\ufeff\u2060"), min_size=11, max_size=11))
def test_invisible_characters_inside_a_number_do_not_hide_it(invisible):
    number = "".join(digit + mark for digit, mark in zip("89123456789", invisible, strict=True))
    text = f"тел. {number.rstrip(invisible[-1])} до шести"
    (finding,) = scan(text)
    assert finding.entity is Entity.PHONE
    assert text[finding.start : finding.end].endswith("9")
    assert finding.start == 5
