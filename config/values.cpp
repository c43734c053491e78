#include "config/values.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "base/encode.h"
#include "base/overloaded.h"
#include "config/units.h"

namespace config {

namespace {

using Day = std::chrono::year_month_day;

constexpr std::string_view time_form = "a time such as \"90s\", \"5m\" or \"1d\"";
constexpr std::string_view size_form = "a size such as \"64KiB\" or a number of bytes";
constexpr std::string_view address_form =
    "an address such as \"127.0.0.1:25\", \"[::1]:25\" or \"unix:/path\"";

// Said outright, since text converts into base::Error as well.
template <class T>
Read<T> good(T value) {
  return {boost::system::in_place_value, std::move(value)};
}

std::string in_quotes(std::string_view text) { return toml(std::string(text)); }

std::string not_a(std::string_view form, std::string_view text) {
  return "must be " + std::string(form) + ", not " + in_quotes(text);
}

std::optional<std::uint16_t> port_in(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// A whole number directly followed by one of `units`; the product, if it fits.
std::optional<std::int64_t> amount(std::string_view text, const std::array<Unit, 5>& units) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& unit : units) {
    if (unit.name != rest) continue;
    std::int64_t product = 0;
    if (__builtin_mul_overflow(number, unit.factor, &product)) return std::nullopt;
    return product;
  }
  return std::nullopt;
}

template <class T, class Parse>
Read<T> read_text(const Node& node, std::string_view form, Parse parse) {
  const auto* text = std::get_if<std::string>(&node.value);
  if (!text) return base::fail(wrong_type(form, node));
  std::optional<T> result = parse(std::string_view(*text));
  if (!result) return base::fail(not_a(form, *text));
  return good(std::move(*result));
}

// As read_text, for a class whose own parse() tells what is wrong.
template <class T>
Read<T> read_parsed(const Node& node, std::string_view form) {
  const auto* text = std::get_if<std::string>(&node.value);
  if (!text) return base::fail(wrong_type(form, node));
  auto result = T::parse(*text);
  if (!result) return base::fail(not_a(form, *text) + ": " + result.error().text);
  return result;
}

std::optional<base::Ip> ip_in(std::string_view text) {
  auto ip = base::Ip::parse(text);
  if (!ip) return std::nullopt;
  return *ip;
}

std::optional<Address> address_in(std::string_view text) {
  constexpr std::string_view scheme = "unix:";
  if (text.starts_with(scheme)) {
    text.remove_prefix(scheme.size());
    if (!text.starts_with('/') || text.size() > 107) return std::nullopt;  // sockaddr_un
    if (text.find('\0') != std::string_view::npos) return std::nullopt;
    return Unix{Path(text)};
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = port_in(text.substr(colon + 1));
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host == "localhost" && !bracketed) host = "127.0.0.1";
  const auto ip = ip_in(host);
  if (!port || !ip || ip->is_v6() != bracketed) return std::nullopt;
  return Tcp{*ip, *port};
}

std::optional<Forwarder> forwarder_in(std::string_view text) {
  Forwarder out;
  const std::size_t at = text.find('@');
  if (at != std::string_view::npos) {
    const auto port = port_in(text.substr(at + 1));
    if (!port) return std::nullopt;
    out.port = *port;
  }
  const auto ip = ip_in(text.substr(0, at));
  if (!ip) return std::nullopt;
  out.address = *ip;
  return out;
}

}  // namespace

std::string_view type_of(const Node& node) {
  return std::visit(base::overloaded{
                        [](const std::string&) { return "text"; },
                        [](std::int64_t) { return "a whole number"; },
                        [](double) { return "a decimal number"; },
                        [](bool) { return "true or false"; },
                        [](const Day&) { return "a date"; },
                        [](const OtherTime&) { return "a time of day"; },
                        [](const List&) { return "a list"; },
                        [](const Table&) { return "a table"; },
                    },
                    node.value);
}

std::string wrong_type(std::string_view expected, const Node& found) {
  return "must be " + std::string(expected) + ", not " + std::string(type_of(found));
}

std::string alternatives(const std::vector<std::string_view>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += in_quotes(words[i]);
  }
  return out;
}

template <>
Read<std::string> read(const Node& node) {
  const auto* text = std::get_if<std::string>(&node.value);
  if (!text) return base::fail(wrong_type("text in quotes", node));
  if (text->empty()) return base::fail("must not be empty");
  return good(*text);
}

