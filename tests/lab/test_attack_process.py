#!/usr/bin/python3
"""The process, attacked: ten thousand sessions, drained and reloaded at every moment, short of
descriptors, started twice, its control socket abused."""

import os
import resource
import socket
import threading
import time

from lab.actions import Wait
from lab.case import LabCase, main
from lab.client import Client, message, send
from lab.memory import bound, rss
from lab.procs import wait_for
from lab.sternpost import LMTP, SMTP, Sternpost, merge


class Idle(LabCase):
    """Ten thousand idle sessions, and work beside them."""

    COUNT = 10_000
    config = {"listen": [{"protocol": "lmtp", "address": LMTP, "max_sessions": 10_100},
                         {"protocol": "smtp", "address": SMTP}]}

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example", {"tlsa": "3 1 1"})

    def setUp(self):
        self.limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.COUNT + 2000
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, self.limits[1])))
        resource.prlimit(self.sternpost.pid, resource.RLIMIT_NOFILE, (20_000, 20_000))

    def tearDown(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)

    def test_ten_thousand(self):
        """Each is greeted and obeyed; mail passes beside them; SIGTERM tells each of them 421."""
        before = rss(self.sternpost.pid)
        socks = [socket.create_connection(("127.0.0.1", 10024), 60) for _ in range(self.COUNT)]
        try:
            for sock in socks:
                self.assertEqual(sock.recv(100)[:4], b"220 ")
            for sock in socks:
                sock.sendall(b"LH")                       # a client of one octet a minute
            for n in range(5):
                self.reply(self.lmtp(self.d.rcpt, message(f"n{n}")), "250 2.0.0")
            for sock in socks[::100]:
                sock.sendall(b"LO a\r\n")
            for sock in socks[::100]:
                self.assertEqual(sock.recv(1000)[:4], b"250-")
            grown = rss(self.sternpost.pid) - before
            self.assertLess(grown, bound(self.sternpost.pid, self.COUNT << 17))
            self.sternpost.term()
            for sock in socks:
                octets = sock.recv(1000)
                self.assertIn(b"421 4.3.2", octets)
        finally:
            for sock in socks:
                sock.close()
        self.assertEqual(self.sternpost.daemon.wait(), 0)


class Drain(LabCase):
    """SIGTERM at every stage of a transaction."""

    begins = False

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example")
        cls.late = lab.domain("late.example", {"at": {"dot": Wait(6)}})

    def setUp(self):
        self.part = self.lab.sternpost({"server": {"drain": "2s"}})
        self.d.mx.forget()
        self.late.mx.forget()

    def tearDown(self):
        self.part.stop(5)
        self.assertEqual(self.part.sanitizer_findings(), [])
        self.assertIsNone(self.part.chain_error())

    def begun(self, rcpt, data=b"a: b\r\n\r\nx\r\n"):
        """A client in the middle of its data."""
        client = Client(LMTP, lmtp=True)
        for line in ("MAIL FROM:<s@front.lab>", f"RCPT TO:<{rcpt}>", "DATA"):
            client.cmd(line)
        client.write(data)
        return client

    def test_behind_the_dot(self):
        """The MX takes three times server.drain: its answer is waited for and passed on."""
        client = self.begun(self.late.rcpt)
        client.write(b".\r\n")
        wait_for(lambda: self.late.messages, "the dot at the MX")
        self.part.term()
        self.part.term()                                  # a second one changes nothing
        self.assertEqual(client.read().status, "250 2.0.0")
        self.assertEqual(client.read().status, "421 4.3.2")
        self.assertEqual(self.part.daemon.wait(), 0)
        self.assertEqual(self.part.records(event="delivery")[-1]["verdict"], "delivered")
        self.assertEqual(self.part.records()[-1]["event"], "stop")

    def test_before_the_dot_in_time(self):
        """Data that streams goes on and is delivered; the next transaction is not begun."""
        client, second = self.begun(self.d.rcpt), Client(LMTP, lmtp=True)
        second.cmd("MAIL FROM:<s@front.lab>")
        self.part.term()
        wait_for(lambda: "ending" in self.part.log, "the drain")
        client.write(b"more\r\n" * 10000 + b".\r\nMAIL FROM:<s@front.lab>\r\n")
        self.assertEqual(client.read().status, "250 2.0.0")
        self.assertEqual(client.read().status, "421 4.3.2")
        second.write(b"RCPT TO:<u@d.example>\r\nDATA\r\n")
        self.assertEqual([second.read().code for _ in range(2)], [250, 354])
        second.write(b"a: b\r\n\r\nx\r\n.\r\n")
        self.assertEqual(second.read().code, 250)
        self.assertEqual(self.part.daemon.wait(), 0)
        self.assertEqual(len(self.d.messages), 2)

    def test_before_the_dot_too_late(self):
        """A client that does not end is told 421 when server.drain is over."""
        client, dumb = self.begun(self.d.rcpt), Client(SMTP, hello=False)
        dumb.write(b"EHL")
        self.part.term()
        self.assertEqual(client.read().status, "421 4.3.2")
        self.assertEqual(dumb.read().status, "421 4.3.2")
        self.assertEqual(self.part.daemon.wait(), 0)
        self.assertEqual(self.d.messages, [])
        dumb.close()


