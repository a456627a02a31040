"""A value is hidden wherever it stands, not only where the words beside it gave it away."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from policies import Entity, Finding, Text, Vault, redact, scan, with_repeats

FIRST = "Паспорт 4510 123456 выдан в Москве."


def everywhere(*contents: str) -> list[list[str]]:
    texts = [Text(content) for content in contents]
    found = with_repeats(texts, [scan(content) for content in contents])
    return [
        [text.content[each.start : each.end] for each in findings] for text, findings in zip(texts, found, strict=True)
    ]


def test_a_number_that_only_one_text_names_is_found_in_the_others() -> None:
    assert everywhere(FIRST, "проверь ещё раз 4510 123456, спасибо") == [["4510 123456"], ["4510 123456"]]


def test_a_part_of_a_longer_word_or_number_is_not_the_value() -> None:
    assert everywhere(FIRST, "заказ 14510 1234567") == [["4510 123456"], []]


def test_what_is_only_evidence_is_not_looked_for_elsewhere() -> None:
    texts = [Text("У меня диабет."), Text("Что такое диабет?")]

    assert with_repeats(texts, [scan(text.content) for text in texts])[1] == ()


def test_a_few_digits_are_left_alone_and_many_are_not() -> None:
    texts = [Text("таб. 10482, полис 1234567"), Text("цена 10482, заказ 1234567")]
    found = [(Finding(5, 10, Entity.EMPLOYEE_ID, 0.9), Finding(18, 25, Entity.OMS, 0.9)), ()]

    assert with_repeats(texts, found)[1] == (Finding(18, 25, Entity.OMS, 0.9),)


def test_short_values_are_left_alone() -> None:
    texts = [Text("Ян"), Text("Ян и Инь")]

    assert with_repeats(texts, [(Finding(0, 2, Entity.PERSON, 0.9),), ()]) == ((Finding(0, 2, Entity.PERSON, 0.9),), ())


@given(st.lists(st.text("аб 1", max_size=30), min_size=1, max_size=4), st.data())
def test_afterwards_no_found_value_stands_alone_in_any_text_and_nothing_overlaps(contents, data) -> None:
    whole = "абвгд"
    contents = [f"{content} {whole}" for content in contents]
    start = contents[0].rindex(whole)
    texts = [Text(content) for content in contents]
    found = [(Finding(start, start + 5, Entity.PERSON, 0.9),), *((),) * (len(texts) - 1)]

    spread = with_repeats(texts, found)

    vault = Vault()
    for text, findings in zip(texts, spread, strict=True):
        assert all(left.end <= right.start for left, right in itertools.pairwise(findings))
        assert whole not in redact(text.content, findings, {Entity.PERSON}, vault)
    assert len(vault) == 1
