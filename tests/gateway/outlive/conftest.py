from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.outlive.parent import Parent
from tests.gateway.server import Tenant, database, make_tenant

NUMBERS = itertools.count(1)


@contextmanager
def running(parent: Parent) -> Iterator[Parent]:
    """Started, and ended in any case."""
    try:
        parent.start()
        parent.wait()
        yield parent
    finally:
        if parent.process is not None and parent.process.poll() is None:
            parent.stop()


@pytest.fixture(scope="session")
def lasting(tmp_path_factory: pytest.TempPathFactory, empty_portal: Path) -> Iterator[Parent]:
    """Three gateway processes for all tests that leave the parent alone."""
    folder = tmp_path_factory.mktemp("outlive")
    shutil.copy(empty_portal / "portal.sqlite3", folder)
    with running(Parent(folder, workers=3)) as parent:
        yield parent


@pytest.fixture
def folder(tmp_path: Path, empty_portal: Path) -> Path:
    """A data folder of this test alone."""
    shutil.copy(empty_portal / "portal.sqlite3", tmp_path)
    return tmp_path


@pytest.fixture
def own(folder: Path) -> Iterator[Parent]:
    """Two gateway processes of this test alone."""
    with running(Parent(folder)) as parent:
        yield parent


@pytest.fixture
def tenant_of(django_db_blocker: Any) -> Iterator[Callable[[Parent], Tenant]]:
    """A tenant in the database of these processes, which is open here until the test ends."""
    with ExitStack() as stack:

        def make(parent: Parent) -> Tenant:
            stack.enter_context(django_db_blocker.unblock())
            stack.enter_context(database(parent.folder, parent.database_url))
            return make_tenant(parent, f"outlive-{next(NUMBERS)}")

        yield make
