from django.db import migrations, models

import portal.tenancy.fields


class Migration(migrations.Migration):

    dependencies = [
        ('models_catalog', '0004_copies'),
    ]

    operations = [
        migrations.AddField(
            model_name='enginerelease',
            name='registry_password',
            field=portal.tenancy.fields.EncryptedField(blank=True, default='', editable=False, host_field='registry'),
        ),
        migrations.AddField(
            model_name='enginerelease',
            name='registry_user',
            field=models.CharField(blank=True, default='', editable=False, max_length=200, verbose_name="registry's user"),
        ),
    ]
