"""What rendering needs to know of one cluster, as frozen values: nothing here asks the cluster or the database."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PlaceView:
    """One cluster as the target sees it. `api_addresses` are the IP addresses that its API servers call from."""

    name: str = ""
    server: str = ""
    ca: str = ""
    token: str = field(default="", repr=False)
    client_certificate: str = ""
    client_key: str = field(default="", repr=False)
    # Where an agent inside carries calls in: its uid in hex, and its namespace.
    agent: str = ""
    agent_namespace: str = ""
    capabilities: frozenset[str] = frozenset()
    # Namespace/name of the Gateway that calls enter by; empty for the API server's proxy.
    gateway: str = ""
    cors_origins: tuple[str, ...] = ()
    prometheus: str = ""
    api_addresses: tuple[str, ...] = ()
    all_gpus_simulated: bool = False

    def has(self, capability: str) -> bool:
        """Whether a CRD or controller was found there: keda, gateway, lws, podmonitor, …"""
        return capability in self.capabilities

    @property
    def gateway_namespace(self) -> str:
        return self.gateway.partition("/")[0]

    @property
    def gateway_name(self) -> str:
        return self.gateway.partition("/")[2]

    @property
    def prometheus_namespace(self) -> str:
        """The namespace of an address like http://prometheus.monitoring.svc:9090; "" where it does not say one."""
        host = self.prometheus.partition("://")[2].partition("/")[0].partition(":")[0]
        labels = host.split(".")
        return labels[1] if len(labels) == 2 or labels[2:3] == ["svc"] else ""
