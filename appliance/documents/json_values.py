"""JSON and JSON lines: strings and numbers under their keys, in decoded form, because an escaped letter hides a name."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from appliance.documents.delimited import bounded_lines
from appliance.documents.errors import UnreadableError
from appliance.documents.passage import Passage, Piece, cut
from appliance.documents.printable import is_identifier, is_private, shown_label

if TYPE_CHECKING:
    from appliance.documents.reading import Reading

_LARGEST = 100 << 20  # characters of one JSON value; in memory it takes ten times as much


def read(text: TextIO, reading: Reading) -> Iterator[Passage]:
    """The leaves of one JSON value. A file that has one value a line is read by lines; what is no JSON, as text, and that is a problem."""
    content = text.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise UnreadableError(f"JSON больше {_LARGEST >> 20} млн знаков целиком не читается: переведите его в JSONL")
    try:
        value = _decoded(content)
    except (ValueError, RecursionError) as error:
        return _otherwise(content, reading, error)
    reading.format = "JSON"
    return cut(_leaves(value, "$", ""))


def read_lines(text: TextIO, reading: Reading) -> Iterator[Passage]:
    """The leaves of each line. A line that is no JSON is read as text, and that is a problem."""
    reading.format = "JSONL"
    return cut(_of_lines(bounded_lines(text), reading))


def _otherwise(content: str, reading: Reading, error: Exception) -> Iterator[Passage]:
    lines = io.StringIO(content)
    if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
        reading.format = "JSONL"
        return cut(_of_lines(lines, reading))
    reading.format = "JSON"
    reading.problems.append("не JSON или вложен слишком глубоко: проверен как простой текст")
    return cut(Piece(line, f"строка {number}") for number, line in enumerate(lines, 1))


def _of_lines(lines: Iterable[str], reading: Reading) -> Iterator[Piece]:
    broken: list[int] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                value = _decoded(line)
            except (ValueError, RecursionError):
                broken.append(number)
                yield Piece(line, f"строка {number}")
            else:
                yield from _leaves(value, f"строка {number}, $", "")
                yield Piece("\n")
    if broken:
        reading.problems.append(f"не JSON, проверены как простой текст: строк {len(broken)}, первая — {broken[0]}")


class _Members(list[tuple[str, Any]]):
    """An object's members in order. A key that comes twice has both its values here; a dict would lose one."""


def _decoded(text: str) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(text, object_pairs_hook=_Members, parse_int=str, parse_float=str, parse_constant=str)


def _leaves(value: Any, path: str, label: str) -> Iterator[Piece]:  # noqa: ANN401 - any JSON value
    match value:
        case _Members():
            for number, (raw, member) in enumerate(value, 1):
                key = _sound(raw)
                shown = is_identifier(key)
                if not shown:
                    yield Piece(key, f"{path}, ключ {number}")
                    yield Piece("\n")
                    shown = not is_private(key)
                yield from _leaves(member, f"{path}.{shown_label(key) if shown else '…'}", key)
        case list():
            for number, member in enumerate(value):
                yield from _leaves(member, f"{path}[{number}]", label)
        case str() if value:
            yield Piece(f"{label}: " if label else "")
            yield Piece(_sound(value), path)
            yield Piece("\n")
        case _:
            pass  # true, false, null, nothing


_SURROGATE = re.compile("[\ud800-\udfff]")


def _sound(text: str) -> str:
    """The text without lone surrogates, which an escape may leave."""
    return _SURROGATE.sub("�", text)
