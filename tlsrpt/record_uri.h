// One URI of an rua field (RFC 8460 §3; RFC 3986, RFC 6068) to the places that it names. What comes
// out can stand in a header field, an SMTP command or a request line as it is: no control character
// and no line end survives, however it was encoded. Not responsible for the record around the URI
// nor for whether the place exists. Pure; called by record.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tlsrpt/record.h"

namespace tlsrpt {

struct UriReading {
  std::vector<Endpoint> endpoints;  // several where a mailto names several addresses
  std::vector<std::string> refused;  // what was passed over, and why, in words
};

// `uri`: what stands between two commas, without white space around it, still percent-encoded.
UriReading read_uri(std::string_view uri);

}  // namespace tlsrpt
