"""A customer's own recognisers: as data and as classes; what they may do, and how they fail."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import (
    TITLES,
    CustomFile,
    Detector,
    DetectorFailedError,
    DetectorSettings,
    DetectorTimeoutError,
    Entity,
    Finding,
    RecognizersFileError,
    Text,
    built_in,
    problems_of_recognizers,
    read_custom,
    scan,
    shipped_policy_path,
)

EXAMPLE = shipped_policy_path().with_name("recognizers.example.toml")

CONTRACT = r"""
[[recognizer]]
name = "contract-number"
kind = "OTHER"
patterns = ['\bД-\d{4}/\d{2}\b']
"""


def written(folder: Path, text: str, name: str = "recognizers.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def custom(text: str) -> CustomFile:
    return CustomFile("recognizers.toml", text.encode())


def rule(**fields: object) -> CustomFile:
    """A file of one recogniser as data."""
    lines = [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in fields.items()]
    return custom("\n".join(["[[recognizer]]", 'name = "own"', 'kind = "OTHER"', *lines]))


def own(text: str, file: CustomFile) -> list[str]:
    """What the customer's recogniser found."""
    return [text[found.start : found.end] for found in scan(text, file) if found.entity is Entity.OTHER]


class TestData:
    async def test_a_pattern_of_the_customers_file_is_found_beside_what_is_built_in(self, tmp_path):
        path = written(tmp_path, CONTRACT)
        text = "Договор Д-1234/22, Иванов Иван Иванович"

        async with Detector.open(DetectorSettings(recognizers=str(path))) as detector:
            ((contract, person),) = await detector.detect([Text(text)])

        assert contract == Finding(8, 17, Entity.OTHER, 0.8)
        assert person.entity is Entity.PERSON

    def test_without_a_file_nothing_is_other(self):
        assert scan("Договор Д-1234/22") == ()

    def test_the_shipped_example_does_what_it_says(self):
        file = read_custom(EXAMPLE)
        text = "По договору Д-1234/22, проект Новой зари, пропуск ПРОПУСК-ОБРАЗЕЦ"

        found = {(found.entity, text[found.start : found.end]) for found in scan(text, file)}

        assert problems_of_recognizers(EXAMPLE) == ()
        assert found == {
            (Entity.OTHER, "Д-1234/22"),
            (Entity.OTHER, "Новой зари"),
            (Entity.EMPLOYEE_ID, "ПРОПУСК-ОБРАЗЕЦ"),
        }

    def test_words_are_found_whole_in_any_case_and_with_any_space_between_them(self):
        file = rule(words=["Заря", "Северный  поток-7", "AB++"])

        assert own("ЗАРЯ и заря, но не зарядка", file) == ["ЗАРЯ", "заря"]
        assert own("северный\nпоток-7, северный поток", file) == ["северный\nпоток-7"]
        assert own("класс AB++, а не AB", file) == ["AB++"]

    def test_case_of_letters_counts_when_it_is_told_to(self):
        file = rule(words=["Заря"], patterns=["К-[0-9]{3}"], case_sensitive=True)

        assert own("Заря заря К-123 к-123", file) == ["Заря", "К-123"]

    def test_a_disguised_value_is_found_and_a_sign_that_is_one_of_the_disguises_too(self):
        word, pattern = rule(words=["Чертёж"]), rule(patterns=[r"Д—\d{4}", r"К-\d{4}"])

        assert own("Чepтeж, Чер\u200bтёж, ЧЕРТЕЖ", word) == ["Чepтeж", "Чер\u200bтёж", "ЧЕРТЕЖ"]
        assert own("Д—1234 и К\u20111234", pattern) == ["Д—1234", "К\u20111234"]

    def test_words_of_a_file_lie_beside_it_one_a_line(self, tmp_path):
        (tmp_path / "staff.txt").write_text("\ufeff# отдел\nАльтаир\n\nСириус-2\n", encoding="utf-8")
        path = written(tmp_path, '[[recognizer]]\nname = "own"\nkind = "OTHER"\nwords_file = "staff.txt"')

        assert problems_of_recognizers(path) == ()
        assert own("альтаир, сириус-2, отдел", read_custom(path)) == ["альтаир", "сириус-2"]

    @pytest.mark.parametrize(
        ("phrase", "text", "found"),
        [
            ("Ромашка", "у Ромашки, с ромашкой; ромашковый", ["Ромашки", "ромашкой"]),
            ("Новая заря", "Новую зарю, в Новой заре, новая заре", ["Новую зарю", "Новой заре"]),
            ("Заря востока", "Зари востока, зарёй востока, заря востоку", ["Зари востока", "зарёй востока"]),
            ("АО МТС", "в АО МТС", ["АО МТС"]),
            ("Петрова", "Петровой и Петрову", ["Петровой", "Петрову"]),
        ],
    )
    def test_words_are_found_in_their_case_forms_when_asked(self, phrase, text, found):
        file = rule(words=[phrase], forms=True)

        assert (
            own(text, file) + [text[each.start : each.end] for each in scan(text, file) if each.entity is Entity.PERSON]
            == found
        )

    def test_a_long_list_of_words_costs_the_text_and_not_the_list(self):
        words = [f"слово{number}" for number in range(30_000)] + ["первое слово", "первое дело"]
        file = rule(words=words)

        assert own("слово29999 слово30000, первое дело", file) == ["слово29999", "первое дело"]


