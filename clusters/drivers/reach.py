"""Whether a TLS server answers under a name and is who it says: one handshake, nothing is sent."""

from __future__ import annotations

import socket
import ssl

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid
from portal.tenancy.net import checked_addresses
from portal.tenancy.tls import client_context

SECONDS = 3.0


def why_unreachable(host: str, ca: str, port: int = 443) -> str:
    """"" where it answers with a certificate that `ca` (PEM; empty for the public CAs) vouches for, else a sentence."""
    try:
        context = client_context(ca, "", "")
        address = checked_addresses(host, port)[0]
        with socket.create_connection((address, port), SECONDS) as plain, context.wrap_socket(plain, server_hostname=host):
            return ""
    except Invalid:
        return _("%(host)s has an address that the portal may not call.") % {"host": host}
    except socket.gaierror:
        return _("the name %(host)s is not known here (dns)") % {"host": host}
    except ssl.SSLError:
        return _("the certificate of %(host)s is not trusted by the stored CA (tls)") % {"host": host}
    except (OSError, ValueError):
        return _("%(host)s does not take connections from here (network)") % {"host": host}
