"""Instance types of AWS and what they cost."""

from .types import InstanceType, all_types, instance_type

__all__ = ["InstanceType", "all_types", "instance_type"]
