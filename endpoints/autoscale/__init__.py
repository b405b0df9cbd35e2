"""Autoscaling as people wish it: checked, normalised, put into words. Pure; what KEDA gets is made by the target."""

from .check import check_autoscale
from .words import sentences

__all__ = ["check_autoscale", "sentences"]
