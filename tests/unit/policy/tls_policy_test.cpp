// What the policy map answers: each state of a domain, each requirement, each dialect.
#include "policy/tls_policy.h"

#include "plan_support.h"
#include "policy/plan_words.h"

namespace {

using namespace policy;
namespace pt = plan_test;

// A domain with several hosts, asked as the map asks.
struct Asked {
  pt::Setup setup;
  std::vector<HostFacts> more;  // beside setup.host
  std::string last;

  Asked& add(std::string_view host, dane::Status status = pt::no_dane()) {
    more.push_back({pt::name(host), {pt::ip("192.0.2.9")}, {}, false, false, std::move(status)});
    auto* const list = std::get_if<MxList>(&setup.facts.mx);
    list->hosts.push_back({pt::name(host), static_cast<std::uint16_t>(20 + more.size())});
    return *this;
  }
  MapAnswer ask(MapDialect dialect) const {
    GatheredFacts facts{setup.facts, {}};
    facts.hosts.push_back(std::make_shared<HostFacts>(setup.host));
    for (const HostFacts& one : more) facts.hosts.push_back(std::make_shared<HostFacts>(one));
    return tls_policy(dialect, setup.settings, plan_all(setup.settings, setup.op, facts));
  }
  std::string postfix() const { return payload_of(ask(MapDialect::postfix)); }
  std::string tlsrpt() const { return payload_of(ask(MapDialect::postfix_tlsrpt)); }
  std::string sendmail() const { return payload_of(ask(MapDialect::sendmail)); }
};

Asked with(StsMode mode, std::vector<std::string> mx = {"mx.example.com"}) {
  Asked asked;
  asked.setup.with(pt::sts(mode, std::move(mx)));
  return asked;
}

bool is_temporary(const std::string& answer, std::string_view word) {
  CAPTURE(answer);
  CHECK(answer.find(word) != std::string::npos);
  return answer.starts_with("TEMP ");
}

const std::string absent = "NOTFOUND ";

}  // namespace

// ── what is published ───────────────────────────────────────────────────────────────────────────

TEST_CASE("map: a domain that publishes nothing, or nothing to enforce, has no policy") {
  CHECK(Asked().postfix() == absent);
  for (const StsMode mode : {StsMode::testing, StsMode::none}) {
    CHECK(with(mode).postfix() == absent);
    CHECK(with(mode).tlsrpt() == absent);
    CHECK(with(mode).sendmail() == absent);
  }
  Asked unavailable;
  unavailable.setup.with(StsUnavailable{"7", pt::fetch_failure()});
  CHECK(unavailable.postfix() == absent);
  unavailable.setup.settings.on_fetch_error = OnError::defer;
  CHECK(is_temporary(unavailable.postfix(), "HTTP status 503"));
  Asked unknown;
  unknown.setup.with(StsUnknown{"SERVFAIL"});
  CHECK(unknown.sendmail() == absent);
  unknown.setup.settings.on_lookup_error = OnError::defer;
  CHECK(is_temporary(unknown.sendmail(), "SERVFAIL"));
}

TEST_CASE("map: an enforce policy is `secure` with its patterns, and is reported where asked") {
  const Asked asked = with(StsMode::enforce, {"mx.example.com", "*.example.net"});
  const std::string plain =
      "OK secure match=mx.example.com:.example.net servername=hostname";
  CHECK(asked.postfix() == plain);
  CHECK(asked.sendmail() == plain);
  CHECK(asked.tlsrpt() ==
        plain + " policy_type=sts policy_domain=example.com mx_host_pattern=mx.example.com "
                "mx_host_pattern=*.example.net { policy_string = version: STSv1 } "
                "{ policy_string = mode: enforce } { policy_string = mx: mx.example.com } "
                "{ policy_string = mx: *.example.net } { policy_string = max_age: 86400 }");
}

TEST_CASE("map: a policy that does not list the only MX makes the mail wait, with its reason") {
  const Asked asked = with(StsMode::enforce, {"other.example.com"});
  CHECK(is_temporary(asked.postfix(), "does not list mx.example.com"));
  CHECK(is_temporary(asked.sendmail(), "does not list mx.example.com"));
  Asked two = with(StsMode::enforce);
  two.add("rogue.example.net");
  CHECK(two.postfix() == "OK secure match=mx.example.com servername=hostname");
}

