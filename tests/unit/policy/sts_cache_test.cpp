// StsCache: each rule of RFC 8461 §3.3, §5.1, §8.1 and §10.2 for what is kept, at which moment.
#include <catch2/catch.hpp>
#include <set>

#include "policy/sts_cache.h"

using namespace std::chrono_literals;
using base::WallTime;
using policy::StsCache;
using policy::StsMode;

namespace {

const WallTime t0 = WallTime(std::chrono::milliseconds(1750000000000));

base::Domain name(const std::string& text) { return *base::Domain::parse(text); }
const base::Domain a = name("a.example");

policy::StsPolicy policy_of(StsMode mode, std::chrono::seconds max_age = std::chrono::days(7)) {
  policy::StsPolicy policy;
  policy.mode = mode;
  policy.mx = {"mx.a.example"};
  policy.max_age = max_age;
  policy.lines = {"version: STSv1", "mode: " + std::string(to_string(mode))};
  return policy;
}

policy::StsFailure broken(const std::string& reason = "HTTP 404") {
  policy::StsFailure failure;
  failure.reason = reason;
  return failure;
}

}  // namespace

TEST_CASE("cache: a fetched policy is applied until its max_age is over, and not a moment longer") {
  StsCache cache;
  const auto active = cache.fetched(a, "1", policy_of(StsMode::enforce), t0);
  CHECK(active.source == policy::PolicySource::fetched);
  CHECK(active.expires == t0 + std::chrono::days(7));
  const auto cached = cache.lookup(a, t0 + std::chrono::days(7) - 1ms);
  REQUIRE(cached);
  CHECK(cached->active.source == policy::PolicySource::cached);
  CHECK(cached->active.id == "1");
  CHECK(cached->active.policy == policy_of(StsMode::enforce));
  CHECK(!cache.lookup(a, t0 + std::chrono::days(7)));
  CHECK(!cache.lookup(name("sub.a.example"), t0));
}

TEST_CASE("STS-3.3-l, STS-10.2-c: a failed fetch never replaces an unexpired policy") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::enforce), t0);
  CHECK(cache.fetch_failed(a, "2", broken(), t0 + 1h));
  const auto cached = cache.lookup(a, t0 + 2h);
  REQUIRE(cached);
  CHECK(cached->active.policy.mode == StsMode::enforce);
  CHECK(cached->active.id == "1");
  CHECK(cached->active.expires == t0 + std::chrono::days(7));
  CHECK(cached->active.refresh_failure == broken());
}

TEST_CASE("STS-8.1-b: seeing an unchanged id extends nothing") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::enforce, 1h), t0);
  cache.txt_seen(a, t0 + 30min, t0 + 31min);
  CHECK(cache.lookup(a, t0 + 30min)->active.expires == t0 + 1h);
  CHECK(!cache.lookup(a, t0 + 1h));
}

TEST_CASE("STS-10.2-c: a fetched policy replaces at once, also a weaker one") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::enforce), t0);
  cache.fetched(a, "2", policy_of(StsMode::none, 60s), t0 + 1h);
  CHECK(cache.lookup(a, t0 + 1h)->active.policy.mode == StsMode::none);
  CHECK(!cache.lookup(a, t0 + 1h + 60s));
}

TEST_CASE("STS-10.2-d: max_age 0 serves the delivery at hand and is kept no longer") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::testing), t0);
  const auto active = cache.fetched(a, "2", policy_of(StsMode::enforce, 0s), t0);
  CHECK(active.policy.mode == StsMode::enforce);
  CHECK(!cache.lookup(a, t0));
  CHECK(cache.size() == 0);
}

