"""Load tests with results, for services and pages."""

from __future__ import annotations

import random
from typing import Any

from django.utils import timezone

from endpoints.loadtests.results import Recorder
from endpoints.loadtests.states import RunState
from endpoints.models import Endpoint, LoadTest
from portal.tenancy.models import User, Workspace
from tests.endpoints.routes_cast import make_end


def make_serving(workspace: Workspace, name: str = "tiny-chat", **values: Any) -> Endpoint:
    return make_end(workspace, name, **{"ready_replicas": 1, **values})


def measured(seconds: int = 60, *, rate: float = 5.0, first: float = 0.2, failing: float = 0.0,
             seed: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """Summary and series as a run makes them, at once."""
    recorder, chance = Recorder(seconds), random.Random(seed)
    for number in range(int(seconds * rate)):
        at = number / rate
        recorder.start(at, 0.001)
        if chance.random() < failing:
            recorder.fail(at, "http_503", "The model 'tiny-chat' is not ready (stalled).")
            continue
        recorder.time(at, "first", first * chance.lognormvariate(0, 0.3) * (1 + at / seconds))
        for _ in range(12):
            recorder.time(at, "between", 0.02 * chance.lognormvariate(0, 0.2))
        recorder.token(at, 128)
        recorder.time(at, "whole", first + 128 * 0.02)
        recorder.end(at, prompt=265, output=128, asked=(256, 128), is_reported=True)
    return recorder.summary(float(seconds)), recorder.series(seconds - 0.001)


def make_run(workspace: Workspace, user: User | None, model: str = "tiny-chat", *, result: dict[str, Any] | None = None,
             **values: Any) -> LoadTest:
    """A run that has ended as it should, unless `values` say otherwise; `result` goes to `measured`."""
    number = values.pop("number", LoadTest.objects.filter(workspace=workspace).count() + 1)
    state = values.get("state", RunState.DONE)
    summary, series = measured(**(result or {})) if state not in (RunState.QUEUED, RunState.FAILED) else ({}, {})
    now = timezone.now()
    facts = {"names": [model], "places": ["hosts"], "replicas": 1, "revision": 3, "engine": "vLLM 0.32.0", "profile": "cpu"}
    return LoadTest.objects.create(**{
        "workspace": workspace, "created_by": user, "number": number, "model_name": model, "rate": 5, "summary": summary,
        "series": series, "state": RunState.DONE, "began_at": now, "ended_at": now, "facts": facts, **values})
