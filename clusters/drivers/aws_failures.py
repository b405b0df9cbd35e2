"""What botocore raises, as the door's own error. Its texts quote addresses and values, so they are not passed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _

from portal.tenancy.text import clean

from . import aws_sdk
from .aws_errors import AwsError, AwsProblem, error_of_answer, unreachable
from .aws_params import check_params


@contextmanager
def as_aws_error(service: str, operation: str, params: dict[str, Any] | None = None) -> Iterator[None]:
    """Around whatever asks botocore. Raises AwsError."""
    errors = aws_sdk.sdk().exceptions
    try:
        yield
    except errors.ClientError as error:
        raise error_of_answer(error.response, service, operation, hidden=variables_in(params)) from None
    except errors.ParamValidationError:
        faults = "; ".join(check_params(service, operation, params or {})) or _("A parameter has the wrong shape.")
        raise AwsError(AwsProblem.INVALID, clean(faults, 1000), service=service, operation=operation) from None
    except (errors.HTTPClientError, errors.ConnectionError, errors.IncompleteReadError) as error:
        raise unreachable(_why(error, errors), service, operation) from None
    except errors.BotoCoreError as error:
        raise AwsError(AwsProblem.AUTH, _("This machine can't sign in to AWS (%(why)s).") % {"why": type(error).__name__},
                       service=service, operation=operation) from None
    except aws_sdk.sdk().parsers.ResponseParserError:
        raise unreachable("no answer of AWS", service, operation) from None


def variables_in(params: Any) -> list[str]:
    """The values of a container's environment, where tokens stand and which a refusal of AWS quotes as a whole."""
    if isinstance(params, Mapping):
        own = params.get("Environment")
        found = [str(value) for value in own.values()] if isinstance(own, Mapping) else []
        return found + [value for part in params.values() for value in variables_in(part)]
    if isinstance(params, list | tuple):
        return [value for part in params for value in variables_in(part)]
    return []


def _why(error: Any, errors: Any) -> str:
    if isinstance(error, errors.ConnectTimeoutError | errors.ReadTimeoutError):
        return "timeout"
    if isinstance(error, errors.SSLError):
        return "tls"
    return "refused" if isinstance(error, errors.EndpointConnectionError) else "reset"
