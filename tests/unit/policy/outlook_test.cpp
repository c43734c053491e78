#include "policy/outlook.h"

#include <catch2/catch.hpp>
#include <map>

#include "tests/unit/policy/plan_support.h"

using namespace plan_test;
using namespace policy;
using namespace std::chrono_literals;

namespace {

// What was seen of each host, by name.
struct Seen {
  std::map<std::string, Sighting> hosts;
  Outlook operator()(const Setup& setup, std::vector<HostFacts> others = {}) const {
    std::vector<std::shared_ptr<const HostFacts>> facts{std::make_shared<HostFacts>(setup.host)};
    for (HostFacts& one : others) facts.push_back(std::make_shared<HostFacts>(std::move(one)));
    const Survey survey = plan_all(setup.settings, setup.op, {setup.facts, facts});
    return outlook_of(setup.settings, setup.facts.domain, survey,
                      [this](const base::Domain& host, const Try&) -> std::optional<Sighting> {
                        const auto found = hosts.find(host.str());
                        if (found == hosts.end()) return std::nullopt;
                        return found->second;
                      });
  }
};

const Seen nothing{};
Seen fine(std::chrono::seconds ago = 5s) { return {{{"mx.example.com", {true, false, "", ago}}}}; }
Seen failing(const char* reason = "certificate has expired", bool no_starttls = false) {
  return {{{"mx.example.com", {false, no_starttls, reason, 40s}}}};
}

// A second MX behind the first, each with its DANE state.
HostFacts second_host(dane::Status status) {
  return {name("mx2.example.com"), {ip("192.0.2.2")}, {}, false, false, std::move(status)};
}
Setup two_hosts(dane::Status first) {
  Setup setup;
  setup.with(std::move(first));
  std::get<MxList>(setup.facts.mx).hosts.push_back({name("mx2.example.com"), 20});
  return setup;
}

}  // namespace

TEST_CASE("an outlook where nothing is demanded is open, whatever was seen") {
  const Outlook outlook = failing()(Setup());
  CHECK(outlook.prospect == Prospect::open);
  CHECK(outlook.words == "opportunistic");
  CHECK_FALSE(outlook.stale);
}

TEST_CASE("a demand is good where a host met it, unknown where none was seen, bad where all fail") {
  Setup setup;
  setup.with(usable());
  CHECK(fine()(setup).prospect == Prospect::good);
  CHECK(fine()(setup).words == "verified (DANE)");
  CHECK_FALSE(fine()(setup).stale);
  CHECK(fine(13min)(setup).stale);  // renewed before it is no longer believed

  const Outlook unknown = nothing(setup);
  CHECK(unknown.prospect == Prospect::unknown);
  CHECK(unknown.words == "verified (DANE) demanded, not seen lately");
  CHECK(unknown.stale);

  const Outlook bad = failing("no TLSA record matches")(setup);
  CHECK(bad.prospect == Prospect::bad);
  CHECK(code(bad.reply) == "451 4.7.5");
  CHECK(bad.reason ==
        "the TLSA records (DANE) of mx.example.com are not met by MX mx.example.com of "
        "example.com: no TLSA record matches (seen 40 s ago)");
  CHECK(bad.stale);  // it may be mended any time
  CHECK(bad.kind == PolicyKind::tlsa);
}

TEST_CASE("where STARTTLS was missing the reply says 4.7.4") {
  Setup setup;
  setup.insecure().with(sts(StsMode::enforce));
  const Outlook bad = failing("STARTTLS is not offered", true)(setup);
  CHECK(code(bad.reply) == "451 4.7.4");
  CHECK(bad.kind == PolicyKind::sts);
  CHECK(bad.reason.starts_with("the MTA-STS policy of example.com (id 20260101, enforce)"));
  CHECK(fine()(setup).words == "verified (MTA-STS)");
}

TEST_CASE("any host that is not known or fine excuses those that fail") {
  HostFacts second = second_host(usable("mx2.example.com"));
  const Setup setup = two_hosts(usable());
  CHECK(failing()(setup, {second}).prospect == Prospect::unknown);
  Seen both = failing();
  both.hosts["mx2.example.com"] = {true, false, "", 3s};
  CHECK(both(setup, {second}).prospect == Prospect::good);
  both.hosts["mx2.example.com"] = {false, false, "no match", 3s};
  CHECK(both(setup, {second}).prospect == Prospect::bad);
  // The reason is the first host's.
  CHECK(both(setup, {second}).reason.find("MX mx.example.com") != std::string::npos);
}

TEST_CASE("the words are those of the weakest host that may get the mail") {
  HostFacts second = second_host(no_dane());
  const Setup setup = two_hosts(usable());
  const Outlook outlook = fine()(setup, {second});
  CHECK(outlook.prospect == Prospect::open);
  CHECK(outlook.words == "opportunistic");
}

