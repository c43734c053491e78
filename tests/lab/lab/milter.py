"""The MTA's side of the milter protocol (version 6), by its octets: no libmilter.

    conn = Milter(address)                      # negotiated
    conn.connect()
    conn.mail("a@front.lab")
    verdict = conn.rcpt("u@x.example", mailer="smtp", host="x.example")
    end = conn.message([("Subject", "hello")])  # header, body, end
"""

import socket
import struct
from dataclasses import dataclass, field

from .client import Lost, Reply

ADDHDRS, CHGBODY, CHGHDRS, QUARANTINE, SETSYMLIST = 0x01, 0x02, 0x10, 0x20, 0x100
ACTIONS = 0x1FF
STEPS = 0x1FFFFF
NO_HELO, NO_BODY, NO_HDRS, NO_EOH, NO_UNKNOWN, NO_DATA = 0x2, 0x10, 0x20, 0x40, 0x100, 0x200


@dataclass
class Verdict:
    """What the filter answered: `word` c, a, r, t, y …; `reply` where it gave its own."""

    word: str
    reply: Reply = None
    changes: list = field(default_factory=list)     # [(letter, octets)]

    @property
    def ok(self):
        """Whether mail goes on."""
        return self.word in "ac"

    @property
    def status(self):
        """"451 4.7.5", or the letter."""
        return self.reply.status if self.reply else self.word

    @property
    def added(self):
        """Fields added: [(name, body)]."""
        return [tuple(x.decode() for x in data.split(b"\0")[:2])
                for word, data in self.changes if word == "h"]

    @property
    def changed(self):
        """Fields changed or taken out: [(index, name, body)]."""
        return [(struct.unpack(">I", data[:4])[0],
                 *(x.decode() for x in data[4:].split(b"\0")[:2]))
                for word, data in self.changes if word == "m"]

    @property
    def quarantine(self):
        """Why the message is to be held, or None."""
        found = [data.rstrip(b"\0").decode() for word, data in self.changes if word == "q"]
        return found[-1] if found else None


class Milter:
    """One connection. `address`: "host:port" or a path."""

    def __init__(self, address, timeout=40, negotiate=True, actions=ACTIONS, steps=STEPS):
        if address.startswith("/"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(address)
        else:
            host, _, port = address.rpartition(":")
            self.sock = socket.create_connection((host, int(port)), timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.actions = self.steps = 0
        self.symbols = {}
        if negotiate:
            self.negotiate(actions, steps)

    def negotiate(self, actions=ACTIONS, steps=STEPS):
        """Offers everything; keeps what the filter asks for."""
        self.send("O", struct.pack(">III", 6, actions, steps))
        word, data = self.read()
        assert word == "O", word
        _, self.actions, self.steps = struct.unpack(">III", data[:12])
        rest = data[12:]
        while len(rest) > 4:
            stage = struct.unpack(">I", rest[:4])[0]
            names, _, rest = rest[4:].partition(b"\0")
            self.symbols[stage] = names.decode()

    # -- packets -------------------------------------------------------------------------------

    def send(self, word, data=b""):
        """One packet."""
        self.sock.sendall(struct.pack(">I", len(data) + 1) + word.encode() + data)

    def _exactly(self, count):
        out = b""
        while len(out) < count:
            got = self.sock.recv(count - len(out))
            if not got:
                raise Lost("the filter closed")
            out += got
        return out

    def read(self):
        """One packet: (letter, octets)."""
        size = struct.unpack(">I", self._exactly(4))[0]
        packet = self._exactly(size)
        return chr(packet[0]), packet[1:]

    def macros(self, stage, **values):
        """Macros for the command that comes next."""
        text = b"".join(f"{k}\0{v}\0".encode() for k, v in values.items() if v is not None)
        self.send("D", stage.encode() + text)

    def verdict(self):
        """Reads up to a final answer."""
        changes = []
        while True:
            word, data = self.read()
            if word in "hmqi":
                changes.append((word, data))
            elif word == "y":
                text = data.rstrip(b"\0").decode().replace("%%", "%")
                return Verdict(word, Reply(int(text[:3]), [text[4:]]), changes)
            elif word != "p":
                return Verdict(word, None, changes)

    # -- a session -----------------------------------------------------------------------------

    def connect(self, host="client.lab", ip="127.0.0.77"):
        """The client that the MTA has."""
        self.macros("C", j="front.lab")
        self.send("C", host.encode() + b"\0" + b"4" + struct.pack(">H", 25) + ip.encode() + b"\0")
        return self.verdict()

    def mail(self, sender="a@front.lab"):
        """MAIL FROM."""
        self.macros("M")
        self.send("M", f"<{sender}>\0".encode())
        return self.verdict()

    def rcpt(self, address, mailer="smtp", host=None, queue_id=None):
        """RCPT TO; `mailer` None: no macros of the routing, as in a played session."""
        values = {"i": queue_id}
        if mailer is not None:
            values.update({"{rcpt_mailer}": mailer, "{rcpt_addr}": address,
                           "{rcpt_host}": host or address.rpartition("@")[2]})
        self.macros("R", **values)
        self.send("R", f"<{address}>\0".encode())
        return self.verdict()

    def header(self, name, body):
        """One field."""
        self.send("L", f"{name}\0{body}\0".encode())
        return self.verdict()

    def end(self, queue_id=None):
        """The end of the message."""
        self.macros("E", i=queue_id)
        self.send("E")
        return self.verdict()

    def message(self, fields=(("Subject", "x"),), queue_id=None):
        """Header and end, as the filter asked for them."""
        for name, body in fields:
            answer = self.header(name, body)
            if not answer.ok:
                return answer
        return self.end(queue_id)

    def begin(self, *rcpts, sender="a@front.lab"):
        """A message up to its recipients; their verdicts."""
        self.mail(sender)
        return [self.rcpt(one) for one in rcpts]

    def abort(self):
        """RSET."""
        self.send("A")

    def close(self):
        """QUIT."""
        try:
            self.send("Q")
        except OSError:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
