// Query and Matcher: which lines of the enforcement log are wanted. Looks for the wanted words in a
// line before it reads the line's members, so that a million lines take seconds. Lines are taken as
// the log writes them: no needless escapes in names and words. Pure. Called by cli/audit_query.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/members.h"
#include "base/clock.h"

namespace audit {

// Of each list one entry must be the record's; an empty list: any. `since` and `until` belong to
// what is wanted.
struct Query {
  std::optional<base::WallTime> since;
  std::optional<base::WallTime> until;
  std::vector<std::string> domains;  // ".example.com": all names below it
  std::vector<std::string> events;
  std::vector<std::string> verdicts;
  std::vector<std::string> protections;
  std::vector<std::string> results;  // `result`, or a result type of one of `results`
  std::vector<std::string> ids;
  std::vector<std::string> queue_ids;
};

class Matcher {
 public:
  explicit Matcher(const Query& query);
  // Whether `line` is wanted; `members` are then its members. A line that is no record is not.
  bool matches(std::string_view line, Members& members) const;
  // Whether it may be, by a look that costs little. False is certain for a line that the log wrote.
  bool may_match(std::string_view line) const;

 private:
  struct Wanted {
    std::size_t index = 0;           // of the key
    std::vector<std::string> words;
    std::vector<std::string> quoted; // as they stand in a line
  };
  void want(std::size_t index, const std::vector<std::string>& words);
  bool holds(const Wanted& wanted, const Members& members) const;
  bool in_time(std::string_view time) const;

  std::string since_;  // RFC 3339 in UTC with milliseconds, whose order is that of time
  std::string until_;
  std::vector<Wanted> wanted_;
};

}  // namespace audit
