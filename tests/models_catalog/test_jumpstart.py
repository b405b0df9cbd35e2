"""SageMaker's hub over the simulated AWS: browsed, put on the shelf, its licence read, accepted and asked for at the wish."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from clusters.drivers.aws import aws_for
from clusters.models import AwsAccount
from clusters.states import ClusterKind
from endpoints.services.proposals import first_spec
from models_catalog import services
from models_catalog.choices import ArtifactKind
from models_catalog.jumpstart import details
from models_catalog.models import Artifact, CatalogModel, EulaAcceptance, Profile
from portal.tenancy.errors import Invalid, NotAllowed, NotFound, Unavailable
from portal.tenancy.models import AuditEntry
from tests.aws import make_aws_account
from tests.cast import Cast, make_cluster, make_profile
from tests.simulators.aws.server import AwsSimulator

GATED, OPEN = "meta-textgeneration-llama-3-8b-instruct", "huggingface-llm-mistral-7b-instruct"
TEXT = "You may not build a moon base with this."


@pytest.fixture
def account(aws_sim: AwsSimulator, cast: Cast) -> AwsAccount:
    return make_aws_account(aws_sim)


@pytest.fixture
def licence(account: AwsAccount) -> str:
    """The text of the gated models' licence, where the hub's document says that it lies."""
    aws = aws_for(account)
    bucket = f"jumpstart-cache-prod-{account.region}"
    aws.call("s3", "create_bucket", Bucket=bucket)
    aws.call("s3", "put_object", Bucket=bucket, Key="fmhMetadata/eula/llama3Eula.txt", Body=TEXT.encode())
    return TEXT


def shelved(cast: Cast, account: AwsAccount, model_id: str) -> tuple[CatalogModel, Artifact]:
    model = services.shelve_hub_model(cast.actor("operator"), account, "", model_id)
    return model, Artifact.objects.select_related("model").get(model=model)


def test_the_hub_is_browsed_by_a_part_of_the_id(account: AwsAccount) -> None:
    names = {one.model_id for one in services.browse(account, "", text="Llama").items}
    assert names == {GATED, "meta-textgeneration-llama-3-70b-instruct"}
    assert len(services.browse(account, "").items) > len(names)
    assert services.browse(account, "", text="nothing-like-this").items == ()


def test_a_model_that_is_not_there_and_a_region_that_is_none_are_said(account: AwsAccount) -> None:
    with pytest.raises(NotFound):
        services.hub_details(account, "", "no-such-model")
    with pytest.raises(Invalid) as refusal:
        services.browse(account, "atlantis")
    assert refusal.value.field == "region"


def test_a_hub_that_refuses_is_unavailable_and_says_what_is_missing(aws_sim: AwsSimulator, account: AwsAccount) -> None:
    aws_sim.faults.refuse("sagemaker:ListHubContents")
    with pytest.raises(Unavailable) as refusal:
        services.browse(account, "")
    assert "ListHubContents" in refusal.value.message


def test_a_model_is_shelved_once_and_pinned_to_its_version(cast: Cast, account: AwsAccount) -> None:
    model, artifact = shelved(cast, account, OPEN)
    assert (artifact.kind, artifact.location, artifact.revision) == (ArtifactKind.JUMPSTART, OPEN, "3.3.0")
    assert (model.gated, model.shelved, model.name) == (False, True, "Mistral 7B Instruct")
    assert shelved(cast, account, OPEN)[0] == model


def test_names_that_begin_alike_are_models_of_their_own(cast: Cast, account: AwsAccount) -> None:
    cast.alpha.slug = "a-workspace-whose-own-name-is-rather-long"
    cast.alpha.save()
    names = (GATED, "meta-textgeneration-llama-3-70b-instruct", OPEN)
    made = [services.shelve_hub_model(cast.actor("alice"), account, "", name, workspace=cast.alpha) for name in names]
    assert len({model.pk for model in made}) == 3
    assert [model.gated for model in made] == [True, True, False]
    assert services.shelve_hub_model(cast.actor("alice"), account, "", OPEN, workspace=cast.alpha) == made[2]


def test_a_version_that_asks_for_its_licence_makes_the_model_ask(cast: Cast, account: AwsAccount) -> None:
    model, artifact = shelved(cast, account, GATED)
    CatalogModel.objects.filter(pk=model.pk).update(gated=False)
    Artifact.objects.filter(pk=artifact.pk).update(revision="0.0.1")
    assert services.shelve_hub_model(cast.actor("operator"), account, "", GATED) == model
    assert CatalogModel.objects.get(pk=model.pk).gated
    assert Artifact.objects.filter(model=model).count() == 2


def test_a_workspaces_admin_shelves_for_the_workspace_only(cast: Cast, account: AwsAccount) -> None:
    with pytest.raises(NotAllowed):
        services.shelve_hub_model(cast.actor("alice"), account, "", OPEN)
    own = services.shelve_hub_model(cast.actor("alice"), account, "", OPEN, workspace=cast.alpha)
    assert own.workspace == cast.alpha
    with pytest.raises(NotFound):
        services.shelve_hub_model(cast.actor("charlie"), account, "", OPEN, workspace=cast.alpha)


def test_a_licence_is_accepted_once_by_name_and_text(cast: Cast, account: AwsAccount, licence: str) -> None:
    _model, artifact = shelved(cast, account, GATED)
    for _time in range(2):
        made = services.read_and_accept(cast.actor("alice"), artifact, cast.alpha, account, "")
    assert (made.accepted_by, made.digest) == (cast.alice, hashlib.sha256(licence.encode()).hexdigest())
    assert made.url.endswith("llama3Eula.txt")
    assert EulaAcceptance.objects.count() == 1
    assert AuditEntry.objects.filter(verb="accept licence", workspace=cast.alpha).count() == 1
    assert not services.has_accepted(cast.beta, artifact)


def test_who_may_not_manage_the_workspace_accepts_nothing_for_it(cast: Cast, account: AwsAccount, licence: str) -> None:
    _model, artifact = shelved(cast, account, GATED)
    for name, error in (("bob", NotAllowed), ("charlie", NotFound)):
        with pytest.raises(error):
            services.read_and_accept(cast.actor(name), artifact, cast.alpha, account, "")
    assert not EulaAcceptance.objects.exists()


def test_a_licence_that_can_not_be_read_is_not_accepted(cast: Cast, account: AwsAccount) -> None:
    _model, artifact = shelved(cast, account, GATED)
    with pytest.raises(Unavailable):
        services.read_and_accept(cast.actor("alice"), artifact, cast.alpha, account, "")
    assert not EulaAcceptance.objects.exists()


def wish(cast: Cast, model: CatalogModel, artifact: Artifact) -> dict[str, Any]:
    """The settings of a first revision on HyperPod."""
    place = make_cluster("pod", kind=ClusterKind.HYPERPOD)
    profile = make_profile("hub-profile", gpus=1)
    Profile.objects.filter(pk=profile.pk).update(model=model, artifact=artifact)
    profile = Profile.objects.select_related("model", "artifact", "release").get(pk=profile.pk)
    return first_spec(cast.alpha, place, profile, arguments=None, environment=None, devices=(),
                      options={"server": {"instanceType": "ml.g5.12xlarge"}})


def test_a_gated_model_is_not_wished_before_its_licence_is_accepted(cast: Cast, account: AwsAccount) -> None:
    with pytest.raises(Invalid) as refusal:
        wish(cast, *shelved(cast, account, GATED))
    assert refusal.value.field == "profile"
    assert "licence" in refusal.value.message


def test_an_accepted_licence_is_frozen_into_the_revision(cast: Cast, account: AwsAccount, licence: str) -> None:
    model, artifact = shelved(cast, account, GATED)
    services.read_and_accept(cast.actor("alice"), artifact, cast.alpha, account, "")
    assert wish(cast, model, artifact)["artifact"]["eula_accepted"] is True


def test_a_model_without_a_licence_to_accept_is_wished_at_once(cast: Cast, account: AwsAccount) -> None:
    assert wish(cast, *shelved(cast, account, OPEN))["artifact"]["eula_accepted"] is False


@pytest.mark.parametrize("document", ["", "no json", "[1]", '{"HostingEulaUri": 7, "SupportedInferenceInstanceTypes": "x"}'])
def test_a_document_that_is_not_understood_says_nothing(document: str) -> None:
    found = details({"HubContentName": "m", "HubContentVersion": "1.0.0", "HubContentDocument": document})
    assert (found.eula, found.gated, found.instance_types, found.asks_for_acceptance) == ("", False, (), False)


def test_the_page_shows_what_there_is_and_one_click_shelves_it(cast: Cast, account: AwsAccount, client: Client) -> None:
    client.force_login(cast.operator)
    page = reverse("admin:models_catalog_catalogmodel_jumpstart_page")
    assert "Add an AWS account" not in client.get(page).content.decode()
    found = client.get(page, {"account": account.pk, "q": "mistral"}).content.decode()
    assert OPEN in found
    assert client.get(page, {"account": account.pk, "q": "zzz"}).content.decode().count("no model with this") == 1
    answer = client.post(page, {"account": account.pk, "model_id": OPEN})
    assert answer.status_code == 302
    assert CatalogModel.objects.filter(artifacts__location=OPEN).exists()


def test_the_licences_text_stands_above_the_button_that_accepts_it(
    cast: Cast, account: AwsAccount, licence: str, client: Client,
) -> None:
    model, artifact = shelved(cast, account, GATED)
    client.force_login(cast.operator)
    page = reverse("admin:models_catalog_catalogmodel_accept_licence", args=[model.pk])
    form = {"artifact": artifact.pk, "workspace": cast.alpha.pk, "account": account.pk, "confirm_token": "t" * 32}
    assert "Read the licence" in client.get(page).content.decode()
    read = client.post(page, form).content.decode()
    assert licence in read
    assert not EulaAcceptance.objects.exists()
    word = read.partition('name="preview_word" value="')[2].partition('"')[0]
    assert client.post(page, {**form, "preview_word": word}).status_code == 302
    assert EulaAcceptance.objects.get().workspace == cast.alpha
