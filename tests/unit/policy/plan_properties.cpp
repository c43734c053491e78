// Invariants over random facts, settings and evidence: what must hold whatever is published and
// whatever the operator says. Seeded, so that a failure can be repeated.
#include <algorithm>
#include <random>

#include "plan_support.h"
#include "policy/tls_policy.h"

namespace {

using namespace policy;
namespace pt = plan_test;

constexpr int rounds = 2000;

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(engine_); }
  bool coin(int one_in = 2) { return below(one_in) == 0; }
  template <class T>
  T of(std::initializer_list<T> items) {
    return *(items.begin() + below(static_cast<int>(items.size())));
  }

 private:
  std::mt19937 engine_;
};

std::vector<std::string> some_patterns(Random& random) {
  std::vector<std::string> all{"mx.example.com", "*.example.com", "other.example.com", "*.com"};
  all.resize(static_cast<std::size_t>(1 + random.below(4)));
  std::rotate(all.begin(), all.begin() + random.below(static_cast<int>(all.size())), all.end());
  return all;
}

StsState some_sts(Random& random) {
  switch (random.below(6)) {
    case 0: return StsAbsent{"no record"};
    case 1: return StsUnavailable{"1", pt::fetch_failure()};
    case 2: return StsUnknown{"time-out"};
    case 3: return pt::sts(StsMode::none, some_patterns(random));
    case 4: return pt::sts(StsMode::testing, some_patterns(random));
    default: return pt::sts(StsMode::enforce, some_patterns(random));
  }
}

dane::Status some_dane(Random& random) {
  switch (random.below(6)) {
    case 0: return pt::no_dane();
    case 1: return pt::unusable();
    case 2: return pt::dane_failed(random.coin());
    case 3: return pt::usable("mx.example.com", {pt::tlsa(2, 0), pt::tlsa(3, 1, 0x11)});
    default: return pt::usable();
  }
}

// Owns what the operator says, so that plans may point into it.
struct World {
  pt::Setup setup;
  std::vector<Rule> rule;            // none or one
  std::vector<Exception> exception;  // none or one

  Operator op() const {
    return {exception.empty() && !rule.empty() ? &rule.front() : nullptr,
            exception.empty() ? nullptr : &exception.front()};
  }
  bool is_excepted() const { return !exception.empty(); }
  const Rule* in_force() const { return op().rule; }
  bool secure() const { return setup.facts.mx_security == dns::Security::secure; }
  bool dane_counts() const {
    return setup.settings.dane_enabled &&
           (secure() || setup.settings.insecure_mx == InsecureMx::dane);
  }
  template <class T>
  bool dane_is() const {
    return dane_counts() && std::holds_alternative<T>(setup.host.dane);
  }
  const StsPolicy* enforced() const {
    const auto* active = std::get_if<StsActive>(&setup.facts.sts);
    if (!setup.settings.sts_enabled || !active) return nullptr;
    return active->policy.mode == StsMode::enforce ? &active->policy : nullptr;
  }
};

Rule some_rule(Random& random) {
  Rule rule;
  rule.require = random.of({Require::encrypted, Require::verified, Require::dane});
  if (random.coin(3)) rule.mx = some_patterns(random);
  if (rule.require == Require::verified && random.coin(4)) {
    rule.spki_sha256 = {std::string(64, 'a'), std::string(64, 'b')};
  }
  if (rule.require == Require::verified && random.coin(4)) rule.ca_file = "/etc/ca.pem";
  return rule;
}

World some_world(Random& random) {
  World w;
  Settings& s = w.setup.settings;
  s.mode = random.of({Mode::enforce, Mode::observe});
  s.combine = random.of({Combine::dane_first, Combine::both, Combine::dane_alone});
  s.fallback = random.of({Default::opportunistic, Default::opportunistic, Default::encrypted,
                          Default::verified});
  s.insecure_mx = random.of({InsecureMx::dane, InsecureMx::opportunistic});
  s.on_lookup_error = random.of({OnError::deliver, OnError::defer});
  s.on_fetch_error = random.of({OnError::deliver, OnError::defer});
  s.dane_enabled = !random.coin(6);
  s.sts_enabled = !random.coin(6);
  if (random.coin()) w.setup.insecure();
  w.setup.with(some_sts(random)).with(some_dane(random));
  if (random.coin(3)) w.rule.push_back(some_rule(random));
  if (random.coin(5)) {
    Exception exception;
    exception.allow = random.of({Allow::encrypted, Allow::opportunistic});
    exception.ignore_dnssec = random.coin();
    w.exception.push_back(exception);
  }
  return w;
}

