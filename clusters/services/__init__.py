"""Verbs on places and hosts. The doors (admin, API, agent, tasks) call these and nothing else."""

from .ask import check_place, refresh_place
from .aws_accounts import change_account, create_account, delete_account, put_account
from .aws_check import AccountCheck, check_account, look_at_account, look_at_accounts
from .aws_places import (
    Found,
    Repair,
    RepairAnswer,
    check_sagemaker,
    discover,
    endpoints_on,
    import_hyperpod,
    look_at_all,
    look_at_place,
    repair,
    require_deployable,
    resize,
    set_up_aws,
    who_is_hurt,
    why_not_deployable,
)
from .check import Check, check_access, note_reach
from .cluster_agent import agent_manifest_for, calls_room, enrol_cluster, put_answer, take_calls
from .connect import access_of, configure, connect, connect_kubeconfig, connect_through_agent, credential_kind, set_up
from .enrolment import enrol, enrol_this_machine, make_enrolment_token
from .hosts import drain, forget_host, mark_lost_hosts, undrain
from .inventory_kube import refresh_inventories, refresh_inventory
from .namespaces import NameTaken, ensure_namespace, forget_namespace
from .place_rows import put_place
from .places import change_place, create_place, delete_place, forget_place, is_empty, orphans
from .report import Superseded, sync
from .signed import Refusal, SignedCall, authenticate, authenticate_cluster_agent
from .tunnel import authenticate_tunnel, tunnel_keys
from .wake import waiting_room

__all__ = [
    "AccountCheck", "Check", "Found", "NameTaken", "Refusal", "Repair", "RepairAnswer", "SignedCall", "Superseded",
    "access_of", "agent_manifest_for", "authenticate", "authenticate_cluster_agent", "authenticate_tunnel",
    "calls_room", "change_account", "change_place", "check_access", "check_account", "check_place",
    "check_sagemaker", "configure", "connect", "connect_kubeconfig", "connect_through_agent", "create_account",
    "create_place", "credential_kind", "delete_account", "delete_place", "discover", "drain", "endpoints_on",
    "enrol", "enrol_cluster", "enrol_this_machine", "ensure_namespace", "forget_host", "forget_namespace",
    "forget_place", "import_hyperpod", "is_empty", "look_at_account", "look_at_accounts", "look_at_all",
    "look_at_place", "make_enrolment_token", "mark_lost_hosts", "note_reach", "orphans", "put_account", "put_answer",
    "put_place", "refresh_inventories", "refresh_inventory", "refresh_place", "repair", "require_deployable",
    "resize", "set_up", "set_up_aws", "sync", "take_calls", "tunnel_keys", "undrain", "waiting_room", "who_is_hurt",
    "why_not_deployable",
]
