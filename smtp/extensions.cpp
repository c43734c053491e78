#include "smtp/extensions.h"

#include <charconv>
#include <limits>

#include "base/encode.h"

namespace smtp {
namespace {

// RFC 1870 §3: "SIZE", "SIZE 0", "SIZE 1000000". A number that is none counts as no limit told, one
// that does not fit as the largest.
std::uint64_t parse_limit(std::string_view text) {
  std::uint64_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error == std::errc::result_out_of_range) return std::numeric_limits<std::uint64_t>::max();
  const bool whole = error == std::errc() && (end == text.data() + text.size() || *end == ' ');
  return whole ? limit : 0;
}

}  // namespace

Extensions parse_extensions(const Reply& reply) {
  Extensions out;
  if (!reply.lines.empty()) {
    const std::string_view first = base::trim(reply.lines.front());
    out.helo_name = first.substr(0, first.find(' '));
  }
  for (std::size_t i = 1; i < reply.lines.size(); ++i) {
    const std::string_view line = base::trim(reply.lines[i]);
    // "SIZE=1000" is wrong and is sent.
    const std::size_t end = std::min(line.find_first_of(" \t="), line.size());
    const std::string_view keyword = line.substr(0, end);
    if (base::iequals(keyword, "SIZE")) {
      out.size = true;
      out.size_limit =
          end < line.size() ? parse_limit(base::trim(line.substr(end + 1))) : std::uint64_t{0};
    }
    if (base::iequals(keyword, "PIPELINING")) out.pipelining = true;
    if (base::iequals(keyword, "8BITMIME")) out.eight_bit_mime = true;
    if (base::iequals(keyword, "SMTPUTF8")) out.smtputf8 = true;
    if (base::iequals(keyword, "STARTTLS")) out.starttls = true;
    if (base::iequals(keyword, "ENHANCEDSTATUSCODES")) out.enhanced_status_codes = true;
    if (base::iequals(keyword, "DSN")) out.dsn = true;
    if (base::iequals(keyword, "CHUNKING")) out.chunking = true;
  }
  return out;
}

}  // namespace smtp
