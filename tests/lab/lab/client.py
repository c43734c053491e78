"""A plain SMTP and LMTP client that tells every reply, for the side of the MTA.

`send()` is one whole transaction; `Client` gives each step, so that a test can stop anywhere.
"""

import re
import socket
import ssl
from dataclasses import dataclass, field


class Lost(Exception):
    """The server closed, reset or said nothing in time."""


@dataclass
class Reply:
    """One reply: `code` 250, `enhanced` "2.1.5" or "", `lines` without code."""

    code: int
    lines: list

    @property
    def enhanced(self):
        """The enhanced status code, or ""."""
        found = re.match(r"([245]\.\d{1,3}\.\d{1,3})( |$)", self.lines[0])
        return found[1] if found else ""

    @property
    def text(self):
        """All lines, joined by a space."""
        return " ".join(self.lines)

    @property
    def ok(self):
        """Whether it is 2yz."""
        return 200 <= self.code < 300

    @property
    def status(self):
        """"451 4.7.5": what tests compare."""
        return f"{self.code} {self.enhanced}".strip()

    @property
    def id(self):
        """The relay's transaction ID at its end, " [ID]"; "" where there is none."""
        found = re.search(r" \[([^\[\] ]+)\]$", self.lines[-1])
        return found[1] if found else ""

    def __str__(self):
        return f"{self.code} {self.text}"


@dataclass
class Outcome:
    """Replies of one transaction; `final`: one for the message (SMTP) or each accepted (LMTP)."""

    mail: Reply = None
    rcpts: list = field(default_factory=list)
    data: Reply = None
    final: list = field(default_factory=list)
    lost: str = ""

    def of(self, index):
        """What the recipient of that index got in the end: the RCPT's, DATA's or final reply."""
        if self.lost and not self.final and (index >= len(self.rcpts) or self.rcpts[index].ok):
            return None
        if not self.mail.ok:
            return self.mail
        if not self.rcpts[index].ok:
            return self.rcpts[index]
        if self.data is None or self.data.code != 354:
            return self.data
        if len(self.final) <= 1:
            return self.final[0] if self.final else None
        return self.final[sum(1 for r in self.rcpts[:index] if r.ok)]

    @property
    def reply(self):
        """What the first recipient got in the end."""
        return self.of(0)


class Client:
    """A connection. `address` is "host:port", "[v6]:port" or a path of a Unix socket."""

    def __init__(self, address, lmtp=False, helo="front.lab", timeout=60, hello=True, source=None):
        self.lmtp, self.helo = lmtp, helo
        self.sock = self._connect(address, timeout, source)
        self.buffer = b""
        self.keywords = {}
        self.greeting = self.read()
        if hello:
            self.hello()

    @staticmethod
    def _connect(address, timeout, source):
        if address.startswith("/"):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(timeout)
            sock.connect(address)
            return sock
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout,
                                        source_address=(source, 0) if source else None)

    def hello(self):
        """EHLO or LHLO; fills `keywords` {KEYWORD: parameters}."""
        reply = self.cmd(f"{'LHLO' if self.lmtp else 'EHLO'} {self.helo}")
        self.keywords = {x.split(" ")[0].upper(): x.partition(" ")[2] for x in reply.lines[1:]}
        return reply

    def starttls(self, context=None):
        """STARTTLS and EHLO again; without a context nothing is verified."""
        reply = self.cmd("STARTTLS")
        if reply.ok:
            if context is None:
                context = ssl._create_unverified_context()
            self.sock = context.wrap_socket(self.sock)
            self.hello()
        return reply

    def write(self, data):
        """Octets as they are."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Lost(str(error)) from None

    def line(self):
        """One line without its CRLF."""
        while b"\n" not in self.buffer:
            try:
                data = self.sock.recv(65536)
            except OSError as error:
                raise Lost(str(error) or "time-out") from None
            if not data:
                raise Lost("closed")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def read(self):
        """The next reply."""
        lines = []
        while True:
            line = self.line()
            lines.append(line[4:])
            if line[3:4] != "-":
                return Reply(int(line[:3]), lines)

    def cmd(self, line):
        """A command and its reply."""
        self.write(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.read()

    def transaction(self, sender, rcpts, data, params="", pipeline=True, rcpt_params=""):
        """MAIL to the final replies; stops where a refusal makes it senseless."""
        out = Outcome()
        commands = [f"MAIL FROM:<{sender}>{params and ' ' + params}"]
        commands += [f"RCPT TO:<{r}>{rcpt_params and ' ' + rcpt_params}" for r in rcpts]
        try:
            if pipeline:
                self.write("".join(c + "\r\n" for c in commands).encode("utf-8"))
            replies = []
            for command in commands:
                replies.append(self.read() if pipeline else self.cmd(command))
                out.mail, out.rcpts = replies[0], replies[1:]
            if not out.mail.ok or not any(r.ok for r in out.rcpts):
                self.cmd("RSET")
                return out
            out.data = self.cmd("DATA")
            if out.data.code == 354:
                self.write(stuff(data) + b".\r\n")
                count = sum(1 for r in out.rcpts if r.ok) if self.lmtp else 1
                for _ in range(count):
                    out.final.append(self.read())
        except Lost as error:
            out.lost = str(error)
        return out

    def quit(self):
        """QUIT and the end."""
        try:
            self.cmd("QUIT")
        except Lost:
            pass
        self.close()

    def close(self):
        """The end, without QUIT."""
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stuff(data):
    """Dot-stuffed, ending in CRLF; other octets untouched."""
    if data.startswith(b"."):
        data = b"." + data
    data = data.replace(b"\r\n.", b"\r\n..")
    return data if data.endswith(b"\r\n") or not data else data + b"\r\n"


def message(subject="test", body=b"Hello\r\n", size=0, sender="a@front.lab", rcpt="b@x.example",
            fields=()):
    """A small message; `size` pads the body to about that many octets; `fields`: in front."""
    front = "".join(f"{name}: {value}\r\n" for name, value in fields)
    head = (f"{front}From: <{sender}>\r\nTo: <{rcpt}>\r\nSubject: {subject}\r\n"
            "Date: Mon, 01 Jun 2026 10:00:00 +0000\r\nMessage-ID: <1@front.lab>\r\n\r\n").encode()
    line = b"0123456789" * 7 + b"abcdef\r\n"
    missing = max(0, size - len(head) - len(body))
    return head + body + line * (missing // len(line))


def send(address, sender, rcpts, data=None, lmtp=False, **options):
    """One connection, one transaction, QUIT; the Outcome. Options go to Client.transaction."""
    rcpts = [rcpts] if isinstance(rcpts, str) else list(rcpts)
    client_options = {k: options.pop(k) for k in ("helo", "timeout", "source") if k in options}
    client = Client(address, lmtp, **client_options)
    try:
        out = client.transaction(sender, rcpts, message() if data is None else data, **options)
        if not out.lost:
            client.quit()
        return out
    finally:
        client.close()
