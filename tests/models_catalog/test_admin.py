"""The catalogue's admin pages: they open, answer at a glance, save through services, and never grow their queries."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from portal.tenancy.models import AuditEntry, User
from tests.cast import GIB, Cast, make_model, make_profile, make_user
from tests.portal.conftest import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(cast: Cast) -> Client:
    return signed_in(cast.operator)


def url(model: type, page: str, *args: Any) -> str:
    return reverse(f"admin:models_catalog_{model._meta.model_name}_{page}", args=args)  # type: ignore[attr-defined]


def fill(number: int) -> None:
    for n in range(number):
        Vendor.objects.create(slug=f"vendor-{n}", names={"enUS": f"Vendor {n}", "zhCN": f"厂商{n}"})
        EngineRelease.objects.create(slug=f"vllm-{n}", kind="vllm", version=f"0.{n}.0", device="cuda")
        profile = make_profile(f"model-{n}-cpu")
        profile.model.vendor = Vendor.objects.get(slug=f"vendor-{n}")
        profile.model.save()


PAGES = [Vendor, CatalogModel, EngineRelease, Profile]


@pytest.mark.parametrize("model", PAGES)
def test_list_pages_open_with_the_same_queries_for_1_and_21_rows(operator: Client, model: type) -> None:
    counts = []
    for number in (1, 21):
        for kind in (Profile, Artifact, CatalogModel, Vendor, EngineRelease):
            kind.objects.all().delete()
        fill(number)
        with CaptureQueriesContext(connection, ) as queries:
            page = operator.get(url(model, "changelist"))
        assert page.status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12, counts


@pytest.mark.parametrize("model", PAGES)
def test_pages_open_for_operators_only(operator: Client, cast: Cast, model: type) -> None:
    profile = make_profile()
    row: Any = {Vendor: profile.model.vendor, CatalogModel: profile.model, EngineRelease: profile.release,
                Profile: profile}[model]
    for page in (url(model, "add"), url(model, "change", row.pk), url(model, "delete", row.pk),
                 url(model, "import"), url(model, "export")):
        assert operator.get(page).status_code == 200, page
    tenant = Client()
    tenant.force_login(cast.alice)
    assert tenant.get(url(model, "changelist")).status_code == 302
    staff = Client()
    staff.force_login(make_user("staff", is_staff=True))
    assert staff.get(url(model, "changelist")).status_code == 403
    assert staff.get(url(model, "import")).status_code == 403
    assert staff.get(url(model, "export")).status_code == 403


def test_the_model_list_answers_at_a_glance(operator: Client) -> None:
    make_profile("big-cpu", make_model("big", parameters=7_615_616_512, context_tokens=32768, licence="MIT", gated=True,
                                       weights_bytes=15_231_233_024))
    make_model("moe", parameters=30_532_122_624, parameters_active=3_300_000_000, shelved=False)
    page = operator.get(url(CatalogModel, "changelist")).content.decode()
    for text in ("7.6 B", "14.2 GiB", "32 K", "MIT, gated", "on the shelf", "off the shelf", "30.5 B, 3.3 B active"):
        assert text in page, text


def test_search_and_filters_find(operator: Client) -> None:
    make_profile("found-cpu")
    make_model("bare")
    for query, there, gone in (("q=found", "Found", "Bare"), ("profiles=none", "Bare", "Found"),
                               ("profiles=some", "Found", "Bare"), ("task__exact=chat", "Found", "Nothing")):
        page = operator.get(url(CatalogModel, "changelist") + "?" + query)
        cells = re.findall(r"Found|Bare", page.content.decode().split("result_list")[-1])
        assert there in cells, query
        assert gone not in cells, query


def test_saving_a_model_goes_through_the_service_and_the_audit(operator: Client) -> None:
    model = make_model("old")
    data = form_of(operator, url(CatalogModel, "change", model.pk)) | {"name": "New name"}
    answer = operator.post(url(CatalogModel, "change", model.pk), data)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    model.refresh_from_db()
    assert model.name == "New name"
    entry = AuditEntry.objects.get(kind="models_catalog.catalogmodel")
    assert (entry.verb, entry.before, entry.after) == ("change", {"name": "Old"}, {"name": "New name"})


def test_a_refusal_of_the_service_is_an_error_of_the_form(operator: Client) -> None:
    model = make_model("old")
    data = form_of(operator, url(CatalogModel, "change", model.pk)) | {"name": "a\u202eb"}
    answer = operator.post(url(CatalogModel, "change", model.pk), data)
    assert answer.status_code == 200
    assert "invisible characters" in answer.content.decode()
    model.refresh_from_db()
    assert model.name == "Old"


def test_an_artifact_is_added_with_a_token_that_is_never_shown(operator: Client) -> None:
    model = make_model("gated", gated=True)
    page = url(CatalogModel, "change", model.pk)
    data = form_of(operator, page) | {
        "artifacts-TOTAL_FORMS": "1", "artifacts-0-kind": "huggingface", "artifacts-0-location": "acme/gated",
        "artifacts-0-revision": "", "artifacts-0-new_token": "hf_very-secret", "artifacts-0-model": str(model.pk)}
    answer = operator.post(page, data)
    assert answer.status_code == 302
    artifact = Artifact.objects.get(model=model)
    assert artifact.secret("token") == "hf_very-secret"
    assert "hf_very-secret" not in operator.get(page).content.decode()
    assert "hf_very-secret" not in str(list(AuditEntry.objects.values()))
    again = form_of(operator, page)
    assert operator.post(page, again | {"artifacts-0-revision": "main"}).status_code == 302
    artifact.refresh_from_db()
    assert (artifact.revision, artifact.secret("token")) == ("main", "hf_very-secret"), "an empty field keeps it"


def test_a_wrong_location_is_refused_on_the_page(operator: Client) -> None:
    model = make_model("gated")
    page = url(CatalogModel, "change", model.pk)
    answer = operator.post(page, form_of(operator, page) | {
        "artifacts-TOTAL_FORMS": "1", "artifacts-0-kind": "path", "artifacts-0-location": "/models/../etc",
        "artifacts-0-revision": "", "artifacts-0-new_token": "", "artifacts-0-model": str(model.pk)})
    assert answer.status_code == 200
    assert "no “.”" in answer.content.decode()
    assert not Artifact.objects.exists()


def test_profile_memory_is_written_in_gib_and_untouched_bytes_stay_exact(operator: Client) -> None:
    profile = make_profile(memory_bytes=2 * GIB + 12345)
    page = url(Profile, "change", profile.pk)
    data = form_of(operator, page)
    assert data["memory_bytes"] == "2"
    assert operator.post(page, data | {"name": "Renamed"}).status_code == 302
    profile.refresh_from_db()
    assert (profile.name, profile.memory_bytes) == ("Renamed", 2 * GIB + 12345)
    assert operator.post(page, data | {"memory_bytes": "3.5"}).status_code == 302
    profile.refresh_from_db()
    assert profile.memory_bytes == int(3.5 * GIB)


def test_kinds_of_place_are_ticked_and_json_is_readable(operator: Client) -> None:
    profile = make_profile(arguments={"seed": 1, "max-model-len": 4096}, environment={"NCCL_DEBUG": "WARN"})
    page = url(Profile, "change", profile.pk)
    shown = operator.get(page).content.decode()
    assert '{\n  &quot;NCCL_DEBUG&quot;: &quot;WARN&quot;' in shown
    assert 'name="arguments__seed" value="1"' in shown
    assert operator.post(page, form_of(operator, page) | {"places": ["hosts", "kubernetes"]}).status_code == 302
    profile.refresh_from_db()
    assert (profile.places, profile.arguments) == (["hosts", "kubernetes"], {"seed": 1, "max-model-len": 4096})
    assert operator.post(page, form_of(operator, page) | {"places": ["moon"]}).status_code == 200


def test_text_that_is_no_json_is_shown_again(operator: Client) -> None:
    profile = make_profile()
    page = url(Profile, "change", profile.pk)
    answer = operator.post(page, form_of(operator, page) | {"arguments": "{oops"})
    assert answer.status_code == 200
    assert "{oops" in answer.content.decode()


def test_a_profile_with_a_forbidden_argument_is_refused_with_its_reason(operator: Client) -> None:
    profile = make_profile()
    page = url(Profile, "change", profile.pk)
    answer = operator.post(page, form_of(operator, page) | {"arguments": '{"trust-remote-code": true}'})
    assert answer.status_code == 200
    assert "--trust-remote-code” is not permitted" in answer.content.decode()


def test_models_go_on_and_off_the_shelf_after_a_confirmation(operator: Client) -> None:
    models = [make_model(f"m-{n}") for n in range(3)]
    chosen = {"action": "unshelve", "_selected_action": [m.pk for m in models]}
    asked = operator.post(url(CatalogModel, "changelist"), chosen)
    assert asked.status_code == 200
    assert CatalogModel.objects.filter(shelved=True).count() == 3, "asking changes nothing"
    token = re.search(r'name="confirm_token" value="([0-9a-f]+)"', asked.content.decode())
    assert token is not None
    done = operator.post(url(CatalogModel, "changelist"), chosen | {"confirm_token": token[1]}, follow=True)
    assert "3 done" in done.content.decode()
    assert CatalogModel.objects.filter(shelved=True).count() == 0
    assert AuditEntry.objects.filter(verb="unshelve").count() == 3


def test_the_shelf_actions_need_their_permission(cast: Cast) -> None:
    person: User = make_user("reader", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=["view_catalogmodel", "operate"]))
    client = Client()
    client.force_login(person)
    make_model("m")
    page = client.get(url(CatalogModel, "changelist"))
    assert page.status_code == 200
    assert "unshelve" not in page.content.decode()


def test_a_release_lists_what_can_be_set(operator: Client) -> None:
    release = EngineRelease.objects.create(slug="vllm-0.32.0", kind="vllm", version="0.32.0", device="cuda")
    page = operator.get(url(EngineRelease, "change", release.pk)).content.decode()
    assert "tensor-parallel-size" in page
    assert "GPUs that share each layer." in page


def test_the_login_of_a_registry_is_written_and_never_shown(operator: Client) -> None:
    release = EngineRelease.objects.create(slug="own", kind="vllm", version="0.32.0", device="cuda", image="reg.example/a:v1")
    page = url(EngineRelease, "change", release.pk)
    half = operator.post(page, form_of(operator, page) | {"user": "", "password": "reg-hidden-7"})
    assert half.status_code == 200
    assert "reg-hidden-7" not in half.content.decode(), "not even in a refused form"
    assert operator.post(page, form_of(operator, page) | {"user": "robot", "password": "reg-hidden-7"}).status_code == 302
    release.refresh_from_db()
    assert (release.registry_user, release.secret("registry_password")) == ("robot", "reg-hidden-7")
    assert "reg-hidden-7" not in operator.get(page).content.decode()
    assert operator.post(page, form_of(operator, page) | {"image": "reg.example/a:v2"}).status_code == 302
    release.refresh_from_db()
    assert release.secret("registry_password") == "reg-hidden-7", "an empty field keeps it"
    assert operator.post(page, form_of(operator, page) | {"user": ""}).status_code == 302
    release.refresh_from_db()
    assert (release.registry_user, release.registry_password) == ("", "")


def test_deleting_what_is_used_is_refused_in_words(operator: Client) -> None:
    profile = make_profile()
    answer = operator.post(url(Vendor, "delete", profile.model.vendor.pk), {"post": "yes"}, follow=True)
    assert answer.status_code == 200
    assert Vendor.objects.filter(pk=profile.model.vendor.pk).exists()


def form_of(client: Client, page: str) -> dict[str, Any]:
    """What a browser would send back if a person pressed Save without a change."""
    context = client.get(page).context
    forms = [context["adminform"].form]
    for inline in context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    data: dict[str, Any] = {}
    for form in forms:
        for field in form:
            value = field.value()
            if value is True:
                data[field.html_name] = "on"
            elif value is not None and value is not False:
                data[field.html_name] = value
    return data
