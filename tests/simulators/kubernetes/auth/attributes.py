"""What a request is about, in the words of access control.

https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulators.kubernetes import errors
from tests.simulators.kubernetes.api.request import Request, target
from tests.simulators.kubernetes.auth.users import User
from tests.simulators.kubernetes.errors import ApiError

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True, slots=True)
class Attributes:
    """Either a resource or, when `path` is set, a path that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def attributes(request: Request) -> Attributes:
    aim = target(request.path)
    if aim is None:
        return Attributes(request.method.lower(), path=request.path)
    verb = VERBS.get(request.method, "")
    name = aim.name
    if request.method in ("GET", "HEAD"):
        verb = "get" if name else "watch" if request.one("watch") in ("true", "1") else "list"
    elif request.method == "DELETE":
        verb = "delete" if name else "deletecollection"
    if verb in ("list", "watch", "deletecollection"):
        name = _selected_name(request.one("fieldSelector"))
    return Attributes(verb, aim.group, aim.plural, aim.subresource, aim.namespace, name)


def _selected_name(selector: str) -> str:
    """A list of one object by name counts as asking for that name."""
    for part in selector.split(","):
        field, _, value = part.partition("=")
        if field == "metadata.name":
            return value.lstrip("=")
    return ""


def forbidden(user: User, asked: Attributes) -> ApiError:
    if asked.path:
        return ApiError(403, "Forbidden", f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"', {})
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    why = (
        f'User "{user.name}" cannot {asked.verb} resource "{asked.full_resource}" in API group "{asked.group}" {where}'
    )
    return errors.forbidden(asked.group, asked.resource, asked.name, why)
