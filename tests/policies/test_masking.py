"""Methods of hiding: each has its place in the order, and none leaves more of a value than it says."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import Entity, Method, masked
from policies.masking import ORDER_140

ONE_WAY = [method for method in Method if not method.reversible]
values = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def test_every_method_has_its_place_in_the_order():
    assert set(ORDER_140) == set(Method)
    assert len(set(ORDER_140.values())) == len(Method)
    assert {method for method in Method if method.reversible} == {Method.IDENTIFIER, Method.SUBSTITUTION}


@pytest.mark.parametrize(
    ("method", "entity", "value", "expected"),
    [
        (Method.DELETION, Entity.PERSON, "Иванов Пётр", "[удалено]"),
        (Method.STARS, Entity.PHONE, "+7 (916) 123-45-67", "+* (***) ***-**-**"),
        (Method.STARS, Entity.PERSON, "Иванов-Петров И. О.", "******-****** *. *."),
        (Method.GENERALIZATION, Entity.BIRTH_DATE, "12.03.1987", "1987 год"),
        (Method.GENERALIZATION, Entity.BIRTH_DATE, "двенадцатого марта", "[дата рождения]"),
        (Method.GENERALIZATION, Entity.EMAIL, "petrov.ivan@example.ru", "[почта в домене example.ru]"),
        (Method.GENERALIZATION, Entity.IP, "178.45.12.9", "178.45.0.0/16"),
        (Method.GENERALIZATION, Entity.IP, "2001:db8:1:2::3", "2001:db8::/32"),
        (Method.GENERALIZATION, Entity.IP, "ten dot one", "[IP-адрес]"),
        (Method.GENERALIZATION, Entity.PHONE, "8 (916) 123-45-67", "[телефон +7 916]"),
        (Method.GENERALIZATION, Entity.PHONE, "123-45-67", "[телефон]"),
        (Method.GENERALIZATION, Entity.GEO, "55.75583, 37.61778", "[место около 55.8, 37.6]"),
        (Method.GENERALIZATION, Entity.SNILS, "112-233-445 95", "[СНИЛС]"),
        (Method.GENERALIZATION, Entity.ADDRESS, "г. Тула, ул. Мира, 5", "[адрес]"),
        (Method.DISTORTION, Entity.PERSON, "Иванов Пётр", "[ФИО]"),
        (Method.DISTORTION, Entity.BIRTH_DATE, "31.02.1987", "[дата рождения]"),
    ],
)
def test_what_stands_in_the_place_of_a_value(method, entity, value, expected):
    assert masked(method, entity, value, b"k") == expected


@pytest.mark.parametrize("method", [Method.IDENTIFIER, Method.SUBSTITUTION])
def test_what_comes_back_is_not_made_here(method):
    with pytest.raises(ValueError, match="brings the original back"):
        masked(method, Entity.PERSON, "Иванов")


@given(values)
def test_stars_keep_nothing_but_separators_and_length(value):
    hidden = masked(Method.STARS, Entity.PERSON, value)
    assert len(hidden) == len(value)
    assert all(
        mark == "*" if original.isalnum() else mark == original for mark, original in zip(hidden, value, strict=True)
    )


@given(
    st.sampled_from(Entity), st.text("0123456789- ()+АBв", min_size=4, max_size=20), st.binary(min_size=1, max_size=8)
)
def test_a_distortion_keeps_no_digit_and_no_letter_in_its_place_and_is_the_same_under_the_same_key(entity, value, key):
    hidden = masked(Method.DISTORTION, entity, value, key)
    assert hidden == masked(Method.DISTORTION, entity, value, key)
    if not hidden.startswith("["):
        assert len(hidden) == len(value)
        assert all(mark != original for mark, original in zip(hidden, value, strict=True) if original.isalnum())


@given(st.dates(), st.binary(min_size=1, max_size=8))
def test_a_distorted_birth_date_is_another_day_within_a_year(day, key):
    if not 1900 <= day.year <= 2099:
        return
    hidden = masked(Method.DISTORTION, Entity.BIRTH_DATE, f"род. {day:%d.%m.%Y} г.", key)
    moved = datetime.strptime(re.search(r"[\d.]{10}", hidden)[0], "%d.%m.%Y").date()  # noqa: DTZ007  (a day, not a moment)
    assert 0 < (moved - day).days <= 365
    assert hidden.startswith("род. ")
