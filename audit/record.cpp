#include "audit/record.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "audit/mask.h"
#include "base/encode.h"

namespace audit {
namespace {

constexpr std::string_view ellipsis = "\xE2\x80\xA6";

// `"text"` in ASCII: what is not goes as \uXXXX, an octet that is not UTF-8 as U+FFFD.
void append_unit(std::string& out, std::uint32_t unit) {
  static constexpr char digits[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += digits[(unit >> shift) & 0xF];
}

std::uint32_t code_point(std::string_view character) {
  const auto lead = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return lead;
  std::uint32_t value = lead & (0xFFU >> (character.size() + 1));
  for (char c : character.substr(1)) value = value << 6 | (static_cast<unsigned char>(c) & 0x3FU);
  return value;
}

void append_character(std::string& out, std::string_view character) {
  const std::uint32_t value = code_point(character);
  if (value == '"' || value == '\\') {
    out += '\\';
    out += character[0];
  } else if (value == '\n') {
    out += "\\n";
  } else if (value == '\r') {
    out += "\\r";
  } else if (value == '\t') {
    out += "\\t";
  } else if (value < 0x20 || (value >= 0x7F && value < 0x10000)) {
    append_unit(out, value);
  } else if (value >= 0x10000) {
    append_unit(out, 0xD800 + ((value - 0x10000) >> 10));
    append_unit(out, 0xDC00 + ((value - 0x10000) & 0x3FF));
  } else {
    out += character[0];
  }
}

// Whether it stands in JSON as it is. Looks at all of it, for the compiler to take many at once.
bool is_plain(std::string_view text) {
  bool plain = true;
  for (const char c : text) plain &= c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
  return plain;
}

// At most `limit` octets between the quotes; what is cut ends in "…".
void append_string(std::string& out, std::string_view text, std::size_t limit) {
  static constexpr std::string_view cut = "\\u2026";
  out += '"';
  if (text.size() <= limit && is_plain(text)) {
    out += text;
    out += '"';
    return;
  }
  const std::size_t start = out.size();
  std::size_t whole = start;  // where the text can be cut so that `cut` still fits
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = base::utf8_length_at(text.substr(i));
    if (length == 0) {
      append_unit(out, 0xFFFD);
    } else {
      append_character(out, text.substr(i, length));
    }
    i += length == 0 ? 1 : length;
    if (out.size() - start > limit) {
      out.resize(whole);
      out += cut;
      break;
    }
    if (out.size() - start + cut.size() <= limit) whole = out.size();
  }
  out += '"';
}

// How much of each kind of text a line may hold; the roomiest row whose line fits is taken.
struct Limits {
  std::size_t name;     // names, ids, algorithms
  std::size_t text;     // reply, reason
  std::size_t results;  // entries of `results`
  std::size_t detail;   // reason of an entry
};
constexpr Limits rows[] = {{512, 1600, 16, 400}, {256, 800, 8, 200}, {64, 400, 4, 120},
                           {24, 200, 3, 100}};

// A domain that is cut short is another domain: these have their own room (RFC 1035 §2.3.4).
constexpr std::size_t domain_room = 253;
constexpr std::size_t result_type_room = 32;  // the registry's words (RFC 8460 §4.3)

// Room that most lines need in front of `seq` and behind it.
constexpr std::size_t usual_before = 192;
constexpr std::size_t usual_after = 1536;

class Writer {
 public:
  Writer(const Record& record, const Limits& limits) : record_(record), limits_(limits) {}

  RenderedLine line(base::WallTime time, std::string_view reply, std::string_view reason,
                    const std::vector<std::string>& result_reasons) {
    RenderedLine line;
    out_ = "{\"time\":\"" + rfc3339(time) + '"';
    out_.reserve(usual_before);
    string("event", to_string(record_.event));
    name("id", record_.id);
    name("queue_id", record_.queue_id);
    line.before = std::move(out_);
    out_ = std::string();
    out_.reserve(usual_after);
    policy(result_reasons);
    connection();
    result_type("result", record_.result);
    optional_text("reason", record_.reason.has_value(), reason);
    verdict("verdict", record_.verdict);
    verdict("would_be", record_.would_be);
    optional_text("reply", record_.reply.has_value(), reply);
    out_ += '}';
    line.after = std::move(out_);
    return line;
  }

