// Session: DATA, the message, and the replies behind its dot (RFC 5321 §4.1.1.4, RFC 2033 §4.2).
#include "base/limits.h"
#include "base/log.h"
#include "proxy/session.h"

namespace proxy {

namespace limits = base::limits;
using smtp::EnhancedCode;

namespace {

constexpr std::size_t body_room = 16384;  // most messages in one read, and in one TLS record

}  // namespace

asio::awaitable<void> Session::on_data() {
  if (!transfer_ || transfer_->accepted() == 0) {
    // RFC 2033 §4.2: 503 where no recipient was accepted. No mistake of a client that pipelines.
    say_own(503, EnhancedCode{5, 5, 1},
            transfer_ ? "No recipient was accepted" : "MAIL and RCPT come first");
    co_return;
  }
  transfer_->transaction()->received = received_field();
  {
    const Patience::Ticket patience = be_patient();
    co_await transfer_->begin_data();
  }
  if (over_) co_return;
  const auto refused = transfer_->refused_data();
  if (refused && !lmtp_) {
    say(*refused);
    end_transfer("the MX refused DATA");
    co_return;
  }
  say(smtp::make_reply(354, "End data with <CR><LF>.<CR><LF>"));
  co_await flush();
  if (over_) co_return;
  const bool whole = co_await receive_message();
  if (!whole) co_return;
  transfer_->finish();
  co_await tell_finals();
  end_transfer("the transaction is over");
}

// More octets of the message; false: the client is gone, and the session over.
asio::awaitable<bool> Session::need_data() {
  channel_.set_deadline(now() + limits::client_data_wait);
  auto got = co_await channel_.fill(limits::body_chunk, body_room);
  readable_ = false;
  if (over_) co_return false;
  if (got) co_return true;
  end_transfer("the client went away before its final dot");
  input_error(got.error());
  co_return false;
}

// Why the message is refused, by what has come of it.
std::optional<smtp::Reply> Session::data_refusal(const smtp::DataScanner& scanner) const {
  if (scanner.bare_cr_or_lf()) {
    return own(550, EnhancedCode{5, 6, 11}, "A bare CR or LF is in the message");
  }
  if (scanner.octets() > snapshot_->config->outbound.max_message_size) {
    return own(552, EnhancedCode{5, 3, 4}, "The message is larger than max_message_size");
  }
  if (scanner.received_fields() > limits::received_fields) {
    return own(554, EnhancedCode{5, 4, 6}, "Too many Received fields: a loop");
  }
  return std::nullopt;
}

// True: the client's final dot came. A refused message is read to its real end all the same.
asio::awaitable<bool> Session::receive_message() {
  const auto transaction = transfer_->transaction();
  smtp::DataScanner scanner;
  bool refused = false;
  // Without SMTPUTF8 in MAIL, 8-bit header fields are the sender's mistake, and pass untouched.
  bool utf8_told = !transaction->envelope.parameters.smtputf8;
  for (;;) {
    if (channel_.buffered().empty()) {
      const bool more = co_await need_data();
      if (!more) co_return false;
    }
    const std::string_view chunk = channel_.buffered();
    const auto step = scanner.scan(chunk);
    if (transaction->queue_id.empty()) transaction->queue_id = scanner.queue_id();
    const auto refusal = refused ? std::nullopt : data_refusal(scanner);
    if (refusal) {
      base::log_info(id(), "message refused: " + refusal->str());
      transfer_->refuse(*refusal);
      refused = true;
    }
    if (!utf8_told && scanner.header_has_non_ascii()) {
      utf8_told = true;
      transfer_->needs_smtputf8(own(554, EnhancedCode{5, 6, 9},
                                    "A header field needs SMTPUTF8, which the MX does not have"));
    }
    // From here on a drain waits for the MX's answer, however long the last octets take.
    if (step.ended) phase_ = Phase::final;
    if (!refused) {
      const bool more = step.ended || !step.content.empty();
      if (!step.pending.empty()) co_await transfer_->write(step.pending, more);
      if (!step.content.empty()) co_await transfer_->write(step.content, step.ended);
    }
    if (over_) co_return false;
    channel_.consume(chunk.size() - step.rest.size());
    if (step.ended) co_return true;
  }
}

// One reply for each accepted recipient, in order; over SMTP one for all.
asio::awaitable<void> Session::tell_finals() {
  // Nobody watched the client while the MX was quick.
  const auto look = [this] {
    if (!input_closed_ && channel_.buffered().size() < limits::body_chunk) read_now();
  };
  const std::size_t wanted = lmtp_ ? transfer_->finals() : 1;
  std::size_t told = 0;
  std::size_t confirmed = 0;    // went out while the client was still there
  while (told < wanted) {
    auto reply = transfer_->final_reply(told);
    if (reply) {
      say(*reply);
      ++told;
      continue;
    }
    if (told > confirmed) look();
    co_await flush();
    if (!output_lost_ && !client_gone()) confirmed = told;
    co_await await_change(SteadyTime::max());
  }
  look();
  const bool gone = client_gone();
  co_await flush();
  if (!output_lost_ && !gone) confirmed = wanted;
  if (confirmed < wanted) transfer_->client_lost_from(confirmed);
  phase_ = Phase::open;
}

}  // namespace proxy
