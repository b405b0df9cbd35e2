"""The admin of places, nodes, hosts and engines."""

from . import devices, engines, hosts, places

__all__ = ["devices", "engines", "hosts", "places"]
