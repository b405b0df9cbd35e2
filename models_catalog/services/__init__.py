"""Verbs on the catalogue, and the frozen copy of a profile that a revision keeps.

A `put_…` takes a new or changed row, checks it whole, and writes it with its audit entry.
"""

from .serving import (
    change_profile,
    create_artifact,
    create_profile,
    delete_artifact,
    delete_profile,
    put_artifact,
    put_profile,
    set_artifact_token,
)
from .shelf import (
    change_model,
    change_release,
    change_vendor,
    create_model,
    create_release,
    create_vendor,
    delete_model,
    delete_release,
    delete_vendor,
    put_model,
    put_release,
    put_vendor,
    set_registry_login,
    shelve,
    unshelve,
)
from .spec import revision_spec

__all__ = [
    "change_model", "change_profile", "change_release", "change_vendor", "create_artifact", "create_model",
    "create_profile", "create_release", "create_vendor", "delete_artifact", "delete_model", "delete_profile",
    "delete_release", "delete_vendor", "put_artifact", "put_model", "put_profile", "put_release", "put_vendor",
    "revision_spec", "set_artifact_token", "set_registry_login", "shelve", "unshelve",
]
