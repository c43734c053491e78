// Envelope: reverse-path, forward-paths and MAIL parameters of one transaction as values
// (RFC 5321 §3.3, §4.1.2; RFC 1870, 6152, 6531). Made by the command parser, carried to the MX.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/domain.h"
#include "base/ip.h"

namespace smtp {

// A mailbox as it was given, so that what reaches the MX is octet for octet what the client sent;
// `domain` is the A-label form or an address literal (RFC 5321 §4.1.3). "postmaster" alone has no
// domain and is not a recipient that a relay can route.
struct Mailbox {
  std::string local_part;  // as written, quotes included
  std::string written_domain;  // as written: may hold U-labels under SMTPUTF8
  std::variant<base::Domain, base::Ip> domain;
  // "local@domain" as written, without angle brackets.
  std::string address() const { return local_part + "@" + written_domain; }
  bool is_ascii() const;
};

enum class Body : std::uint8_t { unstated, seven_bit, eight_bit_mime };

struct MailParameters {
  std::optional<std::uint64_t> size;  // octets (RFC 1870 §6)
  Body body = Body::unstated;
  bool smtputf8 = false;
};

struct Envelope {
  std::string reverse_path;  // without angle brackets, as written; "" is the null path
  MailParameters parameters;
  bool reverse_path_is_ascii() const;
};

}  // namespace smtp
