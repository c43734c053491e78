// The JSON of a report (RFC 8460 §4.4) as reporters really write it: members that are missing,
// null, of another type or unknown are taken where their meaning is plain, and noted. Pure and
// bounded: nesting, tokens and length are measured before a parser sees the text. Called by
// read.cpp alone.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tlsrpt/read.h"

namespace tlsrpt {

// What one file may still give.
struct ReadBudget {
  std::size_t expanded = 0;
  std::size_t reports = 0;
  std::size_t rows = 0;
};

struct ReadSink {
  const ReadLimits& limits;
  ReadBudget& budget;
  ReadResult& result;

  void problem(std::string_view place, std::string_view why) {
    if (result.problems.size() >= limits.problems) return;
    result.problems.push_back(std::string(place).append(why));
  }
};

// Whether the text opens like JSON that can hold a report: "{" or "[" behind a byte order mark and
// white space.
bool opens_like_json(std::string_view text);

// One or more JSON texts behind each other. `place` opens every problem ("message 2: "). Where the
// label does not say that this is a report (`labelled`), JSON without its members is passed over in
// silence. Whether anything was a report or wanted to be one.
bool read_json(std::string_view text, std::string_view place, bool labelled, ReadSink& sink);

}  // namespace tlsrpt
