#include "smtp/proxy_header.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace smtp {
namespace {

using base::fail;

constexpr std::string_view prefix_1 = "PROXY ";
constexpr std::string_view signature_2{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t longest_1 = 107;
constexpr std::size_t fixed_2 = 16;
constexpr std::size_t longest_2 = 2048;  // of what follows the fixed part, TLVs included

std::uint8_t octet(std::string_view text, std::size_t i) {
  return static_cast<std::uint8_t>(text[i]);
}

std::uint16_t number16(std::string_view text, std::size_t i) {
  return static_cast<std::uint16_t>(octet(text, i) << 8 | octet(text, i + 1));
}

template <std::size_t N>
std::array<std::uint8_t, N> octets(std::string_view text, std::size_t from) {
  std::array<std::uint8_t, N> out{};
  for (std::size_t i = 0; i < N; ++i) out[i] = octet(text, from + i);
  return out;
}

// Up to the next space, which goes too; the rest where there is none.
std::string_view take_word(std::string_view& text) {
  const std::size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  return word;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port > 65535) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

}  // namespace

base::Result<std::size_t, base::Error> ProxyHeaderParser::feed(std::string_view text) {
  std::size_t used = 0;
  while (!done_ && used < text.size()) {
    held_ += text[used++];
    auto whole = advance();
    if (!whole) return fail(whole.error());
    done_ = *whole;
  }
  return used;
}

// After each octet: whether the header is whole now.
base::Result<bool, base::Error> ProxyHeaderParser::advance() {
  if (held_[0] == prefix_1[0]) {
    const std::size_t known = std::min(held_.size(), prefix_1.size());
    if (held_.compare(0, known, prefix_1, 0, known) != 0) return fail("no PROXY header");
    if (held_.ends_with("\r\n")) {
      if (auto parsed = version_1(); !parsed) return fail(parsed.error());
      return true;
    }
    if (held_.size() >= longest_1) return fail("PROXY v1 header over 107 octets");
    return false;
  }
  const std::size_t known = std::min(held_.size(), signature_2.size());
  if (held_.compare(0, known, signature_2, 0, known) != 0) return fail("no PROXY header");
  if (held_.size() < fixed_2) return false;
  auto wanted = version_2_wanted();
  if (!wanted) return fail(wanted.error());
  if (held_.size() < *wanted) return false;
  if (auto parsed = version_2(); !parsed) return fail(parsed.error());
  return true;
}

// "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n"
base::Result<void, base::Error> ProxyHeaderParser::version_1() {
  std::string_view text = held_;
  text.remove_prefix(prefix_1.size());
  text.remove_suffix(2);
  const std::string_view family = take_word(text);
  if (family == "UNKNOWN") return {};  // whatever follows is to be ignored
  if (family != "TCP4" && family != "TCP6") return fail("PROXY v1: protocol not known");
  const auto source = base::Ip::parse(take_word(text));
  const auto destination = base::Ip::parse(take_word(text));
  const auto source_port = parse_port(take_word(text));
  const auto destination_port = parse_port(text);
  const bool six = family == "TCP6";
  if (!source || !destination || source->is_v6() != six || destination->is_v6() != six) {
    return fail("PROXY v1: bad address");
  }
  if (!source_port || !destination_port) return fail("PROXY v1: bad port");
  header_.source = ProxyHeader::Source{*source, *source_port};
  return {};
}

// From the fixed part: how many octets the whole header has.
base::Result<std::size_t, base::Error> ProxyHeaderParser::version_2_wanted() const {
  if (octet(held_, 12) >> 4 != 2) return fail("PROXY v2: version not known");
  const std::size_t length = number16(held_, 14);
  if (length > longest_2) return fail("PROXY v2: header too long");
  return fixed_2 + length;
}

base::Result<void, base::Error> ProxyHeaderParser::version_2() {
  const int command = octet(held_, 12) & 15;
  if (command > 1) return fail("PROXY v2: command not known");
  if (command == 0) return {};  // LOCAL: the balancer's own connection; family is to be ignored
  const std::string_view addresses = std::string_view(held_).substr(fixed_2);
  switch (octet(held_, 13)) {
    case 0x00:  // UNSPEC
      return {};
    case 0x11:
      if (addresses.size() < 12) return fail("PROXY v2: addresses too short");
      header_.source = ProxyHeader::Source{base::Ip::v4(octets<4>(addresses, 0)),
                                           number16(addresses, 8)};
      return {};
    case 0x21:
      if (addresses.size() < 36) return fail("PROXY v2: addresses too short");
      header_.source = ProxyHeader::Source{base::Ip::v6(octets<16>(addresses, 0)),
                                           number16(addresses, 32)};
      return {};
    case 0x31:  // a Unix socket's stream
      if (addresses.size() < 216) return fail("PROXY v2: addresses too short");
      return {};
    default:
      return fail("PROXY v2: protocol not known");
  }
}

}  // namespace smtp
