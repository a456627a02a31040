"""What a start says of its own files, and what is recorded of a clock that was set."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.clocks import Clocks
from appliance.errors import RecordingError
from appliance.events import ClockJumped, decode
from appliance.measurement import ROOMS, digest_of_code
from appliance.recorder import Recorder
from audit import AuditLog
from tests.audit.conftest import installed

ROOT = Path(__file__).parents[2]
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("code")
    for room in ROOMS:
        shutil.copytree(ROOT / room, root / room)
    return root


def test_the_digest_is_the_one_of_sha256sum_and_changes_with_every_file(copied: Path) -> None:
    command = "find appliance audit policies providers -type f -not -path '*/__pycache__/*' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    counted = subprocess.run(["bash", "-c", command], cwd=copied, capture_output=True, text=True, check=True).stdout
    digest = digest_of_code(copied)
    assert counted.split()[0] == digest.hex()
    assert digest_of_code() == digest
    path = copied / "policies/data/bundle/rules.toml"
    path.write_bytes(path.read_bytes() + b"\n")
    assert digest_of_code(copied) != digest
    (copied / "audit/__pycache__").mkdir(exist_ok=True)
    (copied / "audit/__pycache__/x.pyc").write_bytes(b"x")
    before = digest_of_code(copied)
    path.rename(path.with_name("other.toml"))
    assert digest_of_code(copied) != before


class Hands:
    """Two clocks that the test sets."""

    wall = 1_790_000_000 * SECOND
    monotonic = 5 * SECOND

    def passes(self, seconds: float, *, set_by: float = 0.0) -> None:
        self.monotonic += round(seconds * SECOND)
        self.wall += round((seconds + set_by) * SECOND)


async def test_a_clock_that_was_set_is_recorded_once_and_a_slewed_one_never(tmp_path: Path) -> None:
    hands = Hands()
    async with AuditLog.open(installed(tmp_path)) as log:
        clocks = Clocks(Recorder(log, None, ""), lambda: hands.wall, lambda: hands.monotonic)  # type: ignore[arg-type]  # only appends
        for seconds, set_by in ((1, 0.0), (1, 0.9), (1, 3600.0), (1, 0.0), (86_400, 0.0), (1, -2.5), (1, 0.0)):
            hands.passes(seconds, set_by=set_by)
            await clocks.look()
        records = [await log.read(number) for number in range(log.size)]
        assert [decode(each.kind, each.schema, each.body) for each in records] == [
            ClockJumped(3_600_000),
            ClockJumped(-2500),
        ]
        hands.passes(1, set_by=10)
    with pytest.raises(RecordingError):
        await clocks.look()
    with pytest.raises(RecordingError):  # not forgotten
        await clocks.look()
