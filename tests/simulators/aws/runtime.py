"""sagemaker-runtime: calls of endpoints, whole, as a stream, and by way of S3.

Refusals in SageMaker's words as far as users quote them; that an endpoint which isn't InService yet is "not found" is not
verified.
"""

from __future__ import annotations

import fnmatch
import random
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.parse import urlsplit

from tests.simulators.aws import eventstream, upstream
from tests.simulators.aws.errors import AwsFault, Dropped
from tests.simulators.aws.messages import Answer, Call, json_answer
from tests.simulators.aws.moto_server import Moto
from tests.simulators.aws.sagemaker import SageMaker
from tests.simulators.aws.sagemaker.state import Component, Endpoint, Region
from tests.simulators.aws.world import Spot

SERVING = ("InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed")
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass(slots=True)
class StreamFault:
    """Ends the next matching streams after so many frames: with an exception's frame, or none and a lost connection."""

    endpoint: str = "*"
    after: int = 1
    error: str = "ModelStreamError"  # or InternalStreamFailure, or "" for a connection that is lost
    code: str = "StreamBroken"  # or ModelInvocationTimeExceeded
    message: str = "Your model stopped answering."
    times: int = 1

    def frame(self) -> bytes:
        body = {"Message": self.message} | ({"ErrorCode": self.code} if self.error == "ModelStreamError" else {})
        return eventstream.exception(self.error, body)


@dataclass(slots=True)
class Aim:
    """Where a call goes."""

    here: Region
    endpoint: Endpoint
    variant: str
    url: str


@dataclass
class Runtime:
    """upstreams: the container's address by endpoint, "endpoint/variant" or inference component, of any account; what has
    none is answered by a small engine of the simulator's own. frame_bytes: cuts streams into frames of this size, whatever
    the container's pieces are; None leaves those."""

    sagemaker: SageMaker
    moto: Moto
    upstreams: dict[str, str] = field(default_factory=dict)
    frame_bytes: int | None = None
    timeout: float = 60.0  # seconds: SageMaker's own limit of a whole call
    faults: list[StreamFault] = field(default_factory=list)
    asynchronous: list[threading.Thread] = field(default_factory=list)

    def reset(self) -> None:
        self.wait()
        self.upstreams.clear()
        self.faults.clear()
        self.frame_bytes, self.timeout = None, 60.0

    def wait(self) -> None:
        """Until every asynchronous call has its output in S3."""
        while self.asynchronous:
            self.asynchronous.pop().join(60)

    def break_stream(self, endpoint: str = "*", **how: object) -> StreamFault:
        fault = StreamFault(endpoint, **how)  # type: ignore[arg-type]
        self.faults.append(fault)
        return fault

    def answer(self, call: Call) -> Answer | None:
        """None: not played here."""
        doors = {"InvokeEndpoint": self._whole, "InvokeEndpointWithResponseStream": self._stream,
                 "InvokeEndpointAsync": self._asynchronous}  # fmt: skip
        door = doors.get(call.operation)
        return door(call, self._aim(call)) if door else None

    # --- where to

    def _aim(self, call: Call) -> Aim:
        """
        :raises AwsFault: ValidationError: no such endpoint, variant or component, or one that doesn't answer calls.
        """
        with self.sagemaker.world.lock:
            here = self.sagemaker.here(Spot.of(call.identity, call.region))
            name = call.params["EndpointName"]
            endpoint = here.endpoints.get(name)
            if endpoint is None or endpoint.status not in SERVING:
                raise AwsFault("ValidationError", f"Endpoint {name} of account {call.identity.account} not found.")
            variant = _variant(endpoint, call.params.get("TargetVariant", ""))
            component = _component(here, endpoint, variant, call.params.get("InferenceComponentName", ""))
        keys = [component.name if component else "", f"{name}/{variant}", name]
        return Aim(here, endpoint, variant, next((self.upstreams[key] for key in keys if key in self.upstreams), ""))

    # --- the three ways

    def _whole(self, call: Call, aim: Aim) -> Answer:
        status, content_type, body = self._ask(call, aim)
        if not 200 <= status < 400:
            raise _model_error(aim, status, body)
        return Answer(200, body, {"content-type": content_type, **_told(aim)})

    def _ask(self, call: Call, aim: Aim) -> tuple[int, str, bytes]:
        try:
            with upstream.ask(aim.url, call.params.get("Body", b""), _headers(call), self.timeout) as reply:
                return reply.status, reply.content_type, reply.whole()
        except TimeoutError:
            return 0, "", b"Your invocation timed out while waiting for a response from container primary."
        except (OSError, HTTPException):
            return 0, "", b"Amazon SageMaker could not get a response from the endpoint."

    def _stream(self, call: Call, aim: Aim) -> Answer:
        """Refusals of the container come before the stream, as a ModelError."""
        context = upstream.ask(aim.url, call.params.get("Body", b""), _headers(call), self.timeout)
        try:
            reply = context.__enter__()
        except (OSError, HTTPException) as error:
            raise _model_error(aim, 0, str(error).encode()) from error
        if reply.status >= 400:
            body = reply.whole()
            context.__exit__(None, None, None)
            raise _model_error(aim, reply.status, body)

        def pieces() -> Iterator[bytes]:
            try:
                yield from self._frames(aim, reply.pieces)
            finally:
                context.__exit__(None, None, None)

        headers = {"content-type": eventstream.CONTENT_TYPE, "X-Amzn-SageMaker-Content-Type": reply.content_type}
        return Answer(200, pieces(), headers | _told(aim))

    def _frames(self, aim: Aim, pieces: Iterator[bytes]) -> Iterator[bytes]:
        fault = self._next_fault(aim.endpoint.name)
        try:
            for number, piece in enumerate(_cut(pieces, self.frame_bytes)):
                if fault is not None and number >= fault.after:
                    break
                yield eventstream.event("PayloadPart", piece)
            else:
                return
        except (OSError, HTTPException):  # the container died in the middle
            yield StreamFault(message="The connection to the model was lost.").frame()
            return
        if not fault.error:
            raise Dropped
        yield fault.frame()

    def _next_fault(self, endpoint: str) -> StreamFault | None:
        fault = next((each for each in self.faults if each.times and fnmatch.fnmatchcase(endpoint, each.endpoint)), None)
        if fault is not None:
            fault.times -= 1
        return fault

    def _asynchronous(self, call: Call, aim: Aim) -> Answer:
        config = aim.endpoint.served.get("AsyncInferenceConfig")
        if config is None:  # the words are not verified
            raise AwsFault("ValidationError", f"Endpoint {aim.endpoint.name} is not an asynchronous endpoint.")
        identifier = call.params.get("InferenceId") or str(uuid.uuid4())
        paths = config["OutputConfig"]
        output = _under(paths["S3OutputPath"], f"{uuid.uuid4()}.out")
        failure = _under(paths.get("S3FailurePath", paths["S3OutputPath"]), f"{uuid.uuid4()}-error.out")
        thread = threading.Thread(target=self._later, args=(call, aim, output, failure), daemon=True)
        self.asynchronous.append(thread)
        thread.start()
        places = {"X-Amzn-SageMaker-OutputLocation": output, "X-Amzn-SageMaker-FailureLocation": failure}
        return json_answer({"InferenceId": identifier}, 202, "application/json", **places)

    def _later(self, call: Call, aim: Aim, output: str, failure: str) -> None:
        """What SageMaker does with a queued call: reads its input, asks, writes what came."""
        if "InputLocation" in call.params:
            found = self.moto.object(call.params["InputLocation"])
            if found is None:
                self.moto.put_object(failure, b"The input was not found.")
                return
            call.params["Body"] = found
        status, _, body = self._ask(call, aim)
        self.moto.put_object(failure if status >= 400 or not status else output, body)


