"""Inference components: models that share the instances of an endpoint's variant, each with copies of its own.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateInferenceComponent.html . The words of refusals are not
verified on AWS, nor is the room on instances played: every copy finds a place, unless a rule for "component" says why not.
"""

from __future__ import annotations

from typing import Any

from tests.simulators.aws.errors import invalid
from tests.simulators.aws.messages import Params
from tests.simulators.aws.sagemaker.endpoints import log_group
from tests.simulators.aws.sagemaker.lists import listed
from tests.simulators.aws.sagemaker.service import plays
from tests.simulators.aws.sagemaker.state import Component, Region, find, refuse_existing

KIND = "inference-component"


@plays("CreateInferenceComponent")
def create(here: Region, asked: Params) -> Params:
    name = asked["InferenceComponentName"]
    arn = refuse_existing(here, KIND, here.components, name)
    endpoint = find(here, "endpoint", here.endpoints, asked["EndpointName"])
    if endpoint.status != "InService":
        raise invalid(f'Cannot create inference component on endpoint "{endpoint.arn}" with status "{endpoint.status}".')
    _check(here, asked)
    _check_base(here, asked)
    if "VariantName" in asked and asked["VariantName"] not in endpoint.variants:
        raise invalid(f"Could not find variant {asked['VariantName']} in endpoint {endpoint.name}.")
    if asked.get("RuntimeConfig", {}).get("CopyCount", 1) < 1:  # stdapi-ai/stdapi.ai, issue 43; later it may go to 0
        raise invalid("Inference components copy count an integer larger than 0")
    here.put_tags(arn, asked.get("Tags", []))
    variant = asked.get("VariantName") or next(iter(endpoint.variants))
    component = Component(name, arn, {**asked, "VariantName": variant}, here.now, here.now)
    component.desired = asked.get("RuntimeConfig", {}).get("CopyCount", 1)
    here.components[name] = component
    _settle(here, component, here.failure("component", name))
    return {"InferenceComponentArn": arn}


def _specifications(asked: Params) -> list[Params]:
    return [asked["Specification"]] if "Specification" in asked else asked.get("Specifications", [])


def _check(here: Region, asked: Params) -> None:
    for each in _specifications(asked):
        if "ModelName" in each:
            find(here, "model", here.models, each["ModelName"])
        elif "Container" not in each and "BaseInferenceComponentName" not in each:
            raise invalid("Either ModelName, Container or BaseInferenceComponentName must be specified.")
        if "BaseInferenceComponentName" not in each and "ComputeResourceRequirements" not in each:
            raise invalid("ComputeResourceRequirements must be specified.")


def _check_base(here: Region, asked: Params) -> None:
    """An adapter's component has no copies of its own: it lives in those of its base."""
    for each in _specifications(asked):
        if "BaseInferenceComponentName" in each:
            find(here, KIND, here.components, each["BaseInferenceComponentName"])
        elif "RuntimeConfig" not in asked:
            raise invalid("RuntimeConfig must be specified.")


def _settle(here: Region, component: Component, reason: str) -> None:
    def finish(at: float) -> None:
        component.modified, component.failure = at, reason
        component.status = "Failed" if reason else "InService"
        if not reason:
            component.copies = component.desired
        here.log(log_group(component.asked["EndpointName"]), reason or f"{component.name}: {component.copies} copies")

    component.plan.then(here.now + here.world.durations.component, finish)


def _idle(here: Region, name: str) -> Component:
    component: Component = find(here, KIND, here.components, name)
    if component.status in ("Creating", "Updating", "Deleting"):
        raise invalid(f'Cannot update in-progress inference component "{component.arn}".')
    return component


@plays("UpdateInferenceComponent")
def update(here: Region, asked: Params) -> Params:
    component = _idle(here, asked["InferenceComponentName"])
    _check(here, asked)
    new: Params = {name: asked[name] for name in ("Specification", "Specifications", "RuntimeConfig", "DeploymentConfig")
           if name in asked}  # fmt: skip
    component.desired = asked.get("RuntimeConfig", {}).get("CopyCount", component.desired)
    reason = here.failure("component", component.name)
    if not reason:
        component.asked |= new
    component.status = "Updating"
    _settle(here, component, reason)
    return {"InferenceComponentArn": component.arn}


@plays("UpdateInferenceComponentRuntimeConfig")
def update_copies(here: Region, asked: Params) -> Params:
    component = _idle(here, asked["InferenceComponentName"])
    component.desired, component.status = asked["DesiredRuntimeConfig"]["CopyCount"], "Updating"
    _settle(here, component, here.failure("component", component.name))
    return {"InferenceComponentArn": component.arn}


@plays("DescribeInferenceComponent")
def describe(here: Region, asked: Params) -> Params:
    component: Component = find(here, KIND, here.components, asked["InferenceComponentName"])
    found = _summary(here, component)
    specifications = [_described(here, each) for each in _specifications(component.asked)]
    if "Specification" in component.asked:
        found["Specification"] = specifications[0]
    else:
        found["Specifications"] = specifications
    if "RuntimeConfig" in component.asked:
        found["RuntimeConfig"] = {"DesiredCopyCount": component.desired, "CurrentCopyCount": component.copies}
    if "DeploymentConfig" in component.asked:
        found["LastDeploymentConfig"] = component.asked["DeploymentConfig"]
    return found | ({"FailureReason": component.failure[:1024]} if component.failure else {})


def _described(here: Region, specification: Params) -> Params:
    """A container is described with the image that it became."""
    if "Container" not in specification:
        return specification
    container: dict[str, Any] = dict(specification["Container"])
    image = container.pop("Image", "")
    deployed = {"DeployedImage": {"SpecifiedImage": image, "ResolutionTime": here.now}} if image else {}
    return {**specification, "Container": {**container, **deployed}}


def _summary(here: Region, component: Component) -> Params:
    endpoint = component.asked["EndpointName"]
    return {
        "InferenceComponentName": component.name, "InferenceComponentArn": component.arn, "EndpointName": endpoint,
        "EndpointArn": here.arn("endpoint", endpoint), "VariantName": component.asked["VariantName"],
        "InferenceComponentStatus": component.status, "CreationTime": component.created,
        "LastModifiedTime": component.modified,
    }  # fmt: skip


@plays("ListInferenceComponents")
def list_components(here: Region, asked: Params) -> Params:
    wanted = {"EndpointName": asked.get("EndpointNameEquals"), "VariantName": asked.get("VariantNameEquals")}
    kept = [component for component in here.components.values()
            if all(value in (None, component.asked[name]) for name, value in wanted.items())]  # fmt: skip
    found, more = listed(asked, kept)
    return {"InferenceComponents": [_summary(here, component) for component in found], **more}


@plays("DeleteInferenceComponent")
def delete(here: Region, asked: Params) -> Params:
    component: Component = find(here, KIND, here.components, asked["InferenceComponentName"])
    if component.status == "Deleting":
        raise invalid(f'Cannot update in-progress inference component "{component.arn}".')
    component.plan.clear()
    component.status = "Deleting"

    def gone(_at: float) -> None:
        component.removed = True

    component.plan.then(here.now + here.world.durations.component, gone)
    return {}
