"""For all tests: how long an example takes says nothing on a machine that others use."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("calm", deadline=None)
settings.load_profile("calm")
