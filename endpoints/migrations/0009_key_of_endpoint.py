from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):
    """By which key an endpoint was made: that key's limits apply to it."""

    dependencies = [("endpoints", "0008_affinity"), ("tenancy", "0004_workspace_limits_moved")]
    operations = [
        migrations.AddField("endpoint", "created_by_key", models.ForeignKey(
            editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+",
            to="tenancy.apikey")),
    ]
