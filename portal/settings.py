"""All settings, read from the environment and from var/secrets.env. docs/settings.md lists them."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from . import sign_in
from .logs import logging_config
from .startup import Safety, is_loopback, refuse_unsafe

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Files of this installation: database, broker folders, secrets, logs, agent state.
DATA_DIR = Path(env.str("PORTAL_DATA_DIR", str(BASE_DIR / "var")))
if (DATA_DIR / "secrets.env").is_file():
    environ.Env.read_env(DATA_DIR / "secrets.env")


def secret(name: str) -> str:
    """The value of NAME, or of the file that NAME_FILE names, as container platforms hand secrets over."""
    path = env.str(f"{name}_FILE", "")
    return Path(path).read_text().strip() if path else env.str(name, "")


DEBUG = env.bool("PORTAL_DEBUG", False)
SECRET_KEY = secret("PORTAL_SECRET_KEY")
PORTAL_FIELD_KEYS = [key for key in secret("PORTAL_FIELD_KEYS").split(",") if key]
PORTAL_METRICS_TOKEN = secret("PORTAL_METRICS_TOKEN")
PORTAL_BIND = env.str("PORTAL_BIND", "127.0.0.1")
PORTAL_PORT = env.int("PORTAL_PORT", 8000)
PORTAL_URL = env.str("PORTAL_URL", f"http://{PORTAL_BIND}:{PORTAL_PORT}").rstrip("/")
ALLOWED_HOSTS = env.list("PORTAL_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
if urlsplit(PORTAL_URL).hostname not in (None, *ALLOWED_HOSTS):
    ALLOWED_HOSTS.append(urlsplit(PORTAL_URL).hostname)
# Whether places may have addresses on this machine: yes where the portal itself is for this machine only.
PORTAL_ALLOW_LOOPBACK = env.bool("PORTAL_ALLOW_LOOPBACK", DEBUG or is_loopback(urlsplit(PORTAL_URL).hostname or ""))
PORTAL_AGENT_IMAGE = env.str("PORTAL_AGENT_IMAGE", "inference-portal-agent:0.1.0")
# "" calls AWS at its own addresses; else one address for all of its services.
PORTAL_AWS_ENDPOINT = env.str("PORTAL_AWS_ENDPOINT", "").rstrip("/")
# "" takes the prices that come with the portal.
PORTAL_PRICE_BOOK = env.str("PORTAL_PRICE_BOOK", "")
PORTAL_WRONG_KEYS = env.int("PORTAL_WRONG_KEYS", 60)  # API keys, from one address in a minute
PORTAL_GATEWAY_URLS = env.list("PORTAL_GATEWAY_URLS", default=[])
# 0: the gateway is served by the portal's own process only. Else “up” starts as many processes for it alone.
PORTAL_GATEWAY_WORKERS = env.int("PORTAL_GATEWAY_WORKERS", 0)
PORTAL_GATEWAY_PORT = env.int("PORTAL_GATEWAY_PORT", 8001)
PORTAL_GATEWAY_ADMIN_BIND = env.str("PORTAL_GATEWAY_ADMIN_BIND", "127.0.0.1")
PORTAL_GATEWAY_ADMIN_PORT = env.int("PORTAL_GATEWAY_ADMIN_PORT", 8002)
PORTAL_GATEWAY_TUNNEL_PORT = env.int("PORTAL_GATEWAY_TUNNEL_PORT", 0)
PORTAL_GATEWAY_DRAIN_SECONDS = env.float("PORTAL_GATEWAY_DRAIN_SECONDS", 120.0)
# Load tests: how many run at once here (0: none may be started), what each may do at most, and where they call.
PORTAL_LOAD_TESTS_AT_ONCE = env.int("PORTAL_LOAD_TESTS_AT_ONCE", 2)
PORTAL_LOAD_TEST_RATE = env.float("PORTAL_LOAD_TEST_RATE", 50.0)
PORTAL_LOAD_TEST_CALLERS = env.int("PORTAL_LOAD_TEST_CALLERS", 128)
PORTAL_LOAD_TEST_SECONDS = min(env.int("PORTAL_LOAD_TEST_SECONDS", 600), 600)
PORTAL_LOAD_TEST_TOKENS = env.int("PORTAL_LOAD_TEST_TOKENS", 2_000_000)
PORTAL_LOAD_TEST_URL = env.str("PORTAL_LOAD_TEST_URL", "").rstrip("/")
# Networks that are not of the internet and to which tenants' webhooks may go all the same.
PORTAL_WEBHOOK_NETWORKS = [ip_network(text) for text in env.list("PORTAL_WEBHOOK_NETWORKS", default=[])]
# "" sends no mail.
PORTAL_MAIL_URL = secret("PORTAL_MAIL_URL")
vars().update(env.email_url_config(PORTAL_MAIL_URL or "dummymail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("PORTAL_MAIL_FROM", f"portal@{urlsplit(PORTAL_URL).hostname}")
PORTAL_ENGINES_DIR = Path(env.str("PORTAL_ENGINES_DIR", str(BASE_DIR / ".engines")))
# Where gateways keep what was used until it is in the database. Shared by all gateways of this machine.
PORTAL_SPOOL_DIR = Path(env.str("PORTAL_SPOOL_DIR", str(DATA_DIR / "spool")))

CELERY_BROKER_URL = secret("CELERY_BROKER_URL") or "filesystem://"
refuse_unsafe(Safety(
    debug=DEBUG, secret_key=SECRET_KEY, field_keys=tuple(PORTAL_FIELD_KEYS), bind=PORTAL_BIND,
    allowed_hosts=tuple(ALLOWED_HOSTS), broker_url=CELERY_BROKER_URL,
    allow_open_redis=env.bool("PORTAL_ALLOW_OPEN_REDIS", False),
))

# A process that serves nothing but the gateway leaves pages, API and tasks out, which saves 30 MB.
PORTAL_ONLY_GATEWAY = env.bool("PORTAL_ONLY_GATEWAY", False)
PAGES = [
    "unfold", "unfold.contrib.filters", "unfold.contrib.import_export", "django.contrib.admin", "import_export", "csp", "ninja",
    *sign_in.APPS, "portal.web",
]
INSTALLED_APPS = [
    *([] if PORTAL_ONLY_GATEWAY else PAGES),
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "django.contrib.staticfiles", "portal", "portal.tenancy", "clusters", "models_catalog", "endpoints",
]
MIDDLEWARE = [
    "portal.logs.RequestIdMiddleware",
    "portal.refusals.ErrorShape",
    "django.middleware.security.SecurityMiddleware",
    "portal.static_files.StaticFilesMiddleware",
    "csp.middleware.CSPMiddleware",
    "portal.web.policy.LoosePolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    *sign_in.MIDDLEWARE,
]
ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [BASE_DIR / "templates"],
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]

SQLITE_OPTIONS: dict[str, Any] = {
    "transaction_mode": "IMMEDIATE", "timeout": 5,
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA busy_timeout=5000;"
                    "PRAGMA journal_size_limit=27103364;PRAGMA cache_size=2000;",
}
MYSQL_OPTIONS: dict[str, Any] = {
    "charset": "utf8mb4", "isolation_level": "read committed", "connect_timeout": 3, "read_timeout": 30,
    # Leases and deadlines are compared with the database's own Now(), which must be UTC like the stored times.
    "init_command": "SET SESSION sql_mode='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00', "
                    "innodb_lock_wait_timeout=5",
}
DATABASES = {"default": env.db_url_config(secret("DATABASE_URL") or f"sqlite:///{DATA_DIR}/portal.sqlite3")}
_database: dict[str, Any] = DATABASES["default"]
_is_mysql = _database["ENGINE"] == "django.db.backends.mysql"
_database["OPTIONS"] = {**(MYSQL_OPTIONS if _is_mysql else SQLITE_OPTIONS), **_database.get("OPTIONS", {})}
_database["CONN_MAX_AGE"] = 60
_database["CONN_HEALTH_CHECKS"] = True
# Tests on a real file, as in production, so that several processes and threads meet in it.
_database["TEST"] = ({"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_bin"} if _is_mysql
                     else {"NAME": str(DATA_DIR / f"test-{os.getpid()}.sqlite3")})

CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 45
CELERY_TASK_TIME_LIMIT = 60
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any]
if CELERY_BROKER_URL.startswith("filesystem:"):
    _queue, _control = DATA_DIR / "queue", DATA_DIR / "queue-control"
    for _folder in (_queue, _control):
        _folder.mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue), "data_folder_out": str(_queue), "control_folder": str(_control),
        "polling_interval": 0.1,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 120, "socket_connect_timeout": 1, "socket_timeout": 5, "max_retries": 0,
    }
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "endpoints.tasks.sweep", "schedule": 2.0, "options": {"expires": 10}},
    "lost-hosts": {"task": "clusters.tasks.mark_lost_hosts", "schedule": 5.0, "options": {"expires": 10}},
    "vllmclusters": {"task": "endpoints.tasks.follow_all_vllmclusters", "schedule": 5.0, "options": {"expires": 10}},
    "canaries": {"task": "endpoints.tasks.judge_canaries", "schedule": 5.0, "options": {"expires": 10}},
    "drift": {"task": "endpoints.tasks.find_all_drift", "schedule": 30.0, "options": {"expires": 25}},
    "copies": {"task": "models_catalog.tasks.sweep_copies", "schedule": 5.0, "options": {"expires": 10}},
    "aws-places": {"task": "clusters.tasks.look_at_aws_places", "schedule": 60.0, "options": {"expires": 50}},
    "inventories": {"task": "clusters.tasks.refresh_inventories", "schedule": 30.0, "options": {"expires": 25}},
    "leftovers": {"task": "endpoints.tasks.collect_all_leftovers", "schedule": 1800.0, "options": {"expires": 600}},
    "alerts": {"task": "endpoints.tasks.watch_limits", "schedule": 60.0, "options": {"expires": 50}},
    "aws-accounts": {"task": "clusters.tasks.look_at_aws_accounts", "schedule": 300.0, "options": {"expires": 240}},
    "usage": {"task": "endpoints.tasks.forget_usage", "schedule": 3600.0, "options": {"expires": 600}},
    "usage-days": {"task": "endpoints.tasks.sum_up_usage", "schedule": 600.0, "options": {"expires": 300}},
    "gpu-hours": {"task": "endpoints.tasks.book_gpu_hours", "schedule": 60.0, "options": {"expires": 50}},
    "load-tests": {"task": "endpoints.tasks.sweep_load_tests", "schedule": 5.0, "options": {"expires": 10}},
    "audit": {"task": "portal.tenancy.tasks.seal_audit", "schedule": 60.0, "options": {"expires": 50}},
    "forget": {"task": "portal.tenancy.tasks.forget_old", "schedule": 3600.0, "options": {"expires": 600}},
}

AUTH_USER_MODEL = "tenancy.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
vars().update(sign_in.sign_in_settings(env, secret))
# Who must have a second factor; "" leaves it to each person.
PORTAL_SECOND_FACTOR = sign_in.one_of("PORTAL_SECOND_FACTOR", env.str("PORTAL_SECOND_FACTOR", ""), sign_in.WHO_MUST)
# Whose first sign-in with the company's account makes one here: mail domains, or "*"; and what such newcomers get.
PORTAL_OIDC_DOMAINS = [domain.lower() for domain in env.list("PORTAL_OIDC_DOMAINS", default=[])]
PORTAL_OIDC_WORKSPACE = env.str("PORTAL_OIDC_WORKSPACE", "")
PORTAL_OIDC_ROLE = sign_in.one_of("PORTAL_OIDC_ROLE", env.str("PORTAL_OIDC_ROLE", "viewer"), sign_in.NEWCOMERS_ROLES)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese")), ("ko", _("Korean"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG

# The proxy in front says with its headers who calls and by which scheme.
PORTAL_BEHIND_PROXY = env.bool("PORTAL_BEHIND_PROXY", False)
_https = PORTAL_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"portal_session_{PORTAL_PORT}", f"portal_csrf_{PORTAL_PORT}"
CSRF_TRUSTED_ORIGINS = [PORTAL_URL] if _https else []
SECURE_SSL_REDIRECT = _https and not is_loopback(urlsplit(PORTAL_URL).hostname or "")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PORTAL_BEHIND_PROXY else None
SECURE_HSTS_SECONDS = 31536000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
_policy: dict[str, Any] = {
    "default-src": [SELF], "frame-ancestors": [NONE], "base-uri": [SELF], "form-action": [SELF], "object-src": [NONE],
}
CONTENT_SECURITY_POLICY = {"DIRECTIVES": {
    **_policy, "script-src": [SELF], "style-src": [SELF], "img-src": [SELF], "connect-src": [SELF],
}}
# The admin's theme needs eval for Alpine and inline styles; portal.web.policy says where this one holds.
LOOSE_POLICY = {
    **_policy, "script-src": [SELF, UNSAFE_EVAL, NONCE], "style-src": [SELF, UNSAFE_INLINE], "img-src": [SELF, "data:"],
}
SILENCED_SYSTEM_CHECKS = ["models.W036"]


LOGGING = logging_config(env.str("PORTAL_LOG_LEVEL", "INFO"), json=env.bool("PORTAL_LOG_JSON", True))



def _page(title: Any, icon: str, name: str, permission: str) -> dict[str, Any]:
    """One entry of the admin's menu, for those who may see the page behind it."""
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}_changelist"),
            "permission": lambda request: request.user.has_perm(permission)}