TEST_CASE("map: a policy that is not there yet makes the mail wait") {
  StsUnavailable fetching{"7", pt::fetch_failure(), true};
  fetching.failure.reason = "the policy of example.com is not fetched yet";
  StsUnknown asking{"TXT _mta-sts.example.com: no answer yet", true};
  for (const StsState& state : {StsState(fetching), StsState(asking)}) {
    Asked asked;
    asked.setup.with(state);
    CHECK(is_temporary(asked.postfix(), " yet"));
    CHECK(is_temporary(asked.sendmail(), " yet"));
    // DANE behind a secure MX does not depend on it.
    asked.setup.with(pt::usable());
    CHECK(asked.postfix() == "OK dane");
    // It does where both are demanded, and beside pins.
    asked.setup.with(Combine::both);
    CHECK(is_temporary(asked.postfix(), " yet"));
    asked.setup.with(Combine::dane_first).insecure();
    CHECK(is_temporary(asked.postfix(), " yet"));
    Rule rule;
    rule.spki_sha256 = {std::string(64, 'a')};
    asked.setup.with(rule).with(pt::no_dane());
    CHECK(is_temporary(asked.postfix(), " yet"));
  }
}

TEST_CASE("map: an answer is for now while the policy is asked for") {
  const auto awaits = [](StsState state) {
    pt::Setup setup;
    setup.with(std::move(state));
    return awaits_policy(plan_all(setup.settings, setup.op, {setup.facts, {}}));
  };
  CHECK(awaits(StsUnknown{"no answer yet", true}));
  CHECK(awaits(StsUnavailable{"7", pt::fetch_failure(), true}));
  CHECK_FALSE(awaits(StsUnknown{"SERVFAIL"}));
  CHECK_FALSE(awaits(StsAbsent{"none"}));
  CHECK_FALSE(awaits(pt::sts(StsMode::enforce)));
}

TEST_CASE("map: DANE behind a secure MX is never switched off") {
  for (const StsMode mode : {StsMode::enforce, StsMode::testing, StsMode::none}) {
    Asked asked = with(mode);
    asked.setup.with(pt::usable());
    CHECK(asked.postfix() == "OK dane");
    CHECK(asked.tlsrpt() == "OK dane");
    asked.add("mx2.example.com");
    CHECK(asked.postfix() == "OK dane");
  }
  Asked alone;
  alone.setup.with(pt::usable());
  CHECK(alone.postfix() == "OK dane");
  alone.setup.with(pt::unusable());
  CHECK(alone.postfix() == "OK dane");
  // A host with DANE that the policy does not list is none that mail may go to: `dane` for its sake
  // would let Postfix use it, and the listed one with any certificate.
  Asked other = with(StsMode::enforce);
  other.add("mx2.example.com", pt::usable("mx2.example.com"));
  CHECK(other.postfix() == "OK secure match=mx.example.com servername=hostname");
  other.setup.insecure();
  CHECK(other.postfix() == "OK secure match=mx.example.com servername=hostname");
  alone.setup.settings.dane_enabled = false;
  CHECK(alone.postfix() == absent);
}

TEST_CASE("map: records of which none is usable authenticate nobody, an enforce policy does") {
  Asked asked = with(StsMode::enforce);
  asked.setup.with(pt::unusable());
  CHECK(asked.postfix() == "OK secure match=mx.example.com servername=hostname");
}

TEST_CASE("map: Sendmail decides by DANE itself, and `secure` leaves it on") {
  Asked asked;
  asked.setup.with(pt::usable());
  CHECK(asked.sendmail() == absent);
  asked.setup.with(pt::sts(StsMode::enforce));
  CHECK(asked.sendmail() == "OK secure match=mx.example.com servername=hostname");
  asked.setup.with(pt::dane_failed());
  CHECK(is_temporary(asked.sendmail(), "could not be found out"));
}

TEST_CASE("map: behind an insecure MX an enforce policy counts, DANE only without one") {
  Asked asked;
  asked.setup.insecure().with(pt::usable());
  CHECK(asked.postfix() == "OK dane");
  asked.setup.with(pt::sts(StsMode::enforce));
  CHECK(asked.postfix() == "OK secure match=mx.example.com servername=hostname");
  asked.setup.with(pt::sts(StsMode::testing));
  asked.setup.settings.insecure_mx = InsecureMx::opportunistic;
  CHECK(asked.postfix() == absent);
}

