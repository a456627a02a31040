"""The detector: off the loop, remembered, bounded in time, and never silent about a failure."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

import pytest

from policies import (
    Detector,
    DetectorError,
    DetectorFailedError,
    DetectorSettings,
    DetectorTimeoutError,
    Entity,
    Text,
    detector,
    scan,
)

LETTER = "Клиент Иванов Иван Иванович, тел. +7 912 345-67-89"


async def test_every_text_gets_its_own_findings_in_order():
    async with Detector.open() as found:
        first, second, third = await found.detect([Text(LETTER), Text("погода хорошая"), Text("112-233-445 95")])
    assert [finding.entity for finding in first] == [Entity.PERSON, Entity.PHONE]
    assert second == ()
    assert [finding.entity for finding in third] == [Entity.SNILS]


async def test_no_texts_have_no_findings():
    async with Detector.open() as found:
        assert await found.detect([]) == ()


async def test_a_label_gives_context_and_is_itself_no_finding():
    async with Detector.open() as found:
        (labelled,), (bare,), (name,) = [
            await found.detect([text])
            for text in (Text("4510123456", "passport"), Text("4510123456"), Text("4510123456", "Иванов Иван Иванович"))
        ]
    assert [(finding.start, finding.end, finding.entity) for finding in labelled] == [(0, 10, Entity.PASSPORT)]
    assert bare == ()
    assert name == ()


async def test_the_same_answer_comes_from_memory_and_from_a_detector_that_remembers_nothing():
    async with Detector.open() as remembering, Detector.open(DetectorSettings(cache_bytes=0)) as forgetful:
        fresh = await remembering.detect([Text(LETTER), Text(LETTER)])
        again = await remembering.detect([Text(LETTER)])
        forgotten = await forgetful.detect([Text(LETTER)])
    assert fresh == again * 2 == forgotten * 2


async def test_what_is_remembered_does_not_grow_beyond_its_bytes():
    async with Detector.open(DetectorSettings(cache_bytes=5_000)) as found:
        await found.detect([Text(f"{LETTER} {number}") for number in range(50)])
        assert found._memory._size <= 5_000
        assert 0 < len(found._memory._entries) < 50
        assert await found.detect([Text(f"{LETTER} 0")]) == (scan(f"{LETTER} 0"),)


async def test_the_text_most_recently_asked_for_is_forgotten_last():
    async with Detector.open(DetectorSettings(cache_bytes=1_000)) as found:
        for content in ("а", "б", "а", "в"):
            await found.detect([Text(content)])
        kept = [found._memory.get(found._memory.key(Text(content))) is not None for content in "абв"]
    assert kept == [True, False, True]


async def test_two_detectors_never_key_a_text_alike():
    assert Detector(DetectorSettings())._memory.key(Text(LETTER)) != Detector(DetectorSettings())._memory.key(
        Text(LETTER)
    )


def test_a_label_and_a_text_are_not_mistaken_for_another_pair():
    key = Detector(DetectorSettings())._memory.key
    assert len({key(Text("ab", "c")), key(Text("b", "ca")), key(Text("abc")), key(Text("", "abc"))}) == 4


async def test_half_a_surrogate_pair_is_read_like_any_other_character():
    async with Detector.open() as found:
        ((finding,),) = await found.detect([Text("\ud800 112-233-445 95", "\udfff")])
    assert finding.entity is Entity.SNILS


async def test_a_detector_that_is_not_open_fails():
    closed = Detector(DetectorSettings())
    async with Detector.open() as was_open:
        pass
    for found in (closed, was_open):
        with pytest.raises(DetectorFailedError, match="not open"):
            await found.detect([Text(LETTER)])


def test_a_recogniser_that_fails_is_an_error_without_the_text_and_not_an_empty_answer(monkeypatch):
    def broken(text, checkpoint):
        raise RuntimeError(text)

    monkeypatch.setattr(detector, "recognize", broken)
    with pytest.raises(DetectorFailedError) as caught:
        scan(LETTER)
    assert "RuntimeError" in str(caught.value)
    assert "Иванов" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_finding_outside_the_text_is_a_failure(monkeypatch):
    monkeypatch.setattr(
        detector, "recognize", lambda text, checkpoint: [detector.Finding(0, len(text) + 1, Entity.PERSON, 0.9)]
    )
    with pytest.raises(DetectorFailedError):
        scan(LETTER)


def pids(found: Detector) -> list[int]:
    return [process._process.pid for process in found._workers._all]


LONG = "Иванов Иван Иванович, тел. +7 912 345-67-89, пришёл. " * 20_000  # a million characters: seconds of work


async def test_an_answer_that_does_not_come_in_time_is_an_error_and_another_process_takes_over():
    async with Detector.open(DetectorSettings(timeout_ms=2_000)) as found:
        (stopped,) = pids(found)
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(DetectorTimeoutError, match="2000 ms"):
            await found.detect([Text(LETTER)])
        while True:  # until the process that does not move is replaced
            with contextlib.suppress(DetectorTimeoutError):
                assert await found.detect([Text(LETTER)]) == (scan(LETTER),)
                break
        assert stopped not in pids(found)
    assert issubclass(DetectorTimeoutError, DetectorError)


async def test_a_process_that_dies_takes_its_texts_with_it_and_is_replaced():
    async with Detector.open(DetectorSettings(timeout_ms=60_000)) as found:
        (killed,) = pids(found)
        call = asyncio.create_task(found.detect([Text(LONG)]))
        await asyncio.sleep(0.2)
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(DetectorFailedError) as caught:
            await call
        assert "Иванов" not in str(caught.value)
        assert await found.detect([Text(LETTER)]) == (scan(LETTER),)
        assert killed not in pids(found)


async def test_a_caller_who_goes_away_stops_the_work_and_the_process_lives():
    async with Detector.open(DetectorSettings(timeout_ms=60_000)) as found:
        before = pids(found)
        call = asyncio.create_task(found.detect([Text(LONG)]))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await found.detect([Text(LETTER)]) == (scan(LETTER),)
        assert pids(found) == before


async def test_closing_does_not_wait_for_work_that_nobody_wants():
    async with Detector.open(DetectorSettings(timeout_ms=60_000)) as found:
        (pid,) = pids(found)
        call = asyncio.create_task(found.detect([Text(LONG)]))
        await asyncio.sleep(0.2)
    with pytest.raises(DetectorFailedError):
        await call
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_thread_of_the_service_finds_the_same_and_stops_when_nobody_wants_the_answer():
    async with Detector.open(DetectorSettings(workers=0, timeout_ms=60_000)) as found:
        assert await found.detect([Text(LETTER)]) == (scan(LETTER),)
        call = asyncio.create_task(found.detect([Text(LONG)]))
        await asyncio.sleep(0.2)
    with pytest.raises(DetectorFailedError):
        await call


async def test_a_thread_that_does_not_answer_in_time_is_an_error():
    async with Detector.open(DetectorSettings(workers=0, timeout_ms=50)) as found:
        with pytest.raises(DetectorTimeoutError, match="50 ms"):
            await found.detect([Text(LONG)])


async def test_two_processes_look_at_two_calls_at_once_and_a_short_text_does_not_wait_for_a_long_one():
    async with Detector.open(DetectorSettings(workers=2, timeout_ms=60_000)) as found:
        long = asyncio.create_task(found.detect([Text(LONG)]))
        await asyncio.sleep(0.2)
        assert await found.detect([Text(LETTER)]) == (scan(LETTER),)
        assert not long.done()
        long.cancel()


async def test_many_callers_at_once_each_get_their_own_answer():
    async with Detector.open(DetectorSettings(workers=2)) as found:
        texts = [Text(f"{'слово ' * number}{LETTER}") for number in range(40)]
        answers = await asyncio.gather(*(found.detect([text]) for text in texts))
    assert [answer[0] for answer in answers] == [scan(text.content) for text in texts]


def test_a_text_does_not_show_itself():
    assert "Иванов" not in repr(Text(LETTER, "Иванов"))


def test_importing_the_package_does_not_import_presidio():
    code = "import sys, policies; sys.exit(any(name.split('.')[0] in {'presidio_analyzer', 'spacy'} for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_presidio_runs_without_any_of_its_own_recognisers():
    engine = detector._analyzer()
    assert [type(recognizer).__module__ for recognizer in engine.registry.recognizers] == ["policies.detector"]
    assert set(engine.get_supported_entities(language="ru")) == set(Entity)
