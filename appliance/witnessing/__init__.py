"""Who confirms that the log only grows: another appliance, a time-stamping authority, a file that is only appended to, the SIEM."""

from appliance.witnessing.c2sp import C2spWitness, size_seen
from appliance.witnessing.confirming import Confirming, NotConfirmedError, RolledBackError, Seen, Trouble
from appliance.witnessing.notefile import NoteFile, last_note
from appliance.witnessing.posting import Post, poster
from appliance.witnessing.settings import (
    C2spSettings,
    FileSettings,
    SiemSettings,
    TsaSettings,
    WitnessedBySettings,
    name_of,
    problems_of_text,
    problems_of_witnesses,
    with_default_kind,
)
from appliance.witnessing.siem import SiemStream
from appliance.witnessing.stop import mark_stopped, problem_of_stop
from appliance.witnessing.tsa import TsaWitness

__all__ = [
    "C2spSettings",
    "C2spWitness",
    "Confirming",
    "FileSettings",
    "NotConfirmedError",
    "NoteFile",
    "Post",
    "RolledBackError",
    "Seen",
    "SiemSettings",
    "SiemStream",
    "Trouble",
    "TsaSettings",
    "TsaWitness",
    "WitnessedBySettings",
    "last_note",
    "mark_stopped",
    "name_of",
    "poster",
    "problem_of_stop",
    "problems_of_text",
    "problems_of_witnesses",
    "size_seen",
    "with_default_kind",
]
