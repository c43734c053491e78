"""Report mail as its receiver looks at it (RFC 8460 §3, §5.3): does the DKIM signature hold, is
it of the reporting domain, and does it cover what it has to. By dkimpy, which shares no code with
Sternpost."""
import email
import email.policy
import re

import dkim as dkimpy

COVERED = ("from", "tls-report-domain", "tls-report-submitter")
ALGORITHMS = ("rsa-sha256", "ed25519-sha256")


def tags(value):
    """The tags of a DKIM-Signature field or a key record, without white space in the values."""
    pairs = (part.split("=", 1) for part in value.split(";") if "=" in part)
    return {name.strip(): re.sub(r"\s+", "", text) for name, text in pairs}


def signature_problems(signature, header):
    """What RFC 8460 has against the tags of one signature."""
    problems = []
    if signature.get("a") not in ALGORITHMS:
        problems.append(f"a={signature.get('a')}")
    if "l" in signature:
        problems.append("has l=")
    covered = signature.get("h", "").lower().split(":")
    problems += [f"{name} is not signed" for name in COVERED if name not in covered]
    if covered.count("from") < 2:
        problems.append("a second From could be added")
    submitter = header.get("TLS-Report-Submitter", "").strip().lower()
    if signature.get("d", "").lower() != submitter:
        problems.append(f"d={signature.get('d')}, but the submitter is {submitter!r}")
    return problems


def record_problems(name, records):
    """What RFC 8460 §3 has against the key record at `name`."""
    record = records.get(name)
    if record is None:
        return [f"no record {name}"]
    services = tags(record).get("s", "*").split(":")
    return [] if {"tlsrpt", "*"} & set(services) else [f"{name} is not for tlsrpt"]


def verify(message, records):
    """The problems of `message` (bytes); `records`: TXT records by name, without a dot at the
    end. An empty list: any receiver takes the report."""
    # Line ends as they are on the wire: a mailbox file has bare line feeds.
    message = re.sub(rb"\r?\n", b"\r\n", message)
    header = email.message_from_bytes(message, policy=email.policy.compat32)
    fields = header.get_all("DKIM-Signature") or []
    if len(fields) != 1:
        return [f"{len(fields)} DKIM signatures"]

    def txt(name, timeout=5):
        del timeout
        record = records.get(name.decode("ascii").rstrip("."))
        # dkimpy 1.1.4 takes a list of services for one unknown word and then has no key at all;
        # record_problems has looked at them.
        return re.sub(r";\s*s=[^;]*", "", record).encode("ascii") if record else None

    signature = tags(fields[0])
    name = f"{signature.get('s')}._domainkey.{signature.get('d')}"
    problems = signature_problems(signature, header) + record_problems(name, records)
    try:
        if not dkimpy.verify(message, dnsfunc=txt):
            problems.append("the signature does not hold")
    except (dkimpy.DKIMException, ValueError) as error:
        problems.append(f"dkimpy: {error}")
    return problems
