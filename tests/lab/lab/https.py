"""Hosts of MTA-STS policies: NGINX with a certificate and a text for each, and one that errs."""

import os
import socket
import ssl
import struct
import threading
import time

from .mx import make_context
from .procs import Daemon, LabError, wait_for, wake

GOOD = "127.0.0.20"
BAD = "127.0.0.21"
PATH = "/.well-known/mta-sts.txt"


class Nginx:
    """Port 443 of its own address; one server block for each policy host.

    `set(host, text, cert)` before or after the start; `commit()` returns when it is served.
    """

    def __init__(self, directory, ca_file, default_cert, address=GOOD):
        self.directory, self.address, self.ca_file = directory, address, ca_file
        os.makedirs(os.path.join(directory, "texts"))
        self.hosts, self.default_cert, self.daemon, self._dirty = {}, default_cert, None, False
        self._generation = 0

    def path(self, name):
        """A file of this part."""
        return os.path.join(self.directory, name)

    def set(self, host, text, cert=None, content_type="text/plain", extra=""):
        """Publishes `text` (None: 404) for `host`; a new text alone needs no commit()."""
        target = self.path(os.path.join("texts", host))
        if text is None:
            if os.path.exists(target):
                os.remove(target)
        else:
            with open(target + "~", "wb") as file:
                file.write(text.encode() if isinstance(text, str) else text)
            os.replace(target + "~", target)
        old = self.hosts.get(host)
        new = (cert or (old[0] if old else self.default_cert), content_type, extra)
        if new != old:
            self.hosts[host], self._dirty = new, True

    def requests(self, host=None):
        """Lines 'host request status' of the access log, for one host or all."""
        try:
            with open(self.path("access.log"), encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        return [x for x in lines if host is None or x.split(" ")[0] == host]

    def start(self):
        """Starts it with what was set."""
        self._write()
        self.daemon = Daemon("nginx", ["nginx", "-c", self.path("nginx.conf"), "-e",
                                       self.path("error.log")], self.path("nginx.log"))
        self.daemon.start(self._current)
        return self

    def commit(self):
        """Reloads when hosts or certificates changed, and waits for the new configuration."""
        if not self.daemon or not self._dirty:
            return
        self._write()
        self.daemon.signal(1)
        wait_for(self._current, "nginx to reload")

    def stop(self):
        """Ends it."""
        if self.daemon:
            self.daemon.stop()

    def _current(self):
        """Whether only workers of the newest configuration accept."""
        pid = self.daemon.process.pid
        workers = 0
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                children = file.read().split()
            for child in children:
                with open(f"/proc/{child}/cmdline", encoding="ascii") as file:
                    workers += "shutting down" not in file.read()
        except OSError:
            return False
        return workers == 1 and self._serving() == self._generation

    def _serving(self):
        """The generation that answers on the status port; None when nobody does."""
        try:
            with socket.create_connection((self.address, 8443), 1) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                text = b""
                while chunk := sock.recv(4096):
                    text += chunk
            return int(text.rpartition(b"\r\n\r\n")[2])
        except (OSError, ValueError):
            return None

    def _write(self):
        self._generation += 1
        self._dirty = False
        servers = "".join(f"""
  server {{
    listen {self.address}:443 ssl;
    server_name {host};
    ssl_certificate {cert.pem};
    ssl_certificate_key {cert.key};
    default_type {kind};
    {extra}
    location = {PATH} {{ alias {self.path("texts")}/{host}; }}
  }}""" for host, (cert, kind, extra) in self.hosts.items())
        with open(self.path("nginx.conf"), "w", encoding="utf-8") as file:
            file.write(f"""daemon off;
user root;
worker_processes 1;
pid {self.path("nginx.pid")};
error_log {self.path("error.log")};
events {{ worker_connections 4096; }}
http {{
  log_format lab '$host "$request" $status';
  access_log {self.path("access.log")} lab;
  server_names_hash_bucket_size 256;
  server_names_hash_max_size 8192;
  client_body_temp_path {self.path("t1")}; proxy_temp_path {self.path("t2")};
  fastcgi_temp_path {self.path("t3")}; uwsgi_temp_path {self.path("t4")};
  scgi_temp_path {self.path("t5")};
  server {{ listen {self.address}:8443; access_log off; return 200 "{self._generation}"; }}
  server {{
    listen {self.address}:443 ssl default_server;
    ssl_certificate {self.default_cert.pem};
    ssl_certificate_key {self.default_cert.key};
    return 404;
  }}{servers}
}}
""")


class BadHttps:
    """An HTTPS server that does what it is told for each host name asked for by SNI.

    `set(host, behaviour, cert)`: a function (sock, self) that gets the TLS socket after the request
    head was read, or a name in BEHAVIOURS. `hits` counts connections for each name.
    """

    def __init__(self, default_cert, address=BAD):
        self.address, self.hosts, self.hits = address, {}, {}
        self.stopping = threading.Event()
        self._default = make_context(default_cert)
        self._default.sni_callback = self._choose
        self._sock = self._thread = None

    def set(self, host, behaviour, cert=None):
        """Says how `host` behaves; "silent" accepts and never speaks, "alert" refuses the name."""
        if isinstance(behaviour, str) and behaviour not in BEHAVIOURS:
            raise LabError(f"no such behaviour: {behaviour}")
        self.hosts[host] = (behaviour, make_context(cert) if cert else None)

    def start(self):
        """Listens in a daemon thread."""
        self._sock = socket.create_server((self.address, 443), backlog=256)
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        return self

    def stop(self):
        """Ends it; connections that hang are let go."""
        self.stopping.set()
        if self._sock:
            wake(self._sock)
            self._thread.join(5)
            self._sock.close()

    def _choose(self, sock, name, _):
        sock.lab_sni = name
        self.hits[name] = self.hits.get(name, 0) + 1
        behaviour, context = self.hosts.get(name, ("404", None))
        if behaviour == "silent":
            self.stopping.wait()
        if behaviour == "alert":
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if context:
            sock.context = context
        return None

    def _loop(self):
        while True:
            try:
                conn, _ = self._sock.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(conn,), daemon=True).start()

    def _one(self, conn):
        conn.settimeout(600)
        try:
            sock = self._default.wrap_socket(conn, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request:
                data = sock.recv(4096)
                if not data:
                    return
                request += data
            behaviour = self.hosts.get(getattr(sock, "lab_sni", None), ("404", None))[0]
            if isinstance(behaviour, str):
                behaviour = BEHAVIOURS[behaviour]
            behaviour(sock, self)
            sock.close()
        except (OSError, ValueError):
            conn.close()


def policy(mode="enforce", mx=("mx.example",), max_age=86400):
    """The text of a policy file."""
    return (f"version: STSv1\r\nmode: {mode}\r\n" + "".join(f"mx: {m}\r\n" for m in mx) +
            f"max_age: {max_age}\r\n")


def respond(status="200 OK", body=policy(mx=["*.example"]), headers=("Content-Type: text/plain",)):
    """A behaviour: this response."""
    data = body.encode() if isinstance(body, str) else body

    def behave(sock, _):
        head = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(data)}"]
        sock.sendall(("\r\n".join(head) + "\r\n\r\n").encode() + data)
    return behave


