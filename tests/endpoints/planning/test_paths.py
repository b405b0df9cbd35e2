"""What a person accepts becomes part of what we send, or stops being sent."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.planning.fields import flat
from endpoints.planning.paths import IGNORED, SUPERSEDED, for_new_revision, path_of, put, with_accepted
from endpoints.targets.base import FieldChange
from tests.endpoints.planning.test_diff import SENT, live

PATHS = sorted(flat(SENT))


@pytest.mark.parametrize("path", PATHS)
def test_every_path_of_a_manifest_can_be_set_and_taken_away(path: str) -> None:
    there = live()
    put(there, path, "new")
    if not path.endswith((".name", "].containerPort")):  # another key would be another member
        assert flat(there)[path] == "new"
    there = live()
    put(there, path, None)
    assert path not in flat(there)


def test_an_accepted_value_is_sent_and_an_ignored_field_is_not() -> None:
    image, replicas = "spec.template.spec.containers[engine].image", "spec.replicas"
    made = with_accepted([SENT, {"kind": "Service", "metadata": {"name": "chat"}}], [
        FieldChange("StatefulSet/chat", image, "vllm:1", "vllm:2"),
        FieldChange("StatefulSet/chat", replicas, 2, 5, IGNORED)])
    fields = flat(made[0])
    assert fields[image] == "vllm:2"
    assert replicas not in fields
    assert flat(SENT)[replicas] == 2, "what was rendered stays as it was"


@pytest.mark.parametrize("path", ["spec.nowhere.deep", "spec.template.spec.containers[other].image", "kind[x]"])
def test_a_path_that_leads_nowhere_changes_nothing(path: str) -> None:
    there: dict[str, Any] = live()
    put(there, path, "x")
    assert there == live()


@pytest.mark.parametrize(("conflict", "path"), [
    (".spec.replicas", "spec.replicas"),
    ('.spec.template.spec.containers[name="engine"].image', "spec.template.spec.containers[engine].image"),
    ('.spec.ports[port=8000,protocol="TCP"].name', "spec.ports[8000,TCP].name"),
])
def test_a_conflicts_field_is_found_by_our_path(conflict: str, path: str) -> None:
    assert path_of(conflict) == path


def test_a_new_revision_supersedes_what_was_accepted_of_pods_and_nothing_else() -> None:
    pods, size = {"path": "spec.template.spec.x", "manager": "kubectl"}, {"path": "spec.replicas", "manager": "kubectl"}
    others = {"path": "spec.template.spec.y", "manager": IGNORED}
    assert [for_new_revision(one)["manager"] for one in (pods, size, others)] == [SUPERSEDED, "kubectl", IGNORED]
