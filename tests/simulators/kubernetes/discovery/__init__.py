"""Everything that is no resource: versions, groups, lists of resources, OpenAPI documents, health.

https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from tests.simulators.kubernetes.discovery.paths import Discovery

__all__ = ["Discovery"]
