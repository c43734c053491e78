"""Real Postfix instances: as an MX that delivers to a maildir, and as the MTA in front.

Each has its own configuration, queue and data directory; the package's own instance is never
touched. The master runs in the foreground, so that its process id is known.
"""

import glob
import grp
import json
import os
import pwd
import re
import subprocess
import time

from .procs import Daemon, port_open, run, wait_for

LIBEXEC = "/usr/lib/postfix/sbin"
QUEUE = ("active bounce corrupt defer deferred flush hold incoming private saved trace").split()

SERVICES = """\
pickup    unix      n - n 1 1 pickup
cleanup   unix      n - n - 0 cleanup
qmgr      unix      n - n 1 1 qmgr
tlsmgr    unix      - - n 1000? 1 tlsmgr
rewrite   unix      - - n - - trivial-rewrite
bounce    unix      - - n - 0 bounce
defer     unix      - - n - 0 bounce
trace     unix      - - n - 0 bounce
verify    unix      - - n - 1 verify
flush     unix      n - n 1000? 0 flush
proxymap  unix      - - n - - proxymap
proxywrite unix     - - n - 1 proxymap
smtp      unix      - - n - {workers} smtp
relay     unix      - - n - {workers} smtp
sternsmtp unix      - - n - {workers} smtp
sternlmtp unix      - - n - {workers} lmtp
showq     unix      n - n - - showq
error     unix      - - n - - error
retry     unix      - - n - - error
discard   unix      - - n - - discard
local     unix      - n n - - local
virtual   unix      - n n - - virtual
lmtp      unix      - - n - - lmtp
anvil     unix      - - n - 1 anvil
scache    unix      - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One instance. `settings` are main.cf lines on top of the common ones.

    listen: addresses for smtpd; port: theirs.
    """

    def __init__(self, directory, name, listen, settings=None, port=25, workers=50):
        self.directory, self.name, self.listen, self.port = directory, name, listen, port
        self.settings, self.workers = dict(settings or {}), workers
        self.daemon = None

    def path(self, *names):
        """A file of this instance."""
        return os.path.join(self.directory, *names)

    @property
    def maillog(self):
        """Its log so far."""
        try:
            with open(self.path("maillog"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def common(self):
        """main.cf that every instance has."""
        return {
            "compatibility_level": "3.7", "queue_directory": self.path("queue"),
            "data_directory": self.path("data"), "command_directory": "/usr/sbin",
            "daemon_directory": LIBEXEC, "mail_owner": "postfix", "setgid_group": "postdrop",
            "myhostname": self.name, "mydestination": "", "mynetworks": "127.0.0.0/8 [::1]/128",
            "inet_interfaces": "all", "inet_protocols": "all",
            "maillog_file": self.path("maillog"), "maillog_file_prefixes": self.directory,
            "alias_maps": "", "alias_database": "", "local_recipient_maps": "",
            "smtpd_peername_lookup": "no", "smtpd_client_connection_rate_limit": "0",
            "smtpd_client_connection_count_limit": "0", "default_process_limit": "200",
            "in_flow_delay": "0", "biff": "no", "append_dot_mydomain": "no",
            "smtputf8_enable": "yes", "strict_smtputf8": "no", "notify_classes": "",
            "smtp_dns_support_level": "dnssec", "message_size_limit": "204800000",
            "mailbox_size_limit": "0", "virtual_mailbox_limit": "0", "bounce_queue_lifetime": "0",
            "queue_run_delay": "300s", "minimal_backoff_time": "300s",
        }

    def prepare(self):
        """Writes the configuration and makes the directories."""
        user, drop = pwd.getpwnam("postfix"), grp.getgrnam("postdrop")
        for name in ("conf", "data", "queue"):
            os.makedirs(self.path(name), exist_ok=True)
        os.chown(self.path("data"), user.pw_uid, user.pw_gid)
        for name in QUEUE:
            os.makedirs(self.path("queue", name), 0o700, exist_ok=True)
            os.chown(self.path("queue", name), user.pw_uid, 0)
        for name, mode, gid in (("maildrop", 0o730, drop.gr_gid), ("public", 0o710, drop.gr_gid)):
            os.makedirs(self.path("queue", name), exist_ok=True)
            os.chown(self.path("queue", name), user.pw_uid, gid)
            os.chmod(self.path("queue", name), mode)
        os.makedirs(self.path("queue", "pid"), exist_ok=True)
        self.configure()

    def configure(self, **changes):
        """Rewrites main.cf with changed settings; `reload()` when it runs."""
        self.settings.update(changes)
        lines = {**self.common(), **self.settings}
        with open(self.path("conf", "main.cf"), "w", encoding="utf-8") as file:
            file.writelines(f"{k} = {v}\n" for k, v in lines.items())
        ports = "".join(f"[{a}]:{self.port} inet n - n - - smtpd\n" if ":" in a else
                        f"{a}:{self.port} inet n - n - - smtpd\n" for a in self.listen)
        with open(self.path("conf", "master.cf"), "w", encoding="utf-8") as file:
            file.write(ports + SERVICES.format(workers=self.workers))
        for name in ("main.cf", "master.cf"):       # Postfix waits until a file is some seconds old
            os.utime(self.path("conf", name), (time.time() - 60,) * 2)

    def start(self):
        """Starts the master; ready when smtpd's port is open."""
        self.prepare()
        self.daemon = Daemon(self.name, [f"{LIBEXEC}/master", "-c", self.path("conf"), "-s"],
                             self.path("stdout.log"), env={"MAIL_CONFIG": self.path("conf")})
        self.daemon.start(lambda: all(port_open(a, self.port) for a in self.listen) and
                          os.path.exists(self.path("queue", "public", "qmgr")))
        return self

    def stop(self):
        """Ends it with its children."""
        if self.daemon:
            self.daemon.stop()

    def reload(self):
        """After configure()."""
        self.daemon.signal(1)

    # -- the queue -----------------------------------------------------------------------------

    def queue(self):
        """postqueue -j: a list of messages with queue_name, queue_id, recipients."""
        done = subprocess.run(["postqueue", "-c", self.path("conf"), "-j"], check=False,
                              capture_output=True, text=True)
        return [json.loads(x) for x in done.stdout.splitlines() if x.startswith("{")]

    def deferred(self):
        """Recipients that wait, with their reasons: {address: delay_reason}."""
        return {r["address"]: r.get("delay_reason", "") for m in self.queue()
                if m["queue_name"] == "deferred" for r in m["recipients"]}

    def flush(self, wait=True):
        """Tries the whole queue at once; never waits for the end of that."""
        run("postqueue", "-c", self.path("conf"), "-f")

    def flush_until_empty(self, timeout=30):
        """Flushes again and again until nothing waits."""
        def step():
            if not self.queue():
                return True
            self.flush()
            return False
        wait_for(step, f"{self.name}'s queue to be empty: {self.deferred()}", timeout, 0.3)

    def log_of(self, recipient):
        """Delivery lines for a recipient: list of (dsn, status, text)."""
        found = re.findall(rf"to=<{re.escape(recipient)}>.*? dsn=([\d.]+), status=(\w+) \((.*)\)",
                           self.maillog)
        return [tuple(x) for x in found]

    def wait_logged(self, recipient, count=1, timeout=30):
        """Waits for that many delivery lines and returns them."""
        wait_for(lambda: len(self.log_of(recipient)) >= count,
                 f"{count} outcomes for {recipient}", timeout)
        return self.log_of(recipient)


class PostfixMx(Postfix):
    """An MX that takes mail for every domain and puts it into a maildir."""

    def __init__(self, directory, name, listen, cert, settings=None):
        owner = 65431
        os.makedirs(os.path.join(directory, "mail"), exist_ok=True)
        os.chown(os.path.join(directory, "mail"), owner, owner)
        super().__init__(directory, name, listen, {
            "virtual_mailbox_domains": "static:all", "virtual_mailbox_maps": "static:box/",
            "virtual_mailbox_base": os.path.join(directory, "mail"),
            "virtual_uid_maps": f"static:{owner}", "virtual_gid_maps": f"static:{owner}",
            "virtual_minimum_uid": "100", "smtpd_tls_security_level": "may",
            "smtpd_tls_chain_files": f"{cert.key},{cert.pem}", "smtpd_tls_received_header": "yes",
            "smtpd_tls_loglevel": "1", "smtpd_recipient_restrictions": "permit_mynetworks,reject",
            **(settings or {})})

    def delivered(self):
        """The messages in the maildir, as octets (LF line ends, as Postfix stores them)."""
        out = []
        for path in sorted(glob.glob(self.path("mail", "box", "new", "*"))):
            with open(path, "rb") as file:
                out.append(file.read())
        return out

    def wait_delivered(self, count, timeout=20):
        """Waits until that many messages are there and returns them."""
        wait_for(lambda: len(self.delivered()) >= count, f"{count} messages at {self.name}",
                 timeout)
        return self.delivered()


class Submitting(Postfix):
    """An MTA that takes messages in from the tests."""

    address = None

    def submit(self, sender, rcpts, data=None, **options):
        """Hands a message in on its port; the Outcome of that."""
        from .client import send
        return send(f"{self.address}:{self.port}", sender, rcpts, data, **options)


class PostfixDirect(Submitting):
    """An MTA that delivers to the MX hosts itself, by its own DNS, and knows of no relay."""

    def __init__(self, directory, address="127.0.0.31", port=25, settings=None, name="front.lab"):
        super().__init__(directory, name, [address], {
            "default_transport": "smtp", "smtpd_relay_restrictions": "permit_mynetworks,reject",
            "smtp_tls_security_level": "may", "smtp_dns_support_level": "enabled",
            # Every address of the lab is this machine's: only the first of these is itself.
            "inet_interfaces": address, "smtp_address_preference": "any",
            **(settings or {})}, port=port)
        self.address = address

    def start(self):
        """As any; `inet_interfaces` takes no address that no interface has."""
        run("ip", "addr", "replace", f"{self.address}/32", "dev", "lo")
        return super().start()


class PostfixFront(Submitting):
    """The MTA in front: hands everything to Sternpost over LMTP or SMTP."""

    def __init__(self, directory, lmtp=None, smtp=None, address="127.0.0.31", settings=None,
                 name="front.lab"):
        via = f"sternlmtp:inet:{lmtp}" if lmtp else f"sternsmtp:[{_host(smtp)}]:{_port(smtp)}"
        super().__init__(directory, name, [address], {
            "default_transport": via, "smtpd_relay_restrictions": "permit_mynetworks,reject",
            "smtp_send_xforward_command": "yes", "lmtp_send_xforward_command": "yes",
            "sternlmtp_destination_concurrency_limit": "20",
            "sternlmtp_destination_concurrency_failed_cohort_limit": "100",
            "sternsmtp_destination_concurrency_failed_cohort_limit": "100",
            "sternsmtp_destination_recipient_limit": "1",
            "smtp_tls_security_level": "none", "lmtp_tls_security_level": "none",
            **(settings or {})})
        self.address = address


class PostfixBySnippet(Postfix):
    """The MTA in front, with the lines of `snippet` at the end of a configuration that they must
    prevail over."""

    def __init__(self, directory, parts, address="127.0.0.31"):
        self.parts = dict(parts)
        super().__init__(directory, "front.lab", [address], {
            "smtpd_relay_restrictions": "permit_mynetworks,reject", "relayhost": "[192.0.2.1]",
            "smtp_tls_security_level": "encrypt", "lmtp_tls_security_level": "encrypt",
            "smtp_fallback_relay": "[192.0.2.1]", "lmtp_fallback_relay": "192.0.2.1",
            "bounce_queue_lifetime": "5d"})
        self.address = address

    def configure(self, **changes):
        """The common files, then the parts at their ends."""
        super().configure(**changes)
        for file, text in self.parts.items():
            path = self.path("conf", os.path.relpath(file, "/etc/postfix"))
            with open(path, "r+", encoding="utf-8") as old:
                old.seek(0, os.SEEK_END)
                old.write(text)
            os.utime(path, (time.time() - 60,) * 2)

    @property
    def log(self):
        """What it logged."""
        return self.maillog

    def submit(self, sender, rcpts, data=None, **options):
        """Hands a message in on its port; the Outcome of that."""
        from .client import send
        return send(f"{self.address}:{self.port}", sender, rcpts, data, **options)

    def outcomes(self, rcpt):
        """(status, text) of each try for a recipient."""
        return [(status, f"{dsn} {text}") for dsn, status, text in self.log_of(rcpt)]

    def waiting(self, domain):
        """How many recipients in that domain are in the queue; a message on its way from one
        queue to another is listed twice."""
        return len({r["address"] for m in self.queue() for r in m["recipients"]
                    if r["address"].endswith("@" + domain)})

    def purge(self):
        """Empties the queue."""
        run("postsuper", "-c", self.path("conf"), "-d", "ALL")


def _host(address):
    return address.rpartition(":")[0].strip("[]")


def _port(address):
    return address.rpartition(":")[2]
