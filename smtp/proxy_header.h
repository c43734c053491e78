// The PROXY protocol's header, versions 1 and 2 (HAProxy's proxy-protocol.txt): the address that a
// load balancer saw, told before the first octet of SMTP. Incremental and bounded; never takes an
// octet behind the header. Whose word counts is the listener's to decide, as is what a connection
// without an address may do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/result.h"

namespace smtp {

struct ProxyHeader {
  struct Source {
    base::Ip ip;
    std::uint16_t port = 0;
    bool operator==(const Source&) const = default;
  };
  std::optional<Source> source;  // nullopt: LOCAL, UNKNOWN, or a family that is not IP
};

class ProxyHeaderParser {
 public:
  // Takes octets as they arrive and returns how many belong to the header. Fails on what is not a
  // header (also when it is none at all), on one over 107 octets (v1) or 16 and 2048 (v2), and on a
  // protocol other than TCP; the connection is then to be closed without a word.
  base::Result<std::size_t, base::Error> feed(std::string_view octets);
  bool done() const { return done_; }
  // Only when done().
  const ProxyHeader& header() const { return header_; }

 private:
  base::Result<bool, base::Error> advance();
  base::Result<void, base::Error> version_1();
  base::Result<std::size_t, base::Error> version_2_wanted() const;
  base::Result<void, base::Error> version_2();

  std::string held_;
  ProxyHeader header_;
  bool done_ = false;
};

}  // namespace smtp
