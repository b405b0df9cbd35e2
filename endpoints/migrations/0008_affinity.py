from django.db import migrations, models

from endpoints.states import Affinity

HELP = ("Which of several replicas takes a call. Calls of one session, or prompts that begin alike, find on one replica "
        "what it computed for them before; a replica that is too busy passes them on all the same.")


class Migration(migrations.Migration):
    """How calls choose among an endpoint's replicas."""

    dependencies = [("endpoints", "0007_usage")]
    operations = [
        migrations.AddField("endpoint", "affinity", models.CharField(
            "calls go to", blank=True, choices=Affinity.choices, default="", max_length=8, help_text=HELP)),
    ]
