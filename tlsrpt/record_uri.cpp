#include "tlsrpt/record_uri.h"

#include <algorithm>
#include <optional>

#include "base/domain.h"
#include "base/encode.h"
#include "base/ip.h"
#include "base/limits.h"

namespace tlsrpt {
namespace {

using base::fail;
using base::Result;
using Text = Result<std::string, base::Error>;

// A Text does not take a string of itself: one could be a value or an error's words.
Text value(std::string text) { return {boost::system::in_place_value, std::move(text)}; }

constexpr std::size_t quoted_limit = 80;  // octets of a URI that are quoted in words

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_alnum(char c) { return is_letter(c) || is_digit(c); }
bool is_high(char c) { return (c & 0x80) != 0; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }
bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }
// RFC 5322 §3.2.3.
bool is_atext(char c) { return is_alnum(c) || is_one_of(c, "!#$%&'*+-/=?^_`{|}~"); }

std::optional<char> hex_octet(std::string_view text) {
  const auto octets = base::from_hex(text);
  if (!octets || octets->size() != 1) return std::nullopt;
  return static_cast<char>(octets->front());
}

// Words for an operator's terminal and log: one line, ASCII, short.
std::string refusal(std::string_view text, std::string_view why) {
  std::string out = base::printable(text.substr(0, quoted_limit));
  std::replace_if(out.begin(), out.end(), is_high, '?');
  if (text.size() > quoted_limit) out += "...";
  out.insert(0, "\"");
  out += "\": ";
  out += why;
  return out;
}

// RFC 3986 §2: what may stand in a URI at all. RFC 8460 §3 takes three reserved characters out; a
// raw "!" may also be DMARC's size suffix, which TLS-RPT does not have.
Result<void, base::Error> allow_characters(std::string_view uri) {
  for (std::size_t i = 0; i < uri.size(); ++i) {
    const char c = uri[i];
    if (is_alnum(c) || is_one_of(c, "-._~:/?#[]@$&'()*+=")) continue;
    if (c == '!' || c == ',' || c == ';') {
      return fail(std::string("'") + c + "' is not percent-encoded");
    }
    if (c != '%') return fail("a character that no URI has");
    if (!hex_octet(uri.substr(i + 1, 2))) return fail("'%' without two hexadecimal digits");
  }
  return {};
}

// Only for text that allow_characters() let through.
std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = text[i] == '%' ? hex_octet(text.substr(i + 1, 2)) : std::nullopt;
    out += octet.value_or(text[i]);
    if (octet) i += 2;
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_alnum(c) || is_one_of(c, "-._~+$'*")) {
      out += c;
    } else {
      constexpr char digits[] = "0123456789ABCDEF";
      out += '%';
      out += digits[static_cast<unsigned char>(c) >> 4];
      out += digits[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

// --- mailto ---

bool is_dot_atom(std::string_view text) {
  bool after_dot = true;
  for (const char c : text) {
    if (c == '.' ? after_dot : !is_atext(c) && !is_high(c)) return false;
    after_dot = c == '.';
  }
  return !after_dot;
}

// Neither may carry a header field or an SMTP command beyond its line. Angle brackets are refused
// even inside quotes: no mailbox for reports needs them and not every reader knows about quotes.
Result<void, base::Error> allow_in_address(std::string_view text) {
  if (!base::is_utf8(text)) return fail("the address is not UTF-8");
  for (std::size_t i = 0; i < text.size(); ++i) {
    // U+0080 to U+009F are controls as well.
    const bool c1 = text[i] == '\xc2' && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1 || is_control(text[i])) return fail("a control character in the address");
    if (text[i] == '<' || text[i] == '>') return fail("an angle bracket in the address");
  }
  return {};
}

// Position behind the quoted string at the start of `text`, or npos where it has no end.
std::size_t end_of_quoted(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\\') ++i;
  }
  return std::string_view::npos;
}

