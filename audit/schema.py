"""The tables of the log's SQLite file, word for word: a file whose schema differs by one character is not opened.

Only `records`, `tree` and `checkpoints` are what a verifier looks at. The other tables are the working side of the log: wrapped keys,
which entries are still open, and how a key holder finds a subject. Rows there may be deleted (erasure, retention) and no proof changes.
"""

from __future__ import annotations

APPLICATION_ID = 0x4C4F4731  # "LOG1", at offset 68 of the file
LAYOUT = 3  # PRAGMA user_version

SCHEMA = {
    # INVARIANT: records are never deleted, and their header and hash never change (two triggers hold it).
    # A ciphertext may one day be dropped when its time is over: then it is NULL, and the proofs still hold.
    "records": """CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    header BLOB NOT NULL,
    leaf_hash BLOB NOT NULL,
    body BLOB,
    subjects BLOB
) STRICT""",
    "records_stay": """CREATE TRIGGER records_stay BEFORE DELETE ON records
BEGIN SELECT RAISE(ABORT, 'records are never deleted'); END""",
    "headers_stay": """CREATE TRIGGER headers_stay BEFORE UPDATE OF seq, header, leaf_hash ON records
BEGIN SELECT RAISE(ABORT, 'headers never change'); END""",
    # One row: the tree over all records, and the checkpoint signed over exactly it, in the same transaction.
    "tree": """CREATE TABLE tree (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    size INTEGER NOT NULL,
    frontier BLOB NOT NULL,
    note TEXT NOT NULL
) STRICT""",
    # Roots over 256^level leaves: what proofs are made of quickly. A proof made of a wrong one does not verify.
    "subtrees": """CREATE TABLE subtrees (
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID""",
    "checkpoints": """CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
) STRICT""",
    # The last cosignature of each witness, UTC seconds; the cosigned note itself is among the checkpoints.
    "witnessed": """CREATE TABLE witnessed (
    witness TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    time INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
    "keks": """CREATE TABLE keks (
    generation INTEGER PRIMARY KEY,
    key_check BLOB NOT NULL
) STRICT""",
    "keys": """CREATE TABLE keys (
    key_id BLOB PRIMARY KEY,
    role TEXT NOT NULL,
    generation INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    key_check BLOB NOT NULL
) STRICT, WITHOUT ROWID""",
    # Random key ids and no rowid: neither order nor number ties a row to the records written at the same time.
    "subject_keys": """CREATE TABLE subject_keys (
    key_id BLOB PRIMARY KEY,
    tag BLOB NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    key_check BLOB NOT NULL
) STRICT, WITHOUT ROWID""",
    "subject_slots": """CREATE TABLE subject_slots (
    seq INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    reference BLOB NOT NULL,
    PRIMARY KEY (seq, slot)
) STRICT, WITHOUT ROWID""",
    "subject_index": """CREATE TABLE subject_index (
    tag BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tag, seq)
) STRICT, WITHOUT ROWID""",
    "subject_holds": """CREATE TABLE subject_holds (
    key_id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID""",
    "open_entries": """CREATE TABLE open_entries (
    seq INTEGER PRIMARY KEY
) STRICT""",
    # Certificates of the signing epochs, and the tree size at which each began.
    "signing_epochs": """CREATE TABLE signing_epochs (
    number INTEGER PRIMARY KEY,
    since INTEGER NOT NULL,
    certificate TEXT NOT NULL
) STRICT""",
    # For how long a sealing key's records are kept: the caller's class, and the day (since 1970) on which the key was made.
    # Keys of one class are used one after another, so its records lie between its first number and that of the next.
    "sealing_keys": """CREATE TABLE sealing_keys (
    key_id BLOB PRIMARY KEY,
    class INTEGER NOT NULL,
    day INTEGER NOT NULL,
    first INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
}
"""Name → the statement that makes it, exactly as SQLite keeps it in `sqlite_schema`."""

_SECOND = {name: made for name, made in SCHEMA.items() if name not in {"signing_epochs", "sealing_keys"}}
SCHEMAS = {
    LAYOUT: SCHEMA,
    2: _SECOND,
    1: {name: made for name, made in _SECOND.items() if name not in {"subject_holds", "subtrees", "witnessed"}},
}
"""Every layout that can be read. Of the first, which was never released, only records and checkpoints: subjects were tied otherwise."""

STEPS = {2: tuple(SCHEMA[name] for name in ("signing_epochs", "sealing_keys"))}
"""Layout → what a writer adds to make the next of it."""
