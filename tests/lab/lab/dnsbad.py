"""A scripted name server (ns.broken.lab.) for answers that no proper server gives.

Zones are delegated to it with a line such as `_tcp.mx NS ns.broken.lab.`; a rule says what each
name at or below a suffix gets. Without a rule: SERVFAIL.
"""

import socket
import struct
import threading
import time

from . import dnswire
from .dns import BROKEN
from .procs import wake

RCODES = {"formerr": 1, "servfail": 2, "nxdomain": 3, "notimp": 4, "refused": 5, "nodata": 0}


class BrokenDns:
    """UDP and TCP on its own address. rules: {suffix: action}, the longest suffix wins.

    action: a name of RCODES; "drop": no answer; "garbage"; "truncate": TC over UDP, TCP closes;
    or a number of seconds: SERVFAIL after that time. `queries` lists (name, type) as asked.
    """

    def __init__(self, address=BROKEN):
        self.address, self.rules, self.queries = address, {}, []
        self._udp = self._tcp = None
        self._threads = []

    def start(self):
        """Binds and serves in daemon threads."""
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((self.address, 53))
        self._tcp = socket.create_server((self.address, 53))
        self._threads = [threading.Thread(target=t, daemon=True)
                         for t in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        """Closes both sockets; the address is free afterwards."""
        for sock in (self._udp, self._tcp):
            wake(sock)
        for thread in self._threads:
            thread.join(5)
        for sock in (self._udp, self._tcp):
            sock.close()

    def action(self, name):
        """What `name` gets."""
        labels = name.split(".")
        for i in range(len(labels)):
            if ".".join(labels[i:]) in self.rules:
                return self.rules[".".join(labels[i:])]
        return "servfail"

    def _answer(self, packet, udp):
        """(delay in seconds, octets or None) for one query."""
        name, kind, end = dnswire.read_question(packet)
        self.queries.append((name, kind))
        action = self.action(name)
        if action == "drop":
            return 0, None
        if action == "garbage":
            return 0, packet[:2] + b"\x80\x00" + b"\xff" * 40
        flags = 0x8000 | (struct.unpack_from("!H", packet, 2)[0] & 0x0100)
        if action == "truncate":
            return 0, (packet[:2] + struct.pack("!HHHHH", flags | 0x0200, 1, 0, 0, 0) +
                       packet[12:end]) if udp else None
        delay = float(action) if not isinstance(action, str) else 0
        rcode = 2 if delay else RCODES[action]
        return delay, packet[:2] + struct.pack("!HHHHH", flags | rcode, 1, 0, 0, 0) + packet[12:end]

    def _serve_udp(self):
        while True:
            try:
                packet, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            if not packet:
                return
            try:
                delay, answer = self._answer(packet, True)
            except (ValueError, IndexError):
                continue
            if answer is None:
                continue
            if delay:
                threading.Thread(target=self._later, args=(delay, answer, peer),
                                 daemon=True).start()
            else:
                self._udp.sendto(answer, peer)

    def _later(self, delay, answer, peer):
        time.sleep(delay)
        try:
            self._udp.sendto(answer, peer)
        except OSError:
            pass

    def _serve_tcp(self):
        while True:
            try:
                conn, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._one_tcp, args=(conn,), daemon=True).start()

    def _one_tcp(self, conn):
        with conn:
            conn.settimeout(30)
            try:
                size = struct.unpack("!H", conn.recv(2, socket.MSG_WAITALL))[0]
                delay, answer = self._answer(conn.recv(size, socket.MSG_WAITALL), False)
                time.sleep(delay)
                if answer:
                    conn.sendall(struct.pack("!H", len(answer)) + answer)
            except (OSError, ValueError, IndexError, struct.error):
                pass
