"""The one door to Kubernetes APIs, over the official client's connection pool.

``kube_for(cluster)`` gives the `Kube` of a place; it is kept, with its open connections, until the place's address or
credential changes. Every error is a `KubeError`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import urllib3
from django.utils.translation import gettext as _

from clusters.models import Cluster, KubernetesAccess
from clusters.states import Through
from portal.tenancy.errors import Invalid
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.net import check_url, checked_addresses

from .aws_errors import AwsError, AwsProblem
from .eks import eks_identity, place_in, token_for
from .kube_client import Kube, Listing
from .kube_errors import KubeError, Problem
from .kube_relay import RelayTransport
from .kube_transport import (
    CONNECT,
    MOST_BYTES,
    READ,
    Answer,
    Budget,
    Request,
    Transport,
    network_error,
    read_chunks,
    spending,
    tls_context,
    unpack,
)

__all__ = ["DirectTransport", "Kube", "KubeError", "Listing", "Problem", "forget", "kube_for", "transports"]

CONNECTIONS = 16  # kept open to one API
_importing = threading.Lock()


class DirectTransport:
    """Calls the API server's address. The name is resolved and judged once for each pool (threats T17-T19)."""

    def __init__(self, server: str, *, ca: str = "", token: str = "", certificate: str = "", key: str = "",
                 bearer: Callable[[], str] | None = None) -> None:
        """`bearer` makes the token of each call where it doesn't live long; it may raise KubeError.

        Raises KubeError for an address that is not allowed, and for PEM that can't be read.
        """
        try:
            self._url = check_url(server)
        except Invalid as error:
            raise KubeError(Problem.UNREACHABLE, error.message) from error
        if not (token.isascii() and token.isprintable()):  # an error of the HTTP library would quote it
            raise KubeError(Problem.AUTH, _("The stored token has characters that no token has. Enter it again."))
        self._context = tls_context(ca, certificate, key)
        self._bearer = bearer or (lambda: token)
        self._lock = threading.Lock()
        self._pool: tuple[Any, list[str]] | None = None

    def send(self, request: Request, budget: Budget, most_bytes: int = MOST_BYTES) -> Answer:
        try:
            with spending(budget):
                response, body = self._whole(request, budget, most_bytes)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise self._broken(error) from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, unpack(body, headers.get("content-encoding", ""), most_bytes))

    def _whole(self, request: Request, budget: Budget, most_bytes: int) -> tuple[Any, bytes]:
        """Reading is repeated once when the connection breaks: the server may have closed it while nobody looked."""
        try:
            return self._read(request, budget, most_bytes)
        except urllib3.exceptions.ProtocolError:
            if request.method != "GET":
                raise
            return self._read(request, budget, most_bytes)

    def _read(self, request: Request, budget: Budget, most_bytes: int) -> tuple[Any, bytes]:
        response = self._open(request, budget)
        try:
            return response, b"".join(read_chunks(response, most_bytes))
        finally:
            _end(response)

    def stream(self, request: Request, budget: Budget, most_bytes: int) -> tuple[int, Iterator[bytes]]:
        """The status, and the body while it comes, unpacked; it ends without an error when the budget is used up."""
        plain = Request(request.method, request.path, request.query, {**request.headers, "accept-encoding": "identity"})
        try:
            with spending(head := Budget()):
                response = self._open(plain, head)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise self._broken(error) from None
        return response.status, self._chunks(response, budget, most_bytes)

    def _chunks(self, response: Any, budget: Budget, most_bytes: int) -> Iterator[bytes]:
        chunks = read_chunks(response, most_bytes)
        try:
            while True:
                try:
                    with spending(budget):
                        chunk = next(chunks, b"")
                except (TimeoutError, urllib3.exceptions.ReadTimeoutError):
                    return
                except (OSError, urllib3.exceptions.HTTPError) as error:
                    raise self._broken(error) from None
                if not chunk:
                    return
                yield chunk
        finally:
            response.close()

    def _open(self, request: Request, budget: Budget) -> Any:
        """The answer's head. The next address is tried only where the one before took no connection."""
        manager, addresses = self._resolved()
        for address in addresses[:-1]:
            try:
                return self._ask(manager, address, request, budget)
            except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
                continue
        return self._ask(manager, addresses[-1], request, budget)

    def _ask(self, manager: Any, address: str, request: Request, budget: Budget) -> Any:
        host = f"[{address}]" if ":" in address else address
        timeout = urllib3.Timeout(connect=budget.left(CONNECT), read=budget.left(READ))
        # No redirect is followed and nothing is repeated behind our back.
        return manager.urlopen(
            request.method, f"https://{host}:{self._url.port}{self._url.path}{request.target}", body=request.body or None,
            headers=self._headers(request), timeout=timeout, preload_content=False, redirect=False, retries=False)

    def _headers(self, request: Request) -> dict[str, str]:
        name = f"[{self._url.host}]" if ":" in self._url.host else self._url.host
        headers = {**request.headers, "host": f"{name}:{self._url.port}"}
        token = self._bearer()
        return headers | ({"authorization": f"Bearer {token}"} if token else {})

    def _resolved(self) -> tuple[Any, list[str]]:
        with self._lock:
            if self._pool is None:
                try:
                    addresses = checked_addresses(self._url.host, self._url.port)
                except Invalid as error:
                    raise KubeError(Problem.UNREACHABLE, error.message) from error
                self._pool = _manager(self._url.host, self._context), addresses
            return self._pool

    def _broken(self, error: BaseException) -> KubeError:
        """The next call resolves the name again: the server may have moved."""
        self.close()
        return network_error(error)

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool[0].clear()


