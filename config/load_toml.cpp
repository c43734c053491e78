#include <algorithm>
#include <optional>
#include <set>

#include "base/encode.h"
#include "config/tree.h"

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#include <toml++/toml.h>
#pragma GCC diagnostic pop

namespace config {

namespace {

// Deeper names than this are refused before the library, whose recursion they would exhaust.
constexpr std::size_t deepest_name = 1000;
constexpr std::size_t most_syntax_errors = 50;

Place place_of(const toml::source_position& at, const std::string& file) {
  return {file, std::max<std::size_t>(at.line, 1), std::max<std::size_t>(at.column, 1)};
}

Node convert(const toml::node& node, const std::string& file);

Table convert_table(const toml::table& table, const std::string& file) {
  Table members;
  for (const auto& [key, node] : table) {
    Node value = convert(node, file);
    // [a.b] alone makes `a` too; it has no text of its own but that of the header.
    members.push_back({std::string(key.str()), place_of(key.source().begin, file),
                       std::move(value)});
  }
  std::ranges::stable_sort(members, {}, [](const Member& one) {
    return std::pair(one.place.line, one.place.column);
  });
  return members;
}

Node convert(const toml::node& node, const std::string& file) {
  Node out{place_of(node.source().begin, file), OtherTime{}};
  if (const auto* table = node.as_table()) {
    out.value = convert_table(*table, file);
  } else if (const auto* array = node.as_array()) {
    List list;
    for (const toml::node& element : *array) list.push_back(convert(element, file));
    out.value = std::move(list);
  } else if (const auto* text = node.as_string()) {
    out.value = text->get();
  } else if (const auto* integer = node.as_integer()) {
    out.value = integer->get();
  } else if (const auto* real = node.as_floating_point()) {
    out.value = real->get();
  } else if (const auto* boolean = node.as_boolean()) {
    out.value = boolean->get();
  } else if (const auto* date = node.as_date()) {
    const toml::date day = date->get();
    out.value = std::chrono::year_month_day{std::chrono::year{day.year},
                                            std::chrono::month{day.month},
                                            std::chrono::day{day.day}};
  }
  return out;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += lines[i] + '\n';
  return text;
}

std::optional<Issue> too_deep(const std::vector<std::string>& lines, const std::string& file) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::size_t dots = 0;
    for (std::size_t column = 0; column < lines[i].size(); ++column) {
      const char c = lines[i][column];
      if (std::string_view("={,[]").find(c) != std::string_view::npos) dots = 0;
      if (c == '.' && ++dots > deepest_name) {
        return Issue{{file, i + 1, column + 1}, "a name of too many parts"};
      }
    }
  }
  return std::nullopt;
}

// Whether the line is `key = …`, so that the rest of the file makes sense without it.
bool is_assignment(std::string_view line) {
  const std::string_view text = base::trim(line);
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0 || text[0] == '[') return false;
  return std::ranges::all_of(text.substr(0, equals), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("_-. \t\"'").find(c) !=
                                                              std::string_view::npos;
  });
}

void collect(const toml::table& table, std::string_view name,
             std::vector<toml::source_position>& found) {
  for (const auto& [key, node] : table) {
    if (key.str() == name) found.push_back(key.source().begin);
    if (const auto* inner = node.as_table()) collect(*inner, name, found);
    if (const auto* array = node.as_array()) {
      for (const toml::node& element : *array) {
        if (const auto* one = element.as_table()) collect(*one, name, found);
      }
    }
  }
}

// "cannot redefine existing integer 'port'": where the first one stands, among the lines before.
std::optional<Place> first_definition(std::string_view message,
                                      const std::vector<std::string>& lines, std::size_t line,
                                      const std::string& file) {
  const std::size_t close = message.rfind('\'');
  if (close == std::string_view::npos || close == 0) return std::nullopt;
  const std::size_t open = message.rfind('\'', close - 1);
  if (open == std::string_view::npos) return std::nullopt;
  const std::string_view name = message.substr(open + 1, close - open - 1);
  const toml::parse_result before = toml::parse(joined(lines, line - 1));
  if (!before) return std::nullopt;
  std::vector<toml::source_position> found;
  collect(before.table(), name.substr(name.rfind('.') + 1), found);
  if (found.empty()) return std::nullopt;
  return place_of(*std::ranges::max_element(found, {}, &toml::source_position::line), file);
}

std::string words(const toml::parse_error& error, const std::vector<std::string>& lines,
                  const std::string& file) {
  std::string_view text = error.description();
  if (text.starts_with("Error while ")) text.remove_prefix(12);
  const std::size_t at = text.find("cannot redefine existing");
  if (at == std::string_view::npos) return "not TOML: " + base::printable(text);
  std::string name(text.substr(std::min(text.size(), text.find('\''))));
  std::string out = base::printable(name) + " is set twice: here and ";
  const auto first = first_definition(text, lines, error.source().begin.line, file);
  if (!first) return out + "before";
  return out + "at " + file + ":" + std::to_string(first->line) + ":" +
         std::to_string(first->column);
}

}  // namespace

Tree read_toml(const Source& source) {
  Tree tree;
  std::vector<std::string> lines = lines_of(source.text);
  if (auto issue = too_deep(lines, source.name)) {
    tree.errors.push_back(std::move(*issue));
    return tree;
  }
  // The library stops at the first mistake. A line that is an assignment is taken out and the rest
  // read again, so that all mistakes are told at once.
  for (;;) {
    const toml::parse_result result = toml::parse(joined(lines, lines.size()));
    if (result) {
      tree.root = convert_table(result.table(), source.name);
      return tree;
    }
    const toml::parse_error& error = result.error();
    const std::size_t line = error.source().begin.line;
    const bool inside = line >= 1 && line <= lines.size();
    // A place that is no assignment is as likely as not what an earlier removal left behind.
    if (!tree.errors.empty() && !(inside && is_assignment(lines[line - 1]))) return tree;
    tree.errors.push_back(
        {place_of(error.source().begin, source.name), words(error, lines, source.name)});
    if (!inside || !is_assignment(lines[line - 1])) return tree;
    if (tree.errors.size() >= most_syntax_errors) return tree;
    lines[line - 1].clear();
  }
}

}  // namespace config
