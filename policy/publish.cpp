#include "policy/publish.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "policy/sts_lint.h"
#include "tlsrpt/record.h"

namespace policy {

namespace {

constexpr std::size_t character_string = 255;  // RFC 1035 §3.3

std::string policy_file(const Publication& wish) {
  std::string text = "version: STSv1\r\nmode: " + std::string(to_string(wish.mode)) + "\r\n";
  if (wish.mode != StsMode::none) {
    for (const std::string& pattern : wish.mx) text += "mx: " + pattern + "\r\n";
  }
  return text + "max_age: " + std::to_string(wish.max_age.count()) + "\r\n";
}

base::Result<void, base::Error> judge_policy(const std::string& text) {
  for (const LintFinding& one : lint(text)) {
    if (one.severity != LintSeverity::error) continue;
    const std::size_t begin = [&] {
      std::size_t at = 0;
      for (int line = 1; line < one.line; ++line) at = text.find('\n', at) + 1;
      return at;
    }();
    const std::string line =
        one.line == 0 ? "" : text.substr(begin, text.find('\r', begin) - begin) + ": ";
    return base::fail(line + one.text);
  }
  return {};
}

base::Result<ZoneRecord, base::Error> sts_record(const Publication& wish) {
  const std::string text = "v=STSv1; id=" + wish.id + ";";
  const auto parsed = parse_sts_txt(std::span(&text, 1));
  if (const auto* none = std::get_if<StsNoRecord>(&parsed)) {
    return base::fail("the id \"" + wish.id + "\" is none: " + none->reason);
  }
  return ZoneRecord{"_mta-sts." + wish.domain.str() + ".", wish.ttl, "TXT", zone_text(text), ""};
}

base::Result<ZoneRecord, base::Error> report_record(const Publication& wish) {
  std::string text = "v=TLSRPTv1; rua=";
  for (std::size_t i = 0; i < wish.rua.size(); ++i) {
    // RFC 8460 §3: these part what stands in the record.
    if (wish.rua[i].find_first_of(",!; ") != std::string::npos) {
      return base::fail(wish.rua[i] + ": \",\", \"!\", \";\" and spaces are written %2C, %21, %3B "
                                      "and %20");
    }
    text += (i > 0 ? "," : "") + wish.rua[i];
  }
  const auto parsed = tlsrpt::parse_record(text);
  if (!parsed) return base::fail(parsed.error());
  if (!parsed->ignored.empty()) return base::fail(parsed->ignored.front());
  return ZoneRecord{"_smtp._tls." + wish.domain.str() + ".", wish.ttl, "TXT", zone_text(text),
                    ""};
}

}  // namespace

std::string ZoneRecord::line() const {
  return name + " " + std::to_string(ttl) + " IN " + type + " " + data +
         (note.empty() ? "" : " ; " + note);
}

std::string zone_text(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size() || at == 0; at += character_string) {
    out += at > 0 ? " \"" : "\"";
    for (const char c : text.substr(at, character_string)) {
      if (c == '"' || c == '\\') out += '\\';
      if (c >= 0x20 && c < 0x7f) {
        out += c;
        continue;
      }
      std::array<char, 5> escaped{};  // RFC 1035 §5.1: \DDD
      (void)std::snprintf(escaped.data(), escaped.size(), "\\%03u",
                          static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escaped.data();
    }
    out += '"';
  }
  return out;
}

std::string sts_id_of(base::WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<seconds>(time - day));
  std::array<char, 40> text{};
  (void)std::snprintf(text.data(), text.size(), "%04d%02u%02uT%02d%02d%02dZ",
                      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                      static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                      static_cast<int>(clock.minutes().count()),
                      static_cast<int>(clock.seconds().count()));
  return text.data();
}

base::Result<Published, base::Error> publish(const Publication& wish) {
  Published out;
  out.policy_file = policy_file(wish);
  out.policy_url = "https://mta-sts." + wish.domain.str() + "/.well-known/mta-sts.txt";
  auto judged = judge_policy(out.policy_file);
  if (!judged) return base::fail(std::move(judged.error()));
  auto sts = sts_record(wish);
  if (!sts) return base::fail(std::move(sts.error()));
  out.records.push_back(std::move(*sts));
  if (!wish.rua.empty()) {
    auto reports = report_record(wish);
    if (!reports) return base::fail(std::move(reports.error()));
    out.records.push_back(std::move(*reports));
  }
  for (const TlsaWish& one : wish.tlsa) {
    ZoneRecord record{"_25._tcp." + one.host.str() + ".", wish.ttl, "TLSA",
                      "3 1 1 " + one.spki_sha256, one.note};
    const auto same = [&](const ZoneRecord& other) {
      return other.name == record.name && other.data == record.data;
    };
    if (std::ranges::none_of(out.records, same)) out.records.push_back(std::move(record));
  }
  return out;
}

}  // namespace policy
