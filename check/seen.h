// What check/ found out, before anything is made of it: the facts and the plan of one domain, and
// what one handshake with each address showed. Values; made by check/inquiry and check/handshake,
// read by check/outcome, check/problems and check/assemble.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dane/evidence.h"
#include "dns/answer.h"
#include "dns/validation.h"
#include "policy/judge.h"
#include "policy/survey.h"
#include "proxy/mx_connection.h"
#include "proxy/worker.h"
#include "store/store.h"

namespace check {

// A question that was asked, and its answer where one came.
struct Asked {
  dns::Type type = dns::Type::A;
  std::string name;
  std::optional<dns::RawLookup> answer;
};

struct RecordMatch {
  dane::Tlsa record;
  bool matched = false;
  std::string reason;
};

struct SeenAddress {
  enum class State : std::uint8_t { not_tried, private_address, tried };
  explicit SeenAddress(base::Ip address) : ip(address) {}
  base::Ip ip;
  State state = State::not_tried;
  std::string helo;
  std::optional<proxy::MxFailure> failure;   // instead of a verdict, or of EHLO under TLS
  bool cut_short = false;                    // ... for want of time here; a delivery waits longer
  std::optional<policy::Evidence> evidence;  // what a delivery would collect
  std::optional<dane::Certificate> certificate;
  std::optional<base::WallTime> judged_at;   // of the certificate
  policy::PkixEvidence pkix;     // whether a delivery would ask for it or not
  policy::PkixEvidence undated;  // the same as if certificates had no dates
  std::vector<RecordMatch> matches;
};

struct SeenHost {
  bool own = false;  // this machine, by name or by an address
  std::vector<SeenAddress> addresses;
};

struct Gathered {
  std::shared_ptr<const proxy::Snapshot> snapshot;  // what the survey refers to
  policy::Operator op;
  dns::ValidationReport validation;
  std::vector<Asked> asked;
  std::optional<policy::GatheredFacts> facts;  // none: no MX answer in time, or see validation
  std::optional<policy::Survey> survey;        // with facts
  std::vector<SeenHost> seen;                  // of survey->hosts, in that order
};

// What the daemon's cache of MTA-STS policies says.
struct DaemonCache {
  std::optional<store::PolicyRow> row;
  std::string words;
};

// The terms under which a host is looked at: those of its plan; of a host that a policy rules out,
// those that it would have to meet besides.
policy::Try terms_of(const policy::HostPlan& host);

}  // namespace check
