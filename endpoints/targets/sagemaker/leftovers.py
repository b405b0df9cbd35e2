"""What is in the account and belongs to no endpoint any more: found by name and tag, told first, deleted the next time.

A safety net (reliability.md, rule 17): `removing` leaves nothing by itself. The first sighting is written into a tag of the
object, so that any worker can make the second one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from clusters.drivers.aws_errors import AwsError
from endpoints.targets.base import Collected

from . import names, scaling
from .calls import KINDS, Calls
from .errors import is_busy, unless_gone
from .live import DELETING

# Of one pass, so that it ends; the next pass goes on.
MOST_LOOKED_AT = 100


@dataclass(frozen=True)
class Thing:
    """An object with a name that we would give it."""

    kind: str
    name: str
    arn: str

    @property
    def endpoint(self) -> str:
        return names.endpoint_of(self.name)


@dataclass
class Collector:
    """One pass. Nothing is done where a listing fails, or where there is not one row to hold objects against."""

    calls: Calls
    grace: timedelta
    now: datetime = field(default_factory=timezone.now)
    told: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def collect(self, known: Callable[[], Collection[UUID]], knew: Callable[[UUID], bool]) -> Collected:
        """`known` are the uids of all rows, read after the listing: a row is there before its objects.

        `knew` tells of one without a row whether it ever had one. Raises AwsError.
        """
        things = self._listed()
        rows = set(known())
        digests = {names.digest_of(uid) for uid in rows}
        strange = [thing for thing in things if rows and thing.endpoint[-10:] not in digests][:MOST_LOOKED_AT]
        still = {thing.name for thing in things if thing.kind == "Endpoint"}
        for thing in strange:
            tags = self.calls.tags(thing.arn)
            uid = names.uid_of(tags)
            if tags.get(names.OWNER) == names.owner() and uid is not None and uid not in rows and knew(uid):
                self._second_sighting(thing, tags, still)
        return Collected(tuple(self.told), tuple(self.deleted))

    def _listed(self) -> list[Thing]:
        """Endpoints first: what they use must not go before them."""
        found = [Thing("Endpoint", each["EndpointName"], each["EndpointArn"]) for each in self.calls.endpoints()]
        for kind, (_list, _key, parameter, _delete) in KINDS.items():
            found += [Thing(kind, each[parameter], each[f"{kind}Arn"]) for each in self.calls.listed(kind)]
        return [thing for thing in found if thing.endpoint]

    def _second_sighting(self, thing: Thing, tags: names.Tags, still: Collection[str]) -> None:
        since = names.time_in(tags, names.LEFT_OVER)
        if since is None and self.grace:
            self.calls.do("add_tags", ResourceArn=thing.arn, Tags=names.as_list({names.LEFT_OVER: self.now.isoformat()}))
        if self.grace and (since is None or self.now - since < self.grace):
            self.told.append(f"{thing.kind}/{thing.name}")
        elif thing.kind == "Endpoint":
            self._end(thing)
        elif thing.endpoint in still:
            self.told.append(f"{thing.kind}/{thing.name}")
        else:
            self.calls.drop(thing.kind, thing.name)
            self.deleted.append(f"{thing.kind}/{thing.name}")

    def _end(self, thing: Thing) -> None:
        """An endpoint goes in minutes, and its component before it: one step now, the rest in the passes to come."""
        live = self.calls.endpoint(thing.name)
        if live is None or live.status == DELETING:
            return
        resources = [scaling.resource_of(live.name, each.name) for each in live.variants]
        found = self.calls.scalable([*resources, scaling.component_resource(live.name)])
        if found:
            scaling.drop_alarm(self.calls, live.name)
        for each in found:
            scaling.deregister(self.calls, each["ResourceId"])
        component = self.calls.component(live.name) if live.has_components else None
        try:
            if component is not None:
                unless_gone(lambda: self.calls.do("delete_inference_component", InferenceComponentName=live.name))
            else:
                unless_gone(lambda: self.calls.do("delete_endpoint", EndpointName=live.name))
                self.deleted.append(f"{thing.kind}/{thing.name}")
        except AwsError as error:
            if not is_busy(error):
                raise
