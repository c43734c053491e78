#include "cli/audit_print.h"

#include <algorithm>
#include <ostream>

#include "base/encode.h"
#include "base/terminal.h"
#include "cli/csv.h"
#include "cli/print.h"

namespace cli {

namespace {

using audit::key_index;

// Control characters, which JSON has in no string and a terminal obeys, escaped; blanks between its
// members become spaces.
std::string without_raw_controls(std::string_view line) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(line.size());
  bool inside = false;  // a string
  bool escaped = false;
  for (const char c : line) {
    if (c == '"' && !escaped) inside = !inside;
    escaped = c == '\\' && !escaped;
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 0x20) {
      out += c;
    } else if (inside) {
      out += "\\u00";
      out += digits[octet >> 4U];
      out += digits[octet & 15U];
    } else {
      out += ' ';
    }
  }
  return out;
}

class JsonLines final : public RecordPrinter {
 public:
  explicit JsonLines(std::ostream& out) : out_(out) {}
  void print(std::string_view line, const audit::Members&) override {
    // The log writes ASCII; a line that somebody else put there must not reach a terminal raw.
    if (std::ranges::all_of(line, [](char c) { return c >= 0x20 && c < 0x7f; })) {
      out_ << line << '\n';
    } else {
      out_ << base::json_in_ascii(without_raw_controls(line)) << '\n';
    }
  }

 private:
  std::ostream& out_;
};

class Csv final : public RecordPrinter {
 public:
  explicit Csv(std::ostream& out) : out_(out) {
    const std::vector<std::string> titles(audit::record_keys.begin(), audit::record_keys.end());
    out_ << csv_line(titles);
  }
  void print(std::string_view, const audit::Members& members) override {
    std::vector<std::string> cells;
    for (std::size_t i = 0; i < audit::record_keys.size(); ++i) {
      const std::string_view raw = members.raw(i);
      const auto text = members.text(i);
      cells.push_back(text            ? base::without_controls(*text)
                      : raw == "null" ? std::string()
                                      : base::without_controls(raw));
    }
    out_ << csv_line(cells);
  }

 private:
  std::ostream& out_;
};

class AsTable final : public RecordPrinter {
 public:
  explicit AsTable(std::ostream& out)
      : table_({"TIME", "EVENT", "ID", "DOMAIN", "MX", "PROTECTION", "RESULT", "VERDICT", "WHY"},
               out) {}
  void print(std::string_view, const audit::Members& members) override {
    const auto cell = [&members](std::size_t index) { return members.text(index).value_or(""); };
    std::string why = cell(key_index("reason"));
    if (why.empty()) why = cell(key_index("reply"));
    table_.add({cell(key_index("time")), cell(key_index("event")), cell(key_index("id")),
                cell(key_index("domain")), cell(key_index("mx")), cell(key_index("protection")),
                cell(key_index("result")), cell(key_index("verdict")), std::move(why)});
  }
  void finish() override { table_.finish(); }

 private:
  Table table_;
};

}  // namespace

std::unique_ptr<RecordPrinter> record_printer(RecordForm form, std::ostream& out) {
  switch (form) {
    case RecordForm::table: return std::make_unique<AsTable>(out);
    case RecordForm::json: return std::make_unique<JsonLines>(out);
    case RecordForm::csv: return std::make_unique<Csv>(out);
  }
  return nullptr;
}

}  // namespace cli
