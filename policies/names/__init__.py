"""Names of people: the dictionary and the tagger that uses it."""

from policies.names.tagger import find

__all__ = ["find"]