Evidence some_evidence(Random& random) {
  if (random.coin(6)) return pt::no_starttls();
  if (random.coin(6)) return pt::no_handshake();
  std::vector<std::string> ids{"mx.example.com", "example.com", "*.example.com", "*.com"};
  std::rotate(ids.begin(), ids.begin() + random.below(4), ids.end());
  ids.resize(static_cast<std::size_t>(random.below(4)));
  TlsSession session = pt::session(
      random.of({ChainState::trusted, ChainState::trusted, ChainState::trusted,
                 ChainState::expired, ChainState::not_yet_valid, ChainState::untrusted,
                 ChainState::unknown}),
      ids);
  session.spki_sha256 = random.of({std::string(64, 'a'), std::string(64, 'z'), std::string()});
  if (random.coin(8)) session.dane.reset();
  if (random.coin()) {
    // The record of some world or another: a match with what is not published is no match.
    session = pt::matching(session, random.of({pt::tlsa(), pt::tlsa(2, 0), pt::tlsa(3, 1, 0x11)}));
  } else if (session.dane) {
    session.dane->expired = random.coin();
    session.dane->name_mismatch = random.coin();
    session.dane->untrusted = random.coin();
  }
  return session;
}

struct Decided {
  std::optional<HostPlan> plan;
  std::optional<Verdict> verdict;  // where the host may be tried
  const Authorized* authorized() const {
    return verdict ? std::get_if<Authorized>(&verdict->outcome) : nullptr;
  }
  bool cleartext() const {
    if (!verdict) return false;
    if (std::holds_alternative<RetryInCleartext>(verdict->outcome)) return true;
    return authorized() && authorized()->protection() == Protection::cleartext;
  }
};

Decided decide(const World& w, const Evidence& evidence) {
  Decided out;
  const auto domain = plan_domain(w.setup.settings, w.op(), w.setup.facts);
  if (const auto* accepted = std::get_if<DomainPlan>(&domain)) {
    out.plan = plan_host(w.setup.settings, *accepted, w.setup.host);
    if (const auto* tried = std::get_if<Try>(&out.plan->decision)) {
      out.verdict = judge(*tried, w.setup.facts.domain, w.setup.host.host, evidence);
    }
  }
  return out;
}

bool names(const Evidence& evidence, std::string_view host, bool chain_too = true) {
  const auto* session = std::get_if<TlsSession>(&evidence);
  if (!session || (chain_too && session->pkix.chain != ChainState::trusted)) return false;
  return std::ranges::any_of(session->pkix.dns_ids, [&](const std::string& id) {
    return base::matches_pattern(id, pt::name(host));
  });
}

bool dane_matches(const World& w, const Evidence& evidence) {
  const auto* session = std::get_if<TlsSession>(&evidence);
  const auto* usable = std::get_if<dane::Usable>(&w.setup.host.dane);
  if (!session || !usable || !session->dane || !session->dane->matched) return false;
  return std::ranges::find(usable->records, *session->dane->matched) != usable->records.end();
}

template <class Check>
void for_random_worlds(unsigned seed, Check check) {
  Random random(seed);
  for (int i = 0; i < rounds; ++i) {
    const World w = some_world(random);
    const Evidence evidence = some_evidence(random);
    const Decided decided = decide(w, evidence);
    INFO("round " << i << " of seed " << seed);
    check(w, evidence, decided);
  }
}

}  // namespace

