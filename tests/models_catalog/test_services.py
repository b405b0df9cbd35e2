"""Verbs on the catalogue: who may, what is checked, and what the audit keeps."""

from __future__ import annotations

from typing import Any

import pytest

from models_catalog import services
from models_catalog.choices import ArtifactKind, Device, EngineKind
from models_catalog.locations import check_location, check_revision, is_pinned
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from models_catalog.registries import auth_key, registry_of, wants_login
from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.models import ApiKey, AuditEntry
from tests.cast import GIB, Cast, make_model, make_profile, make_release


def profile_values(**changes: Any) -> dict[str, Any]:
    return {"slug": "m-cpu", "name": "CPU", "memory_bytes": GIB, **changes}


@pytest.mark.django_db
@pytest.mark.both_databases
class TestWhoMay:
    def test_operators_change_what_is_shared(self, cast: Cast) -> None:
        model = make_model()
        services.change_model(cast.actor("operator"), model, name="Better")
        assert CatalogModel.objects.get().name == "Better"

    @pytest.mark.parametrize("person", ["alice", "bob", "vera", "charlie"])
    def test_nobody_else_does(self, cast: Cast, person: str) -> None:
        model, actor = make_model(), cast.actor(person)
        for verb in (lambda: services.change_model(actor, model, name="X"), lambda: services.unshelve(actor, model),
                     lambda: services.delete_model(actor, model),
                     lambda: services.create_artifact(actor, model, kind="path", location="/models/x"),
                     lambda: services.create_vendor(actor, slug="v", names={"enUS": "V"})):
            with pytest.raises(NotAllowed):
                verb()
        assert AuditEntry.objects.count() == 0

    def test_a_workspaces_admins_change_its_own_models(self, cast: Cast) -> None:
        vendor = make_model().vendor
        model = services.create_model(cast.actor("alice"), slug="own", name="Own", vendor=vendor, task="chat",
                                      workspace=cast.alpha)
        artifact = services.create_artifact(cast.actor("alice"), model, kind="path", location="/models/own")
        services.create_profile(cast.actor("alice"), model, artifact, make_release(), **profile_values())
        assert services.unshelve(cast.actor("alice"), model) is True
        with pytest.raises(NotAllowed):
            services.change_model(cast.actor("bob"), model, name="X")
        with pytest.raises(NotFound):
            services.change_model(cast.actor("charlie"), model, name="X")
        assert {entry.workspace for entry in AuditEntry.objects.all()} == {cast.alpha}

    def test_nobody_takes_a_model_out_of_a_strange_workspace(self, cast: Cast) -> None:
        model = make_model("theirs", workspace=cast.beta)
        with pytest.raises(NotFound):
            services.change_model(cast.actor("alice"), model, workspace=cast.alpha)
        shared = make_model("shared")
        with pytest.raises(NotAllowed):
            services.change_model(cast.actor("alice"), shared, workspace=cast.alpha)

    def test_an_operators_key_does_not_change_what_is_shared(self, cast: Cast) -> None:
        key = ApiKey(workspace=cast.alpha, created_by=cast.operator, name="k", scopes=["manage"])
        key.draw_secret()
        key.save()
        with pytest.raises(NotAllowed):
            services.create_vendor(Actor(user=cast.operator, key=key), slug="v", names={"enUS": "V"})


@pytest.mark.django_db
@pytest.mark.both_databases
class TestVendors:
    def test_names_in_several_languages_are_kept_as_they_are(self) -> None:
        names = {"enUS": "Alibaba", "zhCN": "通义千问"}
        services.create_vendor(PORTAL, slug="alibaba", names=names)
        assert Vendor.objects.get().names == names

    @pytest.mark.parametrize("names", [
        {}, [], "Alibaba", {"english": "A"}, {"": "A"}, {"enUS": ""}, {"enUS": None}, {"enUS": "a\u202eb"},
        {"enUS": "x" * 101}, {"../": "A"},
    ])
    def test_other_names_are_refused(self, names: Any) -> None:
        with pytest.raises(Invalid) as caught:
            services.create_vendor(PORTAL, slug="v", names=names)
        assert caught.value.field == "names"

    def test_a_short_name_is_taken_once(self) -> None:
        services.create_vendor(PORTAL, slug="v", names={"enUS": "V"})
        with pytest.raises(Conflict) as caught:
            services.create_vendor(PORTAL, slug="v", names={"enUS": "W"})
        assert (caught.value.field, caught.value.status) == ("slug", 409)

    def test_a_vendor_with_models_stays(self) -> None:
        with pytest.raises(Conflict, match="used by 1"):
            services.delete_vendor(PORTAL, make_model().vendor)


