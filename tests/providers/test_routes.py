import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import (
    ModelSettings,
    ProviderSettings,
    Residency,
    Route,
    TestingSettings,
    UnknownModelError,
    UnusableSettingsError,
    matching,
    routes_of,
)

LOCAL = TestingSettings(
    name="here", models=(ModelSettings("qwen/small", Residency.LOCAL), ModelSettings("b", Residency.LOCAL))
)
CLOUD = TestingSettings(
    name="cloud",
    models=(
        ModelSettings("b", Residency.RU, upstream="gpt://folder/b", country="RU"),
        ModelSettings("far", Residency.FOREIGN, country="US", auto=False),
    ),
)
ROUTES = routes_of((LOCAL, CLOUD))


def ids(routes):
    return [route.id for route in routes]


def test_routes_keep_the_order_of_the_settings_and_the_residency_of_each_model():
    assert ids(ROUTES) == ["here/qwen/small", "here/b", "cloud/b", "cloud/far"]
    assert ROUTES[2] == Route("cloud", "b", "gpt://folder/b", Residency.RU, "RU", auto=True)
    assert ROUTES[0].upstream == "qwen/small"


def test_auto_offers_the_routes_that_are_offered_to_it():
    assert ids(matching(ROUTES, "auto")) == ["here/qwen/small", "here/b", "cloud/b"]


def test_a_full_name_means_one_route_also_when_the_model_has_a_slash():
    assert ids(matching(ROUTES, "here/qwen/small")) == ["here/qwen/small"]
    assert ids(matching(ROUTES, "cloud/far")) == ["cloud/far"]


def test_a_provider_means_all_its_models():
    assert ids(matching(ROUTES, "cloud")) == ["cloud/b", "cloud/far"]


@pytest.mark.parametrize("name", ["b", "", "/", "here/", "cloud/qwen/small", "AUTO", "nobody"])
def test_anything_else_matches_nothing_and_is_not_repeated(name):
    with pytest.raises(UnknownModelError) as caught:
        matching(ROUTES, name)
    assert not name or f"`{name}`" not in str(caught.value)
    assert not caught.value.failover


def test_no_auto_route_is_an_unknown_model_too():
    with pytest.raises(UnknownModelError):
        matching(ROUTES[3:], "auto")


@given(st.sampled_from([route.id for route in ROUTES] + ["auto", "here", "cloud"]), st.permutations(ROUTES))
def test_candidates_keep_the_order_they_are_given_in(name, routes):
    found = matching(routes, name)
    assert list(found) == [route for route in routes if route in found]
    assert set(found) == set(matching(ROUTES, name))


def test_two_routes_of_one_name_are_refused():
    with pytest.raises(UnusableSettingsError, match="here/b"):
        routes_of((LOCAL, TestingSettings(name="here", models=(ModelSettings("b", Residency.FOREIGN),))))


@pytest.mark.parametrize("name", ["auto", "Upper", "a/b", "", "-a", "пример"])
def test_a_provider_has_a_plain_name_that_is_not_auto(name):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "testing", "name": name, "models": []}, ProviderSettings)


def test_settings_forbid_what_they_do_not_know():
    model = {"name": "m", "residency": "local"}
    assert msgspec.convert({"kind": "testing", "name": "t", "models": [model]}, ProviderSettings) == TestingSettings(
        name="t", models=(ModelSettings("m", Residency.LOCAL),)
    )
    for wrong in (
        {"kind": "testing", "name": "t", "models": [model], "verify": False},
        {"kind": "testing", "name": "t", "models": [model | {"residency": "eu"}]},
        {"kind": "openai_compatible", "name": "t", "models": [model], "base_url": None},
        {"kind": "unheard-of", "name": "t", "models": [model]},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, ProviderSettings)
