// The downgrade memory's decision, and judge() telling it.
#include "policy/downgrade.h"

#include "plan_support.h"

using namespace policy;
namespace pt = plan_test;

namespace {

const base::WallTime monday{std::chrono::sys_days(std::chrono::year(2026) / 6 / 1)};
const base::Ip first = pt::ip("192.0.2.1");
const base::Ip second = pt::ip("192.0.2.2");

Shown tls(const std::string& auth, const std::string& key) {
  Shown shown;
  shown.tls = shown.offered = true;
  shown.peer_auth = auth;
  shown.spki_sha256 = key;
  if (auth.empty()) {
    shown.lacking = {tlsrpt::ResultType::certificate_expired, "certificate has expired"};
  }
  return shown;
}
Shown cleartext(bool offered = false) {
  Shown shown;
  shown.offered = offered;
  shown.lacking = {tlsrpt::ResultType::starttls_not_supported, "STARTTLS is not offered"};
  return shown;
}

// A host's life, session by session.
struct Host {
  Past past{{}, first, monday};
  Host& saw(const Shown& shown, const base::Ip& ip = first) {
    past.ip = ip;
    past.history = learn(past, shown);
    return *this;
  }
  Host& later(std::chrono::milliseconds time) {
    past.now += time;
    return *this;
  }
  std::optional<Downgrade> suspects(const Shown& shown, const base::Ip& ip = first) {
    past.ip = ip;
    return downgrade_of(past, shown);
  }
};

constexpr auto starttls = Downgrade::Lost::starttls;
constexpr auto authentication = Downgrade::Lost::authentication;

}  // namespace

TEST_CASE("a host that nobody knows, or that never had TLS, is suspected of nothing") {
  CHECK_FALSE(Host().suspects(cleartext()));
  CHECK_FALSE(Host().suspects(tls("", "k")));
  CHECK_FALSE(Host().saw(cleartext()).suspects(cleartext()));
  CHECK_FALSE(Host().saw(tls("", "k")).suspects(tls("", "other")));
}

TEST_CASE("RFC 3207 §6: cleartext where there was TLS is suspected, on every way there") {
  auto host = Host().saw(tls("", "k")).later(std::chrono::hours(1));
  const auto found = host.suspects(cleartext());
  REQUIRE(found);
  CHECK(found->lost == starttls);
  CHECK(found->reason ==
        "was last seen with TLS at 2026-06-01T00:00:00.000Z and now: STARTTLS is not offered");
  CHECK(host.suspects(cleartext(true)));    // offered, and then refused or broken
  CHECK(host.suspects(cleartext(), second));  // a new address: a forged record looks like that
  // It is not believed for having been seen once more.
  CHECK(host.saw(cleartext()).suspects(cleartext()));
  CHECK(host.saw(cleartext(), second).suspects(cleartext(), second));
}

TEST_CASE("an address that never offered STARTTLS is known, within bounds, until it does") {
  auto host = Host().saw(cleartext(), second).saw(tls("", "k"), first);
  CHECK_FALSE(host.suspects(cleartext(), second));
  CHECK(host.suspects(cleartext(), first));
  CHECK(host.saw(tls("", "k"), second).suspects(cleartext(), second));
  // A refused STARTTLS is an offer.
  CHECK(Host().saw(cleartext(true), second).saw(tls("", "k")).suspects(cleartext(), second));
  Host many;
  for (int i = 1; i <= 20; ++i) many.saw(cleartext(), pt::ip("192.0.2." + std::to_string(i)));
  CHECK(many.past.history.plain.size() == plain_addresses);
  CHECK(many.saw(cleartext(), pt::ip("192.0.2.20")).past.history.plain.size() == plain_addresses);
}

TEST_CASE("lost authentication is suspected under another key alone") {
  auto host = Host().saw(tls("pkix", "k"));
  const auto found = host.suspects(tls("", "other"));
  REQUIRE(found);
  CHECK(found->lost == authentication);
  CHECK(found->result == tlsrpt::ResultType::certificate_expired);
  CHECK(found->reason == "was last authenticated (pkix) at 2026-06-01T00:00:00.000Z and now shows "
                         "another key: certificate has expired");
  CHECK_FALSE(host.suspects(tls("", "k")));  // the same peer, whatever its certificate is worth
  CHECK_FALSE(host.suspects(tls("pkix", "other")));
  CHECK_FALSE(host.suspects(tls("dane-ee", "other")));
  // A session that is not authenticated changes nothing of that.
  host.later(std::chrono::hours(1)).saw(tls("", "other"));
  CHECK(host.suspects(tls("", "other")));
  CHECK(host.past.history.spki_sha256 == "k");
  // The new key counts from then on.
  host.saw(tls("dane-ta", "other"));
  CHECK(host.suspects(tls("", "k")));
  CHECK_FALSE(host.suspects(tls("", "other")));
  CHECK(host.past.history.peer_auth == "dane-ta");
}

