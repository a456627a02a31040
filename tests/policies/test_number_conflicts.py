"""Numbers that could be several things: the words beside them, their form and their check digits decide between them."""

import pytest

from policies import Entity, scan


def kinds(text):
    return [(finding.entity, text[finding.start : finding.end]) for finding in scan(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("снилс 89123456789", [(Entity.SNILS, "89123456789")]),
        ("тел 89123456789", [(Entity.PHONE, "89123456789")]),
        ("паспорт 9123456789", [(Entity.PASSPORT, "9123456789")]),
        ("моб 9123456789", [(Entity.PHONE, "9123456789")]),
        ("инн 9123456789", [(Entity.INN, "9123456789")]),
        ("карта 4111 1111 1111 1111", [(Entity.BANK_CARD, "4111 1111 1111 1111")]),
        ("омс 4111 1111 1111 1111", [(Entity.OMS, "4111 1111 1111 1111")]),
        (
            "паспорт 4510 123456, СНИЛС 112-233-445 95",
            [(Entity.PASSPORT, "4510 123456"), (Entity.SNILS, "112-233-445 95")],
        ),
        ("паспорт 4510 123456 8 912 345 67 89", [(Entity.PASSPORT, "4510 123456"), (Entity.PHONE, "8 912 345 67 89")]),
    ],
)
def test_the_nearest_word_decides_what_a_number_is(text, expected):
    assert kinds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "БИК 044525225",
        "КПП 770701001",
        "ОГРН 1027700132195",
        "заказ 89123456789",
        "штрихкод 4607001234567",
        "a1b2c3d4-4510-8905-1234-123456789012",
    ],
)
def test_numbers_that_are_nobodys_are_left_alone(text):
    assert kinds(text) == []


def test_a_column_heading_says_what_its_cells_are():
    table = "fio;phone;passport\nИванов Иван;89123456789;4510123456\nПетрова Анна;79123456780;4511123457"
    assert [kind for kind, _ in kinds(table)] == [Entity.PERSON, Entity.PHONE, Entity.PASSPORT] * 2


def test_a_column_list_says_what_the_values_of_every_row_are():
    query = "INSERT INTO clients (id, passport, note, snils) VALUES (1, '4510123456', 'it''s', '11223344595'), (2, '4511123457', NULL, '11223344595')"
    assert [kind for kind, _ in kinds(query)] == [Entity.PASSPORT, Entity.SNILS] * 2


def test_a_word_on_the_line_above_speaks_only_for_a_number_that_stands_alone():
    assert kinds("Паспорт\n4510123456") == [(Entity.PASSPORT, "4510123456")]
    assert kinds("Паспорт сдан\nпартия товара 4510123456") == []


def test_a_sentence_with_commas_is_no_table_header():
    assert kinds("Вот, смотри, паспорт\nраз, два, 4510123456") == []
