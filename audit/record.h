// Record: one line of the enforcement log as a value, and its rendering. Every key stands in every
// line, null where nothing is known; a line is ASCII, holds no newline and no local part, and has
// at most `line_limit` octets. Longer texts are cut. Vocabulary of folders that may use this one
// (requirement, peer_auth, …) comes as their registry words. The chain is log.h; here is no I/O.
// Made by proxy/ and cli/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/domain.h"
#include "base/ip.h"
#include "tlsrpt/result.h"

namespace audit {

// The longest line, newline included: what one Reservation holds free on the disk. Longer texts
// (reply, reason, results) are cut and end in "…".
inline constexpr std::size_t line_limit = 4096;

enum class Event : std::uint8_t {
  session,
  delivery,
  policy,
  exception,
  downgrade_suspected,
  config,
  start,
  stop,
};
enum class Verdict : std::uint8_t {
  delivered,
  deferred,
  rejected,
  uncertain,
  dropped,
  usable,
  refused,
};
enum class MxDnssec : std::uint8_t { secure, insecure };

std::string_view to_string(Event event);      // "downgrade-suspected"
std::string_view to_string(Verdict verdict);  // "delivered"

// What one session says about one policy that applied.
struct PolicyResult {
  tlsrpt::PolicyType policy_type = tlsrpt::PolicyType::no_policy_found;
  std::string policy_domain;
  std::string policy_digest;               // tlsrpt::policy_digest
  std::vector<std::string> result_types;   // empty: success
  std::string reason;
};
PolicyResult policy_result(const tlsrpt::SessionResult& result);
// The reason of each of its result types, in their order.
std::vector<std::string> reasons_of(const PolicyResult& entry);

struct Record {
  Event event = Event::delivery;
  std::optional<std::string> id;
  std::optional<std::string> queue_id;
  std::optional<base::Domain> domain;
  std::optional<std::uint32_t> recipients;
  std::optional<std::string> policy_type;    // tlsa | sts | operator | no-policy-found
  std::optional<std::string> policy_mode;    // enforce | testing | none
  std::optional<std::string> policy_id;
  std::optional<std::string> policy_source;  // fetched | cached | shared
  std::optional<bool> counted;
  std::optional<std::vector<PolicyResult>> results;
  std::optional<std::string> requirement;  // dane | verified | encrypted | opportunistic
  std::optional<std::string> mx;
  std::optional<base::Ip> ip;
  std::optional<base::Ip> source_ip;
  std::optional<std::string> helo;
  std::optional<MxDnssec> mx_dnssec;
  std::optional<std::string> tls_version;
  std::optional<std::string> cipher;
  std::optional<std::string> group;
  std::optional<std::string> sni;
  std::optional<bool> resumed;
  std::optional<bool> reused;
  std::optional<std::string> peer_auth;   // dane-ee | dane-ta | pkix | pin | none
  std::optional<std::string> protection;  // authenticated | encrypted | cleartext
  std::optional<std::string> cert_sha256;
  std::optional<std::string> spki_sha256;
  std::optional<std::string> result;  // success, or a result type of RFC 8460 §4.3
  std::optional<std::string> reason;
  std::optional<Verdict> verdict;
  std::optional<Verdict> would_be;
  std::optional<std::string> reply;

  // Never written: local parts of the transaction, so that they are masked in reply, reason and
  // results even where no "@" follows them ("550 alice... User unknown").
  std::vector<std::string> local_parts;
};

// Every key of a line, in the order of the lines.
inline constexpr std::array<std::string_view, 35> record_keys = {
    "time",        "event",       "id",            "queue_id",   "seq",
    "prev",        "domain",      "recipients",    "policy_type", "policy_mode",
    "policy_id",   "policy_source", "counted",     "results",    "requirement",
    "mx",          "ip",          "source_ip",     "helo",       "mx_dnssec",
    "tls_version", "cipher",      "group",         "sni",        "resumed",
    "reused",      "peer_auth",   "protection",    "cert_sha256", "spki_sha256",
    "result",      "reason",      "verdict",       "would_be",   "reply"};

// A line rendered but for `seq` and `prev`, which only the writer knows: they go between the two.
struct RenderedLine {
  std::string before;  // {"time":…,"queue_id":…
  std::string after;   // ,"domain":…}
};
RenderedLine render(const Record& record, base::WallTime time);

// The whole line without its newline. `prev`: hash of the line before, in hex; empty where there is
// none (written as null).
std::string complete(const RenderedLine& line, std::uint64_t seq, std::string_view prev);
std::string to_json_line(const Record& record, std::uint64_t seq, std::string_view prev,
                         base::WallTime time);

// RFC 3339 in UTC with milliseconds: "2026-01-01T00:00:00.000Z". Years 1 … 9999.
std::string rfc3339(base::WallTime time);
// The inverse, for exactly that form.
std::optional<base::WallTime> parse_rfc3339(std::string_view text);

// What a line says of its place in the chain; nullopt where it is not a record.
struct Link {
  std::uint64_t seq = 0;
  std::string prev;  // empty: null, the first line of all
  std::string time;
};
std::optional<Link> parse_link(std::string_view line);

}  // namespace audit