// A quoted local part in its shortest form: without quotes where it needs none (RFC 5321 §4.1.2
// calls both the same mailbox), else with as few backslashes as possible.
std::string shortest_quoted(std::string_view quoted) {
  std::string plain;
  std::string out = "\"";
  for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
    if (quoted[i] == '\\') ++i;
    plain += quoted[i];
    if (quoted[i] == '"' || quoted[i] == '\\') out += '\\';
    out += quoted[i];
  }
  return is_dot_atom(plain) ? plain : out + "\"";
}

Text read_local_part(std::string_view written) {
  if (written.empty()) return fail("the address has no local part");
  if (written.size() > base::limits::local_part) return fail("the local part is too long");
  if (written.front() != '"') {
    if (is_dot_atom(written)) return value(std::string(written));
    return fail("the local part is not a dot-atom");
  }
  if (end_of_quoted(written) != written.size()) return fail("the local part is not well quoted");
  if (written == "\"\"") return fail("the local part is empty");
  return value(shortest_quoted(written));
}

Result<Endpoint, base::Error> read_address(std::string_view text) {
  if (text.empty()) return fail("there is no address");
  if (auto allowed = allow_in_address(text); !allowed) return fail(allowed.error());
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos) return fail("the address has no domain");
  auto local = read_local_part(text.substr(0, at));
  if (!local) return fail(local.error());
  auto domain = base::Domain::parse(text.substr(at + 1));
  if (!domain) return fail("the address's domain: " + domain.error().text);
  if (!domain->is_ldh()) return fail("the address's domain is no host name");
  Endpoint endpoint;
  endpoint.scheme = Endpoint::Scheme::mailto;
  endpoint.uri = "mailto:" + percent_encode(*local) + "@" + domain->str();
  endpoint.address = *local + "@" + domain->str();
  return endpoint;
}

// RFC 6068 §2: addresses with commas between. Since RFC 8460 §3 keeps the raw comma for itself, the
// comma arrives percent-encoded, and so do those inside quotes: the split comes after decoding.
UriReading read_mailto(std::string_view rest) {
  UriReading out;
  // The header fields behind "?" are for people's mail programs; a report has its own.
  rest = rest.substr(0, rest.find_first_of("?#"));
  if (rest.find('/') != std::string_view::npos) {  // not least "mailto://"
    out.refused.push_back(refusal("mailto:" + std::string(rest), "'/' is not percent-encoded"));
    return out;
  }
  const std::string decoded = percent_decode(rest);
  std::string_view list = decoded;
  while (true) {
    const std::size_t behind = list.starts_with('"') ? end_of_quoted(list) : 0;
    const std::size_t comma =
        behind == std::string_view::npos ? behind : list.find(',', behind);
    const std::string_view written = list.substr(0, comma);
    auto endpoint = read_address(written);
    if (endpoint) {
      out.endpoints.push_back(std::move(*endpoint));
    } else {
      out.refused.push_back(refusal("mailto:" + std::string(written), endpoint.error().text));
    }
    if (comma == std::string_view::npos) return out;
    list.remove_prefix(comma + 1);
  }
}

// --- https ---

// Whether a resolver of the C library's kind could take `name` for an IPv4 address in one of its
// old forms ("0x7f.1", "example.010"), past whatever looks at addresses.
bool ends_in_number(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  const std::string_view last = name.substr(dot == std::string_view::npos ? 0 : dot + 1);
  const bool hex = last.starts_with("0x");
  return last.find_first_not_of(hex ? "0123456789abcdef" : "0123456789", hex ? 2 : 0) ==
         std::string_view::npos;
}

// RFC 3986 §3.2.2. `bracketed`: between "[" and "]".
Text read_host(std::string_view text, bool bracketed) {
  const auto ip = base::Ip::parse(text);
  if (bracketed) {
    if (!ip || !ip->is_v6()) return fail("what is in brackets is not an IPv6 address");
    return value(ip->str());
  }
  if (ip && ip->is_v4()) return value(ip->str());
  const auto domain = base::Domain::parse(percent_decode(text));
  if (!domain) return fail("the host: " + domain.error().text);
  if (ends_in_number(domain->view())) return fail("the host ends in a number");
  return value(domain->str());
}

