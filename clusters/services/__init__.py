"""Verbs on places and hosts. The doors (admin, API, agent, tasks) call these and nothing else."""

from .enrolment import enrol, enrol_this_machine, make_enrolment_token
from .hosts import drain, forget_host, mark_lost_hosts, undrain
from .places import change_place, create_place, delete_place, put_place
from .report import Superseded, sync
from .signed import Refusal, SignedCall, authenticate
from .tunnel import authenticate_tunnel, tunnel_keys
from .wake import waiting_room

__all__ = [
    "Refusal", "SignedCall", "Superseded", "authenticate", "authenticate_tunnel", "change_place",
    "create_place", "delete_place", "drain", "enrol", "enrol_this_machine", "forget_host",
    "make_enrolment_token", "mark_lost_hosts", "put_place", "sync", "tunnel_keys", "undrain", "waiting_room",
]
