#include "dns/decode.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace dns {
namespace {

// In C++20 an Error can be made from a string as well, so that the value has to be named.
using Text = base::Result<std::string, base::Error>;

constexpr std::size_t max_label = 63;     // RFC 1035 §2.3.4
constexpr std::size_t max_name = 255;     // octets on the wire, RFC 1035 §2.3.4
constexpr std::size_t header_size = 12;   // RFC 1035 §4.1.1
constexpr std::size_t rr_fixed_size = 10;  // type, class, TTL, length: RFC 1035 §4.1.3

std::uint8_t octet(std::string_view data, std::size_t at) {
  return static_cast<std::uint8_t>(data[at]);
}

std::uint16_t number16(std::string_view data, std::size_t at) {
  return static_cast<std::uint16_t>(octet(data, at) << 8 | octet(data, at + 1));
}

std::uint32_t number32(std::string_view data, std::size_t at) {
  return std::uint32_t{number16(data, at)} << 16 | number16(data, at + 2);
}

// One octet of a label in the text form of RFC 1035 §5.1, folded to lower case (RFC 4343).
void append_octet(std::string& text, std::uint8_t c) {
  if (c >= 'A' && c <= 'Z') {
    text += static_cast<char>(c - 'A' + 'a');
  } else if (c > 0x20 && c < 0x7f && c != '.' && c != '\\') {
    text += static_cast<char>(c);
  } else {
    text += '\\';
    text += static_cast<char>('0' + c / 100);
    text += static_cast<char>('0' + c / 10 % 10);
    text += static_cast<char>('0' + c % 10);
  }
}

// The offset behind a name in a message, compressed or not; npos where it runs out of the message.
std::size_t skip_name(std::string_view packet, std::size_t at) {
  while (at < packet.size()) {
    const std::uint8_t length = octet(packet, at);
    if (length == 0) return at + 1;
    if ((length & 0xc0) == 0xc0) return at + 2 <= packet.size() ? at + 2 : std::string_view::npos;
    if (length > max_label) return std::string_view::npos;
    at += 1 + std::size_t{length};
  }
  return std::string_view::npos;
}

}  // namespace

base::Result<base::Ip, base::Error> decode_a(std::string_view rdata) {
  std::array<std::uint8_t, 4> octets{};
  if (rdata.size() != octets.size()) return base::fail("an A record is not 4 octets long");
  std::transform(rdata.begin(), rdata.end(), octets.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  return base::Ip::v4(octets);
}

base::Result<base::Ip, base::Error> decode_aaaa(std::string_view rdata) {
  std::array<std::uint8_t, 16> octets{};
  if (rdata.size() != octets.size()) return base::fail("an AAAA record is not 16 octets long");
  std::transform(rdata.begin(), rdata.end(), octets.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  return base::Ip::v6(octets);
}

base::Result<Mx, base::Error> decode_mx(std::string_view rdata) {
  if (rdata.size() < 3) return base::fail("an MX record is too short");
  auto exchange = decode_name(rdata.substr(2));
  if (!exchange) return base::fail("MX: " + exchange.error().text);
  Mx mx;
  mx.preference = number16(rdata, 0);
  mx.exchange = std::move(*exchange);
  return mx;
}

base::Result<std::string, base::Error> decode_name(std::string_view rdata) {
  if (rdata.size() > max_name) return base::fail("a name is over 255 octets long");
  std::string text;
  std::size_t at = 0;
  while (at < rdata.size()) {
    const std::size_t length = octet(rdata, at++);
    if (length == 0) {
      if (at != rdata.size()) return base::fail("octets follow a name");
      return Text{boost::system::in_place_value, std::move(text)};
    }
    if (length > max_label) return base::fail("a label is over 63 octets long");
    if (length > rdata.size() - at) break;
    if (!text.empty()) text += '.';
    for (std::size_t end = at + length; at < end; ++at) append_octet(text, octet(rdata, at));
  }
  return base::fail("a name is cut short");
}

base::Result<std::string, base::Error> decode_txt(std::string_view rdata) {
  // RFC 1035 §3.3.14: one or more character-strings.
  if (rdata.empty()) return base::fail("a TXT record is empty");
  std::string text;
  std::size_t at = 0;
  while (at < rdata.size()) {
    const std::size_t length = octet(rdata, at++);
    if (length > rdata.size() - at) return base::fail("a TXT record is cut short");
    text.append(rdata.substr(at, length));
    at += length;
  }
  return Text{boost::system::in_place_value, std::move(text)};
}

std::optional<std::chrono::seconds> shortest_ttl(std::string_view packet) {
  if (packet.size() < header_size) return std::nullopt;
  std::size_t at = header_size;
  for (unsigned questions = number16(packet, 4); questions > 0; --questions) {
    at = skip_name(packet, at);
    if (at == std::string_view::npos || packet.size() - at < 4) return std::nullopt;
    at += 4;
  }
  std::optional<std::chrono::seconds> shortest;
  for (unsigned answers = number16(packet, 6); answers > 0; --answers) {
    at = skip_name(packet, at);
    if (at == std::string_view::npos || packet.size() - at < rr_fixed_size) return std::nullopt;
    // RFC 2181 §8: a TTL with its top bit set counts as zero.
    const std::uint32_t number = number32(packet, at + 4);
    const std::chrono::seconds ttl{number > 0x7fffffffU ? 0 : number};
    if (!shortest || ttl < *shortest) shortest = ttl;
    const std::size_t length = number16(packet, at + 8);
    at += rr_fixed_size;
    if (length > packet.size() - at) return std::nullopt;
    at += length;
  }
  return shortest;
}

}  // namespace dns
