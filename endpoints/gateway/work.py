"""What a call asks for, once its body was read: parsed, checked, and led to a route. All of it without waiting."""

from __future__ import annotations

from .balance import PREFIX, prefix_of
from .body import Body, Fields, check_fields
from .call import Call
from .doors import OPTION, Door
from .errors import bad_body, not_ready, unknown_model
from .limits import Ask
from .multipart import Form
from .replica import Request
from .session import session_of
from .snapshot import Snapshot, Target
from .tap import StreamTap

NOT_READY_SECONDS = 5


class Work:
    """A checked call for a known model with at least one ready endpoint."""

    __slots__ = ("_body", "_session", "ask", "door", "headers", "hides_usage", "is_stream", "targets")

    def __init__(self, call: Call, door: Door, raw: bytes, snapshot: Snapshot) -> None:
        """Raises GatewayError where the body or the model is not what it should be."""
        body = Form(raw, call.header(b"content-type")) if door.is_form else Body(raw)
        fields = body.fields
        name = check_fields(fields)
        assert call.key is not None
        route = call.model = snapshot.route(call.key, name)
        if route is None:
            raise unknown_model(name)
        self._session = session_of(call.headers, fields)
        self.targets = route.pick(self._session)
        if not self.targets:
            first = route.targets[0] if route.targets else None
            raise not_ready(name, first.status if first else "", first.reason if first else "", NOT_READY_SECONDS)
        self.door = door
        self.is_stream = fields.get("stream") is True
        self.hides_usage = self.is_stream and door.has_usage_option and _ask_for_usage(body, door)
        if door.keeps_nothing:
            _keep_nothing(body)
        self._body = body
        self.headers = call.headers_up()
        size = 0 if door.is_free else body.text_bytes
        self.ask = Ask(call.key, route, size, _new_tokens(fields) if door.makes_tokens else 0, self.targets[0].price)

    def tap(self) -> StreamTap:
        return StreamTap(self.door.events, hide_usage=self.hides_usage)

    def request(self, target: Target) -> Request:
        """The call in the words of this endpoint's engine."""
        return Request(self.door.engine_path, self.headers, self.body_for(target), self.is_stream, target.affinity,
                       self.session_for(target), content_type=self._body.content_type)

    def body_for(self, target: Target) -> bytes:
        return self._body.for_engine(target.public_name)

    def session_for(self, target: Target) -> bytes:
        """What decides among the endpoint's replicas, where it has an affinity."""
        return prefix_of(self._body.fields) if target.affinity == PREFIX else self._session


def _ask_for_usage(body: Body | Form, door: Door) -> bool:
    """Make a stream end with its usage; whether the caller had not asked for that."""
    given = body.fields.get(door.usage_option)
    if door.usage_option != OPTION:
        body.put(door.usage_option, True)
        return given is not True
    options = given or {}
    if options.get("include_usage") is not True:
        body.put(OPTION, {**options, "include_usage": True})
    return options.get("include_usage") is not True


def _keep_nothing(body: Body | Form) -> None:
    """Engines keep answers in memory, for whoever knows an id: neither store one nor ask for a stored one."""
    for name in ("previous_response_id", "conversation", "background"):
        if body.fields.get(name):
            raise bad_body(f"“{name}” is not supported: no answers are kept here. Send the whole conversation.",
                           param=name, code="not_supported")
    if body.fields.get("store") is not False:
        body.put("store", False)


def _new_tokens(fields: Fields) -> int | None:
    """The most tokens that the engine may write; None where only the model's own limit counts."""
    most = fields.get("max_completion_tokens") or fields.get("max_tokens") or fields.get("max_output_tokens")
    return most * (fields.get("n") or 1) if most else None
