// StsCache: the policies that were fetched, and the rules of RFC 8461 §3.3, §5.1 and §10.2 for
// them: only a fetched policy replaces one, only a fetch extends one, nothing expired is served,
// failed fetches back off by record id. Also remembers for a while that a domain has no record.
// Time is passed in; no I/O, no log. Shared by all threads; each call is safe by itself. Held by
// policy/sts_engine.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <unordered_map>

#include "policy/schedule.h"
#include "policy/sts.h"

namespace policy {

struct StsCacheSettings {
  std::chrono::seconds refresh_interval = std::chrono::days(1);
  std::size_t max_policies = 200000;  // beyond, the one that expires first goes
  std::size_t max_absent = 100000;
  std::size_t max_back_off = 100000;
};

struct StsEntry {
  StsPolicy policy;  // out of the cache without `leniencies`
  std::string id;
  base::WallTime fetched{};
  base::WallTime expires{};
  base::WallTime txt_checked{};       // last answered TXT look-up
  base::WallTime refresh_due{};
  std::uint32_t refresh_failures = 0; // since the last success
  std::optional<StsFailure> refresh_failure;
  // The policy file again, lines parted by LF.
  std::string body() const;
};

struct StsCached {
  StsActive active;
  bool txt_due = false;  // its record may be asked for again
};

// The cache in a few numbers.
struct StsSummary {
  std::size_t enforce = 0;
  std::size_t testing = 0;
  std::size_t none = 0;
  std::size_t refresh_failing = 0;            // of all modes: the last refresh failed
  std::optional<base::WallTime> oldest;       // when the one fetched longest ago was fetched
};

class StsCache {
 public:
  explicit StsCache(StsCacheSettings settings = {}) : settings_(settings) {}

  // ---- looking up
  // The unexpired policy, source `cached`.
  std::optional<StsCached> lookup(const base::Domain& domain, base::WallTime now) const;
  // StsAbsent or StsUnknown, where one of them was remembered and still holds.
  std::optional<StsState> lookup_absent(const base::Domain& domain, base::WallTime now) const;
  std::optional<StsEntry> entry(const base::Domain& domain, base::WallTime now) const;
  std::vector<std::pair<base::Domain, StsEntry>> list(base::WallTime now) const;  // by name
  // Up to `most` of them, the first by name behind `after`.
  std::vector<std::pair<base::Domain, StsEntry>> page(base::WallTime now, const std::string& after,
                                                      std::size_t most) const;
  StsSummary summary(base::WallTime now) const;
  std::size_t size() const;

  // ---- what was found out
  // A policy that was just fetched under `id`: replaces whatever is there, weaker or not. Returns
  // what the delivery at hand applies, even where max_age is 0 and nothing is kept.
  StsActive fetched(const base::Domain& domain, const std::string& id, StsPolicy policy,
                    base::WallTime now);
  // The fetch for `id` failed, by network or by content. Returns whether the administrator is to
  // be told: a policy other than `none` is cached (RFC 8461 §3.3).
  bool fetch_failed(const base::Domain& domain, const std::string& id, const StsFailure& failure,
                    base::WallTime now);
  // A record was seen, may be asked for again at `next`. An unchanged id extends nothing.
  void txt_seen(const base::Domain& domain, base::WallTime now, base::WallTime next);
  // The TXT look-up of a domain with a cached policy failed; told like a failed refresh.
  bool txt_failed(const base::Domain& domain, const StsFailure& failure, base::WallTime next);
  void remember_absent(const base::Domain& domain, StsState state, base::WallTime now,
                       base::WallTime until);

  // ---- deciding whether to fetch
  // The failure of the last GET for `id`, while it is not to be tried again (§3.3: five minutes,
  // growing to an hour). A fifth id of one domain waits until another's time is over.
  std::optional<StsFailure> backing_off(const base::Domain& domain, const std::string& id,
                                        base::WallTime now) const;
  // After an enforcement failure one fetch is allowed under the same id; the next five minutes
  // later. Takes the permission where it gives it.
  bool may_refetch(const base::Domain& domain, base::WallTime now);
  // Up to `limit` domains whose refresh is due; each is put off, so that it is given out once.
  std::vector<base::Domain> take_due(base::WallTime now, std::size_t limit);

  // ---- leaving
  // Removes what expired; returns its domains.
  std::vector<base::Domain> expire(base::WallTime now);
  // Forgets policy, absence and back-off; whether there was a policy.
  bool purge(const base::Domain& domain);

  // At start, from the store. False: expired. A time of fetching in the future counts as now.
  bool restore(const base::Domain& domain, StsEntry entry, base::WallTime now);

 private:
  // There may be a hundred thousand: a policy is kept as one text, and few have what is rare.
  struct Rare {
    std::optional<StsFailure> refresh;
    std::optional<StsFailure> txt;  // of the last TXT look-up
    base::WallTime refetched{};     // last refetch under the same id
    bool nothing() const { return !refresh && !txt && refetched == base::WallTime{}; }
  };
  struct Slot {
    std::string text;  // domain, id, `mx`, `lines`
    base::WallTime fetched{};
    base::WallTime expires{};
    base::WallTime txt_checked{};
    base::WallTime txt_next{};
    base::WallTime refresh_due{};
    std::unique_ptr<Rare> rare;
    std::uint32_t max_age = 0;  // seconds, a year at most
    std::uint32_t refresh_failures = 0;
    std::uint32_t in_expiry = 0;
    std::uint32_t in_due = 0;
    std::uint8_t name_size = 0;
    StsMode mode = StsMode::none;
    std::string_view name() const { return std::string_view(text).substr(0, name_size); }
    base::Domain domain() const;
    Rare& rarely();
  };
  struct Wait {
    std::string id;
    base::WallTime not_before{};
    unsigned failures = 0;
    StsFailure failure;
  };
  struct Absence {
    StsState state;
    base::WallTime until{};
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const;
    std::size_t operator()(const std::unique_ptr<Slot>& slot) const {
      return (*this)(slot->name());
    }
  };
  struct SameName {
    using is_transparent = void;
    static std::string_view name(std::string_view name) { return name; }
    static std::string_view name(const std::unique_ptr<Slot>& slot) { return slot->name(); }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return name(a) == name(b);
    }
  };
  using Slots = boost::unordered_flat_set<std::unique_ptr<Slot>, NameHash, SameName>;

  static std::unique_ptr<Slot> slot_of(const base::Domain& domain, const StsEntry& entry);
  static StsEntry entry_of(const Slot& slot);
  static StsActive active_of(StsEntry entry, PolicySource source);
  base::WallTime due_after_success(const Slot& slot) const;
  // Null where there is none.
  Slot* find(const base::Domain& domain) const;
  Slot* unexpired(const base::Domain& domain, base::WallTime now) const;
  void insert(std::unique_ptr<Slot> slot);
  void erase(Slot& slot);
  void set_due(Slot& slot, base::WallTime due);
  Wait& wait_for(const base::Domain& domain, const std::string& id, base::WallTime now);
  void bound_waits(base::WallTime now);

  StsCacheSettings settings_;
  mutable std::shared_mutex lock_;
  Slots slots_;
  Schedule<Slot, &Slot::expires, &Slot::in_expiry> by_expiry_;
  Schedule<Slot, &Slot::refresh_due, &Slot::in_due> by_due_;
  std::unordered_map<base::Domain, std::vector<Wait>> waits_;
  std::unordered_map<base::Domain, Absence> absent_;
};

}  // namespace policy
