"""Other forms of an answer: tables, metadata alone, YAML; and the choice among them by the Accept header.

https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from tests.simulators.kubernetes.tables.negotiate import Form, OnlyProtobuf, acceptable, negotiate
from tests.simulators.kubernetes.tables.render import as_event, as_form, render
from tests.simulators.kubernetes.tables.yaml_out import to_yaml

__all__ = ["Form", "OnlyProtobuf", "acceptable", "as_event", "as_form", "negotiate", "render", "to_yaml"]
