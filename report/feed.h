// Feed: hands counted sessions to a libtlsrpt collector (`tls_rpt.collector`), each with the
// domain's _smtp._tls record, for domains that have one. Sessions come after they are on disk, so
// that none is handed over twice; a collector that is away or full loses them, as the protocol has
// it. Bounded in sessions and look-ups. Lives on the report thread; called by report/service.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "audit/counted.h"
#include "dns/resolver.h"
#include "report/collector.h"
#include "report/composer.h"

namespace report {

class Feed {
 public:
  Feed(boost::asio::any_io_executor executor, dns::Resolver& resolver, PolicyStrings strings,
       Collector& collector)
      : executor_(std::move(executor)),
        resolver_(resolver),
        strings_(std::move(strings)),
        collector_(collector) {}

  void take(std::vector<audit::CountedSession> sessions);
  // Sessions that were not handed over: too many waited, or the collector took none.
  std::uint64_t lost() const { return lost_ + collector_.lost(); }

 private:
  struct Domain {
    std::string record;  // "": there is none, nothing is handed over
    bool known = false;
    bool asked = false;
    std::chrono::steady_clock::time_point expires{};
    std::deque<audit::CountedSession> waiting;
  };
  static boost::asio::awaitable<void> look_up(Feed* self, std::string domain);
  void look_up_some();
  void hand_over(Domain& domain, const audit::CountedSession& session);
  void make_room();

  boost::asio::any_io_executor executor_;
  dns::Resolver& resolver_;
  PolicyStrings strings_;
  Collector& collector_;
  std::unordered_map<std::string, Domain> domains_;
  std::deque<std::string> to_ask_;
  std::size_t asking_ = 0;
  std::size_t waiting_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace report
