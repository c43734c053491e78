"""Real Sendmail 8.17, unpacked beside Postfix: as the MTA in front.

Program, m4 and the files of sendmail-cf come from build/lab/sendmail, where contrib/lab-packages
puts them. Each instance has its own configuration, made by m4 from an .mc text, and its own queue.
"""

import os
import subprocess

from .exim import ROOT
from .procs import Daemon, LabError, port_open, run, wait_for

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

    def flush(self):
        """A whole queue run, and its end awaited; its words."""
        return self.command("-q", "-v")

    def wait_queued(self, word, timeout=30):
        """Waits until mailq tells `word` and returns its text."""
        wait_for(lambda: word in self.queue(), f"{word} in the queue: {self.queue()}", timeout, 0.2)
        return self.queue()

    def submit(self, sender, rcpts, data=None, **options):
        """Hands a message in on its port; the Outcome of that."""
        from .client import send
        return send(f"{self.address}:{self.port}", sender, rcpts, data, **options)
