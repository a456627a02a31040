"""Any k of n keepers bring the key back, fewer do not, and what they bring is checked before anything is written."""

from __future__ import annotations

import itertools
import re
import stat
from pathlib import Path

import pytest
from shamir_mnemonic import Share as Slip39
from shamir_mnemonic import combine_mnemonics, generate_mnemonics

from appliance.events import LogRead
from appliance.kek.escrow import Given, combine, read_share, spelled, split
from appliance.readings import noted
from audit import KeyFileError, key_check_of
from tests.appliance.kek.conftest import private, tree
from tests.e2e.running import Installed, running
from tests.e2e.test_command_line import appliance

KEY = bytes(range(32))
PUBLISHED = [
    (
        "humidity disease academic always aluminum jewelry energy woman receiver strategy amuse duckling lying evidence network walnut tactics"
        " forget hairy rebound impulse brother survive clothes stadium mailman rival ocean reward venture always armed unwrap"
    ),
    (
        "humidity disease academic agency actress jacket gross physics cylinder solution fake mortgage benefit public busy prepare sharp friar"
        " change work slow purchase ruler again tricycle involve viral wireless mixture anatomy desert cargo upgrade"
    ),
]
PUBLISHED_SECRET = "c938b319067687e990e05e0da0ecce1278f75ff58d9853f19dcaeed5de104aae"
NO_CHECKSUM = (
    "theory painting academic academic armed sweater year military elder discuss acne wildlife boring employer fused large satoshi bundle"
    " carbon diagnose anatomy hamster leaves tracks paces beyond phantom capital marvel lips brave detect lunar"
)
NO_PADDING = (
    "theory painting academic academic campus sweater year military elder discuss acne wildlife boring employer fused large satoshi bundle"
    " carbon diagnose anatomy hamster leaves tracks paces beyond phantom capital marvel lips facility obtain sister"
)


def given(words: list[str]) -> list[Given]:
    return [Given(each, f"доля {number}") for number, each in enumerate(words, 1)]


def sheets(installed: Installed, *options: object) -> list[Path]:
    out = installed.path.parent / "sheets"
    done = appliance("keys", "escrow", "split", "--out", out, *options, "--settings", installed.path)
    assert done.exit_code == 0, done.output
    assert installed.settings.kek_file.read_bytes().hex() not in done.output
    return sorted(out.iterdir(), key=lambda path: int(path.name.split("-")[1]))


def escrow(installed: Installed, act: str, shares: list[Path], *options: object, stdin: str = ""):
    files = itertools.chain.from_iterable(("--share", path) for path in shares)
    return appliance("keys", "escrow", act, *files, *options, "--settings", installed.path, stdin=stdin)


