// tls_policy(): what the policy map answers for a domain, from the same plan that a delivery
// follows. Postfix takes one level for all hosts of a domain, chosen so that no host gets by with
// less than its plan demands, but for one: beside a host with DANE, one that only an enforce policy
// protects, since DANE is never switched off. What else its words cannot say as strictly is
// `temporary`, with the reason. Sendmail's FEATURE(`sts') knows `secure` and nothing else. What
// neither can promise: docs/decisions/0016-policy-map.md. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "policy/survey.h"

namespace policy {

enum class MapDialect : std::uint8_t {
  postfix,         // no attribute that Postfix before 3.10 does not know
  postfix_tlsrpt,  // with what Postfix 3.10 reports, and holds hosts to (3.10.5)
  sendmail,
};

struct MapAnswer {
  enum class Kind : std::uint8_t {
    found,      // `text` is the policy
    not_found,  // nothing to enforce: the MTA's own default
    temporary,  // `text` says why the mail has to wait
    permanent,  // `text` says what is wrong with the question
  };
  Kind kind = Kind::not_found;
  std::string text;
  bool operator==(const MapAnswer&) const = default;
};

MapAnswer tls_policy(MapDialect dialect, const Settings& settings, const Survey& survey);
// Whether the MTA-STS policy is still being asked for: the next answer may be another one.
bool awaits_policy(const Survey& survey);

// One line of printable ASCII, cut at a few hundred octets.
MapAnswer temporary(std::string_view reason);
MapAnswer permanent(std::string_view reason);

// As the protocol carries it: "OK secure …", "NOTFOUND ", "TEMP …", "PERM …".
std::string payload_of(const MapAnswer& answer);

}  // namespace policy