class TestContext:
    FILE = rule(patterns=[r"\d{4}/\d{2}"], context=["договор", "contract"])

    def test_a_word_of_the_context_must_stand_near(self):
        assert own("По договору 1234/22", self.FILE) == ["1234/22"]
        assert own("1234/22 (номер Договора)", self.FILE) == ["1234/22"]
        assert own("Счёт 1234/22", self.FILE) == []
        assert own(f"договор {'и ещё много слов ' * 5} 1234/22", self.FILE) == []

    def test_a_stem_is_the_beginning_of_a_word(self):
        assert own("недоговорённость 1234/22", self.FILE) == []

    def test_a_heading_of_a_column_is_context_however_far_above(self):
        rows = "\n".join(f"{number},{number:04}/22,поставка угля и щебня" for number in range(40))
        text = f"id,contract,note\n{rows}\n"

        assert len(own(text, self.FILE)) == 40

    async def test_a_label_is_context_and_is_itself_no_finding(self, tmp_path):
        path = tmp_path / "recognizers.toml"
        path.write_bytes(self.FILE.content)

        async with Detector.open(DetectorSettings(recognizers=str(path))) as detector:
            found, bare, label = await detector.detect(
                [Text("1234/22", "contract"), Text("1234/22", "invoice"), Text("сумма", "contract 1234/22")]
            )

        assert [(each.start, each.end) for each in found] == [(0, 7)]
        assert bare == label == ()


class TestLongTexts:
    @pytest.mark.parametrize("place", [0, 1_670, 1_990, 1_995, 1_999, 2_000, 2_001, 3_990, 3_999, 7_777])
    def test_a_value_is_found_wherever_windows_meet(self, place):
        text = ("слово " * 2_000)[:place] + " Д-1234/22 " + "слово " * 1_000

        assert own(text, custom(CONTRACT)) == ["Д-1234/22"]

    def test_a_match_longer_than_a_window_is_covered_whole(self):
        text = "ряд: " + "=" * 9_000 + " конец"
        found = [each for each in scan(text, rule(patterns=["=+"])) if each.entity is Entity.OTHER]

        assert {place for each in found for place in range(each.start, each.end)} == set(range(5, 9_005))


PIECES = [
    "Иванов Иван Иванович",
    "+7 916 123-45-67",
    "паспорт 4510 123456",
    "Д-1234/22",
    "ivan@example.com",
    "заря",
    "диагноз диабет",
]


