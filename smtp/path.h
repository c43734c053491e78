// Reverse-path and forward-path (RFC 5321 §4.1.2, RFC 6531 §3.3): the text between and around
// angle brackets, as values. Source routes are stripped (RFC 5321 §3.3, appendix C). Not
// responsible for parameters after the path, nor for whether a domain exists. Called by the
// command parser.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "smtp/envelope.h"

namespace smtp {

struct Path {
  // Without brackets and source route, as written; empty for "<>".
  std::string address;
  // The same in parts; nullopt for "<>" and for a local part without a domain.
  std::optional<Mailbox> mailbox;
};

// Takes a path with its brackets from the start of `text`, which then begins behind ">". Admits
// UTF-8 in local part and domain: the caller decides whether it is allowed. Local parts go up to
// limits::local_part octets.
base::Result<Path, base::Error> take_path(std::string_view& text);

}  // namespace smtp