TEST_CASE("STS-3.3-n: a failed refresh alerts, except for mode none or nothing cached") {
  StsCache cache;
  CHECK_FALSE(cache.fetch_failed(a, "1", broken(), t0));
  cache.fetched(a, "1", policy_of(StsMode::none), t0);
  CHECK_FALSE(cache.fetch_failed(a, "1", broken(), t0));
  CHECK_FALSE(cache.txt_failed(a, broken(), t0));
  cache.fetched(a, "1", policy_of(StsMode::testing), t0);
  CHECK(cache.fetch_failed(a, "1", broken(), t0));
  CHECK(cache.txt_failed(a, broken(), t0));
}

TEST_CASE("STS-3.3-i: after a failed GET five minutes for that id; another id at once") {
  StsCache cache;
  cache.fetch_failed(a, "1", broken("first"), t0);
  CHECK(cache.backing_off(a, "1", t0 + 5min - 1ms) == broken("first"));
  CHECK(!cache.backing_off(a, "1", t0 + 5min));
  CHECK(!cache.backing_off(a, "2", t0));
  CHECK(!cache.backing_off(name("b.example"), "1", t0));
}

TEST_CASE("back-off grows to an hour and ends with a success or a long pause") {
  StsCache cache;
  WallTime now = t0;
  for (const auto wait : {5min, 10min, 20min, 40min, 60min, 60min}) {
    cache.fetch_failed(a, "1", broken(), now);
    CHECK(cache.backing_off(a, "1", now + wait - 1ms).has_value());
    CHECK(!cache.backing_off(a, "1", now + wait));
    now += wait;
  }
  cache.fetched(a, "1", policy_of(StsMode::enforce), now);
  cache.fetch_failed(a, "1", broken(), now);
  CHECK(!cache.backing_off(a, "1", now + 5min));
  cache.fetch_failed(a, "1", broken(), now + std::chrono::days(1));
  CHECK(!cache.backing_off(a, "1", now + std::chrono::days(1) + 5min));
}

TEST_CASE("back-off: ever new ids are limited too") {
  StsCache cache;
  for (const char* id : {"1", "2", "3", "4"}) {
    CHECK(!cache.backing_off(a, id, t0));
    cache.fetch_failed(a, id, broken(), t0);
  }
  CHECK(cache.backing_off(a, "5", t0 + 1min).has_value());
  CHECK(!cache.backing_off(a, "5", t0 + 5min));
}

TEST_CASE("after an enforcement failure the same id is fetched once in five minutes") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::enforce), t0);
  CHECK(cache.may_refetch(a, t0 + 1s));
  CHECK_FALSE(cache.may_refetch(a, t0 + 2s));
  cache.fetched(a, "1", policy_of(StsMode::enforce), t0 + 3s);
  CHECK_FALSE(cache.may_refetch(a, t0 + 4s));
  CHECK(cache.may_refetch(a, t0 + 5min + 1s));
}

TEST_CASE("STS-3.3-m: refresh is due within a day, spread, and before half of a short life") {
  StsCache cache;
  std::set<WallTime> moments;
  for (int i = 0; i < 50; ++i) {
    const auto domain = name("d" + std::to_string(i) + ".example");
    cache.fetched(domain, "1", policy_of(StsMode::enforce), t0);
    const auto due = cache.entry(domain, t0)->refresh_due;
    CHECK(due >= t0 + 18h);
    CHECK(due <= t0 + 24h);
    moments.insert(due);
    cache.fetched(domain, "1", policy_of(StsMode::enforce), t0);
    CHECK(cache.entry(domain, t0)->refresh_due == due);
  }
  CHECK(moments.size() == 50);
  cache.fetched(a, "1", policy_of(StsMode::enforce, 1h), t0);
  CHECK(cache.entry(a, t0)->refresh_due <= t0 + 30min);
}

TEST_CASE("take_due gives each domain out once, in order, up to the limit") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::enforce), t0);
  cache.fetched(name("b.example"), "1", policy_of(StsMode::enforce), t0 + 48h);
  CHECK(cache.take_due(t0 + 12h, 10).empty());
  CHECK(cache.take_due(t0 + 30h, 0).empty());
  CHECK(cache.take_due(t0 + 30h, 10) == std::vector<base::Domain>{a});
  CHECK(cache.take_due(t0 + 30h, 10).empty());
  CHECK(cache.take_due(t0 + 96h, 10).size() == 2);
}

