"""What a provider cannot do whoever asks: the tests that must fail through it, each with the reason why."""

from __future__ import annotations

from typing import NamedTuple


class Impossible(NamedTuple):
    """Why a test cannot pass, and the words by which its failure shows that it was for this reason."""

    reason: str
    sign: str


# A test that passes although it stands here is an error too: the reason is gone, and the line has to go with it.
IMPOSSIBLE: dict[str, dict[str, Impossible]] = {
    "openai_compatible": {},
    "gigachat": {
        "TestIntegration::test_tool_choice": Impossible(
            "has no `required`: one function can be named, any one of several cannot be demanded; refused with 400",
            "GigaChat cannot be made to call any one of several tools",
        ),
        "TestIntegration::test_json_mode": Impossible(
            "has no `json_object`, only `json_schema`; refused with 400",
            "GigaChat has no `json_object` response format",
        ),
    },
    "ollama": {
        "TestIntegration::test_tool_choice": Impossible(
            "has no tool choice: a model that is told to call any tool, and is then greeted, greets", "assert []"
        ),
    },
    "yandexgpt": {},
}
