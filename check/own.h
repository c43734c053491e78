// `own DOMAIN`: the operator's own domain as senders of mail to it see it. What was found out, the
// findings (pass, warn, fail, each with what to do), and the order in which to change things. The
// findings are a pure function of what was found; whatever makes a sender hold mail back is taken
// from check/problems, so that `own` and `check` cannot disagree. Called by check/own_run.
#pragma once

#include <string>
#include <vector>

#include "check/report.h"
#include "check/seen.h"
#include "policy/https_fetcher.h"
#include "proxy/tls_client.h"

namespace check {

// The hosts' addresses under a handshake that offers one type of key alone.
struct KeySeen {
  proxy::KeyType key;
  std::vector<SeenHost> hosts;  // of the survey's, in that order
};

// Of `untried`, the addresses whose handshake failed with each type of key.
std::vector<SeenHost> without_handshake(const std::vector<SeenHost>& untried,
                                        const std::vector<KeySeen>& keys);

struct OwnSeen {
  explicit OwnSeen(base::Domain own) : domain(std::move(own)) {}
  base::Domain domain;
  base::WallTime time{};
  std::chrono::seconds expire_within = std::chrono::days(14);
  Gathered gathered;
  std::vector<KeySeen> keys;
  std::vector<SeenHost> old;  // addresses without a handshake by then, under TLS 1.0 or 1.1
  std::optional<policy::StsBody> body;      // the policy file, asked for whatever the record says
  std::optional<base::WallTime> body_certificate_end;  // of the host that gave it
  std::optional<dns::RawLookup> tls_rpt;    // TXT at _smtp._tls
};

enum class Level : std::uint8_t { pass, warn, fail };
std::string_view to_string(Level level);

struct Finding {
  Level level = Level::pass;
  std::string area;  // mx | mta-sts | tls | dane | tls-rpt
  std::string code;
  std::string text;
  std::string todo;  // of warn and fail
};

struct Advice {
  std::string code;
  std::string text;
};

struct OwnReport {
  std::string domain;
  base::WallTime time{};
  std::vector<Finding> findings;
  std::vector<Advice> advice;
  bool certain = true;  // false: DNS or a host gave no answer, and another try may tell more
  std::string uncertain_why;
  Level worst() const;
};

OwnReport judge_own(const OwnSeen& seen);
void add_tls_rpt(OwnReport& report, const OwnSeen& seen);
// "TLSv1.1" where that, or 1.0, is all that the address speaks; "" otherwise.
std::string old_version_of(const OwnSeen& seen, std::size_t host, const base::Ip& ip);
struct Place {
  std::string words;  // "mx.example.com [192.0.2.1]"
  std::size_t host;   // of the survey's
  std::size_t address;
};
// good: a session had nothing wrong.
void add_versions_and_keys(OwnReport& report, const OwnSeen& seen, const Place& place, bool good);
// What to do for a problem of which `check` says nothing, no other postmaster being to blame.
std::string own_mend(const std::string& code);
// In which order to change what there is now; see docs/own.md.
std::vector<Advice> advice_for(const OwnSeen& seen);

std::string to_text(const OwnReport& report, bool colour);
std::string to_json(const OwnReport& report);

}  // namespace check
