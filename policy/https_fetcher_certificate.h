// HostCertificate: until when the certificate holds that the host of an MTA-STS policy showed
// last (RFC 8461 §3.3). Watches the TLS context that policies are fetched with; whether the
// certificate is any good is the fetcher's matter. Used by check/inquiry, for `own`.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <optional>

#include "base/clock.h"

namespace policy {

class HostCertificate {
 public:
  // Of handshakes with `tls` from now on, all on one thread. It outlives them.
  explicit HostCertificate(boost::asio::ssl::context& tls);
  HostCertificate(const HostCertificate&) = delete;
  HostCertificate& operator=(const HostCertificate&) = delete;

  // nullopt: no handshake has ended, or the time is not readable.
  std::optional<base::WallTime> end() const { return end_; }

 private:
  std::optional<base::WallTime> end_;
};

}  // namespace policy
