"""Autoscaling on HyperPod and SageMaker: the operator's triggers in its own names, and target tracking."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.autoscale import check_autoscale, sentences
from portal.tenancy.errors import Invalid

AMP = "https://aps-workspaces.us-west-2.amazonaws.com/workspaces/ws-12ab"
CLOUD = {"namespace": "AWS/SageMaker", "metricName": "Invocations", "targetValue": "5"}
CALLS = "SageMakerVariantInvocationsPerInstance"
COPIES = "SageMakerInferenceComponentInvocationsPerCopy"
COMPONENT: dict[str, Any] = {"InferenceComponent": {}}


def wish(*triggers: tuple[str, dict[str, Any]], **values: Any) -> dict[str, Any]:
    return {"max_replicas": 4, "triggers": [{"type": kind, "metadata": metadata} for kind, metadata in triggers], **values}


def hyperpod(*triggers: tuple[str, dict[str, Any]], **values: Any) -> tuple[dict[str, Any], list[str]]:
    return check_autoscale(wish(*triggers, **values), "hyperpod")


def sagemaker(*metadata: dict[str, Any], options: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    return check_autoscale(wish(*[("sagemaker", one) for one in metadata], **values), "sagemaker", options)[0]


@pytest.mark.parametrize(("kind", "metadata"), [
    ("aws-cloudwatch", {**CLOUD, "dimensions": "EndpointName=chat,VariantName=AllTraffic", "metricStat": "Sum",
                        "metricCollectionPeriod": "60", "metricCollectionStartTime": "300", "activationTargetValue": "1",
                        "minValue": "0", "useCachedMetrics": "false", "name": "calls"}),
    ("prometheus", {"query": "sum(model_concurrent_requests)", "targetValue": "5", "serverAddress": AMP, "namespace": "x",
                    "activationTargetValue": "1", "useCachedMetrics": "true", "name": "calls"}),
    ("prometheus", {"signal": "waiting", "targetValue": "5"}),
])
def test_the_operators_names_are_kept(kind: str, metadata: dict[str, str]) -> None:
    found, notes = hyperpod((kind, metadata))
    assert notes == []
    assert found["triggers"] == [{"type": kind, "metadata": metadata, "metric_type": "AverageValue", "authentication": ""}]
    assert check_autoscale(found, "hyperpod") == (found, [])


def test_kedas_names_become_the_operators_with_a_note() -> None:
    found, notes = hyperpod(("aws-cloudwatch", {
        "namespace": "AWS/SageMaker", "metricName": "Invocations", "targetMetricValue": 5, "metricStatPeriod": 60,
        "metricCollectionTime": 600, "dimensionName": "EndpointName;VariantName", "dimensionValue": "chat;AllTraffic"}))
    assert found["triggers"][0]["metadata"] == {
        **CLOUD, "metricCollectionPeriod": "60", "metricCollectionStartTime": "600",
        "dimensions": "EndpointName=chat,VariantName=AllTraffic"}
    assert len(notes) == 4


def test_the_operators_own_times_and_types() -> None:
    found, _notes = hyperpod(("aws-cloudwatch", CLOUD), initial_cooldown_seconds=60)
    assert found["initial_cooldown_seconds"] == 60
    assert "initial_cooldown_seconds" not in hyperpod(("aws-cloudwatch", CLOUD), initial_cooldown_seconds=None)[0]
    averaged, _notes = check_autoscale({"max_replicas": 2, "triggers": [
        {"type": "aws-cloudwatch", "metadata": CLOUD, "metric_type": "Average"}]}, "hyperpod")
    assert averaged["triggers"][0]["metric_type"] == "AverageValue"


@pytest.mark.parametrize(("kind", "metadata", "words"), [
    ("cpu", {"value": "80"}, "There are: aws-cloudwatch, prometheus"),
    ("http", {"concurrency": "5"}, "There are"),
    ("prometheus", {"query": "up", "targetValue": "1", "serverAddress": "https://prometheus.example.com"}, "Amazon Managed"),
    ("prometheus", {"query": "up", "targetValue": "1", "serverAddress": AMP + "/../x"}, "Amazon Managed"),
    ("prometheus", {"query": "up", "signal": "waiting", "targetValue": "1"}, "not both"),
    ("prometheus", {"targetValue": "1"}, "needs signal or query"),
    ("prometheus", {"query": "up", "targetValue": "1", "customHeaders": "Authorization=x"}, "not permitted"),
    ("aws-cloudwatch", {"namespace": "x", "metricName": "y"}, "needs targetValue"),
    ("aws-cloudwatch", {**CLOUD, "awsRegion": "us-east-1"}, "has no “awsRegion”"),
    ("aws-cloudwatch", {**CLOUD, "dimensions": "EndpointName"}, "name=value"),
    ("aws-cloudwatch", {**CLOUD, "metricCollectionPeriod": "600"}, "must not be shorter"),
    ("aws-cloudwatch", {**CLOUD, "dimensionName": "a;b", "dimensionValue": "c"}, "as many values"),
])
def test_what_the_operator_has_not_is_refused(kind: str, metadata: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words) as refused:
        hyperpod((kind, metadata))
    assert refused.value.field == "autoscale"


def test_the_operator_signs_in_by_itself() -> None:
    with pytest.raises(Invalid, match="no authentication"):
        check_autoscale({"max_replicas": 2, "triggers": [
            {"type": "aws-cloudwatch", "metadata": CLOUD, "authentication": "aws"}]}, "hyperpod")


@pytest.mark.parametrize(("trigger", "wakes"), [
    (("aws-cloudwatch", CLOUD), True), (("prometheus", {"query": "sum(queue)", "targetValue": "1"}), True),
    (("prometheus", {"signal": "waiting", "targetValue": "1"}), False)])
def test_scale_to_zero_on_hyperpod_needs_a_figure_from_outside(trigger: tuple[str, dict[str, Any]], wakes: bool) -> None:
    if wakes:
        assert hyperpod(trigger, min_replicas=0)[0]["min_replicas"] == 0
        return
    with pytest.raises(Invalid, match="sleep for ever"):
        hyperpod(trigger, min_replicas=0)


def test_target_tracking_is_kept_and_told() -> None:
    found = sagemaker({"metric": CALLS, "target": 70, "scaleOutCooldown": 60, "scaleInCooldown": 300, "disableScaleIn": False})
    assert found["triggers"] == [{"type": "sagemaker", "metric_type": "", "authentication": "", "metadata": {
        "metric": CALLS, "target": "70", "scaleOutCooldown": "60", "scaleInCooldown": "300", "disableScaleIn": "false"}}]
    assert sentences(found) == ["SageMaker keeps between 1 and 4 replicas.",
                                f"More when: Target tracking {CALLS} above 70 for each replica."]


@pytest.mark.parametrize(("metadata", "options", "words"), [
    ([{"metric": "SageMakerVariantProvisionedConcurrencyUtilization", "target": "1"}], {}, "must be one of"),
    ([{"metric": CALLS}], {}, "needs target"), ([{"metric": CALLS, "target": "0"}], {}, "above 0"),
    ([{"metric": COPIES, "target": "5"}], {}, "of inference components only"),
    ([{"metric": CALLS, "target": "5"}], COMPONENT, "scales its copies"),
    ([{"metric": CALLS, "target": "5", "variant": "b"}], {}, "no variant “b”"),
    ([{"metric": CALLS, "target": "5"}, {"metric": CALLS, "target": "6"}], {}, "one target"),
])
def test_what_sagemaker_can_not_track_is_refused(metadata: list[dict[str, Any]], options: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        sagemaker(*metadata, options=options)


@pytest.mark.parametrize(("metric", "options", "may"), [
    (CALLS, {}, False), (CALLS, {"AsyncInferenceConfig": {}}, True), (COPIES, COMPONENT, True)])
def test_no_instance_at_all_needs_components_or_answers_that_can_wait(metric: str, options: dict[str, Any], may: bool) -> None:
    tracked = {"metric": metric, "target": "5"}
    if may:
        assert sagemaker(tracked, options=options, min_replicas=0)["min_replicas"] == 0
        return
    with pytest.raises(Invalid, match="at least one instance"):
        sagemaker(tracked, options=options, min_replicas=0)


def test_a_variant_that_the_options_name_can_be_tracked() -> None:
    options = {"Variants": [{"VariantName": "a"}, {"VariantName": "b"}]}
    assert sagemaker({"metric": CALLS, "target": "5", "variant": "b"}, options=options)


def test_metric_types_and_other_places_are_refused() -> None:
    with pytest.raises(Invalid, match="takes no metric type"):
        check_autoscale({"max_replicas": 2, "triggers": [
            {"type": "sagemaker", "metadata": {"metric": CALLS, "target": "5"}, "metric_type": "Value"}]}, "sagemaker")
    with pytest.raises(Invalid, match="no autoscaler"):
        check_autoscale(wish(("cpu", {"value": "80"})), "hosts")
    with pytest.raises(Invalid, match="initial_cooldown_seconds"):
        check_autoscale(wish(("cpu", {"value": "80"}), initial_cooldown_seconds=5), "kubernetes")
