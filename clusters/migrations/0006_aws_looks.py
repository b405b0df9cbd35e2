import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('clusters', '0005_aws'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='cluster',
            options={'ordering': ['name'], 'permissions': [('resize_cluster', 'Can change the size of instance groups of HyperPod clusters')], 'verbose_name': 'place', 'verbose_name_plural': 'places'},
        ),
        migrations.AlterModelOptions(
            name='node',
            options={'ordering': ['cluster', 'name'], 'permissions': [('repair_node', 'Can reboot and replace nodes of HyperPod clusters')], 'verbose_name': 'node', 'verbose_name_plural': 'nodes'},
        ),
        migrations.AddField(
            model_name='awsplace',
            name='look_until',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='awsplace',
            name='message',
            field=models.CharField(blank=True, default='', editable=False, max_length=500, verbose_name='message'),
        ),
        migrations.AddField(
            model_name='awsplace',
            name='reach',
            field=models.CharField(choices=[('Unknown', 'not asked yet'), ('OK', 'connected'), ('AuthFailed', 'credential refused'), ('Forbidden', 'a right is missing'), ('TLSFailed', 'certificate not trusted'), ('Unreachable', "can't be reached")], default='Unknown', editable=False, max_length=12, verbose_name='connection to AWS'),
        ),
        migrations.AddField(
            model_name='awsplace',
            name='reach_since',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='since'),
        ),
        migrations.AddField(
            model_name='node',
            name='instance_message',
            field=models.CharField(blank=True, default='', max_length=300, verbose_name='what AWS says'),
        ),
    ]
