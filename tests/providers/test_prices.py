from datetime import date
from decimal import Decimal, localcontext
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Usage
from providers.errors import UnusableSettingsError
from providers.prices import Cost, PriceList, Tariff, TokenEstimator, _meet, load_tariffs

TODAY = date(2026, 11, 22)
SHIPPED = load_tariffs()


def tariff(**fields):
    given = {
        "id": "t",
        "provider": "v",
        "models": ("m",),
        "valid_from": date(2026, 1, 1),
        "source": "invented",
        "checked": TODAY,
        "vat": "included",
    }
    prices = {name: Decimal(price) for name, price in fields.items() if isinstance(price, str) and name != "id"}
    return Tariff(**given | fields | prices)


def usage(prompt, completion=0, *, cached=0, total=None):
    return Usage(prompt, completion, prompt + completion if total is None else total, cached)


def cost(priced, used, seconds=0.0):
    return PriceList((priced,)).cost(priced, used, seconds=seconds)


ENTRY = """
[[tariffs]]
id = "one"
provider = "gigachat"
models = ["GigaChat-2"]
valid_from = 2026-02-01
source = "invented"
checked = 2026-11-22
vat = "included"
per = 1_000
input = "0.5"
output = "1"
"""


@pytest.fixture
def load(tmp_path):
    def read(text):
        file = tmp_path / "prices.toml"
        file.write_text(text, encoding="utf-8")
        return load_tariffs(file)

    return read


@pytest.fixture
def complaint(load):
    def read(text):
        with pytest.raises(UnusableSettingsError) as caught:
            load(text)
        assert "prices.toml" in str(caught.value)
        return str(caught.value)

    return read


# --- Which tariff applies ---


@pytest.mark.parametrize(
    ("vendor", "upstream", "expected"),
    [
        ("gigachat", "GigaChat-2", "gigachat-2-2026-02"),
        ("gigachat", "GigaChat-2-Pro", "gigachat-2-pro-2026-02"),
        ("gigachat", "GigaChat-2-Pro:2.0.28.2", "gigachat-2-pro-2026-02"),
        ("gigachat", "GigaChat-2-Max", "gigachat-2-max-2026-02"),
        ("gigachat", "Embeddings", "gigachat-embeddings-2026-02"),
        ("yandexgpt", "yandexgpt/latest", "yandex-pro-5-2026"),
        ("yandexgpt", "gpt://b1gexample/yandexgpt/latest", "yandex-pro-5-2026"),
        ("yandexgpt", "gpt://b1gexample/yandexgpt/rc", "yandex-pro-5.1-2026"),
        ("yandexgpt", "yandexgpt-5.1", "yandex-pro-5.1-2026"),
        ("yandexgpt", "yandexgpt-lite", "yandex-lite-2026"),
        ("yandexgpt", "gpt://b1gexample/yandexgpt-lite/latest@tuned", "yandex-lite-2026"),
        ("yandexgpt", "gpt://b1gexample/aliceai-llm", "yandex-alice-2026"),
        ("yandexgpt", "gpt://b1gexample/qwen3-235b-a22b-fp8/latest", "yandex-qwen3-235b-2026"),
        ("yandexgpt", "gpt://b1gexample/gpt-oss-20b/latest", "yandex-gpt-oss-20b-2026"),
    ],
)
def test_the_shipped_prices_are_found_by_the_upstreams_own_name(vendor, upstream, expected):
    found = SHIPPED.tariff(vendor, upstream, TODAY)
    assert found is not None
    assert found.id == expected


@pytest.mark.parametrize(
    ("vendor", "upstream"),
    [
        ("gigachat", "GigaChat-2-Pro-preview"),
        ("gigachat", "GigaChat-3-Ultra"),
        ("gigachat", "Embeddings-2"),
        ("gigachat", "gigachat-2-pro"),
        ("gigachat", "GigaChat-2-Pro:latest"),
        ("gigachat", "GigaChat-2-Pro\n"),
        ("gigachat", ""),
        ("yandexgpt", "yandexgpt/deprecated"),
        ("yandexgpt", "emb://b1gexample/text-search-doc/latest"),
        ("yandexgpt", "gpt://b1gexample/yandexgpt/latest@tuned"),
        ("ollama", "qwen3:8b"),
    ],
)
def test_a_model_without_a_known_price_has_no_tariff_and_no_cost(vendor, upstream):
    found = SHIPPED.tariff(vendor, upstream, TODAY)
    assert found is None
    assert SHIPPED.cost(found, usage(1000, 1000), seconds=1.0) is None


