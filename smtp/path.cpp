#include "smtp/path.h"

#include "base/encode.h"
#include "base/limits.h"

namespace smtp {
namespace {

using base::fail;
using base::Result;
using Text = Result<std::string_view, base::Error>;

bool is_atext(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}
bool is_high(char c) { return (c & 0x80) != 0; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }

// RFC 5321 §4.1.2 Quoted-string: the octets up to and with the closing quote.
Text take_quoted(std::string_view& text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      const std::string_view out = text.substr(0, i + 1);
      text.remove_prefix(i + 1);
      return out;
    }
    if (text[i] == '\\') ++i;
    // RFC 6531 §3.3 widens qtextSMTP by UTF-8, not quoted-pairSMTP; a pair of it is as harmless.
    if (i < text.size() && is_control(text[i])) return fail("control character in a local part");
  }
  return fail("unended quoted string");
}

// RFC 5321 §4.1.2 Dot-string.
Text take_dot_string(std::string_view& text) {
  std::size_t i = 0;
  bool after_dot = true;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      if (after_dot) return fail("empty word in a local part");
      after_dot = true;
    } else if (is_atext(c) || is_high(c)) {
      after_dot = false;
    } else {
      break;
    }
  }
  if (i == 0) return fail("no local part");
  if (after_dot) return fail("local part ends with a dot");
  const std::string_view out = text.substr(0, i);
  text.remove_prefix(i);
  return out;
}

// RFC 5321 §4.1.3: IPv4 and IPv6 literals; no others are registered.
Result<base::Ip, base::Error> literal(std::string_view inside) {
  static constexpr std::string_view tag = "IPv6:";
  const bool six = base::iequals(inside.substr(0, tag.size()), tag);
  auto ip = base::Ip::parse(six ? inside.substr(tag.size()) : inside);
  if (!ip || ip->is_v6() != six) return fail("not an address literal");
  return *ip;
}

Result<Mailbox, base::Error> take_domain(std::string_view& text, std::string_view local_part) {
  const bool is_literal = text.starts_with('[');
  const std::size_t end = is_literal ? text.find(']') : text.find('>');
  if (end == std::string_view::npos) return fail(is_literal ? "unended literal" : "no \">\"");
  const std::string_view written = text.substr(0, end + (is_literal ? 1 : 0));
  text.remove_prefix(written.size());
  const std::string local(local_part);
  const std::string kept(written);
  if (is_literal) {
    auto ip = literal(written.substr(1, written.size() - 2));
    if (!ip) return fail(ip.error());
    return Mailbox{local, kept, *ip};
  }
  if (written.size() > 4 * base::limits::domain) return fail("domain too long");
  if (!base::is_utf8(written)) return fail("domain is not UTF-8");
  auto domain = base::Domain::parse(written);
  if (!domain) return fail("domain: " + domain.error().text);
  return Mailbox{local, kept, *domain};
}

// "@a,@b:" in front of a mailbox. RFC 5321 appendix C: to be accepted and ignored.
Result<void, base::Error> skip_source_route(std::string_view& text) {
  while (true) {
    if (!text.starts_with('@')) return fail("source route without \"@\"");
    const std::size_t end = text.find_first_of(",:>");
    if (end == std::string_view::npos || text[end] == '>') return fail("unended source route");
    if (!base::Domain::parse(text.substr(1, end - 1))) return fail("bad domain in a source route");
    const bool more = text[end] == ',';
    text.remove_prefix(end + 1);
    if (!more) return {};
  }
}

}  // namespace

Result<Path, base::Error> take_path(std::string_view& text) {
  if (!text.starts_with('<')) return fail("path without \"<\"");
  text.remove_prefix(1);
  if (text.starts_with('>')) {
    text.remove_prefix(1);
    return Path{};
  }
  if (text.starts_with('@')) {
    if (auto skipped = skip_source_route(text); !skipped) return fail(skipped.error());
  }
  auto local = text.starts_with('"') ? take_quoted(text) : take_dot_string(text);
  if (!local) return fail(local.error());
  if (local->size() > base::limits::local_part) return fail("local part too long");
  if (!base::is_utf8(*local)) return fail("local part is not UTF-8");

  Path path;
  path.address = std::string(*local);
  if (text.starts_with('@')) {
    text.remove_prefix(1);
    auto mailbox = take_domain(text, *local);
    if (!mailbox) return fail(mailbox.error());
    path.address = mailbox->address();
    path.mailbox = std::move(*mailbox);
  }
  if (!text.starts_with('>')) return fail("path without \">\"");
  text.remove_prefix(1);
  return path;
}

}  // namespace smtp
