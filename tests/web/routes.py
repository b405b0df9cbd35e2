"""What the isolation matrix has to know of each page: see test_matrix.py. A page without an entry fails the build."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portal.tenancy.models import Workspace
from tests.portal.world import World

Ids = Callable[[World, Workspace], tuple[Any, ...]]


def nothing(_world: World, _workspace: Workspace) -> tuple[Any, ...]:
    return ()


@dataclass(frozen=True)
class Entry:
    """`ids`: what follows the workspace in the address, for a row of this workspace of the world.

    `verbs`: the methods that the page takes. `body`: a form that a POST may carry; `foreign` names its fields that hold
    ids, with the maker of the same id in another workspace: each is tried, and must change and show nothing.
    `viewer_may_post`: whether a mere viewer may send the form; all others are 403 for a viewer.
    """

    ids: Ids = nothing
    verbs: tuple[str, ...] = ("GET",)
    body: Callable[[World], Mapping[str, Any]] | None = None
    foreign: Mapping[str, Ids] = field(default_factory=dict)
    viewer_may_post: bool = False
    is_stream: bool = False  # its answer goes on for as long as somebody listens
    good: tuple[int, ...] = (200, 302, 303)  # what a member's GET may answer
