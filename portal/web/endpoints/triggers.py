"""The triggers of autoscaling as fields of a form: those there are, and an empty one of each type that the place knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from endpoints.autoscale.check import MOST_TRIGGERS, Scaler
from endpoints.autoscale.signals import SIGNALS
from endpoints.autoscale.triggers import Key

JOINT = "__"
USE, METRIC_TYPE, AUTHENTICATION = "use", "metric_type", "authentication"
# What most people fill in; the rest is folded away.
FIRST = frozenset({"signal", "threshold", "targetValue", "target", "metric", "value", "concurrency", "queueName", "listName"})


@dataclass(frozen=True)
class Field:
    """One field. `options` are (value, label) pairs; without any it is a line of text."""

    name: str
    label: str
    value: str
    help: str | Promise = ""
    options: tuple[tuple[str, str], ...] = ()
    is_required: bool = False
    is_first: bool = True


@dataclass(frozen=True)
class Group:
    """The fields of one trigger. `use` is the name of the tick that switches it on."""

    type: str
    label: str | Promise
    help: str | Promise
    use: str
    is_used: bool
    fields: tuple[Field, ...]

    @property
    def first(self) -> list[Field]:
        return [field for field in self.fields if field.is_first]

    @property
    def rest(self) -> list[Field]:
        return [field for field in self.fields if not field.is_first]


def trigger_groups(scaler: Scaler, wish: Mapping[str, Any], posted: Mapping[str, str] | None = None) -> list[Group]:
    """As kept in the wish, or as they were `posted`. Pure."""
    kept: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in scaler.triggers}
    for trigger in wish.get("triggers", ()):
        kept.setdefault(trigger["type"], []).append(trigger)
    return [_group(scaler, kind, number, trigger, posted)
            for kind in scaler.triggers for number, trigger in enumerate([*kept[kind], {}])]


def _group(
    scaler: Scaler, kind: str, number: int, trigger: Mapping[str, Any], posted: Mapping[str, str] | None,
) -> Group:
    rule, prefix = scaler.triggers[kind], f"{kind}{JOINT}{number}{JOINT}"
    kept = {**trigger.get("metadata", {}), METRIC_TYPE: trigger.get(METRIC_TYPE, ""),
            AUTHENTICATION: trigger.get(AUTHENTICATION, "")}

    def value(name: str) -> str:
        return str(posted.get(prefix + name, "") if posted is not None else kept.get(name, ""))

    fields = [Field(prefix + name, name, value(name), key.help, _options(key), key.required, name in FIRST or key.required)
              for name, key in rule.keys.items()]
    compared = tuple((one, one) for one in rule.metric_types if one)
    if len(compared) > 1:
        fields.append(Field(prefix + METRIC_TYPE, _("compared as"), value(METRIC_TYPE), "", (("", _("as it fits")), *compared),
                            is_first=False))
    if scaler.authenticates:
        fields.append(Field(prefix + AUTHENTICATION, _("authentication"), value(AUTHENTICATION),
                            _("Name of a TriggerAuthentication in the endpoint's namespace."), is_first=False))
    used = prefix + USE in posted if posted is not None else bool(trigger)
    return Group(kind, rule.label, rule.help, prefix + USE, used, tuple(fields))


def _options(key: Key) -> tuple[tuple[str, str], ...]:
    if key.kind == "signal":
        return (("", "–"), *((name, f"{signal.label} ({name})") for name, signal in SIGNALS.items()))
    if key.kind == "switch":
        return (("", "–"), ("true", "true"), ("false", "false"))
    return (("", "–"), *((one, one) for one in key.choices)) if key.choices and not key.many else ()


def read_triggers(scaler: Scaler, posted: Mapping[str, str]) -> list[dict[str, Any]]:
    """Those whose tick is set, as they were entered; the service checks them. Pure."""
    found = []
    for kind, rule in scaler.triggers.items():
        for number in range(MOST_TRIGGERS + 1):
            prefix = f"{kind}{JOINT}{number}{JOINT}"
            if prefix + USE in posted:
                said = {name: text for name in rule.keys if (text := posted.get(prefix + name, "").strip())}
                found.append({"type": kind, "metadata": said, METRIC_TYPE: posted.get(prefix + METRIC_TYPE, ""),
                              AUTHENTICATION: posted.get(prefix + AUTHENTICATION, "").strip()})
    return found
