from django.db import migrations


class Migration(migrations.Migration):
    """The columns whose values 0003 moved; on their own, because MariaDB can't roll a change of a table back."""

    dependencies = [("tenancy", "0003_workspace_limits")]
    operations = [migrations.RemoveField("workspace", name) for name in ("max_endpoints", "max_replicas", "max_gpus")]
