"""Bulk import and export: what comes out goes in again, and one bad row keeps everything out."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from models_catalog.formats import guarded, unguarded
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from portal.tenancy.models import AuditEntry
from tests.cast import GIB, Cast, make_model, make_profile

JSON, CSV = "0", "1"


@pytest.fixture
def operator(cast: Cast) -> Client:
    client = Client()
    client.force_login(cast.operator)
    return client


def url(model: Any, page: str) -> str:
    return reverse(f"admin:models_catalog_{model._meta.model_name}_{page}")


def export(client: Client, model: Any, format_number: str) -> str:
    answer = client.post(url(model, "export"), {"format": format_number, "resource": "0"})
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    assert answer["Content-Type"] == {JSON: "application/json", CSV: "text/csv; charset=utf-8"}[format_number]
    return answer.content.decode()


def upload(client: Client, model: Any, text: str, format_number: str) -> Any:
    """Upload a file and, where the preview has no complaint, confirm it. Returns the last page."""
    name = {JSON: "rows.json", CSV: "rows.csv"}[format_number]
    file = SimpleUploadedFile(name, text.encode())
    page = client.post(url(model, "import"), {"import_file": file, "format": format_number, "resource": "0"})
    assert page.status_code == 200
    confirm = page.context.get("confirm_form")
    if confirm is None:
        return page
    data = {name: confirm.initial.get(name, "") for name in confirm.fields}
    return client.post(url(model, "process_import"), data, follow=True)


@pytest.mark.django_db
@pytest.mark.both_databases
@pytest.mark.parametrize("format_number", [JSON, CSV])
class TestRoundTrip:
    def test_vendors_with_names_in_chinese(self, operator: Client, format_number: str) -> None:
        Vendor.objects.create(slug="alibaba", names={"enUS": "Alibaba", "zhCN": "通义千问"}, homepage="https://qwen.ai")
        text = export(operator, Vendor, format_number)
        assert "通义千问" in text
        Vendor.objects.all().delete()
        page = upload(operator, Vendor, text, format_number)
        assert page.redirect_chain, page.content.decode()[:4000]
        vendor = Vendor.objects.get()
        assert (vendor.slug, vendor.names) == ("alibaba", {"enUS": "Alibaba", "zhCN": "通义千问"})
        assert AuditEntry.objects.get(verb="create").kind == "models_catalog.vendor"

    def test_models(self, operator: Client, cast: Cast, format_number: str) -> None:
        make_model("one", parameters=7, shape={"heads": 8, "moe": None}, languages=["en", "zh"], gated=True, licence="MIT")
        make_model("two", workspace=cast.alpha, shelved=False)
        before = list(CatalogModel.objects.order_by("slug").values("slug", "parameters", "shape", "languages", "gated",
                                                                    "licence", "workspace", "shelved", "vendor"))
        text = export(operator, CatalogModel, format_number)
        CatalogModel.objects.all().delete()
        assert upload(operator, CatalogModel, text, format_number).redirect_chain
        assert list(CatalogModel.objects.order_by("slug").values(*before[0])) == before

    def test_profiles_bring_their_artifacts(self, operator: Client, format_number: str) -> None:
        profile = make_profile(arguments={"max-model-len": 4096}, environment={"OMP_NUM_THREADS": "2"}, places=["hosts"])
        text = export(operator, Profile, format_number)
        model = profile.model
        profile.delete()
        model.artifacts.all().delete()
        assert upload(operator, Profile, text, format_number).redirect_chain
        new = Profile.objects.get()
        assert (new.arguments, new.environment, new.places) == ({"max-model-len": 4096}, {"OMP_NUM_THREADS": "2"}, ["hosts"])
        assert (new.memory_bytes, new.artifact.location) == (2 * GIB, "/models/tiny-chat")

    def test_releases(self, operator: Client, format_number: str) -> None:
        EngineRelease.objects.create(slug="vllm-1.0", kind="vllm", version="1.0", device="cuda", enabled=False)
        text = export(operator, EngineRelease, format_number)
        EngineRelease.objects.all().delete()
        assert upload(operator, EngineRelease, text, format_number).redirect_chain
        assert EngineRelease.objects.get().enabled is False

    def test_an_unchanged_file_changes_nothing(self, operator: Client, format_number: str) -> None:
        make_profile()
        for model in (Vendor, CatalogModel, Profile, EngineRelease):
            assert upload(operator, model, export(operator, model, format_number), format_number).redirect_chain
        assert not AuditEntry.objects.exists()

    def test_secrets_are_not_in_the_file(self, operator: Client, format_number: str) -> None:
        profile = make_profile()
        profile.artifact.put_secret("token", "hf_secret")
        profile.artifact.save()
        for model in (Vendor, CatalogModel, Profile, EngineRelease):
            text = export(operator, model, format_number)
            assert profile.artifact.token not in text
            assert '"token"' not in text


BAD_ROWS: list[tuple[Any, dict[str, Any], str]] = [
    (Vendor, {"slug": "Bad Slug", "names": {"enUS": "B"}}, "lower-case"),
    (Vendor, {"slug": "b", "names": "not json"}, "no JSON"),
    (Vendor, {"slug": "b", "names": ["x"]}, "an object"),
    (Vendor, {"slug": "b", "names": {}}, "at least one language"),
    (CatalogModel, {"slug": "b", "name": "B", "vendor": "nobody", "task": "chat"}, "no vendor “nobody”"),
    (CatalogModel, {"slug": "b", "name": "B", "vendor": "acme", "task": "dance"}, "dance"),
    (CatalogModel, {"slug": "b", "name": "B", "vendor": "acme", "task": "chat", "parameters": "7e9"}, "no whole number"),
    (CatalogModel, {"slug": "b", "name": "B", "vendor": "acme", "task": "chat", "gated": "maybe"}, "neither true nor"),
    (CatalogModel, {"slug": "b", "name": "B", "vendor": "acme", "task": "chat", "workspace": "nowhere"}, "no workspace"),
]


@pytest.mark.django_db
@pytest.mark.both_databases
@pytest.mark.parametrize(("model", "bad", "words"), BAD_ROWS)
def test_a_bad_row_is_named_by_its_number_and_changes_nothing(
    operator: Client, model: Any, bad: dict[str, Any], words: str,
) -> None:
    make_model("existing")
    count = model.objects.count()
    good: dict[str, Any] = {"slug": "good", "name": "Good", "vendor": "acme", "task": "chat"}
    if model is Vendor:
        good = {"slug": "good", "names": {"enUS": "Good"}}
    page = upload(operator, model, json.dumps([good, bad]), JSON)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.content.decode()))
    assert words in text
    assert re.search(r"Row\b.* 2 ", text), "the row's number is shown"
    assert page.context.get("confirm_form") is None, "there is nothing to confirm"
    assert model.objects.count() == count
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_a_row_that_went_bad_after_the_preview_keeps_all_rows_out(operator: Client) -> None:
    rows = [{"slug": "one", "name": "One", "vendor": "acme", "task": "chat"},
            {"slug": "two", "name": "Two", "vendor": "gone", "task": "chat"}]
    make_model("existing")
    gone = Vendor.objects.create(slug="gone", names={"enUS": "G"})
    file = SimpleUploadedFile("rows.json", json.dumps(rows).encode())
    page = operator.post(url(CatalogModel, "import"), {"import_file": file, "format": JSON, "resource": "0"})
    confirm = page.context["confirm_form"]
    gone.delete()
    data = {name: confirm.initial.get(name, "") for name in confirm.fields}
    done = operator.post(url(CatalogModel, "process_import"), data, follow=True)
    assert "Row 2" in done.content.decode()
    assert "Nothing was imported." in done.content.decode()
    assert CatalogModel.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("text", "format_number"), [
    ("", JSON), ("[", JSON), ('{"slug": "a"}', JSON), ("[1]", JSON), ("[]", JSON), ("", CSV), ("names\nx\n", CSV),
    ('[{"slug": "a", "names": {"enUS": "A"}, "seeded": {}}]', JSON), ("\x00", CSV),
])
def test_a_file_that_is_none_is_refused_on_the_page(operator: Client, text: str, format_number: str) -> None:
    page = upload(operator, Vendor, text, format_number)
    assert page.context.get("confirm_form") is None
    assert not Vendor.objects.exists()


@pytest.mark.django_db
def test_a_tenants_workspace_is_unknown_to_staff_of_another(cast: Cast) -> None:
    staff = cast.alice
    staff.is_staff = True
    staff.save()
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label="models_catalog"))
    client = Client()
    client.force_login(staff)
    make_model("theirs", workspace=cast.beta)
    assert "theirs" not in export(client, CatalogModel, JSON)
    for workspace, words in (("beta", "no workspace “beta”"), ("nowhere", "no workspace “nowhere”")):
        row = {"slug": "mine", "name": "M", "vendor": "acme", "task": "chat", "workspace": workspace}
        assert words in upload(client, CatalogModel, json.dumps([row]), JSON).content.decode()
    row = {"slug": "mine", "name": "M", "vendor": "acme", "task": "chat", "workspace": "alpha"}
    assert upload(client, CatalogModel, json.dumps([row]), JSON).redirect_chain
    assert CatalogModel.objects.get(slug="mine").workspace == cast.alpha


FORMULAS = ['=HYPERLINK("http://e.org","x")', "+1+1", "-2+3", "@SUM(A1)", "\tx", "\rx", "'quoted", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_guarded_and_comes_back(text: str) -> None:
    assert guarded(text) == f"'{text}"
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("value", ["plain", "a=b", "", "1", "通义千问", 7, True, None])
def test_other_cells_stay_as_they_are(value: Any) -> None:
    assert not guarded(value).startswith("'")
    assert unguarded(value) == value


@pytest.mark.django_db
@pytest.mark.parametrize("text", ['=HYPERLINK("http://e.org","x")', "+1+1", "-2+3", "@SUM(A1)"])
def test_an_exported_name_is_never_a_formula(operator: Client, text: str) -> None:
    model = make_model("m", name=text, description=text)
    content = export(operator, CatalogModel, CSV)
    row = next(csv.DictReader(io.StringIO(content)))
    assert row["name"] == f"'{text}"
    assert f"\"'{text.replace(chr(34), chr(34) * 2)}\"" in content, "every cell is quoted"
    assert upload(operator, CatalogModel, content, CSV).redirect_chain
    model.refresh_from_db()
    assert (model.name, model.description) == (text, text)


@pytest.mark.django_db
def test_artifacts_of_a_bad_profile_are_not_left_behind(operator: Client) -> None:
    profile = make_profile()
    row = {"slug": "new", "name": "N", "model": profile.model.slug, "release": profile.release.slug, "memory_bytes": GIB,
           "cpu_millis": 1000, "artifact_kind": "huggingface", "artifact_location": "a/b", "start_seconds": 60, "gpus": 0,
           "gpu_memory_bytes": 0, "arguments": {"trust-remote-code": True}}
    page = upload(operator, Profile, json.dumps([row]), JSON)
    assert "--trust-remote-code” is not permitted" in page.content.decode()
    assert Artifact.objects.count() == 1


@pytest.mark.django_db
def test_a_cell_that_is_not_there_keeps_what_is_there(operator: Client) -> None:
    make_model("old", licence="MIT", shelved=True, gated=True)
    rows = [{"slug": "old", "name": "Newer"}, {"slug": "new", "name": "New", "vendor": "acme", "task": "chat", "gated": True}]
    assert upload(operator, CatalogModel, json.dumps(rows), JSON).redirect_chain
    old, new = CatalogModel.objects.get(slug="old"), CatalogModel.objects.get(slug="new")
    assert (old.name, old.licence, old.shelved, old.gated, old.vendor.slug) == ("Newer", "MIT", True, True, "acme")
    assert (new.shelved, new.gated) == (True, True)
    text = "slug,name,shelved,licence\nold,Newest,,\n"
    assert upload(operator, CatalogModel, text, CSV).redirect_chain
    old.refresh_from_db()
    assert (old.name, old.shelved, old.licence) == ("Newest", True, ""), "an empty text cell empties, an empty yes/no keeps"
