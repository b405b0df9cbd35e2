"""What earlier revisions have left: models and configurations that nothing uses any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from endpoints.targets.base import Spec

from . import names
from .calls import KINDS, Calls
from .memory import Memory


def tidy(calls: Calls, memory: Memory, spec: Spec, used: Collection[str]) -> None:
    """Once for each state of an endpoint and process; a first wish has left nothing. Raises AwsError."""
    state = f"{spec.generation} {' '.join(sorted(used))}"
    if spec.generation > 1 and not memory.tidied(spec.external_name, state):
        for each in objects_of(calls, spec, used):
            calls.drop(each.kind, each.name)


@dataclass(frozen=True)
class Made:
    """A model or configuration of ours, and when an endpoint may have been asked for with it last."""

    kind: str
    name: str
    at: datetime


def objects_of(calls: Calls, spec: Spec, used: Collection[str] = ()) -> Iterator[Made]:
    """All but the used. Configurations come first, because they name the models. Raises AwsError."""
    for kind, (_list, _key, parameter, _delete) in KINDS.items():
        for each in calls.listed(kind, NameContains=names.digest_of(spec.uid)):
            name = each[parameter]
            if name in used or not names.is_of(name, spec.external_name):
                continue
            tags = calls.tags(each[f"{kind}Arn"])
            if names.uid_of(tags) == spec.uid:
                yield Made(kind, name, max(each["CreationTime"], names.time_in(tags, names.USED) or each["CreationTime"]))
