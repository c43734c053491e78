// SubmitMail: hands report mail (RFC 8460 §5.3) to the operator's own mail server at
// `tls_rpt.submit_via`, over TCP or a Unix socket: a plain SMTP client (RFC 5321) for one message
// to one recipient. In cleartext, as STARTTLS to a server on the same host or network gains
// nothing here; how the report travels on is that server's affair. Not responsible for composing,
// signing, nor for when to try again. Called by report/sender through report/sinks.h.
#pragma once

#include <chrono>
#include <string>

#include "config/config.h"
#include "report/sinks.h"

namespace proxy {

// RFC 5321 §4.5.3.2, each for its step; `whole` for one message altogether.
struct SubmitTimes {
  std::chrono::milliseconds connect{std::chrono::minutes(1)};
  std::chrono::milliseconds command{std::chrono::minutes(5)};  // and the greeting
  std::chrono::milliseconds block{std::chrono::minutes(3)};    // 64 KiB of the message
  std::chrono::milliseconds final_dot{std::chrono::minutes(10)};
  std::chrono::milliseconds whole{std::chrono::minutes(30)};
};

class SubmitMail final : public report::MailSink {
 public:
  // `hostname`: for EHLO.
  SubmitMail(config::Address server, std::string hostname, SubmitTimes times = SubmitTimes())
      : server_(std::move(server)), hostname_(std::move(hostname)), times_(times) {}

  // Accepted: 2yz to the final dot. `answer`: that reply, or what went wrong in which step:
  // "RCPT answered 550 5.1.1 no such user". Nothing is sent for a path that is none, nor for a
  // message with a bare CR or LF. Non-ASCII in path or message asks for SMTPUTF8 (RFC 6531 §3.2).
  boost::asio::awaitable<report::Sent> submit(std::string reverse_path, std::string recipient,
                                              std::string message) override;

 private:
  config::Address server_;
  std::string hostname_;
  SubmitTimes times_;
};

}  // namespace proxy
