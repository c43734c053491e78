#include "admin/access.h"

#include <openssl/crypto.h>

#include "base/encode.h"
#include "base/ip.h"

namespace admin {

namespace {

// The token out of an Authorization field; "" where it has none.
std::string token_in(std::string_view field) {
  const std::size_t space = field.find(' ');
  if (space == std::string_view::npos) return {};
  const std::string_view scheme = field.substr(0, space);
  const std::string_view rest = base::trim(field.substr(space + 1));
  if (base::iequals(scheme, "bearer")) return std::string(rest);
  if (!base::iequals(scheme, "basic")) return {};
  const auto octets = base::from_base64(rest);
  if (!octets) return {};
  const std::string text(octets->begin(), octets->end());
  const std::size_t colon = text.find(':');
  return colon == std::string::npos ? std::string() : text.substr(colon + 1);
}

// Without its port: "[::1]:8470" is "::1".
std::string_view name_in(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

bool is_own_name(const Access& access, std::string_view host) {
  std::string name = base::to_lower(name_in(host));
  if (name.ends_with('.')) name.pop_back();
  return base::Ip::parse(name).has_value() || name == "localhost" ||
         name == base::to_lower(access.host_name);
}

}  // namespace

bool same_token(std::string_view given, std::string_view wanted) {
  return given.size() == wanted.size() &&
         CRYPTO_memcmp(given.data(), wanted.data(), wanted.size()) == 0;
}

Gate gate(const Access& access, std::string_view path, std::optional<std::string_view> host,
          std::string_view authorization) {
  if (path == "/healthz") return Gate::open;
  if (!access.token.empty()) {
    return same_token(token_in(authorization), access.token) ? Gate::open : Gate::no_token;
  }
  // Only an HTTP/1.0 client, which no browser is, may leave it out.
  if (access.holds_host && host && !is_own_name(access, *host)) return Gate::wrong_host;
  return Gate::open;
}

}  // namespace admin
