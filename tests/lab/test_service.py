#!/usr/bin/python3
"""The process under pressure and under systemd: passed sockets, limits, lack of descriptors,
many idle sessions, addresses that swallow connections."""

import fcntl
import os
import resource
import signal
import socket
import subprocess
import threading
import time

from lab.actions import Wait
from lab.case import LabCase, main
from lab.client import Client, Lost, message, send
from lab.procs import wait_for
from lab.sternpost import LMTP, SMTP, Sternpost, binary


class Activated(Sternpost):
    """Started as systemd does it: the socket is descriptor 3."""

    def __init__(self, directory, lab, address):
        super().__init__(directory, lab, {"listen": [{"protocol": "lmtp", "address": address}]})
        host, _, port = address.rpartition(":")
        self.socket = socket.create_server((host, int(port)))

    def start(self, timeout=30):
        """As Sternpost.start, through a shell that sets LISTEN_PID and descriptor 3."""
        self.pass_fds = (self.socket.fileno(),)
        shell = (f"exec 3<&{self.socket.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; "
                 f"exec {binary()} serve -c {self.config_file}")
        self.argv = ["bash", "-c", shell]
        return super().start(timeout)


class SocketActivation(LabCase):
    """A socket passed by systemd under the same address is used."""

    begins = False

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")

    def test_passed_socket(self):
        part = Activated(self.lab.path("activated"), self.lab, LMTP)
        waiting = socket.create_connection(("127.0.0.1", 10024), 20)   # before the program runs
        type(self).sternpost = self.lab.add(part)
        self.assertTrue(waiting.recv(100).startswith(b"220 "))
        waiting.close()
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        part.kill()
        queued = socket.create_connection(("127.0.0.1", 10024), 20)    # nobody runs: it waits
        part.start()
        self.assertTrue(queued.recv(100).startswith(b"220 "))
        queued.close()


class WaitsForACommand(LabCase):
    """A `report` command has the state: the daemon waits for it, and for nobody else."""

    begins = False

    def test_wait(self):
        part = Sternpost(self.lab.path("waits"), self.lab,
                         {"listen": [{"protocol": "lmtp", "address": "127.0.0.1:10098"}]})
        os.makedirs(part.path("state"))
        with open(part.path("state", "lock"), "w", encoding="ascii") as lock:
            lock.write("a command, process 7")
            lock.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
            release = threading.Timer(7, lambda: fcntl.flock(lock, fcntl.LOCK_UN))
            release.start()             # past the 5 s that another daemon would have
            part.start()
            release.join()
        told = [x for x in part.log.splitlines() if "which is waited for" in x]
        self.assertEqual(len(told), 1, part.log)
        self.assertIn("a command, process 7", told[0])
        with open(part.path("state", "lock"), encoding="ascii") as lock:
            self.assertEqual(lock.read(), f"serve, process {part.pid}")
        self.assertEqual(part.stop(), 0)
        with open(part.path("state", "lock"), "w", encoding="ascii") as lock:
            lock.write("a command, process 7")
            lock.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen([binary(), "serve", "-c", part.config_file],
                                       stderr=subprocess.PIPE, text=True)
            with process:
                self.assertIn("waited for", process.stderr.readline())
                process.send_signal(signal.SIGTERM)
                self.assertIn("another sternpost process has it", process.stderr.read())
                self.assertIn(process.wait(10), (69, -signal.SIGTERM))


class Limits(LabCase):
    """max_connections_per_mx, max_sessions, and addresses that swallow connections."""

    config = {"outbound": {"max_connections_per_mx": 2, "recipient_wait": "4s",
                           "connect_timeout": "2s"},
              "listen": [{"protocol": "lmtp", "address": LMTP},
                         {"protocol": "smtp", "address": SMTP, "max_sessions": 5}]}

    @classmethod
    def publish(cls, lab):
        cls.busy = lab.domain("busy.example", {"at": {"dot": Wait(6)}})
        cls.hole = lab.domain("hole.example", [{"listen": False, "addresses": ["127.8.8.8"]},
                                               {"preference": 20}])

    def test_connections_to_one_mx(self):
        """The third waits within its budget, then 451 4.4.5; never more than two at the MX."""
        outs = []
        threads = [threading.Thread(target=lambda: outs.append(
            self.lmtp(self.busy.rcpt, timeout=60).reply)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(o.status for o in outs), ["250 2.0.0", "250 2.0.0", "451 4.4.5"])

    def test_sessions(self):
        """Over the limit the relay stops accepting, and goes on when a session ended."""
        clients = [Client(SMTP) for _ in range(5)]
        sixth = socket.create_connection(("127.0.0.1", 10025), 20)
        sixth.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            sixth.recv(100)
        clients.pop().quit()
        sixth.settimeout(20)
        self.assertTrue(sixth.recv(100).startswith(b"220 "))
        sixth.close()
        for client in clients:
            client.close()

    def test_address_that_swallows_connections(self):
        """A full backlog answers no SYN: the next host within the budget."""
        hole = socket.socket()
        hole.bind(("127.8.8.8", 25))
        hole.listen(0)
        fillers = []
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.8.8.8", 25))
            fillers.append(sock)
        try:
            self.delivered(self.hole, self.lmtp(self.hole.rcpt, timeout=60))
        finally:
            for sock in (*fillers, hole):
                sock.close()


class Descriptors(LabCase):
    """File descriptors run out: the relay waits, it neither crashes nor refuses."""

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")

    def test_few_descriptors(self):
        resource.prlimit(self.sternpost.pid, resource.RLIMIT_NOFILE, (100, 100))
        socks = [socket.create_connection(("127.0.0.1", 10024), 20) for _ in range(150)]
        time.sleep(0.5)
        self.assertTrue(self.sternpost.daemon.alive())
        for sock in socks:
            sock.close()

        def works():
            try:
                return send(LMTP, "a@front.lab", self.domain.rcpt, lmtp=True, timeout=20).reply.ok
            except (OSError, Lost, AttributeError):
                return False
        wait_for(works, "the relay to work again", 30, 0.2)


class Idle(LabCase):
    """Thousands of idle sessions, and work beside them."""

    COUNT = 4000

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example", {"tlsa": "3 1 1"})

    def test_idle_sessions(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, self.COUNT + 500), hard))
        count = min(self.COUNT, hard - 500)
        socks = [socket.create_connection(("127.0.0.1", 10024), 30) for _ in range(count)]
        try:
            for sock in socks[:: max(1, count // 50)]:
                self.assertTrue(sock.recv(100).startswith(b"220 "))
            for n in range(5):
                self.reply(self.lmtp(self.domain.rcpt, message(f"n{n}")), "250 2.0.0")
        finally:
            for sock in socks:
                sock.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertTrue(self.sternpost.daemon.alive())


if __name__ == "__main__":
    main()