TEST_CASE("a policy that rules every host out is bad without any session") {
  Setup setup;
  setup.insecure().with(sts(StsMode::enforce, {"other.example.com"}));
  const Outlook bad = nothing(setup);
  CHECK(bad.prospect == Prospect::bad);
  CHECK(bad.reason.find("does not list mx.example.com") != std::string::npos);
  CHECK(code(bad.reply) == "451 4.7.5");
  CHECK_FALSE(bad.stale);  // no handshake would tell more
}

TEST_CASE("a TLSA look-up that fails rules a host out, but is told as passing") {
  Setup setup;
  setup.with(dane_failed());
  const Outlook bad = nothing(setup);
  CHECK(bad.prospect == Prospect::bad);
  CHECK(bad.passing);
  CHECK_FALSE(failing()(Setup().with(usable())).passing);
}

TEST_CASE("a host without an address excuses none, one whose address is not known does") {
  HostFacts second = second_host(usable("mx2.example.com"));
  Setup setup = two_hosts(usable());
  second.addresses.clear();
  second.no_address_proven = true;
  CHECK(failing()(setup, {second}).prospect == Prospect::bad);
  second.no_address_proven = false;
  second.address_error = "SERVFAIL";
  CHECK(failing()(setup, {second}).prospect == Prospect::unknown);
  // All without an address: the MTA finds out.
  setup.host.addresses.clear();
  setup.host.no_address_proven = true;
  second.no_address_proven = true;
  second.address_error.reset();
  CHECK(nothing(setup, {second}).prospect == Prospect::unknown);
}

TEST_CASE("RFC 7505 §4.2: a null MX is refused; what else DNS says is left to the MTA") {
  Setup setup;
  setup.facts.mx = NullMx{};
  const Outlook null = nothing(setup);
  CHECK(null.prospect == Prospect::refused);
  CHECK(code(null.reply) == "556 5.1.10");
  setup.facts.mx = NoSuchDomain{};
  CHECK(nothing(setup).prospect == Prospect::unknown);
  setup.facts.mx = MxFailed{"SERVFAIL", false};
  CHECK(nothing(setup).prospect == Prospect::unknown);
  setup.facts.mx = MxFailed{"signature expired", true};
  CHECK(nothing(setup).prospect == Prospect::unknown);
}

TEST_CASE("observe mode tells and says that it only observes") {
  Setup setup;
  setup.with(usable());
  setup.settings.mode = Mode::observe;
  const Outlook bad = failing()(setup);
  CHECK(bad.prospect == Prospect::bad);
  CHECK(bad.observed);
  CHECK(bad.words == "opportunistic (its policy is not met and only observed)");
}

TEST_CASE("DANE behind an unsigned MX is not called verified") {
  Setup setup;
  setup.insecure().with(usable());
  CHECK(fine()(setup).words == "encrypted (DANE, unsigned MX)");
}

TEST_CASE("a message's own demand: verified of a domain that publishes nothing") {
  Setup setup;
  const Rule rule = rule_for(Require::verified, setup.op);
  setup.with(rule);
  CHECK(nothing(setup).prospect == Prospect::unknown);
  CHECK(fine()(setup).prospect == Prospect::good);
  const Outlook bad = failing()(setup);
  CHECK(bad.prospect == Prospect::bad);
  CHECK(bad.reason.starts_with("this server's own requirement for example.com is not met"));

  Setup dane;
  const Rule demands_dane = rule_for(Require::dane, dane.op);
  CHECK(nothing(dane.with(demands_dane)).prospect == Prospect::bad);  // no TLSA record
}

TEST_CASE("a failed MTA-STS look-up makes no certificate bad for good") {
  Setup setup;
  setup.insecure();
  const Rule rule = rule_for(Require::verified, setup.op);
  setup.with(rule);
  CHECK_FALSE(failing()(setup).passing);
  setup.with(StsState(StsUnknown{"SERVFAIL"}));
  CHECK(failing()(setup).prospect == Prospect::bad);
  CHECK(failing()(setup).passing);
  setup.with(StsState(StsUnavailable{"20260101", fetch_failure()}));
  CHECK(failing()(setup).passing);
}

TEST_CASE("a message's own demand keeps the operator's rule, and never weakens it") {
  Rule own;
  own.require = Require::verified;
  own.spki_sha256 = {std::string(64, 'a')};
  own.mx = {"mx.example.com"};
  Operator op{&own, nullptr};
  CHECK(rule_for(Require::encrypted, op).require == Require::verified);
  CHECK(rule_for(Require::dane, op).require == Require::dane);
  CHECK(rule_for(Require::dane, op).mx == own.mx);
  CHECK(rule_for(Require::verified, op).spki_sha256 == own.spki_sha256);
  const Exception exception{};
  CHECK(rule_for(Require::verified, {nullptr, &exception}).require == Require::verified);
}
