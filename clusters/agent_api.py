"""The agents' door: signed JSON, closed messages, one error shape. It holds no logic."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from clusters import services
from clusters.agent.messages import (
    MAX_API_ANSWER,
    MAX_REQUEST,
    ApiAnswer,
    Enrol,
    EnrolCluster,
    Malformed,
    Sync,
    decode,
    encode,
)
from clusters.models import ClusterAgent, Host
from portal.tenancy.errors import PortalError

WAIT_SECONDS = 20.0
Caller = TypeVar("Caller", Host, ClusterAgent)


def _call(request: HttpRequest) -> services.SignedCall:
    """The request as its sender signed it: the path with its query, byte for byte."""
    head = request.headers
    return services.SignedCall(
        method=request.method or "", path=request.get_full_path(), body=request.body,
        host=head.get("X-Agent-Host", ""), at=head.get("X-Agent-Time", ""), nonce=head.get("X-Agent-Nonce", ""),
        signature=head.get("X-Agent-Signature", ""))


def _refuse(error: PortalError) -> JsonResponse:
    details: dict[str, Any] = {"code": error.code, "message": error.message}
    if isinstance(error, services.Superseded):
        details["epoch"] = error.epoch
    if error.code == "clock":
        details["now"] = time.time()
    return JsonResponse({"error": details}, status=error.status)


def _answer(work: Callable[[], Any]) -> HttpResponse:
    try:
        return HttpResponse(encode(work()), content_type="application/json")
    except PortalError as error:
        return _refuse(error)
    except Malformed as error:
        return JsonResponse({"error": {"code": "malformed", "message": str(error)}}, status=422)


@csrf_exempt
@require_POST
def enrol(request: HttpRequest) -> HttpResponse:
    """POST enrol: a new host with a one-use token."""
    message = request.body
    return _answer(lambda: services.enrol(
        _call(request), decode(Enrol, message, most=MAX_REQUEST), str(request.META.get("REMOTE_ADDR", ""))))


@csrf_exempt
@require_POST
def sync(request: HttpRequest) -> HttpResponse:
    """POST sync: a host's report, answered with everything that should run there."""
    def work() -> object:
        host = services.authenticate(_call(request))
        return services.sync(host, decode(Sync, request.body, most=MAX_REQUEST))
    return _answer(work)


@require_GET
def cluster_manifest(request: HttpRequest) -> HttpResponse:
    """GET cluster/manifest with the one-use token as bearer: what installs the agent. It does not use the token up."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    try:
        text = services.agent_manifest_for(token)
    except PortalError as error:
        return _refuse(error)
    return HttpResponse(text, content_type="application/yaml", headers={"Cache-Control": "no-store"})


@csrf_exempt
@require_POST
def enrol_cluster(request: HttpRequest) -> HttpResponse:
    """POST cluster/enrol: the agent of a cluster with a one-use token."""
    return _answer(lambda: services.enrol_cluster(
        _call(request), decode(EnrolCluster, request.body, most=MAX_REQUEST)))


@csrf_exempt
@require_POST
def cluster_answers(request: HttpRequest) -> HttpResponse:
    """POST cluster/answers: what the cluster's API said to one call."""
    def work() -> object:
        agent = services.authenticate_cluster_agent(_call(request))
        return services.put_answer(agent, decode(ApiAnswer, request.body, most=MAX_API_ANSWER))
    return _answer(work)


@require_GET
async def cluster_calls(request: HttpRequest) -> HttpResponse:
    """GET cluster/calls?version=N: the calls that wait, as soon as there are newer ones than N, after 20 s at most."""
    version = _version_of(request)
    if version is None:
        return _no_version()
    try:
        agent = await sync_to_async(_authenticated(services.authenticate_cluster_agent))(_call(request))
    except PortalError as error:
        return _refuse(error)
    if agent.calls_version <= version:
        await services.calls_room.wait(agent.pk, version, WAIT_SECONDS)
    return await sync_to_async(_answer)(lambda: services.take_calls(agent))


@require_GET
async def wake(request: HttpRequest) -> HttpResponse:
    """GET wake?version=N: answered as soon as the orders are newer than N, after 20 s at most."""
    wanted = _version_of(request)
    if wanted is None:
        return _no_version()
    try:
        host = await sync_to_async(_authenticated(services.authenticate))(_call(request))
    except PortalError as error:
        return _refuse(error)
    version = host.wanted_version
    if version <= wanted:
        version = await services.waiting_room.wait(host.pk, wanted, WAIT_SECONDS)
    return JsonResponse({"version": version})


def _version_of(request: HttpRequest) -> int | None:
    text = request.GET.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _no_version() -> JsonResponse:
    return JsonResponse({"error": {"code": "malformed", "message": "version is not a number"}}, status=422)


def _authenticated(authenticate: Callable[[services.SignedCall], Caller]) -> Callable[[services.SignedCall], Caller]:
    def work(call: services.SignedCall) -> Caller:
        caller = authenticate(call)
        if not connection.in_atomic_block:
            connection.close()  # a waiting agent holds no connection
        return caller
    return work
