"""Fixtures of the end-to-end tests: an upstream, and a service in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Installed, Running, running
from tests.e2e.upstream import Reply, Upstream


@pytest.fixture(scope="module")
def module_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def module_service(tmp_path_factory: pytest.TempPathFactory, module_upstream: Upstream) -> Iterator[Running]:
    with running(Installed(tmp_path_factory.mktemp("service"), module_upstream.base_url, workers=1)) as service:
        yield service


@pytest.fixture
def upstream(module_upstream: Upstream) -> Upstream:
    """The module's upstream as if it were new."""
    module_upstream.received.clear()
    module_upstream.replies = [Reply()]
    module_upstream.on_call = None
    module_upstream.hung_up.clear()
    module_upstream.embedding_status = 200
    return module_upstream


@pytest.fixture
def service(module_service: Running, upstream: Upstream) -> Running:
    """A running service in front of `upstream`; shared by the tests of a module."""
    return module_service


@pytest.fixture
def installed(tmp_path: Path, upstream: Upstream) -> Installed:
    """A service of the test's own, installed and not started."""
    return Installed(tmp_path, upstream.base_url)
