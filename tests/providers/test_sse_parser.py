from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import MalformedReplyError
from providers.sse import MAX_EVENT, EventParser


def parse(stream, *cuts):
    parser = EventParser()
    edges = [0, *sorted(cuts), len(stream)]
    return [event for start, end in pairwise(edges) for event in parser.feed(stream[start:end])]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        # The examples of WHATWG HTML, section 9.2.6, by their data.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
            [b"first event", b"second event"],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [b"", b"\n"]),
        (b"data:test\n\ndata: test\n\n", [b"test", b"test"]),
        # And the ways servers differ.
        (b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\rdata: c\n\n", [b"a", b"b", b"c"]),
        (b"event: error\ndata: {}\nretry: 5\n\n", [b"{}"]),
        (b"\n\n\n: ping\n\n", []),
        (b"database: no\n\n", []),
    ],
)
def test_the_standards_examples(stream, events):
    assert parse(stream) == events
    assert parse(stream, *range(len(stream))) == events


LINES = st.lists(st.sampled_from([b"data: x", b"data:", b"data", b":c", b"id: 7", b"", b"data: \xd0\xb6", b"data"]))
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(LINES, st.lists(ENDS, min_size=1), st.data())
def test_no_split_of_the_bytes_changes_the_events(lines, ends, data):
    stream = b"".join(line + ends[place % len(ends)] for place, line in enumerate(lines))
    cuts = data.draw(st.lists(st.integers(0, len(stream))))
    assert parse(stream, *cuts) == parse(stream)


@given(LINES, ENDS)
def test_the_kind_of_line_end_changes_nothing(lines, end):
    assert parse(b"".join(line + end for line in lines)) == parse(b"".join(line + b"\n" for line in lines))


def test_a_long_event_is_read_up_to_the_limit_and_refused_past_it():
    fits = b"data: " + b"x" * (MAX_EVENT - 6)
    assert parse(fits + b"\n\n", 7, 70_000) == [b"x" * (MAX_EVENT - 6)]
    with pytest.raises(MalformedReplyError):
        parse(fits + b"x\n\n")


@pytest.mark.parametrize("piece", [b"x" * 100, b"data: xx\n", b"data\n", b"data:\r\n"])
def test_an_event_that_never_ends_is_refused(piece):
    parser = EventParser(max_event=1000)

    def feed_for_ever():
        for _ in range(2000):
            parser.feed(piece)

    with pytest.raises(MalformedReplyError):
        feed_for_ever()


def test_comments_and_empty_lines_may_go_on_for_ever():
    parser = EventParser(max_event=1000)
    assert [event for _ in range(2000) for event in parser.feed(b": ping\n\n")] == []
    assert parser.feed(b"data: x\n\n") == [b"x"]
