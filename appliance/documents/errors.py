"""Why a file was not read. The texts are Russian: a security officer sees them. They never quote the file.

DocumentError
└── UnreadableError          the file, or the rest of it, cannot be read
    └── MissingLibraryError  a library of the extra `documents` is not installed
"""

from __future__ import annotations

import errno


class DocumentError(Exception):
    """Anything this room raises."""


class UnreadableError(DocumentError):
    """The file, or the rest of it, was not read: nothing is known of what is in there."""


class MissingLibraryError(UnreadableError):
    """The format needs a library that is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(f"нет библиотеки `{library}`: установите `llm-privacy-appliance[documents]`")


_REASONS = {
    errno.ENOENT: "файла нет",
    errno.EACCES: "нет прав на чтение",
    errno.EPERM: "нет прав на чтение",
    errno.ELOOP: "ссылка ведёт на саму себя",
    errno.ENOTDIR: "файла нет",
    errno.ENAMETOOLONG: "слишком длинное имя",
    errno.EINVAL: "файл повреждён",
    errno.EIO: "ошибка диска",
    errno.ESTALE: "файла больше нет на сервере",
}


def reason(error: OSError) -> str:
    """What the system says of a file, in words."""
    return _REASONS.get(error.errno or 0, f"не читается ({error.strerror or type(error).__name__})")
