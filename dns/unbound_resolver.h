// UnboundResolver: libunbound in this process, validating and asynchronous (RFC 4035, RFC 7672
// §2.1.1). libunbound works in a thread of its own; its answers are read on one home loop.
// Identical questions in flight are asked once; each has a time limit; how many may be in flight is
// bounded. Not responsible for decoding (dns/decode.h) or for keeping facts (proxy/gather).
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "dns/resolver.h"
#include "dns/validation.h"

namespace dns {

struct UnboundOptions {
  // DS or DNSKEY records as in a zone file; what unbound-anchor keeps (root.key) is read as well.
  // Empty: no anchor, so that nothing is ever secure.
  std::string trust_anchor_file;
  std::vector<std::string> forwarders;  // "ip" or "ip@port"; none: from the root
  std::string unbound_config;           // a file in the format of unbound.conf, read last; or ""
  std::chrono::milliseconds timeout{12000};
  std::size_t max_in_flight = base::limits::dns_in_flight;  // different questions
};

class UnboundResolver final : public Resolver {
 public:
  // `home`: the loop that reads libunbound's answers and calls every `done`; run by one thread. The
  // resolver is destroyed on that thread, or when the loop no longer runs, and before the loop.
  // Errors: a file that cannot be read or understood, by name; a forwarder that is no address.
  static base::Result<std::unique_ptr<UnboundResolver>, base::Error> create(
      boost::asio::io_context& home, const UnboundOptions& options);

  // What is still in flight gets LookupError{internal, "… cancelled"}, from here.
  ~UnboundResolver() override;

  // From any thread. `done` is called from the home loop. A question that joins one already in
  // flight shares its time limit too.
  void lookup(const std::string& name, Type type, std::function<void(RawLookup)> done) override;

  // Asks the root's NS records and says whether this resolver validates; takes up to `timeout`.
  // From any thread; `done` is called from the home loop.
  void check_validation(std::function<void(ValidationReport)> done);

 private:
  class Core;
  explicit UnboundResolver(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace dns
