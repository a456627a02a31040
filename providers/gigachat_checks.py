"""What an examination of GigaChat found, in words for a Russian operator. Pure."""

from collections.abc import Sequence
from typing import Final

from providers.errors import ProviderError
from providers.examination import CREDENTIALS, MODELS, failed, listed_checks
from providers.gigachat_token import OTHER_CONTRACT, Scope
from providers.gigachat_wire import ListedModel, Remainder
from providers.protocol import Check
from providers.router import ModelSettings

NO_SWITCH: Final = "поставщик не описывает, как отключить хранение запросов"
WAIT: Final = 30.0  # seconds: how long to wait where GigaChat says "too many requests" and names no time


def trust_check(ca_file: str, ca_sha256: str, *, plain: bool) -> Check:
    """Which authorities may vouch for GigaChat's servers. `plain`: there is no TLS at all."""
    title = "доверие к серверу (TLS)"
    if plain:
        return Check(title, passed=None, description="соединение без TLS, внутри сети компании")
    if not ca_file:
        return Check(
            title,
            passed=None,
            description="доверяем всем центрам сертификации операционной системы",
            action="задайте `ca_file` с корневым сертификатом НУЦ Минцифры и его отпечаток `ca_sha256`",
        )
    if not ca_sha256:
        return Check(
            title,
            passed=None,
            description=f"доверяем только центрам из `{ca_file}`, отпечаток не закреплён",
            action="закрепите его: `ca_sha256`",
        )
    seen = f"доверяем только центру из `{ca_file}`, отпечаток закреплён: {ca_sha256}"
    return Check(title, passed=True, description=seen)


def token_check(
    scope: Scope | None, error: ProviderError | None = None, fitting: Scope | ProviderError | None = None
) -> Check:
    """Whether the key is good for a token. `scope` None: we show a client certificate, and need none.

    `fitting`: the contract that the key does belong to, or what became of the search for it.
    """
    if error is None:
        accepted = (
            f"ключ принят, договор `{scope.value}`" if scope else "предъявляем клиентский сертификат, токен не нужен"
        )
        return Check(CREDENTIALS, passed=True, description=accepted)
    if error.code != OTHER_CONTRACT or scope is None:
        return failed(CREDENTIALS, error, wait=WAIT)
    seen = f"ключ выдан не для договора `{scope.value}`"
    match fitting:
        case Scope():
            return Check(
                CREDENTIALS,
                passed=False,
                description=f"{seen}, а для `{fitting.value}`",
                action=f'укажите scope = "{fitting.value}"',
            )
        case None:
            seen = f"{seen}, и ни один другой не подошёл"
        case _:
            seen = f"{seen}; подобрать другой не удалось"
    return Check(CREDENTIALS, passed=False, description=seen, action="посмотрите договор ключа в личном кабинете")


def listing_checks(models: Sequence[ModelSettings], listed: tuple[ListedModel, ...] | ProviderError) -> list[Check]:
    """Whether each model is on the list, and does what the settings say it does."""
    if isinstance(listed, ProviderError):
        return [failed(MODELS, listed, wait=WAIT), *listed_checks(models, None)]
    tasks = {model.name: model.task for model in listed}
    checks = listed_checks(models, tasks)
    return [
        _wrong_task(model) if check.passed and tasks[model.upstream or model.name] is not model.task else check
        for model, check in zip(models, checks, strict=True)
    ]


def balance_check(models: Sequence[ModelSettings], left: tuple[Remainder, ...] | ProviderError | None) -> Check:
    """What is left for each model of ours; None for a contract that is paid afterwards."""
    title = "остаток токенов"
    if left is None:
        return Check(title, passed=None, description="постоплата: остатка нет, счёт приходит за израсходованное")
    if isinstance(left, ProviderError):
        return Check(title, passed=None, description=failed(title, left, wait=WAIT).description)
    tokens = {each.model: each.tokens for each in left}
    ours = {name: tokens[name] for model in models if (name := model.upstream or model.name) in tokens}
    if not ours:
        return Check(title, passed=None, description="среди пакетов нет ни одной из описанных моделей")
    said = ", ".join(f"`{name}` — {count:,}".replace(",", " ") for name, count in ours.items())
    empty = [name for name, count in ours.items() if count <= 0]
    return Check(title, passed=not empty, description=said, action="купите пакет в личном кабинете" if empty else "")


def _wrong_task(model: ModelSettings) -> Check:
    return Check(
        f"модель `{model.name}`",
        passed=False,
        description=f'есть в списке поставщика, но делает не то, что указано: task = "{model.task.value}"',
        action="исправьте `task` или `upstream`",
    )
