"""The difference between objects, field by field, and whose each field is."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from endpoints.planning.diff import HIDDEN, changes, digest, drift, step_of
from endpoints.planning.fields import flat, owners
from endpoints.targets.base import FieldChange

SENT: dict[str, Any] = {
    "apiVersion": "apps/v1", "kind": "StatefulSet",
    "metadata": {"name": "chat", "labels": {"app.kubernetes.io/name": "chat"}},
    "spec": {"replicas": 2, "template": {"spec": {
        "containers": [{"name": "engine", "image": "vllm:1", "args": ["--port", "8000"],
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        "ports": [{"containerPort": 8000, "name": "http"}]}],
        "tolerations": [{"key": "gpu", "operator": "Exists"}]}}},
}


def live(**more: Any) -> dict[str, Any]:
    made = deepcopy(SENT)
    made["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 3, **more}
    made["status"] = {"replicas": 2}
    return made


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]["containers"][0]
    return found


def test_fields_are_named_by_their_keys_and_status_is_left_out() -> None:
    paths = flat(live())
    assert paths["spec.template.spec.containers[engine].env[B].value"] == "2"
    assert paths["spec.template.spec.containers[engine].ports[8000,TCP].name"] == "http"
    assert paths['metadata.labels."app.kubernetes.io/name"'] == "chat"
    assert paths["spec.template.spec.tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert not any(path.startswith(("status", "metadata.uid", "metadata.generation")) for path in paths)


def test_nothing_differs_from_itself() -> None:
    assert step_of(live(), live(resourceVersion="9", generation=4)).verb == "keep"


def test_a_missing_object_is_created_with_all_of_its_fields() -> None:
    step = step_of(None, SENT)
    assert (step.verb, step.what) == ("create", "StatefulSet/chat")
    assert FieldChange("StatefulSet/chat", "spec.replicas", None, 2) in step.fields


EDITS: list[tuple[str, Any, str, Any, Any]] = [
    ("image", lambda o: container(o).update(image="vllm:2"), "spec.template.spec.containers[engine].image", "vllm:1", "vllm:2"),
    ("argument", lambda o: container(o)["args"].append("--x"), "spec.template.spec.containers[engine].args",
     ["--port", "8000"], ["--port", "8000", "--x"]),
    ("variable gone", lambda o: container(o)["env"].pop(0), "spec.template.spec.containers[engine].env[A].value", "1", None),
    ("replicas", lambda o: o["spec"].update(replicas=5), "spec.replicas", 2, 5),
    ("selector comes", lambda o: o["spec"]["template"]["spec"].update(nodeSelector={"zone": "a"}),
     "spec.template.spec.nodeSelector.zone", None, "a"),
    ("label", lambda o: o["metadata"]["labels"].update({"a.b/c": "d"}), 'metadata.labels."a.b/c"', None, "d"),
]


@pytest.mark.parametrize(("edit", "path", "before", "after"), [case[1:] for case in EDITS], ids=[case[0] for case in EDITS])
def test_an_edit_is_named_with_its_path_and_both_values(edit: Any, path: str, before: Any, after: Any) -> None:
    will = live()
    edit(will)
    assert FieldChange("StatefulSet/chat", path, before, after) in changes(live(), will)


MANAGED = [
    {"manager": "inference-portal", "operation": "Apply", "fieldsV1": {"f:spec": {
        "f:replicas": {}, "f:template": {"f:spec": {
            "f:containers": {'k:{"name":"engine"}': {
                ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
                "f:ports": {'k:{"containerPort":8000,"protocol":"TCP"}': {".": {}, "f:name": {}}}}},
            "f:tolerations": {}}}}}},
    {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {
        "f:containers": {'k:{"name":"engine"}': {"f:image": {}}}}}}}},
    {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status",
     "fieldsV1": {"f:spec": {"f:replicas": {}}}},
]


def test_owners_are_read_from_managed_fields() -> None:
    found = owners(live(managedFields=MANAGED))
    assert found["spec.template.spec.containers[engine].image"] == "kubectl-edit"
    assert found["spec.template.spec.containers[engine].args"] == "inference-portal"
    assert found["spec.template.spec.containers[engine].env[A].value"] == "inference-portal"
    assert found["spec.template.spec.containers[engine].ports[8000,TCP].name"] == "inference-portal"
    assert found["spec.replicas"] == "inference-portal"
    assert "spec.template.spec.containers[engine].env[B].value" not in found


def test_drift_is_what_differs_from_what_we_send_with_the_managers_name() -> None:
    there = live(managedFields=MANAGED)
    container(there)["image"] = "vllm:evil"
    there["spec"]["podManagementPolicy"] = "Parallel"  # a default of the server is no drift
    assert drift(there, SENT) == (
        FieldChange("StatefulSet/chat", "spec.template.spec.containers[engine].image", "vllm:evil", "vllm:1", "kubectl-edit"),)


def test_an_amount_that_the_server_wrote_in_its_own_way_is_no_drift() -> None:
    sent, there = deepcopy(SENT), live()
    container(sent)["resources"] = {"requests": {"cpu": "2000m", "memory": "1024Mi"}}
    container(there)["resources"] = {"requests": {"cpu": "2", "memory": "1Gi"}}
    assert drift(there, sent) == ()
    container(there)["resources"] = {"requests": {"cpu": "3", "memory": "1Gi"}}
    assert [change.before for change in drift(there, sent)] == ["3"]


def test_a_field_that_was_taken_away_is_drift() -> None:
    there = live()
    container(there)["env"].pop(0)
    assert [change.path for change in drift(there, SENT)] == [
        "spec.template.spec.containers[engine].env[A].name", "spec.template.spec.containers[engine].env[A].value"]


def test_values_of_secrets_never_show() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub"}, "data": {"token": "aGY="}}
    step = step_of(None, secret)
    assert [change.after for change in step.fields if change.path.startswith("data")] == [HIDDEN]


def test_a_plans_digest_changes_with_the_objects_and_not_with_their_status() -> None:
    now, later = live(), live(resourceVersion="8", generation=3)
    later["status"] = {"replicas": 1}
    edited = live()
    edited["spec"]["revisionHistoryLimit"] = 3
    step = step_of(now, SENT)
    assert digest([step], [now]) == digest([step], [later])
    assert digest([step], [now]) != digest([step], [edited])
    assert digest([step], [now]) != digest([step_of(now, {**SENT, "spec": {"replicas": 9}})], [now])
