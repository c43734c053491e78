#include <algorithm>
#include <cstdint>

#include "base/encode.h"
#include "base/terminal.h"
#include "tlsrpt/sum_print.h"
#include "tlsrpt/sum_words.h"

namespace tlsrpt {
namespace {

constexpr std::size_t bar_width = 24;
constexpr std::size_t cell_width = 60;

using Row = std::vector<std::string>;

// Columns in characters, not octets.
std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  for (const char c : text) width += (static_cast<unsigned char>(c) & 0xc0U) != 0x80U ? 1 : 0;
  return width;
}

std::string number(std::uint64_t value) { return std::to_string(value); }

std::string plural(std::uint64_t count, const char* noun) {
  return with_noun(count, number(count), noun);
}

class Printer {
 public:
  Printer(const Sum& sum, const TextStyle& style) : sum_(sum), style_(style) {}

  std::string print() {
    head();
    policies();
    results();
    sources();
    failures();
    reporters();
    days();
    tail();
    return std::move(out_);
  }

 private:
  void head() {
    out_ += plural(sum_.tally.reports, "report") + " from " +
            plural(sum_.reporters.size(), "organization") + ", " + span_words(sum_) + "\n";
    const std::uint64_t all = sum_.tally.successes + sum_.tally.failures;
    out_ += plural(sum_.tally.successes, "session") + " succeeded, " +
            number(sum_.tally.failures) + " failed (" +
            share_words(sum_.tally.failures, all) + ")\n";
  }

  // A reporter's text as one cell. An empty one shows as "-".
  std::string cell(std::string_view text) const {
    std::string out = text.empty() ? "-" : base::without_controls(text);
    if (!style_.unicode && !base::is_ascii(out)) {
      std::string ascii;
      for (const char c : out) {
        const bool inside = (c & 0xc0) == 0x80;  // of a character that has its '?' already
        if (!inside) ascii += (c & 0x80) != 0 ? '?' : c;
      }
      out = ascii;
    }
    if (width_of(out) <= cell_width) return out;
    std::size_t end = 0;
    for (std::size_t width = 0; width < cell_width - 2; ++width) {
      end += base::utf8_length_at(std::string_view(out).substr(end));
    }
    return out.substr(0, end) + "..";
  }

  std::string bar(std::uint64_t value, std::uint64_t largest) const {
    if (value == 0 || largest == 0) return {};
    const double part = static_cast<double>(value) / static_cast<double>(largest);
    const auto length = std::max<std::size_t>(
        1, static_cast<std::size_t>(part * static_cast<double>(bar_width) + 0.5));
    std::string out;
    for (std::size_t i = 0; i < length; ++i) out += style_.unicode ? "\xe2\x96\x88" : "#";
    return out;
  }

  // Columns whose title ends with "#" are numbers, to the right.
  void table(const char* title, Row columns, std::vector<Row> rows, std::size_t all) {
    if (rows.empty()) return;
    std::vector<bool> right;
    for (std::string& column : columns) {
      right.push_back(column.ends_with('#'));
      if (right.back()) column.pop_back();
    }
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      std::size_t width = width_of(columns[i]);
      for (const Row& row : rows) width = std::max(width, width_of(row[i]));
      widths.push_back(width);
    }
    out_ += std::string("\n") + title + "\n";
    line(columns, widths, right);
    for (const Row& row : rows) line(row, widths, right);
    if (all > rows.size()) {
      out_ += "  ... and " + number(all - rows.size()) + " more (--json has them)\n";
    }
  }

