#include "smtp/command.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/encode.h"
#include "base/limits.h"
#include "smtp/path.h"
#include "smtp/xtext.h"

namespace smtp {
namespace {

using base::fail;
using base::iequals;
using Parsed = base::Result<Command, Reply>;

constexpr EnhancedCode no_command{5, 5, 1};
constexpr EnhancedCode bad_syntax{5, 5, 2};
constexpr EnhancedCode bad_arguments{5, 5, 4};
constexpr EnhancedCode bad_recipient{5, 1, 3};
constexpr EnhancedCode bad_sender{5, 1, 7};
constexpr EnhancedCode not_ascii{5, 6, 7};

auto refuse(int code, EnhancedCode enhanced, std::string_view text) {
  return fail(make_reply(code, enhanced, text));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string_view skip_spaces(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

// The text up to the next space; `text` then begins at the word after it.
std::string_view take_word(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text = skip_spaces(text.substr(end));
  return word;
}

// RFC 5321 §4.1.1.1, RFC 6531 §3.7.1: ASCII alone.
template <class Greeting>
Parsed greeting(std::string_view name) {
  if (name.empty()) return refuse(501, bad_arguments, "a host name is missing");
  const auto graphic = [](char c) { return c > 32 && c < 127; };
  const bool plain = std::all_of(name.begin(), name.end(), graphic);
  if (!plain || name.size() > base::limits::domain) {
    return refuse(501, bad_arguments, "not a host name or address literal");
  }
  return Command(Greeting{std::string(name)});
}

template <class Alone>
Parsed alone(std::string_view arguments) {
  if (!arguments.empty()) return refuse(501, bad_arguments, "the command takes no argument");
  return Command(Alone{});
}

// One esmtp-param (RFC 5321 §4.1.2).
struct Parameter {
  std::string_view keyword;
  std::optional<std::string_view> value;
};

std::optional<Parameter> parse_parameter(std::string_view word) {
  const std::size_t equals = word.find('=');
  Parameter out;
  out.keyword = word.substr(0, equals);
  if (out.keyword.empty() || !is_alnum(out.keyword.front())) return std::nullopt;
  for (const char c : out.keyword) {
    if (!is_alnum(c) && c != '-') return std::nullopt;
  }
  if (equals == std::string_view::npos) return out;
  out.value = word.substr(equals + 1);
  if (out.value->empty()) return std::nullopt;
  for (const char c : *out.value) {
    if (c <= 32 || c > 126 || c == '=') return std::nullopt;
  }
  return out;
}

// RFC 1870 §3: 1*20DIGIT. What does not fit 64 bits is more than any limit, and stays so.
std::optional<std::uint64_t> parse_size(std::string_view digits) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (digits.empty() || digits.size() > 20) return std::nullopt;
  std::uint64_t size = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    size = size > (most - digit) / 10 ? most : size * 10 + digit;
  }
  return size;
}

// Sets one parameter of MAIL; the reply that refuses it otherwise.
std::optional<Reply> set_parameter(const Parameter& parameter, MailParameters& out) {
  if (iequals(parameter.keyword, "SIZE")) {
    const auto size = parse_size(parameter.value.value_or(""));
    if (!size || out.size) return make_reply(501, bad_arguments, "bad SIZE parameter");
    out.size = size;
    return std::nullopt;
  }
  if (iequals(parameter.keyword, "BODY")) {
    const std::string_view value = parameter.value.value_or("");
    // RFC 3030 §3 is not offered, so its value is a parameter that is not known.
    if (iequals(value, "BINARYMIME")) return make_reply(555, bad_arguments, "BINARYMIME not known");
    const bool eight = iequals(value, "8BITMIME");
    if (out.body != Body::unstated || (!eight && !iequals(value, "7BIT"))) {
      return make_reply(501, bad_arguments, "bad BODY parameter");
    }
    out.body = eight ? Body::eight_bit_mime : Body::seven_bit;
    return std::nullopt;
  }
  if (iequals(parameter.keyword, "SMTPUTF8")) {
    if (parameter.value || out.smtputf8) {
      return make_reply(501, bad_arguments, "bad SMTPUTF8 parameter");
    }
    out.smtputf8 = true;
    return std::nullopt;
  }
  // RFC 5321 §4.1.1.11.
  return make_reply(555, bad_arguments,
                    "parameter not known: " + std::string(parameter.keyword.substr(0, 40)));
}

// Behind the path: nothing, or a space and parameters. False where something touches the ">".
bool take_separator(std::string_view& text) {
  if (!text.empty() && text.front() != ' ') return false;
  text = skip_spaces(text);
  return true;
}

// "FROM:" or "TO:", then the path; a space before the path is tolerated, as many clients send it.
bool take_label(std::string_view& text, std::string_view label) {
  if (!iequals(text.substr(0, label.size()), label)) return false;
  text = skip_spaces(text.substr(label.size()));
  return true;
}

Parsed mail(std::string_view text) {
  if (!take_label(text, "FROM:")) return refuse(501, bad_arguments, "MAIL FROM:<address> expected");
  auto path = take_path(text);
  if (!path) return refuse(501, bad_sender, "sender address: " + path.error().text);
  if (!path->address.empty() && !path->mailbox) {
    return refuse(501, bad_sender, "sender address: no domain");
  }
  if (!take_separator(text)) return refuse(501, bad_sender, "text behind the sender address");
  Mail out;
  out.reverse_path = std::move(path->address);
  while (!text.empty()) {
    const auto parameter = parse_parameter(take_word(text));
    if (!parameter) return refuse(501, bad_arguments, "bad parameter syntax");
    if (auto refused = set_parameter(*parameter, out.parameters)) return fail(std::move(*refused));
  }
  // RFC 6531 §3.5: an internationalized address needs the SMTPUTF8 parameter.
  if (!out.parameters.smtputf8 && !base::is_ascii(out.reverse_path)) {
    return refuse(553, not_ascii, "a non-ASCII address needs the SMTPUTF8 parameter");
  }
  return Command(std::move(out));
}

Parsed rcpt(std::string_view text, bool smtputf8) {
  if (!take_label(text, "TO:")) return refuse(501, bad_arguments, "RCPT TO:<address> expected");
  auto path = take_path(text);
  if (!path) return refuse(501, bad_recipient, "recipient address: " + path.error().text);
  if (!path->mailbox) {
    // RFC 5321 §4.5.1 wants "postmaster" taken everywhere; this relay has no mailbox and no domain
    // of its own, and its MTA qualifies the address before it hands mail out. Permanent, so that
    // a client that does not is told at once.
    if (iequals(path->address, "postmaster")) {
      return refuse(550, bad_recipient, "no mailboxes here: write postmaster with a domain");
    }
    return refuse(501, bad_recipient, "recipient address: no domain");
  }
  if (!take_separator(text)) return refuse(501, bad_recipient, "text behind the recipient address");
  while (!text.empty()) {
    const auto parameter = parse_parameter(take_word(text));
    if (!parameter) return refuse(501, bad_arguments, "bad parameter syntax");
    return refuse(555, bad_arguments,
                  "parameter not known: " + std::string(parameter->keyword.substr(0, 40)));
  }
  if (!smtputf8 && !path->mailbox->is_ascii()) {
    return refuse(553, not_ascii, "a non-ASCII address needs SMTPUTF8 at MAIL");
  }
  return Command(Rcpt{std::move(*path->mailbox)});
}

std::optional<Xforward::Name> xforward_name(std::string_view text) {
  using Name = Xforward::Name;
  static constexpr std::pair<std::string_view, Name> names[] = {
      {"NAME", Name::name}, {"ADDR", Name::addr},   {"PORT", Name::port},    {"PROTO", Name::proto},
      {"HELO", Name::helo}, {"IDENT", Name::ident}, {"SOURCE", Name::source}};
  for (const auto& [word, name] : names) {
    if (iequals(text, word)) return name;
  }
  return std::nullopt;
}

// Postfix's XFORWARD_README: 1*( attribute "=" xtext ).
Parsed xforward(std::string_view text) {
  Xforward out;
  while (!text.empty()) {
    const std::string_view word = take_word(text);
    const std::size_t equals = word.find('=');
    const auto name = xforward_name(word.substr(0, equals));
    if (!name || equals == std::string_view::npos) {
      return refuse(501, bad_arguments, "XFORWARD attribute not known");
    }
    const std::string_view encoded = word.substr(equals + 1);
    std::optional<std::string> value = decode_xtext(encoded);
    if (!value) return refuse(501, bad_arguments, "bad XFORWARD attribute value");
    if (iequals(encoded, "[UNAVAILABLE]") || iequals(encoded, "[TEMPUNAVAIL]")) {
      value.reset();
    } else {
      value = base::printable(*value);
    }
    const auto same = [&](const Xforward::Attribute& a) { return a.name == *name; };
    std::erase_if(out.attributes, same);
    out.attributes.push_back({*name, std::move(value)});
  }
  if (out.attributes.empty()) {
    return refuse(501, bad_arguments, "XFORWARD attribute=value expected");
  }
  return Command(std::move(out));
}

Parsed dispatch(std::string_view verb, std::string_view arguments, bool smtputf8) {
  if (iequals(verb, "MAIL")) return mail(arguments);
  if (iequals(verb, "RCPT")) return rcpt(arguments, smtputf8);
  if (iequals(verb, "DATA")) return alone<Data>(arguments);
  if (iequals(verb, "EHLO")) return greeting<Ehlo>(arguments);
  if (iequals(verb, "HELO")) return greeting<Helo>(arguments);
  if (iequals(verb, "LHLO")) return greeting<Lhlo>(arguments);
  if (iequals(verb, "RSET")) return alone<Rset>(arguments);
  if (iequals(verb, "QUIT")) return alone<Quit>(arguments);
  if (iequals(verb, "STARTTLS")) return alone<Starttls>(arguments);
  if (iequals(verb, "XFORWARD")) return xforward(arguments);
  if (iequals(verb, "NOOP")) return Command(Noop{});  // RFC 5321 §4.1.1.9: an argument is ignored
  if (iequals(verb, "HELP")) return Command(Help{});
  if (iequals(verb, "VRFY")) {
    if (arguments.empty()) return refuse(501, bad_arguments, "an address is missing");
    return Command(Vrfy{std::string(arguments)});
  }
  for (const std::string_view known : {"EXPN", "AUTH", "BDAT", "ETRN", "TURN", "ATRN", "SEND",
                                       "SOML", "SAML", "XCLIENT", "BURL"}) {
    if (iequals(verb, known)) return refuse(502, no_command, "command not implemented");
  }
  return refuse(500, bad_syntax, "command not recognized");
}

}  // namespace

Parsed parse_command(std::string_view line, bool smtputf8) {
  // RFC 5321 §4.5.3.1.4; the limit counts the CRLF.
  if (line.size() + 2 > base::limits::command_line) return refuse(500, bad_syntax, "line too long");
  // RFC 5321 §4.1.1: white space before the CRLF is tolerated.
  const std::size_t last = line.find_last_not_of(" \t");
  line = line.substr(0, last == std::string_view::npos ? 0 : last + 1);
  for (const char c : line) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) {
      return refuse(500, bad_syntax, "control character in a command");
    }
  }
  const std::string_view verb = take_word(line);
  return dispatch(verb, line, smtputf8);
}

bool is_data_line(std::string_view octets) {
  return octets.size() >= 6 && iequals(octets.substr(0, 4), "DATA") &&
         octets.substr(4, 2) == "\r\n";
}

}  // namespace smtp
