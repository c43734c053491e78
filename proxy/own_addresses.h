// OwnAddresses: the addresses of this machine's network interfaces, so that a walk does not go to
// an MX host that is this machine. Asks the kernel anew when a minute has passed. Not those of the
// loopback interface, where any program may stand in for any host. Lives on one thread. Used by
// proxy/gather.
#pragma once

#include <chrono>
#include <functional>
#include <set>

#include "base/ip.h"

namespace proxy {

class OwnAddresses {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Source = std::function<std::set<base::Ip>()>;

  explicit OwnAddresses(Source source = from_interfaces) : source_(std::move(source)) {}
  bool has(const base::Ip& ip, Time now);
  // Empty where the kernel does not tell.
  static std::set<base::Ip> from_interfaces();

 private:
  Source source_;
  std::set<base::Ip> addresses_;
  Time next_look_{};
};

}  // namespace proxy
