"""The login of a private registry on its way: from the catalogue to the nodes, and into nothing that people read."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any

import pytest

from clusters.drivers.kinds import SECRET
from clusters.drivers.kube import kube_for
from clusters.models import Cluster
from endpoints import services
from endpoints.models import Endpoint, Event, Revision
from endpoints.services.exports import export
from endpoints.services.specs import spec_of
from endpoints.targets.base import TargetError
from models_catalog import services as catalogue
from models_catalog.models import EngineRelease, Profile
from portal.tenancy.actor import PORTAL
from portal.tenancy.models import AuditEntry
from tests.cast import Cast
from tests.simulators.kubernetes.server import Simulator

from .cluster_play import in_service, new_endpoint, stateful_set, until
from .test_drift import again
from .test_plan import deployed, place, profile  # noqa: F401  fixtures

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "reg-hidden-7"


@pytest.fixture
def private(profile: Profile) -> EngineRelease:  # noqa: F811
    """The release's image lies in a registry that asks for a login."""
    release = profile.release
    catalogue.change_release(PORTAL, release, image="registry.example.org/engine:v1")
    catalogue.set_registry_login(PORTAL, release, "robot", PASSWORD)
    return EngineRelease.objects.get(pk=release.pk)


def pull_secret(endpoint: Endpoint) -> dict[str, Any] | None:
    return kube_for(endpoint.cluster).get(SECRET, services.specs.namespace_of(endpoint), f"{endpoint.external_name}-pull")


def told(endpoint: Endpoint) -> str:
    """All that people may read of it."""
    rows: list[Any] = [model.objects.values() for model in (Endpoint, Revision, Event, AuditEntry)]
    return json.dumps([list(row) for row in rows], default=str) + export(endpoint, "manifests")


def test_nodes_get_the_login_and_nobody_reads_it(
    cast: Cast, place: Cluster, profile: Profile, private: EngineRelease,  # noqa: F811
) -> None:
    planned = services.plan_creation(cast.actor("alice"), cast.alpha, name="small", cluster=place, profile=profile)
    assert any(step.what.endswith("-pull") and step.verb == "create" for step in planned.plan.steps)
    endpoint = again(deployed(cast, place, profile))
    made = pull_secret(endpoint)
    assert made is not None
    auths = json.loads(base64.b64decode(made["data"][".dockerconfigjson"]))["auths"]
    assert (auths["registry.example.org"]["username"], auths["registry.example.org"]["password"]) == ("robot", PASSWORD)
    hidden = {PASSWORD, made["data"][".dockerconfigjson"], base64.b64encode(f"robot:{PASSWORD}".encode()).decode()}
    for text in (repr(planned), str(asdict(services.plan(endpoint).plan)), told(endpoint), repr(spec_of(endpoint))):
        assert not [value for value in hidden if value in text]


def test_a_new_password_is_one_hidden_change_of_the_plan(
    cast: Cast, place: Cluster, profile: Profile, private: EngineRelease,  # noqa: F811
) -> None:
    endpoint = deployed(cast, place, profile)
    catalogue.set_registry_login(PORTAL, private, "robot", "reg-hidden-8")
    changed = [step for step in services.plan(again(endpoint)).plan.steps if step.verb != "keep"]
    assert [(step.verb, step.what) for step in changed] == [("change", f"Secret/{endpoint.external_name}-pull")]
    assert {(field.before, field.after) for field in changed[0].fields} == {("(secret)", "(secret)")}


def test_a_login_that_is_no_longer_needed_is_taken_away(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = new_endpoint(cast, quick, "private")
    release = endpoint.wanted.profile.release
    catalogue.set_registry_login(PORTAL, release, "robot", PASSWORD)
    endpoint = in_service(endpoint)
    assert pull_secret(endpoint) is not None
    catalogue.set_registry_login(PORTAL, release, "", "")
    services.deploy(cast.actor("alice"), endpoint)
    until(endpoint, lambda row: row.is_settled and row.status == "INSERVICE" and pull_secret(row) is None)
    pod = stateful_set(quick_sim, endpoint)["spec"]["template"]["spec"]
    assert "imagePullSecrets" not in pod


def test_a_login_goes_to_the_registry_that_it_was_entered_for_only(
    cast: Cast, place: Cluster, profile: Profile, private: EngineRelease,  # noqa: F811
) -> None:
    endpoint = deployed(cast, place, profile)
    catalogue.change_release(PORTAL, private, image="elsewhere.example.org/engine:v1")
    catalogue.set_registry_login(PORTAL, private, "robot", "of-elsewhere")
    wanted = spec_of(again(endpoint)).wanted
    assert (wanted.image, wanted.registry_user, wanted.registry_password) == ("registry.example.org/engine:v1", "", "")


def test_a_login_is_found_though_the_profile_went_on_to_another_release(
    cast: Cast, place: Cluster, profile: Profile, private: EngineRelease,  # noqa: F811
) -> None:
    endpoint = deployed(cast, place, profile)
    newer = catalogue.create_release(PORTAL, slug="newer", kind="vllm", version="1", device="cpu", image="vllm/newer:v1")
    Profile.objects.filter(pk=profile.pk).update(release=newer)
    assert spec_of(again(endpoint)).wanted.registry_password == PASSWORD


def test_a_login_that_can_not_be_read_says_where_to_enter_it_again(
    cast: Cast, place: Cluster, profile: Profile, private: EngineRelease,  # noqa: F811
) -> None:
    endpoint = deployed(cast, place, profile)
    EngineRelease.objects.filter(pk=private.pk).update(registry_password="v1:00000000:AAAA")
    with pytest.raises(TargetError, match=r"login of registry\.example\.org can't be read") as error:
        spec_of(again(endpoint))
    assert error.value.permanent
