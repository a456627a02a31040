"""LangChain's own conformance suite over `ChatOpenAI`, against the address in `CONFORMANCE_URL`. Run in an environment of its own."""

from __future__ import annotations

import os

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests


class TestUnit(ChatModelUnitTests):
    """Asks no upstream. The address and the key are fixed, because a recorded serialisation holds them."""

    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict:
        return {"base_url": "http://127.0.0.1:9/v1", "api_key": "synthetic", "model": "big", "stream_usage": True}

    @property
    def init_from_env_params(self) -> tuple[dict, dict, dict]:
        address = "http://127.0.0.1:9/v1"
        environment = {"OPENAI_API_KEY": "synthetic", "OPENAI_API_BASE": address}
        return environment, {"model": "big"}, {"openai_api_key": "synthetic", "openai_api_base": address}


class TestIntegration(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict:
        address, key, model = (os.environ[f"CONFORMANCE_{name}"] for name in ("URL", "KEY", "MODEL"))
        return {"base_url": address, "api_key": key, "model": model, "stream_usage": True}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return os.environ["CONFORMANCE_MODEL"]

    @pytest.fixture
    def model(self, request: object) -> ChatOpenAI:
        return ChatOpenAI(**{**self.standard_chat_model_params, **self.chat_model_params})
