"""The admin of places, nodes, hosts and engines."""

from . import devices, engines, hosts, nodes, places

__all__ = ["devices", "engines", "hosts", "nodes", "places"]
