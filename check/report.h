// Report: all that `check DOMAIN` has to say, as plain values in the order of the decision: DNS,
// MTA-STS, each MX with its addresses, the outcome, what is to be mended. Made by check/assemble;
// printed by check/text and check/json, which know nothing else. Texts of strangers are as they
// came, but for their length: who prints makes them printable.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/domain.h"
#include "base/ip.h"
#include "dane/evidence.h"
#include "smtp/reply.h"

namespace check {

// What mail would get; `open`: nothing was connected to, and nothing rules every host out.
enum class Verdict : std::uint8_t { delivered, deferred, rejected, open };
std::string_view to_string(Verdict verdict);

// One thing that is wrong. `blocks`: alone enough that mail does not go this way now.
struct Problem {
  std::string code;  // of docs/check.md
  bool blocks = false;
  std::string text;
  std::string mend;  // what whose postmaster should do; "" where there is nothing
  bool operator==(const Problem&) const = default;
};

// One DNS answer, as the resolver had it.
struct Answer {
  std::string type;
  std::string name;
  std::string state;      // secure | insecure | bogus | failed
  std::string existence;  // data | nodata | nxdomain; "" where there was no answer
  std::optional<std::chrono::seconds> ttl;
  std::string canonical_name;  // where a CNAME led; "" where there was none
  std::vector<std::string> records;
  std::size_t more = 0;  // records that are not shown
  std::string error;     // of bogus and failed
};

struct Policy {
  std::string state;      // none | active | unavailable | unknown | disabled
  std::string reason;     // of all but active
  std::string record_id;  // of the TXT record now; "" where there is none
  std::string record_error;
  std::string id;
  std::string mode;
  std::vector<std::string> mx;
  std::chrono::seconds max_age{0};
  std::string source;  // fetched: just now; cached: by the daemon
  std::optional<base::WallTime> fetched;
  std::optional<base::WallTime> expires;
  std::chrono::seconds age{0};
  std::string refresh_failure;
  std::string daemon;  // what its cache had, in words
};

struct TlsaRecord {
  std::string text;      // "3 1 1 ab…"
  std::string use;       // in words
  std::string unusable;  // why; "" where it is usable
  bool consulted = false;
};

struct TlsaMatch {
  std::string text;
  bool matched = false;
  std::string reason;  // why not
};

struct Tls {
  std::string version;
  std::string cipher;
  std::string group;
  std::string sni;
  std::string cert_sha256;
  std::string spki_sha256;
  std::optional<dane::Certificate> certificate;
  std::vector<std::string> names;  // DNS-IDs; the common name is no name here
  std::size_t more_names = 0;
  bool trusted = false;  // a chain to a trusted CA, in date
  std::string chain_error;
  bool names_host = false;
  std::vector<TlsaMatch> tlsa;
};

struct Address {
  base::Ip ip;
  // usable: a message would go over TLS; cleartext: it would go without; refused: not at all;
  // unreachable: no verdict; not-tried
  std::string result;
  std::string peer_auth;   // of usable
  std::string protection;  // of usable and cleartext
  std::string reason;
  std::string helo;
  std::optional<Tls> tls;
  std::vector<Problem> problems;
};

struct Mx {
  std::string name;
  std::uint16_t preference = 0;
  bool own = false;           // this machine
  std::string approved;       // yes | no | not-asked
  std::string pattern;        // that approved it
  std::string requirement;    // of the enforcement log
  std::string why;            // in words
  std::string policy;         // what gave it: tlsa | sts | operator | no-policy-found
  bool excluded = false;      // no mail may go there, whatever a handshake shows
  std::string excluded_why;
  std::string dane;           // usable | unusable | not-applicable | failed
  std::string dane_reason;
  std::string tlsa_base;
  std::vector<TlsaRecord> tlsa;
  std::vector<Problem> problems;
  std::vector<Address> addresses;
};

// The answers of several resolvers to one question, where they are not the same.
struct Difference {
  std::string type;
  std::string name;
  std::vector<std::string> answers;  // one for each resolver, in their order
};

struct Resolver {
  std::string name;  // "192.0.2.53@53"; "configured"
  std::string validation;
  std::vector<std::string> plan;  // one line for each MX, or why there is none
};

struct Outcome {
  Verdict verdict = Verdict::deferred;
  bool certain = true;  // false: something could not be found out; another try may tell
  std::string uncertain_why;
  std::optional<smtp::Reply> reply;  // of deferred and rejected, without ID
  std::string mx;                    // who would get it
  std::optional<base::Ip> ip;
  std::string protection;
  std::string peer_auth;
  bool observed = false;   // observe mode: enforce would defer
  bool rechecked = false;  // the policy was asked for again, and had changed
};

struct Report {
  std::string domain;
  base::WallTime time{};
  bool time_given = false;  // --at
  bool connected = true;
  std::string mode;         // enforce | observe
  std::string exception;    // of the operator, in force; "" where there is none
  std::vector<Resolver> resolvers;
  std::vector<Difference> differences;
  std::vector<Answer> answers;
  std::string mx_state;  // hosts | implicit | null | no-such-domain | unusable | failed
  std::string mx_security;
  Policy policy;
  std::vector<Mx> mx;
  Outcome outcome;
  std::vector<Problem> problems;   // of the domain as a whole
  std::vector<std::string> mends;  // all of them once, those that block first
};

}  // namespace check