class TestTogetherWithOurs:
    @given(
        st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), st.sampled_from([r"\w+", r"\d+", r"\S+ \S+", ".+"])
    )
    def test_ours_stay_as_they_are_and_the_customers_fill_the_rest(self, pieces, pattern):
        text = ", ".join(pieces)
        file = rule(patterns=[pattern], score=1.0)
        ours, together = scan(text), scan(text, file)

        assert set(ours) <= set(together)
        assert all(left.end <= right.start for left, right in itertools.pairwise(together))

    def test_what_a_customers_match_has_beyond_ours_is_covered(self):
        text = "Клиент Иванов Иван Иванович просил перезвонить"
        found = scan(text, rule(patterns=["Клиент .* просил"], score=1.0))

        assert [(each.entity, text[each.start : each.end]) for each in found] == [
            (Entity.OTHER, "Клиент "),
            (Entity.PERSON, "Иванов Иван Иванович"),
            (Entity.OTHER, " просил"),
        ]

    def test_of_two_customers_matches_the_surer_wins_and_the_other_keeps_its_rest(self):
        text = "заявка АБВ-123-ГДЕ-456"
        file = custom(
            r"""
            [[recognizer]]
            name = "wide"
            kind = "OTHER"
            patterns = ['АБВ-123-ГДЕ-456']
            score = 0.6
            [[recognizer]]
            name = "narrow"
            kind = "EMPLOYEE_ID"
            patterns = ['АБВ-123']
            score = 0.9
            """
        )

        assert [(each.entity, text[each.start : each.end]) for each in scan(text, file)] == [
            (Entity.EMPLOYEE_ID, "АБВ-123"),
            (Entity.OTHER, "-ГДЕ-456"),
        ]


class TestSlowPatterns:
    @pytest.mark.parametrize("pattern", [r"(a+)+b|c", r"(?:\w+\s?)+[!]x|c", r"(?:.*?,){11}P|c", "(?:х+х+)+у|ц"])
    def test_a_pattern_that_tries_everything_is_refused_when_the_file_is_read(self, tmp_path, pattern):
        path = written(tmp_path, f"[[recognizer]]\nname = 'own'\nkind = 'OTHER'\npatterns = ['{pattern}']")

        (problem,) = problems_of_recognizers(path)

        assert "слишком медленное" in problem

    def test_one_that_was_not_noticed_is_interrupted_and_nothing_is_known(self):
        file = rule(patterns=["(?:xy|xyxy)+z|w"])

        assert own("пароход xyxyz", file) == ["xyxyz"]
        with pytest.raises(DetectorFailedError, match=r"`own` did not finish") as caught:
            scan("xy" * 700 + " Иванов", file)
        assert "Иванов" not in str(caught.value)

    async def test_the_process_that_was_interrupted_goes_on_with_the_next_text(self, tmp_path):
        path = tmp_path / "recognizers.toml"
        path.write_bytes(rule(patterns=["(?:xy|xyxy)+z|w"]).content)

        async with Detector.open(DetectorSettings(recognizers=str(path), timeout_ms=60_000)) as detector:
            with pytest.raises(DetectorFailedError, match="`own`"):
                await detector.detect([Text("xy" * 700)])
            ((found,),) = await detector.detect([Text("код xyz")])

        assert (found.start, found.end) == (4, 7)


class TestVersion:
    async def test_the_version_changes_with_the_file_and_with_its_words(self, tmp_path):
        text = '[[recognizer]]\nname = "own"\nkind = "OTHER"\nwords_file = "words.txt"\n'
        versions = []
        for toml, words in ((text, "заря"), (text, "рассвет"), (text + "# два", "рассвет"), (text, "заря")):
            (tmp_path / "words.txt").write_text(words, encoding="utf-8")
            versions.append(read_custom(written(tmp_path, toml)).digest)

        settings = DetectorSettings(recognizers=str(tmp_path / "recognizers.toml"))
        async with Detector.open(settings) as customers, Detector.open() as plain:
            assert customers.version == f"{plain.version}@{versions[3]}"
        assert len(set(versions)) == 3
        assert versions[0] == versions[3]

    async def test_what_runs_is_what_was_read_whatever_happens_to_the_file(self, tmp_path):
        path = written(tmp_path, CONTRACT)
        async with Detector.open(DetectorSettings(recognizers=str(path), cache_bytes=0)) as detector:
            path.unlink()
            (process,) = detector._workers._all
            os.kill(process._process.pid, signal.SIGKILL)
            while True:  # until another process has taken over
                with contextlib.suppress(DetectorFailedError, DetectorTimeoutError):
                    ((found,),) = await detector.detect([Text("Договор Д-1234/22")])
                    break
        assert found.entity is Entity.OTHER


