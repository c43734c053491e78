// HttpsPost: hands a report to an https endpoint (RFC 8460 §5.4): one POST over HTTP/1.1 and TLS
// 1.2 or later, to the host's addresses by our own resolver, private ones refused, each tried in
// turn within one budget. The certificate is not verified: RFC 8460 §3 allows it, as a report
// about broken TLS must reach those whose TLS is broken. Redirects are not followed. Not
// responsible for when to try again, nor for what is in the report. Called by report/sender.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <memory>
#include <vector>

#include "policy/sts_fetcher.h"
#include "report/sinks.h"

namespace report {

struct HttpsPostSettings {
  std::chrono::milliseconds timeout{60000};  // for one POST: DNS, all addresses, the answer
  policy::AddressOrder order = policy::AddressOrder::system;
  std::vector<base::Network> private_destinations;
};

class HttpsPost final : public HttpsSink {
 public:
  // Throws only where OpenSSL cannot make a context. `resolver` and this outlive every post().
  HttpsPost(HttpsPostSettings settings, dns::Resolver& resolver);

  // `answer`: "HTTP 200 OK", or why there is none, naming host and address. An answer ends it,
  // whatever its status: all addresses are one endpoint. The next address is asked only where one
  // gave no answer; the endpoint tells two copies of a report by their report-id.
  boost::asio::awaitable<Sent> post(tlsrpt::Endpoint endpoint, std::string body) override;
  // At a reload; a post() under way keeps what it has.
  void reconfigure(HttpsPostSettings settings) { settings_ = std::move(settings); }

 private:
  HttpsPostSettings settings_;
  dns::Resolver& resolver_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
};

}  // namespace report