def _drip(sock, server):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n")
    for char in policy() * 3:
        sock.sendall(char.encode())
        if server.stopping.wait(1.0):
            return


def _endless(sock, server):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\n")
    while not server.stopping.is_set():
        sock.sendall(b"400\r\n" + b"x: y\r\n" * 170 + b"abcd" + b"\r\n")
        time.sleep(0.001)


def _oversize(sock, _):
    body = policy(mx=["*.example"]).encode() + b"x: y\r\n" * 20000
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" +
                 f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def _oversize_unsaid(sock, _):
    body = policy(mx=["*.example"]).encode() + b"x: y\r\n" * 20000
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + body)


def _huge_headers(sock, server):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
    while not server.stopping.is_set():
        sock.sendall(b"X-Padding: " + b"a" * 1000 + b"\r\n")


def _reset(sock, _):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 900\r\n\r\nvers")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang(_, server):
    server.stopping.wait()


def _cut(sock, _):
    text = policy(mx=["*.example"]).encode()
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" +
                 f"Content-Length: {len(text) + 50}\r\n\r\n".encode() + text)


def _redirect(status):
    return respond(status, "", (f"Location: https://mta-sts.redirect-target.example{PATH}",
                                "Content-Type: text/plain"))


BEHAVIOURS = {
    "ok": respond(), "404": respond("404 Not Found"), "500": respond("500 Internal Server Error"),
    "204": respond("204 No Content", ""), "203": respond("203 Non-Authoritative Information"),
    "301": _redirect("301 Moved Permanently"), "302": _redirect("302 Found"),
    "307": _redirect("307 Temporary Redirect"), "308": _redirect("308 Permanent Redirect"),
    "html": respond(headers=("Content-Type: text/html",)), "no-type": respond(headers=()),
    "charset": respond(headers=("Content-Type: text/plain; charset=utf-8",)),
    "garbage": respond(body="<html>hello</html>"), "empty": respond(body=""),
    "drip": _drip, "endless": _endless, "oversize": _oversize, "oversize-unsaid": _oversize_unsaid,
    "huge-headers": _huge_headers, "reset": _reset, "hang": _hang, "cut": _cut, "silent": _hang,
    "alert": _hang,
}
