"""What would stop an endpoint, found before anything is made: rights, room on the instance, weights, cost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.utils.translation import gettext as _

from clusters.drivers.aws_errors import AwsError, AwsProblem
from clusters.instances import InstanceType, hourly_cost, instance_type, no_price
from endpoints.planning.preflight import code_check, memory_check
from endpoints.targets.base import Check, ModelFacts, Spec
from models_catalog.choices import ArtifactKind

from .bodies import Bodies, bodies_of, types_of
from .calls import Calls
from .container import ARCHIVES
from .place import PlaceView


def checks(calls: Calls, place: PlaceView, spec: Spec, model: ModelFacts) -> tuple[Check, ...]:
    """The red ones first. Raises TargetError for a wish that can't be rendered, and AwsError."""
    made = bodies_of(spec, place)
    found = [*_names(spec, made), *_instances(spec, made, model), *_weights(calls, spec, model), *_quota(spec, made),
             *_cost(spec, place, made), *filter(None, [code_check(spec)])]
    return tuple(sorted(found, key=lambda check: {False: 0, None: 1, True: 2}[check.ok]))


def _names(spec: Spec, made: Bodies) -> Iterator[Check]:
    yield Check("name", True, _("The endpoint will be called %(name)s.") % {"name": spec.external_name})
    image = made.models[0]["PrimaryContainer"]["Image"]
    if ".dkr.ecr." not in image:
        yield Check("image", False, _("SageMaker takes images of Amazon ECR only, and %(image)s is none: copy it there.") % {
            "image": image})
    else:
        yield Check("image", True, _("The image is %(image)s.") % {"image": image})


def _instances(spec: Spec, made: Bodies, model: ModelFacts) -> Iterator[Check]:
    wanted = list(dict.fromkeys(name for each in made.config["ProductionVariants"] for name in types_of(each)))
    known = {name: instance_type(name) for name in wanted}
    unknown = [name for name, found in known.items() if found is None]
    if unknown:
        yield Check("instance", None, _("The portal has no figures for %(names)s, so it can't tell whether the model fits.") % {
            "names": ", ".join(unknown)})
    there = [found for found in known.values() if found is not None]
    for found in there:
        yield _has_room(spec, found)
    gpus = {(found.gpu_memory_bytes, f"{found.name} ({found.accelerator})") for found in there if found.gpus}
    memory = memory_check(spec.wanted, model, gpus)
    if memory is not None:
        yield memory


def _has_room(spec: Spec, found: InstanceType) -> Check:
    needed = spec.wanted.resources
    if not found.hosting:
        return Check("instance", False, _("%(name)s is not offered for endpoints.") % {"name": found.name})
    if needed.gpus > found.gpus:
        return Check("instance", False, _("The profile asks for %(needed)d GPUs and %(name)s has %(there)d.") % {
            "needed": needed.gpus, "name": found.name, "there": found.gpus})
    if needed.memory_bytes > found.memory_bytes:
        return Check("instance", False, _("The profile asks for more memory than %(name)s has.") % {"name": found.name})
    return Check("instance", True, _("%(name)s has what the profile asks for.") % {"name": found.name})


def _weights(calls: Calls, spec: Spec, model: ModelFacts) -> Iterator[Check]:
    wanted = spec.wanted
    if wanted.artifact_kind == ArtifactKind.S3:
        yield _in_s3(calls, wanted.artifact_location)
    elif wanted.hub_token:
        yield Check("token", None, _("The hub's token becomes a variable of the container: whoever may describe models in this "
                                     "AWS account can read it. Copy the weights to S3 to avoid that."))
    elif model.gated:
        yield Check("token", False, _("The model is gated: its hub asks for a token. Enter one at the artifact."))


def _in_s3(calls: Calls, location: str) -> Check:
    """By the portal's own rights; those of the execution role may be others."""
    bucket, _slash, key = location.removeprefix("s3://").partition("/")
    prefix = key if key.endswith(ARCHIVES) else key.rstrip("/") + "/"
    ask = partial(calls.aws.call, "s3", "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
    try:
        found = ask().get("KeyCount", 0)
    except AwsError as error:
        if error.problem is AwsProblem.NOT_FOUND:
            return Check("weights", False, _("There is no bucket %(name)s.") % {"name": bucket})
        if error.problem is not AwsProblem.FORBIDDEN:
            raise
        return Check("weights", None, _("The portal may not look into %(name)s, so it can't tell whether the weights are "
                                        "there.") % {"name": location})
    if found:
        return Check("weights", True, _("The weights are at %(name)s.") % {"name": location})
    return Check("weights", False, _("There is nothing at %(name)s.") % {"name": location})


def _quota(spec: Spec, made: Bodies) -> Iterator[Check]:
    lines = tuple(_("%(count)d × %(type)s for endpoint usage") % {
        "count": _most(spec, each["InitialInstanceCount"]), "type": " / ".join(types_of(each))}
        for each in made.config["ProductionVariants"])
    yield Check("quota", None, _("The portal does not know the account's quotas. It must allow this much more:"), lines)


def _cost(spec: Spec, place: PlaceView, made: Bodies) -> Iterator[Check]:
    """What its instances cost in an hour, and at most where an autoscaler may add some."""
    for each in made.config["ProductionVariants"]:
        for name in types_of(each):
            least, most = each["InitialInstanceCount"], _most(spec, each["InitialInstanceCount"])
            cost, top = hourly_cost(name, place.region, least), hourly_cost(name, place.region, most)
            if cost is None or top is None:
                yield Check("cost", None, no_price(name, place.region))
            else:
                yield Check("cost", True, cost.sentence, (top.sentence,) if most > least else ())


def _most(spec: Spec, count: int) -> int:
    return max(count, spec.autoscale.max_replicas) if spec.autoscale is not None else count
