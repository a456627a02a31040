"""The providers there are: one line each, from a kind of settings to what opens and checks it."""

from contextlib import AbstractAsyncContextManager
from typing import assert_never

from providers.egress import Place
from providers.embedded import EmbeddedSettings, open_embedded, problems_of_embedded
from providers.errors import UnusableSettingsError
from providers.gigachat import GigaChatSettings, open_gigachat, places_of_gigachat, problems_of_gigachat
from providers.ollama import OllamaSettings, open_ollama, places_of_ollama, problems_of_ollama
from providers.openai_compatible import (
    OpenAICompatibleSettings,
    open_openai_compatible,
    places_of_openai_compatible,
    problems_of_openai_compatible,
)
from providers.protocol import Provider
from providers.router import Task, routes_of
from providers.testing import TestingSettings, open_testing
from providers.yandexgpt import (
    YandexGPTSettings,
    open_yandexgpt,
    places_of_yandexgpt,
    problems_of_yandexgpt,
)

ProviderSettings = (
    GigaChatSettings
    | YandexGPTSettings
    | OpenAICompatibleSettings
    | OllamaSettings
    | EmbeddedSettings
    | TestingSettings
)


def open_provider(settings: ProviderSettings, broker: str = "") -> AbstractAsyncContextManager[Provider]:
    """Entering raises UnusableSettingsError; it never waits for an upstream or for a model to load.

    `broker`: the socket of the egress broker that connections are asked of; "" without one.
    """
    match settings:
        case OpenAICompatibleSettings():
            return open_openai_compatible(settings, broker)
        case GigaChatSettings():
            return open_gigachat(settings, broker)
        case YandexGPTSettings():
            return open_yandexgpt(settings, broker)
        case OllamaSettings():
            return open_ollama(settings, broker)
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
        case YandexGPTSettings():
            problems += problems_of_yandexgpt(settings)
        case OllamaSettings():
            problems += problems_of_ollama(settings)
        case EmbeddedSettings():
            problems += problems_of_embedded(settings)
            problems += [
                f"поставщик `{settings.name}`: встроенная модель `{model.name}` не делает векторов; уберите `task`"
                for model in settings.models
                if model.task is Task.EMBEDDING
            ]
        case TestingSettings():
            pass
        case _ as never:
            assert_never(never)
    return problems


def vendor_of(settings: ProviderSettings) -> str:
    """Who sells the tokens of this provider, as tariffs name it: the preset, else the kind. Its name is only ours."""
    preset = settings.preset if isinstance(settings, OpenAICompatibleSettings) else ""
    kind = type(settings).__struct_config__.tag
    return preset or str(kind)


def places_of(settings: ProviderSettings) -> list[Place]:
    """Where connections of this provider go, its token service included. Raises ValueError: an address is none."""
    match settings:
        case OpenAICompatibleSettings():
            return places_of_openai_compatible(settings)
        case GigaChatSettings():
            return places_of_gigachat(settings)
        case YandexGPTSettings():
            return places_of_yandexgpt(settings)
        case OllamaSettings():
            return places_of_ollama(settings)
        case EmbeddedSettings() | TestingSettings():
            return []
        case _ as never:
            assert_never(never)
