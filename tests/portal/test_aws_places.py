"""Places in AWS by the admin's pages and by the JSON API, over the simulators."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters import services
from clusters.models import AwsPlace, Cluster, KubernetesAccess, Node
from clusters.states import ClusterKind, Through
from portal.tenancy.models import AuditEntry
from tests.aws import BUCKET, EXECUTION_ROLE, make_aws_account, make_hyperpod_place, make_sagemaker_place
from tests.cast import Cast, make_cluster
from tests.portal.apiclient import Api, error_of
from tests.portal.conftest import signed_in
from tests.portal.test_admin_actions import said, token_on
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
ADD, LIST, IMPORT = (f"/admin/clusters/cluster/{path}" for path in ("add/", "", "import-hyperpod/"))
FIRST = "i-0123456789abcdef0"


def page(place: Cluster, action: str = "change") -> str:
    return f"/admin/clusters/cluster/{place.pk}/{action}/"


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode().replace("&#x27;", "'"))


def act(client: Client, address: str, **values: Any) -> Any:
    return client.post(address, {"confirm_token": token_on(client.get(address)), **values})


@pytest.fixture
def place(aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> Cluster:
    made = make_hyperpod_place(aws_sim, hyperpod_kube, "team")
    services.refresh_inventory(made)
    services.look_at_place(AwsPlace.objects.select_related("account", "cluster").get(cluster=made))
    return Cluster.objects.get(pk=made.pk)


def node(place: Cluster) -> Node:
    return Node.objects.get(cluster=place, instance_id=FIRST)


# The page that imports.


def test_clusters_are_found_and_imported_with_one_click(
    aws_sim: AwsSimulator, hyperpod_kube: Simulator, operator: Client,
) -> None:
    account = make_aws_account(aws_sim)
    cluster = aws_sim.add_hyperpod("team", kube=hyperpod_kube)
    aws_sim.add_hyperpod("slow", status="Creating")
    aws_sim.add_hyperpod("slurmy").options.pop("Orchestrator")
    assert "Import HyperPod clusters" in text_of(operator.get(LIST))
    assert "Look for clusters" in text_of(operator.get(IMPORT))
    shown = text_of(operator.get(IMPORT, {"account": account.pk, "region": ""}))
    assert all(words in shown for words in ("team-eks", "still making", "Slurm runs this cluster"))
    assert shown.count('<button class="btn primary" type="submit">Import</button>') == 2
    answer = operator.post(IMPORT, {"account": account.pk, "region": "", "cluster": cluster.arn, "workspace": ""})
    assert answer.status_code == 302
    assert "team is imported" in said(answer)[0]
    place = Cluster.objects.get()
    assert (place.kind, place.aws.hyperpod_arn) == (ClusterKind.HYPERPOD, cluster.arn)
    again = text_of(operator.get(answer["Location"]))
    assert "is the place team" in again
    operator.post(IMPORT, {"account": account.pk, "region": "", "cluster": cluster.arn, "workspace": ""})
    assert Cluster.objects.count() == 1


def test_a_name_that_is_taken_is_given_another(aws_sim: AwsSimulator, hyperpod_kube: Simulator, operator: Client) -> None:
    account, cluster = make_aws_account(aws_sim), aws_sim.add_hyperpod("team", kube=hyperpod_kube)
    make_cluster("team")
    form = {"account": account.pk, "region": "", "cluster": cluster.arn, "workspace": ""}
    assert "already a place with this name" in said(operator.post(IMPORT, form))[-1]
    assert 'placeholder="team"' in text_of(operator.get(IMPORT, {"account": account.pk}))
    operator.post(IMPORT, {**form, "name": "team-pod"})
    assert Cluster.objects.filter(name="team-pod", kind=ClusterKind.HYPERPOD).exists()


def test_what_is_wrong_is_said_on_the_page(aws_sim: AwsSimulator, operator: Client) -> None:
    assert "There is no AWS account yet" in text_of(operator.get(IMPORT))
    account = make_aws_account(aws_sim)
    assert "None is there." in text_of(operator.get(IMPORT, {"account": account.pk}))
    assert "Name an AWS region" in text_of(operator.get(IMPORT, {"account": account.pk, "region": "mars"}))
    aws_sim.faults.refuse("sagemaker:ListClusters")
    assert "sagemaker:ListClusters" in text_of(operator.get(IMPORT, {"account": account.pk}))
    answer = operator.post(IMPORT, {"account": account.pk, "cluster": "nowhere"})
    assert "not found" in said(answer)[0]
    assert "Choose an account" in said(operator.post(IMPORT, {"account": "", "cluster": "x"}))[-1]


def test_others_find_no_such_page(aws_sim: AwsSimulator, cast: Cast, staff: Any) -> None:
    dora = signed_in(staff("dora", cast.alpha, "add_cluster", "view_cluster"))
    for ask in (dora.get, dora.post):
        assert ask(IMPORT).status_code == 403
    assert aws_sim.requests == []


# The page of a place.


def test_the_page_says_what_aws_says(place: Cluster, operator: Client) -> None:
    shown = text_of(operator.get(page(place)))
    assert all(words in shown for words in (
        "InService", "team-eks", "Open in the AWS console", "cluster-management/team", "ml.g5.12xlarge", "2 of 2",
        "Tiered storage", FIRST))
    assert 'name="kubeconfig"' not in shown  # its road needs no credential
    assert 'name="bucket"' not in shown
    assert "aws eks create-access-entry --region us-east-1 --cluster-name team-eks" in shown
    assert "get secret" not in shown
    rights = operator.get("/admin/clusters/cluster/rights.yaml?eks=1").content.decode()
    assert "kind: Group" in rights
    assert "ServiceAccount" not in rights.replace("serviceaccounts", "")
    AwsPlace.objects.update(status="Failed", status_message="no capacity")
    assert "this cluster has failed" in text_of(operator.get(page(place)))
    assert "Failed" in text_of(operator.get(LIST))


def test_the_way_goes_through_an_agent_and_back(place: Cluster, operator: Client) -> None:
    inline = {f"{name}-{part}_FORMS": "0" for name in ("nodes", "copies") for part in ("TOTAL", "INITIAL")}
    form = {**inline, "description": "", "workspace": "", "account": place.aws.account_id, "gateway": "", "cors_origins": "",
            "prometheus": "", "imports_to": ""}
    assert operator.post(page(place), {**form, "through_agent": "on"}).status_code == 302
    access = KubernetesAccess.objects.get()
    assert (access.through, access.server) == (Through.AGENT, "")
    shown = text_of(operator.get(page(place)))
    assert "Install an agent in" in shown
    empty = dict.fromkeys(("kubeconfig", "server", "ca", "token", "client_certificate", "client_key"), "")
    answer = operator.post(page(place), {**form, **empty, "through_agent": "on", "through_eks": "on"})
    assert answer.status_code == 302, text_of(answer)[:3000]
    assert KubernetesAccess.objects.get().through == Through.EKS
    services.look_at_place(AwsPlace.objects.select_related("account", "cluster").get())
    assert services.check_access(place).reach == "OK"


def test_saving_the_page_changes_nothing_by_itself(place: Cluster, operator: Client) -> None:
    before = KubernetesAccess.objects.values().get(), AwsPlace.objects.values().get()
    inline = {f"{name}-{part}_FORMS": "0" for name in ("nodes", "copies") for part in ("TOTAL", "INITIAL")}
    answer = operator.post(page(place), {
        **inline, "description": "new words", "workspace": "", "account": place.aws.account_id, "gateway": "",
        "cors_origins": "", "prometheus": "", "imports_to": ""})
    assert answer.status_code == 302, answer.content.decode()[:3000]
    assert Cluster.objects.get().description == "new words"
    assert (KubernetesAccess.objects.values().get(), AwsPlace.objects.values().get()) == before


def test_a_sagemaker_place_is_added_tested_and_changed(aws_sim: AwsSimulator, operator: Client) -> None:
    account = make_aws_account(aws_sim)
    shown = text_of(operator.get(ADD))
    assert "HyperPod or SageMaker endpoints: which one?" in shown
    assert "inference components" in shown
    form = {"name": "sm", "kind": "sagemaker", "workspace": "", "description": "", "account": account.pk,
            "execution_role": EXECUTION_ROLE, "bucket": "s3://wrong", "subnets": "", "security_groups": ""}
    refused = text_of(operator.post(ADD, form))
    assert "name alone, without s3://" in refused
    assert not Cluster.objects.exists()
    answer = operator.post(ADD, {**form, "bucket": BUCKET, "subnets": "subnet-0abc12345678\r\nsubnet-0abc12345679",
                                 "security_groups": "sg-0abc12345678"})
    assert answer.status_code == 302, text_of(answer)[:3000]
    place = Cluster.objects.get()
    assert (place.aws.subnets, place.aws.bucket) == (["subnet-0abc12345678", "subnet-0abc12345679"], BUCKET)
    AwsPlace.objects.update(bucket="", subnets=[], security_groups=[])
    tested = said(act(operator, page(place, "test-connection")))
    assert any("execution role" in line for line in tested), tested
    assert "execution role" in text_of(operator.get(page(place)))
    operator.post(page(place), {"workspace": "", "description": "", "account": account.pk, "region": "us-east-1",
                                "execution_role": EXECUTION_ROLE, "bucket": "another-bucket", "kms_key": "", "subnets": "",
                                "security_groups": ""})
    assert AwsPlace.objects.get().bucket == "another-bucket"


def test_the_overview_says_where_the_room_of_sagemaker_comes_from(aws_sim: AwsSimulator, operator: Client) -> None:
    make_sagemaker_place(aws_sim)
    shown = text_of(operator.get("/admin/"))
    assert "AWS brings machines as endpoints ask for them" in shown
    assert "Nothing is known of this place" not in shown


def test_a_sagemaker_place_needs_an_account(operator: Client) -> None:
    answer = operator.post(ADD, {"name": "sm", "kind": "sagemaker", "workspace": "", "description": ""})
    assert "Choose an AWS account" in text_of(answer)
    assert not Cluster.objects.exists()


def test_fields_of_aws_are_refused_for_other_kinds(aws_sim: AwsSimulator, operator: Client) -> None:
    account = make_aws_account(aws_sim)
    answer = operator.post(ADD, {"name": "x", "kind": "hosts", "workspace": "", "description": "", "account": account.pk})
    assert "not in AWS" in text_of(answer)
    assert not Cluster.objects.exists()


# What can be done.


def test_a_group_is_resized_from_the_page(aws_sim: AwsSimulator, operator: Client) -> None:
    with Simulator(nodes=[]) as kube_sim:
        cluster = aws_sim.add_hyperpod("sized", kube=kube_sim, groups={"gpu": ("ml.g5.12xlarge", 2)})
        place = make_hyperpod_place(aws_sim, kube_sim, "sized", cluster=cluster)
        services.look_at_place(AwsPlace.objects.select_related("account", "cluster").get(cluster=place))
        address = page(place, "resize")
        assert "gpu: 2 × ml.g5.12xlarge now" in text_of(operator.get(address))
        assert "it makes the group smaller" in text_of(act(operator, address, group="gpu", count="1"))
        assert aws_sim.calls("sagemaker:UpdateCluster") == []
        assert "1 done" in said(act(operator, address, group="gpu", count="1", known="on"))[0]
        assert aws_sim.calls("sagemaker:UpdateCluster")[0].params["InstanceGroups"][0]["InstanceCount"] == 1


def test_a_machine_is_rebooted_and_replaced_from_its_page(
    aws_sim: AwsSimulator, place: Cluster, operator: Client,
) -> None:
    aws_sim.clock.freeze()
    row = node(place)
    shown = text_of(operator.get(f"/admin/clusters/node/{row.pk}/change/"))
    assert FIRST in shown
    reboot, replace = (f"/admin/clusters/node/{row.pk}/{verb}/" for verb in ("reboot", "replace"))
    assert "no endpoint runs there" in text_of(operator.get(reboot))
    assert "This field is required" in text_of(act(operator, reboot))
    assert "1 started" in said(act(operator, reboot, known="on"))[0]
    assert any("a moment ago" in line for line in said(act(operator, reboot, known="on")))
    assert len(aws_sim.calls("sagemaker:BatchRebootClusterNodes")) == 1
    Node.objects.filter(pk=row.pk).update(instance_status="Running")
    assert "lost for good" in text_of(operator.get(replace))
    assert "Type the name exactly" in text_of(act(operator, replace, known="on", typed_name="wrong"))
    aws_sim.clock.advance(60)
    assert "1 started" in said(act(operator, replace, known="on", typed_name=row.name))[0]
    assert len(aws_sim.calls("sagemaker:BatchReplaceClusterNodes")) == 1


def test_the_buttons_need_their_rights(place: Cluster, cast: Cast, staff: Any, aws_sim: AwsSimulator) -> None:
    row = node(place)
    lena = signed_in(staff("lena", cast.alpha, "view_node", "view_cluster"))
    aws_sim.app.requests.clear()
    for verb in ("reboot", "replace"):
        assert lena.get(f"/admin/clusters/node/{row.pk}/{verb}/").status_code == 403
    assert lena.get(page(place, "resize")).status_code == 403
    omar = signed_in(staff("omar", cast.alpha, "view_node", "repair_node"))  # the right, but no operator
    answer = act(omar, f"/admin/clusters/node/{row.pk}/reboot/", known="on")
    assert any("Only an operator" in line for line in said(answer))
    assert aws_sim.calls("sagemaker:BatchRebootClusterNodes") == []


def test_staff_who_do_not_operate_see_the_state_but_not_the_names_of_aws(
    place: Cluster, aws_sim: AwsSimulator, cast: Cast, staff: Any,
) -> None:
    AwsPlace.objects.update(message="arn:aws:iam::123456789012:user/x may not", reach="Forbidden")
    make_sagemaker_place(aws_sim, "sm", place.aws.account, message="arn:aws:iam::1:user/y", status_message="arn:aws:s3:::b")
    lena = signed_in(staff("lena", cast.alpha, "view_node", "view_cluster"))
    for row in Cluster.objects.all():
        shown = text_of(lena.get(page(row)))
        assert "In AWS" in shown
        assert "arn:aws" not in shown
        assert place.aws.account.name not in shown
    assert "arn:aws" not in text_of(lena.get(LIST))


def test_a_host_has_no_such_buttons(operator: Client) -> None:
    row = Node.objects.create(cluster=make_cluster(), name="host-1")
    shown = text_of(operator.get(f"/admin/clusters/node/{row.pk}/change/"))
    assert f"/admin/clusters/node/{row.pk}/reboot" not in shown


def test_queries_of_the_list_and_of_a_page_do_not_grow(
    aws_sim: AwsSimulator, hyperpod_kube: Simulator, place: Cluster, operator: Client,
) -> None:
    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            assert operator.get(address).status_code == 200
        return len(seen)

    few = queries(LIST), queries(page(place))
    for number in range(5):
        make_hyperpod_place(aws_sim, hyperpod_kube, f"hp-{number}", place.aws.account)
        make_sagemaker_place(aws_sim, f"sm-{number}", place.aws.account)
        Node.objects.create(cluster=place, name=f"hyperpod-{number}", instance_id=f"i-{number}", instance_status="Pending")
    assert queries(LIST) == few[0]
    assert queries(page(place)) <= few[1] + 1  # one more page of nodes


# The API.


def test_places_in_aws_by_the_api(aws_sim: AwsSimulator, hyperpod_kube: Simulator, cast: Cast) -> None:
    account, caller = make_aws_account(aws_sim), Api(cast.operator)
    cluster = aws_sim.add_hyperpod("team", kube=hyperpod_kube)
    address = f"/api/v1/aws-accounts/{account.uid}/hyperpod-clusters"
    found = caller.get(address).json()["items"]
    assert [(one["name"], one["orchestrator"], one["can_import"]) for one in found] == [("team", "EKS", True)]
    made = caller.post(address, {"cluster": cluster.arn, "workspace": "alpha"})
    assert made.status_code == 201, made.content
    body = made.json()
    assert (body["kind"], body["workspace"], body["aws"]["hyperpod_arn"], body["aws"]["deployable"]) == (
        "hyperpod", "alpha", cluster.arn, True)
    assert error_of(caller.post(address, {"cluster": "team"}))["code"] == "imported"
    uid = body["uid"]
    assert caller.post(f"/api/v1/places/{uid}/check").json()["kubernetes"]["reach"] == "OK"
    caller.post(f"/api/v1/places/{uid}/refresh")
    nodes = caller.get(f"/api/v1/places/{uid}/nodes").json()["items"]
    assert {one["instance_status"] for one in nodes} == {"Running"}
    chosen = next(one for one in nodes if one["instance_id"] == FIRST)
    answer = caller.post(f"/api/v1/places/{uid}/repair", {"how": "reboot", "nodes": [chosen["uid"]]})
    assert answer.json() == {"items": [{"node": chosen["name"], "instance_id": FIRST, "problem": ""}]}
    assert error_of(caller.post(f"/api/v1/places/{uid}/repair", {"how": "reboot", "nodes": [chosen["uid"]]}))[
        "code"] == "asked_already"
    assert error_of(caller.post(f"/api/v1/places/{uid}/resize", {"group": "none", "count": 1}))["field"] == "group"


def test_a_sagemaker_place_by_the_api(aws_sim: AwsSimulator, cast: Cast) -> None:
    make_aws_account(aws_sim)
    caller = Api(cast.operator)
    body: dict[str, Any] = {"name": "sm", "kind": "sagemaker", "aws": {
        "account": "aws", "execution_role": EXECUTION_ROLE, "bucket": BUCKET}}
    made = caller.post("/api/v1/places", body)
    assert made.status_code == 201, made.content
    assert (made.json()["aws"]["bucket"], made.json()["aws"]["region"]) == (BUCKET, "us-east-1")
    address = f"/api/v1/places/{made.json()['uid']}"
    changed = caller.patch(address, {"aws": {"network_isolation": True}})
    assert (changed.json()["aws"]["network_isolation"], changed.json()["aws"]["bucket"]) == (True, BUCKET)
    assert error_of(caller.patch(address, {"aws": {"execution_role": "x"}}))["field"] == "execution_role"
    assert error_of(caller.post("/api/v1/places", {**body, "name": "b", "aws": {"account": "none"}}))["field"] == "account"
    assert caller.post(f"{address}/check").status_code == 200


def test_members_see_the_state_but_not_the_names_of_aws(place: Cluster, cast: Cast) -> None:
    AwsPlace.objects.update(message="arn:aws:iam::123456789012:user/x may not", looked_at=timezone.now())
    seen = Api(cast.vera).get(f"/api/v1/places/{place.uid}").json()
    assert (seen["aws"]["status"], seen["aws"]["deployable"], seen["aws"]["region"]) == ("InService", True, "us-east-1")
    assert seen["aws"]["instance_groups"][0]["instance_type"] == "ml.g5.12xlarge"
    assert "arn:aws" not in json.dumps(seen)
    assert place.aws.account.name not in json.dumps(seen)


def test_no_credential_is_in_the_rows_or_the_audit(aws_sim: AwsSimulator, place: Cluster) -> None:
    access = KubernetesAccess.objects.get(cluster=place)
    assert (access.through, access.token, access.client_key) == (Through.EKS, "", "")
    told = json.dumps(list(AuditEntry.objects.values_list("before", "after"))) + str(AwsPlace.objects.values().get())
    assert aws_sim.keys.secret_access_key not in told
    assert "k8s-aws-v1" not in told
