#include "report/service.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/log.h"
#include "tlsrpt/gzip.h"

namespace report {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds interval{1};
constexpr std::chrono::seconds backlog_interval{10};
// What was logged before midnight is written and counted by then.
constexpr std::chrono::seconds grace{3};
constexpr std::size_t domains_at_once = 250;
constexpr int steps_at_once = 8;
constexpr std::chrono::minutes skipped_again{1};

store::Day day_of(base::WallTime time) { return std::chrono::floor<std::chrono::days>(time); }

Sender::Parts sender_parts(const Settings& settings, const Service::Parts& parts,
                           const ReportFiles& files) {
  Sender::Parts out;
  out.submitter = settings.identity.submitter.domain;
  out.executor = parts.executor;
  out.clock = parts.clock;
  out.reports = parts.reports;
  out.files = &files;
  out.resolver = parts.resolver;
  out.mail = parts.mail;
  out.https = parts.https;
  out.return_path = parts.return_path;
  out.signer = parts.signer;
  return out;
}

}  // namespace

Service::Service(Settings settings, Parts parts)
    : settings_(std::move(settings)),
      parts_(std::move(parts)),
      files_(settings_.directory),
      counter_(settings_.log, *parts_.reports, *parts_.clock),
      sender_(sender_parts(settings_, parts_, files_)),
      timer_(parts_.executor) {}

void Service::start() {
  asio::post(parts_.executor, [this] { tick(); });
}

void Service::stop() {
  stopped_ = true;
  timer_.cancel();
}

void Service::complain(const std::string& text) {
  const auto now = std::chrono::steady_clock::now();
  if (now < complaint_due_) return;
  complaint_due_ = now + std::chrono::minutes(1);
  base::log_error("", "TLS reports: " + text);
}

