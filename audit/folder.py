"""An export for a stranger: a folder with the bundle, the verifier that needs nothing, the tree as tiles, and words on how to check."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

from msgspec import structs

from audit.bundle import write_bundle
from audit.checkpoint import parse_checkpoint, split_note
from audit.epochs import TrustRoot
from audit.errors import ExportError
from audit.export import WHOLE, Selection, head_of, selected
from audit.keyfiles import sync_folder
from audit.store import open_reader
from audit.tiles import BUNDLE_NAME, KEYS_NAME, README_NAME, TILES_NAME, TIMESTAMPS_NAME, VERIFIER_NAME, write_tiles
from audit.timestamps import copy_timestamps, sizes_that_cover, timestamps_in

_VERIFIER = Path(__file__).with_name("stdlib_verifier.py")


def export_folder(
    database: Path, out: Path, root: TrustRoot, selection: Selection = WHOLE, timestamps: Path | None = None
) -> int:
    """Write the log, as it is at this moment, into the new folder `out`; the number of records given in it.

    From the folder of `timestamps` those tokens come along that are over a checkpoint of this log: all, or of a selection the first
    that covers each record.

    The folder appears under its name complete and synced, or not at all. Raises ExportError, LogFileError, LogDamagedError.
    """
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
    try:
        if out.exists():
            raise FileExistsError(0, "такая папка уже есть")
        temporary.mkdir(mode=0o700)
        try:
            count = _write(database, temporary, root, selection, timestamps)
            _sync(temporary)
            temporary.rename(out)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(out.parent)
    except OSError as error:
        raise ExportError(f"`{out}`: выгрузка не записана ({error.strerror})") from None
    return count


def _write(database: Path, folder: Path, root: TrustRoot, selection: Selection, timestamps: Path | None) -> int:
    stamped: Collection[int] = () if timestamps is None else timestamps_in(timestamps)
    if selection.numbers is not None and stamped:
        stamped = sizes_that_cover(stamped, selection.numbers)
        selection = structs.replace(selection, sizes=(*selection.sizes, *stamped))
    with open_reader(database) as source, source.snapshot():
        note = head_of(source)
        size = parse_checkpoint(split_note(note)[0]).size
        with (folder / BUNDLE_NAME).open("xb") as file:
            count = write_bundle(file, note, selected(source, selection), selection.labels)
        write_tiles(source, folder / TILES_NAME, note, size, entries=selection.numbers is None)
        texts = {each: split_note(kept)[0] for each in stamped if (kept := source.kept_checkpoint(each)) is not None}
    if timestamps is not None:
        copy_timestamps(timestamps, folder / TIMESTAMPS_NAME, texts)
    (folder / KEYS_NAME).write_text(root.text(), encoding="utf-8")
    shutil.copyfile(_VERIFIER, folder / VERIFIER_NAME)
    opened = selection.key_of is not None
    (folder / README_NAME).write_text(_words(root, size, count, opened=opened), encoding="utf-8")
    return count


def _sync(folder: Path) -> None:
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            path.chmod(0o600)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        Path(where).chmod(0o700)
        sync_folder(Path(where))


def _words(root: TrustRoot, size: int, count: int, *, opened: bool) -> str:
    content = (
        "К записям приложены их ключи: содержимое можно прочесть (`--entries`). Обращайтесь с папкой как с самими данными."
        if opened
        else "Ключей в папке нет: содержимое записей зашифровано, проверить его целостность это не мешает."
    )
    return f"""Выгрузка журнала решений «{root.log.name}»

Всего записей в журнале: {size}; выгружено целиком: {count}.
{content}

Как проверить
  1. Возьмите открытый ключ журнала НЕ ИЗ ЭТОЙ ПАПКИ, а из рук, которым доверяете: файл `.pub`, полученный при
     вводе в эксплуатацию. Лежащий здесь `{KEYS_NAME}` — только для сравнения с ним.
  2. Проверяющей программе нужен один Python (3.9 или новее) и никаких библиотек; сеть ей не нужна:

         python3 -I {VERIFIER_NAME} . --key ПУТЬ-К-КЛЮЧУ.pub

     Она написана по описанию формата отдельно от программы, которая ведёт журнал. Если этой копии вы не доверяете,
     возьмите её из дистрибутива или напишите свою: формат описан в `audit/FORMAT.md`.
  3. Если у вас есть контрольная точка, полученная раньше: `--known ФАЙЛ`. Если журнал подтверждали свидетели:
     `--witness КЛЮЧ-СВИДЕТЕЛЯ.pub`, а сколько их нужно — `--quorum K`.

Что здесь лежит
  {BUNDLE_NAME}   записи, контрольные точки и удостоверения эпох подписи
  {KEYS_NAME}    открытые ключи журнала, для сравнения
  {VERIFIER_NAME}   проверяющая программа
  {TILES_NAME}/      то же дерево по c2sp.org/tlog-tiles: его читает любая программа, знающая этот формат
  {TIMESTAMPS_NAME}/  если есть: метки времени RFC 3161 на контрольных точках. Их проверяет `python -m audit verify` с сертификатом
               службы меток (`--tsa-ca`), взятым не из этой папки, или `openssl ts -verify` (`audit/FORMAT.md`, раздел 6)

В конце отчёта программа перечисляет, что проверка НЕ доказывает. Прочтите этот список.
"""