_shades = ("50", "100", "200", "300", "400", "500", "600", "700", "800", "900", "950")
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("Inference Portal"),
    "SITE_HEADER": _("Inference Portal"),
    "SITE_SYMBOL": "door_open",
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "5px",
    "DASHBOARD_CALLBACK": "portal.dashboard.dashboard",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("portal/icon.svg")}],
    "STYLES": [lambda request: static("portal/tokens.css"), lambda request: static("portal/admin.css")],
    "SCRIPTS": [lambda request: static("portal/admin.js")],
    "COLORS": {
        "base": dict(zip(_shades, (
            "#fcfdfd", "#eef2f3", "#d2dadd", "#b0bec3", "#93a3a9", "#56666c", "#3f4f55", "#29363b", "#1c272b",
            "#141c1f", "#0c1214"), strict=True)),
        "primary": dict(zip(_shades, (
            "#eff8fc", "#dceff7", "#bfe3f2", "#a2dcf6", "#74c8ee", "#3a9ac6", "#00628c", "#004a6b", "#063f59",
            "#0f2d3b", "#04202c"), strict=True)),
    },
    "COMMAND": {"search_models": True, "show_history": False},
    "SIDEBAR": {"show_search": False, "command_search": True, "show_all_applications": False, "navigation": [
        {"title": _("Serve"), "items": [
            {"title": _("Overview"), "icon": "home", "link": reverse_lazy("admin:index")},
            _page(_("Endpoints"), "deployed_code", "endpoints_endpoint", "endpoints.view_endpoint"),
            _page(_("Routes"), "alt_route", "endpoints_route", "endpoints.view_route"),
            _page(_("Events"), "event_note", "endpoints_event", "endpoints.view_event"),
            _page(_("Revisions"), "difference", "endpoints_revision", "endpoints.view_revision"),
        ]},
        {"title": _("Models"), "separator": True, "items": [
            _page(_("Models"), "shelves", "models_catalog_catalogmodel", "models_catalog.view_catalogmodel"),
            _page(_("Profiles"), "tune", "models_catalog_profile", "models_catalog.view_profile"),
            _page(_("Artifacts"), "inventory_2", "models_catalog_artifact", "models_catalog.view_artifact"),
            _page(_("Copies in clusters"), "download", "models_catalog_modelcopy", "models_catalog.view_modelcopy"),
            _page(_("Engine releases"), "package_2", "models_catalog_enginerelease",
                  "models_catalog.view_enginerelease"),
            _page(_("Vendors"), "storefront", "models_catalog_vendor", "models_catalog.view_vendor"),
        ]},
        {"title": _("Places"), "separator": True, "items": [
            _page(_("Places"), "lan", "clusters_cluster", "clusters.view_cluster"),
            _page(_("AWS accounts"), "cloud", "clusters_awsaccount", "clusters.view_awsaccount"),
            _page(_("Hosts"), "dns", "clusters_host", "clusters.view_host"),
            _page(_("Nodes"), "memory", "clusters_node", "clusters.view_node"),
            _page(_("Accelerators"), "developer_board", "clusters_accelerator", "clusters.view_accelerator"),
            _page(_("Engines"), "bolt", "clusters_engine", "clusters.view_engine"),
            {"title": _("Instance types"), "icon": "payments", "link": reverse_lazy("admin:clusters_instance_types"),
             "permission": lambda request: request.user.has_perm("clusters.view_cluster")},
            _page(_("Enrolment tokens"), "vpn_key", "clusters_enrolmenttoken", "clusters.view_enrolmenttoken"),
        ]},
        {"title": _("Workspaces and access"), "separator": True, "items": [
            _page(_("Workspaces"), "workspaces", "tenancy_workspace", "tenancy.view_workspace"),
            _page(_("People"), "group", "tenancy_user", "tenancy.view_user"),
            _page(_("Groups of rights"), "badge", "auth_group", "auth.view_group"),
            _page(_("Task governance"), "low_priority", "endpoints_taskgovernance", "endpoints.view_taskgovernance"),
            _page(_("API keys"), "key", "tenancy_apikey", "tenancy.view_apikey"),
            _page(_("Limits"), "speed", "tenancy_limit", "tenancy.view_limit"),
            _page(_("Usage"), "monitoring", "endpoints_usagehour", "endpoints.view_usagehour"),
            _page(_("Token prices"), "sell", "endpoints_tokenprice", "endpoints.view_tokenprice"),
            _page(_("Alert channels"), "notifications", "endpoints_alertchannel", "endpoints.view_alertchannel"),
            _page(_("Alerts sent"), "outbox", "endpoints_delivery", "endpoints.view_delivery"),
        ]},
        {"title": _("Audit"), "separator": True, "items": [
            _page(_("Audit"), "history", "tenancy_auditentry", "tenancy.view_auditentry"),
        ]},
    ]},
}
os.umask(0o027)
