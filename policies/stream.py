"""Putting originals back into an answer that arrives in pieces, byte for byte the same for every way to cut it."""

from __future__ import annotations

from policies.redaction import Vault, restore


class StreamRestorer:
    """`restore` for a stream: what `feed` and then `finish` return, joined, is `restore` of all that was fed, joined.

    Only an end of the text that may be the beginning of a placeholder is held back, so an answer is never delayed by more
    than one placeholder. One restorer serves one stream: each choice, and each tool call, needs its own.
    """

    def __init__(self, vault: Vault, *, json_strings: bool = False) -> None:
        self._vault = vault
        self._json_strings = json_strings
        self._held = ""

    def feed(self, chunk: str) -> str:
        """What can be given out after `chunk`; possibly nothing."""
        text = self._held + chunk
        # A placeholder holds one "[", its first character: only the last one in the text can still be incomplete.
        opening = text.rfind("[")
        cut = opening if opening >= 0 and self._vault.may_begin(text[opening:]) else len(text)
        self._held = text[cut:]
        return restore(text[:cut], self._vault, json_strings=self._json_strings)

    def finish(self) -> str:
        """The rest, once the stream has ended: no further chunk may follow."""
        rest, self._held = self._held, ""
        return rest
