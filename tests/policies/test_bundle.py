"""The policy file: what is shipped, and every way in which a file is refused."""

import hashlib
import tomllib

import pytest

from policies import (
    Category,
    Context,
    Destination,
    Entity,
    Method,
    PolicyFileError,
    Profile,
    Residency,
    Verdict,
    evaluate,
    load_policy,
    shipped_policy_path,
)
from tests.bundles import DAY, DESTINATIONS, FOREIGN, LOCAL, PARTNER, RU, shipped, with_partners

SHIPPED = "\n".join(shipped().values())


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


def test_the_shipped_policy_is_in_force_and_is_known_by_the_hash_of_its_files():
    policy = load_policy(shipped_policy_path())
    lines = [
        f"{hashlib.sha256(content.encode()).hexdigest()}  {name}\n" for name, content in sorted(shipped().items())
    ] + [f"{hashlib.sha256(b'').hexdigest()}  profile:base\n"]
    assert policy.digest == hashlib.sha256("".join(lines).encode()).hexdigest()
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
def test_the_shipped_policy_rules_as_promised(tmp_path, entity, local, ru, foreign, purpose):
    policy = load_policy(with_partners(tmp_path / "bundle"))
    rulings = evaluate(policy, {entity: 1}, Context(purpose, DAY), DESTINATIONS).rulings
    if purpose == "development" and entity in {Entity.HEALTH, Entity.BIOMETRIC}:
        local = Verdict.MASK  # excess for that purpose
    assert [rulings[each.route].verdict for each in DESTINATIONS] == [local, ru, foreign]


def test_the_shipped_recipients_are_drafts_and_nothing_personal_goes_to_them():
    policy = load_policy(shipped_policy_path())
    assert set(policy.recipients) == {"sber", "yandex"}
    for name in policy.recipients:
        there = Destination("x/m", Residency.RU, "RU", name)
        assert (
            evaluate(policy, {Entity.PERSON: 1}, Context("general", DAY), [there]).rulings["x/m"].verdict
            is Verdict.REFUSE
        )
        assert evaluate(policy, {}, Context("general", DAY), [there]).rulings["x/m"].verdict is Verdict.SEND


def test_the_shipped_rules_explain_themselves_to_people():
    for rule in load_policy(shipped_policy_path()).rules:
        assert rule.article.startswith("152-ФЗ, ст. ")
        assert rule.reason.endswith(".")
        assert rule.advice.endswith(".")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    (problem,) = problems_of(tmp_path / "policy.toml")
    assert "не читается" in problem


def test_a_folder_without_files_is_refused(tmp_path):
    (problem,) = problems_of(tmp_path)
    assert "нет ни одного файла `*.toml`" in problem


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
        ('basis = "6.1.5"', 'basis = "6.1.99"', "invalid enum value '6.1.99'"),
        ('allows = ["general", "secret"]', 'allows = ["general", "gossip"]', "цель `development`: `allows`: `gossip` — не категория и не вид данных"),
        ('profile = "base"', 'profile = "school"', "invalid enum value 'school'"),
        ('profile = "base"', 'profile = "base"\nvalid_from = 2027-01-02\nvalid_until = 2027-01-01', "политика: `valid_until` раньше `valid_from`"),
        ('inn = "7707083893"', 'inn = "77"', "`recipients`, 1-й по счёту (`sber`)"),
        ('country = "RU"\nstatus = "draft"', 'country = "RU"\nstatus = "fine"', "invalid enum value 'fine'"),
        ('inn = "7707083893"\ncountry = "RU"\nstatus = "draft"', 'inn = ""\ncountry = "RU"\nstatus = "active"', "у действующего получателя в России должен быть `inn`"),
        ('id = "yandex"', 'id = "sber"', "`recipients`: `sber` встречается 2 раза"),
        ('code = "CN"', 'code = "china"', "`countries`, 1-й по счёту (`china`)"),
        ('method = "identifier"', 'method = "magic"', "`masking`, 1-й по счёту"),
        ('verdict = "send"', 'verdict = "send"\nalways = true', "`always` бывает только у отказа"),
        ('verdict = "send"', 'verdict = "send"\nentities = ["SHOE_SIZE"]', "invalid enum value 'SHOE_SIZE'"),
        ('verdict = "send"', 'verdict = "send"\nentities = ["PERSON"]', "ни одно правило не решает `PHONE` для размещения `local`"),
        ('id = "local-send"', 'id = "recipient-missing"', "занято встроенным правилом"),
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
    problems = problems_of(policy_file(f'version = "1"\npurposes = []\nrules = []\n{shipped()["taxonomy.toml"]}'))
    assert any("`purposes`: нет ни одной" in problem for problem in problems)
    assert any("`rules`: нет ни одного" in problem for problem in problems)


def test_a_key_in_two_files_and_a_broken_file_are_named_with_their_file(tmp_path):
    folder = with_partners(tmp_path / "bundle")
    (folder / "again.toml").write_text('version = "2"', encoding="utf-8")
    (folder / "odd.toml").write_text("a = [", encoding="utf-8")
    with pytest.raises(PolicyFileError) as caught:
        load_policy(folder)
    one, two = caught.value.problems
    assert one == f"{folder / 'bundle.toml'}: `version` уже стоит в другом файле политики"
    assert two.startswith(f"{folder / 'odd.toml'}: это не TOML")


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_change_of_any_file_changes_the_digest(tmp_path, name):
    folder = with_partners(tmp_path / "bundle")
    before = load_policy(folder).digest
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write("\n# note\n")
    assert load_policy(folder).digest != before