class TestShares:
    @pytest.mark.parametrize(("threshold", "count"), [(2, 2), (2, 3), (3, 5), (5, 5), (16, 16)])
    def test_every_choice_of_enough_shares_gives_the_key_and_every_smaller_one_does_not(
        self, threshold: int, count: int
    ) -> None:
        shares = given(split(KEY, threshold, count))
        for chosen in itertools.islice(itertools.combinations(shares, threshold), 10):
            assert combine(chosen) == KEY
            assert combine(chosen[::-1]) == KEY
        assert combine(shares) == KEY
        for chosen in itertools.islice(itertools.combinations(shares, threshold - 1), 10):
            with pytest.raises(KeyFileError, match=f"дано {threshold - 1}, нужно {threshold}"):
                combine(chosen)

    @pytest.mark.parametrize(("threshold", "count"), [(1, 3), (4, 3), (2, 17), (0, 0), (1, 1)])
    def test_a_split_that_protects_nothing_or_cannot_be_is_refused(self, threshold: int, count: int) -> None:
        with pytest.raises(KeyFileError, match="от 2 до 16"):
            split(KEY, threshold, count)

    def test_the_published_vector_of_the_standard_is_read(self) -> None:
        """SLIP-39, vectors.json, number 23: two of three, 256 bits, under the passphrase that all of them have; ours is empty."""
        assert combine_mnemonics(PUBLISHED, b"TREZOR").hex() == PUBLISHED_SECRET
        assert combine(given(PUBLISHED)) == combine_mnemonics(PUBLISHED, b"") != bytes.fromhex(PUBLISHED_SECRET)

    @pytest.mark.parametrize(
        ("words", "told"), [(PUBLISHED[:1], "нужно 2"), ([NO_CHECKSUM], "сумма"), ([NO_PADDING], "сумма")]
    )
    def test_the_published_vectors_that_must_fail_fail(self, words: list[str], told: str) -> None:
        """The same, numbers 24, 21 and 22."""
        with pytest.raises(KeyFileError, match=told):
            combine(given(words))

    def test_a_word_is_known_by_its_first_four_letters_in_any_case_with_its_number_before_it(self) -> None:
        shares = split(KEY, 2, 3)
        written = " ".join(f"{place}. {word[:4].upper()}" for place, word in enumerate(shares[0].split(), 1))
        assert combine([Given(written, "лист"), Given(shares[2], "доля 3")]) == KEY

    def test_every_word_that_is_mistyped_or_misplaced_is_noticed_and_none_is_quoted(self) -> None:
        first, second, _ = split(KEY, 2, 3)
        words = first.split()
        for place in range(len(words)):
            wrong = list(words)
            wrong[place] = "academic" if words[place] != "academic" else "acid"
            swapped = list(words)
            other = (place + 1) % len(words)
            swapped[place], swapped[other] = words[other], words[place]
            for spoiled in (wrong, swapped):
                if spoiled == words:
                    continue
                with pytest.raises(KeyFileError, match="лист А: контрольная сумма") as refusal:
                    combine([Given(" ".join(spoiled), "лист А"), Given(second, "лист Б")])
                assert not set(str(refusal.value).split()) & set(words)
            unknown = [*words[:place], "ведро", *words[place + 1 :]]
            with pytest.raises(KeyFileError, match=f"места: {place + 1};"):
                combine([Given(" ".join(unknown), "лист А"), Given(second, "лист Б")])

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            (lambda a, b: [a[0], b[1]], "из разных разделений"),
            (lambda a, b: [a[0], a[0]], "дана дважды"),
            (lambda a, b: [a[0]], "дано 1, нужно 2"),
            (lambda a, b: [], "ни одной доли"),
            (lambda a, b: [a[0], " ".join(a[1].split()[:-1])], "слов 32, должно быть 33"),
            (lambda a, b: [a[0], ""], "слов 0, должно быть 33"),
            (lambda a, b: [a[0], "9" * 5000], "слов 0"),
        ],
        ids=["another split", "twice", "one", "none", "a word short", "empty", "digits"],
    )
    def test_what_cannot_be_put_together_is_said(self, spoil, told: str) -> None:
        with pytest.raises(KeyFileError, match=told):
            combine(given(spoil(split(KEY, 2, 3), split(KEY, 2, 3))))

    def test_a_share_that_asks_for_minutes_of_work_is_refused(self) -> None:
        (words,) = generate_mnemonics(1, [(2, 3)], KEY, iteration_exponent=5)
        with pytest.raises(KeyFileError, match="не этой программой"):
            combine(given(words[:2]))

    def test_a_key_of_another_length_is_refused(self) -> None:
        (words,) = generate_mnemonics(1, [(2, 3)], KEY[:16])
        with pytest.raises(KeyFileError, match="слов 20, должно быть 33"):
            combine(given(words[:2]))

    def test_a_forged_share_with_a_good_checksum_gives_no_key(self) -> None:
        shares = [Slip39.from_mnemonic(each) for each in split(KEY, 2, 3)]
        forged = Slip39(**{**vars(shares[1]), "value": bytes(32)}).mnemonic()
        with pytest.raises(KeyFileError, match="не складываются"):
            combine(given([shares[0].mnemonic(), forged]))
        with pytest.raises(KeyFileError, match="не складываются"):
            combine(given([shares[0].mnemonic(), shares[2].mnemonic(), forged]))  # also one more than is needed


