"""Every error of this room in words for a Russian operator: what happened, what it means, what to do."""

import math
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from providers import errors
from providers.errors import ProviderError


class Explanation(Struct, frozen=True):
    """`title` names the error, `description` says what was seen, `action` what to do about it."""

    title: str
    description: str
    action: str


def explain(error: ProviderError, *, wait: float | None = None) -> Explanation:
    """The error in Russian. It holds no word of the upstream's: only a known code and a request id.

    `wait` (seconds) is how long to wait where the upstream named no time: each has its own habits, which the caller knows.
    """
    kind = next(kind for kind in type(error).__mro__ if kind in _WORDS)
    title, description, action = _BY_CODE.get((kind, error.code)) or _WORDS[kind]
    if isinstance(error, errors.UnusableSettingsError):
        description = str(error)  # our own words, Russian already
    seen = [description]
    if error.code:
        seen.append(f"Код ошибки: `{error.code}`.")
    if error.request_id:
        seen.append(f"Номер запроса у поставщика: `{error.request_id}`.")
    seconds = _wait(error, wait)
    return Explanation(
        title=title,
        description=" ".join(seen),
        action=action if seconds is None else f"Повторите через {_duration(seconds)}. {action}",
    )


def _wait(error: ProviderError, wait: float | None) -> float | None:
    """Only where waiting helps: a request that was rejected is rejected again."""
    if isinstance(error, errors.RequestRejectedError):
        return None
    if error.retry_after is None and isinstance(error, errors.RateLimitedError):
        return wait
    return error.retry_after


def _duration(seconds: float) -> str:
    """Never shorter than it is."""
    whole = max(math.ceil(seconds), 1)
    if whole <= 120:
        return f"{whole} с"
    minutes = math.ceil(whole / 60)
    return f"{minutes} мин" if minutes <= 120 else f"{math.ceil(minutes / 60)} ч"


_Words = tuple[str, str, str]

