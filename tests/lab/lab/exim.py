"""Real Exim 4.96, unpacked beside Postfix: as an MX, and as the MTA in front.

The binary comes from build/lab/exim (contrib/lab-packages puts it there). Each instance has its own
configuration and spool; the user Debian-exim exists in the private /etc/passwd of netns.py only.
"""

import glob
import os
import pwd
import re
import subprocess

from .procs import Daemon, LabError, port_open, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))


def binary():
    """The path of exim4; LabError when it was not unpacked."""
    places = [os.environ.get("LAB_EXIM", ""), os.path.join(ROOT, "build/lab/exim/usr/sbin/exim4"),
              "/usr/sbin/exim4"]
    for path in places:
        if path and os.access(path, os.X_OK):
            return path
    raise LabError("no exim4: run contrib/lab-packages first")


class Exim:
    """One instance; `config` is what stands between the common settings and their end."""

    def __init__(self, directory, name, address, config, port=25):
        self.directory, self.name, self.address, self.port = directory, name, address, port
        self.config, self.daemon = config, None

    def path(self, *names):
        """A file of this instance."""
        return os.path.join(self.directory, *names)

    @property
    def mainlog(self):
        """Its log so far."""
        try:
            with open(self.path("log", "mainlog"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def start(self):
        """Starts the daemon in the foreground."""
        user = pwd.getpwnam("Debian-exim")
        for name in ("spool", "log", "mail"):
            os.makedirs(self.path(name), exist_ok=True)
            os.chown(self.path(name), user.pw_uid, user.pw_gid)
        with open(self.path("exim.conf"), "w", encoding="utf-8") as file:
            file.write(f"""primary_hostname = {self.name}
spool_directory = {self.path("spool")}
log_file_path = {self.path("log")}/%slog
pid_file_path = {self.path("exim.pid")}
local_interfaces = {self.address}
daemon_smtp_ports = {self.port}
keep_environment =
exim_path = {binary()}
host_lookup =
helo_lookup_domains =
rfc1413_query_timeout = 0s
deliver_drop_privilege
message_size_limit = 200M
smtp_accept_max = 200
smtp_accept_reserve = 0
queue_run_max = 20
smtp_enforce_sync = false
smtputf8_advertise_hosts = *
prdr_enable = false
smtp_receive_timeout = 10m
check_spool_space = 0
check_log_space = 0
log_selector = +smtp_confirmation +tls_cipher +tls_sni +deliver_time
{self.config}""")
        os.chmod(self.path("exim.conf"), 0o644)
        self.daemon = Daemon(self.name, [binary(), "-bdf", "-C", self.path("exim.conf")],
                             self.path("stdout.log"))
        self.daemon.start(lambda: port_open(self.address, self.port))
        return self

    def stop(self):
        """Ends it."""
        if self.daemon:
            self.daemon.stop()

    def command(self, *words):
        """Runs exim with this configuration; its output."""
        done = subprocess.run([binary(), "-C", self.path("exim.conf"), *words], check=False,
                              capture_output=True, text=True)
        return done.stdout + done.stderr

    def queue(self):
        """Ids of the messages in the queue."""
        return re.findall(r"^\s*\S+\s+\S+\s+(\S{6}-\S{6}-\S{2})", self.command("-bp"), re.M)

    def flush(self, wait=True):
        """Forces a queue run over everything, and waits for its end."""
        if wait:
            return self.command("-qff")
        return subprocess.Popen([binary(), "-C", self.path("exim.conf"), "-qff"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def log_of(self, recipient):
        """Delivery lines of the main log that name a recipient: (sign, rest)."""
        return re.findall(rf"(=>|->|==|\*\*) {re.escape(recipient)} (.*)", self.mainlog)

    def wait_logged(self, recipient, count=1, timeout=30):
        """Waits for that many such lines and returns them."""
        wait_for(lambda: len(self.log_of(recipient)) >= count,
                 f"{count} outcomes for {recipient}: {self.mainlog[-2000:]}", timeout)
        return self.log_of(recipient)


class EximMx(Exim):
    """An MX that takes mail for every domain and puts it into a maildir."""

    def __init__(self, directory, name, address, cert, config=""):
        super().__init__(directory, name, address, f"""
tls_advertise_hosts = *
tls_certificate = {cert.pem}
tls_privatekey = {directory}/exim.key
acl_smtp_rcpt = accept_all
{config}
begin acl
accept_all:
  accept
begin routers
box:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {directory}/mail
  maildir_format
  create_directory
  delivery_date_add = false
  envelope_to_add = false
  return_path_add = false
  user = Debian-exim
""")
        self.cert = cert

    def start(self):
        """Copies the key to where Exim's own user reads it, then starts."""
        os.makedirs(self.directory, exist_ok=True)
        with open(self.cert.key, "rb") as source, open(self.path("exim.key"), "wb") as target:
            target.write(source.read())
        user = pwd.getpwnam("Debian-exim")
        os.chown(self.path("exim.key"), user.pw_uid, user.pw_gid)
        return super().start()

    def delivered(self):
        """The messages in the maildir."""
        out = []
        for path in sorted(glob.glob(self.path("mail", "new", "*"))):
            with open(path, "rb") as file:
                out.append(file.read())
        return out

    def wait_delivered(self, count, timeout=20):
        """Waits until that many messages are there and returns them."""
        wait_for(lambda: len(self.delivered()) >= count, f"{count} messages at {self.name}",
                 timeout)
        return self.delivered()


class EximFront(Exim):
    """The MTA in front: hands everything to Sternpost over SMTP (smarthost) or LMTP."""

    def __init__(self, directory, lmtp=None, smtp=None, address="127.0.0.41"):
        host, _, port = (lmtp or smtp).rpartition(":")
        kind = "protocol = lmtp" if lmtp else "multi_domain = false"
        super().__init__(directory, "front.lab", address, f"""
acl_smtp_rcpt = accept_all
begin acl
accept_all:
  accept
begin routers
out:
  driver = manualroute
  route_list = * {host}
  self = send
  host_find_failed = defer
  transport = sternpost
begin transports
sternpost:
  driver = smtp
  {kind}
  port = {port}
  allow_localhost
  hosts_avoid_tls = *
  hosts_try_prdr =
begin retry
* * F,2h,1s
""")

    def submit(self, sender, rcpts, data=None, **options):
        """Hands a message in on its port; the Outcome of that."""
        from .client import send
        return send(f"{self.address}:{self.port}", sender, rcpts, data, **options)


class EximBySnippet(Exim):
    """The MTA in front, with the parts of `snippet` in the sections that they name."""

    def __init__(self, directory, parts, address="127.0.0.41"):
        parts = {file.split("/")[-2]: text for file, text in parts.items()}
        super().__init__(directory, "front.lab", address, f"""
domainlist local_domains = front.lab
acl_smtp_rcpt = accept_all
{parts["main"]}
begin acl
accept_all:
  accept
begin routers
{parts["router"]}
begin transports
{parts["transport"]}
begin retry
* * F,2h,1s
""")

    @property
    def log(self):
        """What it logged."""
        return self.mainlog

    def submit(self, sender, rcpts, data=None, **options):
        """Hands a message in on its port; the Outcome of that."""
        from .client import send
        return send(f"{self.address}:{self.port}", sender, rcpts, data, **options)

    def outcomes(self, rcpt):
        """(status, text) of each try for a recipient."""
        return [({"==": "deferred", "**": "bounced"}.get(sign, "sent"), text)
                for sign, text in self.log_of(rcpt)]

    def waiting(self, domain):
        """How many recipients in that domain are in the queue."""
        return len(re.findall(rf"^\s+\S+@{re.escape(domain)}$", self.command("-bp"), re.M))

    def purge(self):
        """Empties the queue."""
        for path in glob.glob(self.path("spool", "input", "**", "*-[HDJ]"), recursive=True):
            try:
                os.remove(path)
            except FileNotFoundError:
                pass
