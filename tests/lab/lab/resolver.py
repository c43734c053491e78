"""A recursive resolver (unbound) on the private root: for MTAs, and for the key dns.forwarders."""

import os

from .dnswire import soa_serial
from .netns import RESOLVER
from .procs import Daemon


class Resolver:
    """validating False: it resolves and strips nothing, but never validates nor sets AD.

    lies: records (a zone file's lines, absolute) that it tells whatever the DNS has.
    """

    def __init__(self, directory, dns, address=RESOLVER, validating=True, lies=()):
        self.directory, self.dns, self.address = directory, dns, address
        self.validating, self.daemon = validating, None
        self.lies = [f"local-data: '{line}'" for line in lies]

    def start(self):
        """Starts it; ready when it answers for the root."""
        os.makedirs(self.directory, exist_ok=True)
        path = os.path.join(self.directory, "unbound.conf")
        modules = "validator iterator" if self.validating else "iterator"
        with open(self.dns.unbound_config(extra=self.lies), encoding="ascii") as file:
            common = file.read()
        anchor = f'  trust-anchor-file: "{self.dns.trust_anchor}"\n' if self.validating else ""
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""{common}{anchor}  interface: {self.address}
  access-control: 127.0.0.0/8 allow
  module-config: "{modules}"
  chroot: ""
  username: ""
  directory: "{self.directory}"
  pidfile: "{self.directory}/unbound.pid"
  use-syslog: no
  num-threads: 2
remote-control:
  control-enable: no
""")
        self.daemon = Daemon("unbound", ["unbound", "-d", "-c", path],
                             os.path.join(self.directory, "unbound.log"))
        self.daemon.start(lambda: soa_serial(self.address, "", recursive=True) is not None)
        return self

    def stop(self):
        """Ends it."""
        if self.daemon:
            self.daemon.stop()
