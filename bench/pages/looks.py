"""Every page that somebody opens, with its filters; and how each is measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bench.pages.usage import DAYS
from bench.pages.world import World

QUERIES, MILLISECONDS, TURNS = 25, 150.0, 5
SUBJECTS = ("model", "endpoint", "place", "key", "member", "day")
SPANS = ("7d", "30d", "90d", "last", "12m")


@dataclass(frozen=True)
class Look:
    """`fields` are posted by the page's script, as htmx does while somebody chooses. `is_file` is no page: not bounded."""

    name: str
    path: str
    by: str = "member"
    partial: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    is_file: bool = False


@dataclass(frozen=True)
class Result:
    status: int
    queries: int
    milliseconds: float

    @property
    def holds(self) -> bool:
        return self.status == 200 and self.queries < QUERIES and self.milliseconds < MILLISECONDS


def looks(world: World) -> Iterator[Look]:
    own = f"/w/{world.workspace.slug}/"
    yield from _frame(own)
    yield from _models(world, own)
    yield from _endpoints(world, own)
    yield from _deploy(world, own)
    yield from _load_tests(world, own)
    yield from _usage(own, "")
    yield from _account(world, own)
    yield from _operator(world)


def _frame(own: str) -> Iterator[Look]:
    yield Look("home", own)
    yield Look("home, its live part", f"{own}live/", partial=True)
    yield Look("account: browsers, second factors", "/account/")
    yield Look("sign in", "/account/login/", by="nobody")


def _models(world: World, own: str) -> Iterator[Look]:
    for query in ("", "q=qwen", "fits=1", "task=chat", "size=15b", "vendor=qwen", "licence=Apache-2.0", "language=zh", "page=2",
                  "task=chat&fits=1&q=b"):
        yield Look(f"catalogue ?{query}", f"{own}models/?{query}")
    yield Look("catalogue, its results", f"{own}models/?q=llama", partial=True)
    yield Look("model", f"{own}models/{world.model.slug}/")
    yield Look("model of the seed", f"{own}models/{_seeded()}/")


def _seeded() -> str:
    from models_catalog.models import CatalogModel

    return str(CatalogModel.objects.filter(shelved=True).order_by("-parameters").values_list("slug", flat=True)[0])


def _endpoints(world: World, own: str) -> Iterator[Look]:
    for query in ("", "q=e3-0001", "q=nothing", "state=attention", "state=stalled", "state=inservice", "place=place-1",
                  "model=bench", "model=none", "state=stopped&place=place-2&q=e20"):
        yield Look(f"endpoints ?{query}", f"{own}endpoints/?{query}")
    yield Look("endpoints, its rows", f"{own}endpoints/", partial=True)
    one = f"{own}endpoints/{world.endpoint.uid}/"
    for path in ("", "part/head/", "part/events/", "figures/", "events/", "revisions/", "compare/?from=1&to=1", "why/",
                 "scale/", "delete/"):
        yield Look(f"endpoint {path}", f"{one}{path}")
    yield Look("endpoint on hosts", f"{own}endpoints/{world.hosted.uid}/")
    yield Look("endpoint on hosts, why", f"{own}endpoints/{world.hosted.uid}/why/")


def _deploy(world: World, own: str) -> Iterator[Look]:
    chosen = {"model": world.model.slug, "place": world.free.name, "profile": world.profile.slug, "size": "2"}
    shape = "|".join((world.model.slug, world.free.name, world.profile.slug))
    query = "&".join(f"{name}={value}" for name, value in chosen.items())
    yield Look("deploy", f"{own}deploy/")
    yield Look("deploy, chosen", f"{own}deploy/?{query}")
    yield Look("deploy, model of the seed", f"{own}deploy/?model={_seeded()}")
    yield Look("deploy, its plan", f"{own}deploy/", partial=True, fields={**chosen, "name": "new-one", "shape": shape})
    yield Look("deploy, another model", f"{own}deploy/", partial=True, fields={**chosen, "name": "new-one", "shape": "a|b|c"})
    edit = f"{own}endpoints/{world.hosted.uid}/edit/"
    yield Look("change", edit)
    yield Look("change, its plan", edit, partial=True, fields={
        **chosen, "shape": shape, "read_generation": world.hosted.generation, "note": "more"})
    yield Look("plan", f"{own}endpoints/{world.hosted.uid}/plan/?replicas=2")


