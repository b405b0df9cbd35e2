"""The operator's load balancer: its name, the CA of its certificate, and whether it can be reached from here.

It is internal unless somebody opened it, and its certificate is the operator's own (facts.md, traps 59 and 60).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from clusters.drivers.aws import AwsError, aws_for
from clusters.drivers.kinds import INGRESS
from clusters.drivers.kube import Kube
from clusters.drivers.reach import why_unreachable
from clusters.models import AwsPlace, Cluster
from endpoints.targets.kubernetes.seen import Meta, Struct

from .names import OPERATOR_NAMESPACE
from .seen import Config

CA_SECONDS, REACH_SECONDS = 3600.0, 60.0
# One that fails is asked again so soon; one that answered before has to fail twice.
AGAIN_SECONDS = 10.0
# For all handshakes of one look, which has a lease: those that are left come with the next one.
LOOK_SECONDS = 6.0
MOST_CA_BYTES = 64 * 1024
MOST_KEPT = 1000


@dataclass(frozen=True)
class Found:
    """`problem` says why it can't be called."""

    host: str = ""
    ca: str = ""
    problem: str = ""


class _Address(Struct, frozen=True):
    hostname: str = ""


class _Balancer(Struct, frozen=True):
    ingress: list[_Address] | None = None


class _IngressStatus(Struct, frozen=True):
    load_balancer: _Balancer = _Balancer()


class Ingress(Struct, frozen=True):
    metadata: Meta = Meta()
    status: _IngressStatus = _IngressStatus()

    @property
    def host(self) -> str:
        return next((each.hostname for each in self.status.load_balancer.ingress or () if each.hostname), "")


@dataclass(frozen=True)
class _Answer:
    """`text` holds until `until`; `failures` since it was found."""

    text: str
    until: float
    failures: int = 0


class _Answers:
    """What this process knows of load balancers; two that ask at once may both ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, ...], _Answer] = {}

    def get(self, *key: str) -> _Answer | None:
        return self._kept.get(key)

    def put(self, *key: str, text: str, seconds: float, failures: int = 0) -> str:
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = _Answer(text, time.monotonic() + seconds, failures)
        return text


_authorities, _reached = _Answers(), _Answers()


class Balancers:
    """Those of one place. Asks the cluster or AWS only for endpoints that are called by their load balancer."""

    def __init__(self, cluster: Cluster, kube: Kube) -> None:
        self._cluster = cluster
        self._kube = kube
        self._ingresses: dict[str, str] | None = None
        self._end = 0.0

    @cached_property
    def _aws(self) -> AwsPlace | None:
        return AwsPlace.objects.filter(cluster=self._cluster).select_related("account").first()

    def of(self, config: Config) -> Found:
        """Raises KubeError."""
        host = self._host(config)
        if not host:
            return Found(problem=_("The operator has given it no load balancer yet."))
        try:
            ca = self._ca(config)
        except AwsError as error:
            return Found(host, problem=_("The CA of its load balancer can't be read: %(why)s") % {"why": error.message})
        why = self._why_unreachable(host, ca)
        return Found(host, ca, _("Its load balancer can't be reached from the portal: %(why)s. It is inside the cluster's "
                                 "network: let the portal into it, or choose another entrance.") % {"why": why} if why else "")

    def _host(self, config: Config) -> str:
        """The certificate's first name is that of the load balancer, else its Ingress knows it."""
        names = config.status.tls_certificate.certificate_domain_names if config.status.tls_certificate else None
        if names:
            return names[0]
        if self._ingresses is None:
            listing = self._kube.list(INGRESS, Ingress, namespace=OPERATOR_NAMESPACE)
            self._ingresses = {each.metadata.name: each.host for each in listing.items}
        return self._ingresses.get(f"alb-{config.metadata.name}-{config.metadata.namespace}", "")

    def _ca(self, config: Config) -> str:
        """The PEM that the operator has put into S3; "" for an own certificate, which public CAs vouch for."""
        told = config.status.tls_certificate
        key = next((each for each in (told.tls_certificate_s3_keys if told else None) or () if each.endswith(".pem")), "")
        if told is None or not key or self._aws is None:
            return ""
        return _authority(self._aws, told.tls_certificate_output_s3_bucket, key)

    def _why_unreachable(self, host: str, ca: str) -> str:
        """"" where a handshake succeeded lately. One failure of a host that answered before may be a passing one."""
        known, now = _reached.get(host, ca), time.monotonic()
        if known is not None and now < known.until:
            return known.text
        self._end = self._end or now + LOOK_SECONDS
        if now > self._end:
            return known.text if known is not None else _("it was not tried yet")
        found = why_unreachable(host, ca)
        if found and known is not None and not known.text and not known.failures:
            return _reached.put(host, ca, text="", seconds=AGAIN_SECONDS, failures=1)
        return _reached.put(host, ca, text=found, seconds=REACH_SECONDS)


def _authority(place: AwsPlace, bucket: str, key: str) -> str:
    """The one that was read before holds where AWS is busy now. Raises AwsError where none was read yet."""
    name = (str(place.account.uid), bucket, key)
    known = _authorities.get(*name)
    if known is not None and time.monotonic() < known.until:
        return known.text
    try:
        found = _read(place, bucket, key)
    except AwsError:
        if known is None:
            raise
        return _authorities.put(*name, text=known.text, seconds=REACH_SECONDS)
    return _authorities.put(*name, text=found, seconds=CA_SECONDS)


def _read(place: AwsPlace, bucket: str, key: str) -> str:
    """Raises AwsError."""
    return aws_for(place.account, place.region).object_bytes(bucket, key, most=MOST_CA_BYTES).decode("ascii", "replace")