template <>
Read<Path> read(const Node& node) {
  // The daemon's working directory is not that of who runs `config check`.
  return read_text<Path>(node, "an absolute path in quotes", [](std::string_view text) {
    const bool usable = text.starts_with('/') && text.find('\0') == std::string_view::npos;
    return usable ? std::optional<Path>(text) : std::nullopt;
  });
}

template <>
Read<bool> read(const Node& node) {
  const auto* value = std::get_if<bool>(&node.value);
  if (!value) return base::fail(wrong_type("true or false", node));
  return *value;
}

template <>
Read<std::uint16_t> read(const Node& node) {
  const auto* value = std::get_if<std::int64_t>(&node.value);
  if (!value) return base::fail(wrong_type("a port number", node));
  if (*value < 1 || *value > 65535) {
    return base::fail("must be a port from 1 to 65535, not " + std::to_string(*value));
  }
  return static_cast<std::uint16_t>(*value);
}

template <>
Read<std::uint32_t> read(const Node& node) {
  const auto* value = std::get_if<std::int64_t>(&node.value);
  if (!value) return base::fail(wrong_type("a whole number", node));
  if (*value < 0) return base::fail("must not be negative, as " + std::to_string(*value) + " is");
  if (*value > std::numeric_limits<std::uint32_t>::max()) {
    return base::fail("is too large: " + std::to_string(*value));
  }
  return static_cast<std::uint32_t>(*value);
}

template <>
Read<Bytes> read(const Node& node) {
  if (const auto* number = std::get_if<std::int64_t>(&node.value)) {
    if (*number < 0) return base::fail("must not be negative");
    return static_cast<Bytes>(*number);
  }
  return read_text<Bytes>(node, size_form, [](std::string_view text) -> std::optional<Bytes> {
    const auto bytes = amount(text, size_units);
    return bytes ? std::optional(static_cast<Bytes>(*bytes)) : std::nullopt;
  });
}

template <>
Read<Duration> read(const Node& node) {
  return read_text<Duration>(node, time_form, [](std::string_view text) {
    const auto time = amount(text, time_units);
    return time ? std::optional(Duration(*time)) : std::nullopt;
  });
}

template <>
Read<Day> read(const Node& node) {
  const auto* day = std::get_if<Day>(&node.value);
  if (!day) return base::fail(wrong_type("a date without quotes such as 2026-12-31", node));
  if (!day->ok()) return base::fail("is not a day of the calendar");
  return *day;
}

template <>
Read<base::Ip> read(const Node& node) {
  return read_text<base::Ip>(node, "an IP address", ip_in);
}

template <>
Read<base::Network> read(const Node& node) {
  return read_parsed<base::Network>(node, "a network such as \"192.0.2.0/24\"");
}

template <>
Read<base::Domain> read(const Node& node) {
  return read_parsed<base::Domain>(node, "a domain");
}

template <>
Read<Address> read(const Node& node) {
  return read_text<Address>(node, address_form, address_in);
}

template <>
Read<Forwarder> read(const Node& node) {
  return read_text<Forwarder>(
      node, "an address such as \"192.0.2.53\" or \"192.0.2.53@5353\"", forwarder_in);
}

template <>
Read<DomainMatch> read(const Node& node) {
  const auto* text = std::get_if<std::string>(&node.value);
  if (!text) return base::fail(wrong_type("a domain in quotes", node));
  const bool below = text->starts_with('.');
  auto domain = base::Domain::parse(std::string_view(*text).substr(below ? 1 : 0));
  if (text->starts_with("*.")) {
    return base::fail("must be a domain; all subdomains are written " + in_quotes(text->substr(1)));
  }
  if (!domain) return base::fail(not_a("a domain", *text) + ": " + domain.error().text);
  return DomainMatch{std::move(*domain), below};
}

template <>
Read<Sha256> read(const Node& node) {
  return read_text<Sha256>(node, "a SHA-256 in base64, 44 characters",
                           [](std::string_view text) -> std::optional<Sha256> {
                             const auto bytes = base::from_base64(text);
                             Sha256 digest{};
                             if (!bytes || bytes->size() != digest.size()) return std::nullopt;
                             std::ranges::copy(*bytes, digest.begin());
                             return digest;
                           });
}

template <>
Read<FileMode> read(const Node& node) {
  constexpr std::string_view form = "permissions in octal such as \"0660\"";
  return read_text<FileMode>(node, form, [](std::string_view text) -> std::optional<FileMode> {
    FileMode mode;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, mode.bits, 8);
    if (error != std::errc() || end != last || mode.bits > 0777) return std::nullopt;
    return mode;
  });
}

}  // namespace config