def _variant(endpoint: Endpoint, wanted: str) -> str:
    names = [name for name in endpoint.variants if wanted in ("", name)]
    if not names:  # the words are not verified
        raise AwsFault("ValidationError", f"Variant {wanted} not found for endpoint {endpoint.name}.")
    weights = [endpoint.variants[name]["weight"] for name in names]
    return random.choices(names, weights)[0] if sum(weights) else names[0]


def _component(here: Region, endpoint: Endpoint, variant: str, name: str) -> Component | None:
    """
    :raises AwsFault: the endpoint is a place for components and none is named; or it isn't there, or has no copies.
    """
    config = next(each for each in endpoint.served["ProductionVariants"] if each["VariantName"] == variant)
    if "ModelName" in config and not name:
        return None
    if not name:
        fault = AwsFault("ValidationError", "Inference Component Name header is required for endpoints to which you plan to "
                         "deploy inference components. Please include Inference Component Name header or consider using "
                         "SageMaker models.")  # fmt: skip
        fault.more = {"ErrorCode": "INFERENCE_COMPONENT_NAME_MISSING"}
        raise fault
    component = here.components.get(name)
    if component is None or component.asked["EndpointName"] != endpoint.name:  # the words are not verified
        raise AwsFault("ValidationError", f"Inference Component {name} not found.")
    if not component.copies:
        raise AwsFault("ValidationError", "Inference Component has no capacity to process this request. "
                       "ApplicationAutoScaling may be in-progress (if configured) or try to increase the capacity by "
                       "invoking UpdateInferenceComponentRuntimeConfig API.")  # fmt: skip
    return component


def _model_error(aim: Aim, status: int, body: bytes) -> AwsFault:
    name, account = aim.endpoint.name, aim.here.spot.account
    side, text = "client" if 400 <= status < 500 else "server", body.decode(errors="replace")
    fault = AwsFault("ModelError", f'Received {side} error ({status}) from primary with message "{text}".'
                     f" See https://{aim.here.spot.region}.console.aws.amazon.com/cloudwatch/home?region={aim.here.spot.region}"
                     f"#logEventViewer:group=/aws/sagemaker/Endpoints/{name} in account {account} for more information.",
                     424)  # fmt: skip
    fault.more = {"OriginalStatusCode": status, "OriginalMessage": text}
    return fault


def _headers(call: Call) -> dict[str, str]:
    """What reaches the container: nothing of who called."""
    asked = call.params
    named = {"content-type": asked.get("ContentType", "application/json"), "accept": asked.get("Accept", "*/*"),
             ATTRIBUTES: asked.get("CustomAttributes", "")}  # fmt: skip
    return {name: value for name, value in named.items() if value}


def _told(aim: Aim) -> dict[str, str]:
    return {"x-Amzn-Invoked-Production-Variant": aim.variant}


def _cut(pieces: Iterator[bytes], size: int | None) -> Iterator[bytes]:
    for piece in pieces:
        step = size or len(piece)
        for start in range(0, len(piece), step):
            yield piece[start : start + step]


def _under(place: str, name: str) -> str:
    parts = urlsplit(place)
    return f"s3://{parts.netloc}{parts.path.rstrip('/')}/{name}"
