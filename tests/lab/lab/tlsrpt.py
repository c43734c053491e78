"""TLS-RPT in the lab: reports as files, messages and commands, and what the enforcement log adds up
to, so that both can be compared. Base of the tests of reports, whose days pass in seconds."""

import collections
import email
import email.policy
import gzip
import hashlib
import json
import os
import re
import time

from .case import LabCase
from .clock import midnight
from .procs import LabError, wait_for
from .receiver import SCRIPTED, Receiver
from .sternpost import merge

SUBMIT = "127.0.0.31"           # where report mail is handed in
IDENTITY = {"organization_name": "Lab Corp", "contact_info": "tls@reporter.example",
            "report_domain": "reporter.example", "submit_via": f"{SUBMIT}:25"}
RETURN_PATH = re.compile(r"MAIL FROM:<(tlsrpt\+(\d{8})\.[a-z0-9]+@reporter\.example)>", re.I)
# Reported beside a session that met its cached policy (RFC 8461 §6): no failure of the session.
OF_THE_POLICY = {"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"}


def record(*rua):
    """A zone line for `_smtp._tls`; each word is the value of one rua field."""
    return f'_smtp._tls TXT "v=TLSRPTv1; {"; ".join("rua=" + r for r in rua)}"'


# -- what the log adds up to -----------------------------------------------------------------------

