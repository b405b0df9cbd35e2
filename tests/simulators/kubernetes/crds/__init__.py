"""The CustomResourceDefinitions that the simulator ships (README.md says where they come from)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The plural names of the shipped CRDs, as `load` takes them."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(wanted: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """The CRDs with these plural names (all of them by default), each a fresh object.

    Raises FileNotFoundError for a name that is not shipped.
    """
    chosen = names() if wanted is None else wanted
    return [msgspec.json.decode((FOLDER / f"{name}.json").read_bytes()) for name in chosen]
