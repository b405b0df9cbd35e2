"""Tags of everything that has an ARN."""

from __future__ import annotations

from tests.simulators.aws.errors import invalid
from tests.simulators.aws.messages import Params
from tests.simulators.aws.sagemaker.lists import page
from tests.simulators.aws.sagemaker.service import plays
from tests.simulators.aws.sagemaker.state import Region


def _check(here: Region, arn: str) -> None:
    """
    :raises AwsFault: nothing has this ARN; the words are not verified.
    """
    kinds = (here.models, here.configs, here.endpoints, here.components, here.clusters)
    if not any(thing.arn == arn for kind in kinds for thing in kind.values()):
        raise invalid(f"Could not find resource: {arn}")


@plays("AddTags")
def add_tags(here: Region, asked: Params) -> Params:
    _check(here, asked["ResourceArn"])
    here.put_tags(asked["ResourceArn"], asked["Tags"])
    return {"Tags": asked["Tags"]}


@plays("ListTags")
def list_tags(here: Region, asked: Params) -> Params:
    _check(here, asked["ResourceArn"])
    found = [{"Key": key, "Value": value} for key, value in here.tags.get(asked["ResourceArn"], {}).items()]
    kept, more = page(asked, found, 50)
    return {"Tags": kept, **more}


@plays("DeleteTags")
def delete_tags(here: Region, asked: Params) -> Params:
    _check(here, asked["ResourceArn"])
    for key in asked["TagKeys"]:
        here.tags.get(asked["ResourceArn"], {}).pop(key, None)
    return {}