TEST_CASE("map: a TLSA look-up that failed is no absence") {
  for (const bool bogus : {false, true}) {
    Asked asked;
    asked.setup.with(pt::dane_failed(bogus));
    CHECK(is_temporary(asked.postfix(), "could not be found out"));
    asked.add("mx2.example.com");
    CHECK(asked.postfix() == "OK dane");
    asked.setup.with(pt::sts(StsMode::enforce, {"*.example.com"}));
    CHECK(is_temporary(asked.postfix(), "could not be found out"));
    asked.more.front().dane = pt::usable("mx2.example.com");
    CHECK(asked.postfix() == "OK dane");
    asked.more.front().dane = pt::no_dane();
    asked.setup.with(StsAbsent{"none"});
    asked.setup.settings.fallback = Default::encrypted;
    CHECK(is_temporary(asked.postfix(), "could not be found out"));
  }
}

TEST_CASE("map: an address that could not be found out leaves TLSA unknown behind a secure MX") {
  Asked asked = with(StsMode::enforce, {"*.example.com"});
  asked.add("mx2.example.com");
  asked.more.front().addresses.clear();
  asked.more.front().address_error = "SERVFAIL";
  CHECK(is_temporary(asked.postfix(), "mx2.example.com"));
  asked.setup.insecure();
  CHECK(asked.postfix() == "OK secure match=.example.com servername=hostname");
  asked.setup.with(StsAbsent{"none"});
  CHECK(asked.postfix() == "OK dane");
  asked.more.front().address_error.reset();
  asked.more.front().no_address_proven = true;
  CHECK(asked.postfix() == absent);
}

TEST_CASE("map: a domain that takes no mail is the MTA's to find out") {
  for (const MxOutcome& mx :
       {MxOutcome(NullMx{}), MxOutcome(NoSuchDomain{}), MxOutcome(NoUsableMx{"no host"})}) {
    Asked asked = with(StsMode::enforce);
    asked.setup.facts.mx = mx;
    CHECK(asked.postfix() == absent);
    CHECK(asked.sendmail() == absent);
  }
  Asked nowhere;
  nowhere.setup.host.addresses.clear();
  nowhere.setup.host.no_address_proven = true;
  CHECK(nowhere.postfix() == absent);
}

TEST_CASE("map: an MX that could not be found out makes the mail wait") {
  for (const bool bogus : {false, true}) {
    Asked asked;
    asked.setup.facts.mx = MxFailed{"SERVFAIL from 192.0.2.53", bogus};
    CHECK(is_temporary(asked.postfix(), "SERVFAIL from 192.0.2.53"));
    asked.setup.settings.mode = Mode::observe;
    CHECK(is_temporary(asked.sendmail(), "SERVFAIL from 192.0.2.53"));
  }
  Asked asked;
  asked.setup.host.addresses.clear();
  asked.setup.host.address_error = "SERVFAIL";
  CHECK(is_temporary(asked.postfix(), "DNS gave no answer"));
}

TEST_CASE("map: observe enforces nothing") {
  Asked asked = with(StsMode::enforce);
  asked.setup.settings.mode = Mode::observe;
  CHECK(asked.postfix() == absent);
  asked.setup.with(pt::usable());
  CHECK(asked.postfix() == absent);
  asked.setup.with(pt::sts(StsMode::enforce, {"other.example"}));
  CHECK(asked.postfix() == absent);
  CHECK(asked.sendmail() == absent);
}

// ── what the operator says ──────────────────────────────────────────────────────────────────────

TEST_CASE("map: an exception is the level that it allows") {
  Exception exception;
  for (const Mode mode : {Mode::enforce, Mode::observe}) {
    Asked asked = with(StsMode::enforce);
    asked.setup.with(pt::usable()).with(exception);
    asked.setup.settings.mode = mode;
    exception.allow = Allow::opportunistic;
    CHECK(asked.postfix() == "OK may");
    CHECK(asked.sendmail() == absent);
    exception.allow = Allow::encrypted;
    CHECK(asked.postfix() == "OK encrypt");
    CHECK(asked.sendmail() == "OK secure servername=hostname");
  }
}