def digest(kind, domain, strings=()):
    """`policy_digest` of a policy."""
    parts = [kind, domain, *strings]
    text = "".join(f"{len(p.encode())}:{p}\n" for p in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def is_success(result):
    """Whether a result of a session line says that the session met that policy."""
    types = set(result["result_types"])
    quoted = result["policy_digest"] != digest(result["policy_type"], result["policy_domain"])
    return not types or (result["policy_type"] == "sts" and quoted and types <= OF_THE_POLICY)


def tally(records, day):
    """{(recipient domain, policy digest): [successes, failures]} of the counted session lines that
    the log has for a day (a date)."""
    sums = collections.defaultdict(lambda: [0, 0])
    for line in records:
        if line["event"] != "session" or not line["counted"] or line["domain"] is None:
            continue
        if line["time"][:10] != day.isoformat():
            continue
        for result in line["results"] or []:
            sums[line["domain"], result["policy_digest"]][0 if is_success(result) else 1] += 1
    return dict(sums)


def tally_of(domain, report):
    """The same of one report as RFC 8460 JSON about a domain."""
    sums = {}
    for row in report["policies"]:
        policy, summary = row["policy"], row["summary"]
        key = (domain, digest(policy["policy-type"], policy["policy-domain"],
                              policy.get("policy-string", [])))
        if key in sums:
            raise LabError(f"two rows for one policy: {policy}")
        sums[key] = [summary["total-successful-session-count"],
                     summary["total-failure-session-count"]]
    return sums


# -- reports as octets -----------------------------------------------------------------------------

def strict_json(octets):
    """JSON as RFC 7493 has it: UTF-8 without a mark, no key twice, integers that are exact."""
    def unique(pairs):
        out = dict(pairs)
        if len(out) != len(pairs):
            raise ValueError(f"a key stands twice among {[k for k, _ in pairs]}")
        return out

    def integer(text):
        if abs(int(text)) >= 2 ** 53:
            raise ValueError(f"{text} is not exact everywhere")
        return int(text)
    return json.loads(octets.decode("utf-8"), object_pairs_hook=unique, parse_int=integer)


class Mail:
    """A report that came as mail: `fields`, `text`, `gzipped`, `report` (the JSON object)."""

    def __init__(self, octets):
        self.octets = octets
        self.message = email.message_from_bytes(octets, policy=email.policy.default)
        parts = list(self.message.iter_parts())
        if len(parts) != 2:
            raise LabError(f"{len(parts)} parts instead of two")
        self.text = parts[0].get_content()
        self.part = parts[1]
        self.gzipped = parts[1].get_payload(decode=True)
        self.report = strict_json(gzip.decompress(self.gzipped))

    def header(self, name):
        """The one value of a field; fails where there is not just one."""
        values = self.message.get_all(name) or []
        if len(values) != 1:
            raise LabError(f"{len(values)} fields {name}")
        return str(values[0]).strip()


def is_report(message):
    """Whether a message at a scripted MX is report mail."""
    return b"\r\nTLS-Report-Domain:" in message.data


class ReportCase(LabCase):
    """A Sternpost with an identity to report by, and a clock of its own.

    `start_reporting()` at the end of setUpClass fixes `day`, the day that is reported.
    """

    clocked = True
    identity = IDENTITY
    day = None

    @classmethod
    def setUpClass(cls):
        base = {"outbound": {"idle_keepalive": "0s", "host_memory": "1s"},
                "tls_rpt": dict(cls.identity)}
        cls.config = merge(base, cls.config)
        super().setUpClass()
        cls.day = cls.sternpost.clock.today()

    # -- the day -------------------------------------------------------------------------------

    @classmethod
    def close_day(cls, *domains, timeout=20):
        """Moves to five seconds after midnight and waits for the files of these domains."""
        cls.settle()
        cls.sternpost.clock.at(cls.day, 24, 0, 5)
        for domain in domains:
            wait_for(lambda d=domain: os.path.exists(cls.path_of(d)),
                     f"{cls.path_of(domain)}\n{cls.sternpost.daemon.tail()}", timeout, 0.05)

    @classmethod
    def settle(cls, part=None):
        """Waits until the log's lines are written: a clock that jumps leaves them no time."""
        part, sizes = part or cls.sternpost, []

        def step():
            sizes.append(len(part.history()))
            return len(sizes) > 3 and len(set(sizes[-4:])) == 1
        wait_for(step, "the log to be quiet", 10, 0.1)

    @classmethod
    def send_all(cls):
        """Moves to when every jitter is over."""
        cls.sternpost.clock.at(cls.day, 24 + 4, 0, 10)

    # -- files ---------------------------------------------------------------------------------

    @classmethod
    def path_of(cls, domain, day=None, part=None):
        """The file of a domain's report."""
        directory = (part or cls.sternpost).config["tls_rpt"]["directory"]
        name = domain if isinstance(domain, str) else domain.name
        return os.path.join(directory, (day or cls.day).isoformat(), f"{name}.json.gz")

    @classmethod
    def octets_of(cls, domain, day=None, part=None):
        """Its octets."""
        with open(cls.path_of(domain, day, part), "rb") as file:
            return file.read()

    @classmethod
    def report_of(cls, domain, day=None, part=None):
        """Its JSON object."""
        return strict_json(gzip.decompress(cls.octets_of(domain, day, part)))

    # -- commands ------------------------------------------------------------------------------

    def command(self, verb, *words, part=None, status=0):
        """`report VERB …`: its standard output; the status is asserted."""
        got, out, err = (part or self.sternpost).run("report", verb, *words)
        self.assertEqual(got, status, f"report {verb} {words}: {out}{err}")
        return out

    def listed(self, domain=None, day=None, part=None):
        """The object of `report list --json`, or its entry for a domain (None: there is none)."""
        words = ["--date", (day or self.day).isoformat(), "--json"]
        out = strict_json(self.command("list", *words, part=part).encode())
        self.assertEqual((out["schema"], out["date"]), (1, words[1]))
        if domain is None:
            return out
        found = [r for r in out["reports"] if r["domain"] == domain.name]
        self.assertLessEqual(len(found), 1, found)
        return found[0] if found else None

    def shown(self, domain=None, day=None, part=None):
        """The RFC 8460 objects of `report show --json`, or the one about a domain."""
        words = ["--date", (day or self.day).isoformat(), "--json"]
        if domain is not None:
            words += ["--domain", domain.name]
        out = strict_json(self.command("show", *words, part=part).encode())
        self.assertEqual((out["schema"], out["date"]), (1, words[1]))
        if domain is None:
            return out["reports"]
        self.assertEqual(len(out["reports"]), 1, out)
        return out["reports"][0]

    def wait_state(self, domain, *states, day=None, timeout=20):
        """Waits until a report is in one of these states; its entry of the list."""
        seen = []

        def step():
            seen[:] = [self.listed(domain, day)]
            return seen[0] is not None and seen[0]["state"] in states
        try:
            wait_for(step, "", timeout, 0.3)
        except LabError:
            self.fail(f"{domain.name} is not {states} but {seen}")
        return seen[0]

    def wait_all_sent(self, domains, timeout=40):
        """Waits until the reports about all these domains are sent."""
        names = {d.name for d in domains}

        def step():
            sent = {r["domain"] for r in self.listed()["reports"] if r["state"] == "sent"}
            return names <= sent
        wait_for(step, f"{len(names)} reports to be sent", timeout, 0.3)

    # -- comparing -----------------------------------------------------------------------------

    def assert_counted(self, day=None, part=None, reports=None):
        """The reports of a day (files, where the day is over) add up to the log's lines.

        reports: {domain name: JSON object} to compare with instead.
        """
        part, day = part or self.sternpost, day or self.day
        want = tally(part.records(), day)
        if reports is None:
            names = {domain for domain, _ in want}
            directory = os.path.dirname(self.path_of("x", day, part))
            files = {n[:-len(".json.gz")] for n in os.listdir(directory) if n.endswith(".json.gz")}
            self.assertEqual(files, names)
            reports = {n: self.report_of(n, day, part) for n in names}
        got = {}
        for name, report in reports.items():
            got.update(tally_of(name, report))
        self.assertEqual(got, want)
        return sum(sum(x) for x in want.values())

    def assert_running(self, timeout=8):
        """`report show` of the running day adds up to the log's lines, after a second or two."""
        def step():
            want = tally(self.sternpost.records(), self.clock.today())
            got = {}
            for one in self.shown(day=self.clock.today()):
                got.update(tally_of(domain_of(one), one))
            return got == want
        wait_for(step, "the running day's reports to add up to the log", timeout, 0.5)

    def mails(self, domain, count=1, timeout=20):
        """Waits for that many report messages at a domain's hosts; all of them, parsed."""
        def found():
            return [m for m in domain.messages if is_report(m) and m.accepted]
        wait_for(lambda: len(found()) >= count, f"{count} reports by mail at {domain.name}; "
                 f"{len(domain.messages)} messages", timeout)
        self.assertEqual(len(found()), count)
        return found()


class SendingCase(ReportCase):
    """A scripted receiver, `py`: each domain's report goes to a host name of its own."""

    names = ()

    @classmethod
    def publish(cls, lab):
        cls.py = Receiver(lab.cert("good", "py.collect.example"))
        lab.dns.add_zone("collect.example", [f"{n} A {SCRIPTED}" for n in ("other", *cls.names)])
        cls.domains = {n: lab.domain(f"{n}.example", extra=[
            record(f"https://{n}.collect.example/")]) for n in cls.names}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab.add(cls.py)

    def host(self, name):
        """The receiver's name for a domain."""
        return f"{name}.collect.example"

    def posts(self, name):
        """What came about a domain."""
        return self.py.posts(self.host(name))

    def night(self):
        """Mail to every domain, midnight, the end of the jitter."""
        for domain in self.domains.values():
            self.lmtp(domain.rcpt)
        self.close_day(*self.domains.values())
        self.send_all()

    def wait_tries(self, name, count, timeout=15):
        """Waits for that many answered requests; there are not more."""
        got = self.py.wait_posts(self.host(name), count, timeout)
        self.assertEqual(len(got), count)
        return got

    def wait_attempts(self, name, count, timeout=15):
        """Waits until so many tries are recorded: a clock that is moved before misdates one."""
        def step():
            endpoints = self.listed(self.domains[name])["endpoints"]
            return endpoints and endpoints[0]["attempts"] >= count
        wait_for(step, f"{count} tries for {name}", timeout, 0.2)
        self.assertEqual(self.endpoint(name)["attempts"], count)

    def quiet(self, name, count, seconds=1.5):
        """For some seconds nothing comes beyond so many requests."""
        time.sleep(seconds)
        self.assertEqual(len(self.posts(name)), count)

    def endpoint(self, name):
        """The one endpoint of a domain's report, as `report list` has it."""
        return self.listed(self.domains[name])["endpoints"][0]


def domain_of(report):
    """The recipient domain of a report object; RFC 8460 gives it no member, but our id has it."""
    found = re.match(r"\d{8}\.(\S+)\.[0-9a-f]+@", report["report-id"])
    if not found:
        raise LabError(f"no domain in the report-id {report['report-id']}")
    return found[1]


def range_of(day):
    """The date-range of a day's report."""
    text = midnight(day).strftime("%Y-%m-%d")
    return {"start-datetime": f"{text}T00:00:00Z", "end-datetime": f"{text}T23:59:59Z"}
