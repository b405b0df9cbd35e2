from typing import Any

from django.db import migrations


def forget_months(apps: Any, _schema: Any) -> None:
    """Months have sums of every kind now: those that are there are made again, from their days."""
    apps.get_model("endpoints", "SummedDay").objects.update(month=None)


class Migration(migrations.Migration):

    dependencies = [
        ("endpoints", "0013_usage_days"),
    ]

    operations = [
        migrations.RunPython(forget_months, migrations.RunPython.noop),
    ]