def _load_tests(world: World, own: str) -> Iterator[Look]:
    newest, other = world.runs[0].uid, world.runs[1].uid
    for name, path in (("", ""), ("searched", f"?q={world.runs[0].model_name}"), ("by state", "?state=done"), ("new", "new/"),
                       ("with results", f"{newest}/"), ("compared", f"{newest}/?with={other}"),
                       ("delete", f"{newest}/delete/")):
        yield Look(f"load tests {name}", f"{own}loadtests/{path}")
    yield Look("load tests, the estimate", f"{own}loadtests/new/?mode=rate&rate=5&seconds=60&prompt_tokens=256"
               f"&output_tokens=128&model={world.runs[0].model_name}", partial=True)
    yield Look("playground", f"{own}playground/")
    yield Look("playground, with an endpoint", f"{own}playground/?endpoint={world.endpoint.uid}")
    yield Look("playground, its choice", f"{own}playground/models/?q=e1", partial=True)


def _usage(own: str, by: str) -> Iterator[Look]:
    """By each subject and span, the longest one too, and narrowed."""
    from django.utils import timezone

    today = timezone.now().date()
    longest = f"span=custom&from={today - timedelta(days=DAYS - 1)}&to={today}"
    values = {"by": by or "member"}
    for span in ("", *(f"span={name}" for name in SPANS), longest):
        for subject in (*SUBJECTS, *(["workspace"] if by else [])):
            name = "13 months" if span == longest else span.removeprefix("span=") or "default"
            yield Look(f"usage by {subject}, {name}", f"{own}usage/?{span}&by={subject}", **values)
    narrowed = ("model=e0-000001&by=day", "key=program-1&by=day", "key=Playground&by=member", "member=person-1&by=model")
    for query in narrowed:
        yield Look(f"usage ?{query}, 13 months", f"{own}usage/?{longest}&{query}", **values)
    for kind in ("csv", "xlsx"):
        yield Look(f"usage as {kind}", f"{own}usage/table/?span=7d&format={kind}", is_file=True, **values)


def _account(world: World, own: str) -> Iterator[Look]:
    for path in ("keys/", "keys/?q=program-1", "keys/new/", "members/", "members/?q=person-1", "limits/",
                 f"limits/{world.limit.uid}/", "limits/new/", "audit/", "audit/?who=person-1", "audit/?did=scale",
                 "audit/?kind=limit", "audit/?did=nothing", "audit/?object=e3-0000", "audit/?span=7d",
                 "audit/?span=90d&did=scale&who=person-2"):
        yield Look(path, f"{own}{path}")


def _operator(world: World) -> Iterator[Look]:
    every = "/w/-/"
    for path in ("", "live/", "models/", "models/?fits=1", "endpoints/", "endpoints/?q=e3-0001", "endpoints/?workspace=bench-0",
                 "endpoints/?state=attention", f"endpoints/{world.endpoint.uid}/", f"endpoints/{world.endpoint.uid}/why/",
                 "deploy/", "loadtests/", f"loadtests/{world.runs[0].uid}/", "keys/", "keys/?q=program-1", "limits/", "audit/",
                 "audit/?did=scale", "audit/?span=30d"):
        yield Look(f"operator {path}", f"{every}{path}", by="operator")
    for look in _usage(every, "operator"):
        yield Look(f"operator {look.name}", look.path, by="operator", is_file=look.is_file)


def measure(client: Any, look: Look) -> Result:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    headers = {"HX-Request": "true"} if look.partial else {}

    def ask() -> Any:
        if look.fields:
            return client.post(look.path, look.fields, headers=headers)
        return client.get(look.path, headers=headers)

    times = []
    for _turn in range(TURNS):
        began = time.perf_counter()
        answer = ask()
        times.append((time.perf_counter() - began) * 1000)
        if times[0] > 10 * MILLISECONDS:
            break
    with CaptureQueriesContext(connection) as queries:
        ask()
    return Result(answer.status_code, len(queries), statistics.median(times))
