"""SageMaker's control plane: endpoints and what they are made of, HyperPod clusters, the hub.

Messages of refusals are AWS's own where facts.md 2.1 or a public report quotes them; the others are marked.
"""

from tests.simulators.aws.sagemaker import components, endpoints, hub, hyperpod, models, nodes, tags
from tests.simulators.aws.sagemaker.service import SageMaker

__all__ = ["SageMaker", "components", "endpoints", "hub", "hyperpod", "models", "nodes", "tags"]
