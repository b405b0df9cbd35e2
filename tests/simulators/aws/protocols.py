"""How each kind of service writes calls, answers and refusals on the wire.

https://smithy.io/2.0/aws/protocols/ . S3 and what else goes to moto as it came needs refusals only.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from tests.simulators.aws.errors import AwsFault
from tests.simulators.aws.messages import Answer, Params, Request, json_answer, request_id
from tests.simulators.aws.shapes import service_model

JSON = "application/x-amz-json-1.1"


def read(service: str, request: Request) -> tuple[str, Params]:
    """The operation's name and its parameters in the form of the wire.

    :raises AwsFault: no operation of this service.
    """
    protocol = service_model(service).metadata["protocol"]
    if protocol == "query":
        return _read_query(service, request)
    return _read_json(request) if protocol == "json" else _read_rest(service, request)


def _read_json(request: Request) -> tuple[str, Params]:
    operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
    return operation, _object(request.body)


def _object(body: bytes) -> Params:
    try:
        found = json.loads(body or b"{}")
    except ValueError as error:
        raise AwsFault("SerializationException", "the body is no JSON") from error
    if not isinstance(found, dict):
        raise AwsFault("SerializationException", "the body is no JSON object")
    return found


def _read_query(service: str, request: Request) -> tuple[str, Params]:
    pairs = dict(request.pairs) | dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    operation = pairs.pop("Action", "")
    model = service_model(service)
    if operation not in model.operation_names:
        raise AwsFault("InvalidAction", f"Could not find operation {operation}")
    shape = model.operation_model(operation).input_shape
    members: dict[str, Any] = shape.members if shape else {}
    return operation, {name: _text_to(members[name], text) for name, text in pairs.items() if name in members}


def _text_to(shape: Any, text: str) -> Any:
    if shape.type_name in ("integer", "long"):
        return int(text)
    return text == "true" if shape.type_name == "boolean" else text


@cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    """Method, path and operation, the most literal paths first."""
    model, found = service_model(service), []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = re.sub(r"\{(\w+)(\+?)\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})",
                      http["requestUri"].partition("?")[0])  # fmt: skip
        found.append((http["method"], re.compile(path), name))
    return sorted(found, key=lambda route: route[1].pattern.count("(?P"))


def _read_rest(service: str, request: Request) -> tuple[str, Params]:
    for method, path, operation in _routes(service):
        match = path.fullmatch(request.path)
        if match and method == request.method:
            named = {name: unquote(value) for name, value in match.groupdict().items()}
            return operation, _rest_params(service, operation, request, named)
    raise AwsFault("UnknownOperationException", "no such path", 404)


def _rest_params(service: str, operation: str, request: Request, named: dict[str, str]) -> Params:
    shape = service_model(service).operation_model(operation).input_shape
    found: Params = {}
    if shape is None:
        return {}
    payload = shape.serialization.get("payload")
    body = _object(request.body) if payload is None and request.body else {}
    for member, inner in shape.members.items():
        where, name = inner.serialization.get("location"), inner.serialization.get("name", member)
        if where == "uri":
            found[member] = named[name]
        elif where == "header" and name.lower() in request.headers:
            found[member] = _text_to(inner, request.headers[name.lower()])
        elif where == "querystring" and name in dict(request.pairs):
            found[member] = _text_to(inner, request.parameter(name))
        elif member == payload:
            found[member] = request.body
        elif where is None and name in body:
            found[member] = body[name]
    return found


def write(service: str, operation: str, result: Params) -> Answer:
    """The answer to a call that was done."""
    protocol = service_model(service).metadata["protocol"]
    if protocol == "query":
        namespace = service_model(service).metadata["xmlNamespace"]
        inner = f"<{operation}Result>{_xml(result)}</{operation}Result>" if result else ""
        text = (f'<{operation}Response xmlns="{namespace}">{inner}<ResponseMetadata><RequestId>{request_id()}</RequestId>'
                f"</ResponseMetadata></{operation}Response>")  # fmt: skip
        return Answer(200, text.encode(), {"content-type": "text/xml"})
    return json_answer(result, content_type=JSON if protocol == "json" else "application/json")


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(inner)}</{name}>" for name, inner in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(inner)}</member>" for inner in value)
    return escape(str(value))


def refuse(service: str, fault: AwsFault) -> Answer:
    """A refusal, in the form that clients of this service read."""
    protocol = "rest-xml" if service == "s3" else service_model(service).metadata["protocol"]
    if protocol == "query":
        text = (f'<ErrorResponse xmlns="{service_model(service).metadata["xmlNamespace"]}"><Error><Type>Sender</Type>'
                f"<Code>{fault.code}</Code><Message>{escape(fault.message)}</Message></Error>"
                f"<RequestId>{request_id()}</RequestId></ErrorResponse>")  # fmt: skip
        return Answer(fault.status, text.encode(), {"content-type": "text/xml"}, fault.code)
    if protocol == "rest-xml":
        text = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>{escape(fault.message)}</Message></Error>"
        return Answer(fault.status, text.encode(), {"content-type": "application/xml"}, fault.code)
    return _refuse_json(fault, protocol)


def _refuse_json(fault: AwsFault, protocol: str) -> Answer:
    if protocol == "smithy-rpc-v2-cbor":  # clients fall back to the header's code where the body is none they read
        answer = json_answer({"__type": fault.code, "message": fault.message}, fault.status)
        answer.headers["x-amzn-query-error"] = f"{fault.code};Sender"
    elif protocol == "rest-json":
        answer = json_answer({"message": fault.message, "Message": fault.message, **fault.more}, fault.status,
                             "application/json")  # fmt: skip
        answer.headers["x-amzn-errortype"] = fault.code
    else:
        answer = json_answer({"__type": fault.code, "message": fault.message}, fault.status)
    answer.code = fault.code
    return answer


def no_operation(service: str, operation: str) -> AwsFault:
    """The operation exists nowhere, or is not played here."""
    if operation in service_model(service).operation_names:
        return AwsFault("InternalFailure", f"the simulator does not play {service}:{operation}", 500)
    return AwsFault("UnknownOperationException", f"no operation {operation}")
