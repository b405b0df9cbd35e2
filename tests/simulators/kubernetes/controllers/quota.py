"""ResourceQuota and LimitRange: the refusals at creation, the defaults, and the counted use in a quota's status."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tests.simulators.kubernetes.errors import forbidden
from tests.simulators.kubernetes.kinds import Resource

from .base import Controller, Object, finished, name_of, namespace_of, with_metadata
from .lookups import amount, amount_text, requests_of

COUNTED = {
    "pods": "Pod", "services": "Service", "secrets": "Secret", "configmaps": "ConfigMap",
    "persistentvolumeclaims": "PersistentVolumeClaim", "resourcequotas": "ResourceQuota",
    "replicationcontrollers": "ReplicationController",
}  # fmt: skip
PLAIN = {"cpu": "requests.cpu", "memory": "requests.memory", "ephemeral-storage": "requests.ephemeral-storage"}
LIMIT_NOTE = "kubernetes.io/limit-ranger"


def charges(res: Resource, obj: Object) -> dict[str, Fraction]:
    """What one object uses, under every name that a quota may call it."""
    one = Fraction(1)
    found = {f"count/{res.plural}.{res.group}" if res.group else f"count/{res.plural}": one}
    if res.group:
        return found
    if res.plural in COUNTED:
        found[res.plural] = one
    if res.kind == "Pod":
        return {} if finished(obj) else {**found, **pod_charges(obj)}
    if res.kind == "PersistentVolumeClaim":
        found["requests.storage"] = amount(obj["spec"].get("resources", {}).get("requests", {}).get("storage", "0"))
    if res.kind == "Service" and obj["spec"].get("type") in ("LoadBalancer", "NodePort"):
        found["services." + obj["spec"]["type"].lower() + "s"] = one
    return found


def pod_charges(pod: Object) -> dict[str, Fraction]:
    found = {f"requests.{resource}": value for resource, value in requests_of(pod).items()}
    found |= {short: found[full] for short, full in PLAIN.items() if full in found}
    for container in pod["spec"]["containers"]:
        for resource, text in ((container.get("resources") or {}).get("limits") or {}).items():
            found[f"limits.{resource}"] = found.get(f"limits.{resource}", Fraction(0)) + amount(text)
    return found


class Quotas(Controller):
    kinds = ("ResourceQuota",)

    def __init__(self, cluster: Any) -> None:
        super().__init__(cluster)
        cluster.on_change(None, self._anything_changed)

    def _anything_changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        counts = event != "MODIFIED" or (kind == "Pod" and old is not None and finished(obj) != finished(old))
        if counts and namespace_of(obj):
            for quota in self.cluster.list("ResourceQuota", namespace_of(obj)):
                self.enqueue(namespace_of(obj), name_of(quota))

    def sync(self, namespace: str, name: str) -> None:
        quota = self.cluster.get("ResourceQuota", namespace, name)
        if quota is None:
            return
        hard = quota["spec"].get("hard") or {}
        used = {resource: amount_text(self.used(namespace, resource), str(limit)) for resource, limit in hard.items()}
        status = {"hard": hard, "used": used}
        if (quota.get("status") or {}) != status:
            self.cluster.put_status("ResourceQuota", quota, status)

    def used(self, namespace: str, resource: str) -> Fraction:
        res = self._counted(resource)
        if res is None:
            return Fraction(0)
        objects = self.cluster.store.list(res, namespace)
        return sum((charges(res, each).get(resource, Fraction(0)) for each in objects), Fraction(0))

    def _counted(self, resource: str) -> Resource | None:
        """The resource whose objects a quota's entry counts."""
        if resource.startswith("count/"):
            plural, _, group = resource.removeprefix("count/").partition(".")
            return next(
                (each for each in self.cluster.kinds.all() if (each.plural, each.group) == (plural, group)), None
            )
        kind = COUNTED.get(resource) or ("Service" if resource.startswith("services.") else "Pod")
        return self.cluster.kinds.by_kind("", "PersistentVolumeClaim" if resource == "requests.storage" else kind)

    def admit(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        """The hook: refuses what would exceed a quota of the namespace."""
        if verb != "create" or not res.namespaced:
            return
        for quota in self.cluster.list("ResourceQuota", namespace_of(obj)):
            hard = quota["spec"].get("hard") or {}
            wanted = {resource: value for resource, value in charges(res, obj).items() if resource in hard and value}
            over = [
                resource
                for resource, value in sorted(wanted.items())
                if self._exceeds(namespace_of(obj), resource, value, hard)
            ]
            if over:
                raise forbidden(res.group, res.plural, name_of(obj), self._excess(quota, over, wanted))

    def _exceeds(self, namespace: str, resource: str, value: Fraction, hard: dict[str, str]) -> bool:
        return self.used(namespace, resource) + value > amount(hard[resource])

    def _excess(self, quota: Object, over: list[str], wanted: dict[str, Fraction]) -> str:
        hard = quota["spec"]["hard"]

        def shown(of: Any) -> str:
            return ",".join(f"{resource}={of(resource)}" for resource in over)

        requested = shown(lambda resource: amount_text(wanted[resource], str(hard[resource])))
        used = shown(lambda resource: amount_text(self.used(namespace_of(quota), resource), str(hard[resource])))
        return f"exceeded quota: {name_of(quota)}, requested: {requested}, used: {used}, limited: {shown(hard.get)}"


class LimitRanges:
    """The admission of LimitRange: defaults for containers, then the bounds."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster

    def admit(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        if (res.group, res.kind) != ("", "Pod") or verb != "create":
            return
        for limits in self.cluster.list("LimitRange", namespace_of(obj)):
            for limit in limits["spec"].get("limits") or ():
                if limit.get("type") == "Container":
                    self._default(obj, limit)
                    self._check(obj, limit)

    def _default(self, pod: Object, limit: Object) -> None:
        said = []
        containers = []
        for container in pod["spec"]["containers"]:
            given = container.get("resources") or {}
            limits = {**(limit.get("default") or {}), **(given.get("limits") or {})}
            missing = {
                key: value
                for key, value in (limit.get("defaultRequest") or {}).items()
                if key not in (given.get("limits") or {})
            }
            requests = {**missing, **(given.get("requests") or {})}
            for word, now, before in (
                ("request", requests, given.get("requests")),
                ("limit", limits, given.get("limits")),
            ):
                said += [f"{key} {word} for container {container['name']}" for key in now if key not in (before or {})]
            resources = {key: value for key, value in (("limits", limits), ("requests", requests)) if value}
            containers.append({**container, "resources": {**given, **resources}})
        pod["spec"]["containers"] = containers
        if said:
            notes = {
                **(pod["metadata"].get("annotations") or {}),
                LIMIT_NOTE: f"LimitRanger plugin set: {'; '.join(said)}",
            }
            pod["metadata"] = with_metadata(pod, annotations=notes)["metadata"]

    def _check(self, pod: Object, limit: Object) -> None:
        for container in pod["spec"]["containers"]:
            resources = container.get("resources") or {}
            for resource, most in (limit.get("max") or {}).items():
                given = (resources.get("limits") or {}).get(resource)
                if given is None:
                    self._refuse(pod, f"maximum {resource} usage per Container is {most}.  No limit is specified")
                elif amount(given) > amount(most):
                    self._refuse(pod, f"maximum {resource} usage per Container is {most}, but limit is {given}")
            for resource, least in (limit.get("min") or {}).items():
                given = (resources.get("requests") or {}).get(resource)
                if given is None:
                    self._refuse(pod, f"minimum {resource} usage per Container is {least}.  No request is specified")
                elif amount(given) < amount(least):
                    self._refuse(pod, f"minimum {resource} usage per Container is {least}, but request is {given}")

    def _refuse(self, pod: Object, why: str) -> None:
        raise forbidden("", "pods", name_of(pod), why)
