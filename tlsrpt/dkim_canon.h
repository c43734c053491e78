// What a DKIM signature is computed over: a message taken apart, and the relaxed forms of its
// fields and its body (RFC 6376 §3.4.2, §3.4.4). Pure. Called by tlsrpt/dkim.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tlsrpt {

struct MessageParts {
  std::vector<std::string_view> fields;  // in order, folds included, without the last CRLF
  std::string_view body;                 // behind the empty line; empty where there is none
};
// `message`: RFC 5322 with CRLF line ends.
MessageParts message_parts(std::string_view message);

// The name of a field, as written: what stands before its colon, without white space at its end.
std::string_view field_name(std::string_view field);

// RFC 6376 §3.4.2: "name:value" without CRLF. `field`: with or without one at its end.
std::string relaxed_field(std::string_view field);
// RFC 6376 §3.4.4. An empty body stays empty; any other ends with CRLF.
std::string relaxed_body(std::string_view body);

}  // namespace tlsrpt
