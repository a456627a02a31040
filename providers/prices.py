"""What an upstream's tokens cost: dated tariffs in rubles, the cost of a usage, and how many tokens a text may be.

Tariffs are data: `data/tariffs.toml`, or the company's own file instead of it. A tariff belongs to whoever sells the tokens,
never to the name a provider was given here. What has no tariff costs an unknown sum, never nothing: a model that costs
nothing says so with `per_hour = "0"`.
"""

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from fnmatch import translate
from functools import lru_cache
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from providers.chat import Usage
from providers.errors import UnusableSettingsError

_Word = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_ModelPattern = Annotated[str, Meta(pattern=r"^[^\s\[\]]{1,128}$")]
_Source = Annotated[str, Meta(min_length=1, max_length=500)]


class Tariff(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Prices of some models from one seller, in rubles, as its price list says them.

    `provider`: who sells, as `vendor_of` names it: a kind of provider or a preset. `models`: patterns with `*` and `?` for
    the upstream's own name of a model, less the folder of `gpt://folder/…` and a version like `:2.0.28.2`.
    `valid_to` is the last day. `source` says where the prices were read and `checked` when.

    `input`, `output`, `cached` and `tool` are for `per` tokens; `cached` None: as `input`. Where all four are None, tokens
    are not what is paid for. `bill_total`: the vendor bills `total_tokens`, from which it has subtracted the cached ones.
    `per_hour`: of the hardware that a model of our own holds while it answers.
    """

    id: _Word
    provider: _Word
    models: Annotated[tuple[_ModelPattern, ...], Meta(min_length=1)]
    valid_from: date
    valid_to: date | None = None
    source: _Source
    checked: date
    vat: Literal["included", "excluded", "unknown"]
    per: Literal[1, 1_000, 1_000_000] = 1_000_000
    input: Decimal | None = None
    output: Decimal | None = None
    cached: Decimal | None = None
    tool: Decimal | None = None
    per_request: Decimal | None = None
    per_hour: Decimal | None = None
    bill_total: bool = False


class Cost(Struct, frozen=True):
    """Millionths of a ruble, rounded once, half to even. `exact`: each kind of token had a price of its own kind.

    It is not where cached tokens are counted as others, nor where tokens of tools have a price of their own: a usage does
    not tell them apart, and they are counted as others.
    """

    microrubles: int
    exact: bool
    tariff: str


class PriceList:
    """Tariffs of which no two apply to one model of one seller on the same day."""

    __slots__ = ("_by_vendor", "tariffs")

    def __init__(self, tariffs: Sequence[Tariff]) -> None:
        self.tariffs = tuple(tariffs)
        self._by_vendor: dict[str, list[tuple[re.Pattern[str], Tariff]]] = {}
        for each in tariffs:
            names = re.compile("|".join(translate(pattern) for pattern in each.models))
            self._by_vendor.setdefault(each.provider, []).append((names, each))

    def tariff(self, vendor: str, upstream: str, on: date) -> Tariff | None:
        """What applies on that day to the model that the seller calls `upstream`; None when its price is not known."""
        name = _plain(upstream)
        for names, each in self._by_vendor.get(vendor, ()):
            if _in_force(each, on) and names.match(name):
                return each
        return None

    def cost(self, tariff: Tariff | None, usage: Usage, *, seconds: float) -> Cost | None:
        """Of one answer that took `seconds`; None, never 0, without a tariff or where tokens were used that have no price."""
        if tariff is None:
            return None
        tokens = _tokens(tariff, usage)
        if tokens is None:
            return None
        rubles = tokens + (tariff.per_request or 0)
        if tariff.per_hour:
            rubles += tariff.per_hour * Decimal(seconds) / 3600
        microrubles = int((rubles * 1_000_000).to_integral_value(ROUND_HALF_EVEN))
        if microrubles > _MOST:
            return None
        return Cost(microrubles, exact=_is_exact(tariff, usage), tariff=tariff.id)


def load_tariffs(path: Path | None = None) -> PriceList:
    """The tariffs of a file, None for those that are shipped. Raises UnusableSettingsError, in Russian, at the first fault."""
    name, text = ("tariffs.toml", _shipped()) if path is None else (str(path), _read(path))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnusableSettingsError(f"тарифы `{name}`: это не TOML: {error}") from None
    tariffs = [_entry(name, number, entry) for number, entry in enumerate(_entries(name, document), start=1)]
    for problem in _conflicts(tariffs):
        raise UnusableSettingsError(f"тарифы `{name}`: {problem}")
    return PriceList(tariffs)


class TokenEstimator:
    """Guesses the usage of a request from its length and from what came of earlier ones on the same route.

    Holds a few numbers for each of the routes that were used last.
    """

    __slots__ = ("_learnt", "_routes")

    def __init__(self, routes: int = 1024) -> None:
        self._routes = routes
        self._learnt: dict[str, _Learnt] = {}  # the route used longest ago comes first

    def learn(self, route_id: str, characters: int, usage: Usage) -> None:
        """`characters` were sent and the upstream counted `usage`. One without a prompt teaches nothing."""
        if characters <= 0 or usage.prompt_tokens <= 0:
            return
        before = self._learnt.pop(route_id, _Learnt())
        self._learnt[route_id] = before.after(characters, usage)
        if len(self._learnt) > self._routes:
            del self._learnt[next(iter(self._learnt))]

    def estimate(self, route_id: str, characters: int, max_tokens: int | None, *, russian: bool = True) -> Usage:
        """Tokens that a text of so many characters may use; the answer has `max_tokens` at most, None for no limit.

        `russian` matters only until the route has been used.
        """
        learnt = self._learnt.get(route_id)
        if learnt is None:
            ratio, answer = (_RUSSIAN if russian else _OTHER), _ANSWER
        else:
            ratio, answer = learnt.characters / learnt.prompt, learnt.completion / learnt.answers
        prompt = math.ceil(max(characters, 0) / ratio)
        completion = math.ceil(answer) if max_tokens is None else min(math.ceil(answer), max(max_tokens, 0))
        return Usage(prompt, completion, prompt + completion)


# Guesses, not measurements: they only have to be of the right order until the first answer of a route is counted.
_RUSSIAN: Final = 3.3  # characters a token
_OTHER: Final = 4.0
_ANSWER: Final = 300.0  # tokens
_KEPT: Final = 0.9  # of what was known, after each answer: the last ten or so count

_MOST: Final = 2**63 - 1  # an upstream may count anything; what does not fit into a record is no cost
_TOKEN_PRICES: Final = ("input", "output", "cached", "tool")
_PRICES: Final = (*_TOKEN_PRICES, "per_request", "per_hour")
_EXPECTED: Final = MappingProxyType(
    {
        "id": "строчные латинские буквы, цифры, точка, дефис, подчёркивание",
        "provider": "вид поставщика или предустановка, например `gigachat`",
        "models": "непустой список образцов с `*` и `?`",
        "valid_from": "дата вида 2026-02-01, без кавычек",
        "valid_to": "дата вида 2026-02-01, без кавычек",
        "checked": "дата вида 2026-02-01, без кавычек",
        "source": "текст до 500 знаков: откуда взяты цены",
        "vat": "`included`, `excluded` или `unknown`",
        "per": "1, 1000 или 1000000",
        "bill_total": "true или false",
        **dict.fromkeys(_PRICES, "неотрицательное десятичное число в кавычках, например `0.50`"),
    }
)
_FIELD: Final = re.compile(r"(?P<kind>missing required|unknown)? ?(?:field `|at `\$\.)(?P<name>\w+)")
_FOLDER: Final = re.compile(r"^[a-z]+://[^/]*/")
_VERSION: Final = re.compile(r":\d+(?:\.\d+)+$")  # a dot at least: Ollama's `qwen3:8b` is a name and not a version


class _Learnt(Struct, frozen=True):
    """Sums over the answers of a route, each older one counting less."""

    characters: float = 0.0
    prompt: float = 0.0
    completion: float = 0.0
    answers: float = 0.0

    def after(self, characters: int, usage: Usage) -> "_Learnt":
        return _Learnt(
            characters=self.characters * _KEPT + characters,
            prompt=self.prompt * _KEPT + usage.prompt_tokens,
            completion=self.completion * _KEPT + max(usage.completion_tokens, 0),
            answers=self.answers * _KEPT + 1.0,
        )


def _plain(upstream: str) -> str:
    return _VERSION.sub("", _FOLDER.sub("", upstream, count=1))


def _in_force(tariff: Tariff, on: date) -> bool:
    return tariff.valid_from <= on <= (tariff.valid_to or date.max)


def _sells_tokens(tariff: Tariff) -> bool:
    return any(getattr(tariff, name) is not None for name in _TOKEN_PRICES)


def _cached(usage: Usage) -> int:
    """Of the prompt's tokens; an upstream may count anything."""
    return min(max(usage.cached_tokens, 0), max(usage.prompt_tokens, 0))


def _tokens(tariff: Tariff, usage: Usage) -> Decimal | None:
    """Rubles; None when some of the tokens have no price."""
    if not _sells_tokens(tariff):
        return Decimal(0)
    if tariff.bill_total:
        counted = [(usage.total_tokens, tariff.input)]
    else:
        cached = _cached(usage)
        counted = [
            (usage.prompt_tokens - cached, tariff.input),
            (cached, tariff.input if tariff.cached is None else tariff.cached),
            (usage.completion_tokens, tariff.output),
        ]
    rubles = Decimal(0)
    for count, price in counted:
        if count > 0:
            if price is None:
                return None
            rubles += count * price
    return rubles / tariff.per


def _is_exact(tariff: Tariff, usage: Usage) -> bool:
    if tariff.tool not in (None, tariff.input):
        return False
    return tariff.bill_total or tariff.cached is not None or not _cached(usage) or not _sells_tokens(tariff)


def _shipped() -> str:
    return (files("providers") / "data" / "tariffs.toml").read_text(encoding="utf-8")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnusableSettingsError(f"тарифы `{path}`: файл не читается ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UnusableSettingsError(f"тарифы `{path}`: это не текст в UTF-8") from None


def _entries(name: str, document: Mapping[str, object]) -> list[object]:
    """The tables `[[tariffs]]`, of which there is one at least, and nothing besides."""
    for key in document:
        if key != "tariffs":
            raise UnusableSettingsError(f"тарифы `{name}`: неизвестное поле `{key}`; записи начинаются с `[[tariffs]]`")
    entries = document.get("tariffs")
    if not isinstance(entries, list) or not entries:
        raise UnusableSettingsError(f"тарифы `{name}`: нет ни одной записи `[[tariffs]]`")
    return entries


def _entry(name: str, number: int, entry: object) -> Tariff:
    where = f"тарифы `{name}`, запись {number}"
    if not isinstance(entry, dict):
        raise UnusableSettingsError(f"{where}: это не таблица; записи начинаются с `[[tariffs]]`")
    if isinstance(entry.get("id"), str):
        where += f" (`{entry['id']}`)"
    try:
        tariff = msgspec.convert(entry, Tariff)
    except msgspec.ValidationError as error:
        raise UnusableSettingsError(f"{where}: {_in_russian(str(error))}") from None
    for problem in _problems(tariff, entry):
        raise UnusableSettingsError(f"{where}: {problem}")
    return tariff


def _in_russian(message: str) -> str:
    """What msgspec found, without its words for it."""
    found = _FIELD.search(message)
    if found is None:
        return "запись не читается"
    field = found["name"]
    if found["kind"] == "unknown":
        return f"неизвестное поле `{field}`; есть: {', '.join(Tariff.__struct_fields__)}"
    problem = f"нет поля `{field}`" if found["kind"] else f"поле `{field}` не подходит"
    return f"{problem}: нужно {_EXPECTED[field]}"


def _problems(tariff: Tariff, entry: Mapping[str, object]) -> Iterator[str]:
    """What types cannot say."""
    given = {name: price for name in _PRICES if (price := getattr(tariff, name)) is not None}
    if not given:
        yield f'нет ни одной цены; бесплатную модель обозначает `per_hour = "0"`, цены: {", ".join(_PRICES)}'
    for name, price in given.items():
        if isinstance(entry[name], float) or not price.is_finite() or price < 0:
            yield f"поле `{name}` не подходит: нужно {_EXPECTED[name]}"
    if _sells_tokens(tariff) and "per" not in entry:
        yield f"нет поля `per`: за сколько токенов указана цена; нужно {_EXPECTED['per']}"
    if tariff.valid_to is not None and tariff.valid_to < tariff.valid_from:
        yield "поле `valid_to` раньше, чем `valid_from`"
    if tariff.bill_total and (tariff.input is None or tariff.output != tariff.input or tariff.cached is not None):
        yield "поле `bill_total`: сумма токенов имеет одну цену; `input` и `output` должны быть равны, `cached` не нужен"


def _conflicts(tariffs: Iterable[Tariff]) -> Iterator[str]:
    for one, other in combinations(tariffs, 2):
        if one.id == other.id:
            yield f"две записи называются `{one.id}`; поле `id` должно быть у каждой своё"
        if one.provider != other.provider or not _same_days(one, other):
            continue
        for mine in one.models:
            for theirs in other.models:
                if _meet(mine, theirs):
                    yield (
                        f"записи `{one.id}` и `{other.id}` действуют в одни и те же дни для одной модели "
                        f"(`models`: `{mine}` и `{theirs}`); укажите `valid_to` у прежней"
                    )


def _same_days(one: Tariff, other: Tariff) -> bool:
    return max(one.valid_from, other.valid_from) <= min(one.valid_to or date.max, other.valid_to or date.max)


@lru_cache(maxsize=4096)
def _meet(one: str, other: str) -> bool:
    """Whether some name fits both patterns."""
    if not one or not other:
        return not (one + other).strip("*")
    if other[0] == "*":
        one, other = other, one
    if one[0] == "*":  # it stands for nothing more, or also for what the other begins with
        return _meet(one[1:], other) or _meet(one, other[1:])
    return (one[0] == other[0] or "?" in (one[0], other[0])) and _meet(one[1:], other[1:])
