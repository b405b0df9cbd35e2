"""Connecting a cluster: credentials go in and never out, a test names what is missing, the least rights are enough."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from clusters import rbac, services
from clusters.capabilities import FAKE_GPU_LABEL
from clusters.drivers import kinds, kube
from clusters.models import Cluster, KubernetesAccess
from clusters.services.check import note_reach
from clusters.states import ClusterKind, Reach, Through
from endpoints import services as endpoints
from endpoints.models import Endpoint
from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, PortalError, Unavailable
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, make_cluster, make_profile
from tests.clusters.pems import NOW, jwt, pair
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator, cpu_node, gpu_node

pytestmark = pytest.mark.both_databases
SERVER, OTHER = "https://10.0.0.1:6443", "https://10.0.0.2:6443"
numbers = itertools.count()


@pytest.fixture
def place(db: None) -> Cluster:
    return make_cluster("kube", kind=ClusterKind.KUBERNETES)


@pytest.fixture(scope="module")
def bare_sim() -> Iterator[Simulator]:
    """A cluster with nothing but its own kinds."""
    with Simulator(nodes=[cpu_node("cpu-a")], crds=None) as sim:
        yield sim


def access_of(place: Cluster) -> KubernetesAccess:
    return KubernetesAccess.objects.get(cluster=place)


# What goes in.


def test_a_token_is_kept_encrypted_and_in_no_audit(place: Cluster) -> None:
    services.connect(PORTAL, place, server=f"{SERVER}/", ca=pair()[0], token="a-secret-token")
    access = access_of(place)
    assert (access.server, access.secret("token"), services.credential_kind(access)) == (SERVER, "a-secret-token", "token")
    assert "a-secret-token" not in access.token
    entry = AuditEntry.objects.get()
    assert entry.verb == "connect cluster"
    assert (entry.after["server"], entry.after["credential"]) == (SERVER, "token")
    assert "a-secret-token" not in str((entry.before, entry.after))


def test_a_client_certificate_takes_the_place_of_a_token(place: Cluster) -> None:
    services.connect(PORTAL, place, server=SERVER, token="t")
    certificate, key = pair()
    services.connect(PORTAL, place, client_certificate=certificate, client_key=key)
    access = access_of(place)
    assert (access.token, access.client_certificate, access.secret("client_key")) == ("", certificate, key)
    assert key not in str(list(AuditEntry.objects.values()))


def test_with_another_server_the_credential_must_be_entered_again(place: Cluster) -> None:
    services.connect(PORTAL, place, server=SERVER, token="t")
    for server in (OTHER, "https://10.0.0.1:8443", "https://kube.example"):
        with pytest.raises(Invalid, match=r"\Aserver changed: enter the credential again\Z"):
            services.connect(PORTAL, place, server=server)
    assert access_of(place).server == SERVER
    services.connect(PORTAL, place, server=OTHER, token="u")
    assert access_of(place).secret("token") == "u"


def test_a_new_ca_keeps_the_credential(place: Cluster) -> None:
    services.connect(PORTAL, place, server=SERVER, ca=pair()[0], token="t")
    new = pair(ends=100)[0]
    services.connect(PORTAL, place, ca=new)
    access = access_of(place)
    assert (access.ca, access.secret("token")) == (new, "t")


def test_an_agent_needs_no_credential_and_forgets_the_one_before(place: Cluster) -> None:
    services.connect(PORTAL, place, server=SERVER, token="t")
    services.connect_through_agent(PORTAL, place)
    access = access_of(place)
    assert (access.through, access.server, access.token) == (Through.AGENT, "", "")


def test_only_operators_connect_and_only_places_with_a_kubernetes_api(place: Cluster, cast: Cast) -> None:
    for act in (lambda actor: services.connect(actor, place, server=SERVER, token="t"),
                lambda actor: services.connect_kubeconfig(actor, place, "x"), lambda actor: services.configure(actor, place),
                lambda actor: services.check_place(actor, place), lambda actor: services.refresh_place(actor, place),
                lambda actor: services.forget_place(actor, place)):
        with pytest.raises(NotAllowed):
            act(cast.actor("alice"))
    with pytest.raises(Invalid) as refused:
        services.connect(PORTAL, make_cluster("hosts"), server=SERVER, token="t")
    assert refused.value.field == "kind"


def test_a_token_that_ends_soon_is_kept_with_a_warning(place: Cluster) -> None:
    warnings = services.connect(PORTAL, place, server=SERVER, token=jwt(exp=NOW.timestamp() + 3600))
    assert [text[:22] for text in warnings] == ["This token expires on "]


CHOICES: list[tuple[dict[str, Any], str]] = [
    ({"gateway": "no-namespace"}, "gateway"), ({"gateway": "a/b/c"}, "gateway"),
    ({"cors_origins": ["ftp://x"]}, "cors_origins"),
    ({"cors_origins": ["https://x.example/path"]}, "cors_origins"), ({"prometheus": "file:///etc"}, "prometheus"),
    ({"prometheus": "http://169.254.169.254"}, "prometheus"), ({"gateway": "g" * 131}, "gateway"),
]


@pytest.mark.parametrize(("values", "field"), CHOICES)
def test_a_bad_choice_is_refused_at_its_field(place: Cluster, values: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.configure(PORTAL, place, **values)
    assert refused.value.field == field
    assert not KubernetesAccess.objects.exists()


def test_good_choices_are_kept(place: Cluster, cast: Cast) -> None:
    services.configure(PORTAL, place, gateway="infra/main", cors_origins=["https://chat.example/", "*"], imports_to=cast.alpha,
                       prometheus="http://prometheus.monitoring:9090/")
    access = access_of(place)
    assert (access.gateway, access.cors_origins) == ("infra/main", ["https://chat.example", "*"])
    assert (access.imports_to, access.prometheus) == (cast.alpha, "http://prometheus.monitoring:9090")


def test_two_ways_at_once_are_refused(place: Cluster) -> None:
    with pytest.raises(Invalid, match="one of them"):
        services.set_up(PORTAL, place, {"kubeconfig": "x", "token": "t"})


# What a test finds.


def connected(sim: Simulator, *, client_certificate: bool = False) -> Cluster:
    cluster = make_cluster(f"kube-{next(numbers)}", kind=ClusterKind.KUBERNETES)
    services.connect_kubeconfig(PORTAL, cluster, sim.kubeconfig(client_certificate=client_certificate))
    kube.forget(cluster)
    return cluster


@pytest.mark.parametrize("by_certificate", [False, True])
def test_an_administrator_by_kubeconfig_lacks_nothing(db: None, kube_sim: Simulator, by_certificate: bool) -> None:
    place = connected(kube_sim, client_certificate=by_certificate)
    found = services.check_place(PORTAL, place)
    assert (found.reach, found.missing_rights) == (Reach.OK, [])
    assert found.message.startswith("The client certificate expires on" if by_certificate else "")
    access = access_of(place)
    assert (access.reach, access.version) == (Reach.OK, found.version)
    assert found.version.startswith("v1.")
    assert access.checked_at is not None


@pytest.mark.needs_simulator
def test_what_a_cluster_has_beside_kubernetes_is_found(db: None, kube_sim: Simulator) -> None:
    place = connected(kube_sim)
    services.check_place(PORTAL, place)
    access = access_of(place)
    there = {name for name, one in access.capabilities.items() if one["found"]}
    assert there >= {"keda", "gateway", "lws", "dataset", "vllmcluster", "hyperpod"}
    assert not access.has("fake_gpu")


def test_a_bare_cluster_has_no_capabilities_and_needs_no_rights_on_them(db: None, bare_sim: Simulator) -> None:
    found = services.check_access(connected(bare_sim))
    assert found.reach == Reach.OK
    assert not any(one["found"] for one in found.capabilities.values())


def test_gateways_and_played_gpus_are_found(db: None) -> None:
    node = gpu_node("fake-a")
    node["metadata"].setdefault("labels", {})[FAKE_GPU_LABEL] = "true"
    with Simulator(nodes=[node], crds=["gateways", "httproutes", "gatewayclasses"]) as sim:
        client = sim.client()
        client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "infra"}})
        client.create("gateways", {
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "main", "namespace": "infra"},
            "spec": {"gatewayClassName": "played", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}})
        found = services.check_access(connected(sim)).capabilities
    assert found["fake_gpu"]["found"]
    assert found["gateway"]["names"] == ["infra/main"]
    assert found["gateway"]["version"] == "v1"


def test_a_refused_token_says_so(db: None, kube_sim: Simulator) -> None:
    place = make_cluster(f"kube-{next(numbers)}", kind=ClusterKind.KUBERNETES)
    services.connect(PORTAL, place, server=kube_sim.url, ca=kube_sim.ca_pem, token="not-the-token")
    assert services.check_access(place).reach == Reach.AUTH_FAILED
    assert access_of(place).reach == Reach.AUTH_FAILED


def test_another_ca_is_a_failure_of_tls_and_heals_with_the_right_one(db: None, kube_sim: Simulator) -> None:
    place = make_cluster(f"kube-{next(numbers)}", kind=ClusterKind.KUBERNETES)
    services.connect(PORTAL, place, server=kube_sim.url, ca=pair()[0], token=kube_sim.admin_token)
    assert services.check_place(PORTAL, place).reach == Reach.TLS_FAILED
    services.connect(PORTAL, place, ca=kube_sim.ca_pem)
    assert services.check_place(PORTAL, place).reach == Reach.OK


def test_a_dead_address_is_unreachable(db: None) -> None:
    with Simulator(nodes=[], crds=None) as sim:
        place = connected(sim)
    assert services.check_access(place).reach == Reach.UNREACHABLE
    with pytest.raises(Unavailable, match="can't be reached"):
        services.refresh_place(PORTAL, place)


def test_a_place_that_is_not_connected_can_not_be_tested(place: Cluster) -> None:
    with pytest.raises(Conflict, match="not connected"):
        services.check_place(PORTAL, place)
    assert services.check_access(place).reach == Reach.UNREACHABLE


def test_a_token_that_ends_soon_is_told_by_the_test_too(db: None, kube_sim: Simulator) -> None:
    place = connected(kube_sim)
    certificate = kube_sim.authority.client("kubernetes-admin", ["system:masters"])
    services.connect(PORTAL, place, client_certificate=certificate.certificate, client_key=certificate.key)
    found = services.check_place(PORTAL, place)
    assert found.reach == Reach.OK
    note_reach(access_of(place), None)
    assert access_of(place).message == found.message


def test_a_result_of_the_connection_before_is_thrown_away(
    db: None, kube_sim: Simulator, monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = connected(kube_sim)
    looked = kube.kube_for

    def changed_meanwhile(cluster: Cluster) -> kube.Kube:
        found = looked(cluster)
        services.connect(PORTAL, cluster, server=OTHER, token="t")
        return found

    monkeypatch.setattr("clusters.services.check.kube_for", changed_meanwhile)
    assert services.check_access(place).reach == Reach.OK
    assert access_of(place).reach == Reach.UNKNOWN


def test_the_state_of_a_connection_keeps_its_date_until_it_changes(db: None, kube_sim: Simulator) -> None:
    place = connected(kube_sim)
    services.check_access(place)
    since = access_of(place).reach_since
    services.check_access(place)
    note_reach(access_of(place), None)
    assert access_of(place).reach_since == since
    note_reach(access_of(place), kube.KubeError(kube.Problem.UNREACHABLE, "gone"))
    gone = access_of(place)
    assert (gone.reach, gone.message, gone.reach_since > since) == (Reach.UNREACHABLE, "gone", True)
    note_reach(gone, kube.KubeError(kube.Problem.INVALID, "one bad object"))
    assert (access_of(place).reach, access_of(place).message) == (Reach.OK, "")


# Least privilege.

PLURALS = {"Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "ClusterRole": "clusterroles", "Secret": "secrets",
           "ClusterRoleBinding": "clusterrolebindings", "RoleBinding": "rolebindings"}


@pytest.fixture(scope="module")
def rights_sim() -> Iterator[Simulator]:
    """The manifest that operators apply, applied to a cluster of its own."""
    with Simulator(nodes=[cpu_node("cpu-a")]) as sim:
        for manifest in yaml.safe_load_all(rbac.manifest()):
            sim.client().apply(PLURALS[manifest["kind"]], manifest)
        yield sim


def with_least_rights(sim: Simulator) -> Cluster:
    place = make_cluster(f"kube-{next(numbers)}", kind=ClusterKind.KUBERNETES)
    services.connect(PORTAL, place, server=sim.url, ca=sim.ca_pem, token=sim.token_for(rbac.HOME, rbac.ACCOUNT))
    kube.forget(place)
    return place


def test_the_manifest_gives_exactly_what_the_test_asks_for(db: None, rights_sim: Simulator) -> None:
    found = services.check_access(with_least_rights(rights_sim))
    assert (found.reach, found.missing_rights) == (Reach.OK, [])
    assert found.user == f"system:serviceaccount:{rbac.HOME}:{rbac.ACCOUNT}"


def rule_cases() -> list[tuple[str, int]]:
    roles = {rbac.ACCOUNT: rbac.WIDE, rbac.NARROW: rbac.IN_WORKSPACES}
    return [(role, index) for role, rights in roles.items() for index in range(len(rbac.rules(rights)))]


@pytest.mark.parametrize(("role", "index"), rule_cases())
def test_each_rule_that_is_taken_away_is_named(db: None, rights_sim: Simulator, role: str, index: int) -> None:
    client = rights_sim.client()
    roles = {one["metadata"]["name"]: one for one in rbac.objects() if one["kind"] == "ClusterRole"}
    whole = copy.deepcopy(roles[role])
    taken = whole["rules"][index]
    less = {**whole, "rules": [rule for rule in whole["rules"] if rule is not taken]}
    client.apply("clusterroles", less)
    try:
        found = services.check_access(with_least_rights(rights_sim))
    finally:
        client.apply("clusterroles", whole)
    group = taken["apiGroups"][0]
    asked = {(verb, f"{plural}.{group}" if group else plural) for plural in taken["resources"] for verb in taken["verbs"]}
    named = {(right["verb"], right["resource"]) for right in found.missing_rights}
    of_the_add_on = taken.get("resourceNames") == [rbac.HTTP_INTERCEPTOR]
    # What is not in the simulator is not asked for.
    if of_the_add_on or group in {kinds.SERVICE_MONITOR.group, kinds.INTERCEPTOR_ROUTE.group}:
        assert named == set()
        return
    # The same right may stand in the other role, for all namespaces.
    wide = {(verb, right.resource) for right in rbac.WIDE for verb in right.verbs} if role == rbac.NARROW else set()
    assert asked - wide <= named
    assert named <= asked
    assert found.reach == Reach.FORBIDDEN
    assert ("rights are missing, the first: " if len(named) > 1 else "A right is missing: ") in found.message


def test_the_roles_have_no_wildcard_and_no_way_up() -> None:
    for one in rbac.objects():
        for rule in one.get("rules", []):
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
            assert not {"escalate", "impersonate"} & set(rule["verbs"])
            if "bind" in rule["verbs"]:
                assert rule["resourceNames"] in ([rbac.NARROW], [rbac.MODELS])
    wide = rbac.rules(rbac.WIDE)
    assert not any("secrets" in rule["resources"] for rule in wide)
    writes = {(tuple(rule["resources"]), verb) for rule in wide for verb in rule["verbs"] if verb not in ("get", "list")}
    assert writes == {(("namespaces",), "create"), (("namespaces",), "patch"), (("rolebindings",), "create"),
                      (("rolebindings",), "patch"), (("clusterroles",), "bind"), (("vllmclusters/status",), "patch"),
                      (("services/proxy",), "create")}
    assert [rule["resourceNames"] for rule in wide if rule["resources"] == ["services/proxy"]] == [[rbac.HTTP_INTERCEPTOR]]


def test_the_rights_for_shared_copies_are_part_of_those_in_workspaces() -> None:
    """The connection test asks for those of workspaces only."""
    wide = {(right.resource, verb) for right in rbac.IN_WORKSPACES for verb in right.verbs}
    assert {(right.resource, verb) for right in rbac.IN_MODELS for verb in right.verbs} <= wide


# The end.


def test_a_cluster_that_answers_is_not_forgotten(db: None, kube_sim: Simulator) -> None:
    place = connected(kube_sim)
    services.check_access(place)
    with pytest.raises(Conflict, match="can be reached"):
        services.forget_place(PORTAL, place)


def test_a_cluster_that_is_gone_leaves_with_its_endpoints(cast: Cast, kube_sim: Simulator) -> None:
    place = make_kubernetes_place(kube_sim, f"kube-{next(numbers)}")
    row = endpoints.create(Actor(user=cast.operator), cast.alpha, name="chat", cluster=place, profile=make_profile(gpus=1))
    left = services.orphans(place)
    assert [name.startswith("ip-alpha-") and name.endswith(f"/{row.external_name}") for name in left] == [True]
    with pytest.raises(PortalError, match="still has"):
        services.delete_place(PORTAL, place)
    note_reach(access_of(place), kube.KubeError(kube.Problem.UNREACHABLE, "gone"))
    services.forget_place(cast.actor("operator"), place)
    assert not Cluster.objects.filter(pk=place.pk).exists()
    assert not Endpoint.objects.filter(pk=row.pk).exists()
    entry = AuditEntry.objects.get(object_uid=str(place.uid), verb="forget")
    assert entry.before["orphans"] == left


def test_a_place_of_hosts_is_not_forgotten_this_way(db: None) -> None:
    with pytest.raises(Invalid):
        services.forget_place(PORTAL, make_cluster("hosts"))