PLUGINS = """
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult
from presidio_analyzer.predefined_recognizers import EmailRecognizer


class Base(EntityRecognizer):
    def __init__(self):
        super().__init__(supported_entities=["CODE"], supported_language="ru")

    def load(self):
        pass

    def result(self, text):
        return RecognizerResult("CODE", 0, 3, 0.9)

    def analyze(self, text, entities, nlp_artifacts):
        assert entities == ["CODE"]
        return [self.result(text)]


class Good(Base):
    pass


class Raises(Base):
    def result(self, text):
        raise ValueError(text)


class BeyondTheEnd(Base):
    def result(self, text):
        return RecognizerResult("CODE", 0, len(text) + 1, 0.9)


class BeforeTheBeginning(Base):
    def result(self, text):
        return RecognizerResult("CODE", -1, 3, 0.9)


class Empty(Base):
    def result(self, text):
        return RecognizerResult("CODE", 3, 3, 0.9)


class Unknown(Base):
    def result(self, text):
        return RecognizerResult("SOMETHING", 0, 3, 0.9)


class NotANumber(Base):
    def result(self, text):
        return RecognizerResult("CODE", 0, 3, float("nan"))


class TooSure(Base):
    def result(self, text):
        return RecognizerResult("CODE", 0, 3, 1.5)


class Nonsense(Base):
    def result(self, text):
        return text


class Silent(Base):
    def analyze(self, text, entities, nlp_artifacts):
        return None


class Unsure(Base):
    def result(self, text):
        return RecognizerResult("CODE", 0, 3, 0.4)


class NeedsAFile(Base):
    def __init__(self, path):
        raise OSError(path)


class Quits(Base):
    def __init__(self):
        raise SystemExit(3)


class Tickets(PatternRecognizer):
    def __init__(self, prefix="T"):
        patterns = [Pattern("ticket", prefix + r"-\\d{5}", 0.7)]
        super().__init__(supported_entity="TICKET", patterns=patterns, context=["заявка"])


class SlowTickets(PatternRecognizer):
    def __init__(self):
        super().__init__(supported_entity="TICKET", patterns=[Pattern("slow", r"(?:xy|x|y)+z|w", 0.7)])


class OwnEmails(EmailRecognizer):
    pass


class NotARecognizer:
    pass
"""


