"""A private certification authority with the openssl command, and TLSA record data.

Certificates are files (leaf and intermediates in one PEM, the key in another); DER and SPKI are
read here without a library, for TLSA records and pins.
"""

import base64
import hashlib
import os
import re
import time
from dataclasses import dataclass

from .procs import run

DAY = 86400


@dataclass
class Cert:
    """One certificate: `pem` holds leaf and chain, `alone` the leaf only; both PEM files."""

    name: str
    pem: str
    alone: str
    key: str

    @property
    def der(self):
        """The leaf in DER."""
        with open(self.alone, encoding="ascii") as file:
            body = re.search(r"-----BEGIN CERTIFICATE-----(.*?)-----END", file.read(), re.S)[1]
        return base64.b64decode(body)

    @property
    def spki(self):
        """SubjectPublicKeyInfo of the leaf in DER."""
        return _spki(self.der)

    @property
    def pin(self):
        """base64 of the SHA-256 of the SPKI, as `spki_sha256` of a rule takes it."""
        return base64.b64encode(hashlib.sha256(self.spki).digest()).decode()

    @property
    def sha256(self):
        """Hex SHA-256 of the leaf."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def spki_sha256(self):
        """Hex SHA-256 of the SPKI."""
        return hashlib.sha256(self.spki).hexdigest()


def _tlv(data, at):
    """(start of content, end) of the DER element at `at`."""
    size, start = data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[start:start + count], "big"), start + count
    return start, start + size


def _spki(der):
    at, _ = _tlv(der, 0)
    at, _ = _tlv(der, at)
    if der[at] == 0xA0:
        at = _tlv(der, at)[1]
    for _ in range(5):             # serial, signature, issuer, validity, subject
        at = _tlv(der, at)[1]
    return der[at:_tlv(der, at)[1]]


def tlsa(params, cert):
    """TLSA RDATA such as '3 1 1 ab…' for a Cert."""
    _, selector, matching = params.split()
    data = cert.spki if selector == "1" else cert.der
    value = {"0": data, "1": hashlib.sha256(data).digest(),
             "2": hashlib.sha512(data).digest()}[matching]
    return f"{params} {value.hex()}"


class Ca:
    """A CA, self-signed or below `issuer`; `issue()` asked again gives the same files."""

    def __init__(self, directory, name, issuer=None):
        self.directory, self.name, self.issuer = directory, name, issuer
        os.makedirs(directory, exist_ok=True)
        self._issued, self._count = {}, 0
        ext = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign",
               "subjectKeyIdentifier=hash"]
        self.cert = (issuer.make(name, ext) if issuer else
                     self._self_signed(f"/CN={name}", ext, self._paths(name)))

    def _paths(self, name):
        self._count += 1
        base = os.path.join(self.directory, f"{self._count}-{re.sub('[^a-z0-9.-]', '_', name)}")
        return Cert(name, base + ".chain.pem", base + ".pem", base + ".key")

    def _self_signed(self, subject, ext, cert, key="ec"):
        argv = ["openssl", "req", "-x509", *_new_key(key, cert.key), "-subj", subject,
                "-days", "3650", "-out", cert.alone]
        for line in ext:
            argv += ["-addext", line]
        run(*argv)
        _join(cert.pem, cert.alone)
        return cert

    def issue(self, name, sans=None, **options):
        """A leaf for `name`.

        sans: names in subjectAltName, default [name]; [] leaves the extension out (CN only).
        Options: begin, end (seconds from now); key "ec", "ed25519", "rsa2048", "rsa1024-sha1";
        self_signed.
        """
        sans = [name] if sans is None else list(sans)
        memo = (name, tuple(sans), tuple(sorted(options.items())))
        if memo not in self._issued:
            ext = ["basicConstraints=critical,CA:FALSE"]
            if sans:
                ext.append("subjectAltName=" + ",".join(f"DNS:{s}" for s in sans))
            self._issued[memo] = self.make(name, ext, **options)
        return self._issued[memo]

    def make(self, name, ext, begin=None, end=None, key="ec", self_signed=False):
        """A fresh certificate with the given extension lines."""
        cert = self._paths(name)
        subject = f"/CN={name[:64]}"
        if self_signed:
            return self._self_signed(subject, ext, cert, key)
        if begin is None and end is None:
            argv = ["openssl", "req", "-x509", *_new_key(key, cert.key), "-subj", subject,
                    "-CA", self.cert.alone, "-CAkey", self.cert.key, "-days", "365",
                    "-out", cert.alone]
            for line in ext:
                argv += ["-addext", line]
            run(*argv)
        else:
            self._dated(cert, subject, ext, begin or -DAY, end or 365 * DAY, key)
        above = [] if self.issuer is None else [self.cert.pem]
        _join(cert.pem, cert.alone, *above)
        return cert

    def _dated(self, cert, subject, ext, begin, end, key):
        """openssl ca is the one command of OpenSSL 3.0 that takes dates."""
        conf, csr = cert.alone + ".cnf", cert.alone + ".csr"
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={conf}.db\nrand_serial=yes\n"
                       f"new_certs_dir={self.directory}\ndefault_md=sha256\npolicy=p\n"
                       "unique_subject=no\n[p]\ncommonName=supplied\n[e]\n" + "\n".join(ext) + "\n")
        with open(conf + ".db", "w", encoding="ascii"):
            pass
        run("openssl", "req", *_new_key(key, cert.key), "-subj", subject, "-out", csr)
        stamp = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + t)) for t in (begin, end)]
        run("openssl", "ca", "-batch", "-notext", "-config", conf, "-extensions", "e", "-in", csr,
            "-startdate", stamp[0], "-enddate", stamp[1], "-cert", self.cert.alone,
            "-keyfile", self.cert.key, "-out", cert.alone)


def _new_key(kind, path):
    if kind == "ec":
        how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    elif kind == "ed25519":
        how = ["-newkey", "ed25519"]
    else:
        how = ["-newkey", f"rsa:{kind[3:7]}"] + (["-sha1"] if kind.endswith("sha1") else [])
    return how + ["-nodes", "-keyout", path]


def _join(target, *sources):
    with open(target, "w", encoding="ascii") as out:
        for source in sources:
            with open(source, encoding="ascii") as file:
                out.write(file.read())


class Pki:
    """The lab's authorities: `ca` is trusted, `intermediate` is below it, `stranger` is unknown."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = Ca(os.path.join(directory, "ca"), "Lab Root CA")
        self._others = {}

    @property
    def ca_file(self):
        """What a client trusts."""
        return self.ca.cert.alone

    @property
    def intermediate(self):
        """A CA below `ca`; its leaves come with it in their chain."""
        return self._other("intermediate", "Lab Issuing CA", self.ca)

    @property
    def stranger(self):
        """A CA that no client trusts; for spoofing, and as a DANE-TA anchor."""
        return self._other("stranger", "Somebody Else's CA", None)

    def _other(self, key, name, issuer):
        if key not in self._others:
            self._others[key] = Ca(os.path.join(self.directory, key), name, issuer)
        return self._others[key]

    def with_anchor(self, cert, authority):
        """A copy of `cert` whose chain file also holds `authority`'s own certificate (DANE-TA)."""
        copy = Cert(cert.name, cert.pem + ".ta", cert.alone, cert.key)
        _join(copy.pem, cert.pem, authority.cert.alone)
        return copy
