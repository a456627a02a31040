"""Routes: which models of which providers there are, where they run, and which of them a name means. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from providers.errors import UnknownModelError, UnusableSettingsError

AUTO = "auto"

# `auto` is a request, not a provider; "/" separates provider from model.
ProviderName = Annotated[str, Meta(pattern=r"^(?!auto$)[a-z0-9][a-z0-9._-]{0,63}$")]
ModelName = Annotated[str, Meta(pattern=r"^[^\s\x00-\x1f\x7f]{1,256}$")]


class Residency(StrEnum):
    """Where a model runs: in the company's own network, in Russia, or abroad."""

    LOCAL = "local"
    RU = "ru"
    FOREIGN = "foreign"


class Task(StrEnum):
    """What a model does."""

    CHAT = "chat"
    EMBEDDING = "embedding"


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """One model of a provider.

    Residency belongs to the model, not to the provider: one host may serve models that run in different countries.
    `upstream` is the provider's own name for it, empty when it is the same. `auto` offers it to requests for "auto". `recipient` is the
    policy's name for who runs it; needed wherever personal data may leave the organisation.
    """

    name: ModelName
    residency: Residency
    upstream: str = ""
    country: str = ""
    auto: bool = True
    task: Task = Task.CHAT
    recipient: str = ""


class Route(Struct, frozen=True):
    provider: str
    model: str
    upstream: str
    residency: Residency
    country: str = ""
    auto: bool = True
    task: Task = Task.CHAT
    recipient: str = ""

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.model}"


class HasModels(Protocol):
    """The part of a provider's settings that routes are made of."""

    @property
    def name(self) -> str: ...
    @property
    def models(self) -> tuple[ModelSettings, ...]: ...


def routes_of(settings: Iterable[HasModels]) -> tuple[Route, ...]:
    """Every route, in the order of the settings: that order is the order of preference.

    Raises UnusableSettingsError when two routes would have one id.
    """
    routes = tuple(
        Route(
            provider=provider.name,
            model=model.name,
            upstream=model.upstream or model.name,
            residency=model.residency,
            country=model.country,
            auto=model.auto,
            task=model.task,
            recipient=model.recipient,
        )
        for provider in settings
        for model in provider.models
    )
    for route_id, count in Counter(route.id for route in routes).items():
        if count > 1:
            raise UnusableSettingsError(f"маршрут `{route_id}` описан {count} раза; переименуйте лишний")
    return routes


def matching(routes: Sequence[Route], name: str, task: Task = Task.CHAT) -> tuple[Route, ...]:
    """The routes a request for `name` may take, in order: "auto", "provider/model", or "provider" for all its models.

    A model's own name may contain "/". Raises UnknownModelError when there is none for this task.
    """
    if name == AUTO:
        found = tuple(route for route in routes if route.auto)
    else:
        found = tuple(route for route in routes if name in (route.id, route.provider))
    return of_task(found, task)


def of_task(routes: Sequence[Route], task: Task) -> tuple[Route, ...]:
    """Those of the routes that do this task. Raises UnknownModelError when none does."""
    fit = tuple(route for route in routes if route.task is task)
    if not fit:
        # The name that was asked for is the caller's text: it is not repeated, for it may be anything.
        raise UnknownModelError(
            f"the models of the requested name do not serve {task.value} requests, ask for one that does"
            if routes
            else "no route has the requested name, ask for `auto` or one of the listed models"
        )
    return fit
