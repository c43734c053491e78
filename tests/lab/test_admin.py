#!/usr/bin/python3
"""The [admin] interface: who may ask, what is answered, what a client that misbehaves gets."""

import os
import signal
import threading

from lab import http
from lab.case import LabCase, main
from lab.client import Client, message
from lab.http import get, raw
from lab.procs import wait_for
from lab.sternpost import LMTP, Sternpost

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1aa"


class Loopback(LabCase):
    """At loopback, without a token."""

    config = {"admin": {"listen": "127.0.0.1:8470"}}

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("sts.example", sts="enforce", signing=None)

    def test_health(self):
        alive = get("/healthz")
        self.assertEqual((alive.status, alive.body), (200, "alive\n"))
        ready = get("/readyz")
        self.assertEqual((ready.status, ready.body), (200, "ready\n"))

    def test_api(self):
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        status = get("/api/v1/status")
        self.assertEqual(status.headers["content-type"], "application/json")
        self.assertTrue(status.json["ready"])
        self.assertEqual(status.json["hostname"], "edge.lab")
        self.assertEqual(get("/api/v1/sessions").json["listeners"][0]["protocol"], "lmtp")
        page = get("/api/v1/policies?limit=1").json
        self.assertEqual([p["domain"] for p in page["policies"]], ["sts.example"])
        one = get("/api/v1/policies/sts.example").json
        self.assertEqual((one["mode"], one["mx"]), ("enforce", ["mx1.sts.example"]))
        self.assertIn("version: STSv1", one["policy"])
        self.assertEqual(get("/api/v1/policies/other.example").status, 404)
        names = {f["name"] for f in get("/api/v1/counters").json["families"]}
        self.assertIn("sternpost_deliveries_total", names)

    def test_console(self):
        page = get("/")
        self.assertEqual(page.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn("<h1>edge.lab</h1>", page.body)
        self.assertIn("Relaying.", page.body)
        policy = page.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertNotRegex(page.body, "<script|<style|style=|onclick|//")
        self.assertEqual(get("/console.css").headers["content-type"], "text/css; charset=utf-8")

    def test_no_other_site_reads_it(self):
        """No CORS, and a name that was made to point here (DNS rebinding) is refused."""
        got = get("/api/v1/status", Origin="http://attacker.example")
        self.assertFalse([h for h in got.headers if h.startswith("access-control-")], got)
        self.assertEqual(got.headers["cross-origin-resource-policy"], "same-origin")
        for host in ("attacker.example", "attacker.example:8470", "localhost.attacker.example"):
            got = get("/api/v1/status", host=host)
            self.assertEqual(got.status, 421, host)
            self.assertNotIn("schema", got.body)
        for host in ("127.0.0.1:8470", "[::1]:8470", "edge.lab", "LocalHost"):
            self.assertEqual(get("/api/v1/status", host=host).status, 200, host)

    def test_read_only(self):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"):
            got = get("/api/v1/policies/sts.example", method=method)
            self.assertEqual((got.status, got.headers.get("allow")), (405, "GET, HEAD"), method)
        head = get("/metrics", method="HEAD")
        self.assertEqual((head.status, head.octets), (200, b""))
        self.assertGreater(int(head.headers["content-length"]), 1000)

    def test_what_is_no_good_request(self):
        bad = {
            b"GET / HTTP/1.1\r\n\r\n": 400,                                    # no Host
            b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: attacker\r\n\r\n": 400,
            b"GET http://attacker/ HTTP/1.1\r\nHost: localhost\r\n\r\n": 400,
            b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n": 400,
            b"GET / HTTP/1.1\nHost: localhost\n\n": 400,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n": 400,      # TLS
            b"EHLO front.lab\r\n": 400,
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n": 431,
            b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n": 431,
            b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc": 413,
            b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":
                413,
        }
        for octets, status in bad.items():
            got = raw(octets)
            self.assertIsNotNone(got, octets[:60])
            self.assertEqual(got.status, status, octets[:60])
        self.assertEqual(get("/nothing").status, 404)
        self.assertEqual(raw(b"GET /healthz HTTP/1.0\r\n\r\n").status, 200)

    def test_many_and_slow_clients(self):
        """They are cut, the number is limited, and mail goes on."""
        slow = [http.connect() for _ in range(80)]
        for number, sock in enumerate(slow):
            if number % 2:
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localh")
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        waits = get("/healthz")      # behind all those that wait
        self.assertEqual(waits.status, 200)
        for sock in slow:
            sock.settimeout(60)
            try:
                self.assertEqual(sock.recv(1), b"")
            except ConnectionResetError:        # ended with a part of a request unread
                pass
            sock.close()

    def test_idle_clients_give_way(self):
        """However many say nothing, who asks is answered before their time is over: 64 at a time
        would take them all, 10 s each."""
        idle = [http.connect() for _ in range(400)]
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(get(path).status, 200, path)
        idle[0].settimeout(5)
        self.assertEqual(idle[0].recv(1), b"")          # the oldest gave way
        for sock in idle:
            sock.close()

    def test_at_once(self):
        """Many good clients at the same time, while mail goes through."""
        got = []

        def ask():
            for path in ("/metrics", "/", "/readyz", "/api/v1/policies"):
                got.append(get(path).status)
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        for thread in threads:
            thread.join(60)
        self.assertEqual(got, [200] * 80)


class Token(LabCase):
    """An address that others reach, with a token."""

    begins = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.file = cls.lab.path("admin.token")
        cls.write(TOKEN)
        cls.sternpost = cls.lab.sternpost(
            {"admin": {"listen": "0.0.0.0:8470", "token_file": cls.file}})

    @classmethod
    def write(cls, token, mode=0o640):
        """The token's file."""
        with open(cls.file, "w", encoding="ascii") as file:
            file.write(token + "\n")
        os.chmod(cls.file, mode)

    def test_demanded_everywhere_but_at_healthz(self):
        self.assertEqual(get("/healthz", host="anything").status, 200)
        for path in ("/", "/readyz", "/metrics", "/api/v1/status", "/console.css", "/nothing"):
            got = get(path)
            self.assertEqual(got.status, 401, path)
            self.assertIn("Basic", got.headers["www-authenticate"])
            self.assertNotIn("sternpost_", got.body)
        self.assertEqual(get("/metrics", Authorization="Bearer " + TOKEN[:-1]).status, 401)
        self.assertEqual(get("/metrics", Authorization="Bearer " + TOKEN).status, 200)
        self.assertEqual(get("/", Authorization=http.password(TOKEN)).status, 200)
        got = get("/metrics", host="sternpost.monitoring.svc", Authorization="Bearer " + TOKEN)
        self.assertEqual(got.status, 200)
        words = "a wrong token, or none, from 127.0.0.1:"
        wait_for(lambda: words in self.sternpost.log, "a warning")
        self.assertNotIn(TOKEN, self.sternpost.log)

    def test_reload(self):
        other = TOKEN[::-1]
        self.write(other)
        self.addCleanup(self.write, TOKEN)
        self.assertEqual(get("/metrics", Authorization="Bearer " + TOKEN).status, 200)
        self.sternpost.reload()
        self.assertEqual(get("/metrics", Authorization="Bearer " + TOKEN).status, 401)
        self.assertEqual(get("/metrics", Authorization="Bearer " + other).status, 200)
        self.write("short")             # a wrong one changes nothing, and says so
        self.sternpost.reload()
        got = get("/metrics", Authorization="Bearer " + other)
        self.assertIn("sternpost_config_last_reload_successful 0\n", got.body)
        self.assertIn("at least 16 characters", self.sternpost.log)
        # The address stays until a restart, and so does the token that it needs.
        self.write(other)
        self.sternpost.configure({"admin": {"listen": "127.0.0.1:8471", "token_file": None}})
        self.sternpost.reload()
        self.assertEqual(get("/metrics").status, 401)
        self.assertIn("changes only at a restart: admin.listen", self.sternpost.log)
        self.write(TOKEN)
        self.sternpost.configure({"admin": {"listen": "0.0.0.0:8470", "token_file": self.file}})
        self.sternpost.reload()
        self.assertEqual(get("/metrics", Authorization="Bearer " + TOKEN).status, 200)

    def test_config_check(self):
        """No token: an error at its place; one that everybody can read: a warning."""
        self.write(TOKEN, 0o644)
        self.addCleanup(os.chmod, self.file, 0o640)
        status, _, err = self.sternpost.run("config", "check")
        self.assertEqual(status, 0, err)
        self.assertRegex(err, r":\d+:\d+: warning: .*admin\.token can be read by everybody")
        before = self.sternpost.config
        self.sternpost.configure({"admin": {"token_file": None}})
        self.addCleanup(self.sternpost.configure, before)
        status, _, err = self.sternpost.run("config", "check")
        self.assertEqual(status, 78)
        self.assertRegex(
            err, r":\d+:\d+: error: 0\.0\.0\.0:8470 is not loopback: it needs token_file")


class UnixSocket(LabCase):
    """At a Unix socket, which its mode guards; and the end of the daemon."""

    begins = False

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")

    def test_socket_and_drain(self):
        path = self.lab.path("admin.sock")
        type(self).sternpost = self.lab.sternpost({"admin": {"listen": "unix:" + path}})
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
        self.assertEqual(get("/metrics", path, host="anything").status, 200)
        # An open transaction keeps it from ending: alive, and not ready.
        with Client(LMTP, lmtp=True) as client:
            self.assertTrue(client.cmd("MAIL FROM:<a@front.lab>").ok)
            self.assertTrue(client.cmd(f"RCPT TO:<{self.domain.rcpt}>").ok)
            self.assertEqual(client.cmd("DATA").code, 354)
            self.sternpost.daemon.signal(signal.SIGTERM)
            wait_for(lambda: get("/readyz", path).status == 503, "not to be ready")
            self.assertIn("not ready: it is ending", get("/readyz", path).body)
            self.assertEqual(get("/healthz", path).status, 200)
            self.assertIn("sternpost_ready 0\n", get("/metrics", path).body)
            client.sock.sendall(message("drain") + b"\r\n.\r\n")
            self.assertTrue(client.read().ok)
        self.assertEqual(self.sternpost.daemon.wait(30), 0)
        self.assertFalse(os.path.exists(path))


class Unready(Sternpost):
    """Started when it answers at /healthz: it never tells systemd that it is ready."""

    def notifications(self):
        """As if it did."""
        try:
            return ["READY=1"] if get("/healthz").status == 200 else []
        except OSError:
            return []


class NotReady(LabCase):
    """The resolver does not validate: alive, not ready, and the words say so."""

    begins = False

    def test_not_validating(self):
        anchor = self.lab.path("other.key")
        with open(anchor, "w", encoding="ascii") as file:
            file.write(". IN DS 1 13 2 " + "ab" * 32 + "\n")
        type(self).sternpost = self.lab.add(Unready(self.lab.path("unready"), self.lab, {
            "admin": {"listen": "127.0.0.1:8470"}, "dns": {"trust_anchor_file": anchor}}))
        got = get("/readyz")
        self.assertEqual(got.status, 503)
        self.assertRegex(got.body, "(?m)^not ready: whether the resolver validates: .+$")
        self.assertIn("sternpost_resolver_validating 0\n", get("/metrics").body)
        self.assertIn("Not ready.", get("/").body)


if __name__ == "__main__":
    main()
