"""Every rule in one table. To teach the portal a new failure, add a line in one of these files and an example in
tests/endpoints/test_explaining.py."""

from .hyperpod import HYPERPOD
from .images import IMAGES
from .logs import LOGS
from .pods import PODS
from .sagemaker import SAGEMAKER
from .wishes import WISHES

# The first that fits a clue counts: the particular ones of pods come before "not found" of an image.
RULES = (*WISHES, *PODS, *IMAGES, *LOGS, *SAGEMAKER, *HYPERPOD)

__all__ = ["RULES"]
