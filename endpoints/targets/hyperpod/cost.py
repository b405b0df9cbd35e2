"""What an endpoint's part of a HyperPod cluster costs. Pure; the machines cost as much without it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from django.utils.translation import gettext as _

from clusters.instances import hourly_cost, instance_type, money, no_price
from endpoints.options.footprint import footprint
from endpoints.targets.base import Check, Spec

from .place import HyperPodPlace


def cost_checks(spec: Spec, place: HyperPodPlace, types: list[str]) -> Iterator[Check]:
    """By the GPUs that it takes of the first of its types, and at most where an autoscaler may add some.

    Nothing where it takes no whole GPU, or the type or the region is not known.
    """
    machine = instance_type(types[0]) if types else None
    gpus = _gpus(spec, spec.replicas)
    if machine is None or not machine.gpus or not gpus or not place.region:
        return
    most = _gpus(spec, spec.autoscale.max_replicas) if spec.autoscale is not None else gpus
    sentence = _sentence(machine.name, machine.gpus, place, gpus)
    if not sentence:
        yield Check("cost", None, no_price(machine.name, place.region))
        return
    yield Check("cost", True, sentence, (_sentence(machine.name, machine.gpus, place, most),) if most > gpus else ())


def _gpus(spec: Spec, replicas: int) -> int:
    wanted = spec.wanted
    resources = {"gpus": wanted.resources.gpus, "nodes": wanted.resources.nodes}
    return footprint({"resources": resources, "options": wanted.options}, replicas)[1]


def _sentence(name: str, gpus_each: int, place: HyperPodPlace, gpus: int) -> str:
    """"" without a price."""
    spot = hourly_cost(name, place.region, 1, spot=True) if _is_spot(name, place) else None
    whole = spot or hourly_cost(name, place.region, 1)
    if whole is None:
        return ""
    part = Decimal(gpus) / gpus_each
    return _("By its GPUs it takes %(part)s × %(type)s of the cluster: about %(hour)s %(currency)s an hour, %(month)s "
             "%(currency)s a month. The machines cost as much without it. Prices of %(date)s.") % {
        "part": f"{part:.3g}", "type": name, "hour": money(whole.per_hour * part), "month": money(whole.per_month * part),
        "currency": whole.currency, "date": whole.as_of}


def _is_spot(name: str, place: HyperPodPlace) -> bool:
    groups = [group for group in place.groups if name in str(group.get("InstanceType", "")).split(",")]
    return bool(groups) and all("Spot" in (group.get("CapacityRequirements") or {}) for group in groups)
