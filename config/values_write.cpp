#include <cstdio>

#include "base/encode.h"
#include "config/units.h"
#include "config/values.h"

namespace config {

namespace {

// Text of the largest unit that divides `value`; one minute is better read as "60s".
std::string in_units(std::int64_t value, const std::array<Unit, 5>& units) {
  for (const Unit& unit : units) {
    if (value == 0 || value % unit.factor != 0) continue;
    if (unit.name == "m" && value == unit.factor) continue;
    return std::to_string(value / unit.factor) + std::string(unit.name);
  }
  return "0" + std::string(units[3].name);
}

}  // namespace

std::string toml(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04X", static_cast<unsigned>(c));
      out += escape.data();
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string toml(const Path& value) { return toml(value.string()); }
std::string toml(bool value) { return value ? "true" : "false"; }
std::string toml(std::uint16_t value) { return std::to_string(value); }
std::string toml(std::uint32_t value) { return std::to_string(value); }
std::string toml(Bytes value) {
  const auto number = static_cast<std::int64_t>(value);
  if (number < 1024 || number % 1024 != 0) return std::to_string(value);
  return '"' + in_units(number, size_units) + '"';
}
std::string toml(Duration value) { return '"' + in_units(value.count(), time_units) + '"'; }

std::string toml(const std::chrono::year_month_day& value) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(value.year()),
                static_cast<unsigned>(value.month()), static_cast<unsigned>(value.day()));
  return text.data();
}

std::string toml(const base::Ip& value) { return toml(value.str()); }
std::string toml(const base::Network& value) { return toml(value.str()); }
std::string toml(const Address& value) { return toml(text_of(value)); }

std::string toml(const Forwarder& value) {
  const std::string ip = value.address.str();
  return toml(value.port == 53 ? ip : ip + "@" + std::to_string(value.port));
}

std::string toml(const DomainMatch& value) {
  return toml((value.subdomains ? "." : "") + value.domain.str());
}

std::string toml(const Sha256& value) { return toml(base::to_base64(value)); }

std::string toml(const FileMode& value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04o", value.bits);
  return toml(std::string(text.data()));
}

std::string toml(const base::Domain& value) { return toml(value.str()); }

}  // namespace config
