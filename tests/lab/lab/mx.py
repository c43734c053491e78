"""Scripted MX hosts: what Postfix and Exim cannot do wrong, and a record of every octet received.

An `Mx` is one host name with addresses on port 25; a `Farm` accepts for hundreds of them in one
thread and gives each connection a thread of its own (the dialog is in mxsession.py, what a stage
can do in actions.py).
"""

import os
import selectors
import socket
import ssl
import threading

from .mxsession import Session

KEYWORDS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


class Mx:
    """One MX host. Change any attribute at any time; `sessions` and `messages` are the record.

    starttls: True, or False for a host that does not know it; `at` maps stages to actions; `rcpt`
    maps single recipients (lower case) to actions. `tls` may hold minimum, maximum (TLSVersion),
    ciphers, second (files of a certificate with another type of key). `sni` maps a name that the
    client asks for to another Cert.
    """

    def __init__(self, name, addresses, cert=None, starttls=True, keywords=KEYWORDS, at=None,
                 rcpt=None, tls=None, sni=None):
        self.name, self.addresses = name, list(addresses)
        self.cert, self.starttls, self.keywords = cert, starttls, list(keywords)
        self.at, self.rcpt, self.tls, self.sni = at or {}, rcpt or {}, tls or {}, sni or {}
        self.sessions, self.messages = [], []
        self.lock = threading.Lock()
        self._contexts = {}
        self._serial = 0

    @property
    def address(self):
        """Its first address."""
        return self.addresses[0]

    @property
    def accepted(self):
        """Messages that it answered 2xx for."""
        return [m for m in self.messages if m.accepted]

    @property
    def complete(self):
        """Messages whose final dot it saw."""
        return [m for m in self.messages if m.complete]

    def next_id(self):
        """A queue id for the reply to a message."""
        with self.lock:
            self._serial += 1
            return f"LAB{self._serial:06d}"

    def forget(self):
        """Empties the record."""
        self.sessions, self.messages = [], []

    def context(self):
        """The SSLContext for its present certificate; kept, so that sessions can be resumed."""
        key = (self.cert.pem, tuple(sorted(self.tls.items())), tuple(sorted(self.sni)))
        if key not in self._contexts:
            made = make_context(self.cert, **self.tls)
            others = {name: make_context(cert, **self.tls) for name, cert in self.sni.items()}

            def choose(sock, name, _):
                sock.lab_sni = name
                if name in others:
                    sock.context = others[name]
            made.sni_callback = choose
            self._contexts[key] = made
        return self._contexts[key]


def make_context(cert, minimum=None, maximum=None, ciphers="DEFAULT:@SECLEVEL=0", tickets=2,
                 second=None):
    """A server context that permits what old hosts do. second: files of another type of key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)
    context.load_cert_chain(cert.pem, cert.key)
    if second:
        context.load_cert_chain(*second)
    context.num_tickets = tickets
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    return context


class Farm:
    """Listens on port 25 for all its hosts."""

    def __init__(self, port=25):
        self.port, self.hosts = port, {}
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._live, self._lock, self.stopping = set(), threading.Lock(), threading.Event()
        self._listeners = {}
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def add(self, host):
        """Takes a host in and listens for it."""
        self.hosts[host.name] = host
        self.up(host)
        return host

    def up(self, host):
        """Listens on the host's addresses."""
        for address in host.addresses:
            if address in self._listeners:
                continue
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.create_server((address, self.port), family=family, backlog=1024)
            with self._lock:
                self._listeners[address] = sock
                self._selector.register(sock, selectors.EVENT_READ, host)
            os.write(self._wake_write, b"x")

    def down(self, host):
        """Connections to it are refused from now on, and those that live are cut."""
        for address in host.addresses:
            with self._lock:
                sock = self._listeners.pop(address, None)
                if sock:
                    self._selector.unregister(sock)
                    sock.close()
        self.cut(host)

    def cut(self, host=None):
        """Cuts the living connections of one host, or all."""
        with self._lock:
            live = [s for s in self._live if host is None or s.mx is host]
        for session in live:
            session.cut()

    def stop(self):
        """Closes everything."""
        self.stopping.set()
        os.write(self._wake_write, b"x")
        self._thread.join(5)
        for sock in self._listeners.values():
            sock.close()
        self._listeners.clear()
        self.cut()

    def _loop(self):
        while not self.stopping.is_set():
            for key, _ in self._selector.select(1.0):
                if key.fd == self._wake_read:
                    os.read(self._wake_read, 4096)
                    continue
                try:
                    conn, peer = key.fileobj.accept()
                except OSError:
                    continue
                session = Session(self, key.data, conn, peer)
                with self._lock:
                    self._live.add(session)
                threading.Thread(target=self._run, args=(session,), daemon=True).start()

    def _run(self, session):
        try:
            session.run()
        finally:
            with self._lock:
                self._live.discard(session)
