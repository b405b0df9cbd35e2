"""The way in by a Gateway: one HTTPRoute an endpoint, by a path of its own.

A path and not a host name: it needs no DNS entry and no certificate an endpoint, and the address in the Gateway's
status is enough to call it. Only /v1 is routed, because an engine's key protects nothing else.
"""

from __future__ import annotations

from typing import Any

from clusters.drivers.kinds import GATEWAY, HTTP_ROUTE
from endpoints.targets.base import Spec

from .engine import PORT
from .names import manifest
from .place import PlaceView

# A route has at most 16 rules; one of ours is for callers that send no known origin.
MOST_ORIGINS = 15
ALLOW_ORIGIN = "Access-Control-Allow-Origin"
# As in the Hydra guide, with the one header that a browser never counts under “*”.
CORS_HEADERS = [
    {"name": "Access-Control-Allow-Headers", "value": "*, Authorization"},
    {"name": "Access-Control-Allow-Methods", "value": "*"},
]


def prefix(spec: Spec) -> str:
    return f"/{spec.namespace}/{spec.object_name}"


def http_route(spec: Spec, place: PlaceView) -> dict[str, Any]:
    rules = [_rule(spec, origin) for origin in place.cors_origins[:MOST_ORIGINS]]
    return manifest(HTTP_ROUTE, spec, spec.object_name, spec={
        "parentRefs": [{"group": GATEWAY.group, "kind": GATEWAY.kind, "name": place.gateway_name,
                        "namespace": place.gateway_namespace}],
        "rules": [*rules, _rule(spec, "")],
    })


def _rule(spec: Spec, origin: str) -> dict[str, Any]:
    """One rule for each origin, because a fixed header can name one only; engines allow every origin by themselves."""
    match: dict[str, Any] = {"path": {"type": "PathPrefix", "value": f"{prefix(spec)}/v1"}}
    if origin:
        match["headers"] = [{"type": "Exact", "name": "Origin", "value": origin}]
        headers: dict[str, Any] = {"set": [*CORS_HEADERS, {"name": ALLOW_ORIGIN, "value": origin}],
                                   "add": [{"name": "Vary", "value": "Origin"}]}
    else:
        headers = {"set": CORS_HEADERS, "remove": [ALLOW_ORIGIN]}
    return {
        "matches": [match],
        "filters": [
            {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v1"}}},
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": headers},
        ],
        "backendRefs": [{"group": "", "kind": "Service", "name": spec.object_name, "port": PORT, "weight": 1}],
        # An answer may take as long as it takes: the portal's own gateway has the limits.
        "timeouts": {"request": "0s", "backendRequest": "0s"},
    }
