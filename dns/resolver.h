// Resolver: the one way to ask the DNS. Implementations: dns/unbound_resolver.h (libunbound, in the
// process, validating), and plain data in tests. Called by proxy/gather and the policy fetcher.
#pragma once

#include <functional>
#include <string>

#include "dns/answer.h"

namespace dns {

class Resolver {
 public:
  virtual ~Resolver() = default;
  // `name`: an absolute name in A-labels without trailing dot. `done` is called exactly once, on
  // any thread, possibly before lookup returns; it must only hand the answer on. The time limit
  // is the resolver's own (`dns.timeout`): it ends in a LookupError of kind timeout.
  virtual void lookup(const std::string& name, Type type,
                      std::function<void(RawLookup)> done) = 0;
};

}  // namespace dns
