"""Phases of a wish, snippets of code and fields of triggers: pure functions as tables."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clusters.models import Engine
from clusters.states import Phase
from endpoints.autoscale.check import SCALERS
from endpoints.models import Endpoint, Event, Revision
from endpoints.states import Cause, Status, Wish
from models_catalog.choices import Task
from portal.web.endpoints.calling import LANGUAGES, snippet
from portal.web.endpoints.history import difference
from portal.web.endpoints.timeline import timeline
from portal.web.endpoints.triggers import read_triggers, trigger_groups

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def event(second: float, now: str = "", cause: str = "", kind: str = "status") -> Event:
    return Event(kind=kind, at=at(second), now=now, cause=cause)


ASKED = event(0, kind="wish")
CREATING, LOADING = event(1, Status.CREATING), event(5, Status.CREATING, Cause.LOADING)
READY = event(65, Status.INSERVICE)


def a_row(status: str, **values: Any) -> Endpoint:
    row = Endpoint(status=status, status_since=at(70), **values)
    row.wanted = Revision(number=1, spec={"start_seconds": 60})
    return row


@pytest.mark.parametrize(("row", "events", "steps"), [
    (a_row(Status.PENDING), [ASKED], "Asked now 100, Placed next, Loading the model next, In service next"),
    (a_row(Status.CREATING), [ASKED, CREATING, LOADING],
     "Asked done 1, Taken up done 4, Loading the model now 95, In service next"),
    (a_row(Status.CREATING), [ASKED, CREATING, event(2, Status.CREATING, Cause.NO_ROOM)],
     "Asked done 1, Taken up done 1, Waiting for room now 98, Placed next, Loading the model next, In service next"),
    (a_row(Status.INSERVICE), [ASKED, CREATING, LOADING, READY],
     "Asked done 1, Taken up done 4, Loading the model done 60, In service done"),
    (a_row(Status.STALLED), [ASKED, CREATING, LOADING, READY, event(70, Status.STALLED, Cause.DEADLINE)],
     "Asked done 1, Taken up done 4, Loading the model done 65, Stalled broke 30, In service next"),
    (a_row(Status.STOPPED, wish=Wish.STOPPED), [ASKED, event(1, Status.STOPPING), event(9, Status.STOPPED)],
     "Asked done 1, Taking the replicas away done 8, Stopped done"),
    (a_row(Status.STOPPING, wish=Wish.STOPPED), [ASKED, event(1, Status.STOPPING)],
     "Asked done 1, Taking the replicas away now 99, Stopped next"),
])
def test_phases(row: Endpoint, events: list[Event], steps: str) -> None:
    line = timeline(row, events, (), at(100))
    assert line is not None
    said = [f"{one.label} {one.state}" + (f" {one.took.total_seconds():.0f}" if one.took else "") for one in line.steps]
    assert ", ".join(said) == steps


def test_engines_on_hosts_tell_their_own_times() -> None:
    engines = [Engine(revision=1, created_at=at(2), phase=Phase.LOADING, phase_since=at(4))]
    line = timeline(a_row(Status.CREATING, deadline_at=at(200)), [ASKED], engines, at(50))
    assert line is not None
    assert [(str(one.label), one.state) for one in line.steps] == [
        ("Asked", "done"), ("Placed", "done"), ("Loading the model", "now"), ("In service", "next")]
    assert (line.passed, line.expected) == (25, 5)


@pytest.mark.parametrize(("row", "events"), [
    (a_row(Status.CREATING), []), (a_row(Status.DELETING, wish=Wish.DELETED), [ASKED])])
def test_without_a_wish_there_is_no_line(row: Endpoint, events: list[Event]) -> None:
    assert timeline(row, events, (), NOW) is None


@pytest.mark.parametrize("key", ["", "sk-secret"])
@pytest.mark.parametrize("task", [Task.CHAT, Task.EMBEDDING, Task.RERANK])
@pytest.mark.parametrize("language", LANGUAGES)
def test_snippets_are_programs(language: str, task: str, key: str) -> None:
    row = Endpoint(public_name="team/chat:7b")
    row.wanted = Revision(spec={"task": task})
    code = snippet(row, language, key)
    assert "team/chat:7b" in code
    assert ("sk-secret" in code, "PORTAL_API_KEY" in code) == (bool(key), not key)
    if language in ("python", "langchain"):
        ast.parse(code)
    if language == "curl":
        assert json.loads(code.partition("-d '")[2][:-1])["model"] == "team/chat:7b"


@pytest.mark.parametrize("kind", SCALERS)
def test_triggers_go_through_the_form_unchanged(kind: str) -> None:
    scaler = SCALERS[kind]
    name, rule = next(iter(scaler.triggers.items()))
    trigger = {"type": name, "metadata": {key: f"{key} 1" for key in list(rule.keys)[:3]}, "metric_type": "",
               "authentication": ""}
    groups = trigger_groups(scaler, {"triggers": [trigger, trigger]})
    posted = {field.name: field.value for group in groups for field in group.fields}
    posted |= {group.use: "on" for group in groups if group.is_used}
    assert read_triggers(scaler, posted) == [trigger, trigger]
    assert [group.is_used for group in trigger_groups(scaler, {}, posted)][:1] == [True]


@pytest.mark.parametrize(("was", "will", "lines"), [
    ({"a": 1}, {"a": 1}, []), ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", "1", "2")]),
    ({"a": "x"}, {"c": [1]}, [("a", "x", ""), ("c", "", "[1]")]), ({"a": "\x1b[31mx"}, {}, [("a", "x", "")]),
])
def test_differences_are_told_field_by_field(was: Any, will: Any, lines: list[tuple[str, str, str]]) -> None:
    assert difference(was, will) == lines
