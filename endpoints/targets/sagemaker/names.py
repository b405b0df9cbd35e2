"""Names and tags of what an endpoint has in SageMaker. All derived: the same wish always means the same objects.

Every name fits into 63 characters of `[a-zA-Z0-9](-*[a-zA-Z0-9])*` (facts.md 2.2): the external name has 50 at most.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError
from portal.tenancy.fields import derived
from portal.tenancy.text import external_name

# Tags on everything that we make. Without our uid an object is somebody else's, whatever its name.
ENDPOINT_UID = "inference-portal/endpoint"
WORKSPACE = "inference-portal/workspace"
REVISION = "inference-portal/revision"
# Which installation of the portal made it: another one's objects in the same account are never collected.
OWNER = "inference-portal/owner"
# On an endpoint or a component: what was tried last, so that a failure is told of the try that it belongs to.
ATTEMPT = "inference-portal/attempt"
# On a configuration: when an endpoint was last asked for with one that was there already.
USED = "inference-portal/used"
# Since when it is known to have no endpoint; see leftovers.py.
LEFT_OVER = "inference-portal/left-over-since"

MOST_CHARS = 50
LEGAL = re.compile(r"[a-z0-9](-*[a-z0-9])*")
CONFIG_OF_REVISION = re.compile(r"-r(\d+)$")
CONFIG_OF_COMPONENTS = re.compile(r"-i[0-9a-f]{8}$")
MODEL = re.compile(r"-r(\d+)(?:-v\d)?$")
OURS = re.compile(r"(?P<endpoint>.+-[0-9a-f]{10})(?:-r\d+(?:-v\d)?|-i[0-9a-f]{8}|)")
Tags = Mapping[str, str]


def check_name(spec: Spec) -> None:
    """Raises TargetError, permanent, for a name that SageMaker can't have."""
    name = spec.external_name
    if len(name) > MOST_CHARS or not LEGAL.fullmatch(name):
        raise TargetError(Cause.INVALID, _(
            "The name %(name)s can't be used in SageMaker: choose one of letters, digits and single hyphens.") % {"name": name},
            permanent=True)


def digest_of(uid: UUID) -> str:
    """The 10 hex digits that the name of every object of this endpoint has: a listing can ask for them."""
    return external_name("x", uid)[-10:]


def model_name(spec: Spec, variant: int | None = None) -> str:
    """Of the wanted revision; `variant` is the place in the list of one that has an image or environment of its own."""
    return f"{spec.external_name}-r{spec.wanted.number}" + ("" if variant is None else f"-v{variant}")


def config_name(spec: Spec) -> str:
    return f"{spec.external_name}-r{spec.wanted.number}"


def component_config_name(spec: Spec, body: Mapping[str, Any]) -> str:
    """Of an endpoint for inference components: it stays as long as its content does, whatever the revision."""
    text = json.dumps(body, sort_keys=True)
    return f"{spec.external_name}-i{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def is_for_components(config: str) -> bool:
    return CONFIG_OF_COMPONENTS.search(config) is not None


def revision_of_config(name: str) -> int:
    """0 for a configuration that is not one of ours, or not of one revision."""
    found = CONFIG_OF_REVISION.search(name)
    return int(found[1]) if found else 0


def revision_of_model(name: str) -> int:
    found = MODEL.search(name)
    return int(found[1]) if found else 0


def endpoint_of(name: str) -> str:
    """The external name that the name of an object of ours begins with; "" for a name that we would not give."""
    found = OURS.fullmatch(name)
    return found["endpoint"] if found else ""


def is_of(name: str, endpoint: str) -> bool:
    """Whether a model or configuration has a name that we would give it for this endpoint."""
    return name != endpoint and endpoint_of(name) == endpoint


def owner() -> str:
    return derived("owner of SageMaker objects")[:16]


def tags_of(spec: Spec) -> dict[str, str]:
    """Ours, on top of those that people wish (options, Tags)."""
    wished = {tag["Key"]: tag["Value"] for tag in spec.wanted.options.get("Tags", ())}
    return {**wished, ENDPOINT_UID: str(spec.uid), WORKSPACE: spec.workspace, OWNER: owner(),
            REVISION: str(spec.wanted.number)}


def as_list(tags: Tags) -> list[dict[str, str]]:
    """As SageMaker wants them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def as_tags(listed: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed}


def uid_of(tags: Tags) -> UUID | None:
    """Whose object it is; None for one that is not the portal's."""
    try:
        return UUID(tags.get(ENDPOINT_UID, ""))
    except ValueError:
        return None


def time_in(tags: Tags, name: str) -> datetime | None:
    """A time that we wrote down in a tag."""
    try:
        return datetime.fromisoformat(tags.get(name, ""))
    except ValueError:
        return None


def attempt_of(spec: Spec) -> str:
    """The word for one try of one revision: another wish, or Retry, is another try."""
    return f"r{spec.wanted.number}.g{spec.generation}"
