#include "config/config.h"

#include <algorithm>

#include "base/overloaded.h"

namespace config {

namespace {

bool any_matches(const std::vector<DomainMatch>& domains, const base::Domain& name) {
  return std::ranges::any_of(domains, [&](const DomainMatch& one) { return one.matches(name); });
}

}  // namespace

std::string text_of(const Address& address) {
  return std::visit(
      base::overloaded{
          [](const Tcp& tcp) {
            const std::string ip = tcp.address.str();
            return (tcp.address.is_v6() ? "[" + ip + "]" : ip) + ":" + std::to_string(tcp.port);
          },
          [](const Unix& socket) { return "unix:" + socket.path.string(); },
      },
      address);
}

base::Network network(std::string_view text) { return *base::Network::parse(text); }

bool Rule::matches(const base::Domain& name) const { return any_matches(domains, name); }

bool Exception::matches(const base::Domain& name) const { return any_matches(domains, name); }

Path Store::sqlite_file() const {
  constexpr std::string_view scheme = "sqlite:";
  if (!url.starts_with(scheme)) return {};
  return url.substr(scheme.size());
}

}  // namespace config
