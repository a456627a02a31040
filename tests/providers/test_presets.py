"""What is known of upstreams is data: it is read whole, it is true to itself, and it binds the settings."""

import datetime as dt

import pytest
from yarl import URL

from providers import (
    ModelSettings,
    OpenAICompatibleSettings,
    ProviderError,
    Residency,
    UnusableSettingsError,
    check_provider,
    collect,
    open_provider,
)
from providers.addresses import is_private_host
from providers.presets import preset_of_host, presets
from tests.providers.fakes.openai_server import OpenAIServer, says, streams

NAMES = (
    "vllm", "llama_cpp", "lm_studio", "cloud_ru", "mws_gpt", "selectel", "timeweb", "openai", "polza", "proxyapi", "vsegpt",
    "llmost", "openrouter", "generic",
)  # fmt: skip
RESELLERS = ("polza", "proxyapi", "vsegpt", "llmost", "openrouter")
OWN = "http://10.0.0.5:8000/v1"


def upstream(preset="", residency=Residency.FOREIGN, base_url="", **fields):
    models = (ModelSettings("m", residency),)
    return OpenAICompatibleSettings(name="up", models=models, preset=preset, base_url=base_url, **fields)


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_text("synthetic-key\n")
    path.chmod(0o400)
    return str(path)


def test_every_preset_that_was_promised_is_there_and_dated():
    assert tuple(presets()) == NAMES
    for name, preset in presets().items():
        assert preset.name == name
        assert preset.title
        assert preset.note
        assert preset.as_of >= dt.date(2026, 1, 1)
        assert preset.source.startswith("https://") or name == "generic"


@pytest.mark.parametrize("name", NAMES)
def test_an_address_is_https_at_one_of_the_presets_own_hosts(name):
    preset = presets()[name]
    if preset.base_url:
        url = URL(preset.base_url)
        assert (url.scheme, url.query_string, url.fragment) == ("https", "", "")
        assert not is_private_host(url.host)
        assert preset_of_host(url.host) is preset
    else:
        assert preset.residency in ("local", "ru", "per-model")


def test_no_domain_belongs_to_two_presets():
    domains = [domain for preset in presets().values() for domain in preset.hosts]
    assert all(preset_of_host(domain) is preset for preset in presets().values() for domain in preset.hosts)
    assert len(set(domains)) == len(domains)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "openai"),
        ("API.OpenAI.com.", "openai"),
        ("polza.ai", "polza"),
        ("openai.api.proxyapi.ru", "proxyapi"),
        ("notopenai.com", None),
        ("openai.com.example.com", None),
        ("10.0.0.5", None),
        ("", None),
    ],
)
def test_a_host_is_known_by_its_domain(host, name):
    found = preset_of_host(host)
    assert (found.name if found else None) == name


@pytest.mark.parametrize("name", [name for name in NAMES if presets()[name].base_url])
def test_a_preset_with_an_address_needs_no_other(name, key):
    assert check_provider(upstream(name, api_key_file=key)) == []


@pytest.mark.parametrize("name", [name for name in NAMES if not presets()[name].base_url])
def test_a_preset_without_an_address_asks_for_one_and_says_which(name, key):
    (problem,) = check_provider(upstream(name, api_key_file=key))
    assert "`base_url`" in problem
    assert presets()[name].note in problem


async def test_neither_address_nor_preset_is_a_problem_too():
    (problem,) = check_provider(upstream())
    assert "`base_url`" in problem
    with pytest.raises(UnusableSettingsError):
        async with open_provider(upstream()):
            pass


async def test_an_unknown_preset_is_a_problem_that_names_the_known_ones():
    settings = upstream("opeani", base_url="https://api.example.com/v1")
    (problem,) = check_provider(settings)
    assert "`opeani`" in problem
    assert all(f"`{name}`" in problem for name in NAMES)
    with pytest.raises(UnusableSettingsError):
        async with open_provider(settings):
            pass


@pytest.mark.parametrize("name", [name for name in NAMES if presets()[name].base_url])
def test_a_key_is_asked_for_where_the_upstream_wants_one(name):
    (problem,) = check_provider(upstream(name))
    assert "`api_key_file`" in problem
    behind_a_proxy = upstream(name, base_url="https://proxy.example.com/v1")
    assert check_provider(behind_a_proxy) == []


@pytest.mark.parametrize(
    ("name", "residency", "allowed"),
    [
        *((name, Residency.FOREIGN, True) for name in NAMES),
        *((name, Residency.RU, False) for name in ("openai", *RESELLERS)),
        *((name, Residency.LOCAL, False) for name in ("openai", *RESELLERS, "cloud_ru", "timeweb", "mws_gpt", "selectel")),
        *((name, Residency.RU, True) for name in ("cloud_ru", "timeweb", "mws_gpt", "selectel", "generic", "vllm")),
        *((name, Residency.LOCAL, True) for name in ("generic", "vllm", "llama_cpp", "lm_studio")),
    ],
)  # fmt: skip
def test_a_model_is_never_closer_than_its_upstream_works(name, residency, allowed, key):
    # An address of one's own makes nothing closer: a proxy inside the company still hands the prompts on.
    found = check_provider(upstream(name, residency, base_url=OWN, api_key_file=key))
    assert (found == []) is allowed
    assert allowed or ("`m`" in found[0] and presets()[name].title in found[0])


@pytest.mark.parametrize("name", ["openai", *RESELLERS])
@pytest.mark.parametrize("other", ["", "generic", "vllm"])
async def test_a_known_host_binds_whatever_preset_is_named(name, other, key):
    settings = upstream(other, Residency.RU, base_url=presets()[name].base_url, api_key_file=key)
    (problem,) = check_provider(settings)
    assert "трансграничная" in problem
    with pytest.raises(ProviderError):
        async with open_provider(settings):
            pass


async def test_a_preset_with_an_address_of_ones_own_is_asked_there(ask):
    async with OpenAIServer(streams(says("да"))).running() as server:
        settings = upstream("vllm", Residency.LOCAL, base_url=server.base_url)
        async with open_provider(settings) as provider:
            assert (await collect(provider.chat(ask()))).content == "да"
