"""Real Sendmail 8.17, unpacked beside Postfix: as the MTA in front.

Program, m4 and the files of sendmail-cf come from build/lab/sendmail, where contrib/lab-packages
puts them. Each instance has its own configuration, made by m4 from an .mc text, and its own queue.
"""

import glob
import os
import re
import subprocess

from .exim import ROOT
from .procs import Daemon, LabError, port_open, run, wait_for
from .syslog import Syslog

PLACE = os.environ.get("LAB_SENDMAIL", os.path.join(ROOT, "build/lab/sendmail"))
CF = os.path.join(PLACE, "usr/share/sendmail/cf/")
LIBRARIES = os.path.join(PLACE, "usr/lib/x86_64-linux-gnu")

COMMON = """\
include(`{cf}m4/cf.m4')dnl
OSTYPE(`linux')dnl
undefine(`ALIAS_FILE')dnl
undefine(`HELP_FILE')dnl
define(`STATUS_FILE', `{dir}/statistics')dnl
define(`QUEUE_DIR', `{dir}/queue')dnl
define(`confPID_FILE', `{dir}/sendmail.pid')dnl
define(`confCONTROL_SOCKET_NAME', `')dnl
define(`confDOMAIN_NAME', `{name}')dnl
define(`confTO_IDENT', `0')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confTO_QUEUERETURN', `5d')dnl
define(`confDEF_USER_ID', ``65534:65534'')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`accept_unresolvable_domains')dnl
DAEMON_OPTIONS(`Name=MTA, Addr={address}, Port={port}')dnl
MAILER(`smtp')dnl
"""


class SendmailFront:
    """The MTA in front; `mc` is what an operator adds at the end of sendmail.mc."""

    def __init__(self, directory, mc, address="127.0.0.51", name="front.lab", port=25):
        self.directory, self.mc, self.address = directory, mc, address
        self.name, self.port, self.daemon = name, port, None
        self.env = {"LD_LIBRARY_PATH": LIBRARIES}

    def path(self, *names):
        """A file of this instance."""
        return os.path.join(self.directory, *names)

    @property
    def argv(self):
        """The program with this instance's configuration."""
        program = os.path.join(PLACE, "usr/libexec/sendmail/sendmail")
        if not os.access(program, os.X_OK):
            raise LabError("no sendmail: run contrib/lab-packages first")
        return [program, f"-C{self.path('sendmail.cf')}"]

    def start(self):
        """Makes the configuration with m4 and starts the daemon in the foreground."""
        os.makedirs(self.path("queue"), mode=0o700, exist_ok=True)
        with open(self.path("sendmail.mc"), "w", encoding="utf-8") as file:
            file.write(COMMON.format(cf=CF, dir=self.directory, name=self.name,
                                     address=self.address, port=self.port) + self.mc)
        text = run(os.path.join(PLACE, "usr/bin/m4"), f"-D_CF_DIR_={CF}", self.path("sendmail.mc"),
                   env={**os.environ, **self.env}, stderr=subprocess.DEVNULL)
        with open(self.path("sendmail.cf"), "wb") as file:
            file.write(text)
        self.daemon = Daemon("sendmail", [*self.argv, "-bD", f"-X{self.path('traffic')}"],
                             self.path("stdout.log"), env=self.env)
        self.daemon.start(lambda: port_open(self.address, self.port))
        return self

    def stop(self):
        """Ends it."""
        if self.daemon:
            self.daemon.stop()

    def command(self, *words):
        """Runs sendmail with this configuration; its output."""
        done = subprocess.run([*self.argv, *words], check=False, capture_output=True, text=True,
                              env={**os.environ, **self.env}, timeout=60)
        return done.stdout + done.stderr

    def queue(self):
        """What mailq prints: each message with the reason why it waits."""
        return self.command("-bp")

    def flush(self, wait=True):
        """A whole queue run, and its end awaited; its words."""
        if wait:
            return self.command("-q", "-v")
        return subprocess.Popen([*self.argv, "-q", "-v"], env={**os.environ, **self.env},
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait_queued(self, word, timeout=30):
        """Waits until mailq tells `word` and returns its text."""
        wait_for(lambda: word in self.queue(), f"{word} in the queue: {self.queue()}", timeout, 0.2)
        return self.queue()

    def submit(self, sender, rcpts, data=None, **options):
        """Hands a message in on its port; the Outcome of that."""
        from .client import send
        return send(f"{self.address}:{self.port}", sender, rcpts, data, **options)


class SendmailBySnippet(SendmailFront):
    """The MTA in front, with the lines of `snippet` at the end of sendmail.mc."""

    def __init__(self, directory, parts):
        super().__init__(directory, parts["/etc/mail/sendmail.mc"])
        self.syslog = Syslog(directory)

    def start(self):
        """Its log first."""
        self.syslog.start()
        return super().start()

    def stop(self):
        """Its log last."""
        super().stop()
        self.syslog.stop()

    @property
    def log(self):
        """What it logged."""
        return self.syslog.text

    def outcomes(self, rcpt):
        """(status, text) of each try for a recipient."""
        found = re.findall(rf"to=(?:<[^>]*>,)*<{re.escape(rcpt)}>.*? dsn=([245])([\d.]+),"
                           r"(?: reply=.*?,)? stat=(.*)", self.log)
        return [({"2": "sent", "4": "deferred", "5": "bounced"}[kind], f"{kind}{rest} {text}")
                for kind, rest, text in found]

    def waiting(self, domain):
        """How many recipients in that domain are in the queue."""
        return len(re.findall(rf"<\S+@{re.escape(domain)}>$", self.queue(), re.M))

    def purge(self):
        """Empties the queue."""
        for path in glob.glob(self.path("queue", "*")):
            try:
                os.remove(path)
            except FileNotFoundError:
                pass
