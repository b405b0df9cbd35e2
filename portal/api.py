"""The JSON API: every room's routes under /api/v1, closed by default, with one shape for every refusal."""

from __future__ import annotations

from ninja import NinjaAPI

from clusters.api import router as places
from clusters.aws_api import router as aws_accounts
from clusters.aws_places_api import router as aws_places
from clusters.instances_api import router as instances
from endpoints.alerts_api import router as alerts
from endpoints.api import router as endpoints
from endpoints.deepinfer import router as deployments
from endpoints.governance_api import router as governance
from endpoints.hub.api import router as hub_calls
from endpoints.limits_api import router as limits
from endpoints.measures_api import router as figures
from endpoints.plan_api import router as plans
from endpoints.routes_api import router as routes
from endpoints.scaling_api import router as scaling
from endpoints.usage_api import router as usage
from models_catalog.api import router as catalogue
from portal.tenancy.answers import error_response
from portal.tenancy.api import router as workspaces
from portal.tenancy.auth import KeyAuth, SessionAuth

from .refusals import StrictParser, as_deepinfer, as_hub, shape_errors

api = NinjaAPI(
    title="Inference Portal", version="1", urls_namespace="api", auth=[KeyAuth(), SessionAuth()], parser=StrictParser(),
    description="Deploy models and look after them. Keys: `Authorization: Bearer sk-…`. See docs/api.md.",
)
# “/endpoints/plan” comes before “/endpoints/{uid}”.
for _router in (workspaces, places, aws_accounts, aws_places, instances, catalogue, plans, scaling, governance, figures, alerts,
                usage, endpoints, routes, limits):
    api.add_router("", _router)
shape_errors(api, error_response)

# deepinfer's own calls, for clients that were written for it; by key only.
deepinfer = NinjaAPI(
    title="deepinfer", version="deepinfer", urls_namespace="deepinfer", auth=KeyAuth(), parser=StrictParser(),
    docs_url=None, openapi_url=None,
)
deepinfer.add_router("", deployments)
shape_errors(deepinfer, as_deepinfer)

# The model hub's own calls (document 000), for its clients; by key only.
hub = NinjaAPI(
    title="Model hub", version="hub", urls_namespace="hub", auth=KeyAuth(), parser=StrictParser(), docs_url=None,
    openapi_url=None,
)
hub.add_router("", hub_calls)
shape_errors(hub, as_hub)
