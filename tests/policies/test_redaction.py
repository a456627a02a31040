"""Hiding and putting back: nothing else changes, nothing is lost, and it is the same however an answer is cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import Entity, Finding, Identity, StreamRestorer, Vault, redact, restore
from policies.redaction import PLACEHOLDER

PERSON, PHONE = Entity.PERSON, Entity.PHONE
ALL = frozenset(Entity)
text_with_brackets = st.lists(
    st.sampled_from(["[PERSON_1]", "[person_2]", "[PHONE_1", "]", "[", "_1]", "[[PERSON_1]]", "Иван", "\n", '"', "\\", "ı", " ", "PERSON_12", "<PHONE_2>",
                     "PERSON", "_", "2", "<", ">", "\\[PERSON\\_", "[ПЕРСОНА 1]", "_M", ":2", "[ Phone-3 ]"]) | st.text(max_size=4),
    max_size=14,
).map("".join)  # fmt: skip


@st.composite
def text_and_findings(draw):
    text = draw(text_with_brackets)
    findings = draw(
        st.lists(
            st.tuples(st.integers(0, max(len(text) - 1, 0)), st.integers(1, 9), st.sampled_from([PERSON, PHONE])),
            max_size=5 if text else 0,
        )
    )
    return text, [Finding(start, min(start + length, len(text)), kind, 0.9) for start, length, kind in findings]


def test_a_placeholder_says_what_it_stands_for_and_is_numbered_by_first_appearance():
    vault = Vault()
    text = "Иван звонил Анне, потом Иван ушёл"
    findings = [Finding(0, 4, PERSON, 1), Finding(12, 16, PERSON, 1), Finding(24, 28, PERSON, 1)]
    assert redact(text, findings, ALL, vault) == "[PERSON_1] звонил [PERSON_2], потом [PERSON_1] ушёл"
    assert len(vault) == 2


def test_the_same_history_gives_the_same_placeholders_each_turn():
    turns = [("Иван", [Finding(0, 4, PERSON, 1)]), ("Анна", [Finding(0, 4, PERSON, 1)])]
    vaults = Vault(), Vault()
    first, second = ([redact(text, found, ALL, vault) for text, found in turns] for vault in vaults)
    assert first == second == ["[PERSON_1]", "[PERSON_2]"]


def test_only_the_kinds_that_are_to_be_masked_are_hidden():
    text = "Иван 123"
    assert redact(text, [Finding(0, 4, PERSON, 1), Finding(5, 8, PHONE, 1)], {PHONE}, Vault()) == "Иван [PHONE_1]"


def test_findings_that_overlap_are_hidden_together_and_eat_nothing_beside_them():
    findings = [Finding(2, 6, PERSON, 0.6), Finding(4, 9, PHONE, 0.9), Finding(8, 10, PERSON, 0.7)]
    vault = Vault()
    hidden = redact("0123456789AB", findings, ALL, vault)
    assert hidden == "01[PHONE_1]AB"
    assert restore(hidden, vault) == "0123456789AB"


def test_findings_that_touch_stay_two():
    assert redact("ab", [Finding(0, 1, PERSON, 1), Finding(1, 2, PERSON, 1)], ALL, Vault()) == "[PERSON_1][PERSON_2]"


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (1, 1), (2, 1), (0, 4)])
def test_a_finding_of_another_text_is_refused_without_quoting_it(start, end):
    with pytest.raises(ValueError, match="does not lie within the text") as caught:
        redact("abc", [Finding(start, end, PERSON, 1)], ALL, Vault())
    assert "abc" not in str(caught.value)


def test_a_label_that_the_caller_wrote_is_never_given_out():
    vault = Vault(avoid=["что значит [person_1]?", "а [PERSON_3]"])
    assert [vault.placeholder(PERSON, name) for name in ("Иван", "Анна", "Иван")] == [
        "[PERSON_2]",
        "[PERSON_4]",
        "[PERSON_2]",
    ]
    assert restore("[PERSON_1] [PERSON_2]", vault) == "[PERSON_1] Иван"


def test_a_placeholder_in_other_letters_is_restored_and_an_unknown_one_stays():
    vault = Vault()
    vault.placeholder(PERSON, "Иван")
    assert restore("[person_1], [Person_1], [PERSON_2], [PERSON_01]", vault) == "Иван, Иван, [PERSON_2], [PERSON_01]"


def test_a_restored_value_is_not_looked_at_again():
    vault = Vault()
    vault.placeholder(PERSON, "[PERSON_2]")
    vault.placeholder(PERSON, "Анна")
    assert restore("[PERSON_1] [PERSON_2]", vault) == "[PERSON_2] Анна"


def test_a_letter_that_only_folds_to_an_ascii_one_makes_no_placeholder():
    vault = Vault()
    vault.placeholder(Entity.SNILS, "1")
    assert restore("[ſNILS_1]", vault) == "[ſNILS_1]"


def test_a_placeholder_says_what_is_known_of_gender_and_number():
    known = {"Анна": Identity(1, "female"), "Анне": Identity(1, "female"), "Петровы": Identity(2, plural=True)}
    known |= {"Саша": Identity(3), "Александр": Identity(3, "male"), "Сашей": Identity(3)}
    vault = Vault(identities={(PERSON, name): identity for name, identity in known.items()})

    labels = [vault.placeholder(PERSON, name) for name in (*known, "Кто-то")]

    assert labels[:3] == ["[PERSON_1_F]", "[PERSON_1_F:2]", "[PERSON_2_PL]"]
    assert labels[3:] == ["[PERSON_3]", "[PERSON_3_M:2]", "[PERSON_3_M:3]", "[PERSON_4]"]
    assert all(PLACEHOLDER.fullmatch(label) for label in labels)
    assert [restore(label, vault) for label in labels] == [*known, "Кто-то"]
    assert vault.placeholder(PHONE, "1") == "[PHONE_1]"


def test_with_a_key_requests_of_different_histories_give_one_person_one_placeholder():
    def vault(key, **numbers):
        people = {name: Identity(number, canonical=name.rstrip("у")) for name, number in numbers.items()}
        return Vault(identities={(PERSON, name): identity for name, identity in people.items()}, key=key)

    one, two = vault(b"secret", Иванов=1, Петров=2), vault(b"secret", Петрову=1, Сидоров=2, Иванов=3)

    assert one.placeholder(PERSON, "Иванов") == two.placeholder(PERSON, "Иванов")
    assert one.placeholder(PERSON, "Петров") == two.placeholder(PERSON, "Петрову")
    assert one.placeholder(PHONE, "123") == two.placeholder(PHONE, "123") != one.placeholder(PHONE, "124")
    assert one.placeholder(PERSON, "Иванов") != vault(b"other", Иванов=1).placeholder(PERSON, "Иванов")
    assert 1000 <= int(one.placeholder(PHONE, "123")[len("[PHONE_") : -1]) <= 9999


def test_keyed_numbers_are_what_they_were():
    # A conversation that goes on must not change its placeholders when the appliance is updated.
    vault = Vault(key=b"secret")
    assert [vault.placeholder(PERSON, "Иванов"), vault.placeholder(PHONE, "123")] == ["[PERSON_8275]", "[PHONE_3438]"]


def test_a_keyed_number_that_the_caller_wrote_or_another_one_has_is_passed_over():
    own = Vault(key=b"secret").placeholder(PERSON, "Иванов")
    other = Vault(avoid=[f"что такое {own.lower()}"], key=b"secret")
    assert other.placeholder(PERSON, "Иванов") != own
    assert restore(own, other) == own
    vault = Vault(key=b"secret")
    labels = {vault.placeholder(PERSON, f"n{number}") for number in range(9500)}
    assert len(labels) == 9500
    assert all(
        restore(vault.placeholder(PERSON, f"n{number}"), vault) == f"n{number}" for number in range(0, 9500, 500)
    )


def test_what_hides_a_value_may_be_chosen_for_each():
    vault = Vault()
    text = "Иван, 123, Анна, Иван"
    findings = [
        Finding(0, 4, PERSON, 1),
        Finding(6, 9, PHONE, 1),
        Finding(11, 15, PERSON, 1),
        Finding(17, 21, PERSON, 1),
    ]

    def hide(entity, value):
        if entity is PHONE:
            return "***"
        return (
            vault.stand_in(entity, value, "Олег", {"Олегу": "Ивану"})
            if value == "Иван"
            else vault.placeholder(entity, value)
        )

    assert redact(text, findings, ALL, vault, hide=hide) == "Олег, ***, [PERSON_1], Олег"
    assert restore("Олегу и [PERSON_1], ***", vault) == "Ивану и Анна, ***"
    assert len(vault) == 2


def test_a_stand_in_that_would_not_come_back_gives_way_to_a_placeholder():
    vault = Vault()
    findings = [Finding(1, 5, PERSON, 1), Finding(6, 7, PHONE, 1)]

    def hide(entity, value):
        return "*" if entity is PHONE else vault.stand_in(entity, value, "Олег", {})

    hidden = redact("яИван 1", findings, ALL, vault, hide=hide)

    assert hidden == "я[PERSON_1] *"
    assert restore(hidden, vault) == "яИван *"


def test_a_vault_shows_nothing_of_what_it_holds():
    vault = Vault()
    vault.placeholder(PERSON, "Иван")
    assert "Иван" not in repr(vault)


@given(st.text(max_size=20))
def test_an_original_put_into_a_json_string_is_still_json(value):
    vault = Vault()
    hidden = json.dumps({"name": vault.placeholder(PERSON, value)})
    assert json.loads(restore(hidden, vault, json_strings=True)) == {"name": value}


@given(text_and_findings(), st.sampled_from([b"", b"secret"]), st.sampled_from(["", "male", "female"]))
def test_restoring_undoes_redacting(case, key, gender):
    text, findings = case
    names = dict.fromkeys(text[finding.start : finding.end] for finding in findings)
    identities = {(PERSON, name): Identity(number // 2, gender) for number, name in enumerate(names)}
    vault = Vault(avoid=[text], identities=identities, key=key)
    assert restore(redact(text, findings, ALL, vault), vault) == text


@given(text_and_findings())
def test_what_lies_outside_the_masked_spans_is_unchanged(case):
    text, findings = case
    vault = Vault(avoid=[text])
    hidden = {place for finding in findings for place in range(finding.start, finding.end)}
    outside = "".join(character for place, character in enumerate(text) if place not in hidden)
    result = redact(text, findings, ALL, vault)
    for number in range(1, len(vault) + 60):
        for kind in (PERSON, PHONE):
            if vault.original(label := f"[{kind}_{number}]") is not None:
                result = result.replace(label, "")
    assert result == outside


@given(text_with_brackets, st.lists(st.integers(0, 80)), st.booleans())
def test_a_stream_is_restored_the_same_however_it_is_cut(answer, cuts, json_strings):
    vault = Vault()
    for value in ("Иван «Грозный»", 'он сказал "да"\n', "[PERSON_1]"):
        vault.placeholder(PERSON, value)
    vault.placeholder(PHONE, "123")
    whole = restore(answer, vault, json_strings=json_strings)
    places = [0, *sorted(cut for cut in cuts if cut < len(answer)), len(answer)]
    for chunks in ([answer[start:end] for start, end in itertools.pairwise(places)], list(answer)):
        restorer = StreamRestorer(vault, json_strings=json_strings)
        assert "".join([restorer.feed(chunk) for chunk in chunks] + [restorer.finish()]) == whole


def test_a_stream_holds_back_only_what_may_be_the_beginning_of_a_placeholder():
    vault = Vault()
    vault.placeholder(PERSON, "Иван")
    restorer = StreamRestorer(vault)
    assert restorer.feed("Да, [PER") == "Да, "
    assert restorer.feed("SON_1]!") == "Иван!"
    assert restorer.feed("[PHONE") == "[PHONE"
    assert restorer.feed("[p") == ""
    assert restorer.feed("[") == "[p"
    assert restorer.finish() == "["
    assert restorer.finish() == ""


def test_a_stream_without_hidden_values_is_never_held_back():
    assert StreamRestorer(Vault()).feed("[PERSON_") == "[PERSON_"
