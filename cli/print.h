// What commands print: tables for people, JSON for programs, both harmless to a terminal, which
// would obey what a stranger wrote into a reply, a policy or the DNS. Plain text, no colour; knows
// no command. Called by the commands of cli/.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

// Rows under titles, as wide as their cells. Prints when finish() is called, or as soon as
// `rows_measured` rows are there: what comes after keeps the widths of those, so that a million
// rows need no memory.
class Table {
 public:
  static constexpr std::size_t rows_measured = 500;
  // A title that ends in '#' (not printed) is that of a column of numbers, set to the right.
  Table(std::vector<std::string> titles, std::ostream& out);
  ~Table() { finish(); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // As many cells as titles; an empty one prints as "-".
  void add(std::vector<std::string> cells);
  // A line of its own behind the last row, as it is but for control characters.
  void line(std::string text);
  void finish();

 private:
  struct Row {
    std::vector<std::string> cells;
    std::string line;  // where there are no cells
  };
  void put(Row row);
  void print(const Row& row);

  std::vector<bool> right_;
  std::vector<std::size_t> widths_;
  std::vector<Row> rows_;
  bool flows_ = false;  // the titles are printed
  std::ostream& out_;
};

// "2 policies", "1 policy".
std::string counted(std::size_t count, const char* one, const char* many);
// The string, harmless; empty for whatever else.
std::string text_of(const nlohmann::json& value);
// What is not ASCII escaped, what is no UTF-8 replaced; `indent` as dump() takes it.
std::string in_ascii(const nlohmann::json& value, int indent);
std::string in_ascii(const nlohmann::ordered_json& value, int indent);

}  // namespace cli
