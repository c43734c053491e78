#!/usr/bin/python3
"""A private mail internet with real servers, a dozen domains, and what Sternpost makes of each.

Prints what was published, what happened, the reply and the reason: only what the replies, the
enforcement log and the MX hosts show. Exits 1 when an outcome is not the expected one.

usage: demo.py [DIRECTORY]     new or empty: logs and configuration stay there; default: in /tmp
"""

import os
import re
import sys
import tempfile
import textwrap
import time

from lab import netns
from lab.client import message, send
from lab.exim import EximMx
from lab.postfix import PostfixFront, PostfixMx
from lab.procs import LabError, wait_for
from lab.sternpost import LMTP, toml
from lab.world import Lab

WIDTH = 100
WRONG = "3 1 1 " + "00" * 32
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(text, number):
    """Coloured on a terminal."""
    return f"\033[{number}m{text}\033[0m" if COLOUR else text


def field(name, text):
    """One labelled paragraph below a scene."""
    print(textwrap.fill(text, WIDTH, initial_indent=f"     {name:<11}",
                        subsequent_indent=" " * 16, break_on_hyphens=False))


def rule(title):
    """A heading."""
    print("\n" + paint(f"── {title} " + "─" * (WIDTH - 4 - len(title)), "1"))


class Scene:
    """One domain: what it shows, what is expected of the reply, the MX and the log."""

    def __init__(self, title, domain, status, verdict, tls=None, mx=None, words=()):
        self.title, self.domain, self.status, self.verdict = title, domain, status, verdict
        self.tls, self.mx, self.words = tls, mx, words


