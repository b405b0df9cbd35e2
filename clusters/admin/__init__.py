"""The admin of places, nodes, hosts and engines."""

from . import aws_accounts, devices, engines, hosts, nodes, places

__all__ = ["aws_accounts", "devices", "engines", "hosts", "nodes", "places"]
