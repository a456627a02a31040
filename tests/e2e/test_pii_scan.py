"""`appliance pii scan FILE…` as a security officer uses it: real files of each format, good, damaged and hostile."""

from __future__ import annotations

import datetime as dt
import json
import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path

import docx
import openpyxl
import pytest
from click.testing import CliRunner, Result
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    TextStringObject,
)

from appliance.__main__ import main
from appliance.documents import Reading, passages

NAME = "Иванов Пётр Сергеевич"
PHONE = "+7 916 123-45-67"
SNILS = "112-233-445 95"
MAIL = "p.ivanov@example.ru"
VALUES = (NAME, PHONE, SNILS, MAIL, "Иванов", "Сергеевич", "916 123", "112-233")


def scan(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["pii", "scan", *(str(argument) for argument in arguments)])


def findings(*arguments: object) -> tuple[list[dict], dict]:
    """What `--json --show-values` tells: the findings, and the summary."""
    lines = [json.loads(line) for line in scan("--json", "--show-values", *arguments).stdout.splitlines()]
    return lines[:-1], lines[-1]["summary"]


def places(*arguments: object) -> set[tuple[str, str, str]]:
    return {(found["kind"], found["place"], found["value"]) for found in findings(*arguments)[0]}


def inspected(*arguments: object) -> dict:
    """The summary's word on the only file."""
    (only,) = findings(*arguments)[1]["inspected"]
    return only


