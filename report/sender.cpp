#include "report/sender.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "dns/await.h"
#include "dns/decode.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/message.h"

namespace report {

namespace asio = boost::asio;

namespace {

constexpr std::size_t at_a_time = 32;
constexpr std::chrono::seconds store_again{1};
constexpr std::chrono::minutes alone{5};  // for a host that did not answer
constexpr std::size_t silent_hosts = 10000;

std::string about(const store::ReportRow& row) {
  return "TLS report of " + tlsrpt::day_text(row.day) + " for " + row.domain;
}

// The endpoint that a normal-form URI names.
std::optional<tlsrpt::Endpoint> endpoint_of(const std::string& uri) {
  auto record = tlsrpt::parse_record("v=TLSRPTv1; rua=" + uri);
  if (!record || record->endpoints.size() != 1) return std::nullopt;
  return std::move(record->endpoints.front());
}

// Takes the key out again, whatever ends the coroutine.
class UnderWay {
 public:
  using Set = std::set<std::pair<store::Day, std::string>>;
  UnderWay(std::shared_ptr<Set> set, store::Day day, const std::string& domain)
      : set_(std::move(set)), key_(day, domain) {}
  ~UnderWay() { set_->erase(key_); }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;

 private:
  std::shared_ptr<Set> set_;  // it may outlive the sender, where the loop ends in mid-way
  std::pair<store::Day, std::string> key_;
};

}  // namespace

// ---- which ones ---------------------------------------------------------------------------------

bool Sender::begin_due() {
  if (under_way_->size() >= at_a_time) return true;
  auto due = parts_.reports->due(parts_.clock->wall(), at_a_time + under_way_->size());
  if (!due) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= complaint_due_) base::log_error("", "TLS reports: " + due.error().text);
    if (now >= complaint_due_) complaint_due_ = now + std::chrono::minutes(1);
    return true;
  }
  for (store::ReportRow& row : *due) {
    if (under_way_->size() >= at_a_time) return false;
    if (!under_way_->emplace(row.day, row.domain).second) continue;
    asio::co_spawn(parts_.executor, run(this, std::move(row)), asio::detached);
  }
  return true;
}

asio::awaitable<void> Sender::run(Sender* self, store::ReportRow row) {
  const UnderWay under_way(self->under_way_, row.day, row.domain);
  const std::string name = about(row);
  try {
    co_await self->deliver(std::move(row), false);
  } catch (const std::exception& error) {
    base::log_error("", name + ": internal error: " + error.what());
  }
}

// The row is read here, once nobody else has it: since the caller saw it, it may have been sent.
asio::awaitable<bool> Sender::send_now(store::Day day, std::string domain) {
  if (!under_way_->emplace(day, domain).second) co_return false;
  const UnderWay under_way(under_way_, day, domain);
  auto row = parts_.reports->report(day, domain);
  const auto endpoints = parts_.reports->endpoints(day, domain);
  if (!row || !*row || !endpoints) co_return false;
  const auto has_it = [](const store::EndpointRow& endpoint) {
    return endpoint.state == store::EndpointState::accepted;
  };
  if (!endpoints->empty() && std::ranges::all_of(*endpoints, has_it)) co_return false;
  // Nobody was found who wants it, or nobody looked: from the start.
  if (endpoints->empty()) (*row)->state = store::ReportState::waiting;
  co_await deliver(std::move(**row), true);
  co_return true;
}

// ---- one report ---------------------------------------------------------------------------------

asio::awaitable<void> Sender::deliver(store::ReportRow row, bool at_once) {
  if (row.state == store::ReportState::waiting) co_await look_up(row);
  const bool sending = row.state == store::ReportState::sending;
  const bool over =
      row.state == store::ReportState::failed || row.state == store::ReportState::sent;
  if (!sending && !(at_once && over)) co_return;
  auto endpoints = parts_.reports->endpoints(row.day, row.domain);
  if (!endpoints) {
    base::log_error("", about(row) + ": " + endpoints.error().text);
    co_return;
  }
  const base::WallTime now = parts_.clock->wall();
  for (store::EndpointRow& endpoint : *endpoints) {
    if (endpoint.state == store::EndpointState::accepted) continue;
    const bool waits = endpoint.state == store::EndpointState::waiting;
    if (at_once || (waits && endpoint.next <= now)) co_await attempt(row, endpoint, at_once);
  }
  settle(row, *endpoints);
}

void Sender::settle(store::ReportRow& row, const std::vector<store::EndpointRow>& endpoints) {
  row.state = store::ReportState::failed;
  std::optional<base::WallTime> next;
  for (const store::EndpointRow& endpoint : endpoints) {
    // RFC 8460 §3: delivered once at least one endpoint took it.
    if (endpoint.state == store::EndpointState::accepted) row.state = store::ReportState::sent;
    if (endpoint.state == store::EndpointState::waiting) {
      next = next ? std::min(*next, endpoint.next) : endpoint.next;
    }
  }
  if (next) {
    row.state = store::ReportState::sending;
    row.due = *next;
  }
  auto stored = parts_.reports->put_report(row);
  if (!stored) base::log_error("", about(row) + ": " + stored.error().text);
}

