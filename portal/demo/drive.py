"""The demo itself: shelve, deploy, watch, call, and say how long each took."""

from __future__ import annotations

import math
import os
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from clusters.models import Engine, Host
from clusters.services.enrolment import THIS_MACHINE
from clusters.states import Phase
from portal import firstrun
from portal.supervisor.house import Tell
from portal.tenancy.actor import Actor
from portal.tenancy.models import User, Workspace
from portal.tenancy.roles import Scope
from portal.tenancy.services import create_key

from . import shelf
from .client import Answer, Client
from .shelf import CannotDemo, Item

POLL_SECONDS = 0.25
SILENCE_SECONDS = 15.0
PLACE_SECONDS = 60.0
STOP_SECONDS = 60.0
PAIRS = (("A man is eating food.", "Someone is having a meal."), ("A man is eating food.", "The stock market crashed."))
QUESTION = "What is the capital of France? Answer in one short sentence."


@dataclass
class Stop:
    """Set when the person has pressed Ctrl-C; every wait ends with CannotDemo."""

    event: threading.Event = field(default_factory=threading.Event)

    def sleep(self, seconds: float) -> None:
        if self.event.wait(seconds):
            raise CannotDemo(_("stopped"))


@dataclass
class Loading:
    """When this run's engine processes were started and when each was first seen ready, in seconds since boot."""

    started: dict[str, float] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)

    def look(self, endpoint: str) -> None:
        for engine in Engine.objects.filter(endpoint_uid=endpoint, stop=False, pid__isnull=False):
            began = began_at(engine.pid or 0)
            if began:
                self.started.setdefault(str(engine.uid), began)
            if began and engine.phase == Phase.READY:
                self.ready.setdefault(str(engine.uid), since_boot())

    @property
    def seconds(self) -> float:
        """From the first engine's start until the last one was healthy."""
        return max(self.ready.values()) - min(self.started.values()) if self.ready and self.started else 0.0