TEST_CASE("a failed refresh is tried again with growing pauses, not only the next day") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::enforce), t0);
  cache.take_due(t0 + 24h, 10);
  cache.fetch_failed(a, "1", broken(), t0 + 24h);
  CHECK(cache.entry(a, t0 + 24h)->refresh_failures == 1);
  CHECK(cache.take_due(t0 + 24h + 4min, 10).empty());
  CHECK(cache.take_due(t0 + 24h + 5min, 10).size() == 1);
  cache.fetched(a, "1", policy_of(StsMode::enforce), t0 + 25h);
  CHECK(cache.entry(a, t0 + 25h)->refresh_failures == 0);
  CHECK(!cache.entry(a, t0 + 25h)->refresh_failure);
}

TEST_CASE("a failed TXT look-up is told with the cached policy until the next good one") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::enforce), t0);
  CHECK(cache.lookup(a, t0)->txt_due);
  cache.txt_failed(a, broken("TXT: SERVFAIL"), t0 + 1min);
  CHECK(cache.lookup(a, t0)->active.refresh_failure == broken("TXT: SERVFAIL"));
  CHECK_FALSE(cache.lookup(a, t0)->txt_due);
  cache.txt_seen(a, t0 + 1min, t0 + 2min);
  CHECK(!cache.lookup(a, t0 + 1min)->active.refresh_failure);
}

TEST_CASE("absence is remembered until its time, forgotten by a record or a purge, and bounded") {
  policy::StsCacheSettings settings;
  settings.max_absent = 10;
  StsCache cache(settings);
  policy::StsAbsent absent;
  absent.reason = "no MTA-STS record";
  cache.remember_absent(a, absent, t0, t0 + 1min);
  CHECK(std::holds_alternative<policy::StsAbsent>(*cache.lookup_absent(a, t0)));
  CHECK(!cache.lookup_absent(a, t0 + 1min));
  cache.txt_seen(a, t0, t0 + 1min);
  CHECK(!cache.lookup_absent(a, t0));
  cache.remember_absent(a, absent, t0, t0 + 1min);
  CHECK_FALSE(cache.purge(a));
  CHECK(!cache.lookup_absent(a, t0));
  for (int i = 0; i < 100; ++i) {
    cache.remember_absent(name("d" + std::to_string(i) + ".example"), absent, t0, t0 + 1h);
  }
  int kept = 0;
  for (int i = 0; i < 100; ++i) {
    kept += cache.lookup_absent(name("d" + std::to_string(i) + ".example"), t0) ? 1 : 0;
  }
  CHECK(kept <= 10);
  CHECK(cache.lookup_absent(name("d99.example"), t0));
}

TEST_CASE("expire removes what is over and tells which") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::enforce, 1h), t0);
  cache.fetched(name("b.example"), "1", policy_of(StsMode::enforce, 2h), t0);
  CHECK(cache.expire(t0 + 59min).empty());
  CHECK(cache.expire(t0 + 1h) == std::vector<base::Domain>{a});
  CHECK(cache.size() == 1);
  CHECK(cache.take_due(t0 + 100h, 10).size() == 1);
}

TEST_CASE("full: the policy that expires first goes") {
  policy::StsCacheSettings settings;
  settings.max_policies = 2;
  StsCache cache(settings);
  cache.fetched(a, "1", policy_of(StsMode::enforce, 5h), t0);
  cache.fetched(name("b.example"), "1", policy_of(StsMode::enforce, 1h), t0);
  cache.fetched(name("c.example"), "1", policy_of(StsMode::enforce, 3h), t0);
  CHECK(cache.size() == 2);
  CHECK(cache.lookup(a, t0));
  CHECK(!cache.lookup(name("b.example"), t0));
}

