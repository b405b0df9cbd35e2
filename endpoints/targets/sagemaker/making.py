"""Models and configurations, found or made; and the mark of what was tried last."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.aws_errors import AwsError, AwsProblem
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError

from . import names
from .bodies import Body
from .calls import KINDS, Calls
from .errors import unless_gone

CREATE = {"Model": "create_model", "EndpointConfig": "create_endpoint_config"}
DESCRIBE = {"Model": "describe_model", "EndpointConfig": "describe_endpoint_config"}


class Making:
    """Makes what nothing uses yet: neither kind of object can be changed once it is there."""

    def __init__(self, calls: Calls, spec: Spec) -> None:
        self.calls, self.spec = calls, spec

    def make(self, kind: str, body: Body) -> str:
        """Find or create; one of ours that was made otherwise (another role or token) is made anew.

        The ARN of one that was there and is right, "" of a new one. Raises AwsError, and TargetError for one of this name
        that is not ours.
        """
        try:
            self.calls.do(CREATE[kind], **body)
        except AwsError as error:
            if error.problem is not AwsProblem.TAKEN:
                raise
            there = self._there(kind, body)
            if there is None:
                return ""  # Made a moment ago, and not to be seen everywhere yet.
            if covers(there, {key: value for key, value in body.items() if key != "Tags"}):
                return str(there[f"{kind}Arn"])
            self.calls.drop(kind, self._name(kind, body))
            self.calls.do(CREATE[kind], **body)
        return ""

    def make_for_endpoint(self, config: Body) -> None:
        """As `make`, before an endpoint is asked for: it is written down when, unless the configuration's own time says so.

        Whoever takes the endpoint away must not take one that can't be seen yet for one that is not there.
        """
        arn = self.make("EndpointConfig", config)
        if arn:
            self.calls.do("add_tags", ResourceArn=arn, Tags=names.as_list({names.USED: self.calls.aws.now().isoformat()}))

    def _there(self, kind: str, body: Body) -> dict[str, Any] | None:
        _list, _key, parameter, _delete = KINDS[kind]
        name = self._name(kind, body)
        there: dict[str, Any] | None = unless_gone(lambda: self.calls.do(DESCRIBE[kind], **{parameter: name}))
        if there is not None and names.uid_of(self.calls.tags(there[f"{kind}Arn"])) != self.spec.uid:
            raise name_taken(kind, name)
        return there

    @staticmethod
    def _name(kind: str, body: Body) -> str:
        name: str = body[KINDS[kind][2]]
        return name


def mark(calls: Calls, spec: Spec, arn: str, modified: datetime) -> None:
    """Write down what is tried next, and what the object's time was before: the time moves only once the try has begun."""
    word = f"{names.attempt_of(spec)} {modified.isoformat()}"
    calls.do("add_tags", ResourceArn=arn, Tags=names.as_list({names.ATTEMPT: word, names.REVISION: str(spec.wanted.number)}))


def was_tried(tags: Mapping[str, str], spec: Spec, modified: datetime | None = None) -> bool:
    """Whether this very wish was tried; with `modified`, whether the try has begun."""
    word, _space, before = tags.get(names.ATTEMPT, "").partition(" ")
    return word == names.attempt_of(spec) and (modified is None or before != modified.isoformat())


def require_new_try(calls: Calls, spec: Spec, arn: str, modified: datetime, reason: str) -> None:
    """Raises TargetError, permanent, where SageMaker has tried this wish already and gone back."""
    if was_tried(calls.tags(arn), spec, modified):
        raise TargetError(Cause.UPDATE_FAILED, reason or _("SageMaker gave the update up without a reason."), permanent=True)


def name_taken(kind: str, name: str) -> TargetError:
    return TargetError(Cause.NAME_TAKEN, _("%(kind)s %(name)s is there already and is not the portal's.") % {
        "kind": kind, "name": name}, permanent=True)


def covers(there: Any, sent: Any) -> bool:
    """Whether everything that we send is there just so; AWS adds fields of its own."""
    if isinstance(sent, Mapping):
        return isinstance(there, Mapping) and all(covers(there.get(key), value) for key, value in sent.items())
    if isinstance(sent, list):
        return isinstance(there, list) and len(there) == len(sent) and all(map(covers, there, sent))
    return bool(there == sent)
