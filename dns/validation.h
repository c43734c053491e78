// Whether a resolver validates at all (RFC 7672 §2.1.1): read off the answer to the question for
// the root's NS records, which any trust anchor at the root must make secure, a private root's too.
// A forwarder that strips signatures, a wrong anchor or a wrong clock make it bogus or insecure.
// Pure; dns/unbound_resolver.h asks. The caller takes `unknown` for "not yet", never for "yes".
#pragma once

#include <string>

#include "dns/answer.h"

namespace dns {

enum class Validation : std::uint8_t { validates, does_not_validate, unknown };
std::string_view to_string(Validation validation);

struct ValidationReport {
  Validation state = Validation::unknown;
  std::string text;  // what was seen, for the operator
};

// `root_ns`: the answer to NS at the root.
ValidationReport validation_of(const RawLookup& root_ns);

}  // namespace dns
