"""The side file: what was acknowledged is there, sealed; what somebody changes in it shows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from audit import AuditLog, AuditReader, KekFile, LogSettings, SideFile, SideFileError, create_kek, rotate_kek

KEY = b"k" * 32
LIMIT = 1 << 20
CONTENTS = [b"one", b"two", b"three", b"four"]


def written(path: Path, contents: list[bytes] = CONTENTS) -> SideFile:
    side = SideFile.open(path, KEY, LIMIT)
    for content in contents:
        side.append([content])
    return side


def opened(path: Path, key: bytes = KEY) -> tuple[list[bytes], int]:
    """What a start finds: contents in order, and how much is damaged."""
    side = SideFile.open(path, key, LIMIT)
    found = side.lines()
    side.close()
    return [line.content for line in found.lines], found.damaged


def test_lines_come_back_in_order_after_a_restart_and_go_on(tmp_path: Path) -> None:
    path = tmp_path / "side"
    side = written(path)
    first = side.lines()
    side.close()

    again = SideFile.open(path, KEY, LIMIT)
    assert again.waiting
    (fifth,) = again.append([b"five"])
    found = again.lines()

    assert [line.content for line in found.lines] == [*CONTENTS, b"five"]
    assert (found.damaged, found.lines[:4], fifth.number) == (0, first.lines, 4)
    assert len({line.digest for line in found.lines}) == 5
    again.clear()
    assert (again.waiting, again.lines().lines) == (False, [])
    again.append([b"anew"])
    again.close()
    assert opened(path) == ([b"anew"], 0)


def test_nothing_stands_in_the_clear_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "folder/side"
    written(path, [b"telling words"]).close()
    assert b"telling" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert opened(path, b"o" * 32) == ([], 1)
    path.chmod(0o640)
    with pytest.raises(SideFileError, match="0600"):
        SideFile.open(path, KEY, LIMIT)


def swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def changed(field: str, value: object) -> Callable[[list[bytes]], list[bytes]]:
    def change(lines: list[bytes]) -> list[bytes]:
        return [*lines[:2], json.dumps({**json.loads(lines[2]), field: value}).encode(), *lines[3:]]

    return change


@pytest.mark.parametrize(
    ("change", "left", "damaged"),
    [
        (lambda lines: [*lines[:2], *lines[3:]], [b"one", b"three", b"four"], 1),
        (lambda lines: [lines[0], *lines[2:]], [b"two", b"three", b"four"], 1),
        (swapped, [b"two", b"one", b"three", b"four"], 3),
        (lambda lines: [*lines, lines[-1]], [*CONTENTS, b"four"], 1),
        (changed("n", 7), [b"one", b"three", b"four"], 2),
        (changed("time", 1), [b"one", b"three", b"four"], 2),
        (changed("previous", "00" * 32), [b"one", b"three", b"four"], 2),
        (changed("sealed", "AAAA"), [b"one", b"three", b"four"], 2),
        (changed("more", 1), [b"one", b"three", b"four"], 2),
        (lambda lines: [lines[0], b"noise", *lines[1:]], CONTENTS, 2),
        (lambda lines: [b'{"side":1,"id":"' + b"00" * 16 + b'"}', *lines[1:]], [], 4),
        (lambda lines: lines[1:], [], 4),
        (lambda lines: [b"noise"], [], 1),
    ],
)
def test_what_somebody_changes_shows_and_the_other_lines_still_open(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], left: list[bytes], damaged: int
) -> None:
    path = tmp_path / "side"
    written(path).close()
    path.write_bytes(b"".join(line + b"\n" for line in change(path.read_bytes().splitlines())))

    assert opened(path) == (left, damaged)

    side = SideFile.open(path, KEY, LIMIT)
    with pytest.raises(SideFileError):
        side.append([b"to a torn chain"])
    kept = side.put_aside()
    side.append([b"anew"])
    side.close()
    assert opened(path) == ([b"anew"], 0)
    assert kept.exists()


def test_a_last_line_that_was_cut_short_was_never_acknowledged_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "side"
    written(path).close()
    whole = path.read_bytes()
    for cut in (1, 30, len(whole.splitlines()[-1])):
        path.write_bytes(whole[:-cut])
        assert opened(path) == (CONTENTS[:3], 0)
        written(path, [b"on"]).close()
        assert opened(path) == ([*CONTENTS[:3], b"on"], 0)


def test_a_file_that_is_cut_replaced_or_removed_under_the_writer_takes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "side"
    side = written(path)
    os.truncate(path, path.stat().st_size - 40)
    assert side.lines().damaged
    with pytest.raises(SideFileError, match="изменили"):
        side.append([b"x"])
    with pytest.raises(SideFileError):
        side.append([b"x"])
    side.close()

    side = written(tmp_path / "other")
    (tmp_path / "other").unlink()
    with pytest.raises(SideFileError):
        side.append([b"x"])
    side.close()


def test_it_holds_so_much_and_the_last_part_is_for_what_closes(tmp_path: Path) -> None:
    side = SideFile.open(tmp_path / "side", KEY, 8192)

    def until_full(*, closing: bool) -> int:
        count = 0
        try:
            while side.append([bytes(300)], closing=closing):
                count += 1
        except SideFileError as error:
            assert "полон" in str(error)  # noqa: PT017  (the loop is what raises)
        return count

    count, closing = until_full(closing=False), until_full(closing=True)
    assert count > 8
    assert closing > 0
    assert len(side.lines().lines) == count + closing
    side.close()


async def test_the_key_lies_in_the_log_under_its_kek_and_survives_another_kek(settings: LogSettings) -> None:
    side_file = settings.path.with_name("side")
    settings = msgspec.structs.replace(settings, side_file=side_file)
    async with AuditLog.open(settings) as log:
        log.side.append([b"waits"])
    create_kek(settings.path.with_name("other-kek"))
    other = KekFile(settings.path.with_name("other-kek"))
    rotate_kek(settings.path, settings.subject_keys, settings.kek_source, other)
    settings = msgspec.structs.replace(
        settings, kek_file=settings.path.with_name("other-kek"), subject_keys_file=settings.subject_keys
    )
    async with AuditLog.open(settings) as log:
        assert [line.content for line in log.side.lines().lines] == [b"waits"]
    with AuditReader.open(settings.path, settings.kek_file, settings.subject_keys) as reader:
        found = reader.side_lines(side_file)
        assert ([line.content for line in found.lines], found.damaged) == ([b"waits"], 0)
        with pytest.raises(SideFileError):
            reader.side_lines(side_file.with_name("absent"))
