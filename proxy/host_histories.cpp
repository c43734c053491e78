#include "proxy/host_histories.h"

#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <list>
#include <unordered_map>

#include "base/log.h"
#include "proxy/event.h"

namespace proxy {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds look_wait{1};
// A host in use is written once in so long; what it showed for the first time, at once.
constexpr std::chrono::hours written_again{12};
constexpr std::size_t versions = 4096;

store::HostRow row_of(const base::Domain& host, const policy::HostHistory& history) {
  store::HostRow row;
  row.host = host.str();
  row.seen = history.seen.value_or(base::WallTime());
  row.tls = history.tls;
  row.authenticated = history.authenticated;
  row.peer_auth = history.peer_auth;
  row.spki_sha256 = history.spki_sha256;
  for (const base::Ip& ip : history.plain) {
    row.plain += (row.plain.empty() ? "" : " ") + ip.str();
  }
  return row;
}

policy::HostHistory history_of(const store::HostRow& row) {
  policy::HostHistory history;
  history.seen = row.seen;
  history.tls = row.tls;
  history.authenticated = row.authenticated;
  history.peer_auth = row.peer_auth;
  history.spki_sha256 = row.spki_sha256;
  std::string_view rest = row.plain;
  while (!rest.empty() && history.plain.size() < policy::plain_addresses) {
    const std::string_view one = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    if (const auto ip = base::Ip::parse(one)) history.plain.push_back(*ip);
  }
  return history;
}

bool moved(const std::optional<base::WallTime>& from, const std::optional<base::WallTime>& to) {
  if (!from || !to) return from != to;
  return *to < *from || *to - *from >= written_again;
}

// Whether `now` tells something that a restart should not forget.
bool is_news(const policy::HostHistory& written, const policy::HostHistory& now) {
  return moved(written.seen, now.seen) || moved(written.tls, now.tls) ||
         moved(written.authenticated, now.authenticated) || written.peer_auth != now.peer_auth ||
         written.spki_sha256 != now.spki_sha256 || written.plain != now.plain;
}

}  // namespace

// On the home thread, but for load() and version().
class HostHistories::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(asio::any_io_executor home, store::Store& store, const base::Clock& clock,
       std::size_t capacity)
      : home_(std::move(home)), store_(store), clock_(clock), capacity_(capacity) {}

  const asio::any_io_executor& home() const { return home_; }
  std::atomic<Version>& version(const base::Domain& host) {
    return versions_[std::hash<base::Domain>()(host) % versions_.size()];
  }

  base::Result<std::size_t, base::Error> load() {
    auto rows = store_.load_hosts();
    if (!rows) return base::fail(std::move(rows.error()));
    for (const store::HostRow& row : *rows) {  // those seen last come first
      const auto host = base::Domain::parse(row.host);
      policy::HostHistory history = history_of(row);
      if (!host || entries_.size() >= capacity_ ||
          policy::is_forgotten(history, clock_.wall())) {
        store_.erase_host(row.host);
        continue;
      }
      entries_.push_back(Entry{*host, history, history});
      index_.emplace(*host, std::prev(entries_.end()));
    }
    return entries_.size();
  }

  policy::HostHistory look(const base::Domain& host) const {
    const auto found = index_.find(host);
    return found == index_.end() ? policy::HostHistory() : found->second->history;
  }

  void put(base::Domain host, policy::HostHistory history) {
    const auto found = index_.find(host);
    if (found != index_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      Entry& entry = entries_.front();
      entry.history = std::move(history);
      if (is_news(entry.written, entry.history)) write(entry);
    } else {
      forget_old();
      entries_.push_front(Entry{host, std::move(history), {}});
      index_.emplace(host, entries_.begin());
      write(entries_.front());
    }
    // Whoever sees the new version and asks gets what was put.
    version(host).fetch_add(1, std::memory_order_release);
  }

 private:
  struct Entry {
    base::Domain host;
    policy::HostHistory history;
    policy::HostHistory written;
  };

  void write(Entry& entry) {
    entry.written = entry.history;
    store_.put_host(row_of(entry.host, entry.history));
  }

  // A few at a time: those at the end are the oldest.
  void forget_old() {
    for (int i = 0; i < 4 && !entries_.empty(); ++i) {
      const Entry& oldest = entries_.back();
      const bool full = entries_.size() >= capacity_;
      if (!full && !policy::is_forgotten(oldest.history, clock_.wall())) return;
      store_.erase_host(oldest.host.str());
      version(oldest.host).fetch_add(1, std::memory_order_release);
      index_.erase(oldest.host);
      entries_.pop_back();
    }
  }

  asio::any_io_executor home_;
  store::Store& store_;
  const base::Clock& clock_;
  std::size_t capacity_;
  std::array<std::atomic<Version>, versions> versions_{};
  std::list<Entry> entries_;  // seen last first
  std::unordered_map<base::Domain, std::list<Entry>::iterator> index_;
};

HostHistories::HostHistories(asio::any_io_executor home, store::Store& store,
                             const base::Clock& clock, std::size_t capacity)
    : core_(std::make_shared<Core>(std::move(home), store, clock, capacity)) {}

HostHistories::~HostHistories() = default;

base::Result<std::size_t, base::Error> HostHistories::load() { return core_->load(); }

void HostHistories::put(base::Domain host, policy::HostHistory history) {
  // Now, so that whoever looks from now on asks, and is answered behind this; and once more when it
  // is known, for those who asked in front of it.
  core_->version(host).fetch_add(1, std::memory_order_release);
  asio::post(core_->home(), [core = core_, host = std::move(host),
                             history = std::move(history)]() mutable {
    core->put(std::move(host), std::move(history));
  });
}

HostHistories::Version HostHistories::version(const base::Domain& host) const {
  return core_->version(host).load(std::memory_order_acquire);
}

asio::awaitable<std::optional<policy::HostHistory>> HostHistories::look(base::Domain host) {
  struct Waiting {
    std::optional<policy::HostHistory> history;
    Event event;
  };
  const auto executor = co_await asio::this_coro::executor;
  const auto waiting = std::make_shared<Waiting>();
  // The messages hold nothing of this coroutine's alive: they may outlive its thread.
  auto ask = [core = core_, host = std::move(host), executor, weak = std::weak_ptr(waiting)] {
    asio::post(executor, [history = core->look(host), weak]() mutable {
      const auto kept = weak.lock();
      if (!kept) return;
      kept->history = std::move(history);
      kept->event.notify_all();
    });
  };
  asio::post(core_->home(), std::move(ask));
  const auto end = std::chrono::steady_clock::now() + look_wait;
  while (!waiting->history && std::chrono::steady_clock::now() < end) {
    co_await waiting->event.wait(end);
  }
  co_return std::move(waiting->history);
}

}  // namespace proxy
