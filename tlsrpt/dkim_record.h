// A DKIM key record, as far as a signer has to know what verifiers make of it (RFC 6376 §3.6.1,
// RFC 8463 §4). Pure, bounded, fuzzed; not responsible for whether the key is ours. Called by
// tlsrpt/dkim.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tlsrpt {

struct DkimKeyRecord {
  std::string key_type = "rsa";
  std::vector<std::uint8_t> key;                  // as in p=, decoded; empty: the key is revoked
  std::optional<std::vector<std::string>> hashes; // h=; nullopt: all
  std::vector<std::string> services{"*"};         // s=
  std::vector<std::string> flags;                 // t=
};

inline constexpr std::size_t dkim_record_limit = 16384;  // octets of one TXT record

// `text`: the TXT record, character-strings joined. Unknown tags are passed over. Fails on what a
// verifier has to discard: no tag list, a tag twice, another version, no p=, p= that is no base64.
base::Result<DkimKeyRecord, base::Error> parse_dkim_record(std::string_view text);

// What a receiver of reports may hold against a record that is read and holds the right key
// (RFC 8460 §3, RFC 6376 §3.6.1), and what to do about it: to be read after "the record".
std::vector<std::string> record_faults(const DkimKeyRecord& record);

}  // namespace tlsrpt
