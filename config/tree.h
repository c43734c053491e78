// What stands in a configuration file, as data without meaning: values, lists and tables, each with
// its place. read_toml() makes it and is the only code that knows the TOML library. It reports what
// is not TOML; whether a key is known or a value makes sense is told by schema.h and load.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace config {

struct Place {
  std::string file;
  std::size_t line = 1;
  std::size_t column = 1;
  bool operator==(const Place&) const = default;
};

// One mistake or warning. `text` is a sentence without its end, control characters made harmless.
struct Issue {
  Place place;
  std::string text;
  bool operator==(const Issue&) const = default;
};

struct Node;
struct Member;
using List = std::vector<Node>;
using Table = std::vector<Member>;  // in the order of the file
struct OtherTime {};                // a TOML time of day or date with time: no key takes one

struct Node {
  Place place;
  std::variant<std::string, std::int64_t, double, bool, std::chrono::year_month_day, OtherTime,
               List, Table>
      value;
};

struct Member {
  std::string name;
  Place place;
  Node node;
};

struct Source {
  std::string name;  // the file, as issues name it
  std::string text;
};

struct Tree {
  Table root;
  std::vector<Issue> errors;  // what is not TOML; the lines concerned are not in `root`
};

// Never throws for anything in `source`.
Tree read_toml(const Source& source);

}  // namespace config
