// Walk: the hosts that are this machine, by name before anything is looked up, by address once a
// host's turn comes. What becomes of the list is decided by policy/own_mx.h.
#include <algorithm>

#include "policy/own_mx.h"
#include "proxy/walk.h"

namespace proxy {

namespace {

// A host beside the one whose turn it is: its dead DNS must not cost that one much.
constexpr std::chrono::seconds sibling_wait{1};

}  // namespace

void Walk::leave_out_own(const std::function<bool(const policy::MxHost&)>& is_own) {
  const auto own = policy::cut_at_own(hosts_, is_own);
  if (!own) return;
  beside_own_ = true;
  if (hosts_.empty()) note(Rank::dns, policy::own_mx_reply(*domain_, *own));
}

// Before the first host of a preference: any of its equals may be this machine, and then none of
// them may have the mail.
asio::awaitable<void> Walk::find_own(SteadyTime budget) {
  const std::size_t first = next_host_;
  const std::uint16_t preference = hosts_[first].preference;
  if (first > 0 && hosts_[first - 1].preference == preference) co_return;
  const std::vector<policy::MxHost> hosts = hosts_;
  SteadyTime deadline = budget;
  std::optional<base::Domain> own;
  for (std::size_t i = first; i < hosts.size() && hosts[i].preference == preference; ++i) {
    if (Plans::known_facts(*planned_domain_, hosts[i].host)) continue;
    worker_.gather().prefetch(query_for(hosts[i].host));
  }
  for (std::size_t i = first; i < hosts.size() && hosts[i].preference == preference; ++i) {
    auto facts = Plans::known_facts(*planned_domain_, hosts[i].host);
    if (!facts) facts = co_await worker_.gather().host(query_for(hosts[i].host), deadline);
    if (i == first) {
      deadline = std::min(budget, std::chrono::steady_clock::now() + sibling_wait);
    }
    if (!facts || stopped_) continue;
    const bool found = std::ranges::any_of(facts->addresses, [&](const base::Ip& ip) {
      return worker_.gather().is_own(ip);
    });
    if (found) own = hosts[i].host;
    if (own) break;
  }
  if (own) leave_out_own([&own](const policy::MxHost& host) { return host.host == *own; });
}

}  // namespace proxy