 private:
  void key(std::string_view key) {
    out_ += ",\"";
    out_ += key;
    out_ += "\":";
  }
  void string(std::string_view k, std::string_view value) {
    key(k);
    append_string(out_, value, limits_.name);
  }
  void null(std::string_view k) {
    key(k);
    out_ += "null";
  }
  void name(std::string_view k, const std::optional<std::string>& value) {
    value ? string(k, *value) : null(k);
  }
  // "certificate-host-mismatch" is longer than the shortest names.
  void result_type(std::string_view k, const std::optional<std::string>& value) {
    if (!value) return null(k);
    key(k);
    append_string(out_, *value, result_type_room);
  }
  void domain(std::string_view k, const std::optional<std::string>& value) {
    if (!value) return null(k);
    key(k);
    append_string(out_, *value, domain_room);
  }
  void ip(std::string_view k, const std::optional<base::Ip>& value) {
    value ? string(k, value->str()) : null(k);
  }
  void boolean(std::string_view k, std::optional<bool> value) {
    key(k);
    out_ += !value ? "null" : *value ? "true" : "false";
  }
  void verdict(std::string_view k, std::optional<Verdict> value) {
    value ? string(k, to_string(*value)) : null(k);
  }
  void optional_text(std::string_view k, bool present, std::string_view text) {
    if (!present) return null(k);
    key(k);
    append_string(out_, text, limits_.text);
  }

  void policy(const std::vector<std::string>& result_reasons) {
    domain("domain", record_.domain ? std::optional(record_.domain->str()) : std::nullopt);
    key("recipients");
    out_ += record_.recipients ? std::to_string(*record_.recipients) : "null";
    name("policy_type", record_.policy_type);
    name("policy_mode", record_.policy_mode);
    name("policy_id", record_.policy_id);
    name("policy_source", record_.policy_source);
    boolean("counted", record_.counted);
    key("results");
    record_.results ? results(result_reasons) : void(out_ += "null");
    name("requirement", record_.requirement);
  }

  void results(const std::vector<std::string>& reasons) {
    out_ += '[';
    const std::size_t count = std::min(record_.results->size(), limits_.results);
    for (std::size_t i = 0; i < count; ++i) {
      const PolicyResult& entry = (*record_.results)[i];
      if (i > 0) out_ += ',';
      out_ += "{\"policy_type\":";
      append_string(out_, tlsrpt::to_string(entry.policy_type), limits_.name);
      domain("policy_domain", entry.policy_domain);
      // A digest cut short would name nothing: it keeps its own room.
      key("policy_digest");
      append_string(out_, entry.policy_digest, 64);
      key("result_types");
      out_ += '[';
      const std::size_t types = std::min(entry.result_types.size(), limits_.results);
      for (std::size_t j = 0; j < types; ++j) {
        if (j > 0) out_ += ',';
        append_string(out_, entry.result_types[j], result_type_room);
      }
      out_ += ']';
      key("reason");
      append_string(out_, reasons[i], limits_.detail);
      out_ += '}';
    }
    out_ += ']';
  }

  void connection() {
    domain("mx", record_.mx);
    ip("ip", record_.ip);
    ip("source_ip", record_.source_ip);
    name("helo", record_.helo);
    if (record_.mx_dnssec) {
      string("mx_dnssec", *record_.mx_dnssec == MxDnssec::secure ? "secure" : "insecure");
    } else {
      null("mx_dnssec");
    }
    name("tls_version", record_.tls_version);
    name("cipher", record_.cipher);
    name("group", record_.group);
    name("sni", record_.sni);
    boolean("resumed", record_.resumed);
    boolean("reused", record_.reused);
    name("peer_auth", record_.peer_auth);
    name("protection", record_.protection);
    fingerprint("cert_sha256", record_.cert_sha256);
    fingerprint("spki_sha256", record_.spki_sha256);
  }
  void fingerprint(std::string_view k, const std::optional<std::string>& value) {
    if (!value) return null(k);
    key(k);
    append_string(out_, *value, 64);
  }

  const Record& record_;
  const Limits& limits_;
  std::string out_;
};

// Text of others before it is masked: bounded, and cut between words so that a cut never separates
// a local part from its "@".
std::string masked(const std::optional<std::string>& text, const std::vector<std::string>& known) {
  static constexpr std::size_t most = 16384;
  if (!text) return {};
  std::string_view part = *text;
  if (part.size() > most) {
    part = part.substr(0, most);
    const std::size_t space = part.find_last_of(" \t\r\n");
    part = part.substr(0, space == std::string_view::npos ? 0 : space);
    return mask_local_parts(part, known) + std::string(ellipsis);
  }
  return mask_local_parts(part, known);
}

// Room for `"seq":18446744073709551615,"prev":"…64…"` and the newline.
constexpr std::size_t chain_room = 112;

}  // namespace

std::string_view to_string(Event event) {
  switch (event) {
    case Event::session: return "session";
    case Event::delivery: return "delivery";
    case Event::policy: return "policy";
    case Event::exception: return "exception";
    case Event::downgrade_suspected: return "downgrade-suspected";
    case Event::config: return "config";
    case Event::start: return "start";
    case Event::stop: return "stop";
  }
  return "";
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::delivered: return "delivered";
    case Verdict::deferred: return "deferred";
    case Verdict::rejected: return "rejected";
    case Verdict::uncertain: return "uncertain";
    case Verdict::dropped: return "dropped";
    case Verdict::usable: return "usable";
    case Verdict::refused: return "refused";
  }
  return "";
}