@pytest.mark.django_db
@pytest.mark.both_databases
class TestModels:
    @pytest.mark.parametrize("slug", [
        "", "Upper", "a_b", "1a", "-a", "a-", "a--b", "a" * 64, "a.b", "lla\u043ca", "a\x00b", "a\u202eb", "é", "🦙", "a b",
        "xn--", None, "null ",
    ])
    def test_short_names_follow_the_rule_in_words(self, slug: Any) -> None:
        with pytest.raises(Invalid) as caught:
            services.create_model(PORTAL, slug=slug, name="N", vendor=make_model("v").vendor, task="chat")
        assert caught.value.field == "slug"

    @pytest.mark.parametrize(("given", "kept"), [
        ("Ｌｌａｍａ  3 ", "Ｌｌａｍａ 3"), ("e\u0301", "é"), ("通义千问", "通义千问"),
    ])
    def test_names_for_people_are_composed(self, given: str, kept: str) -> None:
        assert services.change_model(PORTAL, make_model(), name=given).name == kept

    @pytest.mark.parametrize("name", ["", "  ", "a\x00", "a\u200bb", "a\u202eb", "a\ufeff", "x" * 121, None, 7])
    def test_names_without_letters_or_with_hidden_ones_are_refused(self, name: Any) -> None:
        with pytest.raises(Invalid) as caught:
            services.change_model(PORTAL, make_model(), name=name)
        assert caught.value.field == "name"

    @pytest.mark.parametrize(("field", "value"), [
        ("task", "dance"), ("shape", [1]), ("languages", {"a": 1}), ("sources", "x"), ("parameters", -1),
        ("parameters", "many"), ("context_tokens", 2**40),
    ])
    def test_wrong_values_name_their_field(self, field: str, value: Any) -> None:
        with pytest.raises(Invalid) as caught:
            services.change_model(PORTAL, make_model(), **{field: value})
        assert caught.value.field == field

    def test_the_shelf_is_idempotent_and_audited_once(self, cast: Cast) -> None:
        model = make_model()
        assert services.unshelve(cast.actor("operator"), model) is True
        assert services.unshelve(cast.actor("operator"), model) is False
        assert services.shelve(cast.actor("operator"), model) is True
        assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == ["unshelve", "shelve"]

    def test_the_audit_has_before_and_after(self, cast: Cast) -> None:
        services.change_model(cast.actor("operator"), make_model(), licence="MIT")
        entry = AuditEntry.objects.get()
        assert (entry.before, entry.after, entry.actor) == ({"licence": ""}, {"licence": "MIT"}, cast.operator)

    def test_a_model_goes_with_its_profiles_and_artifacts(self) -> None:
        services.delete_model(PORTAL, make_profile().model)
        assert not CatalogModel.objects.exists()
        assert not Artifact.objects.exists()


