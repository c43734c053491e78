"""A client of the [admin] interface: every octet of a request is the test's, every one of an answer
is looked at."""

import base64
import http.client
import json
import socket

ADMIN = ("127.0.0.1", 8470)


class Got:
    """An answer: status, headers by lower-case name, body as text."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.octets = status, headers, body
        self.body = body.decode()

    @property
    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:2000]}"


def connect(address=ADMIN, timeout=30):
    """A connected socket; `address` is (host, port) or the path of a Unix socket."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(address)
        return sock
    return socket.create_connection(address, timeout)


def answer(sock, method="GET"):
    """Reads one answer and the end of the connection behind it; None where there is none."""
    try:
        response = http.client.HTTPResponse(sock, method=method)
        response.begin()
        body = response.read()
        rest = sock.recv(1)
        assert rest == b"", f"more after the answer: {rest}"
        return Got(response.status, {k.lower(): v for k, v in response.getheaders()}, body)
    except (http.client.HTTPException, ConnectionError):
        return None
    finally:
        sock.close()


def raw(octets, address=ADMIN, method="GET"):
    """Sends exactly these octets; the answer."""
    sock = connect(address)
    try:
        sock.sendall(octets)
    except ConnectionError:         # it may answer before it has them all
        pass
    return answer(sock, method)


def get(target, address=ADMIN, method="GET", host="localhost", **headers):
    """An ordinary request; `headers` with _ for -."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw(("\r\n".join(lines) + "\r\n\r\n").encode(), address, method)


def password(token, user="anybody"):
    """The Authorization field that a browser sends."""
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()
