#include "smtp/received.h"

#include <algorithm>
#include <string_view>

#include "base/domain.h"
#include "base/encode.h"
#include "base/mail_date.h"

namespace smtp {
namespace {

constexpr std::size_t line_wanted = 78;  // RFC 5322 §2.1.1

bool is_safe(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != '\0' && std::string_view("-._:[]+=").find(c) != std::string_view::npos);
}

std::string made_safe(std::string_view text) {
  std::string out(text.substr(0, 255));
  std::replace_if(out.begin(), out.end(), [](char c) { return !is_safe(c); }, '?');
  return out;
}

bool is_literal(std::string_view text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  std::string_view inside = text.substr(1, text.size() - 2);
  if (base::iequals(inside.substr(0, 5), "IPv6:")) inside.remove_prefix(5);
  return base::Ip::parse(inside).has_value();
}

// RFC 5321 §4.4 From-domain: the name given and the address seen. A name that is neither a domain
// nor a literal gives way to the address and stands in the comment, made safe.
std::string from_clause(const TraceFacts& facts) {
  const std::string address = facts.peer ? facts.peer->unmapped().literal() : std::string();
  const bool proper = base::is_ascii(facts.helo) &&
                      (is_literal(facts.helo) || base::Domain::parse(facts.helo).has_value());
  if (proper) return "from " + facts.helo + (address.empty() ? "" : " (" + address + ")");
  return "from " + (address.empty() ? "unknown" : address) + " (HELO " + made_safe(facts.helo) +
         ")";
}

// RFC 5321 §7.6: only where it discloses no other recipient. Left out where it would not be what
// its reader expects.
std::string for_clause(const TraceFacts& facts) {
  const std::string& recipient = facts.only_recipient;
  const auto odd = [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; };
  if (recipient.empty() || std::any_of(recipient.begin(), recipient.end(), odd)) return {};
  if (!facts.smtputf8 && !base::is_ascii(recipient)) return {};
  return "for <" + recipient + ">";
}

}  // namespace

std::string with_keyword(const TraceFacts& facts) {
  std::string out;
  if (facts.smtputf8) {
    out = facts.lmtp ? "UTF8LMTP" : "UTF8SMTP";
  } else if (facts.lmtp) {
    out = "LMTP";
  } else {
    out = facts.extended ? "ESMTP" : "SMTP";
  }
  const bool marks_tls = facts.lmtp || facts.extended || facts.smtputf8;
  return facts.tls && marks_tls ? out + "S" : out;
}

std::string received_field(const TraceFacts& facts) {
  const std::string clauses[] = {"by " + made_safe(facts.hostname), "with " + with_keyword(facts),
                                 "id " + made_safe(facts.id), for_clause(facts)};
  std::string out;
  std::string line = "Received: " + from_clause(facts);
  const auto add = [&](const std::string& text) {
    // A space before it, and the semicolon that the last clause gets behind it.
    if (line.size() + text.size() + 2 > line_wanted) {
      out += line + "\r\n";
      line = "\t" + text;
    } else {
      line += (line == "\t" ? "" : " ") + text;
    }
  };
  const auto fold = [&] {
    out += line + "\r\n";
    line = "\t";
  };
  fold();
  for (const std::string& clause : clauses) {
    if (!clause.empty()) add(clause);
  }
  line += ';';
  add(base::mail_date(facts.when + facts.zone, facts.zone));
  return out + line + "\r\n";
}

}  // namespace smtp
