"""Files as the detector reads them: passages of text that know which place of the file each character comes from."""

from appliance.documents.errors import DocumentError, MissingLibraryError, UnreadableError
from appliance.documents.files import File, find_files
from appliance.documents.passage import Passage, Place
from appliance.documents.printable import printable
from appliance.documents.reading import Reading, passages

__all__ = [
    "DocumentError",
    "File",
    "MissingLibraryError",
    "Passage",
    "Place",
    "Reading",
    "UnreadableError",
    "find_files",
    "passages",
    "printable",
]
