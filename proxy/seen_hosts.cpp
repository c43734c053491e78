#include "proxy/seen_hosts.h"

#include "proxy/plans.h"

namespace proxy {

namespace {

// One requirement for two recipient domains may name different pins or reference identifiers: all
// that counts is in the terms.
std::string key_of(const base::Domain& host, const policy::Try& plan) {
  return host.str() + "|" + tls_terms(plan);
}

}  // namespace

void SeenHosts::note(const base::Domain& host, const policy::Try& plan,
                     const policy::Verdict& verdict, Time now) {
  if (!policy::demands_tls(plan.requirement)) return;
  SeenHost seen;
  seen.fine = std::holds_alternative<policy::Authorized>(verdict.outcome);
  if (!seen.fine) {
    seen.reason = verdict.reason;
    seen.no_starttls = verdict.result == tlsrpt::ResultType::starttls_not_supported;
  }
  seen.when = now;
  std::string key = key_of(host, plan);
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found != index_.end()) {
    const SeenHost& before = found->second->seen;
    if (!seen.fine && before.fine && now - before.when < fine_stands) return;
    entries_.splice(entries_.begin(), entries_, found->second);
    found->second->seen = std::move(seen);
    return;
  }
  if (entries_.size() >= capacity_) {
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
  entries_.push_front({key, std::move(seen)});
  index_.emplace(std::move(key), entries_.begin());
}

std::optional<SeenHost> SeenHosts::look(const base::Domain& host, const policy::Try& plan,
                                        Time now) const {
  const std::string key = key_of(host, plan);
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end() || now - found->second->seen.when >= believed) return std::nullopt;
  return found->second->seen;
}

std::size_t SeenHosts::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace proxy