TEST_CASE("invariant 1: no cleartext where TLSA is there or MTA-STS is enforced", "[property]") {
  int seen = 0;
  for_random_worlds(1, [&](const World& w, const Evidence&, const Decided& d) {
    if (w.is_excepted()) return;
    const bool promised =
        w.dane_is<dane::Usable>() || w.dane_is<dane::Unusable>() || w.enforced() || w.in_force();
    if (promised && d.cleartext()) FAIL("cleartext");
    seen += d.cleartext() ? 1 : 0;
  });
  CHECK(seen > 0);
}

TEST_CASE("invariant 2: PKIX never rescues a TLSA mismatch", "[property]") {
  int tempted = 0;
  for_random_worlds(2, [&](const World& w, const Evidence& e, const Decided& d) {
    if (w.is_excepted() || !w.dane_is<dane::Usable>() || dane_matches(w, e)) return;
    tempted += names(e, "mx.example.com") ? 1 : 0;
    if (d.authorized()) FAIL("authorized");
  });
  CHECK(tempted > 0);
}

TEST_CASE("a TLSA mismatch is never called authenticated, exception or not", "[property]") {
  for_random_worlds(3, [&](const World& w, const Evidence& e, const Decided& d) {
    if (!w.dane_is<dane::Usable>() || dane_matches(w, e) || !d.authorized()) return;
    REQUIRE(d.authorized()->peer_auth() == PeerAuth::none);
  });
}

TEST_CASE("invariant 3: no name, no date, no chain for a DANE-EE match", "[property]") {
  int seen = 0;
  for_random_worlds(4, [&](const World& w, const Evidence& e, const Decided& d) {
    if (!d.plan || !std::holds_alternative<Try>(d.plan->decision) || !dane_matches(w, e)) return;
    const Try& tried = std::get<Try>(d.plan->decision);
    if (!std::holds_alternative<Dane>(tried.requirement)) return;
    Evidence worst = e;
    auto& pkix = std::get<TlsSession>(worst).pkix;
    pkix = {};
    pkix.chain = ChainState::expired;
    const Verdict verdict = judge(tried, w.setup.facts.domain, w.setup.host.host, worst);
    REQUIRE(std::holds_alternative<Authorized>(verdict.outcome));
    ++seen;
  });
  CHECK(seen > 0);
}

TEST_CASE("invariant 4: a look-up error never yields no DANE", "[property]") {
  int seen = 0;
  for_random_worlds(5, [&](const World& w, const Evidence&, const Decided& d) {
    if (w.is_excepted() || !w.dane_is<dane::LookupFailed>() || !d.plan) return;
    REQUIRE(std::holds_alternative<Excluded>(d.plan->decision));
    REQUIRE(std::get<Excluded>(d.plan->decision).by_policy);
    ++seen;
  });
  CHECK(seen > 0);
}

TEST_CASE("invariant 6: security never changes the order of hosts, nor drops one", "[property]") {
  Random random(6);
  for (int i = 0; i < 300; ++i) {
    World w = some_world(random);
    if (w.in_force() && w.in_force()->require == Require::dane) w.rule.clear();
    MxList list;
    const int count = 1 + random.below(6);
    for (int k = 0; k < count; ++k) {
      list.hosts.push_back({pt::name("mx" + std::to_string(random.below(4)) + ".example.com"),
                            static_cast<std::uint16_t>(random.below(3) * 10)});
    }
    w.setup.facts.mx = list;
    auto want = list.hosts;
    std::ranges::stable_sort(want, {}, &MxHost::preference);
    const auto domain = plan_domain(w.setup.settings, w.op(), w.setup.facts);
    if (const auto* refused = std::get_if<Refused>(&domain)) {
      REQUIRE(refused->by_policy);
      continue;
    }
    const auto& got = std::get<DomainPlan>(domain).hosts;
    REQUIRE(got.size() == want.size());
    for (std::size_t k = 0; k < got.size(); ++k) {
      REQUIRE(got[k].host == want[k].host);
      REQUIRE(got[k].preference == want[k].preference);
    }
  }
}