void Service::tick() {
  if (stopped_) return;
  bool more = false;
  try {
    more = work();
  } catch (const std::exception& error) {
    complain(std::string("internal error: ") + error.what());
  }
  timer_.expires_after(more ? std::chrono::milliseconds(0) : interval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

// At most so many steps; `all`: up to the log's end.
Service::Counted Service::count(int steps) {
  for (int i = 0; i < steps; ++i) {
    std::vector<audit::CountedSession> sessions;
    auto counted = counter_.step(parts_.feed != nullptr ? &sessions : nullptr);
    if (!counted) {
      complain(counted.error().text);
      return Counted::failed;
    }
    if (!sessions.empty()) parts_.feed->take(std::move(sessions));
    if (counter_.at_end()) return Counted::all;
  }
  return Counted::some;
}

void Service::catch_up() {
  Counted counted = Counted::some;
  while (counted == Counted::some) counted = count(steps_at_once);
  if (counted == Counted::all) close_day();
}

bool Service::work() {
  const Counted counted = count(steps_at_once);
  if (counted == Counted::all) close_day();
  const bool more_to_compose = compose_some();
  if (settings_.send && settings_.identity.complete) (void)sender_.begin_due();
  forget();
  tell_backlog();
  return more_to_compose || counted == Counted::some;
}

void Service::tell_backlog() {
  const auto now = std::chrono::steady_clock::now();
  if (now < backlog_due_) return;
  backlog_due_ = now + backlog_interval;
  const auto backlog = parts_.reports->backlog();
  if (!backlog) return complain(backlog.error().text);
  backlog_.store(*backlog, std::memory_order_relaxed);
}

// ---- the day's end ------------------------------------------------------------------------------

bool Service::day_is_over() const {
  const base::WallTime now = parts_.clock->wall();
  const store::Day today = day_of(now);
  const bool closed = counter_.closed() && *counter_.closed() >= today - std::chrono::days(1);
  return !closed && now - base::WallTime(today) >= grace;
}

void Service::close_day() {
  const store::Day today = day_of(parts_.clock->wall());
  const store::Day yesterday = today - std::chrono::days(1);
  if (counter_.closed() && *counter_.closed() >= today) {
    // The clock was ahead, and what is counted for a day that was closed then cannot go back.
    complain("the clock says " + tlsrpt::day_text(today) + ", but the days up to " +
             tlsrpt::day_text(*counter_.closed()) + " were closed when it was ahead: until then " +
             "sessions are counted for " + tlsrpt::day_text(counter_.open_day()));
  }
  if (!day_is_over()) return;
  auto closed = counter_.close_through(yesterday);
  if (!closed) return complain(closed.error().text);
  base::log_info("", "TLS reports: the day " + tlsrpt::day_text(yesterday) + " is closed");
}

tlsrpt::Report Service::composed(store::Day day, const store::DomainCounts& counts) const {
  return compose(settings_.identity, day, counts, parts_.strings);
}

store::ReportRow Service::row_for(const tlsrpt::Report& report) const {
  const Totals totals = totals_of(report);
  store::ReportRow row;
  row.day = report.day;
  row.domain = report.domain;
  row.id = report.id;
  row.successes = totals.successes;
  row.failures = totals.failures;
  row.composed = parts_.clock->wall();
  row.state = why_kept() == nullptr ? store::ReportState::waiting : store::ReportState::kept;
  // A relay that was down for a while spreads what it owes from when it is back.
  const base::WallTime midnight(report.day + std::chrono::days(1));
  const bool late = row.composed - midnight > std::chrono::hours(1);
  row.due = (late ? row.composed : midnight) + jitter(report.domain, settings_.identity.relay);
  return row;
}

// A part of the oldest closed day that has counts which can be composed; false: there is none. A
// day that cannot be written does not hold up those after it.
bool Service::compose_some() {
  if (!counter_.closed()) return false;
  if (parts_.clock->steady() >= skipped_due_) skipped_.clear();
  auto day = parts_.reports->oldest_counted(*counter_.closed());
  if (!day) {
    complain(day.error().text);
    return false;
  }
  if (!*day) return false;
  for (store::Day of = **day; of <= *counter_.closed(); of += std::chrono::days(1)) {
    const auto composed = compose_chunk(of);
    if (!composed) {
      complain("the day " + tlsrpt::day_text(of) + " cannot be composed, which is tried again: " +
               composed.error().text);
    } else if (*composed) {
      return true;
    }
  }
  return false;
}

// Files first, then their rows: a report is there, whole and on disk, before anything else knows of
// it. What a kill leaves between the two is composed again, and nobody has seen it. False: of that
// day there is nothing left but what is skipped.
base::Result<bool, base::Error> Service::compose_chunk(store::Day day) {
  for (std::string after;;) {
    auto counts = parts_.reports->counts(day, after, domains_at_once);
    if (!counts) return base::fail(std::move(counts.error()));
    if (counts->empty()) return false;
    auto made = written(day, *counts);
    if (!made) return base::fail(std::move(made.error()));
    const bool last = counts->size() < domains_at_once;
    if (!made->empty()) {
      auto synced = files_.sync();
      if (!synced) return base::fail(std::move(synced.error()));
      auto stored = parts_.reports->put_reports(*made);
      if (!stored) return base::fail(std::move(stored.error()));
      const bool whole = last && made->size() == counts->size() && after.empty();
      if (whole) base::log_info("", "TLS reports of " + tlsrpt::day_text(day) + " are composed");
      return true;
    }
    if (last) return false;
    after = counts->back().domain;
  }
}

// The rows of those whose file is there.
base::Result<std::vector<store::ReportRow>, base::Error> Service::written(
    store::Day day, const std::vector<store::DomainCounts>& counts) {
  std::vector<store::ReportRow> made;
  for (const store::DomainCounts& one : counts) {
    if (skipped_.contains({day, one.domain})) continue;
    // Counts that came after the day's report was composed would take its place, and go twice.
    auto before = parts_.reports->report(day, one.domain);
    if (!before) return base::fail(std::move(before.error()));
    if (*before) {
      made.push_back(std::move(**before));
      continue;
    }
    const tlsrpt::Report report = composed(day, one);
    const auto file = files_.write(day, one.domain, tlsrpt::gzip(tlsrpt::to_json(report)));
    if (file) {
      made.push_back(row_for(report));
    } else if (file.error().one_file) {
      skip(day, one.domain, file.error().text);
    } else {
      return base::fail(file.error().text);
    }
  }
  return {boost::system::in_place_value, std::move(made)};
}

void Service::skip(store::Day day, const std::string& domain, const std::string& why) {
  if (skipped_.empty()) skipped_due_ = parts_.clock->steady() + skipped_again;
  skipped_.emplace(day, domain);
  complain("the report of " + tlsrpt::day_text(day) + " for " + domain +
           " cannot be written, which is tried again every minute: " + why);
}

void Service::forget() {
  const base::WallTime now = parts_.clock->wall();
  if (now < forget_due_ && forget_due_ - now <= std::chrono::hours(1)) return;
  forget_due_ = now + std::chrono::hours(1);
  const store::Day oldest = day_of(now - settings_.keep);
  auto forgotten = parts_.reports->forget_before(oldest);
  if (!forgotten) complain(forgotten.error().text);
  files_.remove_before(oldest);
}

const char* Service::why_kept() const {
  if (!settings_.send) return "tls_rpt.send is false";
  if (!settings_.identity.complete) {
    return "tls_rpt.organization_name, contact_info and report_domain are not all set";
  }
  return nullptr;
}

}  // namespace report
