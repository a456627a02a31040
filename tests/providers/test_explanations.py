"""Every error has words for an operator, in Russian, and none of them is an upstream's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import errors
from providers.errors import KNOWN_CODES, ProviderError, from_status
from providers.explanations import explain

SECRET = "Ivanov-Petrov"
RUSSIAN = re.compile(r"[А-Яа-яЁё]")


def with_leaves(kind=ProviderError):
    """Every error type that is raised: the leaves, and those above them that have a status of their own."""
    below = kind.__subclasses__()
    if not below or kind in (errors.AuthenticationFailedError, errors.ConnectionFailedError):
        yield kind
    for each in below:
        yield from with_leaves(each)


RAISED = sorted(set(with_leaves()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", RAISED)
def test_every_error_has_words_of_its_own(kind):
    told = explain(kind("синтетическая причина"))
    assert all(RUSSIAN.search(part) for part in (told.title, told.description, told.action))
    assert told.title != explain(ProviderError("x")).title
    others = [explain(other("x")).title for other in RAISED if other is not kind]
    assert told.title not in others


def test_an_error_without_words_of_its_own_has_those_above_it():
    assert explain(errors.UnavailableError("x")).title == explain(ProviderError("x")).title


@pytest.mark.parametrize("kind", [kind for kind in RAISED if kind is not errors.UnusableSettingsError])
def test_the_message_is_not_repeated_and_the_request_id_is_shown(kind):
    told = explain(kind(SECRET, request_id="req-7", code="rate_limit_exceeded"))
    words = " ".join((told.title, told.description, told.action))
    assert SECRET not in words
    assert "`req-7`" in told.description
    assert "`rate_limit_exceeded`" in told.description
    assert "Номер запроса у поставщика" not in explain(kind(SECRET)).description


def test_what_is_wrong_with_settings_is_said_as_it_was_found():
    told = explain(errors.UnusableSettingsError("поставщик `up`: не задан `base_url`"))
    assert told.description == "поставщик `up`: не задан `base_url`"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(30.0, "30 с"), (0.0, "1 с"), (0.2, "1 с"), (7.01, "8 с"), (120, "120 с"), (121, "3 мин"), (3600, "60 мин"), (86_400, "24 ч")],
)  # fmt: skip
def test_the_countdown_is_never_shorter_than_the_wait(seconds, said):
    told = explain(errors.RateLimitedError("x", retry_after=seconds))
    assert told.action.startswith(f"Повторите через {said}. ")


def test_the_callers_wait_counts_where_the_upstream_named_none():
    assert explain(errors.RateLimitedError("x"), wait=30).action.startswith("Повторите через 30 с. ")
    assert explain(errors.RateLimitedError("x", retry_after=5), wait=30).action.startswith("Повторите через 5 с. ")
    assert "через" not in explain(errors.RateLimitedError("x")).action
    assert "через 30 с" not in explain(errors.UpstreamServerError("x"), wait=30).action


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_nobody_is_told_to_repeat_what_was_rejected(status):
    assert "Повторите через" not in explain(from_status(status, retry_after=7), wait=30).action


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (from_status(400, code="context_length_exceeded"), "контекста"),
        (from_status(400, code="unsupported_parameter"), "не умеет"),
        (errors.PermissionDeniedError("x", code="model_not_found"), "нет на сервере"),
    ],
)
def test_a_known_code_tells_more_exactly(error, word):
    assert word in explain(error).title


@given(
    st.sampled_from([400, 401, 402, 403, 404, 408, 413, 418, 422, 429, 500, 503]), st.sampled_from(["", *KNOWN_CODES])
)
def test_every_status_with_every_code_has_words(status, code):
    told = explain(from_status(status, code=code, request_id="req-1"))
    assert told.title
    assert told.action
