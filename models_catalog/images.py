"""Where AWS keeps its inference containers in each region, and the address of a release's image there.

An image of a release may hold {account}, {region} and {suffix}: AWS gives the same image from a registry of its own in
every region, under different accounts. The table is that of the AWS Deep Learning Containers, "Region Availability" of
docs/reference/available_images.md in github.com/aws/deep-learning-containers; the GovCloud accounts are those of
djl-lmi.json in github.com/aws/sagemaker-python-sdk. Not verified on AWS.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid

_MOST = "763104351884"
ACCOUNTS = {
    **dict.fromkeys((
        "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-south-1",
        "ap-southeast-1", "ap-southeast-2", "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2",
        "eu-west-3", "sa-east-1"), _MOST),
    "af-south-1": "626614931356", "ap-east-1": "871362719292", "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452", "ap-southeast-3": "907027046896", "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462", "ap-southeast-7": "590183813437", "ca-west-1": "204538143572",
    "eu-central-2": "380420809688", "eu-south-1": "692866216735", "eu-south-2": "503227376785",
    "il-central-1": "780543022126", "me-central-1": "914824155844", "me-south-1": "217643126080",
    "mx-central-1": "637423239942", "us-gov-east-1": "446045086412", "us-gov-west-1": "442386744353",
    "cn-north-1": "727897471807", "cn-northwest-1": "727897471807",
}


def image_for(template: str, region: str) -> str:
    """The image as it is called in this region; one without placeholders stays as it is.

    Raises Invalid (field ``image``) for a region where we know of no registry, and for a placeholder that we don't know.
    """
    if "{" not in template:
        return template
    account = ACCOUNTS.get(region)
    if account is None:
        raise Invalid(_("The portal does not know where AWS keeps its containers in %(region)s. Copy the image to a registry "
                        "of your own and write its address at the engine release.") % {"region": region}, field="image")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    image = template.replace("{account}", account).replace("{region}", region).replace("{suffix}", suffix)
    if "{" in image:
        raise Invalid(_("Only {account}, {region} and {suffix} can stand in an image."), field="image")
    return image

