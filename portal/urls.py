from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from .api import api, deepinfer, hub
from .health import deepinfer_health, healthz, readyz
from .metrics import metrics
from .web.account.entrance import sign_out
from .web.account.views import admin_login
from .web.start import language

handler500 = "portal.refusals.server_error"
urlpatterns = [
    path("", include("portal.web.urls")),
    path("account/", include("portal.web.account.entrance")),
    path("admin/login/", admin_login),
    path("admin/logout/", sign_out),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_change_password")),
    path("admin/", admin.site.urls),
    path("i18n/setlang/", language, name="set_language"),
    path("agent/v1/", include("clusters.agent_urls")),
    path("api/v1/", api.urls),
    path("v1/", deepinfer.urls),
    path("v1/", hub.urls),
    path("health", deepinfer_health),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
]
