"""Verbs on the catalogue, and the frozen copy of a profile that a revision keeps."""

from .spec import revision_spec

__all__ = ["revision_spec"]
