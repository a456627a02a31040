"""The comparison with other detectors: real processes that answer well, badly or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from policies import Entity, Finding
from tests.bench.pii import compare

MAILS = """
import json, re, sys
for line in sys.stdin:
    text = json.loads(line)["text"]
    found = [{"start": m.start(), "end": m.end(), "entity": "EMAIL", "score": 1.0} for m in re.finditer(r"\\S+@\\S+", text)]
    print(json.dumps({"findings": found}))
print(json.dumps({"cpu_s": 0.001, "kinds": ["EMAIL"], "versions": {"mails": "7.1"}}))
"""
LAST = 'print(\'{"cpu_s": 0.001, "kinds": ["EMAIL"], "versions": {}}\')\n'
LABELLED = """Пишите на [[EMAIL|v.serova@example.ru]] или звоните [[PHONE|+7 916 123-45-67]]
%%
Чем декоратор отличается от обычной функции?
%%
Почта — [[EMAIL|p.lapin@example.ru]] конечно
"""
TEXTS = ("раз", "два", "три")


def adapter(folder: Path, script: str, name: str = "fake") -> compare.Adapter:
    file = folder / "adapter.py"
    file.write_text(script, encoding="utf-8")
    return compare.Adapter(name, sys.executable, file)


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command itself, on LABELLED, with our detector and the fake one."""
    labelled = folder / "labelled.txt"
    labelled.write_text(LABELLED, encoding="utf-8")
    fake = adapter(folder, script)
    return subprocess.run(
        [sys.executable, Path(compare.__file__), labelled, "--python", sys.executable, "--rival", f"fake={fake.script}",
         "--only", "fake", *arguments],
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip


def test_the_table_counts_all_kinds_and_then_those_the_rival_knows_and_is_written_between_the_marks(tmp_path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{compare.BEGIN}\nold\n{compare.END}\nafter\n", encoding="utf-8")

    done = run(tmp_path, MAILS, "--write", str(readme))

    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    characters = len("Пишите на v.serova@example.ru или звоните +7 916 123-45-67") + len(
        "Чем декоратор отличается от обычной функции?Почта — p.lapin@example.ru конечно"
    )
    assert [row.split(" | ")[0] for row in rows] == ["| detector", "| this appliance", "| fake"]
    assert rows[1].startswith("| this appliance | 1.000 | 1.000 | 1.000 | 100.0% | 0 of 1 (0.0%) |")
    assert rows[2] == (
        f"| fake | 1.000 | 0.667 | 0.800 | 66.7% | 0 of 1 (0.0%) | {1000 / characters:.2f} | 1 | 1.000 | 1.000 |"
    )
    assert "3 texts" in done.stdout
    assert "3 values of 2 kinds, 1 of them clean" in done.stdout
    assert "mails 7.1" in done.stdout
    assert readme.read_text(encoding="utf-8") == f"before\n{compare.BEGIN}\n{done.stdout}{compare.END}\nafter\n"


def test_a_rival_that_dies_is_an_error_and_nothing_is_written(tmp_path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{compare.BEGIN}{compare.END}", encoding="utf-8")

    done = run(tmp_path, "import sys\nsys.exit(3)", "--write", str(readme))

    assert done.returncode == 1
    assert "error: `fake`: ended with status 3" in done.stderr
    assert "|" not in done.stdout
    assert readme.read_text(encoding="utf-8") == f"{compare.BEGIN}{compare.END}"


def test_a_document_without_the_marks_is_left_alone(tmp_path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks", encoding="utf-8")

    with pytest.raises(compare.CompareError, match="lacks the marks"):
        compare.write_between_marks(readme, "table")
    assert readme.read_text(encoding="utf-8") == "no marks"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("print('{\"findings\": []}')\n" * 2 + LAST, "2 answers and a last line for 3 texts"),
        ("print('{\"findings\": []}')\n" * 3, "2 answers and a last line for 3 texts"),
        ("print('{\"findings\": []}')\n" * 4 + LAST, "4 answers and a last line for 3 texts"),
        ("", "0 answers and a last line for 3 texts"),
        ("print('loading')\n" * 3 + LAST, "answer 1 is not what was agreed on"),
        ("print('{}')\n" * 3 + LAST, "answer 1 is not what was agreed on"),
        ("print('{\"findings\": []}')\n" * 4, "last line is not what was agreed on"),
        (
            'print(\'{"findings": [{"start": 0, "end": 3, "entity": "NAME", "score": 1}]}\')\n' * 3 + LAST,
            "answer 1 is not what was agreed on",
        ),
        (
            'print(\'{"findings": [{"start": 0, "end": 4, "entity": "EMAIL", "score": 1}]}\')\n' * 3 + LAST,
            "a finding ends outside its text",
        ),
        ("import time\ntime.sleep(60)", "no answer within"),
    ],
)
def test_a_rival_that_does_not_answer_for_every_text_as_agreed_is_an_error(tmp_path, script, words) -> None:
    with pytest.raises(compare.CompareError, match=words) as raised:
        compare.ask(adapter(tmp_path, script), TEXTS, 5)

    assert "`fake`" in str(raised.value)
    assert not any(text in str(raised.value) for text in TEXTS)


def test_a_python_that_is_not_there_is_told_with_what_makes_it(tmp_path) -> None:
    absent = adapter(tmp_path, MAILS)._replace(python=str(tmp_path / "python"))

    with pytest.raises(compare.CompareError, match="make compare-pii"):
        compare.ask(absent, TEXTS, 5)


SERVED = f"""
import sys
sys.path.insert(0, {str(compare.HERE / "rivals")!r})
from serving import Detector, Found, serve, without_overlaps

def find(text):
    %s
    return without_overlaps([Found(0, 2, "INN", 0.4), Found(1, 3, "PHONE", 0.6), Found(1, 2, "SNILS", 0.6)])

serve(lambda: Detector(find, ["INN", "PHONE"], ["msgspec"]))
"""


def test_an_adapter_answers_in_order_with_the_surer_and_then_the_longer_of_what_overlaps(tmp_path) -> None:
    findings, took = compare.ask(adapter(tmp_path, SERVED % "pass"), TEXTS, 30)

    assert findings == [(Finding(1, 3, Entity.PHONE, 0.6),)] * 3
    assert took.kinds == {Entity.INN, Entity.PHONE}
    assert list(took.versions) == ["msgspec"]
    assert took.cpu_s >= 0


def test_an_adapter_that_tries_the_network_and_hides_it_is_not_measured(tmp_path) -> None:
    hidden = """
    import socket
    try:
        socket.create_connection(("127.0.0.1", 9), 1)
    except OSError:
        pass
"""
    with pytest.raises(compare.CompareError, match="ended with status 1"):
        compare.ask(adapter(tmp_path, SERVED % hidden.strip()), TEXTS, 30)


def test_every_rival_has_its_adapter() -> None:
    assert all((compare.HERE / "rivals" / script).is_file() for script in compare.RIVALS.values())