GOOD = [
    ("huggingface", "Qwen/Qwen3-0.6B"), ("huggingface", "BAAI/bge-m3"), ("huggingface", "a/b"),
    ("path", "/models/qwen3"), ("path", "/opt/m_1/Qwen3-0.6B/"), ("path", "/models/a=b,c@d+e"),
    ("http", "https://models.example.org/qwen3.tar.gz"), ("http", "https://models.example.org:8443/a/b/"),
    ("s3", "s3://models/qwen3/"), ("s3", "s3://my.bucket-1/a/b/model.tar.gz"),
    ("volume", "pvc://models/qwen3"), ("volume", "nfs://files.example.org/models"), ("volume", "pvc://models"),
    ("fsx", "fsx://fs-0123456789abcdef0/qwen3"), ("jumpstart", "huggingface-llm-mistral-7b"),
]
BAD = [
    ("huggingface", x) for x in ("", "Qwen", "Qwen/", "/Qwen", "a/b/c", "../x", "a/..", "a/b.git", "a--b/c", "-a/b", "a/b-",
                                 "a /b", "a/b\n", "a/b;id", "$(id)/b", "ａ/b", "https://huggingface.co/a/b", "a/" + "b" * 97)
] + [
    ("path", x) for x in ("", "/", "models/x", "./x", "~/x", "/models/../etc", "/models/./x", "/models//x", "/etc/passwd",
                          "/proc/self", "/dev/shm/x", "/run/x", "/root/x", "/models/a b", "/models/a;b", "/models/$(id)",
                          "/a\x00",
                          "file:///models", "/models/`id`", "/" + "a" * 500, "\\\\share\\x", "//etc/x")
] + [
    ("http", x) for x in ("http://models.example.org/x", "https://models.example.org", "https://user:pw@example.org/x",
                          "https://example.org:22/x", "https://example.org:6379/x", "https://example.org:3306/x",
                          "https://127.0.0.1/x", "https://[::1]/x", "https://localhost/x", "https://2130706433/x",
                          "https://example.org/../x", "https://example.org/x?y=1", "https://example.org/x#y",
                          "https://example.org/x\r\nHost: y", "gopher://example.org/x", "file:///etc/passwd", "ftp://e.org/x",
                          "https:///x", "https://exa_mple.org/x", "https://example.org:99999/x", "HTTPS://example.org/x",
                          "https://169.254.169.254/latest", "unix:///run/x.sock", "https://example.org/%2e%2e/x")
] + [
    ("s3", x) for x in ("s3://", "s3://bucket", "s3://bucket/", "s3://../", "s3://bucket/../../", "s3://bucket/a/../b",
                        "s3://UPPER/a", "s3://a..b/c", "s3://b/a//c", "s3://user@bucket/a", "s3://bucket:80/a",
                        "https://s3.amazonaws.com/b/a", "s3://bucket/a?x=1", "s3:/bucket/a")
] + [
    ("volume", x) for x in ("pvc://", "pvc://UPPER/x", "pvc://a/../b", "nfs:///x", "nfs://h/a//b", "smb://h/x", "/models")
] + [
    ("fsx", x) for x in ("fsx://", "fsx://fs-xyz/a", "fsx://fs-0123456789abcdef0/../a", "fs-0123456789abcdef0")
] + [
    ("jumpstart", x) for x in ("", "Upper", "a--b", "a_b", "-a", "a/b", "a;b")
]


@pytest.mark.parametrize(("kind", "location"), GOOD)
def test_locations_of_the_right_form_are_taken(kind: str, location: str) -> None:
    assert check_location(kind, location) == location


