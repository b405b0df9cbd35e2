"""What a call asks for, once its body was read: parsed, checked, and led to a route. All of it without waiting."""

from __future__ import annotations

from . import body as bodies
from .call import Call
from .doors import Door
from .errors import not_ready, unknown_model
from .limits import Ask
from .replica import Request
from .session import session_of
from .snapshot import Snapshot, Target
from .tap import StreamTap

NOT_READY_SECONDS = 5


class Work:
    """A checked call for a known model with at least one ready endpoint."""

    __slots__ = ("_body", "_headers", "_session", "ask", "door", "hides_usage", "is_stream", "targets")

    def __init__(self, call: Call, door: Door, raw: bytes, snapshot: Snapshot) -> None:
        """Raises GatewayError where the body or the model is not what it should be."""
        body = bodies.parse(raw)
        name = bodies.check_fields(body)
        assert call.key is not None
        route = call.model = snapshot.route(call.key, name)
        if route is None:
            raise unknown_model(name)
        self._session = session_of(call.headers, body)
        self.targets = route.pick(self._session)
        if not self.targets:
            first = route.targets[0] if route.targets else None
            raise not_ready(name, first.status if first else "", first.reason if first else "", NOT_READY_SECONDS)
        self.door = door
        self.is_stream = body.get("stream") is True
        self.hides_usage = self.is_stream and door.has_usage_option and _ask_for_usage(body)
        self._body = body
        self._headers = call.headers_up()
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        self.ask = Ask(call.key, route, len(raw), limit, self.targets[0].price)

    def tap(self) -> StreamTap:
        return StreamTap(hide_usage=self.hides_usage, ends_with_done=self.door.has_usage_option)

    def request(self, target: Target) -> Request:
        """The call in the words of this endpoint's engine."""
        self._body["model"] = target.public_name
        return Request(self.door.path, self._headers, bodies.serialise(self._body), self.is_stream,
                       target.affinity, self._session)


def _ask_for_usage(body: bodies.Body) -> bool:
    """Make a stream end with its usage; whether the caller had not asked for that."""
    options = body.get("stream_options") or {}
    body["stream_options"] = {**options, "include_usage": True}
    return options.get("include_usage") is not True

