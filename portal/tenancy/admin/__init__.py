"""The admin of people, workspaces, keys and the audit."""

from . import audit, keys, people, workspaces

__all__ = ["audit", "keys", "people", "workspaces"]
