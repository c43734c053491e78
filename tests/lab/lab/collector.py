"""A TLS-RPT collector's socket, as libtlsrpt writes to it: one JSON object a datagram, no reply."""

import json
import os
import socket
import threading

from .procs import wait_for


class Collector:
    """Binds `path` (a Unix datagram socket) and keeps what comes. `stop()` takes the path away."""

    def __init__(self, path):
        self.path, self.datagrams = path, []
        self._sock = None

    def start(self):
        """Receives in a daemon thread."""
        if os.path.exists(self.path):
            os.remove(self.path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        os.chmod(self.path, 0o777)
        threading.Thread(target=self._loop, args=(self._sock,), daemon=True).start()
        return self

    def stop(self):
        """Ends it."""
        if self._sock:
            sock, self._sock = self._sock, None
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()
            if os.path.exists(self.path):
                os.remove(self.path)

    def of(self, domain):
        """The objects about a domain."""
        found = [json.loads(x) for x in list(self.datagrams)]
        return [x for x in found if x.get("d") == domain]

    def wait_of(self, domain, count=1, timeout=10):
        """Waits for that many and returns them."""
        wait_for(lambda: len(self.of(domain)) >= count, f"{count} datagrams about {domain}",
                 timeout)
        return self.of(domain)

    def _loop(self, sock):
        while True:
            try:
                data = sock.recv(1 << 20)
            except OSError:
                return
            if self._sock is not sock:
                return
            self.datagrams.append(data)
