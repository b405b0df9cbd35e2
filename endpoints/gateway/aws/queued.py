"""Asynchronous endpoints of SageMaker: the call is put into S3, the answer is fetched there when it has come."""

from __future__ import annotations

import asyncio
import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.core.exceptions import ObjectDoesNotExist

from clusters.drivers.aws import Aws, AwsError, AwsProblem, Credentials
from clusters.drivers.aws_failures import as_aws_error

from ..config import Config
from ..connection import TooSlow
from ..errors import GatewayError, upstream_unavailable
from ..loader import DatabaseAway
from ..replica import Exchange, NotSent, Request, whole
from .address import Place
from .fetch import Account, door_to
from .lender import Lender
from .refusals import Said, busy, engine_error, refusal
from .runtime import SERVICE, RuntimeReplica, check_path

log = logging.getLogger(__name__)

FOLDER = "inference-portal/calls"
MOST_BYTES = 64 * 1024 * 1024
FIRST_PAUSE, MOST_PAUSE, GROWTH = 0.25, 5.0, 1.5  # seconds between two looks
LONGEST_SECONDS = 3600  # that SageMaker lets a container work on one call
# A role that may not list a bucket gets 403 for what is not there.
ABSENT = (AwsProblem.NOT_FOUND, AwsProblem.FORBIDDEN)

# What says nothing of the call: its answer is looked for again.
PASSING = (AwsProblem.THROTTLED, AwsProblem.UNREACHABLE)

threads = ThreadPoolExecutor(8, "gateway-async")


@dataclass(frozen=True, slots=True)
class Queued:
    """Where a call lies and where its answer will. `failure` is "" where the endpoint has no place for failures."""

    aws: Aws
    input: str
    output: str
    failure: str


class QueuedReplica(RuntimeReplica):
    """Holds no connection of its own: AWS is asked in threads. A caller that hangs up takes its call out of the queue."""

    def __init__(self, place: Place, config: Config, credentials: Lender[Account, Credentials]) -> None:
        super().__init__(place, config, credentials)
        self._waiting = 0

    @property
    def outstanding(self) -> int:
        return self._waiting

    async def exchange(self, request: Request, *, fresh: bool) -> Exchange:
        """Raises NotSent, TooSlow, GatewayError."""
        check_path(request)
        if request.is_stream:
            raise GatewayError(400, "This model runs on an asynchronous endpoint, which can't stream. Call it without "
                                    "“stream”.", code="not_supported", param="stream")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._config.engine_seconds):
                return await self._answer(request)
        except TimeoutError:
            raise TooSlow(f"no answer in S3 within {self._config.engine_seconds:.0f} s") from None
        except AwsError as error:
            raise _refused(error) from error
        finally:
            self._waiting -= 1

    async def _answer(self, request: Request) -> Exchange:
        seconds = min(LONGEST_SECONDS, max(1, int(self._config.engine_seconds)))
        loop = asyncio.get_running_loop()
        putting = loop.run_in_executor(threads, _put, self._account, self._place, request.body, seconds)
        try:
            queued = await asyncio.shield(putting)
        except asyncio.CancelledError:
            putting.add_done_callback(_tidy_when_put)
            raise
        try:
            return await _wait(queued)
        finally:
            threads.submit(_tidy, queued)


async def _wait(queued: Queued) -> Exchange:
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
    while True:
        await asyncio.sleep(pause)
        try:
            found = await loop.run_in_executor(threads, _look, queued)
        except AwsError as error:
            if error.problem not in PASSING:
                raise
            found = None  # the call runs on all the same
        if found is not None:
            return found
        pause = min(MOST_PAUSE, pause * GROWTH)


def _put(account: Account, place: Place, body: bytes, seconds: int) -> Queued:
    """Put the body into S3 and tell SageMaker. Raises NotSent, AwsError."""
    try:
        aws = door_to(account)
    except (DatabaseAway, ObjectDoesNotExist) as error:
        raise NotSent("the account can't be read") from error
    key = f"{FOLDER}/{place.endpoint}/{uuid.uuid4()}.json"
    aws.call("s3", "put_object", Bucket=place.bucket, Key=key, Body=body, ContentType="application/json")
    location = f"s3://{place.bucket}/{key}"
    try:
        told = aws.call(SERVICE, "invoke_endpoint_async", EndpointName=place.endpoint, InputLocation=location,
                        ContentType="application/json", Accept="application/json", InvocationTimeoutSeconds=seconds,
                        RequestTTLSeconds=max(60, seconds))
    except AwsError:
        _remove(aws, location)
        raise
    return Queued(aws, location, told["OutputLocation"], told.get("FailureLocation", ""))


def _look(queued: Queued) -> Exchange | None:
    """The answer, the engine's refusal, or None while there is neither. Raises AwsError, GatewayError."""
    output = _read(queued.aws, queued.output)
    if output is not None:
        return whole(200, output)
    failure = _read(queued.aws, queued.failure) if queued.failure else None
    return None if failure is None else whole(502, engine_error(failure, 502))


def _read(aws: Aws, location: str) -> bytes | None:
    try:
        body = aws.call("s3", "get_object", **_object(location))["Body"]
    except AwsError as error:
        if error.problem in ABSENT:
            return None
        raise
    with body, as_aws_error("s3", "get_object"):
        data: bytes = body.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise upstream_unavailable("The model's answer is larger than the portal passes on.")
    return data


def _tidy_when_put(putting: asyncio.Future[Queued]) -> None:
    if not putting.cancelled() and putting.exception() is None:
        threads.submit(_tidy, putting.result())


def _tidy(queued: Queued) -> None:
    """Prompts and answers must not gather in the bucket; a call that still waits there is not run without its input."""
    for location in filter(None, (queued.input, queued.output, queued.failure)):
        _remove(queued.aws, location)


def _remove(aws: Aws, location: str) -> None:
    try:
        aws.call("s3", "delete_object", **_object(location))
    except AwsError as error:
        log.warning("a call was left in S3", extra={"error": str(error)})


def _object(location: str) -> dict[str, str]:
    parts = urlsplit(location)
    return {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}


def _refused(error: AwsError) -> GatewayError:
    if error.problem is AwsProblem.THROTTLED:
        return busy()
    return refusal(Said(400 if error.problem is AwsProblem.NOT_FOUND else 502, error.code, error.message))
