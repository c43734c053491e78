// The console: one page of HTML without scripts, made anew for each request, that loads its style
// sheet from beside itself and nothing else. Every text goes through text(), every number through
// number(); nothing of either is ever part of an attribute.
#include <cstdint>

#include "admin/site.h"
#include "base/encode.h"

namespace admin {

namespace {

using metrics::Family;
using nlohmann::json;

std::string text(std::string_view plain) {
  std::string out;
  for (const char c : base::printable(plain)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

// "12,345"
std::string number(double value) {
  std::string digits = std::to_string(static_cast<std::int64_t>(value));
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string duration(std::int64_t seconds) {
  const auto part = [](std::int64_t count, const char* unit) {
    return std::to_string(count) + unit;
  };
  if (seconds >= 86400) return part(seconds / 86400, " d ") + part(seconds % 86400 / 3600, " h");
  if (seconds >= 3600) return part(seconds / 3600, " h ") + part(seconds % 3600 / 60, " min");
  if (seconds >= 60) return part(seconds / 60, " min ") + part(seconds % 60, " s");
  return part(seconds, " s");
}

std::string cell(const std::string& content) { return "<td>" + content + "</td>"; }
std::string number_cell(double value) { return "<td class=\"n\">" + number(value) + "</td>"; }

class Page {
 public:
  explicit Page(const Facts& facts) : facts_(facts) {}

  std::string build() {
    head();
    tiles();
    weakenings();
    listeners();
    table("Outcomes of mail", "sternpost_deliveries_total", {"Outcome", "By policy"});
    table("How delivered mail was protected", "sternpost_delivered_total",
          {"MX authenticated by", "Protection"});
    table("Results that TLS-RPT counts", "sternpost_tls_results_total", {"Policy", "Result"});
    table("MTA-STS policies in the cache", "sternpost_mta_sts_policies", {"Mode"});
    table("Fetches of MTA-STS policies", "sternpost_mta_sts_fetches_total", {"Outcome"});
    table("DANE look-ups", "sternpost_dane_lookups_total", {"Outcome"});
    foot();
    return std::move(out_);
  }

 private:
  const Family* family(std::string_view name) const {
    for (const Family& one : facts_.families) {
      if (one.name == name) return &one;
    }
    return nullptr;
  }
  double value(std::string_view name) const {
    const Family* const found = family(name);
    double sum = 0;
    if (found) {
      for (const metrics::Sample& sample : found->samples) sum += sample.value;
    }
    return sum;
  }
  std::string word(const char* key) const { return text(facts_.status.value(key, "")); }

  void head() {
    const std::string host = word("hostname");
    out_ = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta http-equiv=\"refresh\" content=\"30\">\n"
           "<title>" + host + " &ndash; Sternpost</title>\n"
           "<link rel=\"stylesheet\" href=\"console.css\">\n</head>\n<body>\n<main>\n"
           "<h1>" + host + "</h1>\n";
    if (facts_.not_ready.empty()) {
      out_ += "<p class=\"verdict\">Relaying.</p>\n";
      return;
    }
    out_ += "<p class=\"verdict bad\">Not ready.</p>\n<ul>\n";
    for (const std::string& why : facts_.not_ready) out_ += "<li>" + text(why) + "</li>\n";
    out_ += "</ul>\n";
  }

  void tile(const char* name, const std::string& content, bool bad = false) {
    out_ += "<div><dt>" + std::string(name) + "</dt><dd" + (bad ? " class=\"bad\"" : "") + ">" +
            content + "</dd></div>\n";
  }

  void tiles() {
    const auto count = [this](const char* name) { return number(value(name)); };
    out_ += "<dl class=\"tiles\">\n";
    tile("Up for", duration(facts_.status.value("uptime", std::int64_t{0})));
    tile("Sessions", number(facts_.status.value("sessions", 0)));
    tile("MX connections", count("sternpost_mx_connections_open"));
    const double suspected = value("sternpost_downgrades_suspected_total");
    tile("Downgrades suspected", number(suspected), suspected > 0);
    tile("Exceptions used", count("sternpost_exceptions_used_total"));
    const double failing = value("sternpost_mta_sts_refresh_failing");
    tile("Policies not refreshed", number(failing), failing > 0);
    tile("Reports to be sent", count("sternpost_report_backlog"));
    const double dropped = value("sternpost_audit_log_dropped_total");
    tile("Log lines dropped", number(dropped), dropped > 0);
    out_ += "</dl>\n<p class=\"soft\">Counts are since the start.</p>\n";
  }

  void weakenings() {
    const json weak = facts_.status.value("weakenings", json::array());
    if (weak.empty()) return;
    out_ += "<h2>Weaker for every domain</h2>\n<ul class=\"bad\">\n";
    for (const json& one : weak) out_ += "<li>" + text(one.get<std::string>()) + "</li>\n";
    out_ += "</ul>\n";
  }

  void begin_table(const std::string& title, std::initializer_list<const char*> columns,
                   std::initializer_list<const char*> numbers) {
    out_ += "<h2>" + title + "</h2>\n<div class=\"wide\"><table>\n<thead><tr>";
    for (const char* const one : columns) {
      out_ += "<th scope=\"col\">" + std::string(one) + "</th>";
    }
    for (const char* const one : numbers) {
      out_ += "<th scope=\"col\" class=\"n\">" + std::string(one) + "</th>";
    }
    out_ += "</tr></thead>\n<tbody>\n";
  }
  void end_table() { out_ += "</tbody>\n</table></div>\n"; }

  void listeners() {
    begin_table("Listeners", {"Address", "Protocol"}, {"Sessions", "At most"});
    for (const json& one : facts_.status.value("listeners", json::array())) {
      out_ += "<tr>" + cell(text(one.value("address", ""))) +
              cell(text(one.value("protocol", ""))) + number_cell(one.value("sessions", 0)) +
              number_cell(one.value("max_sessions", 0)) + "</tr>\n";
    }
    end_table();
  }

  // What of a family is not zero.
  void table(const std::string& title, std::string_view name,
             std::initializer_list<const char*> columns) {
    const Family* const found = family(name);
    if (!found) return;
    bool empty = true;
    for (const metrics::Sample& sample : found->samples) empty = empty && sample.value == 0;
    if (empty) {
      out_ += "<h2>" + title + "</h2>\n<p class=\"soft\">None.</p>\n";
      return;
    }
    begin_table(title, columns, {"Count"});
    for (const metrics::Sample& sample : found->samples) {
      if (sample.value == 0) continue;
      out_ += "<tr>";
      for (const auto& [label, content] : sample.labels) out_ += cell(text(content));
      out_ += number_cell(sample.value) + "</tr>\n";
    }
    end_table();
  }

  void foot() {
    out_ += "<footer><p>Sternpost " + word("version") + " with " + word("config") +
            ". The page loads itself anew every 30 seconds. As data: "
            "<a href=\"api/v1/status\">status</a>, <a href=\"api/v1/sessions\">sessions</a>, "
            "<a href=\"api/v1/policies\">policies</a>, <a href=\"api/v1/counters\">counters</a>, "
            "<a href=\"metrics\">metrics</a>.</p></footer>\n</main>\n</body>\n</html>\n";
  }

  const Facts& facts_;
  std::string out_;
};

}  // namespace

std::string console_page(const Facts& facts) { return Page(facts).build(); }

std::string_view console_style() {
  return R"(:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1a1d21; --soft: #5a626c; --rule: #d5dae0; --tile: #f4f6f8;
  --bad: #b3261e; --link: #1f5fa8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e6e9ed; --soft: #a4adb8; --rule: #363d46; --tile: #1d2228;
    --bad: #ff8a80; --link: #8ab8f0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 60rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "Liberation Sans", sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .25rem; }
p, li { max-width: 48rem; overflow-wrap: anywhere; }
p { margin: .35rem 0; }
a { color: var(--link); }
.soft, footer { color: var(--soft); }
.bad { color: var(--bad); }
.verdict { font-size: 1.1rem; font-weight: 600; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0 .5rem;
}
.tiles div {
  background: var(--tile); border: 1px solid var(--rule); border-radius: .4rem;
  padding: .5rem .75rem;
}
.tiles dt { color: var(--soft); font-size: .875rem; }
.tiles dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.tiles .bad { font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: .25rem; }
th, td {
  text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0;
  border-bottom: 1px solid var(--rule); unicode-bidi: isolate; overflow-wrap: break-word;
}
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: .875rem; font-weight: 600; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
@media (max-width: 30rem) {
  table, thead th { font-size: .8125rem; }
  th, td { padding-right: .5rem; }
  td:first-child { overflow-wrap: anywhere; }
}
footer { margin-top: 2.5rem; border-top: 1px solid var(--rule); padding-top: .75rem;
  font-size: .875rem; }
)";
}

}  // namespace admin
