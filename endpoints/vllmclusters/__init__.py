"""VLLMCluster objects (training.distributed-inference.io/v1alpha1) in both directions. Pure: dicts in, values out."""

from .facts import ModelFacts
from .read import Wished, model_of, read
from .status import Seen, refused_status, status_of
from .write import helm_values, vllmcluster

__all__ = ["ModelFacts", "Seen", "Wished", "helm_values", "model_of", "read", "refused_status", "status_of", "vllmcluster"]
