import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import (
    EmbeddedSettings,
    ModelSettings,
    OpenAICompatibleSettings,
    Residency,
    TestingSettings,
    UnusableSettingsError,
    check_provider,
    open_provider,
)
from providers.addresses import PRIVATE_NETWORKS, is_private_address, is_private_host

LOCAL = (ModelSettings("m", Residency.LOCAL),)
FAR = (ModelSettings("m", Residency.FOREIGN),)


def upstream(base_url="https://api.example.com/v1", models=FAR, **fields):
    return OpenAICompatibleSettings(name="up", models=models, base_url=base_url, **fields)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.0.5", "::1", "fd00::1",
        "fe80::1%eth0", "::ffff:10.0.0.1", "localhost", "LOCALHOST", "vllm", "vllm.localhost", "gpu.local", "gpu.corp.internal",
        "box.home.arpa", "gpu.local.", "internal",
    ],
)  # fmt: skip
def test_hosts_inside_the_company(host):
    assert is_private_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8", "172.32.0.1", "192.169.0.1", "100.64.0.1", "198.18.0.1", "192.0.2.1", "::", "2001:db8::1", "::ffff:8.8.8.8", "",
        ".", "api.openai.com", "local.example.com", "134744072", "8.8", "1.2.3", "gpu.lan", "notlocal.ru", "1:2",
    ],
)  # fmt: skip
def test_hosts_that_are_not_or_cannot_be_shown_to_be(host):
    assert not is_private_host(host)


@given(st.ip_addresses())
def test_an_address_is_private_only_inside_the_listed_networks(address):
    inside = any(address in network for network in PRIVATE_NETWORKS)
    mapped = getattr(address, "ipv4_mapped", None)
    assert is_private_address(str(address)) is (inside or (mapped is not None and is_private_address(str(mapped))))
    assert is_private_host(str(address)) is is_private_address(str(address))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (upstream("ftp://127.0.0.1/v1"), "http"),
        (upstream("nonsense"), "http"),
        (upstream("http://[1"), "URL"),
        (upstream("http://api.example.com/v1"), "открытому http"),
        (upstream("http://134744072/v1"), "открытому http"),
        (upstream("https://user:pass@api.example.com/v1"), "паролю"),
        (upstream("https://api.example.com/v1?key=x"), "запросу"),
        (upstream(models=LOCAL), "названа локальной"),
        (upstream(headers={"X-Api-Key": "x"}), "секрет"),
        (upstream(headers={"Authorization": "x"}), "секрет"),
        (upstream(headers={"Host": "x"}), "клиент ставит сам"),
        (upstream(headers={"User-agent": "x"}), "клиент ставит сам"),
        (upstream(headers={"X A": "x"}), "HTTP"),
        (upstream(headers={"X": "a\nb"}), "HTTP"),
        (upstream(headers={"X": "я"}), "HTTP"),
        (upstream(api_key_file="/nonexistent/key"), "api_key_file"),
        (upstream(ca_file="/nonexistent/ca.pem"), "ca_file"),
    ],
)
async def test_what_cannot_be_used_is_named_by_the_check_and_refused_at_open(settings, word):
    assert any(word in problem for problem in check_provider(settings))
    with pytest.raises(UnusableSettingsError, match=word):
        async with open_provider(settings):
            pass


@pytest.mark.parametrize("content", ["", "\n", "two words", "two\nlines", "ёж"])
async def test_a_key_file_holds_one_key(tmp_path, content):
    key = tmp_path / "key"
    key.write_text(content)
    with pytest.raises(UnusableSettingsError, match="одна строка") as caught:
        async with open_provider(upstream(api_key_file=str(key))):
            pass
    assert not content.strip() or content not in str(caught.value)


async def test_a_ca_file_holds_certificates(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("not a certificate")
    with pytest.raises(UnusableSettingsError, match="ca_file"):
        async with open_provider(upstream(ca_file=str(ca))):
            pass


@pytest.mark.parametrize(("mode", "open_to_others"), [(0o400, False), (0o440, False), (0o644, True), (0o620, True)])
def test_a_key_file_that_others_may_use_is_reported(tmp_path, mode, open_to_others):
    key = tmp_path / "key"
    key.write_text("sk-synthetic-0001")
    key.chmod(mode)
    assert bool(check_provider(upstream(api_key_file=str(key)))) is open_to_others


@pytest.mark.parametrize(
    "settings",
    [
        upstream(),
        upstream("https://10.0.0.1/v1", models=LOCAL),
        upstream("http://vllm:8000/v1", models=LOCAL),
        upstream("http://[::1]:8000/v1", models=LOCAL),
        upstream("http://127.0.0.1:8000/v1", models=FAR),
        upstream(headers={"OpenAI-Project": "folder", "x-data-logging-enabled": "false"}),
        TestingSettings(name="t", models=LOCAL),
    ],
)
async def test_what_can_be_used_has_no_problems_and_opens(settings):
    assert check_provider(settings) == []
    async with open_provider(settings) as provider:
        assert provider.name == settings.name
        assert provider.readiness().ready


def test_a_provider_needs_models_and_each_of_them_once():
    assert "нет ни одной модели" in check_provider(TestingSettings(name="t", models=()))[0]
    assert "t/m" in check_provider(TestingSettings(name="t", models=LOCAL + FAR))[0]


async def test_the_embedded_model_is_local_by_nature(tmp_path):
    settings = EmbeddedSettings(name="e", models=FAR, model_file=str(tmp_path / "none.gguf"))
    problems = check_provider(settings)
    assert any("residency" in problem for problem in problems)
    assert any("model_file" in problem for problem in problems)
    with pytest.raises(UnusableSettingsError, match="residency"):
        async with open_provider(settings):
            pass
