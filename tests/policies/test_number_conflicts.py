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
        # fifteen
        ("imei 304500116000157", [(Entity.IMEI, "304500116000157")]),
        ("огрнип 356938035643809", [(Entity.OGRNIP, "356938035643809")]),
        ("эптс 164301000123456", [(Entity.VEHICLE_DOC, "164301000123456")]),
        # ten
        ("в/у 4510 123456", [(Entity.DRIVER_LICENSE, "4510 123456")]),
        ("стс 4510 123456", [(Entity.VEHICLE_DOC, "4510 123456")]),
        ("паспорт ТС 4510 123456", [(Entity.VEHICLE_DOC, "4510 123456")]),
        (
            "паспорт 4510 123456, в/у 9911 123456",
            [(Entity.PASSPORT, "4510 123456"), (Entity.DRIVER_LICENSE, "9911 123456")],
        ),
        # nine
        ("загранпаспорт 044525225", [(Entity.INTL_PASSPORT, "044525225")]),
        ("паспорт 75 1234567", [(Entity.INTL_PASSPORT, "75 1234567")]),
        # seven and six, with letters before them
        ("военный билет АК 1234567", [(Entity.MILITARY_ID, "АК 1234567")]),
        ("таб. № 1234567", [(Entity.EMPLOYEE_ID, "1234567")]),
        ("тел. 1234567", [(Entity.PHONE, "1234567")]),
        ("к/п 770-045, тел. 770-45-12", [(Entity.DEPT_CODE, "770-045"), (Entity.PHONE, "770-45-12")]),
        ("права 77 УН 123456", [(Entity.DRIVER_LICENSE, "77 УН 123456")]),
        ("птс 77 УН 123456", [(Entity.VEHICLE_DOC, "77 УН 123456")]),
        ("свидетельство о рождении II-МЮ 123456", [(Entity.BIRTH_CERT, "II-МЮ 123456")]),
        # series and number apart: the document that is named
        ("паспорт серия 4510 номер 123456", [(Entity.PASSPORT, "4510"), (Entity.PASSPORT, "123456")]),
        ("в/у серия 7716 номер 123456", [(Entity.DRIVER_LICENSE, "7716"), (Entity.DRIVER_LICENSE, "123456")]),
        ("стс серия 77 34 № 123456", [(Entity.VEHICLE_DOC, "77 34 № 123456")]),
        ("загран серия 72 номер 1234567", [(Entity.INTL_PASSPORT, "72"), (Entity.INTL_PASSPORT, "1234567")]),
        # sixteen and twenty
        ("imei 4111111111111111", [(Entity.IMEI, "4111111111111111")]),
        ("счёт 40817810099910004312", [(Entity.BANK_ACCOUNT, "40817810099910004312")]),
        ("УИН 40817810099910004312", [(Entity.BANK_ACCOUNT, "40817810099910004312")]),
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
        "ОКПО 12345678",
        "договор 4510 123456",
        "заявка 123-456",
        "код 4512",
        "2024 год",
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


def test_a_heading_far_above_still_speaks_for_its_column():
    rows = "\n".join(f"Товар;{number:05};склад" for number in range(1_000))
    table = f"name;phone;note\n{rows}\nИванов Иван;9123456789;\n"
    assert kinds(table)[-1] == (Entity.PHONE, "9123456789")


def test_a_separator_inside_a_quoted_cell_parts_no_columns():
    table = 'fio,address,passport\n"Иванов Иван","г. Тверь, ул. Лесная, д. 5, кв. 12",4510123456'
    assert [kind for kind, _ in kinds(table)] == [Entity.PERSON, Entity.ADDRESS, Entity.PASSPORT]


def test_a_table_drawn_with_bars_has_headings_too():
    table = "| ФИО | СНИЛС | Табельный |\n|---|---|---|\n| Иванов Иван | 11223344595 | 01234 |"
    assert [kind for kind, _ in kinds(table)] == [Entity.PERSON, Entity.SNILS, Entity.EMPLOYEE_ID]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"clientPhone": "9123456789"}', Entity.PHONE),
        ('{"client_phone": 9123456789}', Entity.PHONE),
        ('{"клиент": {"паспорт": {"номер": "4510123456"}}}', Entity.PASSPORT),
        ('{\\"passport\\": \\"4510123456\\"}', Entity.PASSPORT),
        ("client:\n  driver_license: 9911123456", Entity.DRIVER_LICENSE),
        ("<militaryId>АК 1234567</militaryId>", Entity.MILITARY_ID),
        ("level=info employeeId=012345 msg=ok", Entity.EMPLOYEE_ID),
        ("UPDATE t SET inn = '500100732259' WHERE id = 1", Entity.INN),
        ("SELECT 1 FROM t WHERE foreign_passport = '751234567'", Entity.INTL_PASSPORT),
        ('"\\u0441\\u043d\\u0438\\u043b\\u0441": "11223344595"', Entity.SNILS),
    ],
)
def test_a_key_says_what_its_value_is(text, expected):
    assert [kind for kind, _ in kinds(text)] == [expected]


@pytest.mark.parametrize("name", ["order_id", "amount", "sku", "version", "ticket"])
def test_a_key_of_something_else_keeps_a_number_from_being_taken_for_data(name):
    assert kinds(f'{{"{name}": "4510123456"}}') == []
