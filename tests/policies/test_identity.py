"""One person, one number: in every case, with initials, in either alphabet; and two people never one."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import Entity, Finding, Vault, identify, redact, restore

PERSON = Entity.PERSON
SMIRNOVA = (
    "Смирнова Ольга Павловна",
    "Смирновой Ольги Павловны",
    "Ольгой Смирновой",
    "О. П. Смирнова",
    "Ольга Павловна",
)
IVANOV = (
    "Иванов Иван Иванович",
    "Иванову Ивану Ивановичу",
    "ИВАНОВЫМ ИВАНОМ",
    "иванов и. и.",
    "Ivan Ivanov",
    "Ваня Иванов",
)
KIM = ("Ким Сергей", "Сергею Киму", "Kim Sergei")
OTHERS = (
    "Иванов Пётр",
    "Иванова Мария",
    "Кузнецовы",
    "Саша",
    "Заяц",
    "X Æ",
    "К.",
    "Оюн Шолбан",
    "Aalto",
    "Алиев Азамат Марат оглы",
)


def numbers(*names: str) -> list[int]:
    found = identify([(PERSON, name) for name in names])
    return [found[PERSON, name].number for name in names]


@pytest.mark.parametrize("names", [SMIRNOVA, IVANOV, KIM], ids=["woman", "man", "not declined"])
def test_all_forms_of_a_name_are_one_person(names: tuple[str, ...]) -> None:
    assert numbers(*names) == [1] * len(names)


@pytest.mark.parametrize(
    "names",
    [
        ("Иванов Иван Иванович", "Иванов Пётр Иванович", "Иванова Мария Ивановна"),
        ("Иванов Иван Иванович", "Иванов Иван Петрович"),
        ("Иванов И. И.", "Иванов П. И."),
        ("Кузнецов Олег", "Кузнецова Ольга"),
        ("Александр Попов", "Александра Ильина"),
        ("Кузнецов Олег", "Кузнецовы"),
    ],
)
def test_different_people_stay_different(names: tuple[str, ...]) -> None:
    assert numbers(*names) == list(range(1, len(names) + 1))


def test_a_name_that_suits_two_people_is_taken_for_neither() -> None:
    assert numbers("Иван Петров", "Иван Сидоров", "Иван", "Ивану") == [1, 2, 3, 4]


def test_a_short_form_belongs_to_the_only_one_it_suits() -> None:
    assert numbers("Соколов Дмитрий Олегович", "Дима", "Диме", "Соколову", "Мария") == [1, 1, 1, 1, 2]


def test_a_full_name_that_comes_later_is_the_one_met_by_a_short_form() -> None:
    assert numbers("Катя", "Екатерина Белова", "Белову Екатерину") == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "gender", "case"),
    [
        ("Смирновой Ольге", "female", "dative"),
        ("Иванов Иван", "male", "nominative"),
        ("Ивановым И. И.", "male", "instrumental"),
        ("Ивана Петровича", "male", "genitive"),
        ("Саша", "", "nominative"),
        ("Женю", "", "accusative"),
        ("Ivan Ivanov", "male", ""),
        ("Оюн Шолбан", "", ""),
    ],
)
def test_gender_and_case_are_told_where_they_are_known(name: str, gender: str, case: str) -> None:
    identity = identify([(PERSON, name)])[PERSON, name]

    assert (identity.gender, identity.case) == (gender, case)


@pytest.mark.parametrize(
    ("name", "plural"), [("Ивановы", True), ("Смирновых", True), ("Иванова", False), ("Черных Анна", False)]
)
def test_several_people_are_told_from_one(name: str, plural: bool) -> None:
    assert identify([(PERSON, name)])[PERSON, name].plural is plural


def canonical(*names: str) -> set[str]:
    """The canonical form of each name in a list of its own."""
    return {identify([(PERSON, name)])[PERSON, name].canonical for name in names}


@pytest.mark.parametrize(
    "names",
    [
        ("Иванов Иван Иванович", "Иванову Ивану Ивановичу", "ИВАНОВЫМ ИВАНОМ ИВАНОВИЧЕМ"),
        ("Смирнова Ольга", "Ольгой Смирновой", "Смирновой Оле"),
        ("Достоевский Фёдор", "Достоевскому Федору"),
        ("Попов Александр", "Попова Александра"),
        ("Толстая Наталья", "Толстую Наталью"),
        ("Заяц Пётр", "Зайцу Петру"),
        ("Ивановы", "Ивановых"),
        KIM,
    ],
)
def test_lists_that_know_nothing_of_each_other_agree_on_whom_a_full_name_denotes(names: tuple[str, ...]) -> None:
    assert len(canonical(*names)) == 1


def test_different_people_and_names_that_say_less_have_canonical_forms_of_their_own() -> None:
    names = (
        *("Иванов Иван Иванович", "Иванов Иван", "Иванов", "Иванов И. И.", "Иванов Пётр Иванович", "Ивановы"),
        *("Иванова Мария", "Гарсия Маркес", "Гарсия Лорка", "!!!", "К. В.", "X Æ", "X Å"),
    )
    assert len(canonical(*names)) == len(names)


def test_a_person_keeps_the_canonical_form_of_the_first_appearance() -> None:
    found = identify([(PERSON, "Соколов"), (PERSON, "Соколов Дмитрий"), (PERSON, "Диме")])
    assert {identity.canonical for identity in found.values()} == canonical("Соколов")


@pytest.mark.parametrize(
    ("entity", "same", "other"),
    [
        (Entity.PHONE, ("+7 916 555-01-02", "8 (916) 5550102", "9165550102", "8-916-555-01-02"), "+375 29 555-01-02"),
        (Entity.EMAIL, ("petrov@example.ru", "Petrov@Example.RU"), "petrova@example.ru"),
        (Entity.SNILS, ("112-233-445 95", "11223344595"), "112-233-445 96"),
        (Entity.BIRTH_DATE, ("05.05.1987", "5 мая 1987 г.", "1987-05-05"), "05.06.1987"),
        (Entity.ADDRESS, ("г. Тула, ул. Мира, д. 5, кв. 2", "Тула, улица Мира 5-2"), "г. Тула, пр. Мира, д. 5, кв. 2"),
        (Entity.PLATE, ("А123ВС77", "а 123 вс 77"), "А124ВС77"),
        (Entity.USERNAME, ("@Petrov", "petrov"), "petrov2"),
    ],
)
def test_ways_of_writing_one_value_are_one(entity: Entity, same: tuple[str, ...], other: str) -> None:
    found = identify([(entity, value) for value in (*same, other)])

    assert [found[entity, value].number for value in same] == [1] * len(same)
    assert found[entity, other].number == 2
    assert len({found[entity, value].canonical for value in same} - {""}) == 1
    assert found[entity, other].canonical != found[entity, same[0]].canonical


def test_a_secret_is_only_equal_to_itself() -> None:
    found = identify([(Entity.PASSWORD, "Qwerty-1"), (Entity.PASSWORD, "qwerty1")])

    assert len({identity.number for identity in found.values()}) == 2


values = st.tuples(
    st.sampled_from([PERSON, PERSON, PERSON, Entity.PHONE]),
    st.sampled_from([*SMIRNOVA, *IVANOV, *KIM, *OTHERS, "+7 916 555-01-02", "89165550102"])
    | st.text(min_size=1, max_size=12),
)


@given(st.lists(values, max_size=12), st.integers(0, 12))
def test_what_comes_later_never_changes_a_number_given_before(found: list[tuple[Entity, str]], length: int) -> None:
    whole, begun = identify(found), identify(found[:length])

    assert {value: whole[value] for value in begun} == begun


@given(st.lists(values, max_size=12))
def test_numbers_of_a_kind_are_given_in_order_and_none_is_left_out(found: list[tuple[Entity, str]]) -> None:
    identities = identify(found)

    for entity in {entity for entity, _ in found}:
        met = list(dict.fromkeys(identities[value].number for value in identities if value[0] is entity))
        assert met == list(range(1, len(met) + 1))


def test_a_person_has_one_number_and_each_way_of_writing_comes_back_as_it_stood() -> None:
    text = "Иванов Иван уволен. Выплатить Иванову И. И. всё. Сообщить Анне, что Иванов Иван уволен."
    spans = [(0, 11), (30, 43), (58, 62), (68, 79)]
    findings = [Finding(start, end, PERSON, 0.9) for start, end in spans]
    identities = identify([(PERSON, text[start:end]) for start, end in spans])
    vault = Vault(identities=identities)

    hidden = redact(text, findings, {PERSON}, vault)

    assert hidden == (
        "[PERSON_1_M] уволен. Выплатить [PERSON_1_M:2] всё. Сообщить [PERSON_2_F], что [PERSON_1_M] уволен."
    )
    assert restore(hidden, vault) == text
    assert len(vault) == 3


@given(st.lists(st.sampled_from([*IVANOV, *SMIRNOVA, *OTHERS]), min_size=1, max_size=8))
def test_no_two_values_share_a_placeholder_whoever_they_denote(names: list[str]) -> None:
    vault = Vault(avoid=["[person_1:2] [PERSON_3]"], identities=identify([(PERSON, name) for name in names]))

    labels = {name: vault.placeholder(PERSON, name) for name in names}

    assert len(set(labels.values())) == len(labels)
    assert all(restore(label, vault) == name for name, label in labels.items())
    assert not any(
        label.startswith(tuple(f"[PERSON_{number}{end}" for number in (1, 3) for end in "]:_"))
        for label in labels.values()
    )


@pytest.mark.no_cover  # many thousand times the same lines
def test_many_namesakes_cost_no_more_each_than_a_few() -> None:
    fresh = itertools.count()

    def cost(count: int) -> float:
        numbers = [next(fresh) for _ in range(count)]
        fathers = ["".join(chr(1072 + number // 32**place % 32) for place in range(4)) for number in numbers]
        names = [(PERSON, f"Иван {father.capitalize()}ович") for father in fathers]
        began = time.process_time()
        identify(names)
        return (time.process_time() - began) / count

    cost(500)
    assert min(cost(3_000) for _ in range(2)) < 3 * min(cost(600) for _ in range(3))
