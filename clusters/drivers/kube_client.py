"""What can be asked of one Kubernetes API, over any road to it: plain bytes in and out.

Typed client models are never used: they cost twelve times the JSON (performance.md, section 2) and reject an
incomplete answer after a change was made. Every error is a `KubeError`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar, cast

import msgspec
from django.utils.translation import gettext as _

from clusters.namespaces import FIELD_MANAGER
from portal.tenancy.faults import outside_call
from portal.tenancy.text import clean

from .breaker import PROBE_SECONDS, Breaker
from .kinds import POD, Kind, kind_of
from .kube_answers import Call, decode, error_of, not_kubernetes
from .kube_discovery import DISCOVERY_HEADERS, Kinds, kinds_in
from .kube_errors import KubeError, Problem
from .kube_transport import MOST_BYTES, Answer, Budget, Request, Transport

PAGE = 500
RESTARTS = 3
DISCOVERED_SECONDS = 60.0
LOG_BYTES, FOLLOW_BYTES, FOLLOW_SECONDS = 1024**2, 8 * 1024**2, 600.0
LINE_BYTES = 64 * 1024
POD_SECONDS = 3.0  # of a pod's own answer
USER_AGENT = "inference-portal"
JSON, APPLY, MERGE = "application/json", "application/apply-patch+yaml", "application/merge-patch+json"
ACCESS_REVIEW = Kind("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False)
SELF_REVIEW = Kind("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?")

T = TypeVar("T")
Manifest = dict[str, Any]


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, Generic[T]):
    items: list[T] | None = None
    metadata: _Meta = msgspec.field(default_factory=_Meta)


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A complete listing: where a page failed there is an error instead. `version` is that of its first page."""

    items: list[T]
    version: str


@cache
def _decoder(type_: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_Page[type_])  # type: ignore[valid-type]


