"""Words to the person at the terminal, and the one error of the set-up."""

from __future__ import annotations


class Failed(Exception):
    """The set-up can't go on; the text is one line that says what to do."""


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)
