"""Why an image does not come, by what the registry or the node said."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from endpoints.states import Cause

from ..clues import Source
from ..findings import Rule, rule

WORDS = r"Failed|ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|ImageInspectError|RegistryUnavailable|" \
        r"InspectFailed|SignatureValidationFailed|ErrInvalidImageName"


def _image(name: str, weight: int, sentence: Promise, next_step: Promise, text: str = "", *, word: str = WORDS) -> Rule:
    return rule(name, Cause.IMAGE, weight, (Source.WAITING, Source.EVENT), word, sentence, next_step, text=text, kinds=("Pod",))


IMAGES = (
    _image("image_limit", 88, _("The registry limits how much may be pulled, and the image does not come: %(image)s"),
           _("Wait until the limit is over, give the engine release the login of its registry, or use a mirror of the image."),
           r"toomanyrequests|429 Too Many|rate limit"),
    _image("image_unauthorised", 87, _("The registry does not let the cluster pull the image %(image)s."),
           _("Check the image's name, give the engine release the login of its registry, then press Update."),
           r"unauthorized|authentication required|pull access denied|no basic auth|403 Forbidden|401 Unauthorized|denied:"),
    _image("image_missing", 87, _("The image %(image)s is not in its registry."),
           _("Correct the name, tag or digest of the image in the engine release, then press Update."),
           r"manifest unknown|not found|NotFound|name unknown"),
    _image("image_tls", 87, _("The node does not trust the certificate of the image's registry: %(said)s"),
           _("Have the registry's certificate authority installed on the nodes, or use another registry."), r"x509|tls:"),
    _image("image_host", 87, _("The node can't reach the image's registry: %(said)s"),
           _("Check the registry's name and the nodes' way to it (DNS, proxy, firewall), or use a mirror inside."),
           r"no such host|i/o timeout|connection refused|dial tcp|deadline exceeded|Service Unavailable|is unreachable"),
    _image("image_platform", 87, _("The image %(image)s has no build for the processor of this node."),
           _("Choose an image for this processor, or nodes of another kind."),
           r"no match(?:ing manifest)? for (?:platform|linux/)|no matching manifest"),
    _image("image_disk", 88, _("The node's disk is full, so the image does not fit on it."),
           _("Free some disk on the node or use one with more; engine images need 10 to 30 GB."), r"no space left on device"),
    _image("image_name", 88, _("The name of the image can't be read: %(image)s"),
           _("Correct the image in the engine release, then press Update."), word="InvalidImageName|ErrInvalidImageName"),
    _image("image_never", 86, _("The image %(image)s is not on the node, and the cluster may not pull it."),
           _("Load the image onto the node, or have the pull policy changed."), word="ErrImageNeverPull"),
    _image("image", 76, _("The image %(image)s can't be pulled."),
           _("Read the cluster's message below; check the image's name and the nodes' way to its registry."),
           r"pull|image", word=r"Failed|ErrImagePull|ImagePullBackOff|ImageInspectError|RegistryUnavailable"),
    _image("image_waiting", 74, _("The image %(image)s can't be pulled."),
           _("Read the cluster's message below; check the image's name and the nodes' way to its registry."),
           word=r"ErrImagePull|ImagePullBackOff"),
)
