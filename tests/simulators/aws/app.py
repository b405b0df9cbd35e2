"""One request from its signature to its answer."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from tests.simulators.aws import protocols, signatures
from tests.simulators.aws.errors import AwsFault, Dropped, Unauthenticated
from tests.simulators.aws.faults import Faults
from tests.simulators.aws.identities import Identities
from tests.simulators.aws.messages import Answer, Call, Params, Recorded, Request
from tests.simulators.aws.shapes import check_input, operation_model, output_problems, service_model

# The names that services sign with, where they aren't the names of their models.
SIGNING_NAMES = {"monitoring": "cloudwatch", "api.ecr": "ecr"}
Player = Callable[[Call], Params | Answer | None]
Forward = Callable[[Request], Answer]


class App:
    """`players` answer by service; `forward` sends on what none of them plays, as it came."""

    def __init__(self, identities: Identities, faults: Faults, forward: Forward) -> None:
        self.identities, self.faults, self._forward = identities, faults, forward
        self.players: dict[str, Player] = {}
        self.metadata: Callable[[Request], Answer | None] = lambda _request: None
        """Answers what machines ask of themselves, unsigned."""
        self.requests: list[Recorded] = []
        self.broken: list[str] = []
        """What the simulator itself did wrong: answers that botocore's models don't know, exceptions."""
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """
        :raises Dropped: the connection shall end without an answer.
        """
        seen = Recorded(request.method, request.path, request.headers.get("host", ""), sorted(request.headers))
        with self._lock:
            self.requests.append(seen)
        answer = self.metadata(request) or self._answer(request, seen)
        seen.status, seen.code = answer.status, answer.code
        return answer

    def _answer(self, request: Request, seen: Recorded) -> Answer:
        service = "s3"
        try:
            scope = signatures.read_scope(request)
            service = service_of(scope, request)
            seen.service, seen.access_key_id = service, scope.access_key_id if scope else ""
            seen.region = scope.region if scope else ""
            identity = self.identities.verify(request, scope)
            call = Call(service, "", seen.region, identity, {}, request)
            return self._perform(call, seen)
        except Unauthenticated as error:
            return protocols.refuse(service, error.fault(protocol_of(service)))
        except AwsFault as fault:
            return protocols.refuse(service, fault)
        except Dropped:
            raise
        except Exception:  # noqa: BLE001 - a bug here must be seen by the test, whatever its client makes of a 500
            self.broken.append(f"{seen.name}: {traceback.format_exc()}")
            return protocols.refuse(service, AwsFault("InternalFailure", "the simulator broke; see `broken`", 500))

    def _perform(self, call: Call, seen: Recorded) -> Answer:
        is_played = call.service in self.players
        if is_played:
            call.operation, call.params = protocols.read(call.service, call.request)
        else:
            call.operation = forwarded_operation(call.service, call.request)
        seen.operation, seen.params = call.operation, call.params
        self.faults.before(call)
        answer = self._played(call) if is_played else self._forward(call.request)
        self.faults.after(call)
        return answer

    def _played(self, call: Call) -> Answer:
        if operation_model(call.service, call.operation) is None:
            raise protocols.no_operation(call.service, call.operation)
        if call.service != "sagemaker-runtime":  # its bodies are models' own
            check_input(call.service, call.operation, call.params)
        result = self.players[call.service](call)
        if result is None:
            raise protocols.no_operation(call.service, call.operation)
        if isinstance(result, Answer):
            return result
        found = output_problems(call.service, call.operation, _without_times(call.service, result))
        if found:
            raise AssertionError(f"{call.service}:{call.operation} answers what no client knows: {found}")
        return protocols.write(call.service, call.operation, result)


def _without_times(service: str, result: Params) -> Params:
    """XML has times as text; they are checked by the clients in tests."""
    if service != "sts" or "Credentials" not in result:
        return result
    return {**result, "Credentials": {**result["Credentials"], "Expiration": 0}}


def service_of(scope: signatures.Scope | None, request: Request) -> str:
    """Which API is meant: SageMaker and its runtime sign alike."""
    if scope is None:
        return "sts" if "Action=" in request.query or b"Action=" in request.body[:4096] else "s3"
    if scope.service == "sagemaker" and request.path.startswith("/endpoints/"):
        return "sagemaker-runtime"
    return SIGNING_NAMES.get(scope.service, scope.service)


def protocol_of(service: str) -> str:
    return str(service_model(service).metadata["protocol"])


def forwarded_operation(service: str, request: Request) -> str:
    """A name for the record: the JSON target, the last part of a CBOR path, or S3's method."""
    target = request.headers.get("x-amz-target", "").rpartition(".")[2]
    if target:
        return target
    if "/operation/" in request.path:
        return request.path.rpartition("/")[2]
    if service == "s3":
        bucket, _, key = request.path.strip("/").partition("/")
        return f"{request.method.title()}{'Object' if key else 'Bucket' if bucket else 'Service'}"
    return request.parameter("Action")