def _manager(host: str, context: Any) -> Any:
    """The official client's pool, which checks certificates against `host` whatever address it connects to."""
    # Imported here, because it costs 20 MB that a process which asks no cluster should not pay; and by one thread at a
    # time, because the package's modules import each other, and a second thread would see them half made.
    with _importing:
        from kubernetes.client import Configuration
        from kubernetes.client.rest import RESTClientObject

    configuration = Configuration(host=f"https://{host}", tls_server_name=host, connection_pool_maxsize=CONNECTIONS,
                                  retries=False)
    configuration.proxy = None  # one from the environment would see every call and take our checked address from us
    configuration.keep_alive = True
    manager = RESTClientObject(configuration).pool_manager
    manager.connection_pool_kw["ssl_context"] = context  # made once; the package would make one for each connection
    return manager


def _end(response: Any) -> None:
    """Give the connection back if its answer was read to the end, else close it."""
    if not response.closed and response.length_remaining != 0:
        response.close()
    response.release_conn()


def direct(access: KubernetesAccess) -> Transport:
    return DirectTransport(access.server, ca=access.ca, token=access.secret("token"),
                           certificate=access.client_certificate, key=access.secret("client_key"))


def relayed(access: KubernetesAccess) -> Transport:
    return RelayTransport(access.cluster_id)


class EksTransport(DirectTransport):
    """An EKS cluster's API server; the token of a call that it refused is not used again."""

    def __init__(self, access: KubernetesAccess) -> None:
        self._place = place_in(access.cluster)
        super().__init__(access.server, ca=access.ca, bearer=self._token)

    def _token(self, *, fresh: bool = False) -> str:
        try:
            return token_for(self._place, fresh=fresh).text
        except AwsError as error:
            raise KubeError(_PROBLEM_OF.get(error.problem, Problem.AUTH), error.message,
                            retry_after=error.retry_after) from None

    def send(self, request: Request, budget: Budget, most_bytes: int = MOST_BYTES) -> Answer:
        answer = super().send(request, budget, most_bytes)
        if answer.status == 401:
            self._token(fresh=True)
        return answer


_PROBLEM_OF = {AwsProblem.THROTTLED: Problem.BUSY, AwsProblem.UNREACHABLE: Problem.UNREACHABLE}

# How each kind of road is made.
transports: dict[str, Callable[[KubernetesAccess], Transport]] = {
    Through.DIRECT: direct, Through.AGENT: relayed, Through.EKS: EksTransport}

Identity = tuple[str, ...]


@dataclass(frozen=True)
class _Kept:
    identity: Identity
    kube: Kube


_kept: dict[int, _Kept] = {}
_lock = threading.Lock()
os.register_at_fork(after_in_child=_kept.clear)  # two processes must not write to one connection


def kube_for(cluster: Cluster) -> Kube:
    """The API of this place, by the row as it is now: one query. Raises KubeError."""
    access = _access(cluster.pk)
    with _lock:
        kept = _kept.get(cluster.pk)
        if kept is not None and kept.identity == _identity(access):
            return kept.kube
        fresh = _Kept(_identity(access), Kube(lambda: _connect(cluster.pk)))
        _kept[cluster.pk] = fresh
    if kept is not None:
        kept.kube.close()
    return fresh.kube


def forget(cluster: Cluster) -> None:
    """Close what is kept for this place: breaker, missing rights and connections begin anew."""
    with _lock:
        kept = _kept.pop(cluster.pk, None)
    if kept is not None:
        kept.kube.close()


def _access(cluster_pk: int) -> KubernetesAccess:
    access = KubernetesAccess.objects.filter(cluster=cluster_pk).select_related("cluster__aws__account").first()
    if access is None:
        raise KubeError(Problem.UNREACHABLE, _("This place has no Kubernetes API yet. Connect it first."))
    return access


def _identity(access: KubernetesAccess) -> Identity:
    """All that a road is made of, secrets as they are stored."""
    own = (str(access.pk), access.through, access.server, access.ca, access.client_certificate, access.token,
           access.client_key)
    return own + eks_identity(access.cluster) if access.through == Through.EKS else own


def _connect(cluster_pk: int) -> Transport:
    access = _access(cluster_pk)
    try:
        return transports[access.through](access)
    except SecretUnreadable as error:
        raise KubeError(Problem.AUTH, _("The stored credential can't be read. Enter it again.")) from error
    except KeyError as error:
        raise KubeError(Problem.UNREACHABLE, _("This kind of connection is not supported here.")) from error
