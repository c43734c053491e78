#include "tests/bench/reports_world.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "report/composer.h"

namespace bench {

namespace {

using tlsrpt::ResultType;

constexpr std::size_t batches = 4;
const base::Ip addresses[] = {base::Ip::v4({203, 0, 113, 10}), base::Ip::v4({203, 0, 113, 11})};
const base::Ip source = base::Ip::v4({192, 0, 2, 25});

struct Failure {
  ResultType type;
  const char* reason;
};
constexpr Failure failures[] = {
    {ResultType::certificate_expired, "certificate expired 2026-11-20T00:00:00Z"},
    {ResultType::validation_failure, "no TLSA record matches the certificate"},
    {ResultType::starttls_not_supported, "EHLO offers no STARTTLS"},
};

std::string fingerprint(const std::string& of) {
  const std::string_view texts[] = {of};
  return tlsrpt::sha256_hex(texts);
}

Destination destination(std::size_t number) {
  std::string name = std::to_string(number);
  name = "customer-" + std::string(5 - name.size(), '0') + name + ".example";
  const std::string mx = "mx1." + name;
  Destination made{*base::Domain::parse(name), {}, {}};
  if (number % 2 == 0 || number % 10 == 1) {
    made.policies.push_back(
        {tlsrpt::PolicyType::tlsa, mx, {"3 1 1 " + fingerprint(mx)}, {}});
  }
  if (number % 2 == 1) {
    made.policies.push_back({tlsrpt::PolicyType::sts,
                             name,
                             {"version: STSv1", "mode: enforce", "mx: " + mx, "mx: mx2." + name,
                              "max_age: 1209600"},
                             {mx, "mx2." + name}});
  }
  for (const tlsrpt::Policy& policy : made.policies) {
    made.digests.push_back(tlsrpt::policy_digest(policy));
  }
  return made;
}

void set_tls(audit::Record& record, const std::string& mx) {
  record.tls_version = "TLSv1.3";
  record.cipher = "TLS_AES_256_GCM_SHA384";
  record.group = "X25519";
  record.sni = mx;
  record.resumed = false;
  record.peer_auth = "dane-ee";
  record.protection = "authenticated";
  record.cert_sha256 = fingerprint("certificate of " + mx);
  record.spki_sha256 = fingerprint("key of " + mx);
}

audit::Record session(const Destination& to, const base::Ip& ip, const Failure* failure) {
  const std::string mx = "mx1." + to.domain.str();
  audit::Record record;
  record.event = audit::Event::session;
  record.id = "01JDK3V9ZQ6T5W8X2Y4B7C9D0E";
  record.queue_id = "4XzB1n2QkYz5vR";
  record.domain = to.domain;
  record.policy_type = tlsrpt::to_string(to.policies.front().type);
  record.policy_mode = "enforce";
  record.counted = true;
  record.requirement = "dane";
  record.mx = mx;
  record.ip = ip;
  record.source_ip = source;
  record.helo = mx;
  record.mx_dnssec = audit::MxDnssec::secure;
  record.reused = false;
  set_tls(record, mx);
  record.results.emplace();
  for (std::size_t i = 0; i < to.policies.size(); ++i) {
    audit::PolicyResult result{to.policies[i].type, to.policies[i].domain, to.digests[i], {}, {}};
    if (failure != nullptr && i == 0) {
      result.result_types.emplace_back(tlsrpt::to_string(failure->type));
      result.reason = failure->reason;
    }
    record.results->push_back(std::move(result));
  }
  record.result =
      failure != nullptr ? std::string(tlsrpt::to_string(failure->type)) : "success";
  if (failure != nullptr) record.reason = failure->reason;
  record.verdict = failure != nullptr ? audit::Verdict::refused : audit::Verdict::usable;
  return record;
}

// The message was delivered, be it in another session.
audit::Record delivery(audit::Record record) {
  record.event = audit::Event::delivery;
  record.recipients = 1;
  record.counted.reset();
  record.results.reset();
  record.result.reset();
  record.reason.reset();
  record.verdict = audit::Verdict::delivered;
  record.reply = "250 2.0.0 Ok: queued as 4XzB1p5GmWz9s2T";
  return record;
}

store::PolicyCount policy_count(store::Day day, const Destination& to, std::size_t policy) {
  store::PolicyCount row;
  row.day = day;
  row.domain = to.domain.str();
  row.digest = to.digests[policy];
  row.policy_type = tlsrpt::to_string(to.policies[policy].type);
  row.policy_domain = to.policies[policy].domain;
  return row;
}

void add_failures(store::CountBatch& batch, store::Day day, const Destination& to) {
  for (const Failure& failure : failures) {
    for (const base::Ip& ip : addresses) {
      store::FailureCount row;
      row.day = day;
      row.domain = to.domain.str();
      row.digest = to.digests.front();
      row.result_type = tlsrpt::to_string(failure.type);
      row.reason = failure.reason;
      row.mx = row.helo = "mx1." + to.domain.str();
      row.ip = ip.str();
      row.source_ip = source.str();
      row.count = 1;
      batch.failures.push_back(std::move(row));
    }
  }
}

}  // namespace

World::World(bool even) : even_(even) {
  destinations_.reserve(domains);
  for (std::size_t i = 0; i < domains; ++i) destinations_.push_back(destination(i));
}

void World::keep_policies(store::Store& store) const {
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  for (const Destination& one : destinations_) {
    for (std::size_t i = 0; i < one.policies.size(); ++i) {
      store.put_policy_strings(one.digests[i], report::policy_to_json(one.policies[i]),
                               today);
    }
  }
}

// Mail is not spread evenly: of N domains the n-th most common gets one n-th of what the first one
// gets (Zipf's law); `even_` is the worst there is, each as likely as the other.
std::size_t World::next_domain() {
  if (even_) return random_() % domains;
  const double part = std::uniform_real_distribution<double>(0, 1)(random_);
  return std::min(static_cast<std::size_t>(std::pow(double{domains}, part)), domains - 1);
}

std::vector<audit::Record> World::message() {
  const Destination& to = destinations_[next_domain()];
  const base::Ip& ip = addresses[random_() % 2];
  const std::uint64_t chance = random_() % 100;
  audit::Record record = session(to, ip, chance < 3 ? &failures[chance] : nullptr);
  audit::Record outcome = delivery(record);
  return {std::move(record), std::move(outcome)};
}

std::vector<store::CountBatch> World::day(store::Day day, bool failing) {
  constexpr std::size_t sessions = sessions_a_day / domains / batches;  // of a domain in a batch
  std::vector<std::size_t> order(domains);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<store::CountBatch> made(batches);
  for (std::size_t b = 0; b < batches; ++b) {
    made[b].from = b * domains;
    made[b].to = (b + 1) * domains;
    std::ranges::shuffle(order, random_);
    for (const std::size_t number : order) {
      const Destination& to = destinations_[number];
      const bool fails = failing && number % 3 == 0;
      for (std::size_t i = 0; i < to.policies.size(); ++i) {
        store::PolicyCount row = policy_count(day, to, i);
        (fails && i == 0 ? row.failed : row.fine) = sessions;
        made[b].policies.push_back(std::move(row));
      }
      if (fails) add_failures(made[b], day, to);
    }
  }
  return made;
}

}  // namespace bench
