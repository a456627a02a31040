"""Whatever a text is made of, the work grows with its length and no faster, and what is found stays sane."""

import base64
import itertools
import random
import time
import urllib.parse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies import Entity, scan
from policies.folding import fold
from policies.recognizers import (
    birth_date,
    cadastre,
    credentials,
    email,
    encoded,
    geo,
    intl_passport,
    ip,
    mac,
    numbers,
    plate,
    special,
    username,
    vin,
)
from policies.recognizers.tables import Headings, Tables

noise = random.Random(2_026)
UNITS = {
    "digits": "7",
    "digits in groups": "912 ",
    "digits line by line": "4510\n",
    "one letter": "а",
    "at signs": "@",
    "brackets": "[",
    "dollars": "$",
    "backslashes": "\\",
    "angles": "<a1>",
    "colons": "a:",
    "slashes": "a/",
    "noise": "".join(map(chr, noise.choices(range(0x20, 0x2FFF), k=4_000))),
    "latin-1 noise": noise.randbytes(4_000).decode("latin-1"),
    "deep json": '{"login":[',
    "closed json": '{"password": "x1"}, ',
    "placeholders": "[PERSON_1_F:2] ",
    "percent": "%D0%9F",
    "escapes": "\\u0430",
    "entities": "&#1072;",
    "right to left": "שלום \u200f123 ",
    "labels": "логин пароль от для ",
    "password of": "пароль от почты на ",
    "seed words": "seed ripple canyon velvet ",
    "cookies": "session=",
    "keys": "key: token ",
    "commands": "sudo -u chown -R su - ",
    "ssh": "scp a b ",
    "users": "user ",
    "grants": "grant all ",
    "birth words": "родился в мае ",
    "ordinals": "рожд пятого мая тысяча ",
    "slips": "паспорт 451О 12З ",
    "series": "серия 45 09 ",
    "dictated": "номер 9 18, ",
    "coordinates": "55.7558,37.6173 ",
    "nicknames": "[12:04] a_1: да\n",
    "mrz": "P<RUS<<",
    "dsn": "://a:b",
    "cards": "4111 1111 1111 1111 12/27 ",
    "copy": "copy a (login) from stdin;\n1\n",
}


