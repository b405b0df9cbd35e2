"""What the simulator thinks of objects: quantities, CEL, the schemas of CRDs, the rules of built-in kinds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulators.kubernetes import crds, schema
from tests.simulators.kubernetes.builtins import builtin_resources
from tests.simulators.kubernetes.kinds import Kinds, Resource
from tests.simulators.kubernetes.schema import cel, quantity
from tests.simulators.kubernetes.schema.decode import duplicate_fields

Object = dict[str, Any]


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    found = Kinds(builtin_resources())
    for crd in crds.load():
        found.add_crd(crd)
    return found


def of(kinds: Kinds, kind: str) -> Resource:
    found = kinds.named(kind)
    assert found is not None
    return found


def widget(**spec: Any) -> Object:
    head = {"apiVersion": "conformance.example.com/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": "n"}}
    return {**head, "spec": {"model": "m", **spec}}


def complaints(res: Resource, obj: Object, old: Object | None = None) -> set[tuple[str, str]]:
    return {(each["reason"], each["field"]) for each in schema.check(res, obj, old=old).causes}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("1000m", "1"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("2000", "2k"), ("1e3", "1e3"), ("0", "0"),
        ("-500m", "-500m"), ("0.1n", "1n"), ("512", "512"), ("1025Ki", "1025Ki"), ("100M", "100M"), ("1.5", "1500m"),
    ],
)  # fmt: skip
def test_writes_a_quantity_in_its_one_form(given: str, wanted: str) -> None:
    assert quantity.canonical(given) == wanted
    assert quantity.parse(quantity.canonical(given)) >= quantity.parse(given)


@pytest.mark.parametrize("text", ["", "1 Gi", "12 Gigs", "1GiB", "Gi", "--1", "1e", "."])
def test_refuses_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        quantity.canonical(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3", 7), ("-7 / 2", -3), ("-7 % 3", -1), ("7.0 / 2", 3.5), ("'a' + \"b\"", "ab"), ("[1] + [2]", [1, 2]),
        ("1 < 2 && !false", True), ("true ? 'y' : 'n'", "y"), ("2 in [1, 2]", True), ("'k' in {'k': 1}", True),
        ("1 == 1.0", True), ("true == 1", False), ("size(self.list) == 3", True), ("self.list[0]", 1),
        ("has(self.gone)", False),
        ("self.list.all(x, x > 0)", True), ("self.list.exists(x, x == 9)", False), ("self.list.exists_one(x, x == 1)", True),
        ("self.list.filter(x, x > 1)", [2, 3]), ("self.list.map(x, x * 2)", [2, 4, 6]), ("self.text.matches('^a.c$')", True),
        ("self.text.startsWith('ab') && self.text.endsWith('c')", True), ("self.text.split('b')", ["a", "c"]),
        (r"r'''\d'''", r"\d"), ("duration('1m30s') > duration('89s')", True), ("self.a__dash__b", "dashed"),
        ("self.gone == 1 || true", True), ("self.gone == 1 && false", False), ("{'a': 1}.all(k, k == 'a')", True),
    ],
)  # fmt: skip
def test_evaluates_cel(text: str, wanted: Any) -> None:
    self = {"list": [1, 2, 3], "text": "abc", "a-b": "dashed"}
    assert cel.compile_cel(text)({"self": self}) == wanted


@pytest.mark.parametrize(
    "text", ["self.gone", "1 + 'a'", "[1][5]", "1 / 0", "'a' < 1", "self.gone == 1 || false", "1 && true"]
)
def test_cannot_evaluate_cel_without_sense(text: str) -> None:
    with pytest.raises(cel.CelError):
        cel.compile_cel(text)({"self": {}})


@pytest.mark.parametrize(
    "text", ["1 +", "(1", "a b", "unknown(1)", "has(self)", "[1", "@", "{'a' 1}", "self.list.frob(1)"]
)
def test_refuses_what_is_no_cel(text: str) -> None:
    with pytest.raises(cel.CelSyntaxError):
        cel.compile_cel(text)


def test_compiles_every_shipped_crd(kinds: Kinds) -> None:
    custom = [res for res in kinds.all() if res.custom]
    assert len(custom) == sum(len(crd["spec"]["versions"]) for crd in crds.load())
    assert any(schema.node_for(res).rules_within for res in custom)


def test_prunes_defaults_and_warns(kinds: Kinds) -> None:
    given = widget(nope=1, free={"kept": None}, ports=[{"name": "h", "bad": 1}], engine=None)
    checked = schema.check(of(kinds, "Widget"), given)
    assert checked.obj["spec"] == {
        "model": "m", "free": {"kept": None}, "ports": [{"name": "h", "port": 80}], "replicas": 1, "engine": "vllm",
    }  # fmt: skip
    assert checked.warnings == ['unknown field "spec.nope"', 'unknown field "spec.ports[0].bad"']
    assert given["spec"]["nope"] == 1
    assert schema.check(of(kinds, "Widget"), given, field_validation="Ignore").warnings == []


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, set()),
        ({"model": "UPPER"}, {("FieldValueInvalid", "spec.model")}),
        ({"ratio": 1, "size": "2Gi", "note": None}, set()),
        ({"replicas": 101}, {("FieldValueInvalid", "spec.replicas")}),
        ({"maxReplicas": 2**31}, {("FieldValueInvalid", "<nil>")}),
        ({"zones": ["a", "a"]}, {("FieldValueDuplicate", "spec.zones[1]")}),
        ({"ports": [{"name": "a"}, {"name": "a"}]}, {("FieldValueDuplicate", "spec.ports[1]")}),
        ({"replicas": 3, "maxReplicas": 2}, {("FieldValueInvalid", "spec")}),
        ({"engine": "tgi"}, {("FieldValueNotSupported", "spec.engine"), ("FieldValueInvalid", "<nil>")}),
        ({"args": [1]}, {("FieldValueTypeInvalid", "spec.args[0]"), ("FieldValueInvalid", "<nil>")}),
        ({"size": True}, {("FieldValueTypeInvalid", "spec.size"), ("FieldValueInvalid", "<nil>")}),
    ],
)
def test_judges_a_custom_resource(kinds: Kinds, spec: Object, wanted: set[tuple[str, str]]) -> None:
    assert complaints(of(kinds, "Widget"), widget(**spec)) == wanted


def test_judges_a_change_by_transition_rules(kinds: Kinds) -> None:
    old = schema.check(of(kinds, "Widget"), widget()).obj
    assert complaints(of(kinds, "Widget"), widget(model="other"), old) == {("FieldValueInvalid", "spec")}
    assert complaints(of(kinds, "Widget"), widget(replicas=2), old) == set()


def test_leaves_what_was_wrong_before_alone(kinds: Kinds) -> None:
    wrong = widget(model="UPPER")
    assert complaints(of(kinds, "Widget"), {**wrong, "metadata": {"name": "a", "labels": {"k": "v"}}}, wrong) == set()


def workload(kind: str = "StatefulSet", container: Object | None = None, **spec: Any) -> Object:
    template = {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i:1", **(container or {})}]},
    }
    full = {"selector": {"matchLabels": {"app": "a"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "a", "namespace": "n"}, "spec": full}


GPU = "nvidia.com/gpu"
CONTAINER = "spec.template.spec.containers[0]"


@pytest.mark.parametrize(
    ("container", "wanted"),
    [
        ({"resources": {"limits": {GPU: 1}}}, set()),
        ({"resources": {"limits": {GPU: "500m"}}}, {("FieldValueInvalid", f"{CONTAINER}.resources.limits[{GPU}]")}),
        ({"resources": {"requests": {GPU: 1}}}, {("FieldValueRequired", f"{CONTAINER}.resources.limits")}),
        ({"resources": {"limits": {"cpu": 1}, "requests": {"cpu": 2}}},
         {("FieldValueInvalid", f"{CONTAINER}.resources.requests")}),
        ({"image": ""}, {("FieldValueRequired", f"{CONTAINER}.image")}),
        ({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, {("FieldValueNotFound", f"{CONTAINER}.volumeMounts[0].name")}),
        ({"ports": [{"containerPort": 70000}]}, {("FieldValueInvalid", f"{CONTAINER}.ports[0].containerPort")}),
        ({"env": [{"name": "A=B"}]}, {("FieldValueInvalid", f"{CONTAINER}.env[0].name")}),
        ({"readinessProbe": {"periodSeconds": 1}}, {("FieldValueRequired", f"{CONTAINER}.readinessProbe")}),
    ],
)  # fmt: skip
def test_judges_a_container(kinds: Kinds, container: Object, wanted: set[tuple[str, str]]) -> None:
    assert complaints(of(kinds, "StatefulSet"), workload(container=container)) == wanted


def test_keeps_what_a_stateful_set_cannot_change(kinds: Kinds) -> None:
    res = of(kinds, "StatefulSet")
    old = schema.check(res, workload()).obj
    assert complaints(res, workload(replicas=3), old) == set()
    assert complaints(res, workload(serviceName="other"), old) == {("FieldValueForbidden", "spec")}


def test_fills_the_defaults_of_a_pod_template(kinds: Kinds) -> None:
    container = schema.check(of(kinds, "Deployment"), workload("Deployment")).obj["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["terminationMessagePath"] == "/dev/termination-log"


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (workload(replicas="1"),
         "json: cannot unmarshal string into Go struct field StatefulSetSpec.spec.replicas of type int32"),
        (workload(container={"resources": {"limits": {"memory": "1 G"}}}), quantity.REFUSAL),
        (workload(container={"image": 5}),
         "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.image of type string"),
    ],
)  # fmt: skip
def test_cannot_read_a_value_of_another_type(kinds: Kinds, obj: Object, told: str) -> None:
    with pytest.raises(schema.Undecodable) as refusal:
        schema.check(of(kinds, "StatefulSet"), obj)
    assert refusal.value.why == told
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("kind", "name", "good"),
    [
        ("ConfigMap", "a.b", True), ("Service", "a.b", False), ("Namespace", "a" * 64, False), ("ConfigMap", "a" * 253, True),
        ("Role", "system:x", True), ("ConfigMap", "Upper", False), ("Role", "a/b", False), ("Service", "1a", True),
    ],
)  # fmt: skip
def test_judges_names_by_kind(kinds: Kinds, kind: str, name: str, good: bool) -> None:
    obj = {
        "metadata": {"name": name, "namespace": "n"},
        **({"spec": {"ports": [{"port": 1}]}} if kind == "Service" else {}),
    }
    found = {each for each in complaints(of(kinds, kind), obj) if each[1] == "metadata.name"}
    assert (not found) is good


def test_finds_keys_that_stand_twice() -> None:
    assert duplicate_fields(b'{"a": {"b": 1, "b": 2}, "c": [{"d": 1, "d": 1}]}') == ["a.b", "c[0].d"]
    assert duplicate_fields(b'{"a": [1, 1]}') == []


def test_takes_string_data_into_a_secret(kinds: Kinds) -> None:
    given = {"metadata": {"name": "a", "namespace": "n"}, "data": {"k": "b2xk"}, "stringData": {"k": "new"}}
    made = schema.check(of(kinds, "Secret"), given).obj
    assert (made["data"], made["type"], "stringData" in made) == ({"k": "bmV3"}, "Opaque", False)
