"""Values across the border of two parts of a message: found in each of the parts, however many there are and however they are cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from appliance.borders import borders, joined
from policies import Entity, Finding
from providers import ChatRequest, Message, Role

PHONE = "+7 916 123-45-67"


def asking(*parts: str) -> ChatRequest:
    return ChatRequest("m", (Message(Role.USER, parts),))


@given(st.lists(st.text("ab ", max_size=300), min_size=2, max_size=12), st.data())
def test_every_stretch_about_a_border_is_in_one_window_and_comes_back_to_its_parts(parts, data):
    whole = "".join(parts)
    at = len("".join(parts[: data.draw(st.integers(1, len(parts) - 1))]))
    low = data.draw(st.integers(max(at - 100, 0), at))
    high = data.draw(st.integers(at, min(at + 100, len(whole))))
    crossing = low < at < high
    found = []
    for border in borders(asking(*parts)):
        starts = [place for place in range(len(whole)) if whole.startswith(border.text.content, place)]
        shown = [place for place in starts if place <= low and high <= place + len(border.text.content)]
        for start in shown[:1]:
            finding = Finding(low - start, high - start, Entity.OTHER, 0.9)
            found.append([field.content[piece.start : piece.end] for field, piece in border.pieces([finding])])
    if crossing:
        assert whole[low:high] in ["".join(pieces) for pieces in found]
    assert sum(len(border.text.content) for border in borders(asking(*parts))) <= len(whole) + len(parts)


def test_what_stands_in_one_part_only_is_no_affair_of_a_border():
    (border,) = borders(asking("телефон ", PHONE))
    assert list(border.pieces([Finding(8, 8 + len(PHONE), Entity.PHONE, 0.9)])) == []


def test_tools_and_single_parts_have_no_borders():
    said = Message(Role.TOOL, ("+7 916 ", "123-45-67"), tool_call_id="x")
    assert borders(ChatRequest("m", (said, Message(Role.USER, (PHONE,)), Message(Role.USER, PHONE)))) == []


def test_many_tiny_parts_are_one_window():
    (border,) = borders(asking(*"1234567890" * 1000))
    assert len(border.text.content) == 10_000


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=5),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=5),
)
def test_joined_covers_both_and_overlaps_nowhere(one, two):
    findings: list[Finding] = []
    for start, length in sorted(one):
        if not findings or findings[-1].end <= start:
            findings.append(Finding(start, start + length, Entity.PHONE, 0.9))
    pieces = [Finding(start, start + length, Entity.PERSON, 0.8) for start, length in two]
    result = joined(tuple(findings), pieces)
    assert set(findings) <= set(result)
    assert all(first.end <= second.start for first, second in pairwise(result))
    covered = {place for finding in result for place in range(finding.start, finding.end)}
    assert covered == {place for finding in [*findings, *pieces] for place in range(finding.start, finding.end)}
