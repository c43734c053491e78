#include "tlsrpt/return_path.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <optional>
#include <span>
#include <stdexcept>
#include <utility>

#include "base/encode.h"

namespace tlsrpt {
namespace {

// The local part is `prefix`, YYYYMMDD, ".", pair code, own code: 48 octets.
constexpr std::string_view prefix = "tlsrpt+";
constexpr std::size_t date_size = 8;
constexpr std::size_t pair_size = 20;  // 100 bits: over date and recipient
constexpr std::size_t own_size = 12;   // 60 bits: over the date and the pair code
constexpr std::size_t local_size = prefix.size() + date_size + 1 + pair_size + own_size;
static_assert(local_size <= 64);  // RFC 5321 §4.5.3.1.1

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// RFC 4648 §6, in lower case: an alphabet that survives an MTA that folds case.
std::string base32(std::span<const std::uint8_t> bytes, std::size_t characters) {
  static constexpr char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::string out;
  std::uint32_t group = 0;
  int bits = 0;
  for (const std::uint8_t byte : bytes) {
    group = (group << 8 | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += alphabet[group >> bits & 31];
    }
  }
  out.resize(characters);
  return out;
}

// `use` keeps the two codes apart; it and the date have fixed shapes, so that no two inputs run
// together.
std::string code(const ReturnPath::Secret& secret, std::string_view use, std::string_view date,
                 std::string_view text, std::size_t characters) {
  std::string input(use);
  input += '|';
  input += date;
  input += '|';
  input += text;
  std::array<std::uint8_t, 32> mac{};
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(input.data()), input.size(), mac.data(),
           nullptr) == nullptr) {
    throw std::runtime_error("HMAC-SHA-256 is not available");
  }
  return base32(mac, characters);
}

std::string pair_code(const ReturnPath::Secret& secret, std::string_view date,
                      std::string_view recipient) {
  return code(secret, "recipient", date, recipient, pair_size);
}

std::string own_code(const ReturnPath::Secret& secret, std::string_view date,
                     std::string_view pair) {
  return code(secret, "own", date, pair, own_size);
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// The domain in one form, whichever way an MTA writes it; the local part is its owner's business.
std::string normalised(std::string_view recipient) {
  const std::size_t at = recipient.rfind('@');
  if (at == std::string_view::npos) return std::string(recipient);
  const std::string_view written = recipient.substr(at + 1);
  const auto domain = base::Domain::parse(written);
  std::string out(recipient.substr(0, at + 1));
  out += domain ? domain->str() : base::to_lower(written);
  return out;
}

std::string digits(std::chrono::sys_days date) {
  const std::chrono::year_month_day day(date);
  const unsigned number = static_cast<unsigned>(static_cast<int>(day.year())) * 10000 +
                          static_cast<unsigned>(day.month()) * 100 +
                          static_cast<unsigned>(day.day());
  std::string out = std::to_string(number);
  if (out.size() < date_size) out.insert(0, date_size - out.size(), '0');
  return out;
}

std::optional<std::chrono::sys_days> to_date(std::string_view text) {
  unsigned number = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  const std::chrono::year_month_day day(std::chrono::year(static_cast<int>(number / 10000)),
                                        std::chrono::month(number / 100 % 100),
                                        std::chrono::day(number % 100));
  if (!day.ok()) return std::nullopt;
  return std::chrono::sys_days(day);
}

struct Parts {
  std::string date;
  std::string pair;
  std::string own;
};

// The parts of an address that has our shape and domain and a date that `now` admits.
std::optional<Parts> take_apart(std::string_view address, const base::Domain& domain,
                                base::WallTime now) {
  if (address.size() != local_size + 1 + domain.str().size()) return std::nullopt;
  if (address[local_size] != '@') return std::nullopt;
  if (!base::iequals(address.substr(local_size + 1), domain.view())) return std::nullopt;
  const std::string local = base::to_lower(address.substr(0, local_size));
  if (!local.starts_with(prefix) || local[prefix.size() + date_size] != '.') return std::nullopt;
  Parts parts;
  parts.date = local.substr(prefix.size(), date_size);
  parts.pair = local.substr(prefix.size() + date_size + 1, pair_size);
  parts.own = local.substr(local_size - own_size);
  const auto date = to_date(parts.date);
  if (!date) return std::nullopt;
  const std::chrono::sys_days today = std::chrono::floor<std::chrono::days>(now);
  if (today - *date > ReturnPath::lifetime) return std::nullopt;
  // Relays that share a secret may differ by a little about the day.
  if (*date - today > std::chrono::days(1)) return std::nullopt;
  return parts;
}

}  // namespace

ReturnPath::ReturnPath(Secret secret, base::Domain report_domain)
    : secret_(secret), domain_(std::move(report_domain)) {}

std::string ReturnPath::make(std::chrono::sys_days date, std::string_view recipient) const {
  const std::string day = digits(date);
  const std::string pair = pair_code(secret_, day, normalised(recipient));
  std::string out(prefix);
  out += day + "." + pair + own_code(secret_, day, pair) + "@" + domain_.str();
  return out;
}

bool ReturnPath::frees(std::string_view reverse_path, std::string_view recipient,
                       base::WallTime now) const {
  const auto parts = take_apart(reverse_path, domain_, now);
  if (!parts) return false;
  const std::string pair = pair_code(secret_, parts->date, normalised(recipient));
  return equal(pair + own_code(secret_, parts->date, pair), parts->pair + parts->own);
}

bool ReturnPath::is_own(std::string_view recipient, base::WallTime now) const {
  const auto parts = take_apart(recipient, domain_, now);
  return parts && equal(own_code(secret_, parts->date, parts->pair), parts->own);
}

}  // namespace tlsrpt
