// Finding the JSON texts and bounding them; what their members mean is read_members.cpp.
#include "tlsrpt/read_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/encode.h"
#include "tlsrpt/read_members.h"

namespace tlsrpt {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::string_view between = " \t\r\n,\x1e";  // RFC 7464 puts RS in front of each text

std::string_view behind_mark(std::string_view text) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  const std::size_t from = text.find_first_not_of(between);
  return from == std::string_view::npos ? std::string_view() : text.substr(from);
}

struct Extent {
  std::size_t length = 0;
  std::size_t depth = 0;   // the deepest
  std::size_t tokens = 0;  // no fewer than the values that a parser would build
  bool whole = false;
};

// The JSON text that opens here. Counts brackets outside strings and judges nothing else.
Extent extent_of(std::string_view text) {
  Extent extent;
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
      continue;
    }
    if (c == '"') quoted = true;
    if (c == '{' || c == '[') extent.depth = std::max(extent.depth, ++depth);
    if (c == '{' || c == '[' || c == ',' || c == ':') ++extent.tokens;
    if ((c == '}' || c == ']') && --depth == 0) {
      extent.length = i + 1;
      extent.whole = true;
      return extent;
    }
  }
  extent.length = text.size();
  return extent;
}

// RFC 7493 §2.1: I-JSON is UTF-8. A report in another charset is read for what of it is UTF-8.
std::string with_replacements(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const std::size_t length = base::utf8_length_at(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
    } else {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return out;
}

bool names_members(std::string_view text) {
  return text.find("\"policies\"") != std::string_view::npos ||
         text.find("\"report-id\"") != std::string_view::npos ||
         text.find("\"organization-name\"") != std::string_view::npos;
}

class Texts {
 public:
  Texts(std::string_view place, bool labelled, ReadSink& sink)
      : place_(place), labelled_(labelled), sink_(sink) {}

  void read(std::string_view text) {
    const bool several = extent_of(text).length < text.size();
    for (std::size_t number = 1; !text.empty() && sink_.budget.reports > 0; ++number) {
      if (sink_.result.problems.size() >= sink_.limits.problems) return;
      if (text.front() != '{' && text.front() != '[') {
        if (found) problem("", "other text behind the JSON");
        return;
      }
      const Extent extent = extent_of(text);
      const std::string where =
          several && number > 1 ? "JSON text " + std::to_string(number) + ": " : "";
      one(text.substr(0, extent.length), extent, where);
      text = behind_mark(text.substr(extent.length));
    }
  }

  bool found = false;

 private:
  void problem(const std::string& where, const std::string& why) {
    found = true;
    sink_.problem(std::string(place_) + where, why);
  }

  void one(std::string_view text, const Extent& extent, const std::string& where) {
    if (!labelled_ && !names_members(text)) return;
    const ReadLimits& limits = sink_.limits;
    if (!extent.whole) return problem(where, "JSON: cut short");
    if (extent.depth > limits.json_depth) {
      return problem(where, "JSON: nested more than " + std::to_string(limits.json_depth) +
                                " deep");
    }
    if (extent.tokens > limits.json_tokens) {
      return problem(where, "JSON: more than " + std::to_string(limits.json_tokens) + " values");
    }
    const bool utf8 = base::is_utf8(text);
    const std::string replaced = utf8 ? std::string() : with_replacements(text);
    nlohmann::json parsed;
    // The library tells the place of a mistake by exception only.
    try {
      parsed = nlohmann::json::parse(utf8 ? text : std::string_view(replaced));
    } catch (const nlohmann::json::parse_error& error) {
      return problem(where, "JSON: not well formed at octet " + std::to_string(error.byte));
    } catch (const nlohmann::json::exception&) {
      return problem(where, "JSON: a number out of range");
    }
    members(parsed, utf8, where);
  }

  void members(const nlohmann::json& parsed, bool utf8, const std::string& where) {
    if (parsed.is_object()) return take(parsed, utf8, where);
    for (std::size_t i = 0; i < parsed.size() && sink_.budget.reports > 0; ++i) {
      const std::string element = where + "element " + std::to_string(i + 1) + ": ";
      if (parsed[i].is_object()) {
        take(parsed[i], utf8, element);
      } else if (labelled_) {
        problem(element, "JSON, but not a report");
      }
    }
  }

  void take(const nlohmann::json& object, bool utf8, const std::string& where) {
    auto report = read_members(object, sink_.limits, sink_.budget);
    if (!report) return problem(where, report.error().text);
    if (!utf8) report->notes.push_back("not in UTF-8");
    found = true;
    if (--sink_.budget.reports == 0) {
      problem(where, "more than " + std::to_string(sink_.limits.reports) +
                         " reports: the rest is left out");
    }
    sink_.result.reports.push_back(std::move(*report));
  }

  std::string_view place_;
  bool labelled_;
  ReadSink& sink_;
};

}  // namespace

bool opens_like_json(std::string_view text) {
  const std::string_view rest = behind_mark(text);
  return !rest.empty() && (rest.front() == '{' || rest.front() == '[');
}

bool read_json(std::string_view text, std::string_view place, bool labelled, ReadSink& sink) {
  Texts texts(place, labelled, sink);
  texts.read(behind_mark(text));
  return texts.found;
}

}  // namespace tlsrpt
