"""“Find anything”: what answers a question, in which order, for whom, and how much it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from endpoints.models import Endpoint, Route
from models_catalog.models import CatalogModel, Vendor
from portal.tenancy import services
from portal.tenancy.models import ApiKey, Membership
from portal.web.find.question import BEGINS, EXACT, HOLDS, Question
from tests.cast import Cast, make_model, make_user
from tests.endpoints.loadtest_cast import make_run
from tests.portal.world import World, make_endpoint, make_world

ClientOf = Callable[[str], Client]
PALETTE = {"HX-Request": "true"}
TITLE = re.compile(r"<h1>(.*?)</h1>")
ROW = re.compile(r'<li>.*?<a href="([^"]*)">([^<]*)</a>')
HEAD = re.compile(r'<h2 id="found-([a-z]+)">')


@pytest.mark.parametrize(("typed", "rank"), [
    ("qwen3-8b", EXACT), ("QWEN3-8B", EXACT), ("Qwen3 8B", EXACT), ("qwen3", BEGINS), ("8b", HOLDS), ("8b qwen3", HOLDS),
    ("acme 8b", HOLDS), ("acme", HOLDS), ("qwen4", None), ("qwen3 70b", None), ("8b%", None), ("_", None)])
def test_exact_is_before_beginning_and_beginning_before_within(typed: str, rank: int | None) -> None:
    assert Question.of(typed).rank(("Qwen3 8B", "qwen3-8b"), ("Acme",)) == rank


@pytest.mark.parametrize(("typed", "text", "is_too_short"), [
    ("", "", True), ("  a ", "a", True), ("通", "通", False), ("ab", "ab", False), (" a   b ", "a b", False),
    ("x" * 300, "x" * 100, False),
    ("key sk-abcdefghijklmnop-SECRET_secret-1 here", "key sk-abcdefghijklmnop here", False)])
def test_a_question_is_trimmed_and_keeps_no_secret(typed: str, text: str, is_too_short: bool) -> None:
    question = Question.of(typed)
    assert (question.text, question.is_too_short) == (text, is_too_short)


@pytest.mark.parametrize(("typed", "beginning"), [
    ("sk-abcd", "abcd"), ("abcdefghijklmnop", "abcdefghijklmnop"), ("abc", None), ("sk-abcdefghijklmnopq", "abcdefghijklmnop"),
    ("a bcde", None), ("Abcd", None)])
def test_what_can_begin_a_key(typed: str, beginning: str | None) -> None:
    assert Question.of(typed).public_id == beginning


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def ask(client: Client, text: str, slug: str = "alpha", **headers: Any) -> str:
    answer = client.get(f"/w/{slug}/find/", {"q": text}, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def found(client: Client, text: str, slug: str = "alpha") -> list[tuple[str, str]]:
    """The names and addresses that the page lists, in their order."""
    return [(name, url) for url, name in ROW.findall(ask(client, text, slug))]


@pytest.mark.django_db
@pytest.mark.both_databases
class TestKinds:
    @pytest.mark.parametrize(("typed", "title", "address"), [
        ("alpha-chat", "alpha-chat", "/w/alpha/endpoints/{ours}/"), ("{ours}", "alpha-chat", "/w/alpha/endpoints/{ours}/"),
        ("ALPHA-ch", "alpha-chat", "/w/alpha/endpoints/{ours}/"), ("chat alpha", "alpha-chat", "/w/alpha/endpoints/{ours}/"),
        ("tiny", "Tiny-Chat", "/w/alpha/models/tiny-chat/"), ("acme", "Tiny-Chat", "/w/alpha/models/tiny-chat/"),
        ("alpha-route", "alpha-route", "/w/alpha/playground/?route={route}"),
        ("alpha key", "alpha key", "/w/alpha/keys/?state=all&amp;q=alpha+key"),
        ("{public}", "alpha key", "/w/alpha/keys/?state=all&amp;q=alpha+key"),
        ("sk-{public}-secret_secret", "alpha key", "/w/alpha/keys/?state=all&amp;q=alpha+key"),
        ("bob@example", "bob", "/w/alpha/members/?q=bob"), ("limits", "Limits", "/w/alpha/limits/"),
        ("catalogue", "Catalogue", "/w/alpha/models/"), ("deploy", "Deploy a model", "/w/alpha/deploy/"),
    ])
    def test_everything_is_found_by_its_names(
            self, world: World, client_of: ClientOf, typed: str, title: str, address: str) -> None:
        names = {"ours": world.ours.uid, "public": world.our_key.public_id,
                 "route": Route.objects.get(public_name="alpha-route").uid}
        page = found(client_of("alice"), typed.format(**names))
        assert (title, address.format(**names)) in page

    @pytest.mark.parametrize("typed", ["1", "run-model", "before the sale", "{uid}"])
    def test_load_tests_by_model_notes_and_number(self, world: World, client_of: ClientOf, typed: str) -> None:
        run = make_run(world.cast.alpha, world.cast.alice, "run-model", notes="before the sale")
        page = found(client_of("alice"), f"0{typed}" if typed == "1" else typed.format(uid=run.uid))
        assert page == [(f"Run {run.number}, run-model", f"/w/alpha/loadtests/{run.uid}/")]

    def test_a_vendor_is_found_by_each_of_its_names(self, cast: Cast, client_of: ClientOf) -> None:
        make_model("tiny-chat")
        Vendor.objects.update(names={"enUS": "Acme", "zhCN": "通义千问"})
        assert found(client_of("alice"), "千") == [("Tiny-Chat", "/w/alpha/models/tiny-chat/")]

    def test_what_is_not_on_the_shelf_is_not_found(self, world: World, client_of: ClientOf) -> None:
        CatalogModel.objects.update(shelved=False)
        assert found(client_of("alice"), "tiny-chat") == []

    def test_pages_are_found_in_the_persons_language(self, cast: Cast, client_of: ClientOf) -> None:
        cast.alice.language = "ko"
        cast.alice.save()
        assert ("한도", "/w/alpha/limits/") in found(client_of("alice"), "한도")

    def test_acts_are_offered_to_those_who_may(self, cast: Cast, client_of: ClientOf) -> None:
        assert found(client_of("bob"), "deploy a") == [("Deploy a model", "/w/alpha/deploy/")]
        assert found(client_of("vera"), "deploy a") == []


@pytest.mark.django_db
class TestWhoFindsWhat:
    @pytest.mark.parametrize("headers", [{}, PALETTE])
    @pytest.mark.parametrize("typed", ["beta-secret", "charlie", "{theirs}", "{key}", "beta"])
    def test_a_neighbours_things_are_not_found(
            self, world: World, client_of: ClientOf, typed: str, headers: dict[str, str]) -> None:
        make_run(world.cast.beta, world.cast.charlie, "beta-secret-run", notes="beta-secret")
        make_model("beta-secret-model", workspace=world.cast.beta)
        text = typed.format(theirs=world.theirs.uid, key=world.their_key.public_id)
        page = ask(client_of("alice"), text, **headers)
        assert "beta-secret" not in page.replace(text, "")
        assert found(client_of("alice"), text) == []
        assert len(found(client_of("charlie"), text, "beta")) >= 1

    def test_of_ones_own_two_workspaces_only_the_open_one_is_looked_through(self, world: World, client_of: ClientOf) -> None:
        Membership.objects.create(workspace=world.cast.beta, user=world.cast.alice, role="owner")
        assert found(client_of("alice"), "beta-secret") == []
        assert len(found(client_of("alice"), "beta-secret", "beta")) >= 3

    def test_keys_of_others_are_for_those_who_manage(self, cast: Cast, client_of: ClientOf) -> None:
        services.create_key(cast.actor("alice"), cast.alpha, name="nightly batch")
        assert [name for name, _url in found(client_of("alice"), "nightly")] == ["nightly batch"]
        assert found(client_of("bob"), "nightly") == []

    def test_keys_that_pages_drew_are_not_found(self, cast: Cast, client_of: ClientOf) -> None:
        key, _text = services.create_key(cast.actor("alice"), cast.alpha, name="of a page")
        ApiKey.objects.filter(pk=key.pk).update(public_id="playpage12345678")
        assert found(client_of("alice"), "of a page") == []

    def test_operators_find_in_all_workspaces_and_see_in_which(self, world: World, client_of: ClientOf) -> None:
        page = ask(client_of("operator"), "chat", "-")
        assert f"/w/alpha/endpoints/{world.ours.uid}/" in page
        assert f"/w/beta/endpoints/{world.theirs.uid}/" in page
        assert ">Beta · " in page
        assert f"/admin/endpoints/endpoint/{world.theirs.pk}/change/" in page
        assert ("Beta", "/w/beta/") in found(client_of("operator"), "beta", "-")
        assert ">Alpha · " not in ask(client_of("alice"), "chat")
        assert "/admin/" not in ask(client_of("alice"), "chat").split("<main", 1)[1]

    def test_the_administration_is_linked_for_what_one_may_see_there(self, world: World, client_of: ClientOf) -> None:
        vera = world.cast.vera
        vera.is_staff = True
        vera.save()
        vera.user_permissions.add(Permission.objects.get(codename="view_route"))
        page = ask(client_of("vera"), "alpha")
        assert "/admin/endpoints/route/" in page
        assert "/admin/endpoints/endpoint/" not in page


@pytest.mark.django_db
@pytest.mark.both_databases
class TestOrderAndBounds:
    def test_the_best_is_first_and_five_are_shown(self, world: World, client_of: ClientOf) -> None:
        for number in range(7):
            make_endpoint(world.cast, world.cast.alpha, world.shared, world.profile, f"my-gpt-{number}")
        for name in ("gpt-large", "gpt"):
            make_endpoint(world.cast, world.cast.alpha, world.shared, world.profile, name)
        names = [name for name, _url in found(client_of("alice"), "gpt")]
        assert names == ["gpt", "gpt-large", "my-gpt-0", "my-gpt-1", "my-gpt-2"]
        page = ask(client_of("alice"), "gpt")
        assert TITLE.findall(page) == ["The 5 best matches for “gpt”"]
        assert "/w/alpha/endpoints/?q=gpt" in page

    def test_the_kind_with_the_best_answer_is_first(self, world: World, client_of: ClientOf) -> None:
        alice = client_of("alice")
        assert HEAD.findall(ask(alice, "alpha")) == ["endpoints", "routes", "keys"]
        assert HEAD.findall(ask(alice, "alpha key"))[0] == "keys"
        assert HEAD.findall(ask(alice, "key"))[0] == "pages"

    @pytest.mark.parametrize("typed", ["%", "_a", "a%c", "\0", "\\", "'; DROP", "a" * 5000, "²³", "0" * 80, "a b c d e f g h"])
    def test_strange_words_are_no_fault_and_no_pattern(self, world: World, client_of: ClientOf, typed: str) -> None:
        assert found(client_of("alice"), typed) == []

    @pytest.mark.parametrize(("typed", "title"), [
        ("", "Find anything"), ("a", "Type two letters or more"), ("nowhere", "Nothing matches “nowhere”"),
        ("alpha-chat", "One thing matches “alpha-chat”"), ("alpha", "3 things match “alpha”"),
        ("<b>", "Nothing matches “&lt;b&gt;”")])
    def test_the_title_answers(self, world: World, client_of: ClientOf, typed: str, title: str) -> None:
        assert TITLE.findall(ask(client_of("alice"), typed)) == [title]

    @pytest.mark.parametrize(("slug", "who", "most", "most_of_a_piece"), [
        ("alpha", "alice", 14, 12), ("-", "operator", 11, 9)])
    def test_few_queries_however_much_is_found(
            self, world: World, client_of: ClientOf, django_assert_max_num_queries: DjangoAssertNumQueries,
            slug: str, who: str, most: int, most_of_a_piece: int) -> None:
        many = [Endpoint(workspace=world.cast.alpha, cluster=world.shared, name=f"chat-{number}", public_name=f"chat-{number}",
                         public_key=f"chat-{number}") for number in range(100)]
        Endpoint.objects.bulk_create(many)
        for number in range(10):
            make_model(f"chat-{number}")
            make_run(world.cast.alpha, world.cast.alice, f"chat-{number}")
            services.create_key(world.cast.actor("alice"), world.cast.alpha, name=f"chat {number}")
            Membership.objects.create(workspace=world.cast.alpha, user=make_user(f"chat{number}"), role="viewer")
        client = client_of(who)
        ask(client, "chat", slug)
        with django_assert_max_num_queries(most) as queries:
            assert len(found(client, "chat", slug)) >= 25
        assert not [one for one in queries.captured_queries if "COUNT(" in one["sql"]]
        with django_assert_max_num_queries(most_of_a_piece):
            ask(client, "chat", slug, **PALETTE)


@pytest.mark.django_db
class TestWindow:
    def test_choices_are_a_list_box_and_the_number_is_said(self, world: World, client_of: ClientOf) -> None:
        text = ask(client_of("alice"), "alpha", **PALETTE)
        assert "<html" not in text
        assert '<p id="find-said" hx-swap-oob="innerHTML">3 things match “alpha”</p>' in text
        assert re.search(r'<a role="option" id="find-endpoints-1" href="/w/alpha/endpoints/[^"]+" aria-selected="false"', text)

    @pytest.mark.parametrize(("typed", "said"), [("", ""), ("a", "Type two letters or more"), ("zz", "Nothing matches “zz”")])
    def test_without_choices_there_is_no_list_box(self, cast: Cast, client_of: ClientOf, typed: str, said: str) -> None:
        text = ask(client_of("alice"), typed, **PALETTE)
        assert "listbox" not in text
        assert f'hx-swap-oob="innerHTML">{said}</p>' in text

    def test_every_page_has_it_and_a_page_without_a_workspace_has_not(self, cast: Cast, client_of: ClientOf) -> None:
        for slug, who in (("alpha", "vera"), ("-", "operator")):
            page = client_of(who).get(f"/w/{slug}/").content.decode()
            assert page.count(f'href="/w/{slug}/find/" data-finds') == 2, "the rail, and the bar of a phone"
            assert f'method="get" action="/w/{slug}/find/"' in page
        assert "data-finds" not in Client().get("/account/login/").content.decode()
