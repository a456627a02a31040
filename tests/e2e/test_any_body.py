"""Whatever is sent, the answer is one of ours: never a 500, never a word of the request in an error."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.running import Running
from tests.e2e.upstream import Upstream

CANARY = "канарейка"
words = st.sampled_from(
    ["", "user", "assistant", "tool", "text", "function", "auto", "cloud", "abroad", CANARY, "\x00", "+7 916 123-45-67"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "function", "name", "arguments", CANARY]), inner, max_size=3)
    ),
    max_leaves=6,
)
calls = st.fixed_dictionaries(
    {
        "id": words,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": words, "arguments": words | values.map(json.dumps)}),
    }
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "tool"]) | words, "content": words | values},
    optional={"name": words, "tool_calls": st.lists(calls, max_size=2), "tool_call_id": words},
)
bodies = st.fixed_dictionaries(
    {"model": words | st.sampled_from(["auto", "cloud", "local"]), "messages": st.lists(messages | values, max_size=3)},
    optional={
        "stream": st.booleans(),
        "tools": st.lists(
            st.fixed_dictionaries(
                {"type": st.just("function"), "function": st.fixed_dictionaries({"name": words, "parameters": values})}
            )
            | values,
            max_size=2,
        ),
        "tool_choice": values,
        "response_format": values,
        "metadata": st.dictionaries(words, words, max_size=2),
        "stop": values,
        "temperature": values,
        CANARY: values,
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies | values)
def test_no_body_makes_us_fail_and_no_error_repeats_the_request(service: Running, upstream: Upstream, body) -> None:
    response = service.http.post("/v1/chat/completions", content=json.dumps(body).encode())

    assert response.status_code in {200, 400, 403, 404}
    if response.status_code != 200:
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        if "unknown field" not in error["message"]:  # the one place where the caller needs his own word back
            assert CANARY not in json.dumps(error, ensure_ascii=False)
