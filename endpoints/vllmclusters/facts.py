from __future__ import annotations

from dataclasses import dataclass

from models_catalog.sizing import Shape


@dataclass(frozen=True)
class ModelFacts:
    """What the catalogue knows of a model; None or empty where it doesn't. `weights_bytes` 0 is unknown."""

    context_tokens: int | None = None
    quantisation: str = ""
    weights_bytes: int = 0
    shape: Shape | None = None
    gated: bool = False
