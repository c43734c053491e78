// StsFetcher: gets the policy file of a domain (RFC 8461 §3.3): addresses of mta-sts.DOMAIN by our
// own resolver, private ones refused, each tried in turn within one budget, so many fetches at once
// and so many to one address. Not responsible for whether to fetch, nor for what the file says.
// Runs on one io_context of one thread; called by policy/sts_engine.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "base/clock.h"
#include "base/limits.h"
#include "dns/resolver.h"
#include "policy/https_fetcher.h"

namespace policy {

class StsFetcher {
 public:
  virtual ~StsFetcher() = default;
  // The policy file's octets, or sts_policy_fetch_error or sts_webpki_invalid. `domain` must live
  // until then.
  virtual boost::asio::awaitable<StsBody> fetch(const base::Domain& domain) = 0;
};

enum class AddressOrder { system, ipv4, ipv6, ipv4_only, ipv6_only };  // outbound.ip_preference

struct StsFetchSettings {
  std::uint16_t port = 443;
  std::chrono::milliseconds timeout{60000};  // from the start of a fetch, DNS and all addresses
  std::size_t max_body = 65536;
  AddressOrder order = AddressOrder::system;
  std::vector<base::Network> private_destinations;
  std::size_t at_once = base::limits::fetches_at_once;
  std::size_t per_address = base::limits::fetches_per_address;
};

// Addresses in the order to try. `system` here is both families in turn, IPv6 first: one that has
// no route fails at once.
std::vector<base::Ip> order_addresses(const std::vector<base::Ip>& v4,
                                      const std::vector<base::Ip>& v6, AddressOrder order);

// The A and AAAA addresses of an https host in that order, never none; the words of the failure
// otherwise. A family that fails does not hide the other.
boost::asio::awaitable<base::Result<std::vector<base::Ip>, base::Error>> https_addresses(
    dns::Resolver& resolver, std::string host, AddressOrder order,
    std::chrono::steady_clock::time_point deadline);

// So many at once, the others wait in line. For one thread.
class FetchSlots;

class HttpsFetcher final : public StsFetcher {
 public:
  using Context = std::shared_ptr<boost::asio::ssl::context>;
  HttpsFetcher(StsFetchSettings settings, dns::Resolver& resolver, const base::Clock& clock,
               Context tls);
  ~HttpsFetcher() override;
  boost::asio::awaitable<StsBody> fetch(const base::Domain& domain) override;
  // At a reload; fetches under way keep what they have.
  void reconfigure(StsFetchSettings settings, Context tls);

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  boost::asio::awaitable<StsBody> try_all(std::string host, Deadline deadline);
  boost::asio::awaitable<StsBody> try_one(HttpsGet get, Context tls);
  std::shared_ptr<FetchSlots> slots_of(const base::Ip& address);

  StsFetchSettings settings_;
  dns::Resolver& resolver_;
  const base::Clock& clock_;
  Context tls_;
  std::shared_ptr<FetchSlots> all_;
  std::unordered_map<base::Ip, std::weak_ptr<FetchSlots>> by_address_;
};

}  // namespace policy
