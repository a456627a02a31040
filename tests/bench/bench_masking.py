"""What hiding and putting back cost, and how long a stream is held up.

Method, printed with the figures. CPU is `time.process_time` of this process, one thread; each figure is the median of the rounds, each
round long enough (a tenth of a second and more) for the clock; ratios are of medians. Nothing is asserted: a machine differs from another.
Mask and restore: a text of 1 000 characters with 10 findings of 7 values; a new `Vault` each time, as for each request, with the text as the
one to avoid; who denotes whom was found out before. Chunks: Russian text, a chunk at a time, none of which holds or begins anything of ours.
Delay: answers that hold placeholders in the ways of models, cut as a tokenizer would (spaces go with the word behind them, long words
fall apart after 2 to 5 letters, brackets, digits and marks stand alone); of each character it is counted how many chunks later than its own it was
given out.
"""

from __future__ import annotations

import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from policies import Entity, Finding, Identity, StreamRestorer, Vault, redact, restore

ROUNDS = 9
VALUES = [
    (Entity.PERSON, "Иванов Пётр Сергеевич", "Кузнецов Олег Ильич"),
    (Entity.PHONE, "+7 916 555-01-02", "+7 900 000-00-00"),
    (Entity.EMAIL, "petrov@example.ru", "olegk@example.com"),
    (Entity.PERSON, "Смирнова Анна", "Белова Ольга"),
    (Entity.PERSON, "Иванову П. С.", "Кузнецову О. И."),
    (Entity.ADDRESS, "г. Тула, ул. Мира, д. 5", "г. Орёл, ул. Лесная, д. 9"),
    (Entity.SNILS, "112-233-445 95", "000-000-000 00"),
]
IDENTITIES = {
    (Entity.PERSON, VALUES[0][1]): Identity(1, "male", canonical="ivanov/пётр"),
    (Entity.PERSON, VALUES[3][1]): Identity(2, "female", canonical="smirnov/анна"),
    (Entity.PERSON, VALUES[4][1]): Identity(1, "male", canonical="ivanov/пётр"),
}
FILLER = "Просим рассмотреть обращение и сообщить о решении в срок, который установлен договором, не позднее пятницы. "
ANSWERS = [
    "Уважаемый {0}!\n\nВаш запрос принят. Мы свяжемся с вами по номеру {1} или по почте {2}. С уважением, {3}.",
    "| Сотрудник | Телефон |\n|---|---|\n| {0} | {1} |\n| {3} | — |\n\nВсего записей: 2 (см. [1] и [2]).",
    '```json\n{{"name": "{0}", "phone": "{1}", "items": [1, 2, 3]}}\n```\nГотово: <b>2</b> поля, путь C:\\temp.',
    "1. **{0}** — заявитель, проживает: {5}\n2. **{3}** — исполнитель\n\nPython, API и PDF не понадобятся; СНИЛС {6}.",
    "Письмо {4} отправлено. PERSON_1_M ответил; [person 2] — нет. \\[PHONE\\_1\\] недоступен, <EMAIL_1> тоже.",
    "Это общий вопрос: [подробнее](https://example.com), приложение [A], пункт <3>, IBM и SAP. Персональных данных здесь нет.",
]


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of one call: the median of the rounds."""
    began, calls = time.process_time(), 0
    while time.process_time() - began < 0.1:
        work()
        calls += 1
    figures = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(calls):
            work()
        figures.append((time.process_time() - began) / calls)
    return statistics.median(figures)


def sample() -> tuple[str, list[Finding]]:
    text, findings = "", []
    for number in range(10):
        entity, value, _ = VALUES[number % len(VALUES)]
        text += FILLER[: 1000 // 10 - len(value) - 1] + " "
        findings.append(Finding(len(text), len(text) + len(value), entity, 0.9))
        text += value
    return text, findings


def pieces(answer: str, rng: random.Random) -> list[str]:
    """The answer as a tokenizer would cut it."""
    result: list[str] = []
    for word in re.findall(r" ?[^\W\d_]+|[^\S ]+|.", answer, re.DOTALL):
        place = 0
        while len(word) - place > 6:
            size = rng.randint(2, 5)
            result.append(word[place : place + size])
            place += size
        result.append(word[place:])
    return result


def delays(answer: str, vault: Vault, rng: random.Random) -> Counter[int]:
    """Of each character of the answer, by how many chunks later than its own it was decided."""
    restorer = StreamRestorer(vault)
    late: Counter[int] = Counter()
    waiting: list[tuple[int, int]] = []  # chunk, characters
    for place, chunk in enumerate(pieces(answer, rng)):
        restorer.feed(chunk)
        waiting.append((place, len(chunk)))
        held = len(restorer._held)
        given_out = sum(size for _, size in waiting) - held
        while given_out > 0 and waiting:
            since, size = waiting.pop(0)
            late[place - since] += min(size, given_out)
            if size > given_out:
                waiting.insert(0, (since, size - given_out))
            given_out -= size
    for since, size in waiting:
        late[place - since + 1] += size
    return late


def main() -> None:
    print(__doc__)
    text, findings = sample()
    masks = frozenset(Entity)

    def placeholders(key: bytes = b"") -> str:
        vault = Vault([text], IDENTITIES, key=key)
        return restore(redact(text, findings, masks, vault), vault)

    def surrogates() -> str:
        vault = Vault([text], IDENTITIES)
        others = {value: other for _, value, other in VALUES}

        def hide(entity: Entity, value: str) -> str:
            forms = {f"{others[value]}{ending}": f"{value}{ending}" for ending in ("а", "у", "ом", "е", "ой", "ы")}
            return vault.stand_in(entity, value, others[value], forms)

        return restore(redact(text, findings, masks, vault, hide=hide), vault)

    assert placeholders() == placeholders(b"secret") == surrogates() == text
    plain = cpu(placeholders)
    print(f"скрыть и вернуть, {len(text)} знаков, {len(findings)} находок: {plain * 1e3:.3f} CPU мс")
    print(f"  то же с ключом: {cpu(lambda: placeholders(b'secret')) / plain:.2f} от этого")
    print(f"  то же с правдоподобными заменами, по 6 форм: {cpu(surrogates) / plain:.2f} от этого")
    vault = Vault([text], IDENTITIES)
    hidden = redact(text, findings, masks, vault)
    print(f"  только вернуть: {cpu(lambda: restore(hidden, vault)) / plain:.2f} от этого")
    print(f"  только вернуть, где нечего: {cpu(lambda: restore(text, vault)) / plain:.2f} от этого")
    long = FILLER * 1000
    print(f"  вернуть в {len(long)} знаках, где нечего: {cpu(lambda: restore(long, vault)) * 1e3:.3f} CPU мс")
    filled = Vault([text], IDENTITIES)
    for entity, value, other in VALUES:
        filled.stand_in(
            entity, value, other, {f"{other}{ending}": value for ending in ("а", "у", "ом", "е", "ой", "ы")}
        )
    chunks = [chunk for chunk in pieces(FILLER * 20, random.Random(1)) if chunk]
    for name, using in (("метки", vault), ("правдоподобные замены", filled)):
        for json_strings in (False, True):
            restorer = StreamRestorer(using, json_strings=json_strings)

            def feed(restorer: StreamRestorer = restorer) -> None:
                for chunk in chunks:
                    restorer.feed(chunk)

            mode = ", в строках JSON" if json_strings else ""
            print(f"кусок, где нашего нет ({name}{mode}): {cpu(feed) / len(chunks) * 1e6:.2f} CPU мкс")
    for name, using, marks in (
        ("метки", vault, [vault.placeholder(entity, value) for entity, value, _ in VALUES]),
        ("правдоподобные замены", filled, [other for _, _, other in VALUES]),
    ):
        for what, answers in (("ответы с ними", ANSWERS[:-1]), ("ответ без них", ANSWERS[-1:])):
            late: Counter[int] = Counter()
            for seed in range(50):
                for answer in answers:
                    late += delays(answer.format(*marks), using, random.Random(seed))
            shares = ", ".join(f"{chunk}: {count / late.total():.1%}" for chunk, count in sorted(late.items()))
            middle = statistics.median(late.elements())
            print(f"задержка в кусках ({name}, {what}), медиана {middle:.0f}; доли знаков: {shares}")


if __name__ == "__main__":
    main()
