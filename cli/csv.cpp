#include "cli/csv.h"

#include <algorithm>
#include <array>

namespace cli {

namespace {

// What begins a formula, also in the full-width forms that some spreadsheets take for them, and
// what spreadsheets pass over before they look.
constexpr std::array<std::string_view, 11> formula_starts{
    "=", "+", "-", "@", "\t", "\r", "\n", "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D",
    "\xEF\xBC\xA0"};

// `passed_over`: what may stand in front.
bool is_formula(std::string_view text, std::string_view passed_over) {
  const std::size_t begin = text.find_first_not_of(passed_over);
  if (begin == std::string_view::npos) return false;
  const std::string_view rest = text.substr(begin);
  const char c = rest.front();
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return false;
  return std::ranges::any_of(formula_starts,
                             [rest](std::string_view start) { return rest.starts_with(start); });
}

// Where the decimal mark is a comma, spreadsheets open a file by a double click as if semicolons
// parted its cells, and heed no quotation mark inside of one: there a cell begins at each of them.
std::string with_apostrophes(std::string_view text) {
  std::string cell = is_formula(text, " ") ? "'" : "";
  for (std::size_t i = 0; i < text.size(); ++i) {
    cell += text[i];
    if (text[i] == ';' && is_formula(text.substr(i + 1), " \"")) cell += '\'';
  }
  return cell;
}

}  // namespace

std::string csv_cell(std::string_view text) {
  std::string cell = with_apostrophes(text);
  if (cell.find_first_of(",\"\r\n") == std::string::npos && cell.find('\'') != 0) return cell;
  std::string quoted = "\"";
  for (const char c : cell) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += ',';
    line += csv_cell(cells[i]);
  }
  return line + "\r\n";
}

}  // namespace cli
