// Where a report goes: a mail server that takes report mail (`tls_rpt.submit_via`), or an https
// endpoint. Both tell what the other side said, so that acceptance can be recorded at once. The
// caller holds the octets; these only carry them. Implemented by proxy/report_mail.h and
// report/https_post.h; called by report/sender.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "tlsrpt/record.h"

namespace report {

struct Sent {
  bool accepted = false;
  std::string answer;  // in words, one line: "250 2.0.0 Ok: queued as 4F", "HTTP 503", "timed out"
  bool silent = false;  // nobody answered there
};

class MailSink {
 public:
  virtual ~MailSink() = default;
  // `message`: RFC 5322, CRLF, dots not stuffed. Accepted: 2yz to the final dot, nothing less.
  // Never throws for anything that a peer does; every wait is bounded.
  virtual boost::asio::awaitable<Sent> submit(std::string reverse_path, std::string recipient,
                                              std::string message) = 0;
};

class HttpsSink {
 public:
  virtual ~HttpsSink() = default;
  // `body`: the gzipped report. Accepted: any 2xx (RFC 8460 §5.4).
  virtual boost::asio::awaitable<Sent> post(tlsrpt::Endpoint endpoint, std::string body) = 0;
};

}  // namespace report
