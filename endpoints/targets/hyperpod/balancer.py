"""The operator's load balancer: its name, the CA of its certificate, and whether it can be reached from here.

It is internal unless somebody opened it, and its certificate is the operator's own (facts.md, traps 59 and 60).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

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
MOST_CA_BYTES = 64 * 1024
MOST_KEPT = 1000
T = TypeVar("T")


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


class _Kept(Generic[T]):
    """Answers of this process for some seconds; two that ask at once may both ask."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, ...], tuple[float, T]] = {}

    def get(self, key: tuple[str, ...], ask: Callable[[], T]) -> T:
        with self._lock:
            until, known = self._kept.get(key, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        found = ask()
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = time.monotonic() + self._seconds, found
        return found


_authorities: _Kept[str] = _Kept(CA_SECONDS)
_reached: _Kept[str] = _Kept(REACH_SECONDS)


class Balancers:
    """Those of one place. Asks the cluster or AWS only for endpoints that are called by their load balancer."""

    def __init__(self, cluster: Cluster, kube: Kube) -> None:
        self._cluster = cluster
        self._kube = kube
        self._ingresses: dict[str, str] | None = None

    def of(self, config: Config) -> Found:
        """Raises KubeError."""
        host = self._host(config)
        if not host:
            return Found(problem=_("The operator has given it no load balancer yet."))
        try:
            ca = self._ca(config)
        except AwsError as error:
            return Found(host, problem=_("The CA of its load balancer can't be read: %(why)s") % {"why": error.message})
        why = _reached.get((host, ca), lambda: why_unreachable(host, ca))
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
        aws = AwsPlace.objects.filter(cluster=self._cluster).select_related("account").first()
        if told is None or not key or aws is None:
            return ""
        bucket = told.tls_certificate_output_s3_bucket
        return _authorities.get((str(aws.account.uid), bucket, key), lambda: _read(aws, bucket, key))


def _read(place: AwsPlace, bucket: str, key: str) -> str:
    """Raises AwsError."""
    return aws_for(place.account, place.region).object_bytes(bucket, key, most=MOST_CA_BYTES).decode("ascii", "replace")
