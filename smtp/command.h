// Command: one line of an SMTP or LMTP client as a value (RFC 5321 §4.1.1, RFC 2033 §4, RFC 1870,
// 6152, 6531, 3207, and Postfix's XFORWARD), or the reply that refuses it. Knows the language, not
// the state: which command may come when, LHLO or EHLO, and what is offered is the session's to
// decide. Pure; called by the session for each line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

namespace smtp {

// The name the client gave: printable ASCII without spaces, 1 to 255 octets, otherwise unproven
// (RFC 5321 §4.1.4: a wrong name is no reason to refuse).
struct Helo {
  std::string name;
};
struct Ehlo {
  std::string name;
};
struct Lhlo {
  std::string name;
};
struct Mail {
  std::string reverse_path;  // without brackets and source route, as written; "" is the null path
  MailParameters parameters;
};
struct Rcpt {
  Mailbox recipient;
};
struct Data {};
struct Rset {};
struct Noop {};
struct Quit {};
struct Help {};
struct Starttls {};
struct Vrfy {
  std::string text;
};
struct Xforward {
  enum class Name : std::uint8_t { name, addr, port, proto, helo, ident, source };
  struct Attribute {
    Name name;
    std::optional<std::string> value;  // printable; nullopt for [UNAVAILABLE] and [TEMPUNAVAIL]
  };
  std::vector<Attribute> attributes;  // as sent; a later one of the same name replaces the earlier
};

using Command = std::variant<Helo, Ehlo, Lhlo, Mail, Rcpt, Data, Rset, Noop, Quit, Help, Starttls,
                             Vrfy, Xforward>;

// `line`: without its CRLF. `smtputf8`: whether the open transaction's MAIL had SMTPUTF8; of
// meaning for RCPT alone. The error is ready to be sent, but for the ID: 500 5.5.2 (no command,
// too long, control characters), 501 5.5.4 (arguments), 501 5.1.7 and 5.1.3 (reverse-path,
// forward-path), 502 5.5.1 (known, not implemented), 550 5.1.3 (postmaster without a domain),
// 553 5.6.7 (SMTPUTF8 missing), 555 5.5.4 (parameter not known).
base::Result<Command, Reply> parse_command(std::string_view line, bool smtputf8);

// Whether what has come begins with the line DATA, whole, so that the next command is that.
bool is_data_line(std::string_view octets);

}  // namespace smtp