@pytest.mark.parametrize(("kind", "location"), BAD)
def test_locations_of_any_other_form_are_refused(kind: str, location: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_location(kind, location)
    assert caught.value.field == "location"


@pytest.mark.parametrize("revision", ["a b", "../x", "a..b", "-x", "x/", "a//b", "x" * 81, "$(id)", "a\n", "é"])
def test_wrong_revisions_are_refused(revision: str) -> None:
    with pytest.raises(Invalid):
        check_revision("huggingface", revision)


def test_only_a_commit_pins_a_hubs_model() -> None:
    assert is_pinned("huggingface", "a" * 40)
    assert not is_pinned("huggingface", "main")
    assert not is_pinned("huggingface", "")
    assert is_pinned("path", "")
    with pytest.raises(Invalid):
        check_revision("path", "main")


@pytest.mark.django_db
@pytest.mark.both_databases
class TestArtifacts:
    def test_one_location_is_kept_once_without_regard_to_case(self) -> None:
        model = make_model()
        services.create_artifact(PORTAL, model, kind="huggingface", location="Qwen/Qwen3-0.6B")
        for twin in ("Qwen/Qwen3-0.6B", "qwen/qwen3-0.6b"):
            with pytest.raises(Conflict):
                services.create_artifact(PORTAL, model, kind="huggingface", location=twin)
        services.create_artifact(PORTAL, model, kind="huggingface", location="Qwen/Qwen3-0.6B", revision="a" * 40)

    def test_a_token_is_encrypted_unseen_and_forgotten_with_its_location(self) -> None:
        row = services.create_artifact(PORTAL, make_model(), kind="huggingface", location="a/b")
        services.set_artifact_token(PORTAL, row, "hf_secret")
        stored = Artifact.objects.get()
        assert "hf_secret" not in stored.token
        assert stored.secret("token") == "hf_secret"
        assert "hf_secret" not in str(list(AuditEntry.objects.values()))
        stored.location = "a/c"
        assert services.put_artifact(PORTAL, stored).token == ""

    @pytest.mark.parametrize("token", ["a b", "a\nb", "é", "x" * 501])
    def test_a_token_has_plain_characters(self, token: str) -> None:
        row = services.create_artifact(PORTAL, make_model(), kind="huggingface", location="a/b")
        with pytest.raises(Invalid) as caught:
            services.set_artifact_token(PORTAL, row, token)
        assert token not in caught.value.message

    def test_an_artifact_that_a_profile_uses_stays(self) -> None:
        with pytest.raises(Conflict, match="used by 1"):
            services.delete_artifact(PORTAL, make_profile().artifact)


@pytest.mark.django_db
@pytest.mark.both_databases
class TestProfiles:
    def make(self, *, kind: str = ArtifactKind.LOCAL_PATH, location: str = "/models/m", device: str = Device.CPU,
             **values: Any) -> Profile:
        model = make_model("m", context_tokens=4096)
        artifact = services.create_artifact(PORTAL, model, kind=kind, location=location)
        release = make_release(device)
        return services.create_profile(PORTAL, model, artifact, release, **profile_values(**values))

    def test_arguments_are_stored_under_their_right_names(self) -> None:
        row = self.make(arguments={"max_model_len": "2K"}, environment={"OMP_NUM_THREADS": 2}, places=["hosts", "hosts"])
        stored = Profile.objects.get(pk=row.pk)
        assert stored.arguments == {"max-model-len": 2048}
        assert stored.environment == {"OMP_NUM_THREADS": "2"}
        assert stored.places == ["hosts"]

    @pytest.mark.parametrize(("field", "values"), [
        ("arguments", {"arguments": {"trust-remote-code": True}}), ("arguments", {"arguments": {"max-model-len": 5000}}),
        ("environment", {"environment": {"LD_PRELOAD": "x"}}), ("places", {"places": ["moon"]}),
        ("places", {"places": "hosts"}), ("memory_bytes", {"memory_bytes": 1}), ("memory_bytes", {"memory_bytes": "1"}),
        ("cpu_millis", {"cpu_millis": 0}), ("start_seconds", {"start_seconds": 1}), ("gpus", {"gpus": 1}),
        ("gpus", {"device": Device.CUDA}), ("gpus", {"device": Device.CUDA, "gpus": 65}),
        ("gpu_memory_bytes", {"gpu_memory_bytes": GIB}), ("slug", {"slug": "Upper"}), ("name", {"name": ""}),
        ("arguments", {"device": Device.CUDA, "gpus": 1, "arguments": {"tensor-parallel-size": 2}}),
        ("artifact", {"kind": "s3", "location": "s3://bucket/key", "places": ["hosts"]}),
    ])
    def test_what_could_never_start_is_refused_with_its_field(self, field: str, values: dict[str, Any]) -> None:
        with pytest.raises(Invalid) as caught:
            self.make(**values)
        assert caught.value.field == field
        assert not Profile.objects.exists()

    def test_an_artifact_of_another_model_is_refused(self) -> None:
        row = self.make()
        row.artifact = services.create_artifact(PORTAL, make_model("other"), kind="path", location="/models/o")
        with pytest.raises(Invalid) as caught:
            services.put_profile(PORTAL, row)
        assert caught.value.field == "artifact"

    def test_a_change_is_audited_with_the_difference_only(self) -> None:
        services.change_profile(PORTAL, self.make(), start_seconds=60)
        entry = AuditEntry.objects.filter(verb="change").get()
        assert (entry.before, entry.after) == ({"start_seconds": 900}, {"start_seconds": 60})


@pytest.mark.django_db
class TestReleases:
    @pytest.mark.parametrize(("field", "values"), [
        ("slug", {"slug": "../x"}), ("slug", {"slug": "a..b"}), ("slug", {"slug": "A"}), ("slug", {"slug": ""}),
        ("version", {"version": "latest"}), ("version", {"version": ""}), ("image", {"image": "evil image"}),
        ("image", {"image": "vllm/vllm-openai"}), ("image", {"image": "vllm/vllm-openai:latest"}),
        ("image", {"image": "a/b@sha256:12"}), ("image", {"image": "a/b:1;id"}), ("kind", {"kind": "tgi"}),
        ("device", {"device": "tpu"}),
    ])
    def test_what_hosts_and_clusters_could_not_use_is_refused(self, field: str, values: dict[str, Any]) -> None:
        good = {"slug": "vllm-9.9.9", "kind": EngineKind.VLLM, "version": "9.9.9", "device": Device.CUDA}
        with pytest.raises(Invalid) as caught:
            services.create_release(PORTAL, **(good | values))
        assert caught.value.field == field

    def test_an_image_is_pinned_by_tag_or_digest(self) -> None:
        for n, image in enumerate(["vllm/vllm-openai:v0.32.0", f"registry.example.org:5000/a/b@sha256:{'0' * 64}"]):
            services.create_release(PORTAL, slug=f"r-{n}", kind="vllm", version="1", device="cuda", image=image)


def release_with_login(password: str = "reg-hidden-7") -> EngineRelease:
    made = services.create_release(PORTAL, slug="own", kind="vllm", version="1", device="cuda", image=f"{REGISTRY}/a/b:v1")
    services.set_registry_login(PORTAL, made, "robot$ci", password)
    return EngineRelease.objects.get(pk=made.pk)


REGISTRY = "registry.example.org:5000"


@pytest.mark.django_db
@pytest.mark.both_databases
class TestRegistryLogins:
    def test_the_password_is_encrypted_and_in_no_audit(self) -> None:
        row = release_with_login()
        assert (row.registry_user, row.secret("registry_password")) == ("robot$ci", "reg-hidden-7")
        assert "reg-hidden-7" not in row.registry_password
        assert "reg-hidden-7" not in str(list(AuditEntry.objects.values()))
        assert AuditEntry.objects.order_by("id").last().verb == "set registry login"

    @pytest.mark.parametrize(("image", "kept"), [
        (f"{REGISTRY}/a/b:v2", True), (f"{REGISTRY}/other:v1", True), ("registry.example.org/a/b:v1", False),
        ("vllm/vllm-openai:v1", False), ("", False),
    ])
    def test_another_tag_keeps_the_login_and_another_registry_forgets_it(self, image: str, kept: bool) -> None:
        services.change_release(PORTAL, release_with_login(), image=image)
        row = EngineRelease.objects.get()
        assert (bool(row.registry_user), bool(row.registry_password)) == (kept, kept)
        assert row.secret("registry_password") == ("reg-hidden-7" if kept else "")

    def test_a_password_does_not_follow_its_row_to_another_registry(self) -> None:
        row = release_with_login()
        row.image = "evil.example.org/a/b:v1"
        with pytest.raises(SecretUnreadable):
            row.secret("registry_password")

    def test_a_login_is_forgotten_by_two_empty_texts(self) -> None:
        row = release_with_login()
        services.set_registry_login(PORTAL, row, "", "")
        assert EngineRelease.objects.get().registry_password == ""

    @pytest.mark.parametrize(("user", "password", "field"), [
        ("a", "", "password"), ("", "b", "user"), ("a:b", "c", "user"), (" a", "c", "user"), ("a\x00", "c", "user"),
        ("a", "b\x00", "password"), ("a" * 201, "b", "user"), ("a", "b" * 8193, "password"),
    ])
    def test_half_a_login_and_other_characters_are_refused(self, user: str, password: str, field: str) -> None:
        with pytest.raises(Invalid) as caught:
            services.set_registry_login(PORTAL, release_with_login(), user, password)
        assert caught.value.field == field

    def test_a_release_without_an_image_has_no_registry_to_log_in_to(self) -> None:
        made = services.create_release(PORTAL, slug="own", kind="vllm", version="1", device="cuda")
        with pytest.raises(Invalid, match="image first"):
            services.set_registry_login(PORTAL, made, "a", "b")

    def test_only_operators_set_one(self, cast: Cast) -> None:
        with pytest.raises(NotAllowed):
            services.set_registry_login(cast.actor("alice"), release_with_login(), "a", "b")


@pytest.mark.parametrize(("image", "registry", "key", "asks"), [
    ("", "", "", False),
    ("vllm/vllm-openai:v1", "docker.io", "https://index.docker.io/v1/", False),
    ("docker.io/vllm/vllm-openai:v1", "docker.io", "https://index.docker.io/v1/", False),
    ("localhost/a:1", "localhost", "localhost", False),
    ("registry.example.org:5000/a/b@sha256:0", "registry.example.org:5000", "registry.example.org:5000", False),
    ("763104351884.dkr.ecr.eu-west-1.amazonaws.com/vllm:1", "763104351884.dkr.ecr.eu-west-1.amazonaws.com",
     "763104351884.dkr.ecr.eu-west-1.amazonaws.com", True),
    ("763104351884.dkr.ecr.cn-north-1.amazonaws.com.cn/vllm:1", "763104351884.dkr.ecr.cn-north-1.amazonaws.com.cn",
     "763104351884.dkr.ecr.cn-north-1.amazonaws.com.cn", True),
    ("public.ecr.aws/deep/vllm:1", "public.ecr.aws", "public.ecr.aws", False),
    ("nvcr.io/nvidia/vllm:1", "nvcr.io", "nvcr.io", True),
    ("nvcr.io.evil.example/vllm:1", "nvcr.io.evil.example", "nvcr.io.evil.example", False),
    ("europe-docker.pkg.dev/p/r/i:1", "europe-docker.pkg.dev", "europe-docker.pkg.dev", True),
])
def test_the_registry_of_an_image(image: str, registry: str, key: str, asks: bool) -> None:
    assert (registry_of(image), auth_key(registry_of(image)), wants_login(image)) == (registry, key, asks)
