"""The providers there are: one line each, from a kind of settings to what opens and checks it."""

from contextlib import AbstractAsyncContextManager
from typing import assert_never

from providers.embedded import EmbeddedSettings, open_embedded, problems_of_embedded
from providers.errors import UnusableSettingsError
from providers.gigachat import GigaChatSettings, open_gigachat, problems_of_gigachat
from providers.ollama import OllamaSettings, open_ollama, problems_of_ollama
from providers.openai_compatible import OpenAICompatibleSettings, open_openai_compatible, problems_of_openai_compatible
from providers.protocol import Provider
from providers.router import routes_of
from providers.testing import TestingSettings, open_testing

ProviderSettings = GigaChatSettings | OpenAICompatibleSettings | OllamaSettings | EmbeddedSettings | TestingSettings


def open_provider(settings: ProviderSettings) -> AbstractAsyncContextManager[Provider]:
    """Entering raises UnusableSettingsError; it never waits for an upstream or for a model to load."""
    match settings:
        case OpenAICompatibleSettings():
            return open_openai_compatible(settings)
        case GigaChatSettings():
            return open_gigachat(settings)
        case OllamaSettings():
            return open_ollama(settings)
        case EmbeddedSettings():
            return open_embedded(settings)
        case TestingSettings():
            return open_testing(settings)
        case _ as never:
            assert_never(never)


def check_provider(settings: ProviderSettings) -> list[str]:
    """Every problem an operator can repair before the start: files, URLs, permissions, names. Asks no network."""
    problems = []
    if not settings.models:
        problems.append(f"поставщик `{settings.name}`: нет ни одной модели в `models`")
    try:
        routes_of((settings,))
    except UnusableSettingsError as error:
        problems.append(str(error))
    match settings:
        case OpenAICompatibleSettings():
            problems += problems_of_openai_compatible(settings)
        case GigaChatSettings():
            problems += problems_of_gigachat(settings)
        case OllamaSettings():
            problems += problems_of_ollama(settings)
        case EmbeddedSettings():
            problems += problems_of_embedded(settings)
        case TestingSettings():
            pass
        case _ as never:
            assert_never(never)
    return problems
