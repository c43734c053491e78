#!/usr/bin/python3
"""README.md: configurations and commands, taken out of the file and tried; and the commands of
docs/operating.md. What attaches an MTA is tried by test_snippet_*.py."""

import json
import os
import re
import socket
import subprocess
import sys
import tomllib

from lab.case import LabCase, main
from lab.client import message, send
from lab.postfix import Postfix
from lab.procs import wait_for
from lab.sternpost import ROOT, binary


def block(heading, kind):
    """The fenced block of that kind under that heading."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        section = file.read().split(f"\n### {heading}\n")[1]
    section = re.split(r"\n##+ ", section)[0]
    return re.search(rf"^```{re.escape(kind)}\n(.*?)^```$", section, re.M | re.S)[1]


class PostfixWithAlias(Postfix):
    """Postfix as the mail server of the report domain, with the README's lines for its bounces."""

    heading = "The mail server that takes report mail"

    def __init__(self, directory):
        name, value = block(self.heading, "main.cf").strip().split(" = ")
        aliases = os.path.join(directory, "aliases")
        super().__init__(directory, "mail.front.lab", ["127.0.0.31"], {
            "mydestination": "front.lab", "alias_maps": f"hash:{aliases}", name: value,
            "smtpd_relay_restrictions": "permit_mynetworks,reject"})

    def prepare(self):
        """Also what newaliases makes."""
        super().prepare()
        with open(self.path("aliases"), "w", encoding="utf-8") as file:
            file.write(block(self.heading, "aliases"))
        subprocess.run(["postalias", "-c", self.path("conf"), f"hash:{self.path('aliases')}"],
                       check=True)


class ReportMail(LabCase):
    """README: TLS reports: the configuration, the key and its record, the bounces."""

    begins = False
    heading = "Signing report mail"

    def key(self, words):
        """What the README's commands print for a key, made where it is returned, too."""
        path = self.lab.path("dkim.key")
        lines = [line for line in words.splitlines() if line.startswith("openssl ")]
        self.assertEqual(len(lines), 2, words)
        out = [subprocess.run(["sh", "-c", line.replace("/etc/sternpost/dkim.key", path)],
                              check=True, capture_output=True, text=True).stdout for line in lines]
        return path, out[-1].strip()

    def suggested(self, kind, words):
        """The record that a Sternpost suggests at start for a key that was made by `words`."""
        path, public = self.key(words)
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            section = file.read().split("\n## TLS reports\n")[1]
        table = tomllib.loads(re.search(r"^```toml\n(.*?)^```$", section, re.M | re.S)[1])
        table["tls_rpt"]["dkim_key"] = path
        table["tls_rpt"]["directory"] = self.lab.path("reports")
        sternpost = self.lab.sternpost(table)
        try:
            wait_for(lambda: "may be ignored by its receivers" in sternpost.log,
                     "a word about the key", 20)
            log = sternpost.log
        finally:
            self.assertEqual(sternpost.stop(), 0)
        self.assertNotIn("not sent", log)
        record = re.search(r'TXT "(.*)p=…"', block(self.heading, "zone"))[1]
        want = record.replace("k=rsa", f"k={kind}") + f"p={public}"
        self.assertIn(f"it should be: {want}\n", log)

    def test_rsa(self):
        self.suggested("rsa", block(self.heading, "sh"))

    def test_ed25519(self):
        words = block(self.heading, "sh").replace("genrsa", "genpkey -algorithm ed25519", 1)
        words = words.replace("dkim.key 2048", "dkim.key")
        words = words.replace("| openssl base64", "| tail -c 32 | openssl base64")
        self.suggested("ed25519", words)

    def test_bounces(self):
        """What the MTA itself delivers vanishes; other mail to the domain does not."""
        front = self.lab.add(PostfixWithAlias(self.lab.path("front")))
        rcpts = ["tlsrpt+20261126.0123456789abcdef@front.lab", "tlsrpt.absent@front.lab"]
        self.assertTrue(send("127.0.0.31:25", "", rcpts, message("bounce")).reply.ok)
        self.assertEqual(front.wait_logged(rcpts[0])[-1],
                         ("2.0.0", "sent", "delivered to file: /dev/null"))
        self.assertEqual(front.wait_logged(rcpts[1])[-1][1], "bounced")


class Words(LabCase):
    """The configuration in README.md, and the commands in docs/operating.md."""

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example", {"tlsa": "3 1 1"})

    def text(self, *names):
        """A document."""
        with open(os.path.join(ROOT, *names), encoding="utf-8") as file:
            return file.read()

    def test_configuration(self):
        words = re.search(r"^```toml\n(.*?)^```$", self.text("README.md"), re.M | re.S)[1]
        path = self.lab.path("readme.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(words)
        done = subprocess.run([binary(), "config", "check", "-c", path], capture_output=True,
                              text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, f"{path}: no mistakes\n"))

    def test_chain(self):
        for _ in range(3):
            self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        self.sternpost.wait_records(3, event="delivery")
        script = re.search(r"<<'END'\n(.*?)^END$", self.text("docs", "operating.md"),
                           re.M | re.S)[1]

        def verify(path):
            done = subprocess.run([sys.executable, "-", path], input=script, capture_output=True,
                                  text=True, check=False)
            return done.returncode, done.stdout + done.stderr
        self.assertEqual(verify(self.sternpost.enforcement), (0, "whole\n"))
        forged = self.lab.path("forged.jsonl")
        with open(forged, "wb") as file:
            lines = self.sternpost.lines()
            lines[1] = lines[1].replace(b"d.example", b"e.example")
            file.write(b"\n".join(lines) + b"\n")
        self.assertEqual(verify(forged), (1, f"{forged}:3: the chain is broken\n"))

    def test_control_socket(self):
        table = self.text("docs", "operating.md").split("## The control socket")[1]
        table = table.split("\n## ")[0]
        commands = re.findall(r"^\| `([a-z ]+)` \|", table, re.M)
        self.assertIn("status", commands)
        for command in commands:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(30)
                sock.connect(self.sternpost.config["server"]["control"])
                sock.sendall(json.dumps({"command": command, "domain": "d.example"}).encode() +
                             b"\n")
                answer = json.loads(sock.makefile("rb").readline())
            self.assertNotEqual(answer.get("error"), "command not known")
            if command == "status":
                keys = re.findall(r"`(\w+)`", table.split("| `status` |")[1].split("\n")[0])
                self.assertEqual([k for k in keys if k not in answer], [])


if __name__ == "__main__":
    main()