def of_length(unit: str, length: int) -> str:
    return (unit * (length // len(unit) + 1))[:length]


def read(text: str) -> int:
    """All recognisers but those of names and addresses, in windows as the detector has them: how much they found."""
    tables = Tables(text)
    found = 0
    for start in range(0, len(text), 2_000):
        found += sum(1 for _ in credentials.find(text, start, start + 2_000))
        found += sum(1 for _ in encoded.find(text, start, start + 2_000, lambda _: ()))
        folded = fold(text[max(0, start - 320) : start + 2_320])
        headings = Headings(folded, tables, max(0, start - 320))
        lower = folded.lower
        for findings in (
            numbers.find(folded.text, lower, headings),
            email.find(lower),
            birth_date.find(lower, (), headings),
            intl_passport.find_foreign(lower),
            ip.find(lower),
            mac.find(lower),
            cadastre.find(lower),
            plate.find(folded.text, lower),
            vin.find(lower),
            geo.find(lower),
            credentials.find_cells(lower, headings),
            username.find(lower, headings),
            special.find(lower, ()),
        ):
            found += sum(1 for _ in findings)
    return found


def cost(text: str) -> float:
    """The least CPU time of three readings: what else the machine does can only add to it."""
    costs = []
    for _ in range(3):
        start = time.process_time()
        read(text)
        costs.append(time.process_time() - start)
    return min(costs)


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_four_times_the_text_is_about_four_times_the_work(unit):
    assert cost(of_length(unit, 24_000)) <= 7 * cost(of_length(unit, 6_000)) + 0.02


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_one_window_of_anything_is_read_within_a_bound_of_plain_text(unit):
    # A window is what holds the interpreter: its cost may differ between texts, but not by orders of magnitude.
    plain = cost(of_length("Составь план работ на неделю, укажи сроки и ответственных. ", 8_000))
    assert cost(of_length(unit, 8_000)) <= 60 * plain + 0.02


def test_a_table_of_ten_thousand_columns_costs_what_its_length_does():
    def table(columns: int) -> str:
        return ";".join(f"login{number}" for number in range(columns)) + "\n" + ";".join(["ivanov_p"] * columns) + "\n"

    assert cost(table(10_000)) <= 7 * cost(table(2_500)) + 0.02


PLACEHOLDERS = " ".join(f"[{entity}_{number}]" for entity in Entity for number in (1, 12))


@pytest.mark.parametrize(
    "text",
    [
        PLACEHOLDERS,
        "логин [USERNAME_1], пароль: [PASSWORD_1], паспорт [PASSPORT_2], ДР [BIRTH_DATE_1], таб. № [EMPLOYEE_ID_3]",
        "login=[USERNAME_1]&password=[PASSWORD_1]&token=[SECRET_1]",
        "login;password\n[USERNAME_1];[PASSWORD_1]\n",
        '{"login": "[USERNAME_1]", "api_key": "[SECRET_12]", "passport": "[PASSPORT_1]"}',
        "[12:04] [PERSON_1_M]: добрый день\n<[PERSON_2_F:2]> привет, [PERSON_3_PL] и [PERSON_4821_M]",
        "ssh [USERNAME_1]@[IP_1], sudo -u [USERNAME_1], curl -u [USERNAME_1]:[PASSWORD_1] http://[IP_1]/",
        "INSERT INTO users (login, pwd) VALUES ('[USERNAME_1]', '[PASSWORD_1]')",
        "postgres://[USERNAME_1]:[PASSWORD_1]@db/app",
    ],
)
def test_what_already_stands_in_place_of_data_is_no_finding(text):
    assert [text[finding.start : finding.end] for finding in scan(text)] == []


PASSPORT = "паспорт 4510 123456"


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode(PASSPORT.encode()).decode(),
        urllib.parse.quote(PASSPORT),
        "".join(f"\\u{ord(character):04x}" for character in PASSPORT),
        "".join(f"&#{ord(character)};" for character in PASSPORT),
        "\u202b" + PASSPORT + "\u202c",
        PASSPORT.replace("4510", "４５１０"),
        PASSPORT.replace(" ", "\u00a0"),
    ],
    ids=["base64", "percent", "escapes", "entities", "right to left", "full width", "no-break"],
)
def test_a_passport_is_found_in_whatever_it_is_written(written):
    found = [finding for finding in scan(f"Проверь: {written} спасибо") if finding.entity is Entity.PASSPORT]
    assert len(found) == 1


FRAGMENTS = [
    *UNITS.values(),
    *(f"[{entity}_1]" for entity in Entity),
    *(example.text for module in (credentials, username, birth_date, geo, ip, plate) for example in module.EXAMPLES),
    "\x00",
    "\ud800",
    "\u2028",
    "İ",
    "ﬁ",
    "é",
    "👩‍👩‍👧",
    '"',
    "'",
    "\n",
    "\t",
    ";",
    "|",
    ":",
    "=",
    "@",
    "(",
    ") values ",
    "insert into t (login) values (",
    "-----BEGIN RSA PRIVATE KEY-----",
    base64.b64encode(PASSPORT.encode()).decode(),
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(FRAGMENTS).map(lambda fragment: fragment[:200]), max_size=14).map("".join))
def test_no_mixture_of_fragments_breaks_the_reading(text):
    findings = scan(text)
    assert all(0 <= finding.start < finding.end <= len(text) for finding in findings)
    assert all(one.end <= two.start for one, two in itertools.pairwise(findings))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=120), st.sampled_from(["логин: ", "пароль ", "паспорт ", "ДР ", "token=", "user\n", "таб. № "]))
def test_no_text_after_a_label_breaks_the_reading(text, label):
    for finding in scan(label + text):
        assert 0 <= finding.start < finding.end <= len(label + text)
