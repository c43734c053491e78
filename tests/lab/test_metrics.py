#!/usr/bin/python3
"""/metrics: a parser of its own kind reads it, the names keep the conventions, the numbers agree
with the enforcement log, and dashboard, alerts, runbook and list name what is there."""

import collections
import datetime
import json
import os
import re

import yaml
from prometheus_client import parser

from lab.case import LabCase, main
from lab.http import get
from lab.procs import wait_for
from lab.sternpost import ROOT

WRONG = "3 1 1 " + "00" * 32
RESERVED = ("_count", "_sum", "_bucket", "_total", "_info", "_created")


def families(text):
    """What a Prometheus server would make of the text: {family name: family}."""
    return {f.name: f for f in parser.text_string_to_metric_families(text)}


def samples(text):
    """{(name, labels as a frozenset): value} of all samples."""
    return {(s.name, frozenset(s.labels.items())): s.value
            for f in families(text).values() for s in f.samples}


def read(*names):
    """A file of the tree."""
    with open(os.path.join(ROOT, *names), encoding="utf-8") as file:
        return file.read()


class Metrics(LabCase):
    """One relay, a known set of deliveries."""

    config = {"admin": {"listen": "127.0.0.1:8470"},
              "policy": {"exception": [{
                  "domains": ["excepted.example"], "allow": "opportunistic",
                  "until": datetime.date.today() + datetime.timedelta(days=30),
                  "owner": "postmaster@edge.lab", "reason": "ticket 4711"}]}}

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.dane = add("dane.example", {"tlsa": "3 1 1"})
        cls.broken = add("broken.example", {"tlsa": WRONG})
        cls.excepted = add("excepted.example", {"tlsa": WRONG})
        cls.sts = add("sts.example", sts="enforce", signing=None)
        cls.expired = add("expired.example", {"cert": "expired"}, sts="enforce", signing=None)
        cls.plain = add("plain.example", {"cert": "self"}, signing=None)
        cls.clear = add("clear.example", {"starttls": False}, signing=None)
        cls.refusing = add("refusing.example", {"rcpt": {"user@refusing.example": "550 5.1.1 no"}},
                           signing=None)
        cls.lost = add("lost.example", {"at": {"dot": "421 4.3.2 going"}}, signing=None)
        cls.all = (cls.dane, cls.broken, cls.excepted, cls.sts, cls.expired, cls.plain, cls.clear,
                   cls.refusing, cls.lost)

    def value(self, name, **labels):
        """One sample now."""
        return samples(get("/metrics").body)[name, frozenset(labels.items())]

    def test_numbers_agree_with_the_log(self):
        lmtp = self.value("sternpost_sessions_accepted_total", protocol="lmtp")
        for domain in self.all:
            self.lmtp([domain.rcpt, "other" + domain.rcpt])
            self.lmtp(domain.rcpt)
        self.smtp(self.dane.rcpt)
        self.last(self.dane)
        last = self.sternpost.records()[-1]["seq"]
        wait_for(lambda: self.value("sternpost_audit_log_head_seq") >= last, "the log's head")
        # The session is over when its lines are: nothing is on its way any more.
        wait_for(lambda: self.value("sternpost_sessions", protocol="lmtp") == 0, "no session")
        now = samples(get("/metrics").body)
        records = self.sternpost.records()
        self.assertEqual(now["sternpost_audit_log_head_seq", frozenset()], records[-1]["seq"])

        want = collections.Counter()
        for r in records:
            if r["event"] == "delivery":
                verdict = ("verdict", r["verdict"])
                want["sternpost_deliveries_total", frozenset(
                    [verdict, ("policy_type", r["policy_type"] or "unknown")])] += 1
                want["sternpost_recipients_total", frozenset([verdict])] += r["recipients"]
                if r["verdict"] == "delivered":
                    want["sternpost_delivered_total", frozenset(
                        [("peer_auth", r["peer_auth"]), ("protection", r["protection"])])] += 1
            elif r["event"] == "session":
                want["sternpost_mx_sessions_total", frozenset([("verdict", r["verdict"])])] += 1
                for result in r["results"] or [] if r["counted"] else []:
                    for kind in result["result_types"] or ["success"]:
                        want["sternpost_tls_results_total", frozenset(
                            [("policy_type", result["policy_type"]), ("result", kind)])] += 1
            elif r["event"] == "exception":
                want["sternpost_exceptions_used_total", frozenset()] += 1
        told = ("sternpost_deliveries_total", "sternpost_recipients_total",
                "sternpost_delivered_total", "sternpost_mx_sessions_total",
                "sternpost_tls_results_total", "sternpost_exceptions_used_total")
        got = {k: v for k, v in now.items() if k[0] in told and v}
        self.assertEqual(got, dict(want))
        # Not all of one kind: the comparison would be worth nothing.
        verdicts = {dict(k[1])["verdict"] for k in got if k[0] == "sternpost_deliveries_total"}
        self.assertEqual(verdicts, {"delivered", "deferred", "rejected"})
        auths = {dict(k[1])["peer_auth"] for k in got if k[0] == "sternpost_delivered_total"}
        self.assertEqual(auths, {"dane-ee", "pkix", "none"})

        delivered = sum(v for k, v in got.items() if k[0] == "sternpost_delivered_total")
        self.assertEqual(now["sternpost_delivery_duration_seconds_count", frozenset()], delivered)
        self.assertGreaterEqual(now["sternpost_plan_duration_seconds_count", frozenset()], 19)
        self.assertEqual(
            now["sternpost_sessions_accepted_total", frozenset([("protocol", "lmtp")])], lmtp + 18)
        self.assertEqual(
            now["sternpost_sessions_accepted_total", frozenset([("protocol", "smtp")])], 1)
        self.assertEqual(now["sternpost_mx_connections_reused_total", frozenset()],
                         sum(1 for r in records if r["event"] == "delivery" and r["reused"]))
        cached = get("/api/v1/policies").json["policies"]
        self.assertGreaterEqual(len(cached), 2)
        self.assertEqual(now["sternpost_mta_sts_policies", frozenset([("mode", "enforce")])],
                         sum(p["mode"] == "enforce" for p in cached))
        outcomes = {o: now["sternpost_dane_lookups_total", frozenset([("outcome", o)])]
                    for o in ("ok", "insecure-chain")}
        self.assertGreaterEqual(outcomes["ok"], 3)
        self.assertGreaterEqual(outcomes["insecure-chain"], 5)
        wait_for(lambda: self.value("sternpost_mx_connections_idle") == 0, "the pool to be empty")
        self.assertEqual(self.value("sternpost_mx_connections_open"), 0)

    def test_conventions(self):
        """What `promtool check metrics` holds: names, units, help, types, unique samples."""
        text = get("/metrics").body
        seen = set()
        for family in families(text).values():
            name = family.name
            self.assertRegex(name, r"^(sternpost|process)_[a-z0-9_]+[a-z0-9]$")
            self.assertTrue(family.documentation.endswith("."), name)
            self.assertIn(family.type, ("counter", "gauge", "histogram"), name)
            self.assertIn(f"# TYPE {name}{'_total' if family.type == 'counter' else ''} "
                          f"{family.type}\n", text)
            self.assertFalse(family.type == "gauge" and name.endswith(RESERVED[:4]), name)
            self.assertFalse(any(x in name for x in ("milli", "micro", "minutes", "hours", "days",
                                                     "kilobytes", "counter", "gauge")), name)
            if family.type == "histogram":
                self.assertTrue(name.endswith("_seconds"), name)
            self.assertTrue(family.samples, name)
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                self.assertNotIn(key, seen)
                seen.add(key)
                for label, value in sample.labels.items():
                    self.assertRegex(label, r"^[a-z][a-z0-9_]*$")
                    if sample.name != "sternpost_build_info":
                        self.assertRegex(value, r"^[a-z0-9-]+$|^[0-9.]+$|^\+Inf$", str(sample))
        self.assertLess(len(seen), 400)
        self.assertEqual(len(re.findall("(?m)^# TYPE ", text)), len(families(text)))

    def test_no_label_grows_with_mail(self):
        before = {k for k in samples(get("/metrics").body)}
        late = self.lab.domain("late.example", {"tlsa": "3 1 1"}, sts="enforce")
        self.lab.commit()
        self.reply(self.lmtp(late.rcpt), "250 2.0.0")
        text = get("/metrics").body
        self.assertEqual({k for k in samples(text)}, before)
        self.assertNotIn("late", text)

    # -- what names metrics --------------------------------------------------------------------

    def known(self):
        """{sample name: {label: values}} of what is there."""
        names = collections.defaultdict(lambda: collections.defaultdict(set))
        for name, labels in samples(get("/metrics").body):
            names[name]["instance"].add("")
            for label, value in labels:
                names[name][label].add(value)
        return names

    def holds(self, expression, known):
        """Every metric of a PromQL expression exists, with the labels and values it asks for."""
        found = re.findall(r"\b((?:sternpost|process)_\w+)\b(?:\{([^}]*)\})?", expression)
        self.assertTrue(found, expression)
        for name, matchers in found:
            self.assertIn(name, known, expression)
            for label, kind, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers):
                self.assertIn(label, known[name], expression)
                if kind in ("=", "!="):
                    self.assertIn(value, known[name][label], expression)

    def test_dashboard(self):
        dashboard = json.loads(read("contrib", "grafana-dashboard.json"))
        known, shown = self.known(), ""
        for panel in dashboard["panels"]:
            self.assertTrue(panel["title"])
            for target in panel["targets"]:
                self.holds(target["expr"], known)
                shown += target["expr"]
                for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                    name = re.search(r"\bsternpost_\w+|process_\w+", target["expr"]).group()
                    self.assertIn(label, known[name], target)
        places = [tuple(sorted(p["gridPos"].items())) for p in dashboard["panels"]]
        self.assertEqual(len(set(places)), len(places))
        bare = {re.sub(r"_(bucket|sum|count)$", "", n) for n in known}
        missing = [n for n in bare if not re.search(rf"\b{n}(_bucket|_sum|_count)?\b", shown)]
        self.assertEqual(sorted(missing), [
            "sternpost_config_last_reload_success_timestamp_seconds",
            "sternpost_recipients_total"], "what the dashboard leaves out")

    def test_alerts_and_runbook(self):
        rules = [r for g in yaml.safe_load(read("contrib", "prometheus-alerts.yml"))["groups"]
                 for r in g["rules"]]
        known = self.known()
        for rule in rules:
            if rule["expr"] != 'up{job="sternpost"} == 0':
                self.holds(rule["expr"], known)
            self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
            self.assertEqual(rule["annotations"]["runbook"],
                             f"docs/runbook.md#{rule['alert'].lower()}")
        paragraphs = dict(re.findall(r"(?ms)^## (\w+)\n\n(.+?)(?=\n## |\Z)",
                                     read("docs", "runbook.md")))
        self.assertEqual(sorted(paragraphs), sorted(r["alert"] for r in rules))
        for name, text in paragraphs.items():
            self.assertGreater(len(text), 200, name)

    def test_list(self):
        """docs/metrics.md has every metric with its type and labels, and no other."""
        listed = {}
        for line in read("docs", "metrics.md").splitlines():
            cells = [c.strip() for c in line.split("|")]
            if len(cells) > 4 and cells[1].startswith("`"):
                for name in re.findall(r"`(\w+)`", cells[1]):
                    listed[name] = cells[2], set(re.findall(r"`(\w+)`", cells[3]))
        there = {}
        for family in families(get("/metrics").body).values():
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for s in family.samples for label in s.labels} - {"le"}
            there[name] = family.type, labels
        self.assertEqual(listed, there)


if __name__ == "__main__":
    main()