TEST_CASE("map: an exception does not cover a host whose TLSA records are bogus") {
  Exception exception;
  exception.allow = Allow::encrypted;
  Asked asked;
  asked.setup.with(exception);
  asked.add("mx2.example.com", pt::dane_failed(true));
  CHECK(is_temporary(asked.postfix(), "could not be found out"));
  CHECK(is_temporary(asked.sendmail(), "could not be found out"));
  asked.more.front().dane = pt::dane_failed();
  CHECK(asked.postfix() == "OK encrypt");
  exception.ignore_dnssec = true;
  asked.more.front().dane = pt::dane_failed(true);
  CHECK(asked.postfix() == "OK encrypt");
}

TEST_CASE("map: a rule that requires DANE is `dane-only`") {
  Rule rule;
  rule.require = Require::dane;
  Asked asked;
  asked.setup.with(rule).with(pt::usable());
  CHECK(asked.postfix() == "OK dane-only");
  CHECK(is_temporary(asked.sendmail(), "Sendmail"));
  asked.add("mx2.example.com");
  CHECK(asked.postfix() == "OK dane-only");
  asked.setup.with(pt::no_dane());
  CHECK(is_temporary(asked.postfix(), "requires DANE"));
  asked.setup.with(pt::usable()).insecure();
  CHECK(is_temporary(asked.postfix(), "not signed"));
}

TEST_CASE("map: `encrypted` of rule or default") {
  Rule rule;
  rule.require = Require::encrypted;
  Asked by_rule;
  by_rule.setup.with(rule);
  CHECK(by_rule.postfix() == "OK encrypt");
  CHECK(by_rule.sendmail() == "OK secure servername=hostname");
  Asked by_default;
  by_default.setup.settings.fallback = Default::encrypted;
  CHECK(by_default.postfix() == "OK encrypt");
  by_default.setup.with(pt::sts(StsMode::enforce));
  CHECK(by_default.postfix() == "OK secure match=mx.example.com servername=hostname");
  by_default.setup.with(pt::usable());
  CHECK(by_default.postfix() == "OK dane");
  by_default.setup.with(pt::unusable()).with(StsAbsent{"none"});
  CHECK(by_default.postfix() == "OK dane");
  // `dane` lets a host without TLSA have it in cleartext.
  by_default.add("mx2.example.com");
  CHECK(is_temporary(by_default.postfix(), "mx2.example.com"));
}

TEST_CASE("map: `verified` is a name out of signed DNS, the rule's list, or the domain itself") {
  Asked asked;
  asked.setup.settings.fallback = Default::verified;
  CHECK(asked.postfix() == "OK verify match=hostname servername=hostname");
  CHECK(asked.sendmail() == "OK secure servername=hostname");
  asked.setup.insecure();
  CHECK(asked.postfix() == "OK secure match=nexthop servername=hostname");
  CHECK(is_temporary(asked.sendmail(), "Sendmail"));
  Rule rule;
  rule.mx = {"mx.example.com", "*.backup.example"};
  asked.setup.with(rule);
  const std::string named = "OK secure match=mx.example.com:.backup.example servername=hostname";
  CHECK(asked.postfix() == named);
  CHECK(asked.sendmail() == named);
  rule.mx = {"other.example.com"};
  CHECK(is_temporary(asked.postfix(), "does not approve"));
}

TEST_CASE("map: a rule's list beside an enforce policy leaves the hosts that both approve") {
  Rule rule;
  rule.mx = {"*.example.com"};
  Asked asked = with(StsMode::enforce, {"mx.example.com", "*.example.net"});
  asked.setup.with(rule);
  asked.add("mx.example.net");
  CHECK(asked.postfix() == "OK secure match=mx.example.com servername=hostname");
  CHECK(asked.tlsrpt().find("mx_host_pattern=mx.example.com {") != std::string::npos);
}

TEST_CASE("map: hosts that a rule rules out and no level keeps away make the mail wait") {
  Rule rule;
  rule.mx = {"mx.example.com"};
  Asked asked;
  asked.setup.with(rule).with(pt::usable());
  CHECK(asked.postfix() == "OK dane");
  asked.add("mx2.example.com");
  CHECK(is_temporary(asked.postfix(), "mx2.example.com"));
  rule.require = Require::dane;
  CHECK(asked.postfix() == "OK dane-only");
  asked.add("mx3.example.com", pt::usable("mx3.example.com"));
  CHECK(is_temporary(asked.postfix(), "mx3.example.com"));
  asked.more.back().dane = pt::no_dane();
  CHECK(asked.postfix() == "OK dane-only");
  asked.more.front().dane = pt::usable("mx2.example.com");
  CHECK(is_temporary(asked.postfix(), "mx2.example.com"));
  rule.require = Require::encrypted;
  asked.setup.with(pt::no_dane());
  asked.more.front().dane = pt::no_dane();
  CHECK(is_temporary(asked.postfix(), "mx.example.com"));
}

