"""Templates and topics: what may be asked, and in which form a model may answer (приказ ФСТЭК № 117, п. 61).

A template is a text with `{slots}`; a topic is a list of beginnings of words, one of which a request must hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from policies.rules import Id, Words


class AnswerFormat(StrEnum):
    """The form that an answer must have."""

    TEXT = "text"
    JSON = "json"
    CHOICE = "choice"  # one of `choices`, and nothing besides


class Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer must look like. `longest` is in characters."""

    format: AnswerFormat = AnswerFormat.TEXT
    choices: tuple[str, ...] = ()
    longest: Annotated[int, msgspec.Meta(ge=1)] = 20_000

    def accepts(self, answer: str) -> bool:
        """Whether the whole answer is of this form."""
        if len(answer) > self.longest:
            return False
        match self.format:
            case AnswerFormat.TEXT:
                return bool(answer.strip())
            case AnswerFormat.CHOICE:
                return answer.strip().strip(".").casefold() in {choice.casefold() for choice in self.choices}
            case AnswerFormat.JSON:
                try:
                    json.loads(answer)
                except (ValueError, RecursionError):
                    return False
                return True


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request as it must be written; `{anything}` in braces stands for words of the user's own. Case does not count."""

    id: Id
    purposes: tuple[str, ...]
    request: Words
    answer: Answered = Answered()

    def matches(self, text: str) -> bool:
        """Whether the text is an instance of the template: its fixed parts stand there in order, with words between them."""
        parts = [_plain(part) for part in _SLOT.split(self.request)]
        said = _plain(text)
        first, *rest = parts
        if not rest:
            return said == first
        last = rest.pop()
        if not said.startswith(first) or not said.endswith(last) or len(said) <= len(first) + len(last):
            return False
        place, end = len(first), len(said) - len(last)
        for part in rest:
            found = said.find(part, place, end)
            if found < 0 or not said[place:found].strip():
                return False
            place = found + len(part)
        return bool(said[place:end].strip())


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be spoken of: a request holds a word with one of these beginnings, and none with one of `not_words`."""

    id: Id
    purposes: tuple[str, ...]
    words: tuple[Words, ...]
    not_words: tuple[Words, ...] = ()
    answer: Answered = Answered()

    def matches(self, text: str) -> bool:
        """Whether the text speaks of the topic."""
        said = _WORD.findall(text.casefold())
        allowed = tuple(word.casefold() for word in self.words)
        forbidden = tuple(word.casefold() for word in self.not_words)
        return any(word.startswith(allowed) for word in said) and not any(word.startswith(forbidden) for word in said)


def fitting(
    templates: Iterable[Template], topics: Iterable[Topic], purpose: str, asked: Sequence[str]
) -> Template | Topic | None:
    """The first template or topic of the purpose that every text asked fits; None when there is none, or nothing was asked."""
    either: list[Template | Topic] = [*templates, *topics]
    return next((each for each in either if purpose in each.purposes and asked and all(map(each.matches, asked))), None)


def problems_of_templates(templates: Sequence[Template], topics: Sequence[Topic]) -> Iterator[str]:
    """What would keep a template or topic from ever fitting, or make it fit everything; in Russian."""
    for template in templates:
        if not template.purposes:
            yield f"шаблон `{template.id}`: `purposes` пусто, шаблон ни к чему не относится"
        fixed = [part for part in map(_plain, _SLOT.split(template.request)) if part]
        if not fixed:
            yield f"шаблон `{template.id}`: в `request` нет ни одного постоянного слова: подойдёт любой текст"
        if re.search(r"\}\s*\{", template.request):
            yield f"шаблон `{template.id}`: между двумя `{{…}}` нет слов: границы не найти"
    for topic in topics:
        if not topic.purposes or not topic.words:
            yield f"тема `{topic.id}`: `purposes` или `words` пусто, тема ничего не разрешает"
    either: list[Template | Topic] = [*templates, *topics]
    for each in either:
        if (each.answer.format is AnswerFormat.CHOICE) != bool(each.answer.choices):
            yield f"`{each.id}`: `choices` нужны ответу вида `choice`, и только ему"


_SLOT = re.compile(r"\{[^{}]*\}")
_WORD = re.compile(r"\w+")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
