"""Places in AWS: HyperPod clusters that are found and brought in, and SageMaker endpoints' accounts and regions."""

from .choices import set_up_aws
from .deployable import require_deployable, why_not_deployable
from .discover import Found, discover
from .looks import look_at_all, look_at_place
from .nodes import Repair, RepairAnswer, endpoints_on, repair, who_is_hurt
from .sagemaker import check_sagemaker
from .size import resize
from .take_in import import_hyperpod

__all__ = [
    "Found", "Repair", "RepairAnswer", "check_sagemaker", "discover", "endpoints_on", "import_hyperpod", "look_at_all",
    "look_at_place", "repair", "require_deployable", "resize", "set_up_aws", "who_is_hurt",
    "why_not_deployable",
]
