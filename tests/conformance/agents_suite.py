"""What agents are built with, pydantic-ai and instructor, against the address in `CONFORMANCE_URL`. Run in an environment of its own."""

from __future__ import annotations

import os

import instructor
import pytest
from openai import OpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

ADDRESS, KEY, MODEL = (os.environ[f"CONFORMANCE_{name}"] for name in ("URL", "KEY", "MODEL"))


class Joke(BaseModel):
    setup: str
    punchline: str


@pytest.fixture
def model() -> OpenAIChatModel:
    return OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=ADDRESS, api_key=KEY))


async def test_pydantic_ai_runs_to_a_text(model):
    result = await Agent(model).run("What is new?")

    assert result.output == "Hello! You said: What is new?"
    assert result.usage.output_tokens > 0


async def test_pydantic_ai_streams_a_text(model):
    async with Agent(model).run_stream("What is new?") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]

    assert "".join(pieces) == "Hello! You said: What is new?"
    assert len(pieces) > 1


async def test_pydantic_ai_gets_structured_output_by_a_tool(model):
    result = await Agent(model, output_type=Joke).run("Tell me a joke")

    assert isinstance(result.output, Joke)


async def test_pydantic_ai_streams_structured_output(model):
    async with Agent(model, output_type=Joke).run_stream("Tell me a joke") as stream:
        output = await stream.get_output()

    assert isinstance(output, Joke)


async def test_pydantic_ai_calls_a_tool_and_answers_after_its_result(model):
    agent, asked = Agent(model), []

    @agent.tool_plain
    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    result = await agent.run("Please double 21")

    assert asked == [21]
    assert result.output == "Hello! You said: Please double 21"


@pytest.mark.parametrize("mode", [instructor.Mode.TOOLS, instructor.Mode.JSON])
def test_instructor_fills_a_model(mode):
    with OpenAI(base_url=ADDRESS, api_key=KEY, max_retries=0) as openai:
        client = instructor.from_openai(openai, mode=mode)
        said = [{"role": "user", "content": "Tell me a joke"}]

        joke = client.chat.completions.create(model=MODEL, response_model=Joke, messages=said, max_retries=0)

    assert isinstance(joke, Joke)