// RFC 3986 §3.2.3: an empty port is the default one.
Result<std::uint16_t, base::Error> read_port(std::string_view text) {
  if (text.empty()) return std::uint16_t{443};
  unsigned port = 0;
  for (const char c : text) {
    if (!is_digit(c) || text.size() > 5) return fail("the port is not a number");
    port = port * 10 + static_cast<unsigned>(c - '0');
  }
  if (port == 0 || port > 65535) return fail("there is no such port");
  return static_cast<std::uint16_t>(port);
}

Result<void, base::Error> read_authority(std::string_view text, Endpoint& endpoint) {
  if (text.find('@') != std::string_view::npos) return fail("user information before the host");
  const bool bracketed = text.starts_with('[');
  const std::size_t end = bracketed ? text.find(']') : text.find(':');
  if (bracketed && end == std::string_view::npos) return fail("'[' without ']'");
  auto host = read_host(bracketed ? text.substr(1, end - 1) : text.substr(0, end), bracketed);
  if (!host) return fail(host.error());
  std::string_view rest = end == std::string_view::npos ? std::string_view() : text.substr(end);
  if (bracketed) rest.remove_prefix(1);
  if (!rest.empty() && rest.front() != ':') return fail("text between ']' and the port");
  auto port = read_port(rest.substr(rest.empty() ? 0 : 1));
  if (!port) return fail(port.error());
  endpoint.host = std::move(*host);
  endpoint.port = *port;
  endpoint.uri = bracketed ? "https://[" + endpoint.host + "]" : "https://" + endpoint.host;
  if (endpoint.port != 443) endpoint.uri += ":" + std::to_string(endpoint.port);
  return {};
}

Result<Endpoint, base::Error> read_https(std::string_view rest) {
  if (!rest.starts_with("//")) return fail("no \"//\" before the host");
  rest.remove_prefix(2);
  rest = rest.substr(0, rest.find('#'));  // RFC 3986 §3.5: a fragment is not sent
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  Endpoint endpoint;
  endpoint.scheme = Endpoint::Scheme::https;
  if (auto read = read_authority(rest.substr(0, end), endpoint); !read) return fail(read.error());
  // Path and query go out as they were published: decoding would change what the server sees, and
  // an encoded line end stays harmless.
  const std::string_view target = rest.substr(end);
  if (target.find_first_of("[]") != std::string_view::npos) return fail("'[' or ']' in the path");
  endpoint.target = target.starts_with('/') ? "" : "/";
  endpoint.target += target;
  endpoint.uri += endpoint.target;
  return endpoint;
}

// RFC 3986 §3.1, in lower case; empty: there is none.
std::string scheme_of(std::string_view uri) {
  const std::size_t colon = uri.find(':');
  if (colon == std::string_view::npos || !is_letter(uri.front())) return {};
  const std::string_view scheme = uri.substr(0, colon);
  const bool named = std::all_of(scheme.begin(), scheme.end(),
                                 [](char c) { return is_alnum(c) || is_one_of(c, "+-."); });
  return named ? base::to_lower(scheme) : std::string();
}

}  // namespace

UriReading read_uri(std::string_view uri) {
  const auto refuse = [&](std::string_view why) { return UriReading{{}, {refusal(uri, why)}}; };
  if (uri.empty()) return refuse("an empty URI");
  const std::string scheme = scheme_of(uri);
  if (scheme.empty()) return refuse("no scheme, such as mailto:");
  if (scheme != "mailto" && scheme != "https") return refuse("neither mailto nor https");
  if (auto allowed = allow_characters(uri); !allowed) return refuse(allowed.error().text);
  const std::string_view rest = uri.substr(scheme.size() + 1);
  if (scheme == "mailto") return read_mailto(rest);
  auto endpoint = read_https(rest);
  if (!endpoint) return refuse(endpoint.error().text);
  UriReading out;
  out.endpoints.push_back(std::move(*endpoint));
  return out;
}

}  // namespace tlsrpt
