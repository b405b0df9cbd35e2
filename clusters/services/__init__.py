"""Verbs on places and hosts. The doors (admin, API, agent, tasks) call these and nothing else."""

from .cluster_agent import agent_manifest_for, calls_room, enrol_cluster, put_answer, take_calls
from .enrolment import enrol, enrol_this_machine, make_enrolment_token
from .hosts import drain, forget_host, mark_lost_hosts, undrain
from .places import change_place, create_place, delete_place, put_place
from .report import Superseded, sync
from .signed import Refusal, SignedCall, authenticate, authenticate_cluster_agent
from .tunnel import authenticate_tunnel, tunnel_keys
from .wake import waiting_room

__all__ = [
    "Refusal", "SignedCall", "Superseded", "agent_manifest_for", "authenticate", "authenticate_cluster_agent",
    "authenticate_tunnel", "calls_room", "change_place", "create_place", "delete_place", "drain", "enrol",
    "enrol_cluster", "enrol_this_machine", "forget_host", "make_enrolment_token", "mark_lost_hosts", "put_answer",
    "put_place", "sync", "take_calls", "tunnel_keys", "undrain", "waiting_room",
]