namespace {

constexpr std::string_view reason_separator = "; ";

// A reason that stands beside others holds nothing that parts them.
std::string one_reason(std::string reason) {
  for (std::size_t at = 0; (at = reason.find(reason_separator, at)) != std::string::npos;) {
    reason.replace(at, reason_separator.size(), ", ");
  }
  return reason;
}

}  // namespace

PolicyResult policy_result(const tlsrpt::SessionResult& result) {
  PolicyResult entry;
  entry.policy_type = result.policy.type;
  entry.policy_domain = result.policy.domain;
  entry.policy_digest = tlsrpt::policy_digest(result.policy);
  for (const tlsrpt::FailureDetail& failure : result.failures) {
    const bool first = entry.result_types.empty();
    entry.result_types.emplace_back(tlsrpt::to_string(failure.type));
    if (!first) entry.reason += reason_separator;
    entry.reason +=
        result.failures.size() > 1 ? one_reason(failure.reason) : failure.reason;
  }
  return entry;
}

std::vector<std::string> reasons_of(const PolicyResult& entry) {
  const std::size_t count = entry.result_types.size();
  if (count < 2) return std::vector<std::string>(count, entry.reason);
  std::vector<std::string> reasons;
  std::string_view rest = entry.reason;
  for (;;) {
    const std::size_t end = rest.find(reason_separator);
    reasons.emplace_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + reason_separator.size());
  }
  // Cut short by the line's limit: whose reason is whose is not known any more.
  if (reasons.size() != count) reasons.assign(count, entry.reason);
  return reasons;
}

std::string rfc3339(base::WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::string text = "0000-00-00T00:00:00.000Z";
  const auto put = [&text](std::size_t end, long value) {
    for (; value > 0; value /= 10) text[--end] = static_cast<char>('0' + value % 10);
  };
  put(4, std::clamp(static_cast<int>(date.year()), 0, 9999));
  put(7, static_cast<long>(static_cast<unsigned>(date.month())));
  put(10, static_cast<long>(static_cast<unsigned>(date.day())));
  put(13, clock.hours().count());
  put(16, clock.minutes().count());
  put(19, clock.seconds().count());
  put(23, clock.subseconds().count());
  return text;
}

std::optional<base::WallTime> parse_rfc3339(std::string_view text) {
  static constexpr std::string_view form = "0000-00-00T00:00:00.000Z";
  if (text.size() != form.size()) return std::nullopt;
  for (std::size_t i = 0; i < form.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (form[i] == '0' ? !digit : text[i] != form[i]) return std::nullopt;
  }
  const auto number = [text](std::size_t from, std::size_t count) {
    int value = 0;
    for (char c : text.substr(from, count)) value = value * 10 + (c - '0');
    return value;
  };
  using namespace std::chrono;
  const year_month_day date(year(number(0, 4)), month(static_cast<unsigned>(number(5, 2))),
                            day(static_cast<unsigned>(number(8, 2))));
  if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 59) {
    return std::nullopt;
  }
  return sys_days(date) + hours(number(11, 2)) + minutes(number(14, 2)) +
         seconds(number(17, 2)) + milliseconds(number(20, 3));
}

RenderedLine render(const Record& record, base::WallTime time) {
  const std::string reply = masked(record.reply, record.local_parts);
  const std::string reason = masked(record.reason, record.local_parts);
  std::vector<std::string> result_reasons;
  if (record.results) {
    for (const PolicyResult& entry : *record.results) {
      result_reasons.push_back(masked(entry.reason, record.local_parts));
    }
  }
  RenderedLine line;
  for (const Limits& limits : rows) {
    line = Writer(record, limits).line(time, reply, reason, result_reasons);
    if (line.before.size() + line.after.size() + chain_room <= line_limit) break;
  }
  return line;
}

std::string complete(const RenderedLine& line, std::uint64_t seq, std::string_view prev) {
  std::string out;
  out.reserve(line.before.size() + line.after.size() + chain_room);
  out += line.before;
  out += ",\"seq\":";
  out += std::to_string(seq);
  if (prev.empty()) {
    out += ",\"prev\":null";
  } else {
    out += ",\"prev\":\"";
    out += prev;
    out += '"';
  }
  out += line.after;
  return out;
}

std::string to_json_line(const Record& record, std::uint64_t seq, std::string_view prev,
                         base::WallTime time) {
  return complete(render(record, time), seq, prev);
}

std::optional<Link> parse_link(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto seq = json.find("seq");
  const auto prev = json.find("prev");
  const auto time = json.find("time");
  if (seq == json.end() || !seq->is_number_unsigned()) return std::nullopt;
  if (prev == json.end() || !(prev->is_null() || prev->is_string())) return std::nullopt;
  if (time == json.end() || !time->is_string()) return std::nullopt;
  Link link;
  link.seq = seq->get<std::uint64_t>();
  link.time = time->get<std::string>();
  if (prev->is_string()) {
    link.prev = prev->get<std::string>();
    if (link.prev.size() != 64 || !base::from_hex(link.prev)) return std::nullopt;
  }
  return link;
}

}  // namespace audit
