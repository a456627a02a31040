"""The recognisers, and how their findings become one list without overlaps."""

from policies.recognizers.recognition import recognize

__all__ = ["recognize"]