def test_no_vendors_price_is_taken_for_anothers():
    assert SHIPPED.tariff("yandexgpt", "GigaChat-2-Pro", TODAY) is None
    assert SHIPPED.tariff("gigachat", "yandexgpt/latest", TODAY) is None
    assert SHIPPED.tariff("vllm", "gpt-oss-120b", TODAY) is None


def test_a_price_belongs_to_the_vendor_and_not_to_the_name_a_provider_was_given():
    """A provider named "sber-main" cost 0 rubles in the library this project comes from."""
    assert SHIPPED.tariff("sber-main", "GigaChat-2-Pro", TODAY) is None
    assert SHIPPED.tariff("gigachat", "GigaChat-2-Pro", TODAY).input == 500


def test_a_price_changes_at_midnight_and_ends_after_its_last_day():
    old = tariff(id="old", valid_to=date(2026, 6, 30), per=1000, input="1")
    new = tariff(id="new", valid_from=date(2026, 7, 1), valid_to=date(2026, 12, 31), per=1000, input="2")
    prices = PriceList((new, old))
    found = {day: prices.tariff("v", "m", day) for day in (date(2026, 6, 30), date(2026, 7, 1))}
    assert [each.id for each in found.values()] == ["old", "new"]
    assert prices.tariff("v", "m", date(2025, 12, 31)) is None
    assert prices.tariff("v", "m", date(2026, 12, 31)) is new
    assert prices.tariff("v", "m", date(2027, 1, 1)) is None


def test_no_price_is_known_before_the_shipped_ones_begin():
    assert SHIPPED.tariff("gigachat", "GigaChat-2-Pro", date(2026, 1, 31)) is None
    assert SHIPPED.tariff("gigachat", "GigaChat-2-Pro", date(2026, 2, 1)) is not None


def test_patterns_stand_for_names_and_a_name_with_a_tag_stays_whole():
    prices = PriceList((tariff(models=("qwen3:?b", "llama*"), per_hour="0"),))
    assert prices.tariff("v", "qwen3:8b", TODAY)
    assert prices.tariff("v", "llama3.1:70b", TODAY)
    assert prices.tariff("v", "qwen3", TODAY) is None
    assert prices.tariff("v", "a-llama", TODAY) is None


def test_every_shipped_price_says_whence_it_is_and_when_it_was_checked():
    assert {each.provider for each in SHIPPED.tariffs} == {"gigachat", "yandexgpt"}
    for each in SHIPPED.tariffs:
        assert each.source
        assert each.valid_from <= each.checked <= TODAY
        assert (each.vat == "included") == ("rub-common-instance-sync" in each.source)


# --- What a usage costs ---


@pytest.mark.parametrize(
    ("vendor", "upstream", "used", "microrubles"),
    [
        ("gigachat", "GigaChat-2", usage(1, 0), 65),
        ("gigachat", "GigaChat-2-Pro", usage(1200, 300), 750_000),
        ("gigachat", "GigaChat-2-Max", usage(1_000_000, 0), 650_000_000),
        ("gigachat", "Embeddings", usage(512), 7168),
        ("yandexgpt", "yandexgpt/latest", usage(1000, 500), 1_800_000),
        ("yandexgpt", "yandexgpt/rc", usage(100, 100), 160_000),
        ("yandexgpt", "yandexgpt-lite", usage(1, 0), 200),
        ("yandexgpt", "aliceai-llm", usage(1000, 1000), 1_700_000),
        ("yandexgpt", "aliceai-llm-flash", usage(1000, 1000, cached=400), 60_000 + 10_000 + 200_000),
    ],
)
def test_worked_examples(vendor, upstream, used, microrubles):
    found = SHIPPED.tariff(vendor, upstream, TODAY)
    assert SHIPPED.cost(found, used, seconds=12.5) == Cost(microrubles, found.tool in (None, found.input), found.id)


