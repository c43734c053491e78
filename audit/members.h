// Members: where the values stand in one line of the enforcement log, found in one pass and without
// a copy, for those who read a million lines. Takes any JSON object that has them at its top,
// whoever wrote it; what it takes need not be JSON to the letter, and the hash chain is verify.h's.
// Pure and fuzzed. Called by audit/query, audit/verify and the printers of `audit query`.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "audit/record.h"

namespace audit {

// The place of `key` in record_keys.
consteval std::size_t key_index(std::string_view key) {
  for (std::size_t i = 0; i < record_keys.size(); ++i) {
    if (record_keys[i] == key) return i;
  }
  throw "no key of a record";  // at compile time
}

class Members {
 public:
  // Reads `line`, which must outlive what is asked for afterwards; false: no object, or one with a
  // key twice.
  bool read(std::string_view line);
  // As it stands in the line: quoted, null, a number, a list; empty where the key is not there.
  std::string_view raw(std::size_t index) const { return values_[index]; }
  // The string, or nullopt where it is none.
  std::optional<std::string> text(std::size_t index) const;
  // Whether the value is that string.
  bool is(std::size_t index, std::string_view text) const;

 private:
  std::array<std::string_view, record_keys.size()> values_;
};

// parse_link() for many lines: seq, prev and time alone are looked at.
std::optional<Link> link_of(const Members& members);

}  // namespace audit