def plugin(name: str, kinds: str = '{ "CODE" = "OTHER" }', more: str = "", module: str = "customers_own") -> str:
    return f'[[recognizer]]\nname = "plugin-{name.lower()}"\nclass = "{module}:{name}"\nkinds = {kinds}\n{more}\n'


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A customer's package, installed."""
    written(tmp_path, PLUGINS, "customers_own.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


class TestClasses:
    async def test_a_class_for_presidio_runs_in_the_detectors_process(self, plugins):
        tickets = plugin("Tickets", '{ "TICKET" = "EMPLOYEE_ID" }', 'arguments = { prefix = "ЗАЯВКА" }')
        path = written(plugins, plugin("Good") + tickets)
        text = "код; ЗАЯВКА-12345; Иванов Иван Иванович"

        async with Detector.open(DetectorSettings(recognizers=str(path))) as detector:
            (found,) = await detector.detect([Text(text)])

        assert [(each.entity, text[each.start : each.end]) for each in found] == [
            (Entity.OTHER, "код"),
            (Entity.EMPLOYEE_ID, "ЗАЯВКА-12345"),
            (Entity.PERSON, "Иванов Иван Иванович"),
        ]

    def test_presidios_own_class_is_named_by_its_path(self):
        file = custom(
            plugin(
                "CreditCardRecognizer",
                '{ "CREDIT_CARD" = "BANK_CARD" }',
                module="presidio_analyzer.predefined_recognizers",
            )
        )

        assert [found.entity for found in scan("4012888888881881", file)] == [Entity.BANK_CARD]

    def test_what_is_found_in_the_label_alone_is_no_finding(self, plugins):
        path = written(plugins, plugin("Good"))

        assert own("код", read_custom(path)) == ["код"]

    @pytest.mark.parametrize(
        "name",
        ["Raises", "BeyondTheEnd", "BeforeTheBeginning", "Empty", "Unknown", "NotANumber", "TooSure", "Nonsense"],
    )
    def test_a_class_that_breaks_the_contract_fails_the_call_and_quotes_nothing(self, plugins, name):
        file = read_custom(written(plugins, plugin(name)))

        with pytest.raises(DetectorFailedError, match=f"`plugin-{name.lower()}`") as caught:
            scan("Иванов Иван", file)

        assert "Иванов" not in str(caught.value)
        assert caught.value.__context__ is None or caught.value.__suppress_context__

    async def test_the_failure_of_a_class_reaches_the_caller_from_the_process(self, plugins):
        path = written(plugins, plugin("Raises"))

        async with Detector.open(DetectorSettings(recognizers=str(path))) as detector:
            with pytest.raises(DetectorFailedError, match="`plugin-raises` failed with `ValueError`"):
                await detector.detect([Text("Иванов Иван")])

    def test_finding_nothing_may_be_said_with_none(self, plugins):
        assert own("погода", read_custom(written(plugins, plugin("Silent")))) == []

    def test_a_score_below_the_threshold_does_not_count(self, plugins):
        assert own("код", read_custom(written(plugins, plugin("Unsure")))) == []
        assert own("код", read_custom(written(plugins, plugin("Unsure", more="threshold = 0.3")))) == ["код"]

    async def test_presidios_own_limit_of_time_does_not_make_a_slow_pattern_find_nothing(self, plugins, monkeypatch):
        monkeypatch.setenv("REGEX_TIMEOUT_SECONDS", "1")
        path = written(plugins, plugin("SlowTickets", '{ "TICKET" = "OTHER" }'))

        async with Detector.open(DetectorSettings(recognizers=str(path), timeout_ms=3_000)) as detector:
            with pytest.raises(DetectorTimeoutError):
                await detector.detect([Text("xy" * 700)])


class TestProblems:
    @pytest.mark.parametrize(
        ("entry", "named"),
        [
            ('kind = "OTHER"', "нужны `patterns`"),
            ('kind = "UNICORN"\nwords = ["заря"]', "UNICORN"),
            ('kind = "OTHER"\nwords = ["заря"]\ncolour = 1', "colour"),
            ('kind = "OTHER"\nwords = ["заря"]\nscore = 0.5', "score"),
            ('kind = "OTHER"\nwords = ["заря"]\nscore = 1.1', "score"),
            ('kind = "OTHER"\nwords = ["заря"]\ncontext = ["д"]', "context"),
            ('kind = "OTHER"\npatterns = ["("]', "не регулярное выражение"),
            ('kind = "OTHER"\npatterns = ["[0-9]*"]', "пустой строке"),
            (f'kind = "OTHER"\npatterns = ["{"(" * 13}a{")" * 13}"]', "вложены"),
            (f'kind = "OTHER"\npatterns = ["{"a" * 1_001}"]', "длиннее"),
            ('kind = "OTHER"\nwords = ["я"]', "`words`, 1-е"),
            ('kind = "OTHER"\npatterns = ["заря"]\nforms = true', "forms"),
            ('kind = "OTHER"\nwords_file = "nowhere.txt"', "nowhere.txt"),
            ('class = "nowhere.at:All"\nkinds = { "A" = "OTHER" }', "ModuleNotFoundError"),
            ('class = "no colon"\nkinds = { "A" = "OTHER" }', "class"),
            ('class = "customers_own:Missing"\nkinds = { "A" = "OTHER" }', "AttributeError"),
            ('class = "customers_own:NotARecognizer"\nkinds = { "A" = "OTHER" }', "EntityRecognizer"),
            ('class = "customers_own:NeedsAFile"\nkinds = { "CODE" = "OTHER" }', "TypeError"),
            ('class = "customers_own:NeedsAFile"\nkinds = { "CODE" = "OTHER" }\narguments = { path = "x" }', "OSError"),
            ('class = "customers_own:Quits"\nkinds = { "CODE" = "OTHER" }', "SystemExit"),
            ('class = "customers_own:Good"\nkinds = { "COD" = "OTHER" }', "класс не находит `COD`"),
            ('class = "customers_own:Good"\nkinds = {}', "kinds"),
            ('class = "customers_own:OwnEmails"\nkinds = { "EMAIL_ADDRESS" = "EMAIL" }', "tldextract"),
        ],
    )  # fmt: skip
    def test_an_entry_with_a_fault_is_named_with_the_reason(self, plugins, entry, named):
        file = read_custom(written(plugins, f'[[recognizer]]\nname = "own"\n{entry}'))

        with pytest.raises(RecognizersFileError) as caught:
            scan("погода", file)

        assert all("recognizers.toml" in problem and "`own`" in problem for problem in caught.value.problems)
        assert any(named in problem for problem in caught.value.problems), caught.value.problems

    @pytest.mark.parametrize(
        ("name", "kinds", "reason"),
        [
            ("EmailRecognizer", '{ "EMAIL_ADDRESS" = "EMAIL" }', "tldextract"),
            ("AzureAILanguageRecognizer", '{ "PERSON" = "PERSON" }', "мимо политики"),
            ("SpacyRecognizer", '{ "PERSON" = "PERSON" }', "движка NLP"),
        ],
    )
    def test_presidios_classes_that_use_the_network_or_cannot_work_are_refused(self, name, kinds, reason):
        file = custom(plugin(name, kinds, module="presidio_analyzer.predefined_recognizers"))

        with pytest.raises(RecognizersFileError, match=reason):
            scan("погода", file)

    async def test_all_problems_come_at_once_from_the_file_and_from_its_classes(self, plugins):
        words = "[[recognizer]]\nname = 'words'\nkind = 'OTHER'\nwords = ['Щ']\npatterns = ['(']\n"
        path = written(plugins, words + plugin("Quits") + plugin("Good") + plugin("Good"))

        with pytest.raises(RecognizersFileError) as caught:
            async with Detector.open(DetectorSettings(recognizers=str(path))):
                pass

        told = "\n".join(caught.value.problems)
        for named in ("`patterns`, 1-й", "`words`, 1-е", "SystemExit", "встречается 2 раза"):
            assert named in told
        assert "Щ" not in told
        assert problems_of_recognizers(path) == caught.value.problems

    @pytest.mark.parametrize(
        ("content", "named"),
        [
            (b"", "нет ни одного"),
            (b"[[recogniser]]\nname = 'own'", "recogniser"),
            (b"this is not toml", "не TOML"),
            ("[[recognizer]]\nname = 'заря'".encode("cp1251"), "строка 2"),
        ],
    )
    def test_a_file_that_is_none_of_recognisers_is_refused(self, tmp_path, content, named):
        path = tmp_path / "recognizers.toml"
        path.write_bytes(content)

        (problem,) = problems_of_recognizers(path)

        assert str(path) in problem
        assert named in problem

    def test_a_file_that_is_not_there_or_is_no_file_is_refused(self, tmp_path):
        assert "не читается" in problems_of_recognizers(tmp_path / "nowhere.toml")[0]
        assert "не файл" in problems_of_recognizers(tmp_path)[0]

    def test_a_line_of_a_word_file_is_named_and_not_quoted(self, tmp_path):
        (tmp_path / "staff.txt").write_text("Альтаир\nЩ\n", encoding="utf-8")
        (tmp_path / "cp1251.txt").write_bytes("Альтаир\nСириус".encode("cp1251"))
        entry = "[[recognizer]]\nname = '{0}'\nkind = 'OTHER'\nwords_file = '{0}.txt'\n"
        path = written(tmp_path, entry.format("staff") + entry.format("cp1251"))

        staff, cp1251 = (problem for problem in problems_of_recognizers(path) if "строка" in problem)

        assert "`staff.txt`, строка 2" in staff
        assert "Щ" not in staff
        assert "`cp1251.txt`, строка 1" in cp1251


def test_every_kind_has_a_recogniser_of_ours_but_the_customers_own():
    assert {each.kind for each in built_in()} == set(Entity) - {Entity.OTHER}
    assert all(each.examples for each in built_in())


def test_every_kind_has_a_russian_name():
    assert set(TITLES) == set(Entity)
