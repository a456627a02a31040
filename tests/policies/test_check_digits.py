"""Check digits: published numbers first, then what a check digit promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.recognizers import bank_account, inn, snils
from policies.recognizers.identifier import luhn


@pytest.mark.parametrize("number", ["4111111111111111", "5555555555554444", "2200123456789019", "79927398713"])
def test_luhn_accepts_published_test_numbers(number):
    assert luhn(number)


def test_snils_accepts_the_number_of_the_pension_funds_own_example():
    assert snils.check("11223344595")
    assert not snils.check("11223344596")


def test_a_snils_from_before_check_digits_needs_none():
    assert snils.check("00100199899")


def test_inn_accepts_published_numbers_of_an_organisation_and_of_a_person():
    assert inn.check("7707083893")
    assert inn.check("500100732259")
    assert not inn.check("7707083894")
    assert not inn.check("500100732258")


def test_an_account_agrees_with_its_bank_only():
    digits = "4081781009991000431"
    keyed = next(
        f"{digits[:8]}{key}{digits[9:]}2"
        for key in range(10)
        if bank_account.check(f"{digits[:8]}{key}{digits[9:]}2", "044525225")
    )
    assert not bank_account.check(keyed, "044525226")


@given(st.text("0123456789", min_size=2, max_size=19), st.data())
def test_luhn_notices_every_single_wrong_digit(body, data):
    number = next(body + str(digit) for digit in range(10) if luhn(body + str(digit)))
    place = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))
    assert not luhn(number[:place] + other + number[place + 1 :])


@given(st.integers(1_001_999, 999_999_999))
def test_exactly_one_pair_of_check_digits_fits_a_snils(number):
    body = f"{number:09}"
    assert sum(snils.check(body + f"{pair:02}") for pair in range(100)) == 1