def test_gigachat_bills_the_total_from_which_it_took_the_cached_tokens():
    pro = SHIPPED.tariff("gigachat", "GigaChat-2-Pro", TODAY)
    used = usage(1000, 200, cached=800, total=400)
    assert SHIPPED.cost(pro, used, seconds=1.0) == Cost(400 * 500, exact=True, tariff=pro.id)


def test_cached_tokens_have_their_own_price():
    priced = tariff(per=1000, input="4", output="8", cached="1")
    assert cost(priced, usage(1000, 0, cached=600)) == Cost(1_600_000 + 600_000, exact=True, tariff="t")


def test_cached_tokens_without_a_price_cost_as_others_and_the_cost_is_not_exact():
    priced = tariff(per=1000, input="4", output="8")
    assert cost(priced, usage(1000, 0, cached=600)) == Cost(4_000_000, exact=False, tariff="t")
    assert cost(priced, usage(1000, 0)).exact


def test_tokens_of_tools_with_another_price_make_the_cost_inexact():
    assert not cost(tariff(per=1000, input="4", output="8", tool="1"), usage(1000)).exact
    assert cost(tariff(per=1000, input="4", output="8", tool="4"), usage(1000)).exact


def test_tokens_without_a_price_make_the_cost_unknown_and_not_smaller():
    assert cost(tariff(per=1000, input="4"), usage(1000, 1)) is None
    assert cost(tariff(per=1000, input="4"), usage(1000, 0)).microrubles == 4_000_000
    assert cost(tariff(per=1000, output="4"), usage(1, 0)) is None


def test_hardware_is_paid_by_the_hour():
    assert cost(tariff(per_hour="360"), usage(1000, 1000), seconds=2.5) == Cost(250_000, exact=True, tariff="t")
    assert cost(tariff(per_hour="360"), usage(1000, 1000), seconds=0.0).microrubles == 0


def test_a_model_that_costs_nothing_says_so():
    assert cost(tariff(per_hour="0"), usage(1000, 1000), seconds=60) == Cost(0, exact=True, tariff="t")


def test_a_request_may_have_a_price_besides_its_tokens():
    assert cost(tariff(per=1000, input="1", per_request="0.25"), usage(1000)).microrubles == 1_250_000
    assert cost(tariff(per_request="0.25"), usage(1000, 5)).microrubles == 250_000


