#include "cli/print.h"

#include <algorithm>
#include <ostream>

#include "base/encode.h"
#include "base/terminal.h"

namespace cli {

using nlohmann::json;

namespace {

constexpr std::size_t gap = 2;

// Columns in characters, not octets.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

}  // namespace

Table::Table(std::vector<std::string> titles, std::ostream& out) : out_(out) {
  for (std::string& title : titles) {
    right_.push_back(title.ends_with('#'));
    if (right_.back()) title.pop_back();
    widths_.push_back(0);
  }
  put({std::move(titles), {}});
}

void Table::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) {
    cell = cell.empty() ? "-" : base::without_controls(cell);
  }
  put({std::move(cells), {}});
}

void Table::line(std::string text) { put({{}, base::without_controls(text)}); }

void Table::put(Row row) {
  if (flows_) return print(row);
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    widths_[i] = std::max(widths_[i], width_of(row.cells[i]));
  }
  rows_.push_back(std::move(row));
  if (rows_.size() > rows_measured) finish();
}

void Table::finish() {
  flows_ = true;
  for (const Row& row : rows_) print(row);
  rows_.clear();
}

void Table::print(const Row& row) {
  std::string text = row.line;
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    const std::string& cell = row.cells[i];
    const std::size_t width = width_of(cell);
    const std::string padding(widths_[i] - std::min(width, widths_[i]), ' ');
    if (i > 0) text.append(gap, ' ');
    text += right_[i] ? padding + cell : cell + padding;
  }
  text.erase(text.find_last_not_of(' ') + 1);
  out_ << text << '\n';
}

std::string counted(std::size_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string text_of(const json& value) {
  return value.is_string() ? base::without_controls(value.get<std::string>()) : std::string();
}

std::string in_ascii(const json& value, int indent) {
  return base::json_in_ascii(value.dump(indent, ' ', false, json::error_handler_t::replace));
}

std::string in_ascii(const nlohmann::ordered_json& value, int indent) {
  return base::json_in_ascii(value.dump(indent, ' ', false, json::error_handler_t::replace));
}

}  // namespace cli