class Reload(LabCase):
    """SIGHUP, once and in storms, good and wrong, under load."""

    config = {"listen": [{"protocol": "lmtp", "address": LMTP}]}

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example", {"tlsa": "3 1 1"}, sts="enforce")

    def test_storm_under_load(self):
        stop, wrong = threading.Event(), []

        def load():
            while not stop.is_set():
                with Client(LMTP, lmtp=True) as client:
                    for _ in range(5):
                        out = client.transaction("s@front.lab", [self.d.rcpt], message())
                        if not (out.final and out.final[0].ok):
                            wrong.append(str(out))
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        good = open(self.sternpost.config_file, encoding="utf-8").read()
        try:
            for n in range(200):
                text = good if n % 3 else good + "[nonsense]\n"
                with open(self.sternpost.config_file, "w", encoding="utf-8") as file:
                    file.write(text)
                self.sternpost.daemon.signal(1)
                self.sternpost.notifications()            # else sd_notify waits for its reader
                time.sleep(0.01)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
            with open(self.sternpost.config_file, "w", encoding="utf-8") as file:
                file.write(good)
        self.assertEqual(wrong, [])
        self.sternpost.reload()
        self.reply(self.lmtp(self.d.rcpt), "250 2.0.0")

    def test_what_needs_a_restart_is_told_each_time(self):
        """Until it was restarted, not only at the reload that brought the change."""
        changes = {"server": {"threads": 3}, "log": {"format": "json"},
                   "listen": [{"protocol": "lmtp", "address": LMTP},
                              {"protocol": "smtp", "address": "127.0.0.1:10026"}]}
        before = self.sternpost.config
        self.sternpost.configure(changes)
        try:
            for _ in range(2):
                count = len(self.sternpost.records(event="config"))
                self.sternpost.reload()
                text = self.sternpost.wait_records(count + 1, event="config")[-1]["reason"]
                for key in ("server.threads", "log", "listen 127.0.0.1:10026"):
                    self.assertIn(key, text)
        finally:
            self.sternpost.config = before
            self.sternpost.configure()
            count = len(self.sternpost.records(event="config"))
            self.sternpost.reload()
        told = self.sternpost.wait_records(count + 1, event="config")[-1]["reason"]
        self.assertNotIn("restart", told)