@pytest.mark.parametrize(("tokens", "microrubles"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_half_a_millionth_is_rounded_to_the_even_one(tokens, microrubles):
    assert cost(tariff(per=1_000_000, input="0.5"), usage(tokens)).microrubles == microrubles


def test_a_cost_is_rounded_once_and_not_for_each_kind_of_token():
    assert cost(tariff(per=1_000_000, input="0.4", output="0.4"), usage(1, 1)).microrubles == 1


def test_numbers_that_no_upstream_should_count_do_not_make_a_cost_negative():
    priced = tariff(per=1000, input="4", output="8", cached="1")
    assert cost(priced, usage(10, 0, cached=1000)).microrubles == 10_000
    assert cost(priced, usage(10, 0, cached=-5)).microrubles == 40_000
    assert cost(priced, usage(-10, -10, cached=5)).microrubles == 0


def test_a_count_no_bill_could_hold_makes_the_cost_unknown_instead_of_a_number_nobody_can_write_down():
    priced = tariff(per=1, input="500", output="500")
    assert cost(priced, usage(2**62, 2**62)) is None
    assert cost(priced, usage(10**9, 0)).microrubles == 500 * 10**15


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.decimals(0, 10_000, places=4), st.decimals(0, 10_000, places=4))
def test_a_cost_is_the_exact_sum_of_its_tokens(prompt, completion, price, other):
    found = cost(tariff(per=1_000_000, input=price, output=other), usage(prompt, completion))
    with localcontext(prec=60):
        assert abs(found.microrubles - (prompt * price + completion * other)) <= Decimal("0.5")


# --- The file ---


def test_a_companys_own_file_takes_the_place_of_the_shipped_one(load):
    prices = load(ENTRY)
    assert prices.tariff("gigachat", "GigaChat-2", TODAY).output == 1
    assert prices.tariff("yandexgpt", "yandexgpt/latest", TODAY) is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "one"\n', "", ("запись 1", "нет поля `id`")),
        ('id = "one"', 'id = "One!"', ("поле `id` не подходит",)),
        ('vat = "included"', 'vat = "yes"', ("запись 1 (`one`)", "поле `vat`", "`excluded`")),
        ("per = 1_000\n", "per = 100\n", ("поле `per`", "1000000")),
        ("per = 1_000\n", "", ("нет поля `per`",)),
        ('input = "0.5"', "input = 0.5", ("поле `input`", "в кавычках")),
        ('input = "0.5"', 'input = "0,5"', ("поле `input`", "в кавычках")),
        ('input = "0.5"', 'input = "-1"', ("поле `input`", "неотрицательное")),
        ('input = "0.5"', 'input = "NaN"', ("поле `input`", "неотрицательное")),
        ('input = "0.5"', 'input = "Infinity"', ("поле `input`",)),
        ('input = "0.5"', "input = true", ("поле `input`",)),
        ('input = "0.5"', 'inptu = "0.5"', ("неизвестное поле `inptu`", "input")),
        ('input = "0.5"\noutput = "1"\n', "", ("ни одной цены", "per_hour")),
        ('output = "1"', 'output = "1"\nbill_total = true', ("`bill_total`",)),
        ('output = "1"', 'output = "0.5"\ncached = "0"\nbill_total = true', ("`bill_total`",)),
        ("valid_from = 2026-02-01", 'valid_from = "завтра"', ("поле `valid_from`", "дата")),
        ("valid_from = 2026-02-01", "valid_from = 2026-02-01\nvalid_to = 2026-01-31", ("`valid_to` раньше",)),
        ("checked = 2026-11-22\n", "", ("нет поля `checked`",)),
        ('source = "invented"', 'source = ""', ("поле `source`",)),
        ('models = ["GigaChat-2"]', "models = []", ("поле `models`",)),
        ('models = ["GigaChat-2"]', 'models = ["Giga[12]"]', ("поле `models`",)),
        ("[[tariffs]]", "[[tarifs]]", ("неизвестное поле `tarifs`",)),
        ("[[tariffs]]", "[tariffs]", ("ни одной записи",)),
        (ENTRY, "", ("ни одной записи",)),
        (ENTRY, "tariffs = [1]", ("запись 1", "не таблица")),
    ],
)
def test_a_fault_is_told_in_russian_with_file_entry_and_field(complaint, old, new, words):
    assert old in ENTRY
    told = complaint(ENTRY.replace(old, new))
    for word in words:
        assert word in told
    assert "$" not in told
    assert "Expected" not in told


def test_a_file_that_is_no_toml_is_told_with_the_line(complaint):
    told = complaint(ENTRY.replace("[[tariffs]]", "[[tariffs]"))
    assert "это не TOML" in told
    assert "line 2" in told


def test_the_number_of_the_faulty_entry_is_told(complaint):
    second = ENTRY.replace('"one"', '"two"').replace('"GigaChat-2"', '"Other"').replace('"0.5"', '"x"')
    assert "запись 2 (`two`)" in complaint(ENTRY + second)


def test_two_entries_of_one_name_are_refused(complaint):
    assert "`one`" in complaint(ENTRY + ENTRY.replace('"GigaChat-2"', '"Other"'))


def test_two_prices_of_one_model_on_the_same_day_are_refused(complaint, load):
    later = ENTRY.replace('"one"', '"two"').replace("2026-02-01", "2026-07-01")
    told = complaint(ENTRY + later)
    assert "`one`" in told
    assert "`two`" in told
    assert "`valid_to`" in told
    closed = ENTRY.replace("valid_from = 2026-02-01", "valid_from = 2026-02-01\nvalid_to = 2026-06-30")
    assert len(load(closed + later).tariffs) == 2
    one_day_too_many = closed.replace("2026-06-30", "2026-07-01")
    assert "`two`" in complaint(one_day_too_many + later)


