#include "tlsrpt/record.h"

#include <algorithm>

#include "base/encode.h"
#include "tlsrpt/record_uri.h"

namespace tlsrpt {
namespace {

using base::fail;
using base::Result;

constexpr std::size_t ignored_limit = 20;  // entries of `ignored`; the last counts the rest

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_blank(char c) { return c == ' ' || c == '\t'; }

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

// RFC 8460 §3: the prose wants records that begin with "v=TLSRPTv1;", the grammar lets white space
// stand before the ";". Both count as a record, as for `_mta-sts`.
bool begins_as_tlsrpt(std::string_view text) {
  constexpr std::string_view version = "v=TLSRPTv1";
  if (!text.starts_with(version)) return false;
  text.remove_prefix(version.size());
  skip_blanks(text);
  return text.starts_with(';');
}

// tlsrpt-extension: a name of 1 to 32, "=", and a value without "=", ";", SP and controls.
bool is_extension(std::string_view field) {
  const auto equals = field.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals > 32) return false;
  for (std::size_t i = 0; i < equals; ++i) {
    const char c = field[i];
    const bool inner = c == '_' || c == '-' || c == '.';
    if (!is_alnum(c) && !(inner && i > 0)) return false;
  }
  const std::string_view value = field.substr(equals + 1);
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c >= 0x21 && c <= 0x7e && c != '=';
  });
}

class Parser {
 public:
  Result<Record, base::Error> parse(std::string_view text) {
    record_.text = text;
    text.remove_prefix(text.find(';') + 1);  // begins_as_tlsrpt: there is one
    bool any = false;
    while (true) {
      skip_blanks(text);
      if (text.empty() && any) break;  // the delimiter at the end is optional
      const auto end = text.find(';');
      std::string_view field = text.substr(0, end);
      // White space belongs to a delimiter, so only a field that one follows may trail some.
      if (end != std::string_view::npos) {
        while (!field.empty() && is_blank(field.back())) field.remove_suffix(1);
      }
      if (field.empty()) return fail("the record has an empty field");
      if (field.starts_with("rua=")) {
        rua(field.substr(4));
      } else if (!is_extension(field)) {
        return fail("the record has a field that is not NAME=VALUE");
      }
      any = true;
      if (end == std::string_view::npos) break;
      text.remove_prefix(end + 1);
    }
    if (!rua_seen_) return fail("the record has no rua");
    if (unsaid_ > 0) record_.ignored.push_back("and " + std::to_string(unsaid_) + " more");
    return std::move(record_);
  }

 private:
  // The grammar has no rule for a second rua field: what they ask for together is asked for.
  void rua(std::string_view value) {
    rua_seen_ = true;
    while (true) {
      const auto comma = value.find(',');
      UriReading reading = read_uri(base::trim(value.substr(0, comma)));
      for (Endpoint& endpoint : reading.endpoints) add(std::move(endpoint));
      for (std::string& words : reading.refused) ignore(std::move(words));
      if (comma == std::string_view::npos) return;
      value.remove_prefix(comma + 1);
    }
  }

  void add(Endpoint endpoint) {
    for (const Endpoint& earlier : record_.endpoints) {
      if (earlier.uri == endpoint.uri) return;
    }
    // A record must not turn one report into a flood on others.
    if (record_.endpoints.size() == endpoints_limit) {
      return ignore("\"" + endpoint.uri.substr(0, 80) + "\": more than " +
                    std::to_string(endpoints_limit) + " endpoints");
    }
    record_.endpoints.push_back(std::move(endpoint));
  }

  void ignore(std::string words) {
    if (record_.ignored.size() + 1 < ignored_limit) {
      record_.ignored.push_back(std::move(words));
    } else {
      ++unsaid_;
    }
  }

  Record record_;
  bool rua_seen_ = false;
  std::size_t unsaid_ = 0;
};

}  // namespace

Result<Record, base::Error> parse_record(std::string_view text) {
  if (!begins_as_tlsrpt(text)) return fail("not a TLSRPTv1 record");
  if (text.size() > record_limit) {
    return fail("the record is longer than " + std::to_string(record_limit) + " octets");
  }
  return Parser().parse(text);
}

Result<std::optional<Record>, base::Error> choose_record(std::span<const std::string> texts) {
  const std::string* only = nullptr;
  std::size_t count = 0;
  for (const std::string& text : texts) {
    if (!begins_as_tlsrpt(text)) continue;
    only = &text;
    ++count;
  }
  if (count == 0) return std::optional<Record>();
  if (count > 1) return fail(std::to_string(count) + " TLSRPTv1 records, not one");
  auto record = parse_record(*only);
  if (!record) return fail(record.error());
  return std::optional<Record>(std::move(*record));
}

}  // namespace tlsrpt
