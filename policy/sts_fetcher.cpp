#include "policy/sts_fetcher.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>

#include "dns/await.h"
#include "dns/decode.h"

namespace policy {

namespace asio = boost::asio;
using boost::system::error_code;

class FetchSlots {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  explicit FetchSlots(std::size_t free) : free_(free) {}
  FetchSlots(const FetchSlots&) = delete;
  FetchSlots& operator=(const FetchSlots&) = delete;

  class Held {
   public:
    explicit Held(std::shared_ptr<FetchSlots> slots) : slots_(std::move(slots)) {}
    Held(Held&&) noexcept = default;
    Held& operator=(Held&&) = delete;
    ~Held() {
      if (slots_) slots_->release();
    }

   private:
    std::shared_ptr<FetchSlots> slots_;
  };

  // A slot, or nothing when the deadline passed before one was free.
  static asio::awaitable<std::optional<Held>> acquire(std::shared_ptr<FetchSlots> slots,
                                                      Deadline deadline) {
    if (slots->free_ > 0) {
      --slots->free_;
      co_return std::optional<Held>(std::in_place, std::move(slots));
    }
    asio::steady_timer timer(co_await asio::this_coro::executor, deadline);
    Waiting waiting(*slots, timer);
    error_code error;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (!waiting.take()) co_return std::nullopt;
    co_return std::optional<Held>(std::in_place, std::move(slots));
  }

 private:
  // A place in line; leaves it when its coroutine ends, and hands on a slot it did not take.
  class Waiting {
   public:
    Waiting(FetchSlots& slots, asio::steady_timer& timer) : slots_(slots), timer_(timer) {
      slots_.line_.push_back(this);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      std::erase(slots_.line_, this);
      if (given_) slots_.release();
    }
    void give() {
      given_ = true;
      timer_.cancel();
    }
    bool take() { return std::exchange(given_, false); }

   private:
    FetchSlots& slots_;
    asio::steady_timer& timer_;
    bool given_ = false;
  };

  void release() {
    if (line_.empty()) {
      ++free_;
      return;
    }
    Waiting* next = line_.front();
    line_.pop_front();
    next->give();
  }

