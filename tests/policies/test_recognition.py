"""All recognisers together: the laws of offsets and overlaps, long texts, and texts made to be slow."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import Entity, Finding, scan
from policies.recognizers.recognition import recognize, resolve

PIECES = [
    "Иванов Иван Иванович",
    " 112-233-445 95",
    "+7 912 345-67-89",
    "ivan@example.ru",
    ", паспорт 4510 123456",
    " 05.05.1987 г.р.",
    "4111 1111 1111 1111",
    "пароль Zx7!synthetic",
    "у меня диабет",
    "\n",
    " ",
    "—",
    "\u200b",
    "İ",
    "ключ sk-abcdefghijklmnop1234567890",
    "8",
    "И.",
    ";",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=25).map("".join))
def test_findings_lie_within_the_text_in_order_and_never_overlap(text):
    end = 0
    for finding in recognize(text):
        assert end <= finding.start < finding.end <= len(text)
        assert 0 < finding.score <= 1
        end = finding.end


@pytest.mark.parametrize("before", range(1_900, 2_100, 7))
def test_what_lies_across_the_edge_of_a_window_is_found_whole(before):
    text = "а" * (before - 1) + " Иванов Иван Иванович, тел. +7 912 345-67-89, паспорт 4510 123456"
    found = [(finding.entity, text[finding.start : finding.end]) for finding in scan(text)]
    assert found == [
        (Entity.PERSON, "Иванов Иван Иванович"),
        (Entity.PHONE, "+7 912 345-67-89"),
        (Entity.PASSPORT, "4510 123456"),
    ]


def test_a_private_key_longer_than_a_window_is_one_finding():
    key = "-----BEGIN PRIVATE KEY-----\n" + "QUJDREVGR0g0NTY3\n" * 400 + "-----END PRIVATE KEY-----"
    text = f"вот\n{key}\nпочему?"
    (finding,) = scan(text)
    assert (finding.entity, text[finding.start : finding.end]) == (Entity.SECRET, key)


SLOW = ["a", "а", "A", "А", "1", " ", "@", "1 ", "a@", "@a.", "а.", "-", "(", "\n", ";", "И.", "Иван ", "1-", "=", ":", "password=", "://a:", "eyJ", ":AA", "-----BEGIN PRIVATE KEY-----", "у меня диабет ", "5.5.87 Иван ", "eyJ.", "a;1\n",
        "'", "\u0301", "\u200b", "у меня ", "диабет ", "серия ", "1,", "aа", "values (", "(a,"]  # fmt: skip


@pytest.mark.parametrize("unit", SLOW)
def test_a_text_made_of_one_thing_over_and_over_is_read_to_its_end(unit):
    text = (unit * 20_000)[:20_000]
    windows = []
    recognize(text, lambda: windows.append(None))
    assert len(windows) == 10


def test_the_surest_of_overlapping_candidates_stays_and_the_rest_of_the_loser_is_still_covered():
    long, sure = Finding(0, 20, Entity.PERSON, 0.6), Finding(5, 10, Entity.PHONE, 0.9)
    assert resolve([long, sure]) == (Finding(0, 5, Entity.PERSON, 0.6), sure, Finding(10, 20, Entity.PERSON, 0.6))


def test_of_equally_sure_candidates_the_longer_one_stays():
    assert resolve([Finding(0, 5, Entity.INN, 0.9), Finding(0, 9, Entity.PHONE, 0.9)])[0].entity is Entity.PHONE


spans = st.builds(
    lambda start, length, entity, score: Finding(start, start + length, entity, score),
    st.integers(0, 60),
    st.integers(1, 30),
    st.sampled_from([Entity.PERSON, Entity.PHONE, Entity.EMAIL]),
    st.sampled_from([0.5, 0.7, 0.9]),
)


@given(st.lists(spans, max_size=12))
def test_resolving_never_overlaps_and_uncovers_no_more_than_a_few_characters(candidates):
    resolved = resolve(candidates)
    for one, two in itertools.pairwise(resolved):
        assert one.end <= two.start
    covered = {place for finding in resolved for place in range(finding.start, finding.end)}
    for candidate in candidates:
        bare = [place for place in range(candidate.start, candidate.end) if place not in covered]
        runs = sum(1 for one, two in zip([-2, *bare], bare, strict=False) if two != one + 1)
        assert len(bare) <= 3 * runs
