from django.db import migrations

MOVED = {"max_endpoints": "endpoints", "max_replicas": "replicas", "max_gpus": "gpus"}


def into_rows(apps, schema_editor):
    """Each workspace's own limits become its row of limits, or fill the row that it has already."""
    limits = apps.get_model("tenancy", "Limit").objects
    for workspace in apps.get_model("tenancy", "Workspace").objects.iterator():
        values = {MOVED[name]: value for name in MOVED if (value := getattr(workspace, name)) is not None}
        if values:
            limits.update_or_create(workspace=workspace, kind="workspace", subject="workspace:", defaults=values)


def into_columns(apps, schema_editor):
    workspaces = apps.get_model("tenancy", "Workspace").objects
    for row in apps.get_model("tenancy", "Limit").objects.filter(kind="workspace").iterator():
        workspaces.filter(pk=row.workspace_id).update(**{name: getattr(row, MOVED[name]) for name in MOVED})


class Migration(migrations.Migration):
    """The own limits of workspaces move into the table of limits."""

    dependencies = [("tenancy", "0002_limits")]
    operations = [migrations.RunPython(into_rows, into_columns)]