TEST_CASE("purge forgets policy and back-off") {
  StsCache cache;
  cache.fetched(a, "1", policy_of(StsMode::enforce), t0);
  cache.fetch_failed(a, "2", broken(), t0);
  CHECK(cache.purge(a));
  CHECK(!cache.lookup(a, t0));
  CHECK(!cache.backing_off(a, "2", t0));
  CHECK_FALSE(cache.purge(a));
}

TEST_CASE("restore: what expired stays out; a fetch in the future counts as now") {
  StsCache cache;
  policy::StsEntry entry;
  entry.policy = policy_of(StsMode::enforce, 1h);
  entry.id = "1";
  entry.fetched = t0;
  entry.expires = t0 + 1h;
  CHECK_FALSE(cache.restore(a, entry, t0 + 1h));
  CHECK(cache.restore(a, entry, t0 + 59min));
  CHECK(cache.lookup(a, t0 + 59min));
  CHECK(cache.restore(a, entry, t0 - std::chrono::days(3000)));
  CHECK(cache.entry(a, t0 - std::chrono::days(3000))->expires ==
        t0 - std::chrono::days(3000) + 1h);
}

TEST_CASE("restore: overdue refreshes are spread over the first minutes") {
  StsCache cache;
  for (int i = 0; i < 200; ++i) {
    policy::StsEntry entry;
    entry.policy = policy_of(StsMode::enforce);
    entry.fetched = t0;
    entry.expires = t0 + std::chrono::days(7);
    cache.restore(name("d" + std::to_string(i) + ".example"), entry, t0 + std::chrono::days(3));
  }
  const auto first = cache.take_due(t0 + std::chrono::days(3) + 1min, 1000).size();
  CHECK(first < 100);
  CHECK(first + cache.take_due(t0 + std::chrono::days(3) + 10min, 1000).size() >= 200);
}

TEST_CASE("cache: pages by name, without what has expired") {
  StsCache cache;
  for (const char* domain : {"d.example", "b.example", "a.example", "c.example"}) {
    cache.fetched(name(domain), "1", policy_of(StsMode::enforce), t0);
  }
  cache.fetched(name("bb.example"), "1", policy_of(StsMode::enforce, 60s), t0);
  const auto names = [&](const std::string& after, std::size_t most) {
    std::vector<std::string> found;
    for (const auto& [domain, entry] : cache.page(t0 + 1h, after, most)) {
      found.push_back(domain.str());
    }
    return found;
  };
  using Names = std::vector<std::string>;
  CHECK(names("", 2) == Names{"a.example", "b.example"});
  CHECK(names("b.example", 2) == Names{"c.example", "d.example"});
  CHECK(names("d.example", 2) == Names{});
  CHECK(names("", 100).size() == 4);
}

TEST_CASE("cache: its summary counts what is in force, by mode, and knows the oldest") {
  StsCache cache;
  CHECK_FALSE(cache.summary(t0).oldest);
  cache.fetched(name("a.example"), "1", policy_of(StsMode::enforce), t0 + 1h);
  cache.fetched(name("b.example"), "1", policy_of(StsMode::enforce), t0);
  cache.fetched(name("c.example"), "1", policy_of(StsMode::testing), t0 + 2h);
  cache.fetched(name("d.example"), "1", policy_of(StsMode::none), t0 + 2h);
  cache.fetched(name("gone.example"), "1", policy_of(StsMode::enforce, 60s), t0 - 1h);
  cache.fetch_failed(name("c.example"), "2", broken(), t0 + 2h);
  const policy::StsSummary sum = cache.summary(t0 + 2h);
  CHECK(sum.enforce == 2);
  CHECK(sum.testing == 1);
  CHECK(sum.none == 1);
  CHECK(sum.refresh_failing == 1);
  CHECK(sum.oldest == t0);
}
