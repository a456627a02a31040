"""A first run without a file."""

from __future__ import annotations

from pathlib import Path

from appliance.settings import WEIGHTS, default_settings
from providers import EmbeddedSettings, TestingSettings


def weights(state: Path, name: str) -> Path:
    path = state / "models" / WEIGHTS[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF" + bytes(64))
    return path


def provider(state: Path, local_model: str = "auto"):
    return default_settings(state, local_model).providers[0]


def test_without_weights_the_mock_is_the_local_model(tmp_path: Path) -> None:
    for wish in ("auto", "default", "small", "none"):
        assert isinstance(provider(tmp_path, wish), TestingSettings)


def test_the_best_weights_that_are_there_are_taken(tmp_path: Path) -> None:
    small = weights(tmp_path, "small")
    assert provider(tmp_path).model_file == str(small)
    default = weights(tmp_path, "default")
    assert provider(tmp_path).model_file == str(default)
    assert provider(tmp_path, "small").model_file == str(small)
    assert isinstance(provider(tmp_path, "none"), TestingSettings)


def test_a_file_of_ones_own_is_taken_at_its_word(tmp_path: Path) -> None:
    chosen = provider(tmp_path, str(tmp_path / "My Model.gguf"))

    assert isinstance(chosen, EmbeddedSettings)
    assert (chosen.model_file, chosen.models[0].name) == (str(tmp_path / "My Model.gguf"), "my-model")


def test_the_first_key_may_be_used_for_every_shipped_purpose(tmp_path: Path) -> None:
    key = default_settings(tmp_path).keys[0]

    assert key.default_purpose in key.purposes
    assert key.file == tmp_path / "keys" / "first-api-key"
