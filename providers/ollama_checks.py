"""What an examination of an Ollama found, in words for a Russian operator. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from providers.errors import ProviderError
from providers.examination import failed
from providers.ollama_wire import Refusal, full_name
from providers.protocol import Check
from providers.router import ModelSettings

SERVER: Final = "сервер Ollama"
RETENTION: Final = "запросы остаются на сервере Ollama в сети компании; сколько живут его журналы, решаете вы"


def server_check(version: str) -> Check:
    return Check(SERVER, passed=True, description=f"отвечает, версия {version}" if version else "отвечает")


def model_check(model: ModelSettings, look: Refusal | ProviderError | None) -> Check:
    """What a look at one model said: there and local is None."""
    title, name = f"модель `{model.name}`", model.upstream or model.name
    match look:
        case None:
            return Check(title, passed=True, description="есть на сервере и выполняется на нём")
        case Refusal.ABSENT:
            return Check(
                title,
                passed=False,
                description=f"модели `{name}` на сервере нет, запросы к ней не отправляются",
                action=f"загрузите её: `ollama pull {name}`",
            )
        case Refusal.FORWARDED:
            return Check(
                title,
                passed=False,
                description="Ollama пересылает эту модель за пределы компании, запросы к ней не отправляются",
                action=f"уберите модель из настроек; {_NO_CLOUD}",
            )
        case ProviderError() as error:
            return failed(title, error)


def cloud_check(found: Sequence[str] | ProviderError) -> Check:
    """`found`: the models of the whole server that it forwards, whether or not we would ask them."""
    title = "облачные модели"
    if isinstance(found, ProviderError):
        return failed(title, found)
    if not found:
        return Check(title, passed=True, description="на сервере нет моделей, которые он пересылает в облако")
    names = ", ".join(f"`{name}`" for name in found[:_SHOWN])
    more = f" и ещё {len(found) - _SHOWN}" if len(found) > _SHOWN else ""
    return Check(title, passed=False, description=f"сервер пересылает в облако: {names}{more}", action=_NO_CLOUD)


def context_checks(
    models: Sequence[ModelSettings], num_ctx: int, loaded: Mapping[str, int] | ProviderError
) -> list[Check]:
    """Whether what is in memory has the context that we ask for."""
    if isinstance(loaded, ProviderError):
        return [failed("загруженные модели", loaded)]
    return [_context_check(model, num_ctx, loaded.get(full_name(model.upstream or model.name))) for model in models]


def _context_check(model: ModelSettings, num_ctx: int, context: int | None) -> Check:
    title = f"контекст модели `{model.name}`"
    if context is None:
        return Check(title, passed=None, description="модель сейчас не загружена: её загрузит первый запрос")
    if not context:
        return Check(title, passed=None, description="модель загружена, но сервер не говорит, с каким контекстом")
    seen = f"загружена с контекстом {context}, запросы просят {num_ctx}"
    if context >= num_ctx:
        return Check(title, passed=True, description=seen)
    return Check(
        title,
        passed=False,
        description=seen,
        action="уменьшите `num_ctx` до того, что умеет модель, или узнайте, кто загрузил её с меньшим контекстом",
    )


_NO_CLOUD: Final = "запустите Ollama с OLLAMA_NO_CLOUD=1"
_SHOWN: Final = 10
