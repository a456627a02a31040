"""The policy file: what is shipped, and every way in which a file is refused."""

import hashlib
import tomllib

import pytest

from policies import (
    Category,
    Context,
    Entity,
    PolicyFileError,
    Residency,
    Verdict,
    evaluate,
    load_policy,
    shipped_policy_path,
)

SHIPPED = shipped_policy_path().read_text(encoding="utf-8")


@pytest.fixture
def policy_file(tmp_path):
    def write(content):
        path = tmp_path / "policy.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def problems_of(path):
    with pytest.raises(PolicyFileError) as caught:
        load_policy(path)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return caught.value.problems


def test_the_shipped_policy_is_in_force_and_is_known_by_the_hash_of_its_bytes():
    policy = load_policy(shipped_policy_path())
    assert policy.digest == hashlib.sha256(shipped_policy_path().read_bytes()).hexdigest()
    assert {"general", "support", "development"} <= policy.purposes.keys()
    assert {policy.category_of(entity) for entity in Entity} == set(Category)


@pytest.mark.parametrize(
    ("entity", "local", "ru", "foreign"),
    [
        (Entity.PERSON, Verdict.SEND, Verdict.MASK, Verdict.REFUSE),
        (Entity.SECRET, Verdict.SEND, Verdict.MASK, Verdict.REFUSE),
        (Entity.HEALTH, Verdict.SEND, Verdict.REFUSE, Verdict.REFUSE),
        (Entity.BIOMETRIC, Verdict.SEND, Verdict.REFUSE, Verdict.REFUSE),
    ],
)
@pytest.mark.parametrize("purpose", ["general", "support", "development"])
def test_the_shipped_policy_rules_as_promised(entity, local, ru, foreign, purpose):
    rulings = evaluate(load_policy(shipped_policy_path()), {entity: 1}, Context(purpose)).rulings
    assert {residency: ruling.verdict for residency, ruling in rulings.items()} == {
        Residency.LOCAL: local,
        Residency.RU: ru,
        Residency.FOREIGN: foreign,
    }


def test_the_shipped_rules_explain_themselves_to_people():
    for rule in load_policy(shipped_policy_path()).rules:
        assert rule.article.startswith("152-ФЗ, ст. ")
        assert rule.reason.endswith(".")
        assert rule.advice.endswith(".")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    (problem,) = problems_of(tmp_path / "policy.toml")
    assert "не читается" in problem


def test_a_file_that_is_not_utf_8_is_refused_with_its_line(policy_file):
    (problem,) = problems_of(policy_file(b"version = 1\n# \xff"))
    assert "строка 2: это не UTF-8" in problem


def test_a_syntax_error_is_refused_with_its_line(policy_file):
    (problem,) = problems_of(policy_file('version = "a"\npurposes = ['))
    assert "line 2" in problem or "end of document" in problem


def test_a_file_without_its_parts_is_refused(policy_file):
    (problem,) = problems_of(policy_file('version = "a"'))
    assert "missing required field `purposes`" in problem


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('version = "2026', 'verzion = 1\nversion = "2026', "unknown field `verzion`"),
        ('ground = "Исполнение', 'grund = "Исполнение', "`purposes`, 2-й по счёту (`support`)"),
        ('residencies = ["local"]', 'residencies = ["mars"]', "invalid enum value 'mars'"),
        ('residencies = ["local"]', "residencies = []", "`residencies` пусто"),
        ('verdict = "send"', 'verdict = "perhaps"', "invalid enum value 'perhaps'"),
        ('categories = ["special"]', 'categories = ["odd"]', "`rules`, 2-й по счёту (`special-stays-local`): invalid enum value 'odd'"),
        ('verdict = "send"', 'verdict = "send"\npurposes = ["leisure"]', "цели `leisure` нет"),
        ('PERSON = "general"', 'PERSON = "odd"', "`entities.PERSON`: `odd` — не категория"),
        ('PERSON = "general"', "", "нет `PERSON`"),
        ('PERSON = "general"', 'PERSON = "general"\nSHOE_SIZE = "general"', "`entities.SHOE_SIZE`: такого вида данных нет"),
        ('id = "support"', 'id = "general"', "`purposes`: `general` встречается 2 раза"),
        ('id = "special-stays-local"', 'id = "local-send"', "`rules`: `local-send` встречается 2 раза"),
        ('id = "local-send"', 'id = "unmaskable-field"', "занято встроенным правилом"),
        ('id = "local-send"', 'id = "Local send!"', "`rules`, 1-й по счёту (`Local send!`)"),
        ('id = "local-send"\n', "", "(без `id`): object missing required field `id`"),
        ('residencies = ["ru", "foreign"]', 'residencies = ["foreign"]', "ни одно правило не решает категорию `special` для размещения `ru`"),
        (
            'id = "general-ru-masked"\ncategories = ["general"]',
            'id = "general-ru-masked"\ncategories = ["special"]',
            "правило `general-ru-masked`: никогда не сработает; всё, о чём оно, решают до него `special-stays-local`",
        ),
        ('verdict = "send"', 'verdict = "send"\npurposes = ["support"]', "(цели: `general`, `development`)"),
    ],
)  # fmt: skip
def test_a_policy_with_a_fault_is_refused_and_the_fault_is_named(policy_file, old, new, expected):
    assert old in SHIPPED
    assert any(expected in problem for problem in problems_of(policy_file(SHIPPED.replace(old, new, 1))))


def test_all_problems_are_named_at_once(policy_file):
    broken = (
        SHIPPED.replace('PERSON = "general"', 'PERSON = "odd"')
        .replace('verdict = "send"', 'verdict = "perhaps"')
        .replace('ground = "Исполнение', 'grund = "Исполнение')
    )
    assert len(problems_of(policy_file(broken))) == 3


def test_a_policy_without_purposes_or_rules_is_refused(policy_file):
    entities = SHIPPED[SHIPPED.index("[entities]") : SHIPPED.index("# --- Правила")]
    problems = problems_of(policy_file(f'version = "1"\npurposes = []\nrules = []\n{entities}'))
    assert any("`purposes`: нет ни одной" in problem for problem in problems)
    assert any("`rules`: нет ни одного" in problem for problem in problems)


def test_a_rule_for_one_purpose_decides_before_the_rule_for_all(policy_file):
    special = (
        '[[rules]]\nid = "support-general-ru"\ncategories = ["general"]\nresidencies = ["ru"]\npurposes = ["support"]\n'
        'verdict = "refuse"\narticle = "a"\nreason = "r"\nadvice = "a"\n'
    )
    policy = load_policy(policy_file(SHIPPED.replace("[[rules]]", f"{special}\n[[rules]]", 1)))
    verdicts = {
        purpose: evaluate(policy, {Entity.PERSON: 1}, Context(purpose)).rulings[Residency.RU].verdict
        for purpose in policy.purposes
    }
    assert verdicts == {"general": Verdict.MASK, "support": Verdict.REFUSE, "development": Verdict.MASK}


def test_every_kind_of_data_stands_in_the_shipped_file_once():
    assert list(tomllib.loads(SHIPPED)["entities"]) != []
    assert set(tomllib.loads(SHIPPED)["entities"]) == set(Entity)
