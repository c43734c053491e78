"""Return paths of report mail, as the relay makes them: for the tests that hand such mail in."""

import base64
import datetime
import hashlib
import hmac

DOMAIN = "reports.lab"
CONFIG = {"tls_rpt": {"organization_name": "Lab", "contact_info": f"postmaster@{DOMAIN}",
                      "report_domain": DOMAIN, "send": False}}


def secret_of(sternpost):
    """The secret of a relay that has been started."""
    with open(sternpost.path("state", "report.secret"), encoding="ascii") as file:
        text = file.read()
    assert len(text) == 65 and text.endswith("\n"), repr(text)
    return bytes.fromhex(text)


def _code(secret, text, characters):
    mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return base64.b32encode(mac).decode().lower()[:characters]


def return_path(secret, recipient, age=0, domain=DOMAIN):
    """The one for report mail to `recipient` that was first made `age` days ago."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    date = (today - datetime.timedelta(days=age)).strftime("%Y%m%d")
    local, _, host = recipient.rpartition("@")
    pair = _code(secret, f"recipient|{date}|{local}@{host.lower()}", 20)
    return f"tlsrpt+{date}.{pair}{_code(secret, f'own|{date}|{pair}', 12)}@{domain}"