class Places(LabCase):
    """Directories, sockets and a second process."""

    begins = False

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example")

    def fails(self, part, status, *patterns):
        """The process ends with that status and says why."""
        got, _, err = part.run("serve")
        self.assertEqual(got, status, err)
        for pattern in patterns:
            self.assertRegex(err, pattern)

    def test_two_processes_on_one_state(self):
        first = self.lab.sternpost({"listen": [{"protocol": "lmtp", "address": LMTP}]})
        second = Sternpost(first.directory + "b", self.lab, merge(first.config, {
            "server": {"control": first.directory + "/b.sock"},
            "listen": [{"protocol": "lmtp", "address": "127.0.0.1:10099"}]}))
        self.fails(second, 69, "another sternpost process")
        third = Sternpost(first.directory + "c", self.lab,
                          {"listen": [{"protocol": "lmtp", "address": LMTP}]})
        os.makedirs(third.path("state"))
        self.fails(third, 69, "127.0.0.1:10024.*in use")
        fourth = Sternpost(first.directory + "d", self.lab, {
            "server": {"control": first.config["server"]["control"]},
            "listen": [{"protocol": "lmtp", "address": "127.0.0.1:10098"}]})
        os.makedirs(fourth.path("state"))
        self.fails(fourth, 69, "another process answers")
        self.reply(self.lmtp(self.d.rcpt), "250 2.0.0")
        self.assertTrue(first.run("config", "check")[0] == 0)
        first.stop()

    def test_stale_sockets(self):
        """kill -9 leaves the files of Unix sockets; the next start replaces them."""
        path = self.lab.path("front.sock")
        part = self.lab.sternpost({"listen": [{"protocol": "lmtp", "address": f"unix:{path}",
                                               "mode": "0600"}]})
        for _ in range(2):
            self.reply(send(path, "a@front.lab", self.d.rcpt, lmtp=True), "250 2.0.0")
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            part.kill()
            self.assertTrue(os.path.exists(path))
            part.start()
        part.stop()
        self.assertFalse(os.path.exists(path))
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        self.fails(part, 69, "no socket")
        self.assertTrue(os.path.exists(path))
        os.remove(path)

    def test_not_writable(self):
        """A directory that cannot be written: the start fails and names the file."""
        part = Sternpost(self.lab.path("ro"), self.lab, {
            "server": {"state_dir": self.lab.path("ro", "none", "at", "all")}})
        self.fails(part, 69, "none/at/all")
        part = Sternpost(self.lab.path("ro2"), self.lab,
                         {"log": {"enforcement": "/proc/none/enforcement.jsonl"}})
        os.makedirs(part.path("state"))
        self.fails(part, 69, "/proc/none")


class Control(LabCase):
    """The control socket, abused."""

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example")

    def connect(self):
        """A connection to the control socket."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        sock.connect(self.sternpost.config["server"]["control"])
        return sock

    def test_nonsense(self):
        for octets in (b"\n", b"{}\n", b"[]\n", b"null\n", b'{"command":1}\n', b"\x00\xff\n",
                       b'{"command":"policy show"}\n', b"[" * 60000 + b"\n",
                       b'{"command":"policy show","domain":"..."}\n',
                       b'{"command":"policy show","domain":7}\n',
                       b'{"command":"policy purge","domain":"d.example","reason":{}}\n',
                       b'{"command":"policy refresh","domain":"nowhere.example"}\n'):
            with self.subTest(octets[:50]):
                sock = self.connect()
                sock.sendall(octets)
                self.assertIn(b'"error"', sock.recv(65536))
                sock.close()

    def test_too_long_and_too_many(self):
        sock = self.connect()
        try:
            sock.sendall(b"x" * 300_000)
            self.assertEqual(sock.recv(100), b"")
        except (BrokenPipeError, ConnectionResetError):
            pass
        socks = [self.connect() for _ in range(100)]
        for one in socks[:64]:
            one.sendall(b'{"command":"status"}\n' * 50)
        for one in socks:
            one.close()
        sock = self.connect()
        sock.sendall(b'{"command":"status"}\n')
        self.assertIn(b'"ready"', sock.recv(65536))
        sock.close()
        self.reply(self.lmtp(self.d.rcpt), "250 2.0.0")

    def test_mode(self):
        mode = os.stat(self.sternpost.config["server"]["control"]).st_mode
        self.assertEqual(mode & 0o077, 0)


class Shortage(LabCase):
    """Descriptors run out while an MX is to be asked: the relay waits, and blames no MX."""

    config = {"outbound": {"idle_keepalive": "0s"}}

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example")

    def test_no_descriptor_for_the_mx(self):
        self.reply(self.lmtp(self.d.rcpt), "250 2.0.0")
        pid = self.sternpost.pid
        clients = [Client(LMTP, lmtp=True) for _ in range(20)]
        for client in clients:
            client.cmd("MAIL FROM:<s@front.lab>")
        used = len(os.listdir(f"/proc/{pid}/fd"))
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, limits[1]))
        clients[0].write(b"RCPT TO:<u@d.example>\r\n")
        time.sleep(1)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        self.assertEqual(clients[0].read().code, 250)
        for client in clients:
            client.close()
        self.reply(self.lmtp(self.d.rcpt), "250 2.0.0")


if __name__ == "__main__":
    main()
