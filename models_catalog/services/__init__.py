"""Verbs on the catalogue, and the frozen copy of a profile that a revision keeps.

A `put_…` takes a new or changed row, checks it whole, and writes it with its audit entry.
"""

from .copies import default_size, has_copy, preheat, remove_copy, retry_copy, users_of, weights_for
from .copy_keeper import look_at_copies, sweep_copies
from .jumpstart import (
    HubPage,
    accept_licence,
    browse,
    has_accepted,
    hub_details,
    licence_text,
    read_and_accept,
    shelve_hub_model,
)
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
    "HubPage", "accept_licence", "browse", "change_model", "change_profile", "change_release", "change_vendor",
    "create_artifact", "create_model", "create_profile", "create_release", "create_vendor", "default_size",
    "delete_artifact", "delete_model", "delete_profile", "delete_release", "delete_vendor", "has_accepted", "has_copy",
    "hub_details", "licence_text", "look_at_copies", "preheat", "put_artifact", "put_model", "put_profile",
    "put_release", "put_vendor", "read_and_accept", "remove_copy", "retry_copy", "revision_spec", "set_artifact_token",
    "set_registry_login", "shelve", "shelve_hub_model", "sweep_copies", "unshelve", "users_of", "weights_for",
]
