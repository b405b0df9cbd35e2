"""The admin of places, nodes, hosts and engines."""

from . import engines, hosts, places

__all__ = ["engines", "hosts", "places"]
