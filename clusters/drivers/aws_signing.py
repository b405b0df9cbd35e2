"""What the gateway needs of AWS's wire: signed requests, and the frames in which answers are streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from . import aws_sdk
from .aws_errors import AwsError, AwsProblem


def sign(
    credentials: Any, method: str, url: str, headers: Mapping[str, str], body: bytes, *, service: str, region: str,
) -> dict[str, str]:
    """`headers` with those that sign the request by SigV4. `service` is the name to sign for, such as sagemaker."""
    sdk = aws_sdk.sdk()
    keys = sdk.credentials.Credentials(credentials.access_key_id, credentials.secret_access_key,
                                       credentials.session_token or None)
    request = sdk.awsrequest.AWSRequest(method, url, headers=dict(headers), data=body)
    sdk.auth.SigV4Auth(keys, service, region).add_auth(request)
    return dict(request.headers.items())


class EventStream:
    """Reads an answer of the type application/vnd.amazon.eventstream while it comes in."""

    def __init__(self) -> None:
        self._buffer = aws_sdk.sdk().eventstream.EventStreamBuffer()

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """The events that are whole now: type of the event, exception or error, and its payload.

        Raises AwsError where the bytes are no event stream.
        """
        try:
            self._buffer.add_data(data)
            return [(_type_of(event.headers), event.payload) for event in self._buffer]
        except aws_sdk.sdk().eventstream.ParserError as error:
            raise AwsError(AwsProblem.OTHER, _("The answer's event stream is broken."),
                           code=type(error).__name__) from None


def _type_of(headers: Mapping[str, Any]) -> str:
    return next((str(headers[name]) for name in (":event-type", ":exception-type", ":error-code") if name in headers), "")
