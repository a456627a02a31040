"""What models do to placeholders: one reading or none, the same for every split, and the caller's own words stay his."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import Entity, Finding, Identity, StreamRestorer, Vault, redact, restore
from policies.redaction import unrestored

PERSON, PHONE, EMAIL = Entity.PERSON, Entity.PHONE, Entity.EMAIL
NAME, DATIVE, WOMAN, MANY, SASHA = "Иванов Пётр", "Иванову П. С.", "Смирнова Анна", "Петровы", "Саша"
NUMBER, MAIL, ADDRESS, CARD = "+7 916 555-01-02", "petrov@example.ru", "г. Тула, ул. Мира, д. 5", "4276 1600 0000 0000"
GIVEN = {
    "[PERSON_1_M]": (PERSON, NAME),
    "[PERSON_2_F]": (PERSON, WOMAN),
    "[PERSON_3_PL]": (PERSON, MANY),
    "[PERSON_4]": (PERSON, SASHA),
    "[PERSON_1_M:2]": (PERSON, DATIVE),
    "[PHONE_1]": (PHONE, NUMBER),
    "[EMAIL_1]": (EMAIL, MAIL),
    "[ADDRESS_1]": (Entity.ADDRESS, ADDRESS),
    "[BANK_CARD_1]": (Entity.BANK_CARD, CARD),
}
IDENTITIES = {
    (PERSON, NAME): Identity(1, "male"),
    (PERSON, DATIVE): Identity(1, "male", "dative"),
    (PERSON, WOMAN): Identity(2, "female"),
    (PERSON, MANY): Identity(3, plural=True),
    (PERSON, SASHA): Identity(4),
}
FORMS = {
    "Кузнецов": "Иванов",
    "Кузнецова": "Иванова",
    "Кузнецов Олег": "Иванов Пётр",
    "Кузнецову О. И.": "Иванову П. С.",
}


def filled(*, avoid: tuple[str, ...] = (), stand_ins: bool = False) -> Vault:
    vault = Vault(avoid, IDENTITIES)
    for label, (entity, value) in GIVEN.items():
        placeholder = vault.placeholder(entity, value)
        assert avoid or placeholder == label
    if stand_ins:
        vault.stand_in(PERSON, NAME, "Кузнецов Олег", FORMS)
        vault.stand_in(PHONE, NUMBER, "+7 900 000-00-00", {"8 900 000-00-00": "8 916 555-01-02"})
        vault.stand_in(EMAIL, MAIL, "info@«x»", {})
    return vault


WAYS = {
    "as given": ("Звонил [PERSON_1_M].", f"Звонил {NAME}."),
    "the second way": ("Напишите [PERSON_1_M:2].", f"Напишите {DATIVE}."),
    "several people": ("[PERSON_3_PL] уехали", f"{MANY} уехали"),
    "without the suffix": ("[PERSON_2]", WOMAN),
    "without the way": ("[PERSON_1]", NAME),
    "the way without the suffix": ("[PERSON_1:2]", DATIVE),
    "a suffix that nothing contradicts": ("[PERSON_4_F]", SASHA),
    "small letters": ("[person_1_m]", NAME),
    "other letters": ("[Person_2]", WOMAN),
    "spaces inside": ("[ PERSON_1_M ]", NAME),
    "a space for the line": ("[PERSON 1]", NAME),
    "a hyphen for the line": ("[PERSON-1]", NAME),
    "nothing for the line": ("[PERSON1]", NAME),
    "a number sign": ("[PERSON №1]", NAME),
    "spaces about the way": ("[PERSON_1_M: 2]", DATIVE),
    "a space before the suffix": ("[PERSON_2 F]", WOMAN),
    "two words": ("[Bank Card 1]", CARD),
    "markdown escapes": (r"\[PERSON\_1\]", NAME),
    "escaped lines only": (r"[BANK\_CARD\_1]", CARD),
    "escaped, with suffix": (r"\[PERSON\_2\_F\]", WOMAN),
    "escaped, with way": (r"\[PERSON\_1\_M:2\]", DATIVE),
    "bold": ("**[PERSON_1]**", f"**{NAME}**"),
    "bold inside": ("[**PERSON_1**]", NAME),
    "code": ("`[PERSON_1]`", f"`{NAME}`"),
    "angle brackets": ("<PERSON_1_M>", NAME),
    "angle brackets and spaces": ("< PHONE_1 >", NUMBER),
    "angle brackets about": ("<[PERSON_1]>", f"<{NAME}>"),
    "quotes inside": ("[«PERSON_1»] и [“PERSON_2”]", f"{NAME} и {WOMAN}"),
    "straight quotes may be a list": ('["PERSON_1"]', f'["{NAME}"]'),
    "a list of two": ('["PERSON_1", "PERSON_2"]', f'["{NAME}", "{WOMAN}"]'),
    "no closing bracket": ("[PERSON_1 звонил", f"{NAME} звонил"),
    "no closing bracket at the end": ("звонил [PERSON_1", f"звонил {NAME}"),
    "no opening bracket": ("звонил PERSON_1]", f"звонил {NAME}"),
    "escaped, no opening bracket": (r"звонил PERSON\_1\]", f"звонил {NAME}"),
    "escaped, with suffix, no opening bracket": (r"звонил PERSON\_1\_M\]", f"звонил {NAME}"),
    "all of it together": ("\\[  ** PERSON \u200b\u200b\\_  1 \\_M  :  2 **\\]", DATIVE),
    "one pair about two": ("[PERSON_1 и PERSON_2]", f"{NAME} и {WOMAN}"),
    "the author's bracket": ("[см. PERSON_1]", f"[см. {NAME}]"),
    "the author's bracket, a line before": ("[\nPERSON_1]", f"[\n{NAME}"),
    "bare": ("PERSON_1 и BANK_CARD_1.", f"{NAME} и {CARD}."),
    "bare, escaped": (r"PERSON\_2\_F", WOMAN),
    "bare, the second way": ("PERSON_1_M:2, да", f"{DATIVE}, да"),
    "bare before a colon": ("PERSON_1: да", f"{NAME}: да"),
    "an ending": ("[PERSON_4]у", f"{SASHA}у"),
    "an ending inside": ("[PERSON_4у]", f"{SASHA}у"),
    "an ending after a hyphen": ("[PERSON_4]-у", f"{SASHA}-у"),
    "a bare ending": ("PERSON_4у", f"{SASHA}у"),
    "full-width brackets": ("［PERSON_1］【PERSON_2】", f"{NAME}{WOMAN}"),
    "invisible characters": ("[PER\u200bSON_\u20601\ufeff]", NAME),
    "a space that does not break": ("[PERSON\u00a01]", NAME),
    "Russian": ("[ПЕРСОНА_1]", NAME),
    "another Russian word": ("[Человек 2]", WOMAN),
    "Russian, with gender": ("[ПЕРСОНА_2_Ж]", WOMAN),
    "Russian, of another kind": ("[телефон 1], [ПОЧТА_1], [Адрес_1]", f"{NUMBER}, {MAIL}, {ADDRESS}"),
    "two Russian words": ("[НОМЕР ТЕЛЕФОНА 1]", NUMBER),
    "brackets in brackets": ("[[PERSON_1]]", f"[{NAME}]"),
    "a path": (r"CORP\[PERSON_1]", rf"CORP\{NAME}"),
    "two together": ("[PERSON_1][PERSON_2]", f"{NAME}{WOMAN}"),
    "a broken one before": ("[PERSON_[PERSON_1]", f"[PERSON_{NAME}"),
}
UNREAD = {
    "another number": "[PERSON_9], [PERSON 9], PERSON_9",
    "a longer number": "PERSON_10 и [PERSON_10]",
    "a number that is cut": "[PERSON_01], [PERSON_0]",
    "within a word": "xPERSON_1, PERSON_1x, IPERSON_1, PERSON_1_ID, _PERSON_1_",
    "another gender": "[PERSON_1_F], PERSON_1_F, [PERSON_2_PL], <PERSON_2_M>",
    "a gender of a thing": "[PHONE_1_F]",
    "another way": "[PERSON_1:3], PERSON_1:15, [PERSON_2_F:2]",
    "a variable": "person_1 = people[0]; Person_2, <person_1>",
    "a bare word and a number": "PERSON 1, PERSON-1, Person 1, EMAIL 1",
    "Russian without brackets": "ПЕРСОНА_1, Человек 1",
    "a Russian word with another number": "[ТЕЛЕФОН_2]",
    "a word that is no kind": "[КЛИЕНТ_1], [CLIENT_1], [Шаг 1], [1], [x]",
    "letters that only look alike": "[РERSON_1], [PERSОN_1], [ſNILS_1]",
    "two lines": "[PERSON\n_1]",
    "only a part": "[PERSON_, [PERSON], PERSON_",
}


@pytest.mark.parametrize(("answer", "expected"), WAYS.values(), ids=WAYS)
def test_what_models_do_to_a_placeholder_is_undone(answer: str, expected: str) -> None:
    assert restore(answer, filled()) == expected
    assert unrestored(answer, filled()) == 0


@pytest.mark.parametrize("answer", UNREAD.values(), ids=UNREAD)
def test_what_has_no_reading_stays(answer: str) -> None:
    assert restore(answer, filled()) == answer


def test_placeholders_that_stay_are_counted_and_the_callers_own_are_not() -> None:
    vault = filled(avoid=("Что такое [PERSON_50] и <PHONE_7>?",))
    assert unrestored("[PERSON_9], PERSON_8, [Человек 7], [PERSON_50], [PHONE_7], [Шаг 1], xPERSON_1", vault) == 3
    restorer = StreamRestorer(vault)
    for character in "[PERSON_9] и PHONE_3":
        restorer.feed(character)
    assert restorer.unrestored == 2


@pytest.mark.parametrize(
    "written",
    [
        *(way for name, (way, _) in WAYS.items() if name != "a broken one before"),
        r"\u005bPERSON_1\u005d",
        "xPERSON_1, PERSON_1x",
        "PERSON_12, PERSON_22, PHONE_12",
    ],
)
def test_what_the_caller_wrote_in_any_of_these_ways_is_never_somebodys_data(written: str) -> None:
    vault = filled(avoid=(written,))
    assert restore(written, vault) == written
    assert restore(written, vault, json_strings=True) == written
    assert unrestored(written, vault) == 0


# Streams

FRAGMENTS = [
    *(way for way, _ in WAYS.values()), *UNREAD.values(), *GIVEN, *FORMS, "+7 900 000-00-00", "info@«x»", "Кузнецо", "в", "К", " ",
    "[", "]", "\\", "\\\\", '\\"', "\\n", "\\u005b", "\\u005D", "\\u", "\\u00", "\n", "_", ":", "2", "F", "м", "<", ">", "x", "Ж", ".", "PERSON", "_1", "😀",
]  # fmt: skip
answers = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=8).map("".join)


def cut(answer: str, places: list[int], vault: Vault, *, json_strings: bool) -> tuple[str, int]:
    ends = [0, *sorted({place for place in places if place < len(answer)}), len(answer)]
    restorer = StreamRestorer(vault, json_strings=json_strings)
    given_out = [restorer.feed(answer[start:end]) for start, end in itertools.pairwise(ends)]
    return "".join(given_out) + restorer.finish(), restorer.unrestored


@given(answers, st.lists(st.integers(0, 200), max_size=12), st.booleans(), st.booleans())
def test_every_split_gives_the_same(answer: str, places: list[int], json_strings: bool, stand_ins: bool) -> None:
    vault = filled(stand_ins=stand_ins)
    whole = restore(answer, vault, json_strings=json_strings)
    counted = cut(answer, [], vault, json_strings=json_strings)[1]

    for chosen in (places, list(range(len(answer))), *([place] for place in range(len(answer)))):
        assert cut(answer, chosen, vault, json_strings=json_strings) == (whole, counted)


@pytest.mark.no_cover  # many thousand times the same lines
def test_every_split_of_everything_at_once_gives_the_same() -> None:
    for json_strings, stand_ins, separator in itertools.product((False, True), (False, True), (" ", "", "\n")):
        vault = filled(stand_ins=stand_ins)
        answer = separator.join(FRAGMENTS)
        expected = (
            restore(answer, vault, json_strings=json_strings),
            cut(answer, [], vault, json_strings=json_strings)[1],
        )
        for place in range(0, len(answer), 1):
            assert cut(answer, [place], vault, json_strings=json_strings) == expected
        rng = random.Random(7)
        for size in (1, 2, 3, 5):
            places = [place for place in range(len(answer)) if rng.random() < 1 / size]
            assert cut(answer, places, vault, json_strings=json_strings) == expected


def test_the_count_of_a_long_stream_is_that_of_its_whole() -> None:
    answer = "".join(f"{'слово ' * (number % 40)}[PERSON_{number + 20}] PHONE_{number + 20}" for number in range(300))
    vault = filled()

    assert unrestored(answer, vault) == 600
    assert cut(answer, list(range(0, len(answer), 7)), vault, json_strings=False) == (answer, 600)


@pytest.mark.parametrize(
    ("chunks", "given_out"),
    [
        (["Да, [PER", "SON_1]", "!"], ["Да, ", NAME, "!"]),
        (["[PASSPORT", "_1]"], ["[PASSPORT", "_1]"]),
        (["[p", "["], ["", "[p"]),
        (["Звонил PERSON_1", "."], ["Звонил ", NAME + "."]),
        (["P", "ython и PHP"], ["", "Python и PHP"]),
        (["[Шаг", " 1]"], ["[Шаг", " 1]"]),
        (["<b", "r>"], ["<b", "r>"]),
        (["Кузнец", " и Кузнецов", "!"], ["", "Кузнец и ", "Иванов!"]),
        (["Кузнецов", " О", "лег."], ["", "", "Иванов Пётр."]),
        (["+", "7 900 000-00-01"], ["", "+7 900 000-00-01"]),
    ],
)
def test_only_what_may_be_the_beginning_of_ours_is_held_back(chunks: list[str], given_out: list[str]) -> None:
    restorer = StreamRestorer(filled(stand_ins=True))
    assert [restorer.feed(chunk) for chunk in chunks] == given_out


# Half of a character


def test_halves_of_a_character_meet_across_chunks() -> None:
    restorer = StreamRestorer(filled())
    given_out = [restorer.feed(chunk) for chunk in ("да \ud83d", "\ude00 [PERSON_1] \ud83d", "", "\ude00")] + [
        restorer.finish()
    ]
    assert "".join(given_out) == f"да 😀 {NAME} 😀"
    assert restore("\ud83d\ude00", filled()) == "😀"
    for each in given_out:
        each.encode()


@given(
    st.lists(st.sampled_from(["\ud83d", "\ude00", "[PERSON_1]", "[", "PERSON_1", "я", "\\"]), max_size=8), st.booleans()
)
def test_a_half_without_its_other_is_still_encodable_in_every_split(parts: list[str], json_strings: bool) -> None:
    answer, vault = "".join(parts), filled()
    whole = restore(answer, vault, json_strings=json_strings)
    whole.encode()
    assert cut(answer, list(range(len(answer))), vault, json_strings=json_strings)[0] == whole


# JSON


@pytest.mark.parametrize(
    "arguments",
    [
        r'{"who": "\u005bPERSON_1\u005d"}',
        r'{"who": "\u005BPERSON_1\u005D"}',
        r'{"who": "\u003cPERSON_1\u003e"}',
        r'{"who": "\\[PERSON\\_1\\]"}',
        r'{"who": "[PERSON_1]"}',
        r'{"who": "[\u041f\u0415\u0420\u0421\u041e\u041d\u0410 1]"}',
    ],
)
def test_escapes_in_arguments_are_read(arguments: str) -> None:
    vault = Vault()
    vault.placeholder(PERSON, 'Иван "Грозный" \\ царь')
    assert json.loads(restore(arguments, vault, json_strings=True)) == {"who": 'Иван "Грозный" \\ царь'}


def test_escapes_beside_a_placeholder_are_what_they_stand_for() -> None:
    arguments = r'{"text": "Кто?\nPERSON_1\t\"PERSON_2\" и \\nPERSON_1"}'
    assert json.loads(restore(arguments, filled(), json_strings=True)) == {
        "text": f'Кто?\n{NAME}\t"{WOMAN}" и \\nPERSON_1'
    }


def test_a_stand_in_is_found_in_escaped_arguments() -> None:
    arguments = json.dumps({"name": "Кузнецов Олег", "of": "info@«x»"})
    assert json.loads(restore(arguments, filled(stand_ins=True), json_strings=True)) == {"name": NAME, "of": MAIL}


# Stand-ins


def test_a_stand_in_and_what_a_model_makes_of_it_come_back() -> None:
    answer = "Кузнецов Олег звонил. Кузнецова ищут; Кузнецову О. И. написали, [PHONE_1] — 8 900 000-00-00. кузнецов, Кузнецовых"
    assert restore(answer, filled(stand_ins=True)) == (
        f"Иванов Пётр звонил. Иванова ищут; Иванову П. С. написали, {NUMBER} — 8 916 555-01-02. кузнецов, Кузнецовых"
    )


def test_what_was_put_back_is_not_looked_at_again() -> None:
    vault = Vault()
    vault.stand_in(PERSON, "Кузнецов", "Орлов", {})
    vault.stand_in(PERSON, "[PERSON_1]", "Кузнецов", {})
    assert restore("Орлов и Кузнецов", vault) == "Кузнецов и [PERSON_1]"


def test_a_stand_in_that_the_caller_wrote_is_refused_for_a_placeholder() -> None:
    vault = Vault(avoid=["Орлов и Кузнецова уехали"])
    assert not vault.is_free("Кузнецов")
    assert vault.stand_in(PERSON, "Иванов", "Кузнецов", {}) == "[PERSON_1]"
    assert vault.stand_in(PERSON, "Петров", "Белов", {"Орлов": "Петров", "Белова": "Петрова"}) == "Белов"
    assert restore("Орлов, Белов, Белова, [PERSON_1]", vault) == "Орлов, Петров, Петрова, Иванов"
    assert len(vault) == 2


def test_one_stand_in_never_means_two_people() -> None:
    vault = Vault()
    assert vault.stand_in(PERSON, "Иванов Пётр", "Белов Олег", {"Белов": "Иванов", "Олег": "Пётр"}) == "Белов Олег"
    assert vault.stand_in(PERSON, "Иванова Анна", "Белова Ольга", {"Белов": "Петров"}) == "Белова Ольга"
    assert vault.stand_in(PERSON, "Сидоров", "Белов Олег", {}) == "[PERSON_1]"
    assert restore("Белов, Олег, Белов Олег", vault) == "Белов, Пётр, Иванов Пётр"


@pytest.mark.parametrize("text", ["", " ", " Белов", "Белов "])
def test_a_stand_in_that_cannot_be_found_again_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="stand-in"):
        Vault().stand_in(PERSON, "Иванов", text, {})


SURROGATES = {"Иван": "Олег", "Анна": "Ольга Белова", "123": "8 900", "Иван Грозный": "Олег Белов"}


@given(
    st.lists(
        st.sampled_from(["Иван", "Анна", " ", "Грозный", "123", "Белова", "я", "[", "PERSON_1", "]", "Олег "]),
        max_size=12,
    ),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12), st.sampled_from([PERSON, PHONE])), max_size=5),
)
def test_what_stand_ins_hide_comes_back_whatever_stands_beside_them(
    parts: list[str], places: list[tuple[int, int, Entity]]
) -> None:
    text = "".join(parts)
    findings = [
        Finding(start, min(start + size, len(text)), kind, 0.9) for start, size, kind in places if start < len(text)
    ]
    vault = Vault([text])

    def hide(entity: Entity, value: str) -> str:
        return vault.stand_in(entity, value, SURROGATES.get(value, "Громов"), {"Олег": "Иван"})

    assert restore(redact(text, findings, frozenset(Entity), vault, hide=hide), vault) == text


# Recorded answers: (what the model wrote, what the reader has to see, how many placeholders the model meant)
P1, P2, W2 = NAME, WOMAN, DATIVE
RECORDED: list[tuple[str, str, int]] = [
    # large models: as given, in tables, lists, JSON
    ("Уважаемый [PERSON_1_M]!\n\nВаш запрос принят. С уважением, [PERSON_2_F].", f"Уважаемый {P1}!\n\nВаш запрос принят. С уважением, {P2}.", 2),
    ("| Сотрудник | Телефон |\n|---|---|\n| [PERSON_1_M] | [PHONE_1] |\n| [PERSON_2_F] | — |", f"| Сотрудник | Телефон |\n|---|---|\n| {P1} | {NUMBER} |\n| {P2} | — |", 3),
    ('```json\n{"name": "[PERSON_1_M]", "email": "[EMAIL_1]"}\n```', f'```json\n{{"name": "{P1}", "email": "{MAIL}"}}\n```', 2),
    ("1. **[PERSON_1_M]** — заявитель\n2. **[PERSON_2_F]** — исполнитель", f"1. **{P1}** — заявитель\n2. **{P2}** — исполнитель", 2),
    ("Передайте [PERSON_1_M:2], что [PERSON_2_F] перезвонит.", f"Передайте {W2}, что {P2} перезвонит.", 2),
    ("Оплата с карты [BANK_CARD_1] прошла; адрес доставки: [ADDRESS_1].", f"Оплата с карты {CARD} прошла; адрес доставки: {ADDRESS}.", 2),
    ("[PERSON_3_PL] приехали вместе с [PERSON_4].", f"{MANY} приехали вместе с {SASHA}.", 2),
    # the suffix or the way is lost
    ("[PERSON_1] обратился повторно, [PERSON_2] ответила.", f"{P1} обратился повторно, {P2} ответила.", 2),
    ("Напишите [PERSON_1:2] до пятницы.", f"Напишите {W2} до пятницы.", 1),
    ("[PERSON_4_F] согласилась.", f"{SASHA} согласилась.", 1),
    # endings
    ("Письмо отправлено [PERSON_4]е, копия — [PERSON_2_F]й.", f"Письмо отправлено {SASHA}е, копия — {P2}й.", 2),
    ("Спросите у [PERSON_4]-и.", f"Спросите у {SASHA}-и.", 1),
    ("Договор с [PERSON_4й] подписан.", f"Договор с {SASHA}й подписан.", 1),
    # letters
    ("Клиент [Person_1] просит связаться по [phone_1].", f"Клиент {P1} просит связаться по {NUMBER}.", 2),
    ("Ответ: [person_2_f]", f"Ответ: {P2}", 1),
    # separators
    ("Клиент: [PERSON 1]\nПочта: [EMAIL 1]", f"Клиент: {P1}\nПочта: {MAIL}", 2),
    ("Звонил [PERSON-1], карта [BANK-CARD-1].", f"Звонил {P1}, карта {CARD}.", 2),
    ("Здравствуйте, [ PERSON_1_M ]!", f"Здравствуйте, {P1}!", 1),
    ("Карта клиента: [BANK CARD_1]", f"Карта клиента: {CARD}", 1),
    ("Спасибо, [PERSON #2].", f"Спасибо, {P2}.", 1),
    # markdown
    (r"Ответственная: \[PERSON\_2\_F\], тел. \[PHONE\_1\]", f"Ответственная: {P2}, тел. {NUMBER}", 2),
    (r"* [PERSON\_1\_M] — согласен", f"* {P1} — согласен", 1),
    ("> *[PERSON_1]*: «Жду ответа»", f"> *{P1}*: «Жду ответа»", 1),
    ("Метка `[PHONE_1]` означает телефон.", f"Метка `{NUMBER}` означает телефон.", 1),
    ("### [**PERSON_2**]\nИтог встречи", f"### {P2}\nИтог встречи", 1),
    # other brackets, quotes
    ("Заявитель <PERSON_1>, представитель <PERSON_2_F>.", f"Заявитель {P1}, представитель {P2}.", 2),
    ("【PERSON_1】已确认, то есть ［PERSON_2］ подтвердила.", f"{P1}已确认, то есть {P2} подтвердила.", 2),
    ("Клиент [«PERSON_1»] не отвечает.", f"Клиент {P1} не отвечает.", 1),
    ('{"participants": ["PERSON_1", "PERSON_2"]}', f'{{"participants": ["{P1}", "{P2}"]}}', 2),
    ("Имя: {PERSON_1}", f"Имя: {{{P1}}}", 1),
    # a bracket is lost
    ("Перезвоните [PERSON_1 по номеру [PHONE_1].", f"Перезвоните {P1} по номеру {NUMBER}.", 2),
    ("Перезвоните PERSON_1] завтра.", f"Перезвоните {P1} завтра.", 1),
    ("Участники: [PERSON_1, PERSON_2]", f"Участники: {P1}, {P2}", 2),
    ("Подписали PERSON_1 и PERSON_2_F; см. [прил. 1, PERSON_1]", f"Подписали {P1} и {P2}; см. [прил. 1, {P1}]", 3),
    ("ФИО: PERSON_1\nТелефон: PHONE_1\nE-mail: EMAIL_1", f"ФИО: {P1}\nТелефон: {NUMBER}\nE-mail: {MAIL}", 3),
    ("PERSON_4у отказали, PERSON_2 — нет.", f"{SASHA}у отказали, {P2} — нет.", 2),
    # invisible characters
    ("Это [PERSON\u200b_1] и [PHONE\u00a01].", f"Это {P1} и {NUMBER}.", 2),
    # translated
    ("Встречу ведёт [ПЕРСОНА_1], звоните [ТЕЛЕФОН_1].", f"Встречу ведёт {P1}, звоните {NUMBER}.", 2),
    ("[ЧЕЛОВЕК 2] живёт по адресу: [АДРЕС_1].", f"{P2} живёт по адресу: {ADDRESS}.", 2),
    ("Пишите [Имя_2_Ж] на [почта_1].", f"Пишите {P2} на {MAIL}.", 2),
    ("[ФИО_1]: «Согласен»", f"{P1}: «Согласен»", 1),
    # what nobody can restore: it stays, and is counted
    ("Также звонил [PERSON_7].", "Также звонил [PERSON_7].", 1),
    ("Клиентка [PERSON_1_F] довольна.", "Клиентка [PERSON_1_F] довольна.", 1),
    ("[КЛИЕНТ_1] и [PERSON_N] ждут, [имя клиента] тоже.", "[КЛИЕНТ_1] и [PERSON_N] ждут, [имя клиента] тоже.", 3),
    ("Person 1 сказал, что person_2 придёт.", "Person 1 сказал, что person_2 придёт.", 2),
    ("[ТЕЛЕФОН_5] занят, [PERSON_1:4] тоже.", "[ТЕЛЕФОН_5] занят, [PERSON_1:4] тоже.", 2),
]  # fmt: skip


def test_of_the_recorded_answers_all_but_nine_placeholders_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    vault = filled()
    meant = sum(count for _, _, count in RECORDED)
    lost = sum(count for answer, expected, count in RECORDED if answer == expected)

    for answer, expected, _ in RECORDED:
        assert restore(answer, vault) == expected
        assert cut(answer, list(range(0, len(answer), 3)), vault, json_strings=False)[0] == expected

    with capsys.disabled():
        print(f"\nrestored {meant - lost} of {meant} placeholders in {len(RECORDED)} recorded answers")  # noqa: T201 - a figure
    assert (len(RECORDED), meant, lost) == (46, 78, 9)
