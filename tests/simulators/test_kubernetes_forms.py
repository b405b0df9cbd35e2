"""The forms that the simulated API answers in: tables, YAML, discovery; and the protobuf that kubectl sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.simulators.kubernetes import crds, protobuf, tables
from tests.simulators.kubernetes.api.request import Request
from tests.simulators.kubernetes.builtins import builtin_resources
from tests.simulators.kubernetes.discovery import Discovery
from tests.simulators.kubernetes.discovery.groups import version_order
from tests.simulators.kubernetes.errors import ApiError, PlainError
from tests.simulators.kubernetes.kinds import Kinds
from tests.simulators.kubernetes.registry import versions
from tests.simulators.kubernetes.tables.cells import human, json_path, selector_text
from tests.simulators.kubernetes.tables.pods import pod_word

OBJECT = {
    "metadata": {"name": "a", "labels": {"a.b/c": "dotted"}},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}]},
    "hosts": ["x", "y"],
}


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    found = Kinds(builtin_resources())
    for crd in crds.load():
        found.add_crd(crd)
    return found


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (".metadata.name", ["a"]), (".metadata.labels.a\\.b/c", ["dotted"]), (".metadata.labels['a.b/c']", ["dotted"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]), (".status.conditions[*].type", ["Ready", "Old"]),
        (".status.conditions[?(@.type!='Ready')].status", ["False"]), (".hosts[1]", ["y"]), (".hosts[-1]", ["y"]),
        (".hosts[9]", []), (".nothing.at.all", []), (".hosts", [["x", "y"]]), ("{.metadata.name}", ["a"]),
    ],
)  # fmt: skip
def test_finds_values_by_json_path(path: str, wanted: list[Any]) -> None:
    assert json_path(path)(OBJECT) == wanted


@pytest.mark.parametrize("path", [".a[?(@.b)]", ".a[", "..", ".a[?(]"])
def test_refuses_a_path_that_it_does_not_know(path: str) -> None:
    with pytest.raises(ValueError, match="unrecognized JSON path"):
        json_path(path)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (3600, "60m"), (3 * 3600, "3h"), (3 * 3600 + 300, "3h5m"),
        (9 * 3600, "9h"), (2 * 86400, "2d"), (2 * 86400 + 7200, "2d2h"), (100 * 86400, "100d"), (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)  # fmt: skip
def test_writes_ages_as_kubectl_does(seconds: int, text: str) -> None:
    assert human(seconds) == text


def waiting(reason: str) -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason}}}], "phase": "Pending"}


@pytest.mark.parametrize(
    ("pod", "word"),
    [
        ({"metadata": {}, "status": {"phase": "Running"}}, "Running"),
        ({"metadata": {}, "status": waiting("ImagePullBackOff")}, "ImagePullBackOff"),
        ({"metadata": {"deletionTimestamp": "x"}, "status": {"phase": "Running"}}, "Terminating"),
        ({"metadata": {}, "status": {"phase": "Failed", "reason": "Evicted"}}, "Evicted"),
        ({"metadata": {}, "status": {"containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}}, "ExitCode:3"),
        ({"metadata": {}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}}, "SchedulingGated"),
        ({"metadata": {}, "spec": {"initContainers": [{}, {}]}, "status": {"initContainerStatuses": [
            {"state": {"terminated": {"exitCode": 0}}}, {"state": {"running": {}}}]}}, "Init:1/2"),
    ],
)  # fmt: skip
def test_says_in_a_word_how_a_pod_is(pod: dict[str, Any], word: str) -> None:
    assert pod_word(pod) == word


def test_shows_selectors_in_one_line() -> None:
    assert selector_text({"matchLabels": {"b": "2", "a": "1"}}) == "a=1,b=2"
    assert selector_text({"matchExpressions": [{"key": "k", "operator": "In", "values": ["x"]}]}) == "k in (x)"
    assert selector_text(None) == "<none>"


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", tables.Form()), ("*/*", tables.Form()), ("application/yaml", tables.Form("application/yaml")),
        (f"{TABLE},application/json", tables.Form(shape="Table")),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", tables.Form()),
        ("application/vnd.kubernetes.protobuf,application/json", tables.Form()),
    ],
)  # fmt: skip
def test_chooses_the_first_form_that_it_has(accept: str, form: tables.Form) -> None:
    assert tables.negotiate(accept) == form


def test_has_nothing_for_who_accepts_nothing_known() -> None:
    with pytest.raises(ApiError) as refusal:
        tables.negotiate("text/plain")
    assert refusal.value.status == 406
    with pytest.raises(tables.OnlyProtobuf):
        tables.negotiate("application/vnd.kubernetes.protobuf")


def test_every_kind_has_a_table(kinds: Kinds) -> None:
    obj = {"metadata": {"name": "a", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    for res in kinds.all():
        table = tables.render(res, [obj], {})
        assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"]), res.kind


def test_yaml_keeps_text_text() -> None:
    body = {"a": "no", "b": "2026-01-01T00:00:00Z", "c": "12", "d": [{"e": None}], "f": "two\nlines\n", "g": 1.5}
    assert yaml.safe_load(tables.to_yaml(body)) == body
    assert b'a: "no"' in tables.to_yaml(body)


def get(kinds: Kinds, path: str, accept: str = "application/json") -> Any:
    return json.loads(Discovery(kinds).answer(Request("GET", path, {}, {"accept": accept})).body)


def test_lists_every_resource_once(kinds: Kinds) -> None:
    listed = []
    for group in get(kinds, "/apis")["groups"]:
        for version in group["versions"]:
            found = get(kinds, f"/apis/{version['groupVersion']}")
            listed += [(found["groupVersion"], each["name"]) for each in found["resources"] if "/" not in each["name"]]
    listed += [("v1", each["name"]) for each in get(kinds, "/api/v1")["resources"] if "/" not in each["name"]]
    assert sorted(listed) == sorted((res.api_version, res.plural) for res in kinds.all())


def test_orders_versions_as_clients_prefer_them() -> None:
    given = ["v1alpha1", "foo", "v1", "v2beta1", "v10", "v1beta2"]
    assert sorted(given, key=version_order) == ["v10", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo"]


def test_every_openapi_document_is_whole(kinds: Kinds) -> None:
    for name in get(kinds, "/openapi/v3")["paths"]:
        document = get(kinds, f"/openapi/v3/{name}")
        text = json.dumps(document)
        schemas = document["components"]["schemas"]
        missing = [ref for ref in text.split('"#/components/schemas/')[1:] if ref.partition('"')[0] not in schemas]
        assert not missing, name


@pytest.mark.parametrize(
    "path", ["/nothing", "/apis/nothing.example.com", "/openapi/v3/apis/nope/v1", "/apis/a/b/c/d/e"]
)
def test_serves_no_other_path(kinds: Kinds, path: str) -> None:
    with pytest.raises(PlainError):
        get(kinds, path)


def test_keeps_an_autoscaler_in_two_versions(kinds: Kinds) -> None:
    first, second = (kinds.get("autoscaling", version, "horizontalpodautoscalers") for version in ("v1", "v2"))
    assert first is not None
    assert second is not None
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "d"},
        "maxReplicas": 3,
        "targetCPUUtilizationPercentage": 50,
    }
    given = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"}, "spec": spec}
    kept = versions.stored(kinds, first, given)
    assert versions.shown(second, kept)["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    assert versions.shown(first, kept) == given


def test_tells_how_long_a_job_took(kinds: Kinds) -> None:
    res = kinds.get("batch", "v1", "jobs")
    assert res is not None
    status = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:30Z", "succeeded": 1}
    table = tables.render(res, [{"metadata": {"name": "j"}, "spec": {"completions": 1}, "status": status}], {})
    names = [each["name"] for each in table["columnDefinitions"]]
    assert table["rows"][0]["cells"][names.index("Duration")] == "90s"


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return protobuf.MAGIC + field(1, field(1, api_version.encode()) + field(2, kind.encode())) + field(2, raw)


def test_reads_protobuf() -> None:
    labels = field(11, field(1, b"k") + field(2, b"v"))
    metadata = field(1, b"a") + field(3, b"") + field(8, b"") + labels
    secret = field(1, metadata) + field(2, field(1, b"key") + field(2, b"value")) + field(3, b"Opaque")
    assert protobuf.decode(envelope("v1", "Secret", secret)) == {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "labels": {"k": "v"}},
        "data": {"key": "dmFsdWU="}, "type": "Opaque",
    }  # fmt: skip


def test_reads_numbers_and_quantities_of_protobuf() -> None:
    resources = field(1, field(1, b"cpu") + field(2, field(1, b"500m")))
    container = field(1, b"c") + field(6, field(1, b"http") + field(3, 8000)) + field(8, resources)
    template = field(2, field(2, container))
    deployment = field(2, field(1, 0) + field(3, template) + field(5, 0))
    assert protobuf.decode(envelope("apps/v1", "Deployment", deployment))["spec"] == {
        "replicas": 0,
        "template": {"spec": {"containers": [
            {"name": "c", "ports": [{"name": "http", "containerPort": 8000}], "resources": {"limits": {"cpu": "500m"}}},
        ]}},
    }  # fmt: skip


@pytest.mark.parametrize(
    "body", [b"", b"{}", protobuf.MAGIC, protobuf.MAGIC + b"\x0a\xff", envelope("v1", "Nope", b"")]
)
def test_refuses_what_is_no_protobuf(body: bytes) -> None:
    with pytest.raises(protobuf.Malformed):
        protobuf.decode(body)
