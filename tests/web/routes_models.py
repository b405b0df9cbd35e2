from __future__ import annotations

from typing import Any

from models_catalog.models import CatalogModel
from portal.tenancy.models import Workspace
from tests.cast import make_model
from tests.portal.world import World
from tests.web.routes import Entry


def own_model(_world: World, workspace: Workspace) -> tuple[Any, ...]:
    """A model that only this workspace has on its shelf."""
    slug = f"{workspace.slug}-secret-model"
    if not CatalogModel.objects.filter(slug=slug).exists():
        make_model(slug, workspace=workspace)
    return (slug,)


ROUTES = {
    "models": Entry(),
    "model": Entry(ids=own_model),
}
