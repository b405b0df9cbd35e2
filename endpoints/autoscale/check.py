"""From what a person or a cluster's object says to the dict that an endpoint keeps, with a note on all that was changed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from . import aws
from .meant import translated
from .signals import SIGNALS, is_of_the_engine
from .triggers import TRIGGERS, TriggerType
from .values import NAME, read, refuse

MOST_REPLICAS, MOST_TRIGGERS = 64, 8
# Of all kinds of places; the same name means the same figure everywhere.
ALL_TRIGGERS: Mapping[str, TriggerType] = {**aws.SAGEMAKER, **TRIGGERS}
# Lowest and highest value, and the default; an HPA's windows end at an hour.
SECONDS: Mapping[str, tuple[int, int, int]] = {
    "polling_seconds": (5, 3600, 30), "cooldown_seconds": (0, 86_400, 300),
    "stabilisation_up_seconds": (0, 3600, 0), "stabilisation_down_seconds": (0, 3600, 300),
}
# Only the HyperPod operator has a field for it; kept where it was given.
INITIAL_COOLDOWN = "initial_cooldown_seconds"
KNOWN = ("min_replicas", "max_replicas", "triggers", *SECONDS)
TRIGGER_KEYS = ("type", "metadata", "metric_type", "authentication")
# KEDA's own spelling, which people paste.
SPELT = {"metricType": "metric_type", "authenticationRef": "authentication"}


def check_autoscale(
    value: Mapping[str, Any], kind: str = "kubernetes", options: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """The wish as it is kept, and notes on what was understood otherwise than it was written; {} is no autoscaling.

    `kind` is that of the place, `options` are the revision's: what a SageMaker endpoint measures follows from them.
    Raises Invalid (field ``autoscale``): unknown keys with the nearest right name, missing ones, values of the
    wrong form, secrets in plain text, bounds that no trigger can keep.
    """
    if not isinstance(value, Mapping):
        refuse(_("Autoscaling is an object with bounds and triggers."))
    if not value:
        return {}, []
    value = {name: one for name, one in value.items() if (name, one) != (INITIAL_COOLDOWN, None)}  # the API's “not said”
    if kind not in SCALERS:
        refuse(_("Places of this kind have no autoscaler."))
    scaler = SCALERS[kind]
    _refuse_unknown(value, (*KNOWN, *scaler.more), _("Autoscaling"))
    low, high = _bounds(value)
    given = value.get("triggers")
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MOST_TRIGGERS:
        refuse(_("Give 1 to %(most)d triggers: what tells that more replicas are needed.") % {"most": MOST_TRIGGERS})
    checked, notes = [], []
    for trigger in given:
        one, said = _trigger(trigger, scaler)
        checked.append(one)
        notes += said
    _check_together(low, checked)
    if kind == "sagemaker":
        aws.check_sagemaker(low, checked, options or {})
    times = {name: _whole(name, value.get(name, default), least, most) for name, (least, most, default) in SECONDS.items()}
    times |= {name: _whole(name, value[name], 0, 86_400) for name in scaler.more if name in value}
    return {"min_replicas": low, "max_replicas": high, "triggers": checked, **times}, notes


def _bounds(value: Mapping[str, Any]) -> tuple[int, int]:
    low = _whole("min_replicas", value.get("min_replicas", 1), 0, MOST_REPLICAS)
    if "max_replicas" not in value:
        refuse(_("Give max_replicas: how many replicas there may be at most."))
    high = _whole("max_replicas", value["max_replicas"], 1, MOST_REPLICAS)
    if low > high:
        refuse(_("min_replicas (%(low)d) is more than max_replicas (%(high)d).") % {"low": low, "high": high})
    return low, high


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        refuse(_("“%(name)s” is a whole number from %(low)d to %(high)d.") % {"name": name, "low": least, "high": most})
    return value


def _trigger(given: Any, scaler: Scaler) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(given, Mapping):
        refuse(_("A trigger is an object with a type and metadata."))
    given = {SPELT.get(str(name), str(name)): value for name, value in given.items()}
    _refuse_unknown(given, TRIGGER_KEYS, _("A trigger"))
    name = given.get("type")
    if not isinstance(name, str) or name not in scaler.triggers:
        refuse(_no_type(str(name)[:60], scaler.triggers))
    metadata = given.get("metadata", {})
    if not isinstance(metadata, Mapping):
        refuse(_("The metadata of a trigger is an object of names and values."))
    kind = scaler.triggers[name]
    authentication = _authentication(given.get("authentication", ""))
    if authentication and not scaler.authenticates:
        refuse(_("Triggers of this place take no authentication: it signs in by itself."))
    meant, metric_type, notes = scaler.translated(name, metadata, str(given.get("metric_type", "") or ""))
    clean = _metadata(name, kind, meant, authentication)
    if name in scaler.checks:
        scaler.checks[name](clean)
    metric_type = _metric_type(name, kind, clean, metric_type)
    return {"type": name, "metadata": clean, "metric_type": metric_type, "authentication": authentication}, notes


def _no_type(name: str, known: Mapping[str, TriggerType]) -> str:
    if name in ("external-push", "external") and "http" in known:
        return _("Write the type “http”: the portal makes the route and the trigger of KEDA's HTTP add-on from it.")
    near = difflib.get_close_matches(name.lower(), known, n=1)
    if near:
        return _("There is no trigger “%(name)s”. Did you mean “%(near)s”?") % {"name": name, "near": near[0]}
    return _("There is no trigger “%(name)s”. There are: %(all)s.") % {"name": name, "all": ", ".join(known)}


def _authentication(value: Any) -> str:
    """The name of a TriggerAuthentication beside the endpoint; one of the whole cluster would lend its secret to all."""
    if isinstance(value, Mapping):
        if value.get("kind", "TriggerAuthentication") != "TriggerAuthentication" or not set(value) <= {"name", "kind"}:
            refuse(_("An authentication is the name of a TriggerAuthentication in the endpoint's namespace."))
        value = value.get("name", "")
    if not isinstance(value, str) or (value and not NAME.fullmatch(value)):
        refuse(_("An authentication is the name of a TriggerAuthentication in the endpoint's namespace."))
    return value


def _metadata(name: str, kind: TriggerType, given: Mapping[str, Any], authentication: str) -> dict[str, str]:
    _refuse_unknown(given, kind.keys, _("The trigger “%(type)s”") % {"type": name}, kind.deprecated)
    clean = {key: read(key, kind.keys[key], value) for key, value in sorted(given.items()) if value not in ("", None)}
    missing = [key for key, rule in kind.keys.items() if rule.required and key not in clean]
    if missing:
        refuse(_("The trigger “%(type)s” needs %(keys)s.") % {"type": name, "keys": ", ".join(missing)})
    there = {*clean, *(["authentication"] if authentication else [])}
    if kind.one_of and not any(set(group) <= there for group in kind.one_of):
        ways = [" + ".join(group) for group in kind.one_of]
        refuse(_("The trigger “%(type)s” needs %(ways)s.") % {"type": name, "ways": _(" or ").join(ways)})
    return clean


def _refuse_unknown(
    given: Mapping[Any, Any], known: Collection[str], what: str, renamed: Mapping[str, str] | None = None,
) -> None:
    for key in given:
        if key in known:
            continue
        words = {"what": what, "name": str(key)[:60]}
        if "fromenv" in words["name"].lower() or words["name"] == "customHeaders":
            refuse(_("“%(name)s” is not permitted: secrets come from a TriggerAuthentication, by its name.") % words)
        near = (renamed or {}).get(words["name"]) or next(iter(difflib.get_close_matches(words["name"], known, n=1)), "")
        if near:
            refuse(_("%(what)s has no “%(name)s”. Did you mean “%(near)s”?") % {**words, "near": near})
        refuse(_("%(what)s has no “%(name)s”. There are: %(all)s.") % {**words, "all": ", ".join(known)})


def _metric_type(name: str, kind: TriggerType, metadata: Mapping[str, str], given: str) -> str:
    signal = SIGNALS.get(metadata.get("signal", ""))
    chosen = given or (signal.metric_type if signal else kind.metric_types[0])
    if chosen and not any(kind.metric_types):
        refuse(_("The trigger “%(type)s” takes no metric type.") % {"type": name})
    if chosen not in kind.metric_types:
        refuse(_("The trigger “%(type)s” takes the metric type %(types)s.")
               % {"type": name, "types": _(" or ").join(kind.metric_types)})
    if chosen == "Utilization" and not metadata["value"].isdecimal():
        refuse(_("Utilization takes a whole per cent, such as 80."))
    if signal and chosen != signal.metric_type:
        refuse(_("The signal “%(signal)s” is compared as %(type)s: leave the metric type empty.")
               % {"signal": metadata["signal"], "type": signal.metric_type})
    return chosen


def _check_prometheus(clean: Mapping[str, str]) -> None:
    if "signal" in clean and "query" in clean:
        refuse(_("Choose a signal or write a query, not both."))


def _check_rabbitmq(clean: Mapping[str, str]) -> None:
    if clean["mode"] != "QueueLength" and (clean.get("protocol") == "amqp" or clean.get("host", "").startswith("amqp")):
        refuse(_("The mode “%(mode)s” needs RabbitMQ's HTTP interface.") % {"mode": clean["mode"]})


def _check_http(clean: Mapping[str, str]) -> None:
    if "concurrency" in clean and "requestRate" in clean:
        refuse(_("Choose concurrency or requestRate, not both."))
    if "requestRate" not in clean and {"window", "granularity"} & set(clean):
        refuse(_("window and granularity belong to requestRate."))
    if "0" in (clean.get("concurrency"), clean.get("requestRate")):
        refuse(_("The trigger “http” takes a number from 1."))


def _check_cloudwatch(clean: Mapping[str, str]) -> None:
    if int(clean.get("metricCollectionTime", "300")) < int(clean.get("metricStatPeriod", "300")):
        refuse(_("metricCollectionTime must not be shorter than metricStatPeriod."))


CHECKS = {
    "prometheus": _check_prometheus, "rabbitmq": _check_rabbitmq, "http": _check_http, "aws-cloudwatch": _check_cloudwatch,
}


@dataclass(frozen=True)
class Scaler:
    """What scales endpoints at one kind of place. `more` are fields of a wish that only it has."""

    triggers: Mapping[str, TriggerType]
    translated: Callable[[str, Mapping[str, Any], str], tuple[dict[str, Any], str, list[str]]]
    checks: Mapping[str, Callable[[Mapping[str, str]], None]]
    authenticates: bool = False
    more: tuple[str, ...] = field(default=())


SCALERS: Mapping[str, Scaler] = {
    "kubernetes": Scaler(TRIGGERS, translated, CHECKS, authenticates=True),
    "hyperpod": Scaler(aws.HYPERPOD, aws.operators_names, aws.CHECKS, more=(INITIAL_COOLDOWN,)),
    "sagemaker": Scaler(aws.SAGEMAKER, aws.operators_names, aws.CHECKS),
}


def is_tracking(wish: Mapping[str, Any]) -> bool:
    """Whether SageMaker's target tracking does it, not KEDA."""
    return any(trigger["type"] in aws.SAGEMAKER for trigger in wish["triggers"])


def can_wake(trigger: Mapping[str, Any]) -> bool:
    """Whether it has a value while no replica runs."""
    metadata = trigger["metadata"]
    return ALL_TRIGGERS[trigger["type"]].wakes and "signal" not in metadata and not is_of_the_engine(metadata.get("query", ""))


def _check_together(low: int, triggers: list[dict[str, Any]]) -> None:
    names = [trigger["type"] for trigger in triggers]
    if names.count("http") > 1:
        refuse(_("One trigger “http” is enough."))
    if low == 0 and not any(map(can_wake, triggers)):
        refuse(_("With no replica there is nothing that this could measure, so it would sleep for ever. Scale to zero needs "
                 "a trigger “http”, rabbitmq, redis, kafka, aws-cloudwatch, or a Prometheus query that is not of the engine."))
