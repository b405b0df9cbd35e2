"""Prometheus series of the gateway. Labels are routes and classes of status only, never tenants or models."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FIRST_BYTE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

REQUESTS = Counter("portal_gateway_requests", "Requests by route and class of status", ["route", "status"])
IN_FLIGHT = Gauge("portal_gateway_in_flight", "Calls being answered now")
FIRST_BYTE = Histogram("portal_gateway_first_byte_seconds", "Time to the engine's first byte", ["route"],
                       buckets=FIRST_BYTE_BUCKETS)
DURATION = Histogram("portal_gateway_duration_seconds", "Time to the end of the answer", ["route"],
                     buckets=DURATION_BUCKETS)
TOKENS = Counter("portal_gateway_tokens", "Tokens by direction", ["direction"])
RETRIES = Counter("portal_gateway_retries", "Calls sent to an engine a second time")
SNAPSHOT_AGE = Gauge("portal_gateway_snapshot_age_seconds", "Age of what the gateway knows of keys and endpoints")
TUNNELS = Gauge("portal_gateway_tunnels", "Sockets that agents of unreachable hosts keep open", ["state"])

PROMPT_TOKENS = TOKENS.labels("prompt")
COMPLETION_TOKENS = TOKENS.labels("completion")
