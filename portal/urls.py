from django.contrib import admin
from django.urls import include, path

from clusters.admin.instance_types import instance_types

from .api import api, deepinfer, hub
from .health import deepinfer_health, healthz, readyz
from .metrics import metrics

handler500 = "portal.refusals.server_error"
urlpatterns = [
    path("admin/instance-types/", admin.site.admin_view(instance_types), name="instance-types"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("agent/v1/", include("clusters.agent_urls")),
    path("api/v1/", api.urls),
    path("v1/", deepinfer.urls),
    path("v1/", hub.urls),
    path("health", deepinfer_health),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
]
