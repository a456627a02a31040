"""What looks like talking a model into giving data away: in what is asked of it, and in what it answers. Patterns, not understanding.

A pattern flags; whether that stops anything is the policy's affair (`manipulation` of a purpose). Nobody should take an unflagged text
for a harmless one.
"""

from __future__ import annotations

import base64
import binascii
import re
from enum import StrEnum

from policies.redaction import PLACEHOLDER


class Suspicion(StrEnum):
    """What a text looks like. The names are stored in logs: they are never renamed or reused."""

    INSTRUCTION_OVERRIDE = "instruction-override"  # «забудь предыдущие инструкции», "you are now …"
    PLACEHOLDER_FISHING = "placeholder-fishing"  # asks for the labels, their table, what stands behind them
    ENCODED_OUTPUT = "encoded-output"  # asks to answer in an encoding, or the answer is one
    LINK_EXFILTRATION = "link-exfiltration"  # a label inside a link or a picture's address


_OVERRIDE = re.compile(
    r"(?:игнориру\w+|забуд\w+|не\s+обращай\w*\s+внимани\w+\s+на)\s+(?:\w+\s+){0,3}(?:инструкци|указани|правил|ограничени)\w*"
    r"|(?:ignore|disregard|forget|override)\s+(?:\w+\s+){0,4}(?:instructions?|rules?|prompts?|guidelines?)"
    r"|(?:покажи|выведи|повтори|напечатай|раскрой)\w*\s+(?:\w+\s+){0,3}(?:системн\w+\s+(?:промпт|сообщени|инструкци)\w*|свои?\s+инструкци\w*)"
    r"|(?:print|reveal|repeat|show|output)\s+(?:\w+\s+){0,4}system\s+(?:prompt|message|instructions?)",
    re.IGNORECASE,
)
_FISHING = re.compile(
    r"(?:перечисл|выведи|повтори|напечата|покажи|назови|раскро|расшифру)\w*\s+(?:\w+\s+){0,4}(?:метк|плейсхолдер|заглушк|псевдоним)\w*"
    r"|(?:перечисл|выведи|повтори|напечата|покажи|раскро)\w*\s+(?:все|скрыт\w+|каждый)\s+(?:\w+\s+){0,2}(?:токен|маск)\w*"
    r"|(?:что|кто|какие\s+данные)\s+(?:\w+\s+){0,3}(?:за|под|скрыва\w+|стоит)\s+(?:\w+\s+){0,3}(?:метк|плейсхолдер|заглушк|\[[A-Z_]{3,})\w*"
    r"|(?:list|repeat|print|output|reveal|dump|enumerate|expand|resolve)\s+(?:\w+\s+){0,5}(?:placeholders?|(?:all|every|hidden)\s+(?:\w+\s+){0,2}tokens?|masked\s+(?:values?|data)|redacted\s+\w+|\[[A-Z_]{3,}_\d)"
    r"|(?:real|original|actual|true)\s+(?:values?|names?|data)\s+(?:\w+\s+){0,4}(?:placeholders?|tokens?|\[[A-Z_]{3,}_\d)",
    re.IGNORECASE,
)
_ENCODING = re.compile(
    r"(?:закодиру|зашифру|выведи|ответь|запиши|переведи|представь)\w*\s+(?:[\w,]+\s+){0,6}"
    r"(?:base ?64|base ?32|rot ?13|морз\w*|азбук\w+\s+морзе|шестнадцатеричн\w+|задом\s+напер[её]д|по\s+одной\s+букве)"
    r"|(?:encode|answer|respond|output|write|spell)\s+(?:[\w,]+\s+){0,6}"
    r"(?:base ?64|base ?32|rot ?13|morse|hexadecimal|in\s+hex|backwards|letter\s+by\s+letter)",
    re.IGNORECASE,
)
_LINK = re.compile(r"(?:https?|ftp|data|mailto):[^\s<>\"'`]{1,2000}", re.IGNORECASE)
_LABEL_IN_LINK = re.compile(
    r"(?:\[|%5b)?[A-Z_]{3,40}_[1-9]\d{0,8}(?:_(?:M|F|PL))?(?::\d{1,8})?(?:\]|%5d)?", re.IGNORECASE
)
_BLOB = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{40,}={0,2}(?![\w+/=])")
_ABOUT_RULES = [
    "инструкц",
    "указани",
    "правил",
    "ограничен",
    "промпт",
    "сообщени",
    "instruction",
    "rule",
    "prompt",
    "guideline",
    "message",
]
_ABOUT_LABELS = [
    "метк",
    "плейсхолдер",
    "заглушк",
    "псевдоним",
    "токен",
    "маск",
    "placeholder",
    "token",
    "masked",
    "redacted",
    "[",
]
_ABOUT_CODES = ["base", "rot", "морз", "morse", "шестнадцатер", "hex", "задом", "backwards", "букве", "letter"]
_ASKED = (
    # A word that every match holds is looked for first: most texts hold none.
    (Suspicion.INSTRUCTION_OVERRIDE, _ABOUT_RULES, _OVERRIDE),
    (Suspicion.PLACEHOLDER_FISHING, _ABOUT_LABELS, _FISHING),
    (Suspicion.ENCODED_OUTPUT, _ABOUT_CODES, _ENCODING),
)
_LONGEST = 200_000  # characters that are looked at; what is longer is looked at in part


def suspicions_of_request(text: str) -> frozenset[Suspicion]:
    """What a text that a user or a tool brings looks like."""
    text = text[:_LONGEST].lower()
    return frozenset(
        suspicion
        for suspicion, words, pattern in _ASKED
        if any(word in text for word in words) and pattern.search(text)
    )


def suspicions_of_answer(text: str) -> frozenset[Suspicion]:
    """What an answer, before anything is put back into it, looks like."""
    text = text[:_LONGEST]
    found = set()
    if ":" in text and any(_LABEL_IN_LINK.search(link[0]) for link in _LINK.finditer(text)):
        found.add(Suspicion.LINK_EXFILTRATION)
    if any(PLACEHOLDER.search(_decoded(blob[0])) for blob in _BLOB.finditer(text)):
        found.add(Suspicion.ENCODED_OUTPUT)
    return frozenset(found)


def _decoded(blob: str) -> str:
    try:
        return base64.b64decode(blob + "=" * (-len(blob) % 4)).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return ""
