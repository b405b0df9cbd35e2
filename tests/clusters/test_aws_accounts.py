"""AWS accounts: who may write them, what is refused, what the test finds, and that the secret stays inside."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters import services
from clusters.aws_policy import allowed_actions, rights_policy, trust_policy
from clusters.drivers import aws as door
from clusters.drivers.aws import AwsError, AwsProblem, action_of, aws_for
from clusters.models import AwsAccount
from clusters.services.aws_check import LOOKS
from clusters.states import Reach, SignIn
from portal.tenancy.errors import Conflict, Invalid, NotAllowed
from portal.tenancy.models import AuditEntry
from tests.aws import make_aws_account, make_sagemaker_place
from tests.cast import Cast
from tests.simulators.aws.server import AwsSimulator

SECRET = "canary/secret+access=key"
KEYS = {"sign_in": SignIn.KEYS, "access_key_id": "AKIACANARY0000000001"}
ROLE = "arn:aws:iam::123456789012:role/portal"
ROOMS = ("portal", "clusters", "models_catalog", "endpoints")


@pytest.fixture(autouse=True)
def nothing_kept(settings: Any) -> Iterator[None]:
    settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"
    yield
    for kept in list(door._kept.values()):
        kept.aws.close()
    door._kept.clear()


def make(cast: Cast, *, secret: str = SECRET, **values: Any) -> AwsAccount:
    return services.create_account(cast.actor("operator"), secret_access_key=secret,
                                   **{"name": "acme", "region": "us-west-2", **KEYS, **values})


# Writing.

@pytest.mark.parametrize("who", ["alice", "bob", "vera", "charlie"])
def test_only_operators_write_accounts(cast: Cast, who: str) -> None:
    row = make(cast)
    actor = cast.actor(who)
    for act in (lambda: services.create_account(actor, name="x", region="us-east-1"),
                lambda: services.change_account(actor, row, region="us-east-1"),
                lambda: services.delete_account(actor, row), lambda: services.check_account(actor, row)):
        with pytest.raises(NotAllowed):
            act()


@pytest.mark.parametrize(("values", "secret", "field"), [
    ({"region": "us-west-2.evil.example"}, SECRET, "region"),
    ({"region": ""}, SECRET, "region"),
    ({"sign_in": "magic"}, SECRET, "sign_in"),
    ({"name": "Not A Slug"}, SECRET, "name"),
    ({"access_key_id": "ASIATEMPORARY0000001"}, SECRET, "access_key_id"),
    ({"access_key_id": "short"}, SECRET, "access_key_id"),
    ({"access_key_id": ""}, SECRET, "access_key_id"),
    ({}, "", "secret_access_key"),
    ({}, "two words of which none is a key", "secret_access_key"),
    ({"sign_in": SignIn.ROLE}, SECRET, "role_arn"),
    ({"sign_in": SignIn.ROLE, "role_arn": "arn:aws:iam::12:role/x"}, SECRET, "role_arn"),
    ({"sign_in": SignIn.ROLE, "role_arn": "arn:aws:iam::123456789012:user/x"}, SECRET, "role_arn"),
    ({"sign_in": SignIn.ROLE, "role_arn": "arn:aws-cn:iam::123456789012:role/x"}, SECRET, "role_arn"),
    ({"sign_in": SignIn.ROLE, "role_arn": ROLE, "external_id": "a b"}, SECRET, "external_id"),
    ({"sign_in": SignIn.ROLE, "role_arn": ROLE, "access_key_id": ""}, SECRET, "access_key_id"),
])
def test_what_can_not_be_is_refused_with_its_field(cast: Cast, values: dict[str, Any], secret: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        make(cast, secret=secret, **values)
    assert refused.value.field == field
    assert "canary" not in refused.value.message.lower()
    assert not AwsAccount.objects.exists()


def test_a_name_is_given_once(cast: Cast) -> None:
    make(cast)
    with pytest.raises(Conflict) as refused:
        make(cast)
    assert refused.value.field == "name"


@pytest.mark.parametrize(("sign_in", "kept"), [
    (SignIn.ROLE, {"role_arn", "external_id", "access_key_id", "secret_access_key"}),
    (SignIn.KEYS, {"access_key_id", "secret_access_key"}), (SignIn.MACHINE, set()),
])
def test_nothing_is_kept_that_the_way_in_does_not_use(cast: Cast, sign_in: SignIn, kept: set[str]) -> None:
    secret = SECRET if "secret_access_key" in kept else ""
    row = make(cast, secret=secret, sign_in=sign_in, role_arn=ROLE, external_id="given")
    filled = {name for name in ("role_arn", "external_id", "access_key_id", "secret_access_key") if getattr(row, name)}
    assert filled == kept


def test_a_new_role_is_given_an_external_id_and_a_chosen_one_stays(cast: Cast) -> None:
    row = make(cast, sign_in=SignIn.ROLE, role_arn=ROLE)
    assert re.fullmatch(r"portal-[0-9a-f]{16}", row.external_id)
    other = make(cast, name="other", sign_in=SignIn.ROLE, role_arn=ROLE, external_id="ours-7")
    assert other.external_id == "ours-7"
    services.change_account(cast.actor("operator"), row, external_id="")
    assert row.external_id == ""


def test_the_secret_is_kept_until_its_key_id_changes(cast: Cast) -> None:
    row, actor = make(cast), cast.actor("operator")
    services.change_account(actor, row, region="eu-west-1")
    assert AwsAccount.objects.get().secret("secret_access_key") == SECRET
    with pytest.raises(Invalid) as refused:
        services.change_account(actor, row, access_key_id="AKIACANARY0000000002")
    assert refused.value.field == "secret_access_key"
    row.refresh_from_db()
    services.change_account(actor, row, access_key_id="AKIACANARY0000000002", secret_access_key=f"{SECRET}2")
    assert AwsAccount.objects.get().secret("secret_access_key") == f"{SECRET}2"


def test_the_audit_tells_of_a_new_secret_and_never_which(cast: Cast) -> None:
    row, actor = make(cast), cast.actor("operator")
    services.change_account(actor, row, secret_access_key=f"{SECRET}2")
    services.delete_account(actor, row)
    entries = list(AuditEntry.objects.order_by("pk"))
    assert [entry.verb for entry in entries] == ["create", "change", "delete"]
    assert entries[1].after == {"credential": "entered now"}
    told = json.dumps([[entry.before, entry.after, entry.object_label] for entry in entries])
    assert "canary/secret" not in told
    assert AwsAccount.objects.count() == 0


def test_how_the_portal_signs_in_is_not_in_the_audit_of_a_workspace(cast: Cast) -> None:
    row = make(cast)
    services.change_account(cast.actor("operator"), row, workspace=cast.alpha)
    services.delete_account(cast.actor("operator"), row)
    assert not AuditEntry.objects.all().visible_to(cast.alice).filter(kind="clusters.awsaccount").exists()
    assert AuditEntry.objects.all().visible_to(cast.operator).filter(kind="clusters.awsaccount").count() == 3


def test_a_changed_way_in_is_unknown_until_it_is_tested(cast: Cast) -> None:
    row = make(cast)
    AwsAccount.objects.update(reach=Reach.OK)
    row.refresh_from_db()
    services.change_account(cast.actor("operator"), row, workspace=cast.alpha)
    assert row.reach == Reach.OK
    services.change_account(cast.actor("operator"), row, region="eu-west-1")
    assert AwsAccount.objects.get().reach == Reach.UNKNOWN


def test_an_account_with_places_stays_where_it_is(cast: Cast, aws_sim: AwsSimulator) -> None:
    actor, row = cast.actor("operator"), make_aws_account(aws_sim, sign_in=SignIn.ROLE)
    AwsAccount.objects.update(account_id="123456789012")
    row.refresh_from_db()
    make_sagemaker_place(aws_sim, account=row)
    with pytest.raises(Conflict):
        services.delete_account(actor, row)
    for values, field in (({"role_arn": "arn:aws:iam::999999999999:role/portal"}, "role_arn"),
                          ({"workspace": cast.beta}, "workspace")):
        with pytest.raises(Conflict) as refused:
            services.change_account(actor, AwsAccount.objects.get(), **values)
        assert refused.value.field == field
    services.change_account(actor, AwsAccount.objects.get(), role_arn="arn:aws:iam::123456789012:role/other")


def test_whose_account_is_it(cast: Cast) -> None:
    shared, own = make(cast), make(cast, name="own", workspace=cast.alpha)
    assert set(AwsAccount.objects.visible_to(cast.alice)) == {shared, own}
    assert set(AwsAccount.objects.visible_to(cast.charlie)) == {shared}
    assert set(AwsAccount.objects.visible_to(cast.operator)) == {shared, own}


# Testing.

def test_the_test_finds_who_we_are(cast: Cast, aws_sim: AwsSimulator) -> None:
    row = make_aws_account(aws_sim)
    found = services.check_account(cast.actor("operator"), row)
    assert (found.reach, found.account_id, found.missing) == (Reach.OK, "123456789012", ())
    kept = AwsAccount.objects.get()
    assert (kept.reach, kept.account_id, kept.arn) == (Reach.OK, "123456789012", "arn:aws:iam::123456789012:user/portal")
    assert kept.checked_at is not None
    asked = {seen.name for seen in aws_sim.requests}
    assert {"sts:GetCallerIdentity", "sagemaker:ListClusters", "sagemaker:ListEndpoints", "eks:ListClusters"} <= asked
    assert not [name for name in asked if not re.search(r":(Get|List|Describe)", name)]


def test_missing_rights_are_named(cast: Cast, aws_sim: AwsSimulator) -> None:
    aws_sim.faults.refuse("sagemaker:ListEndpoints")
    aws_sim.faults.refuse("eks:ListClusters")
    found = services.check_account(cast.actor("operator"), make_aws_account(aws_sim))
    assert found.reach == Reach.FORBIDDEN
    assert found.missing == ("sagemaker:ListEndpoints", "eks:ListClusters")
    assert AwsAccount.objects.get().message == "Rights are missing: sagemaker:ListEndpoints, eks:ListClusters."


@pytest.mark.parametrize(("break_it", "reach"), [("keys", Reach.AUTH_FAILED), ("network", Reach.UNREACHABLE),
                                                 ("throttle", Reach.UNREACHABLE)])
def test_what_fails_is_told_apart(
    cast: Cast, aws_sim: AwsSimulator, settings: Any, break_it: str, reach: Reach,
) -> None:
    row = make_aws_account(aws_sim)
    if break_it == "keys":
        aws_sim.identities.remove(aws_sim.keys.access_key_id)
    elif break_it == "network":
        settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"
    else:
        aws_sim.faults.throttle()
    found = services.check_account(cast.actor("operator"), row)
    assert found.reach == reach
    assert AwsAccount.objects.get().reach == reach
    aws_sim.faults.reset()


def test_a_person_who_tests_again_does_not_wait_for_the_pause(cast: Cast, aws_sim: AwsSimulator) -> None:
    row, actor = make_aws_account(aws_sim), cast.actor("operator")
    fault = aws_sim.faults.throttle()
    services.check_account(actor, row)
    fault.remove()
    assert services.check_account(actor, row).reach == Reach.OK


def test_a_test_that_was_overtaken_writes_nothing(cast: Cast, aws_sim: AwsSimulator) -> None:
    row = make_aws_account(aws_sim)
    AwsAccount.objects.filter(pk=row.pk).update(region="eu-west-1")
    services.check_account(cast.actor("operator"), row)
    assert AwsAccount.objects.get().reach == Reach.UNKNOWN


def test_keys_of_another_account_do_nothing_to_places(cast: Cast, aws_sim: AwsSimulator) -> None:
    actor, row = cast.actor("operator"), make_aws_account(aws_sim)
    services.check_account(actor, row)
    make_sagemaker_place(aws_sim, account=row)
    stranger = aws_sim.identities.add_user("stranger", account="999999999999")
    row.refresh_from_db()
    services.change_account(actor, row, access_key_id=stranger.access_key_id, secret_access_key=stranger.secret_access_key)
    with pytest.raises(AwsError) as caught:
        aws_for(AwsAccount.objects.get()).call("sagemaker", "describe_endpoint", EndpointName="e")
    assert caught.value.problem is AwsProblem.AUTH
    assert "999999999999" in caught.value.message
    assert aws_sim.calls("sagemaker:DescribeEndpoint") == []
    found = services.check_account(actor, AwsAccount.objects.get())
    assert (found.reach, AwsAccount.objects.get().account_id) == (Reach.AUTH_FAILED, "123456789012")


def test_an_account_without_places_may_become_another(cast: Cast, aws_sim: AwsSimulator) -> None:
    actor, row = cast.actor("operator"), make_aws_account(aws_sim)
    services.check_account(actor, row)
    stranger = aws_sim.identities.add_user("stranger", account="999999999999")
    row.refresh_from_db()
    services.change_account(actor, row, access_key_id=stranger.access_key_id, secret_access_key=stranger.secret_access_key)
    assert services.check_account(actor, row).reach == Reach.OK
    assert AwsAccount.objects.get().account_id == "999999999999"


# What is pasted into IAM.

def test_the_trust_policy_asks_for_the_accounts_own_external_id(cast: Cast) -> None:
    row = make(cast, sign_in=SignIn.ROLE, role_arn=ROLE)
    [statement] = trust_policy(row)["Statement"]
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": row.external_id}}
    assert statement["Action"] == "sts:AssumeRole"


def test_the_rights_are_named_one_by_one_and_only_looks_go_everywhere() -> None:
    statements = rights_policy("aws-cn")["Statement"]
    assert not [action for one in statements for action in one["Action"] if "*" in action]
    anywhere = {one["Sid"] for one in statements if one["Resource"] == "*" and "Condition" not in one}
    assert anywhere == {"Look", "Scaling"}
    for one in statements:
        resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
        assert all(text == "*" or text.startswith("arn:aws-cn:") for text in resources)
    looks = next(one for one in statements if one["Sid"] == "Look")
    assert all(re.search(r":(List|Describe|Get)", action) for action in looks["Action"])


def calls_in_the_source() -> Iterator[tuple[str, str]]:
    """Every ("service", "operation") that the portal's own code names."""
    root = Path(__file__).resolve().parents[2]
    for path in (path for room in ROOMS for path in (root / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("call", "pages") and len(node.args) >= 2:
                named = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
                if len(named) == 2:
                    yield str(named[0]), str(named[1])


def test_the_policy_allows_every_call_that_the_source_names() -> None:
    asked = {*calls_in_the_source(), *((service, operation) for service, operation, _params in LOOKS)}
    assert ("sagemaker", "describe_cluster") in asked
    needed = {action_of(*call) for call in asked} - {"sts:GetCallerIdentity"}  # for which nobody needs a right
    assert needed - allowed_actions() == set()


def test_every_account_is_looked_at_now_and_then_in_the_session_that_there_is(cast: Cast, aws_sim: AwsSimulator) -> None:
    row = make_aws_account(aws_sim, sign_in=SignIn.ROLE)
    assert services.look_at_accounts() == 1
    for _turn in range(3):
        assert services.look_at_account(AwsAccount.objects.get()).reach == Reach.OK
    assert len(aws_sim.calls("sts:AssumeRole")) <= 2  # a second one once the account's number is known
    aws_sim.identities.expire_sessions()
    aws_sim.identities.roles.clear()
    assert services.look_at_account(AwsAccount.objects.get(pk=row.pk)).reach == Reach.AUTH_FAILED