  std::size_t free_;
  std::deque<Waiting*> line_;
};

namespace {

constexpr std::size_t most_addresses = 8;

StsFailure fetch_error(std::string reason) {
  StsFailure failure;
  failure.reason = std::move(reason);
  return failure;
}

// The failures of all addresses in one: a certificate's outranks a connection's.
void add_failure(std::optional<StsFailure>& all, const base::Ip& address, StsFailure one) {
  one.reason = address.str() + ": " + one.reason;
  if (!all) {
    all = std::move(one);
    return;
  }
  if (one.type == tlsrpt::ResultType::sts_webpki_invalid) all->type = one.type;
  all->reason += "; " + one.reason;
}

}  // namespace

std::vector<base::Ip> order_addresses(const std::vector<base::Ip>& v4,
                                      const std::vector<base::Ip>& v6, AddressOrder order) {
  std::vector<base::Ip> all;
  if (order == AddressOrder::system) {
    for (std::size_t i = 0; i < std::max(v4.size(), v6.size()); ++i) {
      if (i < v6.size()) all.push_back(v6[i]);
      if (i < v4.size()) all.push_back(v4[i]);
    }
    return all;
  }
  if (order == AddressOrder::ipv6 || order == AddressOrder::ipv6_only) all = v6;
  if (order != AddressOrder::ipv6_only) all.insert(all.end(), v4.begin(), v4.end());
  if (order == AddressOrder::ipv4) all.insert(all.end(), v6.begin(), v6.end());
  return all;
}

asio::awaitable<base::Result<std::vector<base::Ip>, base::Error>> https_addresses(
    dns::Resolver& resolver, std::string host, AddressOrder order,
    std::chrono::steady_clock::time_point deadline) {
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer timer(co_await asio::this_coro::executor, deadline);
  auto look_a = dns::async_lookup(resolver, host, dns::Type::A);
  auto look_aaaa = dns::async_lookup(resolver, host, dns::Type::AAAA);
  auto both = std::move(look_a) && std::move(look_aaaa);
  auto race = std::move(both) || timer.async_wait(asio::use_awaitable);
  auto first = co_await std::move(race);
  if (first.index() == 1) co_return base::fail("addresses of " + host + ": timed out");
  auto& [raw_a, raw_aaaa] = std::get<0>(first);
  auto a = dns::decode_all<base::Ip>(std::move(raw_a), dns::decode_a);
  auto aaaa = dns::decode_all<base::Ip>(std::move(raw_aaaa), dns::decode_aaaa);
  std::vector<base::Ip> none;
  std::vector<base::Ip> all =
      order_addresses(a ? a->records : none, aaaa ? aaaa->records : none, order);
  if (all.empty()) {
    if (!a) co_return base::fail(a.error().text);
    if (!aaaa) co_return base::fail(aaaa.error().text);
    co_return base::fail(host + " has no address");
  }
  co_return base::Result<std::vector<base::Ip>, base::Error>(std::move(all));
}

HttpsFetcher::HttpsFetcher(StsFetchSettings settings, dns::Resolver& resolver,
                           const base::Clock& clock, Context tls)
    : settings_(std::move(settings)),
      resolver_(resolver),
      clock_(clock),
      tls_(std::move(tls)),
      all_(std::make_shared<FetchSlots>(settings_.at_once)) {}

HttpsFetcher::~HttpsFetcher() = default;

void HttpsFetcher::reconfigure(StsFetchSettings settings, Context tls) {
  settings_ = std::move(settings);
  tls_ = std::move(tls);
}

std::shared_ptr<FetchSlots> HttpsFetcher::slots_of(const base::Ip& address) {
  auto slots = by_address_[address].lock();
  if (slots) return slots;
  std::erase_if(by_address_, [](const auto& one) { return one.second.expired(); });
  slots = std::make_shared<FetchSlots>(settings_.per_address);
  by_address_[address] = slots;
  return slots;
}

asio::awaitable<StsBody> HttpsFetcher::fetch(const base::Domain& domain) {
  // RFC 8461 §3.2: the policy host is mta-sts.DOMAIN, never a parent's.
  std::string host = "mta-sts." + domain.str();
  if (host.size() > 253) co_return base::fail(fetch_error(host + " is no host name: too long"));
  auto acquire = FetchSlots::acquire(all_, std::chrono::steady_clock::time_point::max());
  const auto slot = co_await std::move(acquire);
  const auto deadline = std::chrono::steady_clock::now() + settings_.timeout;
  auto all = try_all(std::move(host), deadline);
  StsBody body = co_await std::move(all);
  co_return body;
}

asio::awaitable<StsBody> HttpsFetcher::try_all(std::string host, Deadline deadline) {
  auto find = https_addresses(resolver_, host, settings_.order, deadline);
  auto found = co_await std::move(find);
  if (!found) co_return base::fail(fetch_error(std::move(found.error().text)));
  if (found->size() > most_addresses) found->resize(most_addresses, found->front());
  // What a reload changes, changes with the next fetch.
  const StsFetchSettings settings = settings_;
  const Context tls = tls_;
  std::optional<StsFailure> failure;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const base::Ip& address = (*found)[i];
    // RFC 8461 leaves it open, but the address is whoever publishes the name's choice.
    if (base::is_private_destination(address) &&
        !base::any_contains(settings.private_destinations, address)) {
      add_failure(failure, address,
                  fetch_error("a private address, not in outbound.private_destinations"));
      continue;
    }
    HttpsGet get;
    get.host = host;
    get.address = address;
    get.port = settings.port;
    get.max_body = settings.max_body;
    get.now = clock_.wall();
    // Each address has its share of what is left, so that a silent one leaves time for the next.
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) {
      add_failure(failure, address, fetch_error("no time left"));
      break;
    }
    get.deadline = now + (deadline - now) / static_cast<int>(found->size() - i);
    auto one = try_one(std::move(get), tls);
    StsBody body = co_await std::move(one);
    if (body) co_return body;
    add_failure(failure, address, std::move(body.error()));
  }
  failure->reason = host + ", " + failure->reason;
  co_return base::fail(std::move(*failure));
}

asio::awaitable<StsBody> HttpsFetcher::try_one(HttpsGet get, Context tls) {
  auto acquire = FetchSlots::acquire(slots_of(get.address), get.deadline);
  const auto slot = co_await std::move(acquire);
  if (!slot) co_return base::fail(fetch_error("too many fetches from this address at once"));
  auto asked = https_get(*tls, std::move(get));
  StsBody body = co_await std::move(asked);
  co_return body;
}

}  // namespace policy
