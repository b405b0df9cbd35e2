"""Prometheus series of the spool, in each gateway process."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

WAITING = Gauge("portal_gateway_spool_records", "Ended calls that are in this process's spool and not yet in the database")
SIZE = Gauge("portal_gateway_spool_bytes", "Room that this process's spool takes on the disk")
BOOKED_AT = Gauge("portal_gateway_spool_booked_timestamp_seconds", "When the spool was last empty or written to the database")
LOST = Counter("portal_gateway_spool_lost", "Ended calls that were not recorded, because the disk was full or a file torn")
ADOPTED = Counter("portal_gateway_spool_adopted", "Spools of dead processes that this process has booked")