class TestCommands:
    def test_sheets_are_for_their_keepers_alone_and_tell_them_what_they_hold(self, installed: Installed) -> None:
        paths = sheets(installed)
        key = installed.settings.kek_file.read_bytes()
        assert [path.name for path in paths] == [f"share-{number}-of-3.txt" for number in (1, 2, 3)]
        assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
        assert stat.S_IMODE(paths[0].parent.stat().st_mode) == 0o700
        for number, path in enumerate(paths, 1):
            text = path.read_text(encoding="utf-8")
            assert f"№ {number} из 3" in text
            assert "любые 2 из 3" in text
            assert installed.settings.audit.origin in text
            assert spelled(key_check_of(key)) in text
            assert re.search(r"\d\d\.\d\d\.20\d\d", text)
        assert combine([read_share(paths[0]), read_share(paths[2])]) == key

    def test_a_lost_key_comes_back_and_opens_the_log(self, installed: Installed) -> None:
        paths = sheets(installed, "--shares", 5, "--threshold", 3)
        key = installed.settings.kek_file.read_bytes()
        installed.settings.kek_file.unlink()

        done = escrow(installed, "restore", [paths[4], paths[0], paths[2]])

        assert done.exit_code == 0, done.output
        assert installed.settings.kek_file.read_bytes() == key
        assert stat.S_IMODE(installed.settings.kek_file.stat().st_mode) == 0o600
        assert "да" in appliance("keys", "status", "--settings", installed.path).output

    def test_words_are_taken_from_the_keyboard(self, installed: Installed) -> None:
        paths = sheets(installed)
        installed.settings.kek_file.unlink()
        typed = "".join(f"{' '.join(read_share(path).words.split())}\n" for path in paths[:2])

        done = escrow(installed, "restore", [], stdin=typed)

        assert done.exit_code == 0, done.output
        assert appliance("keys", "status", "--settings", installed.path).exit_code == 0

    def test_a_drill_opens_the_newest_record_and_changes_nothing(self, installed: Installed, tmp_path: Path) -> None:
        paths = sheets(installed)
        installed.settings.kek_file.unlink()
        before = {name: content for name, content in tree(tmp_path).items() if "readings" not in name}

        done = escrow(installed, "drill", paths)

        assert done.exit_code == 0, done.output
        assert "Учения прошли" in done.output
        assert "Открыта запись 2 " in done.output
        assert {name: content for name, content in tree(tmp_path).items() if "readings" not in name} == before
        assert sorted(reading.what for _, reading in noted(installed.settings.readings)) == [
            "escrow-drill",
            "escrow-split",
        ]

    def test_a_drill_says_that_the_file_of_subjects_is_gone(self, installed: Installed) -> None:
        paths = sheets(installed)
        installed.settings.log.subject_keys.unlink()
        done = escrow(installed, "drill", paths[:2])
        assert (done.exit_code, "к кому относятся записи, не раскрыть" in done.output) == (0, True), done.output

    def test_without_the_log_the_sheet_says_which_key_it_is(self, tmp_path: Path, installed: Installed) -> None:
        paths = sheets(installed)
        key, check = (
            installed.settings.kek_file.read_bytes(),
            spelled(key_check_of(installed.settings.kek_file.read_bytes())),
        )
        installed.settings.kek_file.unlink()
        installed.settings.log.path.unlink()
        typed = "".join(f"{' '.join(read_share(path).words.split())}\n" for path in paths[:2])
        nothing = escrow(installed, "restore", [], stdin=typed)
        assert (nothing.exit_code, "сверить ключ не с чем" in nothing.output) == (2, True)
        wrong = escrow(installed, "restore", [], "--check", "0000 0000 0000 0000", stdin=typed)
        assert (wrong.exit_code, "не от этого ключа" in wrong.output) == (2, True)
        assert not installed.settings.kek_file.exists()
        for number, options in enumerate(([], ["--check", check], ["--check", check.replace(" ", "").upper()])):
            out = tmp_path / f"back-{number}"
            done = escrow(installed, "restore", paths[:2], "--out", out, *options)
            assert done.exit_code == 0, done.output
            assert out.read_bytes() == key

    def test_nothing_is_overwritten(self, installed: Installed, tmp_path: Path) -> None:
        paths = sheets(installed)
        before = tree(tmp_path)
        for refused in (
            appliance("keys", "escrow", "split", "--out", paths[0].parent, "--settings", installed.path),
            escrow(installed, "restore", paths[:2]),
        ):
            assert (refused.exit_code, "уже есть" in refused.output) == (2, True)
        assert tree(tmp_path) == before

    def test_a_split_that_fails_half_way_leaves_no_share(self, installed: Installed, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        refused = appliance("keys", "escrow", "split", "--out", tmp_path / "file" / "x", "--settings", installed.path)
        assert refused.exit_code == 2
        assert "Traceback" not in refused.output

    @pytest.mark.parametrize("act", ["restore", "drill"])
    def test_shares_of_another_log_or_of_an_earlier_key_are_told_apart(
        self, installed: Installed, tmp_path: Path, act: str
    ) -> None:
        paths = [private(tmp_path / f"s{number}", words) for number, words in enumerate(split(KEY, 2, 2))]
        installed.settings.kek_file.unlink()
        before = tree(tmp_path)
        refused = escrow(installed, act, paths)
        assert (refused.exit_code, "не от журнала" in refused.output) == (2, True), refused.output
        assert tree(tmp_path) == before

    @pytest.mark.parametrize("act", ["restore", "drill"])
    def test_a_share_that_others_can_read_is_refused(self, installed: Installed, act: str) -> None:
        paths = sheets(installed)
        installed.settings.kek_file.unlink()
        paths[1].chmod(0o644)
        refused = escrow(installed, act, paths[:2])
        assert (refused.exit_code, "chmod 600" in refused.output) == (2, True)
        assert not installed.settings.kek_file.exists()

    def test_what_cannot_be_noted_is_not_done(self, installed: Installed, tmp_path: Path) -> None:
        paths = sheets(installed)
        for path in installed.settings.readings.iterdir():
            path.unlink()
        installed.settings.readings.rmdir()
        installed.settings.readings.write_text("in the way")
        installed.settings.kek_file.rename(tmp_path / "aside")
        before = tree(tmp_path)
        for act in ("restore", "drill"):
            refused = escrow(installed, act, paths[:2])
            assert (refused.exit_code, "ничего не сделано" in refused.output) == (2, True)
        assert "Учения прошли" not in refused.output
        (tmp_path / "aside").rename(installed.settings.kek_file)
        again = appliance("keys", "escrow", "split", "--out", tmp_path / "more", "--settings", installed.path)
        assert (again.exit_code, (tmp_path / "more").exists()) == (2, False)
        installed.settings.kek_file.rename(tmp_path / "aside")
        assert tree(tmp_path) == before


def test_the_service_records_all_that_is_done_with_its_key(installed: Installed, phrase: Path, tmp_path: Path) -> None:
    paths = sheets(installed)
    assert escrow(installed, "drill", paths).exit_code == 0
    assert escrow(installed, "restore", paths[:2], "--out", tmp_path / "copy").exit_code == 0
    options = ("-o", f"passphrase_file={phrase}", "--settings", installed.path)
    assert appliance("keys", "seal", "--to", "passphrase", *options).exit_code == 0

    with running(installed):
        pass

    read = [(event.what, event.records) for event in installed.events(LogRead)]
    assert sorted(read) == [("escrow-drill", 1), ("escrow-restore", 1), ("escrow-split", 3), ("key-sealed", 1)]
    shown = appliance("audit", "list", "--settings", installed.path).output
    assert "учения" in " ".join(shown.split())
