"""When a run that goes badly stops by itself."""

from __future__ import annotations

from collections import deque

ERRORS, REFUSED = "errors", "refused"
WINDOW = 10.0  # seconds
FEWEST = 20  # calls, however long they take
SHARE = 0.5


class Watch:
    """The calls of the last ten seconds, and at least the last twenty."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, str]] = deque()

    def saw(self, now: float, kind: str) -> str:
        """Note the end of a call: "" went well, REFUSED by a limit, else ERRORS. Returns why to stop, or ""."""
        self._ends.append((now, kind))
        while len(self._ends) > FEWEST and self._ends[0][0] < now - WINDOW:
            self._ends.popleft()
        if len(self._ends) < FEWEST:
            return ""
        refused = sum(kind == REFUSED for _at, kind in self._ends)
        failed = sum(bool(kind) for _at, kind in self._ends)
        if failed <= SHARE * len(self._ends):
            return ""
        return REFUSED if refused * 2 >= failed else ERRORS