TEST_CASE("map: DANE of a host that the rule does not name gives no level") {
  Rule rule;
  rule.mx = {"mx.example.com"};
  Asked asked;
  asked.setup.with(rule);
  asked.add("mx2.example.com", pt::usable("mx2.example.com"));
  CHECK(asked.postfix() == "OK secure match=mx.example.com servername=hostname");
  rule.require = Require::encrypted;
  CHECK(is_temporary(asked.postfix(), "mx.example.com"));
}

TEST_CASE("map: a rule's list holds whatever else rules the same host out") {
  Rule rule;
  rule.mx = {"mx.example.com"};
  Asked asked = with(StsMode::enforce);
  asked.setup.with(rule).with(pt::usable());
  CHECK(asked.postfix() == "OK dane");
  asked.add("mx2.example.com");  // Neither the rule nor the policy lists it.
  CHECK(is_temporary(asked.postfix(), "mx2.example.com"));
  // Nor is a host approved because its DNS is dead at the moment.
  asked.setup.with(StsAbsent{"none"});
  asked.more.front().addresses.clear();
  asked.more.front().address_error = "SERVFAIL";
  CHECK(is_temporary(asked.postfix(), "mx2.example.com"));
  asked.more.front().address_error.reset();
  asked.more.front().no_address_proven = true;
  CHECK(asked.postfix() == "OK dane");
}

TEST_CASE("map: pins are fingerprints, alone") {
  Rule rule;
  rule.spki_sha256 = {std::string(62, '0') + "ab", std::string(62, '1') + "cd"};
  Asked asked;
  asked.setup.with(rule);
  std::string zeros, ones;
  for (int i = 0; i < 31; ++i) {
    zeros += "00:";
    ones += "11:";
  }
  CHECK(asked.postfix() == "OK fingerprint match=" + zeros + "AB|" + ones + "CD");
  CHECK(is_temporary(asked.sendmail(), "Sendmail"));
  asked.add("mx2.example.com", pt::dane_failed());
  CHECK(is_temporary(asked.postfix(), "could not be found out"));
  asked.more.front().dane = pt::no_dane();
  asked.setup.with(pt::usable());
  CHECK(is_temporary(asked.postfix(), "pinned"));
  asked.setup.with(pt::no_dane()).with(pt::sts(StsMode::enforce));
  CHECK(is_temporary(asked.postfix(), "pinned"));
}

TEST_CASE("map: a rule's own CAs are `tafile`") {
  Rule rule;
  rule.ca_file = "/etc/sternpost/partner-ca.pem";
  Asked asked;
  asked.setup.with(rule);
  CHECK(asked.postfix() == "OK verify match=hostname servername=hostname "
                           "tafile=/etc/sternpost/partner-ca.pem");
  CHECK(is_temporary(asked.sendmail(), "Sendmail"));
  asked.setup.with(pt::sts(StsMode::enforce));
  CHECK(asked.postfix() == "OK secure match=mx.example.com servername=hostname "
                           "tafile=/etc/sternpost/partner-ca.pem");
  asked.setup.with(pt::usable());
  CHECK(is_temporary(asked.postfix(), "through the relay"));
  asked.setup.with(pt::no_dane());
  rule.ca_file = "/etc/my cas, {all}.pem";
  CHECK(is_temporary(asked.postfix(), "through the relay"));
}

TEST_CASE("map: `combine = both` and `dane-alone`") {
  Asked asked = with(StsMode::enforce);
  asked.setup.with(pt::usable()).with(Combine::both);
  CHECK(is_temporary(asked.postfix(), "through the relay"));
  CHECK(asked.sendmail() == "OK secure match=mx.example.com servername=hostname");
  asked.setup.with(Combine::dane_alone);
  CHECK(asked.postfix() == "OK dane");
  asked.setup.with(pt::sts(StsMode::enforce, {"other.example"}));
  CHECK(asked.postfix() == "OK dane");
}

