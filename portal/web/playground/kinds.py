"""What can be tried, and with models of which tasks and engines."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from models_catalog.choices import EngineKind, Task


@dataclass(frozen=True)
class Kind:
    """A way of trying. `most` is how many models it asks at once; `engines` empty means any engine."""

    name: str
    title: str | Promise
    tasks: frozenset[str]
    path: str
    most: int = 1
    engines: frozenset[str] = frozenset()


KINDS = (
    Kind("chat", _("Chat"), frozenset({Task.CHAT, Task.VISION_CHAT}), "/v1/chat/completions", most=3),
    Kind("embeddings", _("Embeddings"), frozenset({Task.EMBEDDING}), "/v1/embeddings"),
    Kind("rerank", _("Rerank"), frozenset({Task.RERANK}), "/v1/rerank"),
    Kind("score", _("Score"), frozenset({Task.RERANK, Task.EMBEDDING}), "/v1/score", engines=frozenset({EngineKind.VLLM})),
)
MOST_MODELS = max(kind.most for kind in KINDS)
TRIED_TASKS = frozenset().union(*(kind.tasks for kind in KINDS))


def kind_named(name: str) -> Kind | None:
    return next((kind for kind in KINDS if kind.name == name), None)


def kind_for(task: str) -> Kind:
    """The first way of trying a model of this task."""
    return next((kind for kind in KINDS if task in kind.tasks), KINDS[0])
