// publication: what the operator of a receiving domain publishes: the MTA-STS policy file and its
// TXT record (RFC 8461 §3), the TLS-RPT record (RFC 8460 §3) and TLSA records for its MX hosts
// (RFC 7672 §3.1), as text for a web server and for a zone file. Pure. What comes out has passed
// the parsers of a sender. Called by `policy generate`.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/domain.h"
#include "base/result.h"
#include "policy/sts.h"

namespace policy {

struct TlsaWish {
  base::Domain host;
  std::string spki_sha256;  // hex: of the key that is in use, or of the next one
  std::string note;         // a comment beside the record: where the key came from
};

struct Publication {
  base::Domain domain;
  StsMode mode = StsMode::testing;
  std::vector<std::string> mx;     // patterns
  std::chrono::seconds max_age{0};
  std::string id;                  // of the TXT record
  std::vector<std::string> rua;    // mailto: or https: URIs; none: no TLS-RPT record
  std::vector<TlsaWish> tlsa;
  std::uint32_t ttl = 3600;
};

struct ZoneRecord {
  std::string name;  // with its final dot
  std::uint32_t ttl = 0;
  std::string type;  // "TXT", "TLSA"
  std::string data;  // as in a zone file (RFC 1035 §5.1)
  std::string note;  // a comment, or empty
  std::string line() const;
};

struct Published {
  std::string policy_file;  // lines end in CRLF
  std::string policy_url;
  std::vector<ZoneRecord> records;
};

// An error, in words that name what was wished: a sender would not accept the result.
base::Result<Published, base::Error> publish(const Publication& wish);

// "20261126T181500Z": grows with time, as an id of the TXT record must change with the policy.
std::string sts_id_of(base::WallTime time);

// `text` as character-strings of a zone file, 255 octets each at most.
std::string zone_text(std::string_view text);

}  // namespace policy