def test_the_digest_does_not_depend_on_where_the_folder_lies(tmp_path):
    one, two = (load_policy(with_partners(tmp_path / name)) for name in ("one", "two"))
    assert one.digest == two.digest


def test_a_rule_for_one_purpose_decides_before_the_rule_for_all(policy_file):
    special = (
        '[[rules]]\nid = "support-general-ru"\ncategories = ["general"]\nresidencies = ["ru"]\npurposes = ["support"]\n'
        'verdict = "refuse"\narticle = "a"\nreason = "r"\nadvice = "a"\n'
    )
    policy = load_policy(policy_file(SHIPPED.replace("[[rules]]", f"{special}\n[[rules]]", 1) + PARTNER))
    verdicts = {
        purpose: evaluate(policy, {Entity.PERSON: 1}, Context(purpose, DAY), [RU]).rulings[RU.route].verdict
        for purpose in policy.purposes
    }
    assert verdicts == {"general": Verdict.MASK, "support": Verdict.REFUSE, "development": Verdict.MASK}


def test_every_kind_of_data_stands_in_the_shipped_file_once():
    assert list(tomllib.loads(SHIPPED)["entities"]) != []
    assert set(tomllib.loads(SHIPPED)["entities"]) == set(Entity)


def profiled(folder, profile):
    path = with_partners(folder) / "bundle.toml"
    path.write_text(path.read_text().replace('profile = "base"', f'profile = "{profile}"'), encoding="utf-8")
    return load_policy(folder)


def test_a_profile_can_only_tighten(tmp_path):
    policies = {profile: profiled(tmp_path / profile, profile) for profile in Profile}
    base = policies.pop(Profile.BASE)
    for profile, policy in policies.items():
        stricter = 0
        for found in [{}, *({entity: 1} for entity in Entity)]:
            for purpose in base.purposes:
                context = Context(purpose, DAY)
                mild, strict = (evaluate(each, found, context, DESTINATIONS).rulings for each in (base, policy))
                for route, ruling in mild.items():
                    assert strict[route].verdict.strictness >= ruling.verdict.strictness
                    stricter += strict[route].verdict is not ruling.verdict
        assert stricter, f"{profile} changes nothing"
        assert policy.digest != base.digest


def test_profiles_hold_what_their_names_promise(tmp_path):
    def verdict(profile, found, destination):
        policy = profiled(tmp_path / f"{profile}-{len(list(tmp_path.iterdir()))}", profile)
        ruling = evaluate(policy, found, Context("general", DAY), [destination]).rulings[destination.route]
        return ruling.verdict, {rule.id for rule in ruling.rules}

    assert verdict("bank", {Entity.BANK_CARD: 1}, RU) == (Verdict.REFUSE, {"bank-secrecy-stays-local"})
    assert verdict("bank", {Entity.PERSON: 1}, RU)[0] is Verdict.MASK
    assert verdict("gos", {}, RU) == (Verdict.REFUSE, {"gos-only-local", "template-missing"})
    assert verdict("gos", {}, LOCAL) == (Verdict.REFUSE, {"template-missing"})
    assert verdict("kii", {}, FOREIGN) == (Verdict.REFUSE, {"kii-not-abroad"})
    assert verdict("kii", {Entity.SECRET: 1}, RU) == (Verdict.REFUSE, {"kii-secrets-stay-local"})


def test_a_rule_for_one_kind_decides_before_the_rule_for_its_category(policy_file):
    cards = (
        '[[rules]]\nid = "cards-stay"\ncategories = ["general"]\nentities = ["BANK_CARD"]\nresidencies = ["ru"]\n'
        'verdict = "refuse"\narticle = "a"\nreason = "r"\nadvice = "a"\n'
    )
    policy = load_policy(policy_file(SHIPPED.replace("[[rules]]", f"{cards}\n[[rules]]", 1) + PARTNER))
    for entity, expected in ((Entity.BANK_CARD, Verdict.REFUSE), (Entity.PHONE, Verdict.MASK)):
        assert evaluate(policy, {entity: 1}, Context("general", DAY), [RU]).rulings[RU.route].verdict is expected


def test_a_method_of_masking_is_chosen_by_kind_category_purpose_and_residency(policy_file):
    rows = (
        '[[masking]]\nmethod = "generalization"\nentities = ["BIRTH_DATE"]\npurposes = ["support"]\narticle = "a"\n'
        '[[masking]]\nmethod = "stars"\ncategories = ["secret"]\nresidencies = ["ru"]\narticle = "a"\n'
    )
    policy = load_policy(policy_file(SHIPPED.replace("[[masking]]", f"{rows}\n[[masking]]", 1) + PARTNER))
    found = {Entity.BIRTH_DATE: 1, Entity.SECRET: 1, Entity.PERSON: 1}
    masks = [
        evaluate(policy, found, Context(purpose, DAY), [RU]).rulings[RU.route].masks
        for purpose in ("support", "general")
    ]
    stars, identifier = Method.STARS, Method.IDENTIFIER
    assert masks == [
        {Entity.BIRTH_DATE: Method.GENERALIZATION, Entity.SECRET: stars, Entity.PERSON: identifier},
        {Entity.BIRTH_DATE: identifier, Entity.SECRET: stars, Entity.PERSON: identifier},
    ]