class TestReport:
    def test_counts_by_kind_places_and_the_total_but_no_values(self, tmp_path: Path) -> None:
        (tmp_path / "письмо.txt").write_text(f"Добрый день!\nКлиент {NAME}\nтелефон {PHONE}, почта {MAIL}\n")
        (tmp_path / "чисто.txt").write_text("Погода хорошая.\n")

        result = scan("--recursive", tmp_path)

        assert result.exit_code == 1
        assert "письмо.txt (текст): найдено 3" in result.output
        assert "ФИО — 1: строка 2" in result.output
        assert "телефон — 1: строка 3" in result.output
        assert "Файлов 2; с персональными данными 1; без находок 1" in result.output
        assert not any(value in result.output for value in VALUES)
        assert "Иванов" not in result.stderr

    def test_values_are_shown_to_those_who_ask(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text(f"Клиент {NAME}\n")

        assert f"строка 1: «{NAME}»" in scan("--show-values", path).output

    def test_nothing_found_is_0(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("Погода хорошая.\n")
        (tmp_path / "empty.csv").write_text("")

        result = scan("-r", tmp_path)

        assert result.exit_code == 0
        assert "без находок 2" in result.output

    def test_json_has_a_line_a_finding_and_a_last_summary(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text(f"😀 Клиент {NAME}\n")

        result = scan("--json", path)

        finding, last = (json.loads(line) for line in result.stdout.splitlines())
        assert finding == {
            "file": str(path),
            "place": "строка 1",
            "kind": "PERSON",
            "start": 9,
            "end": 9 + len(NAME),
            "score": finding["score"],
        }
        assert 0 < finding["score"] <= 1
        assert last["summary"]["findings"] == last["summary"]["with_findings"] == 1
        assert last["summary"]["kinds"] == {"PERSON": 1}
        assert "Иванов" not in result.output

    def test_many_places_are_counted_and_the_first_named(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text(f"телефон {PHONE}\n" * 9)

        assert "телефон — 9: строка 1; строка 2; и ещё 7" in scan("--places", "2", path).output
        assert "строка" not in scan("--places", "0", path).output

    def test_only_the_wanted_kinds_and_scores_count(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text(f"Клиент {NAME}, телефон {PHONE}\n")

        result = scan("--kinds", "phone", path)
        assert "телефон" in result.output
        assert "ФИО —" not in result.output
        assert "Учтено только: телефон" in result.output
        assert scan("--kinds", "VIN,SNILS", path).exit_code == 0
        assert scan("--min-score", "1", path).exit_code == 0

    def test_a_bar_is_drawn_on_a_terminal_only(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text(f"Клиент {NAME}\n")
        command = [sys.executable, "-m", "appliance", "pii", "scan", path]
        master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}

        shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=slave, text=True, timeout=120, env=environment)
        os.close(slave)
        drawn = os.read(master, 1 << 16).decode()
        os.close(master)
        quiet = subprocess.run(command, capture_output=True, text=True, timeout=120)

        assert "━" in drawn
        assert shown.stdout == quiet.stdout
        assert "ФИО — 1" in quiet.stdout
        assert (shown.returncode, quiet.returncode, quiet.stderr) == (1, 1, "")


class TestCall:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["."], "--recursive"),
            (["--kinds", "FACE", "x"], "FACE"),
            (["--encoding", "klingon", "x"], "klingon"),
            (["--encoding", "base64", "x"], "base64"),
            (["--jsonl", "x"], "--json"),
            (["--json"], "назовите файлы"),
            (["--recursive", "--min-score", "1"], "`--min-score`, `--recursive`"),
        ],
    )
    def test_a_bad_call_is_2_and_says_what_to_do(self, arguments: list[str], said: str) -> None:
        result = scan(*arguments)

        assert result.exit_code == 2
        assert said in result.output

    def test_an_empty_folder_is_not_a_clean_one(self, tmp_path: Path) -> None:
        result = scan("-r", tmp_path)

        assert result.exit_code == 2
        assert "файлов нет" in result.output

    def test_what_cannot_be_read_is_named_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text(f"Клиент {NAME}\n")
        os.mkfifo(tmp_path / "pipe.txt")
        (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9)

        result = scan("-r", tmp_path, tmp_path / "absent.txt")

        assert result.exit_code == 2
        assert "ФИО — 1" in result.output
        assert "НЕ ПРОВЕРЕНО: файла нет" in result.output
        assert "канал, устройство" in result.output
        assert "двоичный файл" in result.output
        assert "без находок 0; не проверено или проверено не целиком 3" in result.output

    def test_excluded_files_are_counted_and_not_read(self, tmp_path: Path) -> None:
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "index").write_bytes(bytes(100))
        (tmp_path / "a.png").write_bytes(bytes(100))
        (tmp_path / "a.txt").write_text("Погода хорошая.")

        result = scan("-r", tmp_path, "--exclude", "*.png", "--exclude", ".git")

        assert result.exit_code == 0
        assert "исключено 2" in result.output

    def test_links_lead_to_files_and_never_in_circles(self, tmp_path: Path) -> None:
        inside, outside = tmp_path / "inside", tmp_path / "outside"
        (inside / "deep").mkdir(parents=True)
        outside.mkdir()
        (outside / "b.txt").write_text(f"Клиент {NAME}\n")
        (inside / "deep" / "up").symlink_to(inside)
        (inside / "file").symlink_to(outside / "b.txt")

        assert scan("-r", inside).exit_code == 1
        (inside / "elsewhere").symlink_to(outside)
        (inside / "self").symlink_to(inside / "self")
        result = scan("-r", inside)
        assert result.exit_code == 2
        assert "ссылка на каталог вне проверяемых" in result.output
        assert "саму себя" in result.output

    def test_a_name_may_hold_any_bytes_and_cannot_steer_the_terminal(self, tmp_path: Path) -> None:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b[2J\n.txt")).write_text(f"Клиент {NAME}\n")

        for arguments in (["-r", tmp_path], ["-r", "--json", tmp_path]):
            result = scan(*arguments)
            assert result.exit_code == 1
            assert "xff" in result.output
            assert "\x1b" not in result.output

    def test_a_file_that_changes_meanwhile_is_not_clean(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("Погода хорошая.\n" * 20_000)
        reading = Reading()
        read = passages(path, reading)

        next(read)
        with path.open("a") as file:
            file.write(f"Клиент {NAME}\n")
        rest = list(read)

        assert "менялся" in reading.problems[0]
        assert not any("Иванов" in passage.text for passage in rest)

    def test_without_the_libraries_it_is_said_what_to_install(self, tmp_path: Path) -> None:
        for name in ("a.docx", "a.xlsx", "a.pdf"):
            WRITERS[name](tmp_path / name)
        (tmp_path / "a.txt").write_text("Погода хорошая.")
        script = (
            "import sys; sys.modules.update(dict.fromkeys(['openpyxl', 'pypdf', 'defusedxml', 'defusedxml.ElementTree']));"
            "from appliance.__main__ import main; main()"
        )

        done = subprocess.run(
            [sys.executable, "-c", script, "pii", "scan", "-r", tmp_path], capture_output=True, text=True, timeout=120
        )

        assert done.returncode == 2
        assert done.stdout.count("установите `llm-privacy-appliance[documents]`") == 3
        assert "без находок 1" in done.stdout
        assert done.stderr == ""


class TestText:
    def test_every_line_of_a_long_file_is_found_once(self, tmp_path: Path) -> None:
        path = tmp_path / "a.log"
        lines = [
            f"{number} телефон +7 916 {number % 900 + 100}-45-{number % 90 + 10} " + "о погоде " * 9
            for number in range(3000)
        ]
        path.write_text("\n".join(lines))

        found, _ = findings(path)

        assert [each["place"] for each in found] == [f"строка {number}" for number in range(1, 3001)]
        for each, line in zip(found, lines, strict=True):
            assert line[each["start"] : each["end"]] == each["value"]

    def test_a_line_without_an_end_is_found_in_too(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        words = "о погоде " * 1999
        line = "".join(f"{words}телефон +7 916 123-{number}-67, " for number in range(10, 30))
        path.write_text(line)

        found, _ = findings(path)

        assert [line[each["start"] : each["end"]] for each in found] == [f"+7 916 123-{n}-67" for n in range(10, 30)]
        assert {each["place"] for each in found} == {"строка 1"}

    def test_columns_of_a_database_dump_head_rows_far_below(self, tmp_path: Path) -> None:
        path = tmp_path / "dump.sql"
        rows = [f"{number}\tзапись о погоде в этот день\t45101{number + 10000}\n" for number in range(4000)]
        path.write_text("COPY public.people (id, note, passport) FROM stdin;\n" + "".join(rows) + "\\.\n")

        found, _ = findings("--kinds", "PASSPORT", path)

        assert [each["place"] for each in found] == [f"строка {number}" for number in range(2, 4002)]

    @pytest.mark.parametrize(
        ("codec", "said"),
        [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", "UTF-16"), ("utf-32", "UTF-32"), ("cp1251", "cp1251")],
    )
    def test_the_encoding_is_decided_and_said(self, tmp_path: Path, codec: str, said: str) -> None:
        path = tmp_path / "a.txt"
        path.write_text(f"Договор от пятого мая.\r\nКлиент {NAME} просит перезвонить.\r\n", encoding=codec, newline="")

        result = scan(path)

        assert result.exit_code == 1
        assert "ФИО — 1: строка 2" in result.output
        assert (f"кодировка {said}" in result.output) == bool(said)
        assert (f"не в UTF-8: {said} — 1" in result.output) == bool(said)

    @pytest.mark.parametrize("codec", ["koi8-r", "cp866", "utf-16-le"])
    def test_an_encoding_that_cannot_be_told_is_not_guessed(self, tmp_path: Path, codec: str) -> None:
        path = tmp_path / "a.txt"
        path.write_text(f"Клиент {NAME} просит перезвонить ему завтра по поводу договора.\n" * 9, encoding=codec)

        result = scan(path)

        assert result.exit_code == 2
        assert "НЕ ПРОВЕРЕНО" in result.output
        assert "без находок 0" in result.output
        if codec != "utf-16-le":
            assert scan("--encoding", codec, path).exit_code == 1

    def test_a_few_broken_bytes_do_not_make_utf_8_anything_else(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes(f"Клиент {NAME} просит перезвонить.\n".encode() * 3 + b"\xd0\n\xff\n")

        result = scan(path)

        assert result.exit_code == 1
        assert "которых в UTF-8 не бывает" in result.output

    def test_a_broken_end_of_utf_16_is_not_clean(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes("Погода".encode("utf-16") + b"\x00")

        assert "не читается как UTF-16" in scan(path).output

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.txt", b"{\\rtf1 \\'c8\\'e2\\'e0\\'ed}"),
            ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(900)),
            ("a.eml", b"Subject: =?utf-8?b?0JjQstCw0L0=?=\n\n=D0=98\n"),
        ],
    )
    def test_formats_that_hide_their_text_are_refused(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)

        result = scan(tmp_path / name)

        assert result.exit_code == 2
        assert "поддерживается" in result.output or "сохраните" in result.output


class TestTables:
    @pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
    def test_places_are_row_column_and_heading(self, tmp_path: Path, separator: str) -> None:
        path = tmp_path / "a.csv"
        rows = [
            ["Номер", "ФИО клиента", "Паспорт"],
            ["1", NAME, "4510123456"],
            ["2", "Петрова Анна Ильинична", "4511654321"],
        ]
        path.write_text("".join(separator.join(row) + "\n" for row in rows))

        assert places(path) == {
            ("PERSON", "строка 2, столбец 2 «ФИО клиента»", NAME),
            ("PERSON", "строка 3, столбец 2 «ФИО клиента»", "Петрова Анна Ильинична"),
            ("PASSPORT", "строка 2, столбец 3 «Паспорт»", "4510123456"),
            ("PASSPORT", "строка 3, столбец 3 «Паспорт»", "4511654321"),
        }
        assert inspected(path)["layout"] == f"разделитель {'табуляция' if separator == chr(9) else f'«{separator}»'}"

    def test_a_cell_of_several_lines_and_quotes_is_one_cell(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text(
            f'sep=;\nid;Примечание;Телефон\n1;"""звонить"" утром;\nклиент {NAME}";{PHONE}\n', encoding="cp1251"
        )

        assert places(path) == {
            ("PERSON", "строка 3, столбец 2 «Примечание»", NAME),
            ("PHONE", "строка 3, столбец 3 «Телефон»", PHONE),
        }

    def test_headings_reach_the_last_row_of_a_long_table(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        rows = [f"{number};запись о погоде;45101{number + 10000}" + ";" * (number % 3) for number in range(3600)]
        path.write_text("Номер;Примечание (кратко);Серия и номер паспорта\n" + "\n".join(rows))

        found, _ = findings("--kinds", "PASSPORT", path)

        assert [each["place"].partition(",")[0] for each in found] == [f"строка {number}" for number in range(2, 3602)]

    def test_ten_thousand_columns_and_a_huge_cell(self, tmp_path: Path) -> None:
        wide, tall = tmp_path / "wide.csv", tmp_path / "tall.csv"
        names = [*(f"поле {number}" for number in range(10_000)), "Паспорт"]
        wide.write_text(";".join(names) + "\n" + ";" * 10_000 + "4510123456\n")
        tall.write_text(f'Номер,Текст\n1,"{"о погоде " * 30_000}, клиент {NAME}"\n')

        assert places(wide) == {("PASSPORT", "строка 2, столбец 10001 «Паспорт»", "4510123456")}
        assert places(tall) == {("PERSON", "строка 2, столбец 2 «Текст»", NAME)}

    def test_a_table_without_headings_shows_none(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text(f"{NAME};{PHONE}\nПетрова Анна Ильинична;+7 916 765-43-21\n")

        result = scan(path)

        assert "строка 1, столбец 1;" in result.output
        assert "Иванов" not in result.output
        assert "ФИО — 2" in result.output

    def test_a_heading_that_is_somebodys_name_is_found_and_not_shown(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text(f"Город;Месяц;Итого;План;Факт;{NAME}\nМосква;май;1;2;3;телефон {PHONE}\n")

        result = scan(path)

        assert "ФИО — 1: строка 1, столбец 6\n" in result.output
        assert "телефон — 1: строка 2, столбец 6\n" in result.output

    def test_a_name_in_three_cells_is_one_finding_over_them(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("Фамилия;Имя;Отчество\nИванов;Пётр;Сергеевич\n")

        (found,), _ = findings(path)

        assert found["place"] == "строка 2, столбец 1 «Фамилия» – строка 2, столбец 3 «Отчество»"

    def test_one_column_is_headed_too(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("Паспорт\n4510123456\n4511654321\n")

        assert {place for _, place, _ in places(path)} == {
            "строка 2, столбец 1 «Паспорт»",
            "строка 3, столбец 1 «Паспорт»",
        }


class TestJson:
    def test_leaves_are_named_by_their_path_and_read_unescaped(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        value = {
            "clients": [
                {"fio": NAME, "phone": 79161234567, "ok": True},
                {"phones": [PHONE], "дата рождения": "12.03.1985"},
            ]
        }
        path.write_text(json.dumps(value, indent=1))

        assert places(path) == {
            ("PERSON", "$.clients[0].fio", NAME),
            ("PHONE", "$.clients[0].phone", "79161234567"),
            ("PHONE", "$.clients[1].phones[0]", PHONE),
            ("BIRTH_DATE", "$.clients[1].дата рождения", "12.03.1985"),
        }

    def test_lines_are_numbered_and_no_value_of_a_repeated_key_is_lost(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text(f'{{"text": "погода"}}\n\n{{"phone": "{PHONE}", "phone": "нет"}}\n{{"snils": "{SNILS}"}}')

        assert places(path) == {("PHONE", "строка 3, $.phone", PHONE), ("SNILS", "строка 4, $.snils", SNILS)}
        path.rename(tmp_path / "b.json")
        assert len(places(tmp_path / "b.json")) == 2

    def test_a_key_that_is_somebodys_data_is_found_and_not_shown(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text(json.dumps({PHONE: {"note": f"клиент {NAME}"}}))

        result = scan(path)

        assert "телефон — 1: $, ключ 1" in result.output
        assert "ФИО — 1: $.….note" in result.output
        assert "916" not in result.output

    def test_a_line_that_is_no_json_is_read_as_text_and_not_clean(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text(f'{{"a": "погода"}}\nтелефон {PHONE}\n{"[" * 200_000}\n')

        result = scan(path)

        assert result.exit_code == 2
        assert "телефон — 1: строка 2" in result.output
        assert "строк 2, первая — 2" in result.output

    def test_half_a_file_is_read_as_text_and_not_clean(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text('{"a": "погода",\n"phone": "' + PHONE)

        result = scan(path)

        assert result.exit_code == 2
        assert "телефон — 1: строка 2" in result.output

    def test_a_line_of_millions_of_characters_and_a_lone_surrogate(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text('{"a": "' + "0" * 2_000_000 + '"}\n{"a": "\\ud800 клиент ' + NAME + '"}\n')

        assert places("--kinds", "PERSON", path) == {("PERSON", "строка 2, $.a", NAME)}


def write_docx(path: Path) -> None:
    document = docx.Document()
    document.core_properties.author = ""
    document.add_paragraph("Договор")
    document.add_paragraph(f"Клиент: {NAME}")
    document.save(path)


def write_xlsx(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["ФИО", "Паспорт"])
    book.active.append([NAME, "4510 123456"])
    book.save(path)


def write_pdf(path: Path, pages: tuple[str, ...] = ("Погода", f"Клиент {NAME}"), password: str = "") -> None:
    """A PDF whose font says which letters its codes are (cp1251), as word processors write it."""
    writer = PdfWriter()
    codes = DecodedStreamObject()
    known = [byte for byte in range(32, 256) if bytes([byte]).decode("cp1251", "ignore")]
    table = "\n".join(f"<{byte:02x}> <{ord(bytes([byte]).decode('cp1251')):04x}>" for byte in known)
    codes.set_data(
        f"begincmap\n1 begincodespacerange\n<00> <ff>\nendcodespacerange\n{len(known)} beginbfchar\n{table}\nendbfchar\nendcmap".encode()
    )
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
            NameObject("/ToUnicode"): writer._add_object(codes),
        }
    )
    for text in pages:
        page = writer.add_blank_page(600, 800)
        content = DecodedStreamObject()
        content.set_data(
            b"BT /F1 12 Tf 50 700 Td <" + text.encode("cp1251").hex().encode() + b"> Tj ET" if text else b""
        )
        page[NameObject("/Contents")] = writer._add_object(content)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
    if password:
        writer.encrypt(password)
    writer.write(path)


WRITERS = {"a.docx": write_docx, "a.xlsx": write_xlsx, "a.pdf": write_pdf}


class TestDocx:
    def test_everything_that_is_text_is_read_with_its_place(self, tmp_path: Path) -> None:
        path = tmp_path / "a.docx"
        document = docx.Document()
        document.core_properties.author = "Кузнецов Олег Иванович"
        document.add_paragraph("Договор")
        second = document.add_paragraph("Клиент: ")
        second.add_run(NAME[:9])
        second.add_run(NAME[9:])
        table = document.add_table(2, 2)
        for cell, text in zip(table._cells, ["ФИО", "Паспорт", "Петрова Анна Ильинична", "4510123456"], strict=True):
            cell.text = text
        table.cell(1, 1).add_table(1, 1).cell(0, 0).text = f"почта {MAIL}"
        document.add_paragraph(f"Телефон\t{PHONE}")
        document.sections[0].header.paragraphs[0].text = "Исполнитель Смирнов Иван Петрович"
        document.add_comment(second.runs, text=f"СНИЛС {SNILS}", author="Лебедева Мария Ивановна")
        document.save(path)

        assert places(path) == {
            ("PERSON", "абзац 2", NAME),
            ("PERSON", "таблица 1, строка 2, столбец 1", "Петрова Анна Ильинична"),
            ("PASSPORT", "таблица 1, строка 2, столбец 2", "4510123456"),
            ("EMAIL", "таблица 1, строка 2, столбец 2, таблица 1, строка 1, столбец 1", MAIL),
            ("PHONE", "абзац 3", PHONE),
            ("PERSON", "верхний колонтитул, абзац 1", "Смирнов Иван Петрович"),
            ("SNILS", "примечания, абзац 1", SNILS),
            ("PERSON", "авторы правок и примечаний", "Лебедева Мария Ивановна"),
            ("PERSON", "свойства документа, автор", "Кузнецов Олег Иванович"),
        }

    def test_deleted_text_text_boxes_and_links_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.docx"
        write_docx(path)
        body = (
            f"<w:p><w:del w:id='1'><w:r><w:delText>Клиент {NAME}</w:delText></w:r></w:del></w:p>"
            f"<w:p><w:r><w:pict><w:txbxContent><w:p><w:r><w:t>телефон {PHONE}</w:t></w:r></w:p></w:txbxContent></w:pict></w:r></w:p>"
        )
        replace_part(path, "word/document.xml", document_xml(body))
        replace_part(
            path,
            "word/_rels/document.xml.rels",
            f"<Relationships><Relationship Target='mailto:{MAIL}' TargetMode='External'/></Relationships>".encode(),
        )

        assert places(path) == {
            ("PERSON", "абзац 1", NAME),
            ("PHONE", "абзац 3", PHONE),
            ("EMAIL", "адреса ссылок", MAIL),
        }

    def test_what_is_inside_and_no_text_is_said(self, tmp_path: Path) -> None:
        path = tmp_path / "a.docx"
        write_docx(path)
        replace_part(path, "word/media/image1.png", b"\x89PNG")
        replace_part(path, "word/embeddings/book.xlsx", b"PK")

        result = scan(path)

        assert result.exit_code == 2
        assert "изображений 1: не проверены" in result.output
        assert "НЕ ПРОВЕРЕНО: вложенных файлов и макросов 1" in result.output


class TestXlsx:
    def test_all_sheets_with_headings_numbers_and_dates(self, tmp_path: Path) -> None:
        path = tmp_path / "a.xlsx"
        book = openpyxl.Workbook()
        sheet = book.active
        sheet.title = "Клиенты"
        sheet["A1"] = "Список клиентов"
        sheet.append([])
        sheet.append(["Номер", "ФИО", "Дата рождения", "СНИЛС", "Паспорт"])
        sheet.append([1, NAME, dt.date(1985, 3, 12), 11223344595, 312123456])
        sheet["E4"].number_format = "0000000000"
        hidden = book.create_sheet("Петрова Анна Ильинична")
        hidden.sheet_state = "hidden"
        hidden["C7"] = f"телефон {PHONE}"
        hidden["C7"].comment = openpyxl.comments.Comment(f"почта {MAIL}", "")
        book.properties.creator = ""
        book.save(path)

        assert places(path) == {
            ("PERSON", "Клиенты!B4 «ФИО»", NAME),
            ("BIRTH_DATE", "Клиенты!C4 «Дата рождения»", "12.03.1985"),
            ("SNILS", "Клиенты!D4 «СНИЛС»", "11223344595"),
            ("PASSPORT", "Клиенты!E4 «Паспорт»", "0312123456"),
            ("PHONE", "лист 2!C7", PHONE),
            ("PERSON", "имя листа 2", "Петрова Анна Ильинична"),
            ("EMAIL", "часть xl/comments/comment1.xml", MAIL),
        }
        assert "Петрова" not in scan(path).output

    def test_a_formula_is_read_by_its_saved_result_else_by_its_text(self, tmp_path: Path) -> None:
        path = tmp_path / "a.xlsx"
        book = openpyxl.Workbook()
        book.active["A1"] = f'="Клиент {NAME}"'
        book.save(path)
        unsaved = scan(path)
        with zipfile.ZipFile(path) as archive:
            sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        replace_part(
            path,
            "xl/worksheets/sheet1.xml",
            sheet.replace('<c r="A1">', '<c r="A1" t="str">')
            .replace("<v></v>", f"<v>Клиент {NAME}</v>")
            .replace("<v />", f"<v>Клиент {NAME}</v>")
            .encode(),
        )

        assert "формул без сохранённого результата 1" in unsaved.output
        assert unsaved.exit_code == 1
        assert ("PERSON", "Sheet!A1", NAME) in places(path)

    def test_a_sheet_that_declares_less_than_it_holds_is_read_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "a.xlsx"
        write_xlsx(path)
        with zipfile.ZipFile(path) as archive:
            sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        replace_part(path, "xl/worksheets/sheet1.xml", sheet.replace('ref="A1:B2"', 'ref="A1:A1"').encode())

        assert {kind for kind, _, _ in places(path)} == {"PERSON", "PASSPORT"}

    def test_rows_beyond_any_sheet_are_not_waited_for(self, tmp_path: Path) -> None:
        path = tmp_path / "a.xlsx"
        write_xlsx(path)
        with zipfile.ZipFile(path) as archive:
            sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        far = '<row r="999999999"><c r="A999999999" t="inlineStr"><is><t>x</t></is></c></row></sheetData>'
        replace_part(path, "xl/worksheets/sheet1.xml", sheet.replace("</sheetData>", far).encode())

        result = scan(path)

        assert result.exit_code == 2
        assert "строк больше, чем бывает на листе" in result.output


class TestPdf:
    def test_findings_are_named_by_page(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pdf"
        write_pdf(path)

        assert places(path) == {("PERSON", "страница 2", NAME)}

    def test_pages_without_text_are_said_and_none_with_text_is_not_read(self, tmp_path: Path) -> None:
        some, none = tmp_path / "some.pdf", tmp_path / "none.pdf"
        write_pdf(some, ("Погода хорошая", "", "", "Погода плохая"))
        write_pdf(none, ("", ""))

        result = scan(some)
        assert result.exit_code == 0
        assert "страница без текста: не проверена — 2–3" in result.output
        result = scan(none)
        assert result.exit_code == 2
        assert "ни на одной странице нет текста" in result.output
        assert "без находок 0" in result.output

    def test_a_password_is_said_and_one_that_only_guards_printing_does_no_harm(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pdf"
        write_pdf(path, password="synthetic")

        result = scan(path)

        assert result.exit_code == 2
        assert "зашифрован паролем" in result.output

    def test_notes_and_properties_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pdf"
        writer = PdfWriter()
        page = writer.add_blank_page(600, 800)
        note = DictionaryObject(
            {
                NameObject("/Subtype"): NameObject("/Text"),
                NameObject("/Rect"): ArrayObject([FloatObject(0)] * 4),
                NameObject("/Contents"): TextStringObject(f"телефон {PHONE}"),
            }
        )
        page[NameObject("/Annots")] = ArrayObject([writer._add_object(note)])
        writer.add_metadata({"/Author": NAME})
        writer.add_attachment("a.txt", b"x")
        writer.write(path)

        assert places(path) == {
            ("PHONE", "страница 1, заметка или поле формы", PHONE),
            ("PERSON", "свойства документа, автор", NAME),
        }
        assert inspected(path)["problems"][-1] == "вложенные файлы не проверены"

    def test_a_damaged_file_is_not_clean(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pdf"
        path.write_bytes(b"%PDF-1.7\n" + os.urandom(2000))

        result = scan(path)

        assert result.exit_code == 2
        assert "Traceback" not in result.output


class TestBombs:
    @pytest.mark.parametrize("name", ["a.docx", "a.xlsx"])
    def test_an_archive_that_swells_is_refused_unopened(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        WRITERS[name](path)
        replace_part(path, "word/bomb.xml" if name == "a.docx" else "xl/bomb.xml", bytes(64 << 20))

        result = scan(path)

        assert result.exit_code == 2
        assert "zip-бомба" in result.output

    @pytest.mark.parametrize(("name", "part"), [("a.docx", "word/document.xml"), ("a.xlsx", "xl/sharedStrings.xml")])
    @pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
    def test_entities_are_refused(self, tmp_path: Path, name: str, part: str, codec: str) -> None:
        path = tmp_path / name
        WRITERS[name](path)
        laughs = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 9))
        text = f'<?xml version="1.0" encoding="{codec}"?><!DOCTYPE x [<!ENTITY l0 "ха">{laughs}]><x>&l8;</x>'
        replace_part(path, part, text.encode(codec))

        result = scan(path)

        assert result.exit_code == 2
        assert "XML-бомба" in result.output

    @pytest.mark.parametrize("name", ["a.docx", "a.xlsx"])
    def test_half_a_document_is_not_clean(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        WRITERS[name](path)
        path.write_bytes(path.read_bytes()[:-200])

        assert "архив повреждён" in scan(path).output

    @pytest.mark.parametrize(
        ("name", "part"), [("a.docx", "word/document.xml"), ("a.xlsx", "xl/worksheets/sheet1.xml")]
    )
    def test_broken_xml_inside_is_not_clean(self, tmp_path: Path, name: str, part: str) -> None:
        path = tmp_path / name
        WRITERS[name](path)
        replace_part(path, part, b"<w:document><w:p>")

        result = scan(path)

        assert result.exit_code == 2
        assert "файл повреждён" in result.output

    def test_a_document_without_its_main_part_is_not_clean(self, tmp_path: Path) -> None:
        text, book, pages = tmp_path / "a.docx", tmp_path / "a.xlsx", tmp_path / "a.pdf"
        write_docx(text)
        replace_part(text, "word/document.xml", None)
        write_xlsx(book)
        replace_part(book, "xl/worksheets/lost.xml", b"<worksheet/>")
        write_pdf(pages, ())

        assert "основного текста нет" in scan(text).output
        assert "листы, которых нет в книге" in scan(book).output
        assert "страниц нет" in scan(pages).output

    def test_another_archive_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", f"Клиент {NAME}")

        result = scan(path)

        assert result.exit_code == 2
        assert "архивы и формат `zip` не поддерживаются" in result.output


def document_xml(body: str) -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return f"<w:document xmlns:w='{space}'><w:body>{body}</w:body></w:document>".encode()


def replace_part(path: Path, name: str, content: bytes | None) -> None:
    """The document with one of its parts replaced, added or, without content, taken out."""
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    parts[name] = content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, inside in parts.items():
            if inside is not None:
                archive.writestr(part, inside)
