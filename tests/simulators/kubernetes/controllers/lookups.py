"""Selectors, amounts and indexes: what several controllers ask for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from .base import Object, controller_of, labels_of, name_of, namespace_of, uid_of

SUFFIXES = {
    "": Fraction(1), "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000),
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip
AMOUNT = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([numkKMGTPE]?i?)")


@lru_cache(maxsize=4096)
def amount(text: str | int | float) -> Fraction:
    """A quantity as a number: "500m" is 1/2, "1Ki" is 1024."""
    match = AMOUNT.fullmatch(str(text))
    if match is None:
        raise ValueError(f"not a quantity: {text!r}")
    return Fraction(match[1]) * SUFFIXES[match[2]]


def amount_text(value: Fraction, like: str = "") -> str:
    """A number as a quantity; whole numbers plainly, thousandths with m, multiples of 1024 as `like` writes them."""
    if like.endswith("i"):
        for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
            if value and value % SUFFIXES[suffix] == 0:
                return f"{int(value / SUFFIXES[suffix])}{suffix}"
    if value.denominator == 1:
        return str(int(value))
    return f"{-(-value * 1000 // 1)}m"


def requests_of(pod: Mapping[str, Any]) -> dict[str, Fraction]:
    """What a pod asks of its node: the sum of its containers, or its largest init container."""
    spec = pod["spec"]
    total: dict[str, Fraction] = defaultdict(Fraction)
    for container in spec.get("containers", ()):
        for resource, text in requested(container).items():
            total[resource] += amount(text)
    for container in spec.get("initContainers", ()):
        for resource, text in requested(container).items():
            total[resource] = max(total[resource], amount(text))
    return dict(total)


def requested(container: Mapping[str, Any]) -> Mapping[str, str]:
    resources = container.get("resources") or {}
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector takes the labels; an empty one takes all, None takes nothing."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(fits(each, labels) for each in selector.get("matchExpressions") or ())


def fits(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """One requirement of a label selector or of a node selector term."""
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and int(value) > int(values[0])
        case "Lt":
            return value is not None and int(value) < int(values[0])
    return False


def selector_text(selector: Mapping[str, Any]) -> str:
    """A LabelSelector as `kubectl -l` takes it."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for each in selector.get("matchExpressions") or ():
        values = ",".join(each.get("values") or ())
        words = {"In": f"{each['key']} in ({values})", "NotIn": f"{each['key']} notin ({values})"}
        bare = each["key"] if each["operator"] == "Exists" else "!" + each["key"]
        parts.append(words.get(each["operator"], bare))
    return ",".join(parts)


class Index:
    """The keys of one kind's objects under any word that can be read off an object, kept up to date by changes."""

    def __init__(self, cluster: Any, kind: str, words: Any) -> None:
        self.cluster, self.kind, self.words = cluster, kind, words
        self._keys: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)
        cluster.on_change((kind,), self._changed)

    def _changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        key = (namespace_of(obj), name_of(obj))
        before = set(self.words(old)) if old else set()
        after = set() if event == "DELETED" else set(self.words(obj))
        if event == "DELETED":
            before |= set(self.words(obj))
        for word in before - after:
            if (keys := self._keys.get(word)) is not None:
                keys.pop(key, None)
                if not keys:
                    del self._keys[word]
        for word in after - before:
            self._keys[word][key] = None

    def find(self, word: str) -> list[Object]:
        found = (self.cluster.get(self.kind, *key) for key in list(self._keys.get(word, ())))
        return [obj for obj in found if obj is not None]


def controller_uid(obj: Object) -> Iterator[str]:
    if ref := controller_of(obj):
        yield ref["uid"]


def node_name(pod: Object) -> Iterator[str]:
    if node := pod["spec"].get("nodeName"):
        yield node


def claim_words(pod: Object) -> Iterable[str]:
    return [f"{namespace_of(pod)}/{claim}" for claim in claims_of(pod)]


def claims_of(pod: Mapping[str, Any]) -> list[str]:
    volumes = pod["spec"].get("volumes") or ()
    return [each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each]


def label_words(obj: Object) -> Iterable[str]:
    """`namespace key=value` for each label, so that a selector can start from its first pair."""
    namespace = namespace_of(obj)
    return [f"{namespace} {key}={value}" for key, value in labels_of(obj).items()]


class Pods:
    """The pods by who controls them, by node, by claim and by label; one set of indexes for all controllers."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self._owner = Index(cluster, "Pod", controller_uid)
        self._node = Index(cluster, "Pod", node_name)
        self._claim = Index(cluster, "Pod", claim_words)
        self._label = Index(cluster, "Pod", label_words)

    def owned_by(self, owner: Object) -> list[Object]:
        return self._owner.find(uid_of(owner))

    def on_node(self, node: str) -> list[Object]:
        return self._node.find(node)

    def using_claim(self, namespace: str, claim: str) -> list[Object]:
        return self._claim.find(f"{namespace}/{claim}")

    def selected(self, namespace: str, selector: Mapping[str, Any] | None) -> list[Object]:
        """The pods of a namespace that a LabelSelector takes."""
        if selector is None:
            return []
        pair = next(iter((selector.get("matchLabels") or {}).items()), None)
        some = self._label.find(f"{namespace} {pair[0]}={pair[1]}") if pair else self.cluster.list("Pod", namespace)
        return [pod for pod in some if selects(selector, labels_of(pod))]