TEST_CASE("after 90 days nothing is held against a host, and each kind has its own time") {
  auto host = Host().saw(tls("pkix", "k"));
  host.later(history_kept);
  CHECK(host.suspects(cleartext()));
  CHECK(host.suspects(tls("", "other")));
  host.saw(tls("", "k")).later(std::chrono::seconds(1));
  CHECK(host.suspects(cleartext()));
  CHECK_FALSE(host.suspects(tls("", "other")));
  CHECK_FALSE(is_forgotten(host.past.history, host.past.now));
  host.later(history_kept);
  CHECK_FALSE(host.suspects(cleartext()));
  CHECK(is_forgotten(host.past.history, host.past.now));
  // Then it may be known to be without, as at first.
  CHECK(host.saw(cleartext()).past.history.plain == std::vector<base::Ip>{first});
  CHECK(is_forgotten(HostHistory(), monday));
}

// ---- judge() ------------------------------------------------------------------------------------

namespace {

Past known_with_tls() { return Host().saw(tls("pkix", "known")).past; }

Try plan_with(OnDowngrade on_downgrade) {
  Try plan = pt::Setup().tried();
  plan.on_downgrade = on_downgrade;
  return plan;
}
Verdict judged(const Try& plan, const Evidence& evidence, const Past& past, bool retry = false) {
  return judge(plan, pt::name("example.com"), pt::name("mx.example.com"), evidence, retry, &past);
}

}  // namespace

TEST_CASE("log: the verdict is what it would be, and tells the downgrade") {
  const Verdict verdict =
      judged(plan_with(OnDowngrade::log), pt::no_starttls(), known_with_tls());
  REQUIRE(verdict.downgrade);
  CHECK(verdict.downgrade->lost == starttls);
  REQUIRE(pt::authorized(verdict));
  CHECK(pt::authorized(verdict)->protection() == Protection::cleartext);
  CHECK(verdict.history->tls == monday);
  CHECK(judged(plan_with(OnDowngrade::log), pt::no_handshake(), known_with_tls()).downgrade);
  CHECK(pt::retries(judged(plan_with(OnDowngrade::log), pt::no_handshake(), known_with_tls())));
}

TEST_CASE("defer: the host is denied, in words that name host and time") {
  const Try plan = plan_with(OnDowngrade::defer);
  const Verdict stripped = judged(plan, pt::no_starttls(), known_with_tls());
  REQUIRE(pt::denied(stripped));
  CHECK(pt::code(pt::denied(stripped)->reply) == "451 4.7.4");
  CHECK(pt::text(pt::denied(stripped)->reply) ==
        "this server's policy.on_downgrade defers mail, because MX mx.example.com of example.com "
        "was last seen with TLS at 2026-06-01T00:00:00.000Z and now: STARTTLS is not offered");
  CHECK(stripped.result == tlsrpt::ResultType::starttls_not_supported);
  // No reconnect in cleartext behind a broken handshake.
  const Verdict broken = judged(plan, pt::no_handshake(), known_with_tls());
  REQUIRE(pt::denied(broken));
  CHECK(pt::code(pt::denied(broken)->reply) == "451 4.7.5");
  const Verdict stranger = judged(plan, pt::session(ChainState::untrusted), known_with_tls());
  REQUIRE(pt::denied(stranger));
  CHECK(stranger.downgrade->lost == authentication);
  CHECK(pt::code(pt::denied(stranger)->reply) == "451 4.7.5");
}

TEST_CASE("an exception passes, and what was seen is remembered all the same") {
  const Verdict verdict =
      judged(plan_with(OnDowngrade::pass), pt::no_starttls(), known_with_tls());
  CHECK_FALSE(verdict.downgrade);
  CHECK(pt::authorized(verdict));
  CHECK(verdict.history);
}

TEST_CASE("a policy's refusal keeps its words, and the downgrade is told beside it") {
  Try plan = pt::Setup().with(pt::usable()).tried();
  plan.on_downgrade = OnDowngrade::defer;
  const Verdict verdict = judged(plan, pt::no_starttls(), known_with_tls());
  REQUIRE(pt::denied(verdict));
  CHECK(pt::denied(verdict)->by == PolicyKind::tlsa);
  CHECK(verdict.downgrade);
}

TEST_CASE("the results for TLS-RPT are those of the session, whatever its past") {
  const Try plan = plan_with(OnDowngrade::defer);
  const Verdict with = judged(plan, pt::no_starttls(), known_with_tls());
  const Verdict without = judged(plan, pt::no_starttls(), Past{{}, first, monday});
  CHECK(pt::summary(with.results) == pt::summary(without.results));
  CHECK_FALSE(without.downgrade);
}

TEST_CASE("the plan: an exception passes, observe's second walk only tells") {
  pt::Setup setup;
  setup.settings.on_downgrade = OnDowngrade::defer;
  const HostPlan plan = setup.plan();
  CHECK(std::get<Try>(plan.decision).on_downgrade == OnDowngrade::defer);
  CHECK(plan.unprotected.on_downgrade == OnDowngrade::log);
  Exception exception;
  exception.allow = Allow::opportunistic;
  setup.with(exception);
  CHECK(std::get<Try>(setup.plan().decision).on_downgrade == OnDowngrade::pass);
}
