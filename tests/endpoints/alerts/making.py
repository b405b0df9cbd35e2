"""What the tests of alerts make and do."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, connections
from django.utils import timezone

from endpoints.models import AlertChannel, Delivery, UsageHour
from endpoints.services import alert_sending
from endpoints.services.alert_channels import create_channel
from portal.tenancy import faults
from tests.cast import Cast
from tests.rig.receiver import Call, Receiver

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def make_hook(cast: Cast, server: Receiver, name: str = "hook") -> tuple[AlertChannel, str]:
    return create_channel(cast.actor("alice"), cast.alpha, name=name, kind="webhook",
                          url=f"http://127.0.0.1:{server.port}/hook")


def use(cast: Cast, tokens: int = 0, *, hour: datetime = NOW, money: str = "0", **where: Any) -> None:
    values: dict[str, Any] = {
        "workspace_id": cast.alpha.pk, "member_id": cast.bob.pk, "key_id": 7, "endpoint_id": 1, "route_id": 0, "door": 1,
        "model_name": "chat", **where}
    UsageHour.objects.create(
        hour=hour.replace(minute=0), prompt_tokens=tokens - tokens // 3, completion_tokens=tokens // 3,
        cost_nano=int(Decimal(money) * 10**9), **values)


def let_time_pass() -> None:
    """Every pause is over."""
    Delivery.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))


def told() -> list[tuple[str, int]]:
    return list(Delivery.objects.order_by("pk").values_list("quantity", "threshold"))


def verified(call: Call, secret: str) -> dict[str, Any]:
    """The body, where the signature is right: what a receiver does."""
    stamp, mac = (part.partition("=")[2] for part in call.headers["portal-signature"].split(","))
    expected = hmac.new(secret.encode(), stamp.encode() + b"." + call.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(mac, expected)
    assert abs(int(stamp) - timezone.now().timestamp()) < 60
    body: dict[str, Any] = json.loads(call.body)
    assert call.headers["portal-delivery"] == body["id"]
    return body


def at_once(count: int, call: Any) -> list[Any]:
    def alone(_number: int) -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(alone, range(count)))


def worker_dies(row: Delivery, at: int) -> bool:
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        faults.arm(at)
        try:
            alert_sending.send(row.pk)
        finally:
            os._exit(0)
    _pid, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
