"""AWS accounts in the admin and the API: keys go in and never come out, and only operators see who signs in how."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from clusters.drivers import aws as door
from clusters.models import AwsAccount
from clusters.states import Reach, SignIn
from portal.tenancy.models import User
from tests.aws import make_aws_account
from tests.cast import Cast
from tests.portal.apiclient import Api
from tests.portal.conftest import all_view_rights, signed_in
from tests.simulators.aws.server import AwsSimulator

pytestmark = pytest.mark.both_databases
LIST = "/admin/clusters/awsaccount/"
SECRET = "canary-secret-access-key"
FORM = {"name": "acme", "workspace": "", "region": "us-west-2", "sign_in": "keys", "role_arn": "", "external_id": "",
        "access_key_id": "AKIACANARY0000000001", "secret_key": SECRET}


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    yield
    for kept in list(door._kept.values()):
        kept.aws.close()
    door._kept.clear()


def test_the_form_makes_an_account_and_never_shows_its_secret(operator: Client) -> None:
    assert operator.post(f"{LIST}add/", FORM).status_code == 302
    row = AwsAccount.objects.get()
    assert row.secret("secret_access_key") == SECRET
    for address in (LIST, f"{LIST}{row.pk}/change/", f"{LIST}{row.pk}/history/", "/admin/tenancy/auditentry/"):
        page = operator.get(address).content.decode()
        assert SECRET not in page
        assert row.secret_access_key not in page
    changed = {**FORM, "region": "eu-west-1", "secret_key": ""}
    assert operator.post(f"{LIST}{row.pk}/change/", changed).status_code == 302
    row.refresh_from_db()
    assert (row.region, row.secret("secret_access_key")) == ("eu-west-1", SECRET)


@pytest.mark.parametrize(("wrong", "words"), [
    ({"secret_key": ""}, "Enter the secret access key"), ({"region": "nowhere"}, "Name an AWS region"),
    ({"sign_in": "role"}, "Give the role&#x27;s ARN"), ({"access_key_id": ""}, "AKIA"),
])
def test_a_refused_form_says_why_and_comes_back_without_the_secret(
    operator: Client, wrong: dict[str, str], words: str,
) -> None:
    answer = operator.post(f"{LIST}add/", {**FORM, **wrong})
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert SECRET not in answer.content.decode()
    assert not AwsAccount.objects.exists()


def test_the_page_of_a_role_shows_the_policy_to_paste(operator: Client) -> None:
    role = {**FORM, "sign_in": "role", "role_arn": "arn:aws:iam::123456789012:role/portal", "access_key_id": "",
            "secret_key": ""}
    operator.post(f"{LIST}add/", role)
    row = AwsAccount.objects.get()
    page = operator.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "sts:AssumeRole" in page
    assert row.external_id in page
    rights = operator.get(f"{LIST}rights-aws.json")
    assert rights["Content-Disposition"].endswith('filename="inference-portal-rights.json"')
    assert "sagemaker:CreateEndpoint" in rights.content.decode()
    assert "arn:aws-cn:" in operator.get(f"{LIST}rights-aws-cn.json").content.decode()


def test_the_button_tests_the_connection(operator: Client, aws_sim: AwsSimulator) -> None:
    row = make_aws_account(aws_sim)
    answer = operator.post(f"{LIST}{row.pk}/test-account/", {"confirm_token": "1"}, follow=True)
    assert answer.status_code == 200
    row.refresh_from_db()
    assert (row.reach, row.account_id) == (Reach.OK, "123456789012")
    aws_sim.faults.refuse("sagemaker:ListModels")
    told = operator.post(f"{LIST}{row.pk}/test-account/", {"confirm_token": "2"}, follow=True).content.decode()
    assert "sagemaker:ListModels" in told


def test_staff_see_that_there_is_a_shared_account_and_not_how_it_signs_in(cast: Cast, staff: Callable[..., User]) -> None:
    row = AwsAccount.objects.create(name="shared", role_arn="arn:aws:iam::123456789012:role/hidden", external_id="hidden-7",
                                    arn="arn:aws:sts::123456789012:assumed-role/hidden/x",
                                    message="AWS says: role/hidden")
    client = signed_in(staff("dora", cast.alpha, *all_view_rights(), "add_awsaccount", "change_awsaccount",
                             "delete_awsaccount"))
    page = client.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "shared" in page
    for secret in ("role/hidden", "hidden-7", "assumed-role"):
        assert secret not in page
    assert client.get(f"{LIST}add/").status_code == 403
    client.post(f"{LIST}{row.pk}/change/", {**FORM, "region": "eu-west-1"})
    client.post(f"{LIST}{row.pk}/test-account/", {"confirm_token": "1"})
    row.refresh_from_db()
    assert (row.region, row.reach) == ("us-east-1", Reach.UNKNOWN)


def test_the_api_makes_and_tests_an_account(cast: Cast, aws_sim: AwsSimulator) -> None:
    api = Api(cast.operator)
    body = {"name": "acme", "region": "us-east-1", "sign_in": SignIn.KEYS, "access_key_id": aws_sim.keys.access_key_id,
            "secret_access_key": aws_sim.keys.secret_access_key, "workspace": "alpha"}
    made = api.call("POST", "/api/v1/aws-accounts", body)
    assert made.status_code == 201
    uid = made.json()["uid"]
    found = api.call("POST", f"/api/v1/aws-accounts/{uid}/check")
    assert found.json() == {"reach": "OK", "message": "", "account_id": "123456789012",
                            "arn": "arn:aws:iam::123456789012:user/portal", "missing": []}
    seen = api.call("GET", f"/api/v1/aws-accounts/{uid}")
    assert (seen.json()["reach"], seen.json()["account_id"]) == ("OK", "123456789012")
    told = "".join(answer.content.decode() for answer in (made, found, seen))
    assert aws_sim.keys.secret_access_key not in told


def test_members_learn_of_an_account_but_not_who_signs_in(cast: Cast) -> None:
    AwsAccount.objects.create(name="ours", workspace=cast.alpha, role_arn="arn:aws:iam::123456789012:role/hidden",
                              external_id="hidden-7", access_key_id="AKIAHIDDEN0000000001", message="role/hidden said no")
    text = Api(cast.bob).call("GET", "/api/v1/aws-accounts").content.decode()
    assert '"ours"' in text
    assert "hidden" not in text.lower()
    assert Api(cast.charlie).call("GET", "/api/v1/aws-accounts").json()["items"] == []


def test_a_stale_change_is_refused(cast: Cast) -> None:
    row, api = AwsAccount.objects.create(name="ours", sign_in=SignIn.MACHINE), Api(cast.operator)
    first = api.call("GET", f"/api/v1/aws-accounts/{row.uid}")
    api.call("PATCH", f"/api/v1/aws-accounts/{row.uid}", {"region": "eu-west-1"})
    late = api.call("PATCH", f"/api/v1/aws-accounts/{row.uid}", {"region": "us-west-2"}, If_Match=first["ETag"])
    assert late.status_code == 412
