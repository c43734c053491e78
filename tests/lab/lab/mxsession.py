"""One connection of a scripted MX: the SMTP dialog, its actions, its record. Used by mx.py."""

import hashlib
import re
import socket
import ssl
import struct
import threading
import time

from .actions import (BodyDrop, Close, Drip, Drop, Each, Endless, Hang, Reset, Wait)

DOT = b"\r\n.\r\n"


class Ended(Exception):
    """The dialog is over, whoever ended it."""


class Message:
    """One transaction's data: `data` without dot-stuffing, `wire` as it came (before the dot)."""

    def __init__(self, session, mail, rcpts):
        self.session, self.mail, self.rcpts = session, mail, list(rcpts)
        self.wire, self.complete, self.accepted, self.reply = b"", False, False, ""
        self.tls = session.tls_version

    @property
    def data(self):
        """The message as it was meant."""
        return re.sub(rb"(^|\r\n)\.", rb"\1", self.wire)

    @property
    def sha256(self):
        """Hex digest of `data`."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def body(self):
        """What follows the first empty line."""
        return self.data.partition(b"\r\n\r\n")[2]

    def header(self, name):
        """Values of all fields of that name, unfolded."""
        head = re.sub(rb"\r\n(?=[ \t])", b"", self.data.partition(b"\r\n\r\n")[0])
        found = [line.partition(b":") for line in head.split(b"\r\n")]
        return [v.strip().decode("utf-8", "replace") for n, _, v in found
                if n.strip().lower() == name.lower().encode()]

    def without_received(self):
        """`data` without the topmost Received field, which the relay adds."""
        found = re.match(rb"Received:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", self.data, re.I)
        return self.data[found.end():] if found else self.data


class Session:
    """The dialog with one client. Read by tests: commands, messages, tls_version, sni, resumed."""

    def __init__(self, farm, mx, sock, peer):
        self.farm, self.mx, self.sock, self.peer = farm, mx, sock, peer
        self.local = sock.getsockname()[0]
        self.commands, self.messages = [], []
        self.tls_version = self.cipher = self.sni = None
        self.resumed, self.handshake_error, self.plain_rest = None, None, b""
        self.closed = threading.Event()
        self.helo = None
        self._buffer, self._pending = bytearray(), None
        self._mail, self._rcpts = None, []
        self.began = time.monotonic()
        mx.sessions.append(self)

    # -- input and output ----------------------------------------------------------------------

    def cut(self):
        """Ends it from another thread."""
        try:
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        except OSError:
            pass

    def send(self, data):
        """Octets to the client."""
        try:
            self.sock.sendall(data)
        except (OSError, ValueError) as error:
            raise Ended(str(error)) from None

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except (OSError, ValueError) as error:
            raise Ended(str(error)) from None
        if not data:
            raise Ended("client closed")
        self._buffer += data

    def line(self):
        """The next line without its CRLF."""
        while b"\n" not in self._buffer:
            self._more()
        end = self._buffer.index(b"\n")
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[:end + 1]
        return line.decode("utf-8", "surrogateescape")

    def _wait(self, seconds):
        if self.farm.stopping.wait(seconds):
            raise Ended("stopping")

    def _hang(self):
        while True:
            self._more()
            self._buffer.clear()

    def _close(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Ended("scripted close")

    def _reply(self, text):
        code = text.split("\n")[-1][:3]
        if self._pending:            # told before the octets leave: a test may look at once
            self._pending.accepted, self._pending.reply = code[0] == "2", text
        self.send("".join(x + "\r\n" for x in text.split("\n")).encode("utf-8", "surrogateescape"))
        return code

    def act(self, action, usual, line=""):
        """Carries out an action; returns the reply's code, or None when octets were sent raw."""
        while isinstance(action, Each) or callable(action):
            action = action.next() if isinstance(action, Each) else action(self, line)
        if action is None:
            action = usual
        if isinstance(action, str):
            return self._reply(action)
        if isinstance(action, bytes):
            self.send(action)
            return None
        if isinstance(action, (Drop, Reset)):
            self._close(isinstance(action, Reset))
        if isinstance(action, Hang):
            self._hang()
        if isinstance(action, Close):
            self._reply(action.text)
            self._close()
        if isinstance(action, Wait):
            self._wait(action.seconds)
            return self.act(action.then, usual, line)
        if isinstance(action, Drip):
            for char in action.text + "\r\n":
                self.send(char.encode())
                self._wait(action.interval)
            return action.text[:3]
        if isinstance(action, Endless):
            while True:
                self.send(action.line.encode() + b"\r\n")
                self._wait(action.interval)
        raise ValueError(f"no such action: {action!r}")

    def stage(self, name, usual, line=""):
        """The action of a stage, or the usual reply."""
        return self.act(self.mx.at.get(name), usual, line)

    # -- the dialog ----------------------------------------------------------------------------

    def run(self):
        """Until somebody ends it."""
        try:
            code = self.stage("greeting", f"220 {self.mx.name} ESMTP lab")
            while True:
                line = self.line()
                self.commands.append(line)
                verb = line.split(" ")[0].split(":")[0].upper()
                handler = getattr(self, "_on_" + verb.lower(), None)
                if handler is None or code == "554" and verb != "QUIT":
                    self.act(None, "500 5.5.2 what?" if code != "554" else "503 5.5.1 no service")
                else:
                    handler(line)
        except Ended:
            pass
        finally:
            self.closed.set()
            try:
                self.sock.close()
            except OSError:
                pass

    def _on_ehlo(self, line):
        self._mail, self._rcpts, self.helo = None, [], line[5:]
        words = [f"{self.mx.name} greets you", *self.mx.keywords]
        if self.mx.starttls and not self.tls_version:
            words.append("STARTTLS")
        text = "\n".join("250" + ("-" if i < len(words) - 1 else " ") + w
                         for i, w in enumerate(words))
        inside = self.tls_version and "tls-ehlo" in self.mx.at
        self.stage("tls-ehlo" if inside else "ehlo", text, line)

    def _on_helo(self, line):
        self._mail, self._rcpts, self.helo = None, [], line[5:]
        self.stage("helo", f"250 {self.mx.name}", line)

    def _on_starttls(self, line):
        code = self.stage("starttls", "220 2.0.0 go ahead", line)
        if code is not None and code != "220":
            return
        self.plain_rest, self._buffer = bytes(self._buffer), bytearray()
        action = self.mx.at.get("handshake")
        if action is not None:
            if isinstance(action, bytes):
                self.send(action)
                raise Ended("garbage sent")
            self.act(action, "")
        self.sock.settimeout(60)
        try:
            self.sock = self.mx.context().wrap_socket(self.sock, server_side=True,
                                                      do_handshake_on_connect=False)
            self.sock.do_handshake()
        except (OSError, ssl.SSLError) as error:
            self.handshake_error = str(error)
            raise Ended("handshake") from None
        self.sock.settimeout(None)
        self.tls_version, self.cipher = self.sock.version(), self.sock.cipher()[0]
        self.sni, self.resumed = getattr(self.sock, "lab_sni", None), self.sock.session_reused
        self._mail, self._rcpts = None, []

    def _on_mail(self, line):
        code = self.stage("mail", "250 2.1.0 Ok", line)
        if code and code[0] == "2":
            self._mail, self._rcpts = line, []

    def _on_rcpt(self, line):
        found = re.match(r"RCPT TO:<([^>]*)>", line, re.I)
        rcpt = found[1] if found else line
        action = self.mx.rcpt.get(rcpt.lower(), self.mx.at.get("rcpt"))
        usual = "250 2.1.5 Ok" if self._mail else "503 5.5.1 MAIL first"
        code = self.act(action, usual, line)
        if code and code[0] == "2":
            self._rcpts.append(rcpt)

    def _on_data(self, line):
        usual = "354 go on" if self._rcpts else "554 5.5.1 no valid recipients"
        if self.stage("data", usual, line) != "354":
            return
        message = Message(self, self._mail, self._rcpts)
        self.messages.append(message)
        self.mx.messages.append(message)
        self._read_body(message)
        queued = f"250 2.0.0 Ok: queued as {self.mx.next_id()}"
        self._pending = message
        try:
            self.stage("dot", queued, line)
        finally:
            self._pending = None
        self._mail, self._rcpts = None, []

    def _read_body(self, message):
        limit = self.mx.at.get("body")
        after = getattr(limit, "after", None)
        seen = 0
        self._buffer[:0] = b"\r\n"                     # so that a dot at once is found as well
        try:
            while True:
                end = self._buffer.find(DOT, max(0, seen - 4))
                if end >= 0:
                    break
                seen = len(self._buffer)
                if after is not None and seen - 2 >= after:
                    if isinstance(limit, BodyDrop):
                        self._close(limit.reset)
                    while not self.farm.stopping.wait(0.2) and self._peer_there():
                        pass
                    raise Ended("stalled")
                self._more()
        except Ended:
            message.wire = bytes(self._buffer[2:])
            raise
        message.wire = bytes(self._buffer[2:end + 2])
        message.complete = True
        del self._buffer[:end + len(DOT)]

    def _peer_there(self):
        """Whether the peer still holds the connection, without reading from it."""
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return info[0] == 1                            # TCP_ESTABLISHED

    def _on_rset(self, line):
        self._mail, self._rcpts = None, []
        self.stage("rset", "250 2.0.0 Ok", line)

    def _on_noop(self, line):
        self.stage("noop", "250 2.0.0 Ok", line)

    def _on_quit(self, line):
        self.stage("quit", "221 2.0.0 Bye", line)
        self._close()