// ---- who wants it -------------------------------------------------------------------------------

asio::awaitable<Sender::Discovered> Sender::discover(std::string domain) {
  Discovered found;
  const std::string name = "_smtp._tls." + domain;
  if (name.size() > 253) {
    found.why = "no name " + name + " can exist: it is too long";
    co_return found;
  }
  auto raw = co_await dns::async_lookup(*parts_.resolver, name, dns::Type::TXT);
  auto answer = dns::decode_all<std::string>(std::move(raw), dns::decode_txt);
  if (!answer) {
    found.unknown = true;
    found.why = answer.error().text;
    co_return found;
  }
  auto chosen = tlsrpt::choose_record(answer->records);
  if (!chosen) {
    found.why = name + ": " + chosen.error().text;
  } else if (!*chosen) {
    found.why = name + " has no TLSRPTv1 record";
  } else if ((*chosen)->endpoints.empty()) {
    found.why = name + " names nothing that a report can be sent to: " + (*chosen)->text;
  } else {
    found.record = std::move(**chosen);
  }
  co_return found;
}

// Whether it was composed for another submitter than the one that sends now.
bool Sender::foreign(const store::ReportRow& row) const {
  return !row.id.ends_with("@" + parts_.submitter);
}

asio::awaitable<void> Sender::look_up(store::ReportRow& row) {
  const Discovered found = co_await discover(row.domain);
  const base::WallTime now = parts_.clock->wall();
  std::vector<store::EndpointRow> endpoints;
  std::string trouble;  // that may pass: the DNS, the disk
  if (found.unknown) {
    trouble = "who wants it could not be found out: " + found.why;
  } else if (!found.record) {
    row.state = store::ReportState::not_asked;
    row.record = found.why;
  } else if (auto made = endpoint_rows(row, *found.record)) {
    endpoints = std::move(*made);
    row.state = store::ReportState::sending;
    row.record = found.record->text;
    row.due = now;
  } else {
    trouble = "it cannot be sent: " + made.error().text;
  }
  if (found.record && !trouble.empty() && foreign(row)) {
    row.state = store::ReportState::failed;  // it will be another's tomorrow, too
    row.record = trouble;
  } else if (!trouble.empty()) {
    row.first_lookup = row.first_lookup.value_or(now);
    const auto pause = back_off(++row.lookups, now - *row.first_lookup);
    row.record = trouble;
    row.due = now + pause.value_or(std::chrono::milliseconds(0));
    if (!pause) row.state = store::ReportState::failed;
    base::log_warn("", about(row) + ": " + trouble);
  }
  // The octets of every message are stored before the first try, so that a repeat is the same.
  auto stored = parts_.reports->put_endpoints(row, endpoints);
  if (stored) co_return;
  base::log_error("", about(row) + ": " + stored.error().text);
  row.state = store::ReportState::waiting;
}

base::Result<std::vector<store::EndpointRow>, base::Error> Sender::endpoint_rows(
    const store::ReportRow& row, const tlsrpt::Record& record) {
  std::vector<store::EndpointRow> rows;
  std::string gzipped;
  const auto report = read_report(row, gzipped);
  if (!report) return base::fail(report.error());
  for (const tlsrpt::Endpoint& endpoint : record.endpoints) {
    store::EndpointRow one;
    one.day = row.day;
    one.domain = row.domain;
    one.uri = endpoint.uri;
    one.next = parts_.clock->wall();
    if (endpoint.scheme == tlsrpt::Endpoint::Scheme::mailto) {
      auto mail = message(*report, gzipped, endpoint.address);
      if (!mail) return base::fail("the mail cannot be signed: " + mail.error().text);
      one.message = std::move(*mail);
    }
    rows.push_back(std::move(one));
  }
  return rows;
}

base::Result<tlsrpt::Report, base::Error> Sender::read_report(const store::ReportRow& row,
                                                              std::string& gzipped) const {
  auto octets = parts_.files->read(row.day, row.domain);
  if (!octets) return base::fail(std::move(octets.error()));
  gzipped = std::move(*octets);
  auto text = tlsrpt::gunzip(gzipped);
  if (!text) return base::fail(std::move(text.error()));
  auto report = report_from_json(*text);
  if (!report) {
    return base::fail(parts_.files->path(row.day, row.domain).string() + ": is no report");
  }
  if (report->id != row.id) {
    return base::fail(parts_.files->path(row.day, row.domain).string() + ": is the report " +
                      report->id + ", not " + row.id);
  }
  // RFC 8460 §5.3: the submitter in the mail, its signature and contact-info are of one domain.
  if (report->submitter.domain != parts_.submitter) {
    return base::fail("it was composed for the submitter " + report->submitter.domain +
                      ", not for " + parts_.submitter);
  }
  report->domain = row.domain;
  return std::move(*report);
}

