"""The node's agent, played: the life of pods, failures told by annotations or rules, and logs."""

from .life import Kubelet
from .logs import Logs
from .rules import Rule, Rules

__all__ = ["Kubelet", "Logs", "Rule", "Rules"]