  void line(const Row& row, const std::vector<std::size_t>& widths,
            const std::vector<bool>& right) {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width_of(row[i]), ' ');
      text += "  " + (right[i] ? padding + row[i] : row[i] + padding);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out_ += text + "\n";
  }

  template <class Line>
  std::size_t shown(const std::vector<Line>& lines) const {
    return std::min(lines.size(), style_.lines);
  }

  void policies() {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < shown(sum_.policies); ++i) {
      const PolicyLine& line = sum_.policies[i];
      rows.push_back({cell(line.domain), cell(line.type), cell(line.mode),
                      number(line.tally.reports), number(line.tally.successes),
                      number(line.tally.failures)});
    }
    table("By policy", {"Policy domain", "Type", "Mode", "Reports#", "Succeeded#", "Failed#"},
          std::move(rows), sum_.policies.size());
  }

  void results() {
    std::vector<Row> rows;
    const std::uint64_t largest = sum_.results.empty() ? 0 : sum_.results.front().failures;
    for (std::size_t i = 0; i < shown(sum_.results); ++i) {
      const ResultLine& line = sum_.results[i];
      rows.push_back({cell(line.type), number(line.failures), number(line.reporters),
                      bar(line.failures, largest)});
    }
    table("Failed sessions by result type", {"Result type", "Failed#", "Organizations#", ""},
          std::move(rows), sum_.results.size());
  }

  void sources() {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < shown(sum_.sources); ++i) {
      const SourceLine& line = sum_.sources[i];
      std::string results;
      for (const auto& [type, failures] : line.results) {
        results += (results.empty() ? "" : ", ") + cell(type) + " " + number(failures);
      }
      rows.push_back({line.ip.empty() ? "not told" : cell(line.ip), cell(line.organization),
                      number(line.failures), cell(results)});
    }
    table("Failed sessions by sending source",
          {"Sending MTA IP", "Reported by", "Failed#", "Result types"}, std::move(rows),
          sum_.sources.size());
  }

  void failures() {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < shown(sum_.failures); ++i) {
      const FailureLine& line = sum_.failures[i];
      rows.push_back({cell(line.type), cell(line.mx), number(line.failures), cell(line.reason)});
    }
    table("What failed where", {"Result type", "MX host", "Failed#", "Reason"}, std::move(rows),
          sum_.failures.size());
  }

  void reporters() {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < shown(sum_.reporters); ++i) {
      const ReporterLine& line = sum_.reporters[i];
      rows.push_back({cell(line.organization), number(line.tally.reports),
                      number(line.tally.successes), number(line.tally.failures)});
    }
    table("By organization", {"Reported by", "Reports#", "Succeeded#", "Failed#"},
          std::move(rows), sum_.reporters.size());
  }

  // The latest days where there are too many.
  void days() {
    std::vector<Row> rows;
    std::uint64_t largest = 0;
    const std::size_t first = sum_.days.size() - shown(sum_.days);
    for (std::size_t i = first; i < sum_.days.size(); ++i) {
      largest = std::max(largest, sum_.days[i].tally.failures);
    }
    for (std::size_t i = first; i < sum_.days.size(); ++i) {
      const DayLine& line = sum_.days[i];
      rows.push_back({line.day ? day_words(line.day) : "no date", number(line.tally.reports),
                      number(line.tally.successes), number(line.tally.failures),
                      bar(line.tally.failures, largest)});
    }
    table("By day (UTC)", {"Day", "Reports#", "Succeeded#", "Failed#", ""}, std::move(rows),
          sum_.days.size());
  }

  void tail() {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < shown(sum_.notes); ++i) {
      const NoteLine& line = sum_.notes[i];
      rows.push_back({cell(line.organization), number(line.reports), cell(line.text)});
    }
    table("Odd in these reports", {"Reported by", "Reports#", "What"}, std::move(rows),
          sum_.notes.size());
    std::string more;
    if (sum_.without_details > 0) {
      more += plural(sum_.without_details, "failed session") + " came without details\n";
    }
    if (sum_.duplicates > 0) {
      more += plural(sum_.duplicates, "report") + " came again and " +
              (sum_.duplicates == 1 ? "was" : "were") + " not counted again";
      if (sum_.differing > 0) {
        more += "; " + number(sum_.differing) + " of them said something else than the first";
      }
      more += "\n";
    }
    if (sum_.without_report > 0) {
      more += plural(sum_.without_report, "message") + " held no TLS report\n";
    }
    if (!more.empty()) out_ += "\n" + more;
  }

  const Sum& sum_;
  const TextStyle& style_;
  std::string out_;
};

}  // namespace

std::string sum_text(const Sum& sum, const TextStyle& style) {
  return Printer(sum, style).print();
}

}  // namespace tlsrpt