TEST_CASE("map: a rule that verifies is held in a domain of which not all hosts have DANE") {
  Rule rule;
  Asked asked = with(StsMode::enforce, {"*.example.com"});
  asked.setup.with(rule).with(pt::usable());
  CHECK(asked.postfix() == "OK dane");
  asked.add("mx2.example.com");
  CHECK(is_temporary(asked.postfix(), "mx2.example.com"));
}

// ── hostile words ───────────────────────────────────────────────────────────────────────────────

TEST_CASE("map: the text of a policy cannot leave its braces or its line") {
  StsActive active = std::get<StsActive>(pt::sts(StsMode::enforce));
  active.policy.lines = {"version: STSv1", "x: } policy_failure=sts-policy-invalid {",
                         "y: a\tb\r\n,\x01\x7f\xc3\xa9", "", "z: " + std::string(5000, '{')};
  Asked asked;
  asked.setup.with(StsState(active));
  const std::string answer = asked.tlsrpt();
  CHECK(answer.find("{ policy_string = x: ) policy_failure=sts-policy-invalid ( }") !=
        std::string::npos);
  CHECK(answer.find("{ policy_string = y: a b??,???? }") != std::string::npos);
  int depth = 0;
  for (const char c : answer) {
    CHECK((c >= 0x20 && c < 0x7f));
    depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    CHECK((depth == 0 || depth == 1));
  }
  CHECK(depth == 0);
  CHECK(answer.size() < 2000);
}

TEST_CASE("map: a long policy stays under what Postfix takes, and is no less strict") {
  std::vector<std::string> mx;
  for (int i = 0; i < 4000; ++i) mx.push_back("mx" + std::to_string(i) + ".example.com");
  mx.push_back("mx.example.com");
  const Asked asked = with(StsMode::enforce, mx);
  CHECK(asked.postfix() == "OK secure match=mx.example.com servername=hostname");
  CHECK(asked.tlsrpt().size() < 60000);
  CHECK(asked.tlsrpt().find(" mx_host_pattern=mx.example.com {") != std::string::npos);
  CHECK(asked.sendmail() == "OK secure match=mx.example.com servername=hostname");
}

TEST_CASE("map: an answer with all that is reported stays below what Postfix takes") {
  // Many short patterns: their attributes are five times as long as they are.
  std::vector<std::string> mx = {"mx.example.com"};
  for (int i = 0; i < 3000; ++i) mx.push_back(std::string{static_cast<char>('a' + i % 26)} + ".b");
  Asked asked = with(StsMode::enforce, mx);
  const std::string one = "OK secure match=mx.example.com servername=hostname policy_type=sts "
                          "policy_domain=example.com mx_host_pattern=mx.example.com "
                          "{ policy_string = version: STSv1 } { policy_string = mode: enforce }";
  CHECK(asked.tlsrpt().starts_with(one));
  CHECK(asked.tlsrpt().size() < 66000);
  CHECK(asked.postfix().size() > 12000);
  // Many short lines: what has no room is left out, whole.
  StsActive active = std::get<StsActive>(pt::sts(StsMode::enforce));
  active.policy.lines.assign(10000, "x");
  asked.setup.with(StsState(active));
  const std::string lines = asked.tlsrpt();
  CHECK(lines.size() < 66000);
  CHECK(lines.size() > 60000);
  CHECK(lines.ends_with(" { policy_string = x }"));
}

TEST_CASE("map: a name that Postfix takes for a strategy is left out") {
  Asked asked = with(StsMode::enforce, {"nexthop", "hostname", "*.com", "mx.example.com"});
  CHECK(asked.postfix() == "OK secure match=mx.example.com servername=hostname");
  asked.setup.facts.mx = MxList{{{pt::name("hostname"), 10}}, {}};
  asked.setup.host.host = pt::name("hostname");
  asked.setup.with(pt::sts(StsMode::enforce, {"hostname"}));
  CHECK(is_temporary(asked.postfix(), "hostname"));
}

TEST_CASE("map: a reason is one short line of ASCII") {
  Asked asked;
  asked.setup.facts.mx = MxFailed{"a\r\nb\xff" + std::string(5000, 'x'), false};
  const std::string answer = asked.postfix();
  CHECK(is_temporary(answer, "a??b?xxx"));
  CHECK(answer.size() < 500);
  CHECK(payload_of(permanent("no map\n")) == "PERM no map?");
}
