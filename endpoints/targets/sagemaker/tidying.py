"""What earlier revisions have left: models and configurations that nothing uses any more."""

from __future__ import annotations

from collections.abc import Collection

from endpoints.targets.base import Spec

from . import names
from .calls import KINDS, Calls
from .memory import Memory


def tidy(calls: Calls, memory: Memory, spec: Spec, used: Collection[str]) -> None:
    """Once for each state of an endpoint and process; a first wish has left nothing. Raises AwsError."""
    state = f"{spec.generation} {' '.join(sorted(used))}"
    if spec.generation > 1 and not memory.tidied(spec.external_name, state):
        drop_objects(calls, spec, used)


def drop_objects(calls: Calls, spec: Spec, used: Collection[str] = ()) -> int:
    """Delete all but the used; how many. Configurations go first, because they name the models. Raises AwsError."""
    dropped = 0
    for kind, (_list, _key, parameter, _delete) in KINDS.items():
        for each in calls.listed(kind, NameContains=names.digest_of(spec.uid)):
            name = each[parameter]
            if name in used or not names.is_of(name, spec.external_name):
                continue
            if names.uid_of(calls.tags(each[f"{kind}Arn"])) == spec.uid:
                calls.drop(kind, name)
                dropped += 1
    return dropped