class Demo:
    """One run against a portal that is up."""

    def __init__(self, access: firstrun.Access, say: Tell, stop: Stop) -> None:
        self.access, self.say, self.stop = access, say, stop
        self.url = f"http://{settings.PORTAL_BIND}:{settings.PORTAL_PORT}"
        self.api = Client(self.url, access.api_key)
        self.loading = Loading()
        self.endpoints: dict[str, Item] = {}

    def run(self) -> None:
        """Deploy both models, call them, print the answers. Raises CannotDemo."""
        shelf.load_seed()
        self._wait_for_place()
        for shelve in (shelf.shelve_embedding, shelf.shelve_chat):
            item = shelve()
            if item.noise:
                self.say(_("No model hub can be reached (or there is too little memory), so the chat model is a tiny "
                           "Llama with random weights: its words are noise."))
            self.endpoints[self.deploy(item)] = item
        for uid, item in self.endpoints.items():
            self.wait(uid, item)
        self.call_both()

    def _wait_for_place(self) -> None:
        until = time.monotonic() + PLACE_SECONDS
        while not any(host["releases"] for host in self._hosts() if host["state"] == "READY"):
            if time.monotonic() > until:
                raise CannotDemo(_("This machine's agent has not reported; see %(log)s") % {"log": log_of("agent")})
            self.stop.sleep(POLL_SECONDS)

    @staticmethod
    def _hosts() -> list[Any]:
        return list(Host.objects.filter(node__cluster__name=THIS_MACHINE).values("state", "releases"))

    def deploy(self, item: Item) -> str:
        """The endpoint's uid: made now, or an earlier run's, started again."""
        body = {"workspace": firstrun.WORKSPACE, "name": item.name, "place": THIS_MACHINE, "profile": item.profile}
        listed = self.api.get(f"/api/v1/endpoints?workspace={firstrun.WORKSPACE}&q={item.name}")["items"]
        known = next((row for row in listed if row["name"] == item.name), None)
        if known is None:
            row = self.api.post("/api/v1/endpoints", body)
        elif known["wish"] == "stopped":
            row = self.api.post(f"/api/v1/endpoints/{known['uid']}/start")
        elif known["status"] in ("FAILED", "STALLED"):
            row = self.api.post(f"/api/v1/endpoints/{known['uid']}/retry")
        else:
            row = known
        self.say(_("deploying %(name)s (%(model)s)") % {"name": item.name, "model": row["model"]})
        return str(row["uid"])

    def wait(self, uid: str, item: Item) -> None:
        """Show each change until the endpoint answers; its engine may take minutes. Raises CannotDemo."""
        last, told_at = "", 0.0
        while True:
            row = self.api.get(f"/api/v1/endpoints/{uid}")
            for each in self.endpoints:
                self.loading.look(each)
            line = f"{row['status']:<10} {row['message']}"
            if line != last or time.monotonic() - told_at > SILENCE_SECONDS:
                last, told_at = line, time.monotonic()
                self.say(f"  {item.name:<11} {since_start():4.0f} s  {line}".rstrip())
            if row["status"] in ("FAILED", "STALLED"):
                raise CannotDemo(self._why(uid, item))
            if row["status"] == "INSERVICE" and not row["stale"] and self._answers(item):
                return
            self.stop.sleep(POLL_SECONDS)

    def _answers(self, item: Item) -> bool:
        """Evidence of an earlier run may be a few seconds old, so only an answer counts."""
        try:
            self._ask(self.api, item)
        except Answer as error:
            if error.status and error.status < 500 and error.status not in (404, 429):
                raise
            return False
        return True

    def _why(self, uid: str, item: Item) -> str:
        told = self.api.get(f"/api/v1/endpoints/{uid}/explain")
        lines = "\n".join(f"    {line}" for line in told.get("lines", [])[-12:])
        return _("%(name)s did not come up: %(sentence)s\n%(lines)s\n    (logs: %(folder)s)") % {
            "name": item.name, "sentence": told.get("sentence", ""), "lines": lines, "folder": log_of("agent").parent}

    def _ask(self, client: Client, item: Item) -> Any:
        if item.task == "embedding":
            texts = [text for pair in PAIRS for text in pair]
            return client.post("/v1/embeddings", {"model": item.name, "input": texts})
        return client.post("/v1/chat/completions", {
            "model": item.name, "max_tokens": 32, "temperature": 0, **item.request,
            "messages": [{"role": "user", "content": QUESTION}]})

    def call_both(self) -> None:
        client = Client(self.url, self._new_key())
        for item in self.endpoints.values():
            answer = self._ask(client, item)
            show = self._show_vectors if item.task == "embedding" else self._show_words
            show(item, answer)

    def _new_key(self) -> str:
        user = User.objects.get(username=firstrun.OPERATOR)
        workspace = Workspace.objects.get(slug=firstrun.WORKSPACE)
        _key, text = create_key(Actor(user=user), workspace, name=f"demo {secrets.token_hex(3)}",
                                scopes=(Scope.INFERENCE,))
        self.say(_("made a new API key for the gateway"))
        return text

    def _show_vectors(self, item: Item, answer: dict[str, Any]) -> None:
        vectors = [row["embedding"] for row in sorted(answer["data"], key=lambda row: row["index"])]
        likeness = [cosine(*vectors[:2]), cosine(*vectors[2:])]
        for (left, right), value in zip(PAIRS, likeness, strict=True):
            self.say(f"  {item.name:<11} {value:6.3f}  “{left}” / “{right}”")
        if likeness[0] < likeness[1] + 0.3:
            raise CannotDemo(_("The related sentences should be much closer than the unrelated ones."))

    def _show_words(self, item: Item, answer: dict[str, Any]) -> None:
        words = answer["choices"][0]["message"]["content"]
        note = _(" (random weights: noise)") if item.noise else ""
        self.say(f"  {item.name:<11} {QUESTION}\n  {'':<11} → {words!r}{note}")
        if not answer["usage"]["completion_tokens"]:
            raise CannotDemo(_("The chat model answered without a single token."))

    def stop_endpoints(self) -> None:
        """Leave no engine: stop both endpoints and wait until they say so."""
        for uid in self.endpoints:
            self.api.post(f"/api/v1/endpoints/{uid}/stop")
        until = time.monotonic() + STOP_SECONDS
        for uid, item in self.endpoints.items():
            while self.api.get(f"/api/v1/endpoints/{uid}")["status"] != "STOPPED":
                if time.monotonic() > until:
                    raise CannotDemo(_("%(name)s did not stop in time") % {"name": item.name})
                self.stop.sleep(POLL_SECONDS)

    def figures(self) -> str:
        total, loading = since_start(), self.loading.seconds
        return _("%(total).0f s in all: %(loading).0f s from the first engine's start until both were loaded, "
                 "%(own).1f s the portal's own part") % {"total": total, "loading": loading, "own": total - loading}


def cosine(left: list[float], right: list[float]) -> float:
    product = sum(a * b for a, b in zip(left, right, strict=True))
    return product / (math.hypot(*left) * math.hypot(*right))


def since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def began_at(pid: int) -> float:
    """When a process was started, in seconds since boot, which no change of the wall clock moves; 0 for none."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return 0.0
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def since_start() -> float:
    """Seconds since this program was started."""
    return since_boot() - began_at(os.getpid())


def log_of(program: str) -> Path:
    return Path(settings.DATA_DIR) / "logs" / f"{program}.log"