TEST_CASE("invariant 7: a wildcard stands for exactly one label, in policy, rule and certificate",
          "[property]") {
  Random random(7);
  for (int i = 0; i < 300; ++i) {
    const int labels = random.below(4);
    std::string host = "example.com";
    for (int k = 0; k < labels; ++k) host = std::string(1, static_cast<char>('a' + k)) + "." + host;
    const bool want = labels == 1;
    pt::Setup setup;
    setup.host.host = pt::name(host);

    setup.with(pt::sts(StsMode::enforce, {"*.example.com"}));
    REQUIRE(std::holds_alternative<Try>(setup.plan().decision) == want);

    setup.with(pt::sts(StsMode::enforce, {host}));
    const auto verdict = setup.judged(pt::session(ChainState::trusted, {"*.example.com"}));
    REQUIRE((pt::authorized(verdict) != nullptr) == want);

    setup.with(StsAbsent{""});
    Rule rule;
    rule.require = Require::verified;
    rule.mx = {"*.example.com"};
    setup.with(rule);
    REQUIRE(std::holds_alternative<Try>(setup.plan().decision) == want);
  }
}

TEST_CASE("invariant 9: no policy refuses for good", "[property]") {
  for_random_worlds(8, [&](const World& w, const Evidence&, const Decided& d) {
    const auto domain = plan_domain(w.setup.settings, w.op(), w.setup.facts);
    if (const auto* refused = std::get_if<Refused>(&domain)) REQUIRE(refused->reply.code == 451);
    if (d.plan) {
      if (const auto* out = std::get_if<Excluded>(&d.plan->decision)) {
        REQUIRE(out->reply.code == 451);
        REQUIRE_FALSE(out->reason.empty());
      }
    }
    if (d.verdict) {
      if (const auto* no = std::get_if<Denied>(&d.verdict->outcome)) {
        REQUIRE(no->reply.code == 451);
        REQUIRE(no->by != PolicyKind::none);
        REQUIRE(d.verdict->result.has_value());
      }
    }
  });
}

TEST_CASE("an enforce policy is never got round by an insecure MX", "[property]") {
  int seen = 0;
  for_random_worlds(9, [&](const World& w, const Evidence& e, const Decided& d) {
    if (w.is_excepted() || w.secure() || !w.enforced() || !d.authorized()) return;
    REQUIRE(w.enforced()->matching_pattern(w.setup.host.host));
    REQUIRE(names(e, "mx.example.com"));
    ++seen;
  });
  CHECK(seen > 0);
}

TEST_CASE("an enforce policy names every host that mail goes to, but under dane-alone",
          "[property]") {
  for_random_worlds(10, [&](const World& w, const Evidence& e, const Decided& d) {
    if (w.is_excepted() || !w.enforced() || !d.authorized()) return;
    const bool alone = w.setup.settings.combine == Combine::dane_alone && w.secure() &&
                       w.dane_is<dane::Usable>() && dane_matches(w, e);
    if (!alone) REQUIRE(w.enforced()->matching_pattern(w.setup.host.host));
  });
}

TEST_CASE("verified means authenticated, dane means DANE, encrypted means TLS", "[property]") {
  int seen = 0;
  for_random_worlds(11, [&](const World& w, const Evidence&, const Decided& d) {
    if (w.is_excepted() || !d.authorized()) return;
    const auto require = w.in_force() ? std::optional(w.in_force()->require) : std::nullopt;
    const Default fallback = w.setup.settings.fallback;
    const Protection got = d.authorized()->protection();
    const PeerAuth auth = d.authorized()->peer_auth();
    if (require == Require::verified || fallback == Default::verified) {
      REQUIRE(got == Protection::authenticated);
      ++seen;
    }
    if (require == Require::dane) {
      REQUIRE((auth == PeerAuth::dane_ee || auth == PeerAuth::dane_ta));
      REQUIRE(got == Protection::authenticated);
    }
    if (require || fallback != Default::opportunistic) REQUIRE(got != Protection::cleartext);
  });
  CHECK(seen > 0);
}

TEST_CASE("authenticated needs a peer that proved itself and a host that is vouched for",
          "[property]") {
  for_random_worlds(12, [&](const World& w, const Evidence& e, const Decided& d) {
    if (!d.authorized() || d.authorized()->protection() != Protection::authenticated) return;
    REQUIRE(d.authorized()->peer_auth() != PeerAuth::none);
    const bool by_sts = w.enforced() && w.enforced()->matching_pattern(w.setup.host.host);
    const Rule* rule = w.in_force();
    const bool by_rule = rule && (!rule->mx.empty() || !rule->spki_sha256.empty());
    REQUIRE((w.secure() || by_sts || by_rule || names(e, "example.com")));
  });
}

