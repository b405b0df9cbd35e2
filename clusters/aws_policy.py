"""What an administrator of an AWS account pastes into IAM: who may assume the portal's role, and what the role may do.

The actions are named as AWS's service authorization reference does; not verified on AWS.
"""

from __future__ import annotations

from typing import Any

from clusters.models import AwsAccount

VERSION = "2012-10-17"
PORTAL_PRINCIPAL = "arn:{partition}:iam::111122223333:user/inference-portal"  # AWS's own example account

# Statement by statement: what for, the actions, and the resources after arn:<partition>:.
_READS = (
    "sagemaker:ListClusters", "sagemaker:DescribeCluster", "sagemaker:ListClusterNodes", "sagemaker:DescribeClusterNode",
    "sagemaker:ListEndpoints", "sagemaker:DescribeEndpoint", "sagemaker:ListEndpointConfigs",
    "sagemaker:DescribeEndpointConfig", "sagemaker:ListModels", "sagemaker:DescribeModel",
    "sagemaker:ListInferenceComponents", "sagemaker:DescribeInferenceComponent", "sagemaker:ListTags",
    "sagemaker:ListHubContents", "sagemaker:DescribeHubContent", "eks:ListClusters", "eks:DescribeCluster",
    "application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:DescribeScalingActivities", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics",
    "cloudwatch:ListMetrics", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "iam:GetRole", "kms:DescribeKey",
)
_ENDPOINTS = (
    "sagemaker:CreateModel", "sagemaker:DeleteModel", "sagemaker:CreateEndpointConfig", "sagemaker:DeleteEndpointConfig",
    "sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities",
    "sagemaker:DeleteEndpoint", "sagemaker:CreateInferenceComponent", "sagemaker:UpdateInferenceComponent",
    "sagemaker:UpdateInferenceComponentRuntimeConfig", "sagemaker:DeleteInferenceComponent", "sagemaker:AddTags",
    "sagemaker:DeleteTags", "sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointAsync",
    "sagemaker:InvokeEndpointWithResponseStream",
)
_SCALING = (
    "application-autoscaling:RegisterScalableTarget", "application-autoscaling:DeregisterScalableTarget",
    "application-autoscaling:PutScalingPolicy", "application-autoscaling:DeleteScalingPolicy",
    "application-autoscaling:TagResource", "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms",
    "cloudwatch:DescribeAlarms",
)
_MACHINES = (
    "sagemaker:UpdateCluster", "sagemaker:BatchRebootClusterNodes", "sagemaker:BatchReplaceClusterNodes",
)
_LOGS = ("logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents")
_FILES = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")


def rights_policy(partition: str = "aws") -> dict[str, Any]:
    """The least rights that the portal needs; the statement `Machines` may be left out by who runs no HyperPod."""
    arn = f"arn:{partition}:"
    return {"Version": VERSION, "Statement": [
        _allow("Look", _READS, "*"),
        _allow("Endpoints", _ENDPOINTS, f"{arn}sagemaker:*:*:*"),
        _allow("Scaling", _SCALING, "*"),
        _allow("Machines", _MACHINES, f"{arn}sagemaker:*:*:cluster/*"),
        _allow("Logs", _LOGS, f"{arn}logs:*:*:log-group:/aws/sagemaker/*"),
        _allow("Files", _FILES, f"{arn}s3:::NAME-OF-THE-BUCKET", f"{arn}s3:::NAME-OF-THE-BUCKET/*"),
        {**_allow("Roles", ("iam:PassRole",), f"{arn}iam::*:role/NAME-OF-THE-EXECUTION-ROLE"),
         "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}},
        {**_allow("ScalingRole", ("iam:CreateServiceLinkedRole",), "*"), "Condition": {"StringEquals": {
            "iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}}},
    ]}


def trust_policy(account: AwsAccount, partition: str = "aws") -> dict[str, Any]:
    """Who may assume the role: the principal is an example to be replaced, the external ID is the account's own."""
    trust: dict[str, Any] = {
        "Effect": "Allow", "Principal": {"AWS": PORTAL_PRINCIPAL.format(partition=partition)}, "Action": "sts:AssumeRole"}
    if account.external_id:
        trust["Condition"] = {"StringEquals": {"sts:ExternalId": account.external_id}}
    return {"Version": VERSION, "Statement": [trust]}


def _allow(name: str, actions: tuple[str, ...], *resources: str) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": list(actions),
            "Resource": resources[0] if len(resources) == 1 else list(resources)}


def allowed_actions() -> frozenset[str]:
    return frozenset(action for statement in rights_policy()["Statement"] for action in statement["Action"])
