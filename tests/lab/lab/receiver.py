"""Receivers of reports by HTTPS (RFC 8460 §5.4): one that is scripted, and a real NGINX.

`Receiver` answers each host name's POSTs as it is told and keeps what came; `NginxReceiver` takes
POSTs at any path, answers 201 and keeps the bodies in files.
"""

import os
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field

from .mx import make_context
from .procs import Daemon, LabError, port_open, wait_for, wake

SCRIPTED = "127.0.0.22"
NGINX = "127.0.0.23"
BACKEND = 8480          # where NGINX passes a POST on to, so that it reads and keeps the body


@dataclass
class Post:
    """One request: `fields` maps lower-case header names to lists of values."""

    host: str
    line: str
    fields: dict = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False      # all octets that Content-Length said
    answer: str = ""
    at: float = field(default_factory=time.monotonic)

    @property
    def method(self):
        """POST, where all is well."""
        return self.line.split(" ")[0]

    @property
    def target(self):
        """Path and query."""
        return self.line.split(" ")[1]

    def header(self, name):
        """The values of all fields of that name."""
        return self.fields.get(name.lower(), [])


class Receiver:
    """An HTTPS server on its own address that answers what it is told, name by name.

    `set(host, *actions)`: the n-th request gets the n-th action, all further ones the last:
    a number (that status), "hang" (no answer until the client goes), "close" (it closes after the
    body), "reset" (after the head), "early" (500 before the body was read), ("redirect", URL),
    ("slow", seconds) before a 200, or a text or octets that are sent as they are. `down(host)`: the
    handshake ends with an alert. `posts(host)` are the requests so far.
    """

    def __init__(self, default_cert, address=SCRIPTED):
        self.address, self.hosts, self._posts, self._counts = address, {}, [], {}
        self.hits = {}                  # handshakes for each name
        self.stopping, self._lock = threading.Event(), threading.Lock()
        self._default = make_context(default_cert)
        self._default.sni_callback = self._choose
        self._sock = self._thread = None

    def set(self, host, *actions, cert=None):
        """Says how `host` answers from now on."""
        with self._lock:
            self.hosts[host] = (list(actions) or [200], make_context(cert) if cert else None)
            self._counts[host] = 0

    def down(self, host):
        """Refuses the name in the handshake."""
        self.set(host, "alert")

    def posts(self, host=None):
        """Requests in the order in which they came, for one host or all."""
        with self._lock:
            return [p for p in self._posts if host is None or p.host == host]

    def complete(self, host=None):
        """Requests whose whole body came."""
        return [p for p in self.posts(host) if p.complete]

    def wait_posts(self, host, count=1, timeout=15):
        """Waits for that many answered requests and returns all."""
        wait_for(lambda: len([p for p in self.posts(host) if p.answer]) >= count,
                 f"{count} requests at {host}", timeout)
        return self.posts(host)

    def start(self):
        """Listens in a daemon thread."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self._sock = socket.create_server((self.address, 443), family=family, backlog=256)
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
        actions, context = self.hosts.get(name, ([404], None))
        if actions == ["alert"]:
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
        conn.settimeout(120)
        try:
            with self._default.wrap_socket(conn, server_side=True) as sock:
                self._request(sock)
        except (OSError, ValueError, IndexError):
            conn.close()

    def _request(self, sock):
        text = b""
        while b"\r\n\r\n" not in text:
            data = sock.recv(4096)
            if not data:
                return
            text += data
        head, _, rest = text.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        post = Post(getattr(sock, "lab_sni", None) or "", lines[0])
        for line in lines[1:]:
            name, _, value = line.partition(":")
            post.fields.setdefault(name.strip().lower(), []).append(value.strip())
        with self._lock:
            self._posts.append(post)
            actions = self.hosts.get(post.host, ([404], None))[0]
            count = self._counts.get(post.host, 0)
            self._counts[post.host] = count + 1
        action = actions[min(count, len(actions) - 1)]
        if action == "reset":
            post.answer = "reset"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if action != "early":
            self._body(sock, post, rest)
            self._answer(sock, post, action)
            return
        self._answer(sock, post, 500)
        sock.settimeout(1)                      # else what is unread resets the connection
        while sock.recv(65536):
            pass

    @staticmethod
    def _body(sock, post, rest):
        size = int((post.header("Content-Length") or ["-1"])[0])
        post.body = rest
        while size < 0 or len(post.body) < size:
            data = sock.recv(65536)
            if not data:
                break
            post.body += data
        post.complete = size >= 0 and len(post.body) == size

    def _answer(self, sock, post, action):
        extra = ""
        if isinstance(action, tuple) and action[0] == "slow":
            if self.stopping.wait(action[1]):
                return
            action = 200
        if isinstance(action, tuple) and action[0] == "redirect":
            extra, action = f"Location: {action[1]}\r\n", 307
        if action == "hang":
            post.answer = "hang"
            while sock.recv(4096):
                pass
        elif action == "close":
            post.answer = "close"
        elif isinstance(action, (str, bytes)):
            post.answer = "raw"
            sock.sendall(action.encode() if isinstance(action, str) else action)
        else:
            post.answer = str(action)           # told before the octets leave
            body = "" if action == 204 else "lab\r\n"
            sock.sendall(f"HTTP/1.1 {action} Lab\r\n{extra}Content-Type: text/plain\r\n"
                         f"Content-Length: {len(body)}\r\n\r\n{body}".encode())


class NginxReceiver:
    """A real server: each POST body in a file of its own, 201 as the answer.

    `status`: what it answers; `kept()` lists (content type, octets) of the requests it answered.
    """

    def __init__(self, directory, names, cert, address=NGINX, status=201):
        self.directory, self.names, self.cert = directory, list(names), cert
        self.address, self.status, self.daemon = address, status, None

    def path(self, *names):
        """A file of this part."""
        return os.path.join(self.directory, *names)

    def start(self):
        """Starts it."""
        os.makedirs(self.path("bodies"))
        with open(self.path("nginx.conf"), "w", encoding="utf-8") as file:
            file.write(self._conf())
        self.daemon = Daemon("nginx receiver", ["nginx", "-c", self.path("nginx.conf"), "-e",
                                                self.path("error.log")], self.path("nginx.log"))
        self.daemon.start(lambda: port_open(self.address, 443) and
                          port_open(self.address, BACKEND))
        return self

    def stop(self):
        """Ends it."""
        if self.daemon:
            self.daemon.stop()

    def log(self):
        """Lines of its log: (status, content type, content encoding, body file, request)."""
        try:
            with open(self.path("access.log"), encoding="utf-8") as file:
                return [tuple(x.rstrip("\n").split("|", 4)) for x in file]
        except FileNotFoundError:
            return []

    def kept(self):
        """(content type, octets) of every answered request."""
        out = []
        for status, kind, encoding, name, request in self.log():
            if encoding != "-" or not request.startswith("POST "):
                raise LabError(f"not a plain POST: {request}, Content-Encoding {encoding}")
            if status == str(self.status):
                with open(name, "rb") as file:
                    out.append((kind, file.read()))
        return out

    def wait_kept(self, count=1, timeout=15):
        """Waits for that many and returns them."""
        wait_for(lambda: len(self.kept()) >= count, f"{count} POSTs at nginx", timeout)
        return self.kept()

    def _conf(self):
        return f"""daemon off;
user root;
worker_processes 1;
pid {self.path("nginx.pid")};
error_log {self.path("error.log")};
events {{ worker_connections 512; }}
http {{
  log_format lab '$status|$content_type|$http_content_encoding|$request_body_file|$request';
  access_log off;
  client_body_temp_path {self.path("bodies")}; proxy_temp_path {self.path("t2")};
  fastcgi_temp_path {self.path("t3")}; uwsgi_temp_path {self.path("t4")};
  scgi_temp_path {self.path("t5")};
  client_max_body_size 20m;
  server {{ listen {self.address}:{BACKEND}; location / {{ return {self.status}; }} }}
  server {{
    listen {self.address}:443 ssl;
    server_name {" ".join(self.names)};
    ssl_certificate {self.cert.pem};
    ssl_certificate_key {self.cert.key};
    access_log {self.path("access.log")} lab;
    location / {{
      client_body_in_file_only on;
      limit_except POST {{ deny all; }}
      proxy_pass http://{self.address}:{BACKEND};
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }}
  }}
}}
"""