class Demo:
    """The lab, its scenes and how they went."""

    def __init__(self, directory):
        self.lab = Lab(keep=directory)
        self.wrong, self.number, self.sternpost = [], 0, None
        self.postfix = self.exim = None

    def publish(self):
        """The domains, and the scenes they play in."""
        lab, add = self.lab, self.lab.domain
        cert = lab.cert("stranger", "mx.dane-good.example")
        self.postfix = PostfixMx(lab.path("postfix-mx"), "mx.dane-good.example", ["127.0.0.30"],
                                 cert)
        dane = add("dane-good.example", {"name": "mx.dane-good.example", "cert": cert,
                                         "addresses": ["127.0.0.30"], "listen": False,
                                         "tlsa": "3 1 1"})
        cert = lab.cert("good", "mx.sts-good.example")
        self.exim = EximMx(lab.path("exim-mx"), "mx.sts-good.example", "127.0.0.40", cert)
        sts = add("sts-good.example", {"name": "mx.sts-good.example", "cert": cert,
                                       "addresses": ["127.0.0.40"], "listen": False},
                  sts="enforce", signing=None)
        plain = {"signing": None}
        self.several = [dane, add("dane-mismatch.example", {"tlsa": WRONG}),
                        add("nothing.example", {"cert": "self"}, **plain),
                        add("null-mx.example", [], extra=["@ MX 0 ."], **plain)]
        self.mended = add("mended.example", {"tlsa": WRONG}, ttl=1)
        return [
            Scene("DANE, and the MX is the one published (a real Postfix)", dane, "250 2.0.0",
                  "delivered", tls="dane-ee", mx=self.postfix),
            Scene("DANE, but the MX shows another certificate, from a trusted CA", self.several[1],
                  "451 4.7.5", "deferred", words=["TLSA|DANE"]),
            Scene("DNSSEC signatures of the domain are forged", add(
                "dane-bogus.example", {"tlsa": "3 1 1"}, signing="bogus"), "451 4.7.5", "deferred"),
            Scene("MTA-STS in enforce, all in order (a real Exim)", sts, "250", "delivered",
                  tls="pkix", mx=self.exim),
            Scene("MTA-STS in enforce, the MX's certificate has expired", add(
                "sts-expired.example", {"cert": "expired"}, sts="enforce", **plain), "451 4.7.5",
                "deferred", words=["expired"]),
            Scene("MTA-STS in enforce, the MX is not in the policy", add(
                "sts-unlisted.example", sts={"mx": ["mail.sts-unlisted.example"]}, **plain),
                "451 4.7.5", "deferred", words=[r"mx1\.sts-unlisted\.example"]),
            Scene("MTA-STS in testing, the certificate has expired: delivered, and noted", add(
                "sts-testing.example", {"cert": "expired"}, sts="testing", **plain), "250 2.0.0",
                "delivered", tls="none"),
            Scene("STARTTLS stripped by somebody on the way, and a policy forbids it", add(
                "stripped-policy.example", {"starttls": False}, sts="enforce", **plain),
                "451 4.7.4", "deferred", words=["STARTTLS"]),
            Scene("STARTTLS stripped, and nothing is published that forbids it", add(
                "stripped-plain.example", {"starttls": False}, **plain), "250 2.0.0", "delivered",
                tls="cleartext"),
            Scene("a spoofed MX: forged DNS points to a host with a perfect certificate and DANE "
                  "of its own", add("spoofed.example", {"name": "mx.attacker.example",
                                                        "tlsa": "3 1 1"},
                                    sts={"mx": ["mx1.spoofed.example"]}, **plain), "451 4.7.5",
                  "deferred", words=[r"mx\.attacker\.example"]),
            Scene("nothing published: encrypted when offered, whoever answers", self.several[2],
                  "250 2.0.0", "delivered", tls="none"),
            Scene("null MX: the domain takes no mail", self.several[3], "556 5.1.10", "rejected"),
        ]

    def run(self):
        """All of it; the exit status."""
        begin = time.monotonic()
        scenes = self.publish()
        self.lab.start()
        for part in (self.postfix, self.exim):
            self.lab.add(part)
        self.sternpost = self.lab.sternpost({"log": {"level": "info"},
                                             "tls_rpt": {"directory": self.lab.path("reports")}})
        self.show_configuration()
        rule("One message to each domain, handed in over LMTP")
        for scene in scenes:
            self.play(scene)
        self.play_several()
        self.play_queue()
        self.show_log()
        self.show_reports()
        self.show_places()
        count = self.number
        status = self.sternpost.stop()
        if status:
            self.wrong.append(f"sternpost ended with {status}")
        print(f"\n{count - len(self.wrong)} of {count} as expected, "
              f"{time.monotonic() - begin:.1f} s")
        for text in self.wrong:
            print(paint(f"NOT AS EXPECTED: {text}", "31"))
        return 1 if self.wrong else 0

    def show_configuration(self):
        """The keys that are set."""
        rule("The configuration: keys that differ from their defaults")
        for line in toml(self.sternpost.config).strip().splitlines():
            if line != 'level = "info"':     # the default; the lab's own is another
                print(f"     {line}" if line else "")

    # -- scenes --------------------------------------------------------------------------------

    def head(self, title, domains, errors):
        """The first line of a scene; what went wrong is kept for the end."""
        self.number += 1
        mark = paint("as expected", "32") if not errors else paint("NOT AS EXPECTED", "31")
        print(f"\n{self.number:3}  {paint(domains, '1')}   {mark}")
        field("scene", title)
        if errors:
            self.wrong.append(f"{domains}: " + "; ".join(errors))

    def published(self, domain):
        """What the domain's zone and policy host say, in one line."""
        how = {None: "unsigned zone", "bogus": "signed zone, signatures corrupt"}.get(
            domain.options["signing"], "signed zone")
        parts = [how]
        for record in domain.records:
            owner, kind, *rest = record.split(" ")
            if kind == "MX":
                parts.append("MX " + " ".join(rest))
            elif kind == "TLSA":
                parts.append("TLSA " + " ".join(rest[:3]) + f" {rest[3][:8]}…")
        if any(r.startswith("_mta-sts") for r in domain.records):
            policy = re.findall(r"^(mode|mx): (\S+)", domain.policy_text, re.M)
            parts.append("MTA-STS " + ", ".join(f"{k}: {v}" for k, v in policy))
        foreign = [n for n in domain.names if not n.endswith(domain.name)]
        parts += [f"TLSA at {n} matches" for n in foreign]
        return "; ".join(parts)

    def at_mx(self, scene, before, data):
        """(text, errors): what lies at the MX now."""
        if scene.mx:
            try:
                got = scene.mx.wait_delivered(before + 1)[-1]
            except LabError as error:
                return "nothing", [str(error)]
            same = got.replace(b"\r\n", b"\n").endswith(data.replace(b"\r\n", b"\n"))
            text = f"1 message in the mailbox of {scene.mx.name}"
            return text + (", octets as sent" if same else ", CHANGED"), [] if same else ["changed"]
        got = scene.domain.messages
        want = scene.verdict == "delivered"
        errors = [] if len(got) == want else [f"{len(got)} messages at the MX"]
        if not got:
            count = sum(len(h.sessions) for h in scene.domain.hosts)
            return f"no message; {count} connection{'' if count == 1 else 's'}", errors
        same = got[-1].without_received() == data
        how = got[-1].tls or "in cleartext"
        text = f"{len(got)} message, {how}, octets as sent" if same else "CHANGED"
        return text, errors + ([] if same else ["changed"])

    def play(self, scene):
        """One message to one domain."""
        domain, data = scene.domain, message(scene.title[:40], rcpt=scene.domain.rcpt)
        before = len(scene.mx.delivered()) if scene.mx else 0
        reply = send(LMTP, "alice@front.lab", domain.rcpt, data, lmtp=True).reply
        errors = [] if reply.status.startswith(scene.status) else [f"reply {reply.status}"]
        errors += [f"no {w} in the reply" for w in scene.words
                   if not re.search(w, reply.text, re.I)]
        record = self.sternpost.wait_records(domain=domain.name, event="delivery")[-1]
        if record["verdict"] != scene.verdict:
            errors.append(f"verdict {record['verdict']}")
        seen = "cleartext" if record["protection"] == "cleartext" else record["peer_auth"]
        if scene.tls and seen != scene.tls:
            errors.append(f"log says {seen}, not {scene.tls}")
        text, more = self.at_mx(scene, before, data)
        self.head(scene.title, domain.name, errors + more)
        field("published", self.published(domain))
        field("at the MX", text)
        field("reply", str(reply))
        field("log", self.summary(record))

    @staticmethod
    def summary(record):
        """A delivery record in words."""
        parts = [record["verdict"]]
        for key in ("requirement", "policy_type", "policy_mode"):
            if record[key]:
                parts.append(f"{key.replace('_type', '').replace('_', ' ')} {record[key]}")
        if record["tls_version"]:
            parts.append(f"{record['tls_version']}, peer {record['peer_auth']}")
        if record["protection"]:
            parts.append(f"protection {record['protection']}")
        if record["reason"]:
            parts.append(f"reason: {record['reason']}")
        return "; ".join(str(p) for p in parts)

    def play_several(self):
        """One LMTP message to recipients in several domains."""
        rcpts = [f"several@{d.name}" for d in self.several]
        out = send(LMTP, "alice@front.lab", rcpts, message("several domains"), lmtp=True)
        want = ["250 2.0.0", "451 4.7.5", "250 2.0.0", "556 5.1.10"]
        errors = [f"{r}: {out.of(n)}" for n, r in enumerate(rcpts) if out.of(n).status != want[n]]
        self.head("one LMTP message, a reply for each recipient", "several domains", errors)
        for n, rcpt in enumerate(rcpts):
            field("reply" if n == 0 else "", f"{rcpt}: {out.of(n)}")

    def play_queue(self):
        """A real Postfix in front keeps the message until the MX is mended."""
        lab, domain, errors = self.lab, self.mended, []
        front = lab.add(PostfixFront(lab.path("postfix-front"), lmtp=LMTP))
        front.submit("alice@front.lab", domain.rcpt, message("queue and retry"))
        first = front.wait_logged(domain.rcpt)[-1]
        waiting = wait_for(front.deferred, "the message in the queue")
        host = domain.mx
        if first[:2] != ("4.7.5", "deferred") or domain.rcpt not in waiting or host.complete:
            errors.append(f"first try: {first}")
        domain.records = [r for r in domain.records if " TLSA " not in r] + [
            f"_25._tcp.{host.name}. TLSA {lab.tlsa('3 1 1', host.cert)}"]
        lab.republish(domain)

        def step():
            front.flush()
            return any(s == "sent" for _, s, _ in front.log_of(domain.rcpt))
        try:
            wait_for(step, "the second try", 15, 0.7)
        except LabError as error:
            errors.append(str(error))
        if len(host.accepted) != 1 or front.queue():
            errors.append(f"{len(host.accepted)} messages at the MX, {len(front.queue())} queued")
        self.head("a real Postfix in front keeps a message until the TLSA record is mended",
                  domain.name, errors)
        field("first try", f"dsn={first[0]}, status={first[1]} ({first[2]})")
        field("mended", "TLSA 3 1 1 of the certificate that the MX has; postqueue -f")
        last = front.log_of(domain.rcpt)[-1]
        field("last try", f"dsn={last[0]}, status={last[1]} ({last[2]})")
        field("at the MX", f"{len(host.accepted)} message, {host.accepted[0].tls}"
              if host.accepted else "nothing")

    # -- the end -------------------------------------------------------------------------------

    def show_log(self):
        """The delivery records in columns, one whole record, and the chain."""
        rule("The enforcement log (events `delivery`; the whole file is JSON, one record a line)")
        head = ("seq", "domain", "policy", "requirement", "peer", "protection", "verdict")
        sizes = (4, 26, 16, 14, 9, 15, 10)
        print("".join(f"{h:<{s}}" for h, s in zip(head, sizes)).rstrip())
        for record in self.sternpost.records(event="delivery"):
            row = (record["seq"], record["domain"], record["policy_type"], record["requirement"],
                   record["peer_auth"], record["protection"], record["verdict"])
            print("".join(f"{str(v if v is not None else '-'):<{s}}"
                          for v, s in zip(row, sizes)).rstrip())
        lines = self.sternpost.lines()
        wanted = [x for x in lines if b'"delivery"' in x and b"dane-good.example" in x]
        if wanted:
            print("\n     The first of them, whole:")
            row = ""
            for part in re.split(r'(?<=,)(?=")', wanted[0].decode()):    # between its keys
                if len(row) + len(part) > WIDTH - 5:
                    print(f"     {row}")
                    row = ""
                row += part
            print(f"     {row}")
        broken = self.sternpost.chain_error()
        state = f"BROKEN at line {broken}" if broken else "whole"
        print(f"\n     {len(lines)} records; hash chain {state}")
        if broken:
            self.wrong.append(f"hash chain: {broken}")

    def ask(self, words, wanted):
        """Runs a command and shows what it prints, in which each pattern must be found."""
        status, out, err = self.sternpost.run(*words)
        print(paint(f"\n     $ sternpost {' '.join(words)}", "1"))
        for line in (out + err).splitlines():
            indent = len(line) - len(line.lstrip()) + 5
            print(textwrap.fill(line.strip(), WIDTH, initial_indent=" " * indent,
                                subsequent_indent=" " * (indent + 2), break_on_hyphens=False))
        missing = [w for w in wanted if not re.search(w, out, re.M)]
        if status or missing:
            self.wrong.append(f"sternpost {' '.join(words)}: status {status}, no {missing}")

    def show_reports(self):
        """What TLS-RPT has of the day: each domain, then a good one and a bad one in full."""
        rule("The day's TLS-RPT record (RFC 8460): after midnight UTC, one report a domain")
        good, bad = "dane-good.example", "dane-mismatch.example"
        self.ask(("report", "list"), [rf"^{good} +[1-9]\d* +0 +running",
                                      rf"^{bad} +0 +[1-9]\d* +running"])
        self.ask(("report", "show", "--domain", good), [r"tlsa .*: [1-9]\d* sessions? succeeded"])
        self.ask(("report", "show", "--domain", bad), [r"tlsa .* [1-9]\d* failed",
                                                       r"\d+ x [a-z-]+, MX mx1\."])

    def show_places(self):
        """Where everything lies."""
        rule("Where everything lies")
        for name, path in (
                ("configuration", self.sternpost.config_file),
                ("enforcement log", self.sternpost.enforcement),
                ("log", self.sternpost.path("sternpost.log")),
                ("policy cache", self.sternpost.path("state", "state.db")),
                ("zones", self.lab.dns.path("zones")),
                ("policy texts", self.lab.nginx.path("texts")),
                ("Postfix's mailbox", self.postfix.path("mail")),
                ("Exim's mailbox", self.exim.path("mail")),
                ("front's log", self.lab.path("postfix-front", "maillog"))):
            print(f"     {name:<19}{path}")


def main():
    """The command."""
    if len(sys.argv) > 1 and sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 0
    if not netns.inside():
        directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="sternpost-demo-")
        if os.path.isdir(directory) and os.listdir(directory):
            print(f"{directory} is not empty", file=sys.stderr)
            return 2
        sys.argv[1:] = [os.path.abspath(directory)]
    netns.enter()
    demo = None
    try:
        demo = Demo(sys.argv[1])
        return demo.run()
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        return 1
    finally:
        if demo:
            demo.lab.stop()


if __name__ == "__main__":
    sys.exit(main())