def test_patterns_that_meet_are_refused_only_for_the_same_seller(complaint, load):
    other = ENTRY.replace('"one"', '"two"').replace('"GigaChat-2"', '"Giga*"')
    assert "`Giga*`" in complaint(ENTRY + other)
    assert len(load(ENTRY + other.replace('"gigachat"', '"yandexgpt"')).tariffs) == 2


@given(st.text("ab*?", max_size=6), st.text("ab*?", max_size=6), st.text("ab", max_size=6))
def test_patterns_meet_where_a_name_fits_both(one, other, name):
    if fnmatchcase(name, one) and fnmatchcase(name, other):
        assert _meet(one, other)
    assert _meet(one, other) == _meet(other, one)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a*", "*b", True),
        ("a*c", "b*c", False),
        ("*a", "*b", False),
        ("?", "a", True),
        ("?", "", False),
        ("*", "", True),
        ("*a*", "*b*", True),
        ("a?c", "ab*d", False),
    ],
)
def test_whether_patterns_meet(one, other, meet):
    assert _meet(one, other) is meet


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UnusableSettingsError, match=r"nowhere\.toml.*не читается"):
        load_tariffs(tmp_path / "nowhere.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UnusableSettingsError, match=r"bytes\.toml.*UTF-8"):
        load_tariffs(tmp_path / "bytes.toml")


# --- How many tokens ---


def test_before_the_first_answer_tokens_are_guessed_by_the_language():
    estimator = TokenEstimator()
    assert estimator.estimate("r", 330, 0).prompt_tokens == 100
    assert estimator.estimate("r", 400, 0, russian=False).prompt_tokens == 100
    assert estimator.estimate("r", 1, 0).prompt_tokens == 1
    assert estimator.estimate("r", 0, 0) == Usage(0, 0, 0)


def test_a_text_without_spaces_is_many_tokens_too():
    """6,000 characters without a space were one token in the library this project comes from."""
    assert TokenEstimator().estimate("r", 6000, 0).prompt_tokens > 1500


def test_the_answer_is_no_longer_than_allowed():
    estimator = TokenEstimator()
    assert estimator.estimate("r", 330, 20) == Usage(100, 20, 120)
    assert estimator.estimate("r", 330, None).completion_tokens == 300
    assert estimator.estimate("r", 330, 100_000).completion_tokens == 300


def test_a_route_learns_its_own_ratio_and_the_length_of_its_answers():
    estimator = TokenEstimator()
    estimator.learn("r", 1000, usage(500, 40))
    assert estimator.estimate("r", 200, None) == Usage(100, 40, 140)
    assert estimator.estimate("other", 330, None) == Usage(100, 300, 400)


def test_the_last_answers_count_most():
    estimator = TokenEstimator()
    for _ in range(100):
        estimator.learn("r", 1000, usage(1000, 10))
    for _ in range(60):
        estimator.learn("r", 1000, usage(250, 90))
    found = estimator.estimate("r", 1000, None)
    assert 250 <= found.prompt_tokens <= 255
    assert 89 <= found.completion_tokens <= 90


@pytest.mark.parametrize(("characters", "used"), [(0, usage(10, 5)), (100, usage(0, 0)), (100, usage(-5, 5))])
def test_an_answer_without_a_prompt_teaches_nothing(characters, used):
    estimator = TokenEstimator()
    estimator.learn("r", characters, used)
    assert estimator.estimate("r", 330, None) == Usage(100, 300, 400)


def test_only_the_routes_used_last_are_remembered():
    estimator = TokenEstimator(routes=2)
    for route_id in ("a", "b", "a", "c"):
        estimator.learn(route_id, 100, usage(100, 1))
    assert estimator.estimate("a", 330, 0).prompt_tokens == 330
    assert estimator.estimate("c", 330, 0).prompt_tokens == 330
    assert estimator.estimate("b", 330, 0).prompt_tokens == 100
