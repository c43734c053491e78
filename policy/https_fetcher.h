// One GET of one MTA-STS policy from one address (RFC 8461 §3.3): TCP, TLS with PKIX for the
// policy host's DNS-ID, HTTP/1.1 without redirects, caches or compression, everything bounded.
// Whose address that is and whether it may be asked is decided in policy/sts_fetcher, the caller.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>

#include "base/ip.h"
#include "policy/sts.h"

namespace policy {

using StsBody = base::Result<std::string, StsFailure>;

struct HttpsGet {
  std::string host;  // mta-sts.DOMAIN: SNI, Host and reference identifier
  base::Ip address;
  std::uint16_t port = 443;
  std::chrono::steady_clock::time_point deadline;  // for all of it
  base::WallTime now{};                            // the time at which certificates are judged
  std::size_t max_body = 65536;                    // octets, after the chunks' decoding
};

// The failure: sts_webpki_invalid for the certificate, sts_policy_fetch_error for all else.
boost::asio::awaitable<StsBody> https_get(boost::asio::ssl::context& tls, HttpsGet get);

// A client's TLS context: TLS 1.2 and up, the trust of `ca_file` or, where empty, the system's; no
// session cache, so each connection verifies.
base::Result<std::shared_ptr<boost::asio::ssl::context>, base::Error> make_fetch_context(
    const std::string& ca_file);

}  // namespace policy