_WORDS: Final = MappingProxyType[type[ProviderError], _Words](
    {
        ProviderError: (
            "Ошибка поставщика",
            "Поставщик не выполнил запрос.",
            "Посмотрите состояние поставщика и повторите запрос.",
        ),
        errors.InvalidRequestError: (
            "Запрос составлен неверно",
            "Поставщик или шлюз не принял запрос: в нём есть то, чего модель не понимает.",
            "Исправьте запрос: параметры, инструменты, формат ответа. Повторять его без изменений бесполезно.",
        ),
        errors.AuthenticationFailedError: (
            "Ключ не принят",
            "Поставщик не признал ключ или сертификат, с которым к нему обращаются.",
            "Проверьте файл ключа и то, для какого договора ключ выдан; при необходимости выпустите новый в кабинете поставщика.",
        ),
        errors.CredentialExpiredError: (
            "Срок временного токена истёк",
            "Поставщик больше не принимает временный токен; шлюз уже забыл его и при следующей попытке получит новый.",
            "Повторите запрос. Если ошибка повторяется, проверьте ключ и часы сервера.",
        ),
        errors.PermissionDeniedError: (
            "Доступ запрещён",
            "К этой модели запросы не пропускаются: так решил поставщик или проверка места обработки.",
            "Проверьте права ключа и договор с поставщиком, затем выполните `appliance providers check`.",
        ),
        errors.ModelNotFoundError: (
            "Такой модели нет",
            "Поставщик не знает модели, указанной в настройках, или у договора нет к ней доступа.",
            "Сверьте имя модели (`upstream`) со списком поставщика: его показывает `appliance providers check`.",
        ),
        errors.RequestTooLargeError: (
            "Запрос слишком велик",
            "Поставщик не принимает запросы такого размера.",
            "Сократите историю или вложенный текст.",
        ),
        errors.UnprocessableRequestError: (
            "Запрос не может быть обработан",
            "Запрос понят, но модель не умеет того, что в нём просят.",
            "Уберите неподдерживаемые параметры или выберите другую модель.",
        ),
        errors.PaymentRequiredError: (
            "Закончились оплаченные токены",
            "Поставщик требует оплаты: пакет или баланс исчерпан.",
            "Пополните баланс или купите пакет в кабинете поставщика.",
        ),
        errors.RateLimitedError: (
            "Слишком много запросов",
            "Достигнут предел одновременных или частых запросов.",
            "Если это повторяется, уменьшите `max_concurrent` или договоритесь с поставщиком о большем пределе.",
        ),
        errors.UpstreamServerError: (
            "Сбой у поставщика",
            "Поставщик ответил ошибкой на своей стороне.",
            "Повторите позже; если сбой не проходит, сообщите поставщику номер запроса.",
        ),
        errors.UnexpectedStatusError: (
            "Непонятный ответ поставщика",
            "Поставщик ответил кодом, которого протокол не предусматривает, или перенаправил запрос; за перенаправлениями шлюз не следует.",
            "Проверьте `base_url`: он должен вести прямо к API.",
        ),
        errors.ConnectionFailedError: (
            "Нет связи с поставщиком",
            "Не удалось найти узел, соединиться с ним или проверить его сертификат.",
            "Проверьте `base_url`, сеть и `ca_file`.",
        ),
        errors.ConnectionLostError: (
            "Соединение оборвалось до ответа",
            "Связь была, но пропала раньше первого байта ответа: неизвестно, выполнен ли запрос.",
            "Повторите запрос. Если обрывы часты, уменьшите `keepalive` и проверьте сеть.",
        ),
        errors.UpstreamTimeoutError: (
            "Поставщик не ответил вовремя",
            "Ответа не было дольше, чем разрешено в `timeouts`.",
            "Повторите позже; для медленной модели увеличьте `timeouts`.",
        ),
        errors.InterruptedStreamError: (
            "Ответ оборвался",
            "Ответ закончился раньше, чем модель его завершила; его начало — не целый ответ.",
            "Повторите запрос.",
        ),
        errors.MalformedReplyError: (
            "Ответ не по протоколу",
            "Поставщик прислал не то, что предписывает его протокол.",
            "Проверьте `base_url` и вид поставщика (`kind`); сообщите поставщику номер запроса.",
        ),
        errors.ModelLoadingError: (
            "Модель загружается",
            "Модель ещё не готова отвечать.",
            "Подождите; если модель не запускается, посмотрите состояние поставщика.",
        ),
        errors.UnknownModelError: (
            "Нет такого маршрута",
            "Среди маршрутов шлюза нет запрошенного имени, или его модели не выполняют такую задачу.",
            "Запросите `auto` или имя из списка: `appliance providers list`.",
        ),
        errors.UnusableSettingsError: (
            "Настройки непригодны",
            "Поставщика нельзя открыть с такими настройками.",
            "Исправьте настройки и перезапустите службу.",
        ),
        errors.NoIndexError: (
            "Веса модели не получены",
            "Индекс пакетов недоступен, или в нём нет нужных частей.",
            "Проверьте адрес индекса и сеть или принесите файл весов сами и укажите `model_file`.",
        ),
        errors.NotEnoughDiskError: (
            "Не хватает места на диске",
            "Веса модели не помещаются на диск.",
            "Освободите место или укажите другой каталог.",
        ),
        errors.WrongDigestError: (
            "Веса модели повреждены",
            "Контрольная сумма полученного файла не та, что у издателя.",
            "Удалите файл и получите его заново из доверенного источника.",
        ),
    }
)

# What a known code tells more exactly than the error's kind.
_BY_CODE: Final = MappingProxyType[tuple[type[ProviderError], str], _Words](
    {
        (errors.InvalidRequestError, "context_length_exceeded"): (
            "Запрос длиннее контекста модели",
            "Текст вместе с ответом не помещается в контекст модели; обрезать его молча шлюз не даёт.",
            "Сократите запрос или возьмите модель с большим контекстом (для Ollama — увеличьте `num_ctx`).",
        ),
        (errors.InvalidRequestError, "unsupported_parameter"): (
            "Модель этого не умеет",
            "Модель не поддерживает одну из возможностей, нужных запросу: инструменты, рассуждения, чат или векторы.",
            "Выберите другую модель или уберите эту возможность из запроса.",
        ),
        (errors.PermissionDeniedError, "model_not_found"): (
            "Модели нет на сервере",
            "Сервер не показывает эту модель среди своих, поэтому запросы к ней не отправляются.",
            "Загрузите модель на сервер (`ollama pull`) или исправьте её имя в настройках.",
        ),
    }
)
