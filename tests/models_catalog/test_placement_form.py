from __future__ import annotations

from typing import Any

import pytest
from django.forms import ValidationError
from django.test import Client

from models_catalog.admin.placement_form import initial_of, read_selector, read_tolerations
from models_catalog.models import Profile
from tests.cast import Cast, make_profile
from tests.models_catalog.test_admin import form_of, url

PLACEMENT: dict[str, Any] = {
    "node_selector": {"zone": "a", "nvidia.com/gpu.product": "NVIDIA-H200"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                    {"key": "team", "operator": "Equal", "value": "llm"}, {"key": "any", "operator": "Exists"},
                    {"key": "slow", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
    "priority_class": "high", "runtime_class": "nvidia",
}


def test_a_placement_goes_to_the_page_and_back() -> None:
    shown = initial_of(PLACEMENT)
    assert shown["tolerations"].splitlines() == ["nvidia.com/gpu:NoSchedule", "team=llm", "any", "slow:NoExecute 60s"]
    assert read_selector(shown["node_selector"]) == PLACEMENT["node_selector"]
    assert read_tolerations(shown["tolerations"]) == PLACEMENT["tolerations"]


@pytest.mark.parametrize("text", ["zone", "a=b\na=c"])
def test_lines_that_are_no_labels_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="name=value"):
        read_selector(text)


@pytest.mark.parametrize("text", ["a b", "=x", "a=b=c:d:e", ":NoSchedule"])
def test_lines_that_are_no_tolerations_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="key:Effect"):
        read_tolerations(text)


@pytest.fixture
def operator(cast: Cast, client: Client) -> Client:
    client.force_login(cast.operator)
    return client


@pytest.mark.django_db
def test_the_page_of_a_profile_keeps_and_refuses_placements(operator: Client) -> None:
    profile = make_profile(placement=PLACEMENT)
    page = url(Profile, "change", profile.pk)
    assert operator.post(page, form_of(operator, page)).status_code == 302
    profile.refresh_from_db()
    assert profile.placement == PLACEMENT
    answer = operator.post(page, form_of(operator, page) | {"node_selector": "node-role.kubernetes.io/control-plane="})
    assert "control plane" in answer.content.decode()
    assert "Exists" in answer.content.decode()
    said = {"node_selector": "", "tolerations": "", "priority_class": "", "runtime_class": ""}
    assert operator.post(page, form_of(operator, page) | said).status_code == 302
    profile.refresh_from_db()
    assert profile.placement == {}
