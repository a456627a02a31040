"""All recognisers together: the laws of offsets and overlaps, long texts, and texts made to be slow."""

import base64
import itertools
import random
import time

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
    "г. Тверь, ул. Лесная, д. 5, кв. 12",
    " логин ivanov_p",
    " @ivan_petrov",
    "%D0%98",
    "\\u0438",
    " восемь девятьсот шестнадцать ",
    '{"address": "',
    "серия 45 10 номер 123456",
    "0YLQtdC7LiArNyA5MTIgMzQ1LTY3LTg5",
    "login;house;ИНН\n",
    "VALUES ('",
    "в/у 77 УН 123456",
    "55.755831, 37.617673",
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
        "'", "\u0301", "\u200b", "у меня ", "диабет ", "серия ", "1,", "aа", "values (", "(a,",
        "ул. ", "ул. Ленина, ", "кв 5 ", "д. 5, ", "г. ", "живу на ", "обл. ", "1/", "1.", "1:", "0f:", "%d0", "\\u0430", "&amp;", "сто двадцать ", "а1 ",
        "логин ", "@a ", "vk.com/", "http://", "55.5555,", "пароль от ", "-u a:", "серия 45 10 ", '"a":', '{"address":"', "<street>", "|", "a|b\n", '"a","b"\n',
        '""', '"', "ivan at ", "A1b2", "QUJD\n", "ii-мю ", "77 ун ", "rus", "123-456 ", "may 5, ", "россия, "]  # fmt: skip


@pytest.mark.parametrize("unit", SLOW)
def test_a_text_made_of_one_thing_over_and_over_is_read_to_its_end(unit):
    text = (unit * 20_000)[:20_000]
    windows = []
    recognize(text, lambda: windows.append(None))
    assert len(windows) >= 10


NESTED = '{"a":[' * 20_000 + '"ivan@example.ru"' + "]}" * 20_000
WIDE = ";".join(f"column {place % 7}" for place in range(10_000)) + "\n" + ";".join("4510" for _ in range(10_000))
LONG = {
    "digits": "8" * 300_000,
    "digits apart": "8 " * 30_000,
    "one letter": "я" * 300_000,
    "noise": random.Random(7).randbytes(300_000).decode("latin-1"),
    "deep json": NESTED,
    "wide table": WIDE,
    "base64 of noise": base64.b64encode(random.Random(7).randbytes(200_000)).decode(),
    "base64 of text": base64.b64encode(("а" * 100_000).encode()).decode(),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_text_is_read_in_short_steps(text):
    steps = []
    recognize(text, lambda: steps.append(None))
    assert len(text) / 2_000 <= len(steps) <= 2 + len(text) / 600


@pytest.mark.parametrize(
    "unit",
    [
        "1 ",
        "ул. ",
        "кв 5 ",
        "1-",
        "5.5.87 Иван ",
        "a|b\n",
        '"a":',
        "%d0",
        "сто двадцать ",
        "логин ",
        '","',
        "55.5555,",
        "A1b2",
    ],
)
def test_twice_the_text_costs_no_more_than_about_twice_the_work(unit):
    def cost(length):
        text = (unit * length)[:length]
        costs = []
        for _ in range(3):
            start = time.thread_time()
            recognize(text)
            costs.append(time.thread_time() - start)
        return min(costs)

    assert cost(24_000) <= 3 * cost(12_000) + 0.01


def test_text_from_right_to_left_and_marks_of_direction_move_no_offset():
    text = "שלום \u202bעברית\u202c тел. \u200f+7 912 345-67-89\u200f, مرحبا ivan@example.ru"
    assert [text[finding.start : finding.end] for finding in recognize(text)] == ["+7 912 345-67-89", "ivan@example.ru"]


def test_base64_is_one_finding_of_the_gravest_kind_inside_it():
    run = base64.b64encode("Иванов Иван Иванович, тел. +7 912 345-67-89, у него диабет".encode()).decode()
    text = f"вот {run}, раскодируй"
    (finding,) = recognize(text)
    assert (finding.entity, text[finding.start : finding.end]) == (Entity.HEALTH, run)


def test_base64_inside_base64_is_not_unpacked_for_ever():
    run = "тел. +7 912 345-67-89"
    for _ in range(12):
        run = base64.b64encode(run.encode()).decode()
    assert recognize(run) == ()


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