class Kube:
    """One cluster's API. Safe to share between threads; get one with `kube_for`."""

    def __init__(self, connect: Callable[[], Transport], *, clock: Callable[[], float] = time.monotonic,
                 breaker: Breaker | None = None) -> None:
        """`connect` makes a road from the newest credential; it is called again when the API answers 401."""
        self._connect = connect
        self._transport = connect()
        self._clock = clock
        self.breaker = breaker or Breaker(clock)
        self._kinds: tuple[float, Kinds] | None = None

    # Reading.

    def list(self, kind: Kind, type_: type[T], *, namespace: str = "", labels: str = "", fields: str = "") -> Listing[T]:
        """Every object that fits, each read into the msgspec Struct `type_` of the fields that are needed."""
        query = {"limit": str(PAGE)} | {key: value for key, value in
                                        (("labelSelector", labels), ("fieldSelector", fields)) if value}
        budget = Budget(clock=self._clock)
        for attempt in range(RESTARTS):
            try:
                return self._pages(Call("list", kind, namespace), type_, query, budget)
            except KubeError as error:
                if error.problem is not Problem.GONE or attempt == RESTARTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _pages(self, call: Call, type_: type[T], query: dict[str, str], budget: Budget) -> Listing[T]:
        items: list[T] = []
        version, token = "", ""
        while True:
            more = {"continue": token} if token else {}
            answer = self._send(call, "GET", query={**query, **more}, budget=budget)
            try:
                page: _Page[T] = _decoder(cast(Hashable, type_)).decode(answer.body)
            except msgspec.MsgspecError as error:
                raise not_kubernetes() from error
            items += page.items or []
            version, token = version or page.metadata.resource_version, page.metadata.continue_
            if not token:
                return Listing(items, version)

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """One object; None where it, and not its kind, isn't there."""
        try:
            return decode(self._send(Call("get", kind, namespace, name), "GET").body)
        except KubeError as error:
            if error.problem is not Problem.NOT_FOUND:
                raise
            return None

    # Changing.

    def apply(self, manifest: Manifest, *, force: bool = False, dry_run: bool = False) -> Manifest:
        """Server-side apply; the object as it is then. CONFLICT names the owners, field by field."""
        return self._apply(manifest, "", force=force, dry_run=dry_run)

    def apply_status(self, manifest: Manifest, *, force: bool = True) -> Manifest:
        return self._apply(manifest, "status", force=force)

    def _apply(self, manifest: Manifest, subresource: str, *, force: bool, dry_run: bool = False) -> Manifest:
        # Strict: a field that the cluster's schema does not know is refused, never dropped without a word.
        query = {"fieldManager": FIELD_MANAGER, "force": str(force).lower(), "fieldValidation": "Strict",
                 **({"dryRun": "All"} if dry_run else {})}
        call = _call_of("patch", manifest, subresource)
        return decode(self._send(call, "PATCH", query=query, body=manifest, content=APPLY, changes=not dry_run).body)

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Raises EXISTS where the name is taken."""
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        whole = _call_of("create", manifest)
        call = Call("create", whole.kind, whole.namespace)
        return decode(self._send(call, "POST", query=query, body=manifest, changes=not dry_run).body)

    def merge_patch(self, kind: Kind, namespace: str, name: str, body: Manifest, *, subresource: str = "") -> Manifest:
        """RFC 7386: null removes a field. For what another manager owns, such as the scale of a workload."""
        call = Call("patch", kind, namespace, name, subresource)
        return decode(self._send(call, "PATCH", query={"fieldManager": FIELD_MANAGER}, body=body, content=MERGE,
                                 changes=True).body)

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "", propagation: str = "Background") -> bool:
        """Whether there was something to delete. With `uid` only that object; another of its name is a CONFLICT."""
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self._send(Call("delete", kind, namespace, name), "DELETE", body=options, changes=True)
        except KubeError as error:
            if error.problem not in (Problem.NOT_FOUND, Problem.NO_KIND):
                raise
            return False
        return True

    # About the cluster and the credential.

    def may(self, verb: str, kind: Kind, namespace: str = "", subresource: str = "", name: str = "") -> bool:
        """Whether the credential has this right (SelfSubjectAccessReview); without a namespace, in all of them."""
        asked = {"verb": verb, "group": kind.group, "version": kind.version, "resource": kind.plural,
                 "namespace": namespace, "subresource": subresource, "name": name}
        body = {"apiVersion": ACCESS_REVIEW.api_version, "kind": ACCESS_REVIEW.kind,
                "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}}}
        answer = decode(self._send(Call("create", ACCESS_REVIEW), "POST", body=body).body)
        return answer.get("status", {}).get("allowed") is True

    def whoami(self) -> str:
        """The user that the API takes us for; "" where it is too old to say (before Kubernetes 1.28)."""
        body = {"apiVersion": SELF_REVIEW.api_version, "kind": SELF_REVIEW.kind}
        try:
            answer = decode(self._send(Call("create", SELF_REVIEW), "POST", body=body).body)
        except KubeError as error:
            if error.problem is not Problem.NO_KIND:
                raise
            return ""
        return clean(answer.get("status", {}).get("userInfo", {}).get("username", ""), 300)

    def version(self) -> str:
        """Such as v1.36.2."""
        answer = decode(self._send(Call("get"), "GET", path="/version").body)
        return clean(answer.get("gitVersion", ""), 40)

    def kinds(self) -> Kinds:
        """Which kinds the cluster serves, as (apiVersion, plural); at most a minute old."""
        if self._kinds is None or self._clock() > self._kinds[0] + DISCOVERED_SECONDS:
            self._kinds = self._clock(), kinds_in(self._discover)
        return self._kinds[1]

    def has(self, kind: Kind) -> bool:
        return (kind.api_version, kind.plural) in self.kinds()

    def _discover(self, path: str) -> bytes:
        return self._send(Call("get"), "GET", path=path, headers=DISCOVERY_HEADERS).body

    # Logs.

    def read_log(self, namespace: str, pod: str, container: str, *, lines: int = 200, previous: bool = False,
                 since: int = 0) -> str:
        """The last lines of this or the previous run, `since` in seconds; "" where there was no previous run."""
        query = _log_query(container, lines, since) | {"limitBytes": str(LOG_BYTES)}
        if previous:
            query["previous"] = "true"
        try:
            answer = self._send(Call("get", POD, namespace, pod, "log"), "GET", query=query, most_bytes=2 * LOG_BYTES)
        except KubeError as error:
            if previous and error.status == 400 and "previous terminated container" in error.message:
                return ""
            raise
        return clean(answer.body.decode(errors="replace"), LOG_BYTES)

    def follow_log(self, namespace: str, pod: str, container: str, *, lines: int = 100, since: int = 0,
                   seconds: float = FOLLOW_SECONDS) -> Iterator[str]:
        """Lines as they are written, for at most `seconds` and 8 MiB. Close the iterator to hang up."""
        call = Call("get", POD, namespace, pod, "log")
        stream = getattr(self._transport, "stream", None)
        if stream is None:
            raise KubeError(Problem.INVALID, _("Logs of this cluster can't be followed; load them again instead."))
        query = _log_query(container, lines, since) | {"follow": "true"}
        self._admit(call)
        status, chunks = stream(_request(call, "GET", query=query), Budget(seconds, self._clock, silence=seconds), FOLLOW_BYTES)
        if status >= 300:
            raise self._failed(error_of(call, Answer(status, {}, b"".join(chunks))), call)
        return _lines(chunks)

    def read_pod(self, namespace: str, pod: str, port: int, path: str, *, most_bytes: int = LOG_BYTES) -> str:
        """What a pod answers to a GET on one of its ports, by the API server's proxy.

        Raises KubeError: FORBIDDEN for the right, NOT_FOUND for all else. What a pod does, or doesn't, says nothing of its
        cluster, so the breaker is not told.
        """
        call = Call("get", POD, namespace, f"http:{pod}:{port}", "proxy")
        self._admit(call)
        request = _request(call, "GET", path=f"{POD.path(namespace, call.name, 'proxy')}{path}")
        try:
            answer = self._transport.send(request, Budget(POD_SECONDS, self._clock), most_bytes)
        except KubeError as error:
            raise KubeError(Problem.NOT_FOUND, error.message) from error
        if answer.status < 300:
            return answer.body.decode(errors="replace")
        refused = error_of(call, answer)
        if refused.problem is Problem.FORBIDDEN:
            raise self._failed(refused, call)
        raise KubeError(Problem.NOT_FOUND, _("The pod %(pod)s does not answer there (status %(status)d).") % {
            "pod": pod, "status": answer.status}, status=answer.status)

    # The way out.

    def _send(
        self, call: Call, method: str, *, path: str = "", query: dict[str, str] | None = None,
        body: Manifest | None = None, content: str = JSON, headers: dict[str, str] | None = None,
        budget: Budget | None = None, changes: bool = False, most_bytes: int = MOST_BYTES,
    ) -> Answer:
        request = _request(call, method, path=path, query=query, body=body, content=content, headers=headers)
        self._admit(call)
        around: AbstractContextManager[None] = outside_call() if changes else nullcontext()
        try:
            with around, self.breaker.waiting():
                answer = self._exchange(request, budget or Budget(clock=self._clock), most_bytes)
        except KubeError as error:
            raise self._failed(error, call) from error.__cause__
        if answer.status >= 300:
            raise self._failed(error_of(call, answer), call)
        self.breaker.passed()
        return answer

    def _exchange(self, request: Request, budget: Budget, most_bytes: int) -> Answer:
        answer = self._transport.send(request, budget, most_bytes)
        if answer.status == 401:  # the token may have been changed or renewed: read it again, once
            self._transport, old = self._connect(), self._transport
            old.close()
            answer = self._transport.send(request, budget, most_bytes)
        return answer

    def _admit(self, call: Call) -> None:
        if not self.breaker.admit(call.right):
            return
        probe = Call("get")
        try:
            answer = self._transport.send(_request(probe, "GET", path="/version"), Budget(PROBE_SECONDS, self._clock))
        except KubeError as error:
            raise self._failed(error, probe) from error.__cause__
        if answer.status == 429 or answer.status >= 500:
            raise self._failed(error_of(probe, answer), probe)
        self.breaker.probed()

    def _failed(self, error: KubeError, call: Call) -> KubeError:
        self.breaker.failed(error, call.right)
        return error

    def close(self) -> None:
        self._transport.close()


def _call_of(verb: str, manifest: Manifest, subresource: str = "") -> Call:
    """Raises KubeError where the manifest names no kind that the portal handles, or nothing by name."""
    try:
        kind, metadata = kind_of(manifest), manifest["metadata"]
        return Call(verb, kind, metadata.get("namespace", ""), metadata["name"], subresource)
    except KeyError as error:
        raise KubeError(Problem.INVALID, _("The manifest lacks its kind or name, or the portal doesn't know the kind.")
                        ) from error


def _request(
    call: Call, method: str, *, path: str = "", query: dict[str, str] | None = None, body: Manifest | None = None,
    content: str = JSON, headers: dict[str, str] | None = None,
) -> Request:
    for part in (call.namespace, call.name):
        if part and not _NAME.fullmatch(part):
            raise KubeError(Problem.INVALID, _("“%(name)s” can't be the name of an object.") % {"name": clean(part, 80)})
    sent = {"accept": JSON, "accept-encoding": "gzip", "user-agent": USER_AGENT, **(headers or {})}
    if body is not None:
        sent["content-type"] = content
    return Request(method, path or _path(call), query or {}, sent, b"" if body is None else msgspec.json.encode(body))


def _path(call: Call) -> str:
    assert call.kind is not None, "a call without a kind names its path"
    return call.kind.path(call.namespace, call.name, call.subresource)


def _log_query(container: str, lines: int, since: int) -> dict[str, str]:
    query = {"container": container, "tailLines": str(lines)}
    return query | ({"sinceSeconds": str(since)} if since else {})


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Whole lines, cleaned; what has no end yet waits for it, up to a limit."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (clean(line.decode(errors="replace")) for line in whole)
        if len(rest) > LINE_BYTES:
            yield clean(rest.decode(errors="replace"))
            rest = b""
    if rest:
        yield clean(rest.decode(errors="replace"))
