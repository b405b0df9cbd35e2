"""Watches: what is there, what happened since, what happens; bookmarks; the end after timeoutSeconds.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.simulators.kubernetes.api import lists
from tests.simulators.kubernetes.api.options import integer, truth
from tests.simulators.kubernetes.api.request import Request
from tests.simulators.kubernetes.cluster import Cluster
from tests.simulators.kubernetes.errors import ApiError
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry import versions
from tests.simulators.kubernetes.store import ADDED, DELETED, MODIFIED, Compacted, Object

Encode = Callable[[str, Object, bool], bytes]
"""Makes a line of an event's type and object; the flag is true for the first one."""
BOOKMARK_SECONDS = 60.0
LAST_BOOKMARK_SECONDS = 2.0
"""So long before its end a watch sends a bookmark."""
END_MARK = {"k8s.io/initial-events-end": "true"}


class Watch:
    """One watch; `stream` is its body.

    :raises ApiError: from the start, for options that do not fit.
    """

    def __init__(
        self, cluster: Cluster, res: Resource, namespace: str | None, request: Request, encode: Encode
    ) -> None:
        self.cluster, self.res, self.namespace, self._encode = cluster, res, namespace, encode
        lists.refuse_options(request, watch=True)
        self.chosen = lists.selector(res, request)
        seconds = integer(request.one("timeoutSeconds")) or random.uniform(1800, 3600)
        self.seconds = seconds / cluster.speed
        self.bookmarks = truth(request.one("allowWatchBookmarks"))
        version = request.one("resourceVersion")
        if version and not version.isdigit():
            why = f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
            raise ApiError(500, "", why)
        self.version = int(version or 0)
        initial = request.query.get("sendInitialEvents")
        self.marked = initial is not None and truth(initial[0])
        self.initial = self.marked or (self.version == 0 and initial is None)
        self._first = True
        self._queue: asyncio.Queue[tuple[str, Object, Object | None]] = asyncio.Queue()

    async def stream(self) -> AsyncIterator[bytes]:
        unsubscribe = self.cluster.store.subscribe(self._changed)
        try:
            for line in self._beginning():
                yield line
            if self.version >= 0:
                async for line in self._live():
                    yield line
        finally:
            unsubscribe()

    def _changed(self, type_: str, res: Resource, obj: Object, old: Object | None) -> None:
        if res.key == self.res.key and self.namespace in (None, obj["metadata"].get("namespace", "")):
            self._queue.put_nowait((type_, obj, old))

    def _beginning(self) -> list[bytes]:
        """What is there, or what happened since the asked version."""
        if self.initial:
            objects = self.cluster.store.list(self.res, self.namespace)
            lines = [self._line(ADDED, each) for each in objects if self._fits(each)]
            if self.marked and self.bookmarks:
                lines.append(self._bookmark(END_MARK))
            return lines
        if not self.version:
            return []
        try:
            changes = list(self.cluster.store.since(self.res, self.version))
        except Compacted:
            told = f"too old resource version: {self.version} ({self.cluster.store.compacted})"
            self.version = -1
            return [self._line("ERROR", ApiError(410, "Expired", told).body())]
        here = [each for each in changes if self.namespace in (None, each.obj["metadata"].get("namespace", ""))]
        return [line for each in here for line in self._event(each.type, each.obj, each.old)]

    async def _live(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        last = end - min(LAST_BOOKMARK_SECONDS / self.cluster.speed, self.seconds / 2)
        mark = min(loop.time() + BOOKMARK_SECONDS / self.cluster.speed, last)
        while (now := loop.time()) < end:
            if self.bookmarks and now >= mark:
                yield self._bookmark({})
                mark = end if now >= last else min(now + BOOKMARK_SECONDS / self.cluster.speed, last)
            until = min(mark, end) if self.bookmarks else end
            try:
                async with asyncio.timeout(max(0, until - loop.time())):
                    change = await self._queue.get()
            except TimeoutError:
                continue
            for line in self._event(*change):
                yield line

    def _event(self, type_: str, obj: Object, old: Object | None) -> list[bytes]:
        """The change as one who watches with the selector sees it."""
        revision = int(obj["metadata"]["resourceVersion"])
        if revision <= self.version:
            return []
        if self.chosen is None:
            return [self._line(type_, obj)]
        was = old is not None and self._fits(old)
        is_ = type_ != DELETED and self._fits(obj)
        if not was and not is_:
            return []
        if was and not is_ and type_ != DELETED and old is not None:
            metadata = {**old["metadata"], "resourceVersion": obj["metadata"]["resourceVersion"]}
            obj = {**old, "metadata": metadata}
        return [self._line((MODIFIED if is_ else DELETED) if was else ADDED, obj)]

    def _fits(self, obj: Object) -> bool:
        return self.chosen is None or self.chosen(versions.shown(self.res, obj))

    def _bookmark(self, annotations: dict[str, str]) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(self.cluster.store.revision)}
        if annotations:
            metadata["annotations"] = annotations
        return self._line("BOOKMARK", {"kind": self.res.kind, "apiVersion": self.res.api_version, "metadata": metadata})

    def _line(self, type_: str, obj: Object) -> bytes:
        first, self._first = self._first, False
        return self._encode(type_, obj if type_ in ("ERROR", "BOOKMARK") else versions.shown(self.res, obj), first)