TEST_CASE("rules and default only make stricter; both is stricter than dane-first", "[property]") {
  int refused_more = 0;
  for_random_worlds(13, [&](const World& w, const Evidence& e, const Decided& d) {
    if (w.is_excepted() || !d.authorized()) return;
    World bare = w;
    bare.rule.clear();
    bare.setup.settings.fallback = Default::opportunistic;
    const Decided without = decide(bare, e);
    REQUIRE(without.authorized());
    if (w.setup.settings.combine == Combine::both) {
      World first = w;
      first.setup.settings.combine = Combine::dane_first;
      REQUIRE(decide(first, e).authorized());
    }
    if (w.setup.settings.combine == Combine::dane_first) {
      World both = w;
      both.setup.settings.combine = Combine::both;
      refused_more += decide(both, e).authorized() ? 0 : 1;
    }
  });
  CHECK(refused_more > 0);
}

TEST_CASE("verdict and report agree", "[property]") {
  for_random_worlds(14, [&](const World& w, const Evidence&, const Decided& d) {
    if (!d.verdict) return;
    const auto failed_under = [&](tlsrpt::PolicyType type) {
      return std::ranges::any_of(d.verdict->results, [type](const tlsrpt::SessionResult& r) {
        return r.policy.type == type && !r.success && !r.failures.empty();
      });
    };
    REQUIRE_FALSE(d.verdict->results.empty());
    for (const tlsrpt::SessionResult& r : d.verdict->results) {
      if (!r.success) REQUIRE_FALSE(r.failures.empty());
    }
    if (const auto* no = std::get_if<Denied>(&d.verdict->outcome)) {
      if (no->by == PolicyKind::tlsa) REQUIRE(failed_under(tlsrpt::PolicyType::tlsa));
      if (no->by == PolicyKind::sts) REQUIRE(failed_under(tlsrpt::PolicyType::sts));
    }
    const Try& tried = std::get<Try>(d.plan->decision);
    if (d.authorized() && !w.is_excepted() && tried.kind == PolicyKind::tlsa &&
        tried.tlsa->usable) {
      REQUIRE_FALSE(failed_under(tlsrpt::PolicyType::tlsa));
    }
    if (d.authorized() && std::holds_alternative<Pkix>(tried.requirement) && tried.pkix_by_sts) {
      REQUIRE_FALSE(failed_under(tlsrpt::PolicyType::sts));
    }
  });
}

TEST_CASE("observe: the first walk decides as enforce does, the second stops at nothing but DNS",
          "[property]") {
  for_random_worlds(15, [&](const World& w, const Evidence& e, const Decided&) {
    World enforce = w;
    enforce.setup.settings.mode = Mode::enforce;
    World observe = w;
    observe.setup.settings.mode = Mode::observe;
    const Decided a = decide(enforce, e);
    const Decided b = decide(observe, e);
    REQUIRE(b.plan);  // the hosts are known, whatever a policy says
    REQUIRE((a.authorized() == nullptr) == (b.authorized() == nullptr));
    const Verdict second =
        judge(b.plan->unprotected, w.setup.facts.domain, w.setup.host.host, e);
    REQUIRE_FALSE(std::holds_alternative<Denied>(second.outcome));
  });
}

TEST_CASE("an exception never makes a domain stricter", "[property]") {
  for_random_worlds(16, [&](const World& w, const Evidence& e, const Decided& d) {
    if (w.is_excepted() || !d.authorized() || d.cleartext()) return;
    World weaker = w;
    for (const Allow allow : {Allow::encrypted, Allow::opportunistic}) {
      Exception exception;
      exception.allow = allow;
      weaker.exception = {exception};
      REQUIRE(decide(weaker, e).authorized());
    }
  });
}