base::Result<std::string, base::Error> Sender::message(const tlsrpt::Report& report,
                                                       std::string_view gzipped,
                                                       const std::string& recipient) const {
  tlsrpt::MessageFacts facts;
  facts.report = &report;
  facts.gzipped = gzipped;
  facts.recipient = recipient;
  facts.date = parts_.clock->wall();
  std::string text = tlsrpt::report_message(facts);
  if (parts_.signer == nullptr) return {boost::system::in_place_value, std::move(text)};
  return parts_.signer->sign(text, facts.date);
}

// ---- one endpoint -------------------------------------------------------------------------------

std::optional<base::WallTime> Sender::left_alone(const std::string& host) {
  const base::WallTime now = parts_.clock->wall();
  const auto found = silent_hosts_.find(host);
  // A time far ahead comes of a clock that was set back.
  if (found == silent_hosts_.end() || found->second <= now || found->second > now + alone) {
    return std::nullopt;
  }
  return found->second;
}

asio::awaitable<void> Sender::attempt(const store::ReportRow& row, store::EndpointRow& endpoint,
                                      bool at_once) {
  const auto target = endpoint_of(endpoint.uri);
  const bool https = target && target->scheme == tlsrpt::Endpoint::Scheme::https;
  if (https && !at_once) {
    // No attempt, but its 24 hours go on; the last try is made in any case.
    const base::WallTime began = endpoint.first.value_or(parts_.clock->wall());
    const auto until = left_alone(target->host);
    if (until && *until - began < std::chrono::hours(24)) {
      endpoint.first = began;
      endpoint.next = *until + jitter(endpoint.uri, row.domain) / 240;  // within a minute
      co_await store_endpoint(endpoint);
      co_return;
    }
  }
  Sent sent;
  if (!target) {
    sent.answer = "the stored address is not readable";
  } else if (target->scheme == tlsrpt::Endpoint::Scheme::mailto) {
    // Anew each time: one that is too old would not be known any more when the mail comes back.
    const auto today = std::chrono::floor<std::chrono::days>(parts_.clock->wall());
    endpoint.reverse_path = parts_.return_path->make(today, target->address);
    sent = co_await parts_.mail->submit(endpoint.reverse_path, target->address, endpoint.message);
  } else {
    std::string octets;
    const auto report = read_report(row, octets);
    if (report) {
      sent = co_await parts_.https->post(*target, std::move(octets));
    } else {
      sent.answer = report.error().text;
    }
  }
  const base::WallTime now = parts_.clock->wall();
  if (https && sent.silent) {
    if (silent_hosts_.size() >= silent_hosts) silent_hosts_.clear();
    silent_hosts_[target->host] = now + alone;
  } else if (https) {
    silent_hosts_.erase(target->host);
  }
  ++endpoint.attempts;
  endpoint.first = endpoint.first.value_or(now);
  endpoint.answer = sent.answer;
  if (sent.accepted) {
    endpoint.state = store::EndpointState::accepted;
    endpoint.message.clear();
  } else {
    const auto pause = back_off(endpoint.attempts, now - *endpoint.first);
    endpoint.state = pause ? store::EndpointState::waiting : store::EndpointState::given_up;
    endpoint.next = now + pause.value_or(std::chrono::milliseconds(0));
  }
  const bool ends = endpoint.state == store::EndpointState::given_up;
  base::log(ends ? base::LogLevel::warn : base::LogLevel::info, "",
            about(row) + (sent.accepted ? " was taken by " : ends ? " is given up for "
                                                                  : " was not taken by ") +
                endpoint.uri + ": " + sent.answer);
  co_await store_endpoint(endpoint);
}

// What was accepted must be known before anything else is tried.
asio::awaitable<void> Sender::store_endpoint(const store::EndpointRow& endpoint) {
  asio::steady_timer pause(parts_.executor);
  for (bool told = false;;) {
    const auto stored = parts_.reports->put_endpoint(endpoint);
    if (stored) co_return;
    if (!std::exchange(told, true)) {
      base::log_error("", "what " + endpoint.uri + " answered cannot be stored, which is tried "
                          "until it can: " + stored.error().text);
    }
    boost::system::error_code ignored;
    pause.expires_after(store_again);
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    co_await pause.async_wait(std::move(token));
  }
}

// ---- what would be sent -------------------------------------------------------------------------

asio::awaitable<Sender::Preview> Sender::preview(tlsrpt::Report report, std::string gzipped) {
  Preview preview;
  const Discovered found = co_await discover(report.domain);
  if (!found.record) {
    preview.nothing = found.why;
    co_return preview;
  }
  for (const tlsrpt::Endpoint& endpoint : found.record->endpoints) {
    if (endpoint.scheme == tlsrpt::Endpoint::Scheme::https) {
      preview.messages.emplace_back(
          endpoint.uri, "POST " + endpoint.target + " HTTP/1.1\r\nHost: " + endpoint.host +
                            "\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Length: " +
                            std::to_string(gzipped.size()) + "\r\n\r\n");
      continue;
    }
    auto mail = message(report, gzipped, endpoint.address);
    preview.messages.emplace_back(endpoint.uri, mail ? std::move(*mail) : mail.error().text);
  }
  co_return preview;
}

}  // namespace report
