"""What a requested model name means: an alias, `auto` with or without a strategy, a provider, or one route. Pure."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from providers.router import AUTO, Route, Task, matching, of_task
from providers.strategy import Strategy, parse

AliasName = Annotated[str, Meta(pattern=r"^(?!auto(:|$))[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$")]


class AliasSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A name of our own for one or more routes, in order of preference: what a fallback chain is.

    `strategy` None: that of the router. Applications that ask for a model they cannot name otherwise get an alias for it.
    """

    name: AliasName
    routes: Annotated[tuple[str, ...], Meta(min_length=1)]
    strategy: Strategy | None = None


class Meaning(Struct, frozen=True):
    """The routes that may be taken, in order, and the strategy the name asks for; None when it asks for none."""

    routes: tuple[Route, ...]
    strategy: Strategy | None


class Directory(Struct, frozen=True):
    """Every name that a request may ask for."""

    routes: tuple[Route, ...]
    aliases: tuple[AliasSettings, ...] = ()

    def resolve(self, name: str, task: Task = Task.CHAT) -> Meaning:
        """What `name` means. An alias comes before a route of the same name. Raises UnknownModelError."""
        for alias in self.aliases:
            if alias.name == name:
                by_id = {route.id: route for route in self.routes}
                named = [by_id[route_id] for route_id in alias.routes if route_id in by_id]
                return Meaning(of_task(named, task), alias.strategy)
        plain, strategy = parse(name)
        return Meaning(matching(self.routes, plain, task), strategy)

    def names(self) -> list[str]:
        """`auto`, each alias, each provider, each route."""
        providers = dict.fromkeys(route.provider for route in self.routes)
        return [AUTO, *(alias.name for alias in self.aliases), *providers, *(route.id for route in self.routes)]


def problems_of_aliases(routes: Sequence[Route], aliases: Sequence[AliasSettings]) -> list[str]:
    """What an operator has to repair, in Russian."""
    ids, names = {route.id for route in routes}, {route.provider for route in routes}
    seen: set[str] = set()
    problems = []
    for alias in aliases:
        if alias.name in seen:
            problems.append(f"псевдоним `{alias.name}`: описан дважды")
        seen.add(alias.name)
        if alias.name in ids | names:
            problems.append(f"псевдоним `{alias.name}`: так уже называется поставщик или маршрут; выберите другое имя")
        problems += [
            f"псевдоним `{alias.name}`: маршрута `{route_id}` нет среди `providers`"
            for route_id in alias.routes
            if route_id not in ids
        ]
        tasks = {route.task for route in routes if route.id in alias.routes}
        if len(tasks) > 1:
            problems.append(f"псевдоним `{alias.name}`: в нём смешаны модели для чата и для векторов; разделите их")
    return problems
