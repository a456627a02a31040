"""What is known of upstreams that speak OpenAI's protocol: addresses, and where they work on what they are sent."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Literal

import msgspec
from msgspec import Struct

from providers.router import ModelSettings, Residency


class Preset(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One upstream. `base_url` is "" where only the operator knows it, `retention` where nothing is known of it.

    `residency` is the closest that its models may be declared; "per-model" says that each is its own case, in Russia at
    the closest. `hosts` are domains: a host under one of them is this upstream, whatever it is called in the settings.
    `note` and `retention` are for a Russian operator; `source` says where they come from and `as_of` when it was read.
    """

    name: str
    title: str
    residency: Literal["local", "ru", "foreign", "per-model"]
    as_of: date
    base_url: str = ""
    hosts: tuple[str, ...] = ()
    needs_key: bool = False
    country: str = ""
    note: str = ""
    retention: str = ""
    source: str = ""


@cache
def presets() -> Mapping[str, Preset]:
    """By name, in the order of the file."""
    text = files("providers").joinpath("data", "presets.toml").read_bytes()
    return MappingProxyType({preset.name: preset for preset in msgspec.toml.decode(text, type=_File).presets})


def preset_of_host(host: str) -> Preset | None:
    """The upstream that a host is known to belong to."""
    host = host.lower().rstrip(".")
    return next(
        (
            preset
            for preset in presets().values()
            for domain in preset.hosts
            if host == domain or host.endswith(f".{domain}")
        ),
        None,
    )


def too_close(preset: Preset, models: tuple[ModelSettings, ...]) -> list[str]:
    """What an operator has to repair: models declared closer than this upstream works. In Russian."""
    closest = _CLOSEST[preset.residency]
    return [
        f"модель `{model.name}` объявлена как `{model.residency.value}`, но {preset.title} {_WHERE[preset.residency]}"
        for model in models
        if _DISTANCE[model.residency] < _DISTANCE[closest]
    ]


class _File(Struct, forbid_unknown_fields=True):
    presets: list[Preset]


_DISTANCE: Final = {Residency.LOCAL: 0, Residency.RU: 1, Residency.FOREIGN: 2}
_CLOSEST: Final = {
    "local": Residency.LOCAL,
    "ru": Residency.RU,
    "per-model": Residency.RU,
    "foreign": Residency.FOREIGN,
}
_WHERE: Final = {
    "local": "работает внутри компании",
    "ru": 'обрабатывает запросы на своих серверах в России, а не внутри компании; укажите residency = "ru"',
    "per-model": 'обрабатывает запросы не внутри компании; укажите residency = "ru", а для модели, '
    'размещённой за рубежом, — "foreign"',
    "foreign": "обрабатывает запросы за рубежом, где бы ни находился его сайт: это трансграничная передача "
    '(ст. 12 152-ФЗ); укажите residency = "foreign"',
}
