"""All that the portal uses of botocore. It alone imports it, late, and without this machine's own AWS settings."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

CONNECT, READ = 3, 15  # seconds (reliability.md F19)
CONNECTIONS = 16       # kept open to one service
USER_AGENT = "inference-portal/1"
_importing = threading.Lock()


@cache
def sdk() -> Any:
    """The package with the modules that we use.

    Imported when it is first needed, because it costs 23 MB that a process which never asks AWS should not pay; and
    by one thread at a time, because its modules import each other, and a second thread would see them half made.
    """
    with _importing:
        import botocore.auth
        import botocore.awsrequest
        import botocore.config
        import botocore.configprovider
        import botocore.credentials
        import botocore.eventstream
        import botocore.exceptions
        import botocore.loaders
        import botocore.model
        import botocore.parsers
        import botocore.session
    # At DEBUG it prints what it sends and gets, session tokens and new secret keys among it; its warnings are errors
    # that the door raises anyway.
    logging.getLogger("botocore").setLevel(logging.ERROR)
    return botocore


@dataclass(frozen=True)
class _Given:
    """A provider of credentials that are there already."""

    credentials: Any = field(repr=False)
    METHOD = "given"

    def load(self) -> Any:
        return self.credentials


@cache
def loader() -> Any:
    """AWS's own descriptions of its services, read once for all accounts; none that a person put into ~/.aws."""
    loaders = sdk().loaders
    return loaders.Loader(extra_search_paths=[loaders.Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)


def session_with(credentials: Any) -> Any:
    """A session that knows these credentials only: no environment, no profile, no address from a file."""
    provider = sdk().configprovider
    store = provider.ConfigValueStore({
        name: provider.ConstantProvider(default)
        for name, (_file, _env, default, _type) in provider.BOTOCORE_DEFAUT_SESSION_VARIABLES.items()})
    for name in ("config_file", "credentials_file"):
        store.set_config_variable(name, os.devnull)
    session = sdk().session.Session()
    session.register_component("config_store", store)
    session.register_component("data_loader", loader())
    session.register_component("credential_provider", sdk().credentials.CredentialResolver([_Given(credentials)]))
    return session


def client_of(session: Any, service: str, region: str, endpoint: str) -> Any:
    """A client that neither follows proxies nor repeats by itself: the door decides about that (aws.py)."""
    config = sdk().config.Config(
        connect_timeout=CONNECT, read_timeout=READ, retries={"mode": "standard", "total_max_attempts": 1},
        user_agent=USER_AGENT, proxies={}, ignore_configured_endpoint_urls=True, max_pool_connections=CONNECTIONS,
        s3={"addressing_style": "path" if endpoint else "virtual"})
    return session.create_client(service, region_name=region, endpoint_url=endpoint or None, config=config)


def keys(access_key_id: str, secret_access_key: str) -> Any:
    return sdk().credentials.Credentials(access_key_id, secret_access_key)


def machine_credentials() -> Any:
    """Those of the machine as AWS's tools find them: environment, profile, container or instance; None where it has none."""
    return sdk().session.Session().get_credentials()


def renewed_by(renew: Callable[[], dict[str, str]]) -> Any:
    """Credentials that `renew` makes when they are first used and each time before they end."""
    return sdk().credentials.DeferredRefreshableCredentials(renew, "assume-role")


def are_temporary(credentials: Any) -> bool:
    return isinstance(credentials, sdk().credentials.RefreshableCredentials)


@cache
def service_model(service: str) -> Any:
    """Raises UnknownServiceError."""
    return sdk().model.ServiceModel(loader().load_service_model(service, "service-2"), service_name=service)
