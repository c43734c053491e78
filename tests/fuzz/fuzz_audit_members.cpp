// The readers of `audit query` and `audit verify`: what is JSON is read as a JSON parser reads it,
// whatever else comes is read within its bounds; a file, compressed or not, gives back its lines.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "audit/lines.h"
#include "audit/members.h"
#include "audit/query.h"
#include "tlsrpt/gzip.h"

namespace {

using nlohmann::json;

void must(bool holds) {
  if (!holds) std::abort();
}

// A line whose keys stand once each.
void read_line(std::string_view line) {
  audit::Members members;
  const bool read = members.read(line);
  const json value = json::parse(line, nullptr, false);
  if (read) {
    for (std::size_t i = 0; i < audit::record_keys.size(); ++i) (void)members.text(i);
    (void)audit::link_of(members);
  }
  if (!value.is_object() || line.find('\\') != std::string_view::npos) return;
  for (std::size_t i = 0; read && i < audit::record_keys.size(); ++i) {
    const auto found = value.find(audit::record_keys[i]);
    must((found == value.end()) == members.raw(i).empty());
    if (found == value.end()) continue;
    must(found->is_string() == members.text(i).has_value());
    must(!found->is_string() || *members.text(i) == found->get<std::string>());
  }
}

// `octets` as a file, read with little room; the text of all whole lines that were not cut.
std::string lines_of(std::string_view octets, const audit::LineLimits& limits) {
  int ends[2];
  must(::pipe(ends) == 0);
  must(::write(ends[1], octets.data(), octets.size()) == static_cast<ssize_t>(octets.size()));
  ::close(ends[1]);
  std::string text;
  auto reader = audit::LineReader::take(ends[0], "input", limits);
  if (!reader) return text;
  audit::LineReader::Line line;
  std::uint64_t number = 0;
  for (;;) {
    const auto more = reader->next(line);
    if (!more || !*more) break;
    must(line.number == ++number && line.text.size() <= limits.line_room);
    must(line.text.find('\n') == std::string_view::npos);
    read_line(line.text);
    if (!line.cut) text += line.text;
    if (line.ended && !line.cut) text += '\n';
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view whole(reinterpret_cast<const char*>(data), std::min(size, 60000UL));
  read_line(whole);
  // A file costs much more than a line, and most of it is the room for it.
  audit::LineLimits small;
  small.line_room = 500;
  small.expanded = 1 << 20;
  const bool compressed = whole.starts_with("\x1f\x8b");
  if (compressed || size % 16 == 0) (void)lines_of(whole, small);
  if (!compressed && size % 16 == 1) must(lines_of(whole, {}) == whole);
  if (size % 64 == 2) must(lines_of(tlsrpt::gzip(whole), {}) == whole);

  audit::Query query;
  query.domains = {"recv.example"};
  query.verdicts = {"delivered"};
  audit::Members members;
  const audit::Matcher matcher(query);
  must(!matcher.matches(whole, members) ||
       (members.is(audit::key_index("domain"), "recv.example") &&
        members.is(audit::key_index("verdict"), "delivered")));
  return 0;
}
