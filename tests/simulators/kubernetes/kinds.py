"""Which resources the API server has: the built-in ones from a table, those of CRDs added and removed at run time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, eq=False)
class Resource:
    """One resource in one served version. `key` names what is stored, whatever version is asked for."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool = True
    versions: tuple[str, ...] = ()
    storage_version: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = ALL_VERBS
    schema: dict[str, Any] | None = None
    """The openAPIV3Schema of this version; None for a built-in kind."""
    columns: tuple[dict[str, Any], ...] = ()
    """additionalPrinterColumns of this version."""
    scale: dict[str, str] | None = None
    """The CRD's paths of the scale subresource."""
    selectable: tuple[str, ...] = ()
    """JSON paths of the CRD's selectableFields."""
    stored_as: tuple[str, str] | None = None
    """Another (group, plural) that holds the objects: events are in two groups."""
    custom: bool = False
    list_kind: str = ""
    key: tuple[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.stored_as or (self.group, self.plural))

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def kind_of_list(self) -> str:
        return self.list_kind or f"{self.kind}List"


class Kinds:
    """The registry of resources."""

    def __init__(self, builtins: Iterable[Resource]) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self.revision = 0
        """Grows with each change, for whoever caches what it made of the kinds."""
        for each in builtins:
            self._put(each)

    def get(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def by_kind(self, group: str, kind: str) -> Resource | None:
        """The resource of a kind in its storage version."""
        return self._by_kind.get((group, kind))

    def named(self, kind: str) -> Resource | None:
        """By `Kind` (the built-in one first) or `Kind.group`."""
        name, _, group = kind.partition(".")
        if group:
            return self.by_kind(group, name)
        return next((each for (_, known), each in self._by_kind.items() if known == name), None)

    def stored(self, res: Resource) -> Resource:
        """The same resource in the version that is stored."""
        return self._by_path.get((*res.key[:1], res.storage_version, res.key[1]), res)

    def all(self) -> Iterator[Resource]:
        return iter(list(self._by_path.values()))

    def has_group(self, group: str, version: str | None = None) -> bool:
        return any(each[0] == group and version in (None, each[1]) for each in self._by_path)

    def custom_group(self, group: str) -> bool:
        """Whether the group is one of CRDs (or unknown), which answers in plain text for what it lacks."""
        return all(each.custom for path, each in self._by_path.items() if path[0] == group)

    def add_crd(self, crd: dict[str, Any]) -> list[Resource]:
        """Serves what the CRD says; replaces what it said before."""
        self.remove_crd(crd["metadata"]["name"])
        added = [crd_resource(crd["spec"], each) for each in crd["spec"]["versions"] if each.get("served")]
        for each in added:
            self._put(each)
        return added

    def remove_crd(self, name: str) -> None:
        plural, _, group = name.partition(".")
        for path in [each for each in self._by_path if each[0] == group and each[2] == plural]:
            gone = self._by_path.pop(path)
            self._by_kind.pop((group, gone.kind), None)
        self.revision += 1

    def _put(self, res: Resource) -> None:
        self._by_path[res.group, res.version, res.plural] = res
        if res.storage_version == res.version or (res.group, res.kind) not in self._by_kind:
            self._by_kind[res.group, res.kind] = res
        self.revision += 1


def crd_resource(spec: dict[str, Any], version: dict[str, Any]) -> Resource:
    names, subs = spec["names"], version.get("subresources") or {}
    return Resource(
        group=spec["group"], version=version["name"], plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(), kind=names["kind"],
        list_kind=names.get("listKind", ""), namespaced=spec["scope"] == "Namespaced",
        versions=tuple(each["name"] for each in spec["versions"] if each.get("served")),
        storage_version=next(each["name"] for each in spec["versions"] if each.get("storage")),
        short_names=tuple(names.get("shortNames") or ()), categories=tuple(names.get("categories") or ()),
        subresources=frozenset(subs), schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
        columns=tuple(version.get("additionalPrinterColumns") or ()), scale=subs.get("scale"),
        selectable=tuple(each["jsonPath"] for each in version.get("selectableFields") or ()), custom=True,
        verbs=("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"),
    )  # fmt: skip
