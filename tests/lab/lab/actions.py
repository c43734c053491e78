"""What a scripted MX does at a stage, in place of the usual reply.

  "250 text"        that reply (several lines: separated by "\\n")
  b"..."            these octets, as they are
  Drop(), Reset()   the connection is closed, or reset
  Close("421 ..")   that reply, then closed
  Wait(2, action)   after two seconds; without an action the usual reply
  Hang()            no reply at all, until the peer closes or the farm stops
  Drip("250 ok", 1) one octet a second
  Endless("250-x")  that line again and again until the peer gives up
  Each(a, b, …)     the n-th time the n-th action, afterwards the last; None: the usual reply
  a function        of (session, line), returning one of these or None

Stages: greeting, ehlo, tls-ehlo (else ehlo), helo, starttls, handshake (Drop, Reset, Hang, bytes),
mail, rcpt, data, dot, rset, noop, quit; `body` takes BodyDrop(n) or BodyStall(n).
"""

from dataclasses import dataclass


class Drop:
    """Closes the connection."""


class Reset:
    """Resets the connection."""


class Hang:
    """Says nothing until the peer goes."""


@dataclass
class Close:
    """A reply, then the end."""
    text: str


@dataclass
class Wait:
    """An action after some seconds."""
    seconds: float
    then: object = None


@dataclass
class Drip:
    """A reply, octet by octet."""
    text: str
    interval: float = 1.0


@dataclass
class Endless:
    """One line for ever."""
    line: str
    interval: float = 0.0


class Each:
    """A different action at each time; counted per host, over all its connections."""

    def __init__(self, *actions):
        self.actions, self.count = actions, 0

    def next(self):
        """The action of this time."""
        action = self.actions[min(self.count, len(self.actions) - 1)]
        self.count += 1
        return action


@dataclass
class BodyDrop:
    """Closes after that many octets of the message."""
    after: int
    reset: bool = False


@dataclass
class BodyStall:
    """Stops reading after that many octets of the message."""
    after: int
