"""Real OpenSMTPD 6.8, unpacked beside Postfix: as the MTA in front.

Its spool, its users and its empty directory are fixed in the program; they exist in the mount
namespace only. One instance at a time.
"""

import os
import re
import shutil
import subprocess

from .exim import ROOT
from .netns import set_up_users
from .procs import Daemon, LabError, port_open, run

PLACE = os.environ.get("LAB_OPENSMTPD", os.path.join(ROOT, "build/lab/opensmtpd"))
SPOOL, EMPTY, SOCKET = "/var/spool/smtpd", "/var/lib/opensmtpd/empty", "/var/run/smtpd.sock"
USERS = {"opensmtpd": (65433, EMPTY), "opensmtpq": (65434, EMPTY)}


class OpenSmtpdBySnippet:
    """The MTA in front, with the lines of `snippet` in an otherwise small configuration."""

    def __init__(self, directory, parts, address="127.0.0.61", port=25):
        self.directory, self.address, self.port = directory, address, port
        self.lines, self.daemon = parts["/etc/smtpd.conf"], None

    def path(self, *names):
        """A file of this instance."""
        return os.path.join(self.directory, *names)

    def program(self, name):
        """An unpacked program; LabError when it was not unpacked."""
        path = os.path.join(PLACE, "usr/sbin", name)
        if not os.access(path, os.X_OK):
            raise LabError("no OpenSMTPD: run contrib/lab-packages first")
        return path

    def start(self):
        """Covers what is fixed in the program, then starts it in the foreground."""
        set_up_users(USERS)
        for place in ("/var/spool", "/var/lib"):
            if not os.path.isdir(os.path.join(place, "lab")):
                run("mount", "-t", "tmpfs", "-o", "mode=0755", "lab", place)
                os.makedirs(os.path.join(place, "lab"))
        shutil.rmtree(SPOOL, ignore_errors=True)
        os.makedirs(SPOOL, 0o711, exist_ok=True)
        os.makedirs(EMPTY, 0o755, exist_ok=True)
        os.makedirs(self.directory, exist_ok=True)
        with open(self.path("smtpd.conf"), "w", encoding="utf-8") as file:
            file.write(f"listen on {self.address} port {self.port} hostname front.lab\n"
                       f"{self.lines}")
        self.daemon = Daemon("smtpd", [self.program("smtpd"), "-d", "-f",
                                       self.path("smtpd.conf")], self.path("stdout.log"))
        self.daemon.start(lambda: port_open(self.address, self.port))
        return self

    def stop(self):
        """Ends it."""
        if self.daemon:
            self.daemon.stop()

    @property
    def log(self):
        """What it logged."""
        return self.daemon.tail(10 ** 6)

    def submit(self, sender, rcpts, data=None, **options):
        """Hands a message in on its port, which knows no pipelining; the Outcome of that."""
        from .client import send
        options.setdefault("pipeline", False)
        return send(f"{self.address}:{self.port}", sender, rcpts, data, **options)

    def control(self, *words):
        """Runs smtpctl, which wants to be setgid; its output."""
        done = subprocess.run([self.program("smtpctl"), *words], check=False, capture_output=True,
                              text=True, timeout=60, group=USERS["opensmtpq"][0])
        return done.stdout + done.stderr

    def flush(self, wait=True):
        """Tries the whole queue at once; never waits for the end of that."""
        return self.control("schedule", "all")

    def outcomes(self, rcpt):
        """(status, text) of each try for a recipient."""
        words = {"Ok": "sent", "TempFail": "deferred", "PermFail": "bounced"}
        found = re.findall(rf' to=<{re.escape(rcpt)}> .* result="(\w+)" stat="(.*)"', self.log)
        return [(words[result], text) for result, text in found]

    def waiting(self, domain):
        """How many recipients in that domain are in the queue."""
        return len(re.findall(rf"@{re.escape(domain)}\|[^|]*@", self.control("show", "queue")))

    def purge(self):
        """Empties the queue."""
        self.control("remove", "all")
