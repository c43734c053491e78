// The page. Every text from a report goes through text(), every number through number(); nothing of
// a report is ever part of an attribute.
#include <algorithm>
#include <cstdint>

#include "base/terminal.h"
#include "tlsrpt/sum_print.h"
#include "tlsrpt/sum_words.h"

namespace tlsrpt {
namespace {

constexpr std::size_t most_lines = 100;  // of one table
constexpr std::size_t most_days = 400;
constexpr std::size_t most_octets = 240;  // of one text
constexpr std::uint64_t bar_width = 200;

// SHA-256 of sum_html_style(), base64.
constexpr const char* style_hash = "EljTI8qyN2mLW55oVAtF/BtgQ3/vXK3t19yt6ocmfak=";

// Escaped, and cut where it is longer than anyone reads in a table.
std::string text(std::string_view from_report) {
  std::string out;
  const bool cut = from_report.size() > most_octets;
  if (cut) {
    from_report = from_report.substr(0, most_octets);
    const auto continues = [&] {
      return !from_report.empty() &&
             (static_cast<unsigned char>(from_report.back()) & 0xc0U) == 0x80U;
    };
    while (continues()) from_report.remove_suffix(1);
    // The first octet of a character that may be cut.
    if (!from_report.empty()) from_report.remove_suffix(1);
  }
  for (const char c : base::without_controls(from_report)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  if (cut) out += "&hellip;";
  return out;
}

// "12,345"
std::string number(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string plural(std::uint64_t count, const char* noun) {
  return with_noun(count, number(count), noun);
}

std::uint64_t scaled(std::uint64_t value, std::uint64_t largest) {
  if (value == 0 || largest == 0) return 0;
  const double part = static_cast<double>(value) / static_cast<double>(largest);
  return std::max<std::uint64_t>(
      3, static_cast<std::uint64_t>(part * static_cast<double>(bar_width) + 0.5));
}

// A bar whose dark front is what failed and whose light rest is what succeeded. The numbers stand
// beside it, so that it is left out for who hears the page.
std::string bar(std::uint64_t failures, std::uint64_t successes, std::uint64_t largest) {
  const std::uint64_t bad = scaled(failures, largest);
  const std::uint64_t all = std::min(std::max(scaled(failures + successes, largest),
                                              bad + (successes > 0 ? 3 : 0)),
                                     bar_width + 6);
  std::string out = "<td class=\"bar\"><svg viewBox=\"-1 -1 208 18\" preserveAspectRatio=\"none\" "
                    "aria-hidden=\"true\">";
  if (all > bad) {
    out += "<rect class=\"good\" x=\"" + std::to_string(bad) + "\" y=\"0\" width=\"" +
           std::to_string(all - bad) + "\" height=\"16\"/>";
  }
  if (bad > 0) {
    out += "<rect class=\"bad\" x=\"0\" y=\"0\" width=\"" + std::to_string(bad) +
           "\" height=\"16\"/>";
  }
  return out + "</svg></td>";
}

std::string cell(const std::string& content) { return "<td>" + content + "</td>"; }
std::string number_cell(std::uint64_t value) {
  return "<td class=\"n\">" + number(value) + "</td>";
}
std::string row_head(const std::string& content) {
  return "<th scope=\"row\">" + content + "</th>";
}
std::string or_words(std::string_view from_report, const char* words) {
  return from_report.empty() ? std::string("<span class=\"soft\">") + words + "</span>"
                             : text(from_report);
}

struct Column {
  const char* title;
  bool numbers = false;
};

class Page {
 public:
  explicit Page(const Sum& sum) : sum_(sum) {}

  std::string build() {
    head();
    results();
    sources();
    failures();
    days();
    policies();
    reporters();
    oddities();
    out_ += "<footer><p>Made by sternpost " STERNPOST_VERSION
            " out of TLS reports (RFC 8460) that others sent. What they say is theirs: whether a "
            "report is signed by who it names is for the mail server to judge.</p></footer>\n"
            "</main>\n</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  std::uint64_t sessions() const { return sum_.tally.successes + sum_.tally.failures; }

  // The domains that the reports are about; TLSA policies name MX hosts.
  std::string domains() const {
    std::vector<std::string> names;
    for (const PolicyLine& line : sum_.policies) {
      const bool known = std::find(names.begin(), names.end(), line.domain) != names.end();
      if (line.type != "tlsa" && !line.domain.empty() && !known) names.push_back(line.domain);
    }
    if (names.empty()) return "TLS reports";
    std::string out = "TLS reports for " + text(names[0]);
    if (names.size() == 2) out += " and " + text(names[1]);
    if (names.size() > 2) out += " and " + number(names.size() - 1) + " other domains";
    return out;
  }

  void head() {
    const std::string title = domains();
    out_ += "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
            "style-src 'sha256-";
    out_ += style_hash;
    out_ += "'; base-uri 'none'; form-action 'none'\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<meta name=\"referrer\" content=\"no-referrer\">\n<title>" +
            title + "</title>\n<style>";
    out_ += sum_html_style();
    out_ += "</style>\n</head>\n<body>\n<main>\n<header>\n<h1>" + title +
            "</h1>\n<p class=\"soft\">" + span_words(sum_) + "</p>\n";
    verdict();
    tiles();
    out_ += "</header>\n";
  }

  void verdict() {
    out_ += "<p class=\"verdict\">";
    if (sum_.tally.reports == 0) {
      out_ += "No report could be read.";
    } else if (sum_.tally.failures == 0) {
      out_ += sessions() == 0   ? "The reports tell of no session."
              : sessions() == 1 ? "The one session succeeded."
                                : "All " + plural(sessions(), "session") + " succeeded.";
    } else {
      out_ += number(sum_.tally.failures) + " of " + plural(sessions(), "session") +
              " failed (" + share_words(sum_.tally.failures, sessions()) + ").";
      if (!sum_.results.empty()) {
        const ResultLine& most = sum_.results.front();
        out_ += " Most often: <strong>" + or_words(most.type, "no result type") +
                "</strong>, told by " + number(most.reporters) + " of " +
                plural(sum_.reporters.size(), "organization") + ".";
      }
    }
    out_ += "</p>\n";
  }

  void tile(const char* title, std::uint64_t value, bool bad = false) {
    out_ += std::string("<div><dt>") + title + "</dt><dd" + (bad ? " class=\"bad\"" : "") + ">" +
            number(value) + "</dd></div>";
  }

  void tiles() {
    out_ += "<dl class=\"tiles\">";
    tile("Reports", sum_.tally.reports);
    tile("Organizations", sum_.reporters.size());
    tile("Sessions succeeded", sum_.tally.successes);
    tile("Sessions failed", sum_.tally.failures, sum_.tally.failures > 0);
    out_ += "</dl>\n";
  }

  // Opens a section with a table that its heading names.
  void open(const char* id, const char* title, const char* words,
            const std::vector<Column>& columns) {
    out_ += std::string("<section>\n<h2 id=\"") + id + "\">" + title + "</h2>\n";
    if (*words != '\0') out_ += std::string("<p class=\"soft\">") + words + "</p>\n";
    // A table wider than a small screen scrolls by itself, and so has to take the focus.
    out_ += std::string("<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-labelledby=\"") +
            id + "\"><table aria-labelledby=\"" + id + "\">\n<thead><tr>";
    for (const Column& column : columns) {
      // A bar's column has no words: its numbers stand in another one.
      if (*column.title == '\0') {
        out_ += "<td></td>";
      } else {
        out_ += std::string("<th scope=\"col\"") + (column.numbers ? " class=\"n\"" : "") + ">" +
                column.title + "</th>";
      }
    }
    out_ += "</tr></thead>\n<tbody>\n";
  }

  void close(std::size_t shown, std::size_t all) {
    out_ += "</tbody>\n</table></div>\n";
    if (all > shown) {
      out_ += "<p class=\"soft\">" + number(all - shown) +
              " more are left out here; <code>--json</code> has them.</p>\n";
    }
    out_ += "</section>\n";
  }

  std::string without_details() const {
    std::string out = "One session may fail in several ways and then counts in each of them.";
    if (sum_.without_details > 0) {
      out += " " + plural(sum_.without_details, "failed session") + " came without details.";
    }
    return out;
  }

  void results() {
    if (sum_.results.empty()) return;
    const std::size_t shown = std::min(sum_.results.size(), most_lines);
    open("results", "Failed sessions by result type",
         without_details().c_str(),
         {{"Result type"}, {"Failed", true}, {""}, {"Organizations", true}});
    for (std::size_t i = 0; i < shown; ++i) {
      const ResultLine& line = sum_.results[i];
      out_ += "<tr>" + row_head(or_words(line.type, "no result type") + "<small>" +
                                std::string(meaning_of(line.type)) + "</small>") +
              number_cell(line.failures) + bar(line.failures, 0, sum_.results[0].failures) +
              number_cell(line.reporters) + "</tr>\n";
    }
    close(shown, sum_.results.size());
  }

  void sources() {
    if (sum_.sources.empty()) return;
    const std::size_t shown = std::min(sum_.sources.size(), most_lines);
    open("sources", "Failed sessions by sending source",
         "The address that tried to deliver mail, and who tells of it.",
         {{"Sending MTA IP"}, {"Reported by"}, {"Failed", true}, {""}, {"Result types"}});
    for (std::size_t i = 0; i < shown; ++i) {
      const SourceLine& line = sum_.sources[i];
      std::string types;
      for (const auto& [type, failures] : line.results) {
        const bool fits = type.size() <= 40;
      types += std::string("<div") + (fits ? " class=\"whole\"" : "") + ">" + number(failures) +
               " " + or_words(type, "no result type") + "</div>";
      }
      out_ += "<tr>" + row_head(or_words(line.ip, "not told")) +
              cell(or_words(line.organization, "no name")) + number_cell(line.failures) +
              bar(line.failures, 0, sum_.sources[0].failures) + cell(types) + "</tr>\n";
    }
    close(shown, sum_.sources.size());
  }

  void failures() {
    if (sum_.failures.empty()) return;
    const std::size_t shown = std::min(sum_.failures.size(), most_lines);
    open("failures", "What failed where", "",
         {{"Result type"}, {"MX host"}, {"Reason"}, {"Failed", true}});
    for (std::size_t i = 0; i < shown; ++i) {
      const FailureLine& line = sum_.failures[i];
      out_ += "<tr>" + row_head(or_words(line.type, "no result type")) +
              cell(or_words(line.mx, "not told")) + cell(or_words(line.reason, "not told")) +
              number_cell(line.failures) + "</tr>\n";
    }
    close(shown, sum_.failures.size());
  }

  void days() {
    if (sum_.days.empty()) return;
    const std::size_t first = sum_.days.size() - std::min(sum_.days.size(), most_days);
    std::uint64_t largest = 0;
    for (const DayLine& line : sum_.days) {
      largest = std::max(largest, line.tally.successes + line.tally.failures);
    }
    open("days", "Sessions by day",
         "<svg class=\"key\" viewBox=\"0 0 26 13\" aria-hidden=\"true\"><rect class=\"bad\" "
         "width=\"26\" height=\"13\"/></svg> failed, <svg class=\"key\" viewBox=\"0 0 26 13\" "
         "aria-hidden=\"true\"><rect class=\"good\" width=\"26\" height=\"13\"/></svg> succeeded; "
         "days are those of UTC.",
         {{"Day"}, {"Reports", true}, {"Succeeded", true}, {"Failed", true}, {""}});
    for (std::size_t i = first; i < sum_.days.size(); ++i) {
      const DayLine& line = sum_.days[i];
      out_ += "<tr>" + row_head(line.day ? day_words(line.day) : "no date") + tally(line.tally) +
              bar(line.tally.failures, line.tally.successes, largest) + "</tr>\n";
    }
    close(sum_.days.size() - first, sum_.days.size());
  }

  static std::string tally(const Tally& tally) {
    return number_cell(tally.reports) + number_cell(tally.successes) +
           number_cell(tally.failures);
  }

  void policies() {
    if (sum_.policies.empty()) return;
    const std::size_t shown = std::min(sum_.policies.size(), most_lines);
    open("policies", "By policy", "",
         {{"Policy domain"}, {"Type"}, {"Mode"}, {"Reports", true}, {"Succeeded", true},
          {"Failed", true}});
    for (std::size_t i = 0; i < shown; ++i) {
      const PolicyLine& line = sum_.policies[i];
      out_ += "<tr>" + row_head(or_words(line.domain, "not told")) +
              cell(or_words(line.type, "not told")) + cell(text(line.mode)) + tally(line.tally) +
              "</tr>\n";
    }
    close(shown, sum_.policies.size());
  }

  void reporters() {
    if (sum_.reporters.empty()) return;
    const std::size_t shown = std::min(sum_.reporters.size(), most_lines);
    open("organizations", "By organization", "",
         {{"Reported by"}, {"Reports", true}, {"Succeeded", true}, {"Failed", true}});
    for (std::size_t i = 0; i < shown; ++i) {
      const ReporterLine& line = sum_.reporters[i];
      out_ += "<tr>" + row_head(or_words(line.organization, "no name")) + tally(line.tally) +
              "</tr>\n";
    }
    close(shown, sum_.reporters.size());
  }

  void oddities() {
    std::string items;
    for (std::size_t i = 0; i < std::min(sum_.problems.size(), most_lines); ++i) {
      items += "<li>Not read: " + text(sum_.problems[i].file) + ": " + text(sum_.problems[i].why) +
               "</li>\n";
    }
    if (sum_.duplicates > 0) {
      items += "<li>" + plural(sum_.duplicates, "report") + " came again and " +
               (sum_.duplicates == 1 ? "was" : "were") + " not counted again";
      if (sum_.differing > 0) {
        items += "; " + number(sum_.differing) + " of them said something else than the first";
      }
      items += ".</li>\n";
    }
    if (sum_.without_report > 0) {
      items += "<li>" + plural(sum_.without_report, "message") + " held no TLS report.</li>\n";
    }
    for (std::size_t i = 0; i < std::min(sum_.notes.size(), most_lines); ++i) {
      const NoteLine& line = sum_.notes[i];
      items += "<li>" + or_words(line.organization, "no name") + ": " + text(line.text) + " (" +
               plural(line.reports, "report") + ")</li>\n";
    }
    if (items.empty()) return;
    out_ += "<section>\n<h2>Odd in these reports</h2>\n<ul>\n" + items + "</ul>\n</section>\n";
  }

  const Sum& sum_;
  std::string out_;
};

}  // namespace

std::string sum_html(const Sum& sum) { return Page(sum).build(); }

}  // namespace tlsrpt