namespace {

// What Postfix demands of a host under that answer: "", "may", "encrypt", "dane", "pkix", "pin";
// "" is a host that it does not use.
std::string postfix_demands(const MapAnswer& answer, const World& w, const HostFacts& host) {
  if (answer.kind == MapAnswer::Kind::temporary) return "";
  if (answer.kind == MapAnswer::Kind::not_found) return "may";
  const std::string level = answer.text.substr(0, answer.text.find(' '));
  if (level == "secure" || level == "verify") return "pkix";
  if (level == "fingerprint") return "pin";
  if (!level.starts_with("dane")) return level;
  CHECK(w.setup.settings.dane_enabled);
  if (std::holds_alternative<dane::LookupFailed>(host.dane)) return "";
  if (std::holds_alternative<dane::Usable>(host.dane)) return "dane";
  if (level == "dane-only") return "";
  return std::holds_alternative<dane::Unusable>(host.dane) ? "encrypt" : "may";
}

bool enough(const std::string& demand, const Try& plan, bool insecure_enforced, bool floor) {
  if (demand.empty()) return true;
  switch (plan.requirement.index()) {
    case 0: return true;
    case 1: return demand != "may";
    case 2: return demand == "dane";
    case 3: return demand == "pkix" || (plan.pkix_by_sts && !floor);  // decision 16
    case 4: return demand == "pkix" && insecure_enforced;
    default: break;
  }
  const auto& pinned = std::get<Pinned>(plan.requirement);
  return demand == "pin" && !pinned.dane && !pinned.pkix;
}

}  // namespace

TEST_CASE("the policy map never lets a host off with less than its plan demands") {
  Random random(16);
  int answered = 0;
  for (int i = 0; i < rounds * 5; ++i) {
    World w = some_world(random);
    w.setup.settings.mode = Mode::enforce;
    w.exception.clear();
    HostFacts second = w.setup.host;
    second.host = pt::name("other.example.com");
    second.dane = some_dane(random);
    std::get<MxList>(w.setup.facts.mx).hosts.push_back({second.host, 20});
    GatheredFacts facts{w.setup.facts, {}};
    facts.hosts = {std::make_shared<HostFacts>(w.setup.host), std::make_shared<HostFacts>(second)};
    const Survey survey = plan_all(w.setup.settings, w.op(), facts);
    const MapAnswer answer = tls_policy(MapDialect::postfix, w.setup.settings, survey);
    const MapAnswer sendmail = tls_policy(MapDialect::sendmail, w.setup.settings, survey);
    const bool floor = w.in_force() || w.setup.settings.fallback != Default::opportunistic;
    CAPTURE(i, answer.text, sendmail.text, floor, w.secure());
    if (!survey.plan()) {
      CHECK(answer.kind == MapAnswer::Kind::temporary);
      continue;
    }
    answered += answer.kind == MapAnswer::Kind::found ? 1 : 0;
    for (std::size_t n = 0; n < survey.hosts.size(); ++n) {
      const auto* plan = std::get_if<Try>(&survey.hosts[n].decision);
      if (!plan) continue;
      CAPTURE(n, plan->why);
      CHECK(enough(postfix_demands(answer, w, *facts.hosts[n]), *plan,
                   w.enforced() && !w.secure(), floor));
      const bool dane_alone = plan->requirement.index() == 2 || plan->tlsa != nullptr;
      if (sendmail.kind == MapAnswer::Kind::not_found && !dane_alone) {
        CHECK(plan->requirement.index() == 0);
      }
      if (sendmail.kind == MapAnswer::Kind::found) CHECK(plan->requirement.index() != 5);
    }
    // Postfix's own DANE is never off where it authenticates a host that mail may go to.
    if (answer.text.starts_with("secure") || answer.text.starts_with("verify") ||
        answer.text.starts_with("encrypt") || answer.text.starts_with("fingerprint")) {
      for (const HostPlan& host : survey.hosts) {
        const auto& tlsa = host.unprotected.tlsa;
        CHECK_FALSE((w.secure() && tlsa && tlsa->usable &&
                     std::holds_alternative<Try>(host.decision)));
      }
    }
  }
  CHECK(answered > rounds);
}
