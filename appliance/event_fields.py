"""What the fields of records may hold besides numbers and enums: short names that are nobody's words."""

from __future__ import annotations

from typing import Annotated

import msgspec

Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$")]
"""A name chosen by an administrator or made by us; never a user's words."""

ProviderId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{0,64}$")]
"""A request id given by a provider; empty when there is none, or when it is not one by its shape."""

Reference = Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._:@/-]{0,63})?$")]
"""What an officer gives as the ground of an act: the number of a letter or a case, never a story or a name."""
