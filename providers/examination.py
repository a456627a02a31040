"""What the examinations of several providers have in common: their checks, in the same words."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from providers.errors import ProviderError
from providers.exchange import Timeouts
from providers.explanations import explain
from providers.protocol import Check
from providers.router import ModelSettings, Residency

CREDENTIALS: Final = "учётные данные"
MODELS: Final = "список моделей"


def for_a_look(timeouts: Timeouts) -> Timeouts:
    """The same limits, but none longer than a question about the upstream itself may take."""
    return msgspec.structs.replace(
        timeouts,
        first_byte=min(timeouts.first_byte, _LOOK_SECONDS),
        idle=min(timeouts.idle, _LOOK_SECONDS),
        total=min(timeouts.total, 2 * _LOOK_SECONDS),
    )


def failed(title: str, error: ProviderError, *, wait: float | None = None) -> Check:
    """A check that ended in an error; `wait` as for explain()."""
    told = explain(error, wait=wait)
    return Check(title, passed=False, description=f"{told.title}. {told.description}", action=told.action)


def listed_checks(models: Sequence[ModelSettings], listed: Collection[str] | None) -> list[Check]:
    """Whether each model is on the upstream's list; None when there is no list to look at."""
    return [_listed_check(model, listed) for model in models]


def residency_check(models: Sequence[ModelSettings], *, inside: bool, where: str = "") -> Check:
    """What the settings say of where requests are worked on, and whether it is more than words.

    `inside`: every connection is held inside the company's network. That proves nothing for a model that is said to run
    elsewhere: what is inside is then a proxy. `where`: what is known of the upstream itself.
    """
    title = "где обрабатываются запросы"
    if inside and all(model.residency is Residency.LOCAL for model in models):
        seen = "внутри сети компании: соединения с адресами вне её не устанавливаются"
        return Check(title, passed=True, description=seen)
    said = ", ".join(f"`{model.name}` — {_RESIDENCY[model.residency]}" for model in models)
    seen = f"со слов настроек: {said}" if said else "модели не описаны"
    return Check(
        title,
        passed=None,
        description=f"{seen}; {where}" if where else seen,
        action="сверьте с договором: по ответам поставщика это не проверить",
    )


def retention_check(known: str) -> Check:
    """How long the upstream keeps what it is sent, as far as its papers say: no answer of its own would prove it."""
    return Check(
        "хранение запросов у поставщика",
        passed=None,
        description=known or "сведений нет",
        action="" if known else "спросите поставщика и закрепите срок в договоре",
    )


def _listed_check(model: ModelSettings, listed: Collection[str] | None) -> Check:
    title, name = f"модель `{model.name}`", model.upstream or model.name
    if listed is None:
        return Check(title, passed=None, description="списка моделей нет, без запроса к модели этого не узнать")
    if name in listed:
        return Check(title, passed=True, description="есть в списке поставщика")
    return Check(
        title,
        passed=False,
        description=f"имени `{name}` нет в списке поставщика",
        action="исправьте `upstream` или `name` модели либо откройте к ней доступ у поставщика",
    )


_LOOK_SECONDS: Final = 10.0
_RESIDENCY: Final = {
    Residency.LOCAL: "внутри компании",
    Residency.RU: "в России",
    Residency.FOREIGN: "за рубежом",
}
