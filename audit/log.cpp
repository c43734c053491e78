#include "audit/log.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "audit/writer.h"
#include "base/log.h"

namespace audit {

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    release();
    promised_ = std::move(other.promised_);
  }
  return *this;
}

void Reservation::release() {
  if (promised_) promised_->fetch_sub(static_cast<std::int64_t>(line_limit));
  promised_.reset();
}

namespace {

// Lines of busy sessions come some microseconds apart: a wake-up for each was 6 % of a message, one
// each millisecond still 2 %.
constexpr std::chrono::milliseconds gathers_for{5};

class FileLog final : public EnforcementLog {
 public:
  FileLog(LogOptions options, ChainHead& store, const base::Clock& clock)
      : options_(std::move(options)),
        clock_(clock),
        writer_(options_, store, clock, budget_) {}
  ~FileLog() override { stop("ended"); }

  base::Result<void, base::Error> start();
  base::Result<Reservation, base::Error> reserve() override;
  void append(const Record& record, Reservation reservation) noexcept override;
  void stop(const std::string& reason) override;
  bool healthy() const override {
    return budget_.healthy && budget_.window >= static_cast<std::int64_t>(line_limit);
  }
  std::uint64_t dropped() const override { return dropped_; }
  Head head() const override {
    const std::lock_guard lock(mutex_);
    return head_;
  }
  std::optional<Head> removed() const override { return writer_.removed(); }

 private:
  void run();
  void pass();
  void wait();
  bool written();
  bool drained();
  QueuedLine note(Event event, const std::string& reason) const;

  LogOptions options_;
  const base::Clock& clock_;
  Budget budget_;
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::size_t> waiting_count_{0};
  std::atomic<bool> kick_{false};

  mutable std::mutex mutex_;  // of these five; held for a push or a swap, never over I/O
  std::deque<QueuedLine> queue_;
  bool asleep_ = false;       // the writer, with nothing to write
  bool stopping_ = false;
  Head head_;
  std::condition_variable wake_;

  // The writer thread's own (before it starts and after it ended: the owner's).
  Writer writer_;
  bool busy_ = false;         // it had more than one line to write the last time
  std::deque<QueuedLine> waiting_;
  std::uint64_t dropped_told_ = 0;
  std::chrono::steady_clock::time_point retry_{};
  std::thread thread_;
};

base::Result<void, base::Error> FileLog::start() {
  auto notes = writer_.open();
  if (!notes) return base::fail(notes.error());
  if (!notes->empty()) {
    base::log_warn("", "enforcement log " + options_.path.string() + ": " + *notes);
  }
  std::string reason = options_.start_reason;
  if (!reason.empty() && !notes->empty()) reason += "; ";
  (void)writer_.maintain();  // rotates where the file is of an earlier period
  waiting_.push_back(note(Event::start, reason + *notes));
  (void)written();
  thread_ = std::thread([this] { run(); });
  return {};
}

base::Result<Reservation, base::Error> FileLog::reserve() {
  const auto size = static_cast<std::int64_t>(line_limit);
  const std::int64_t promised = budget_.promised->fetch_add(size) + size;
  const std::int64_t window = budget_.window;
  Reservation reservation = take_over(budget_.promised);
  if (promised > window / 2 && !kick_.exchange(true)) wake_.notify_one();
  if (budget_.healthy && promised <= window) return reservation;
  if (options_.on_failure == OnFailure::proceed) return Reservation();
  return base::fail(budget_.healthy ? "no space for the enforcement log"
                                    : "the enforcement log cannot be written");
}

void FileLog::append(const Record& record, Reservation reservation) noexcept {
  try {
    const bool reserved = reservation.holds();
    bool wake = false;
    QueuedLine line{render(record, clock_.wall()), std::move(reservation)};
    {
      const std::lock_guard lock(mutex_);
      const bool full = queue_.size() + waiting_count_ >= options_.capacity;
      if (stopping_ || (full && !reserved)) {
        ++dropped_;
        return;
      }
      queue_.push_back(std::move(line));
      wake = std::exchange(asleep_, false);
    }
    if (wake) wake_.notify_one();
  } catch (const std::exception&) {
    ++dropped_;
  }
}

QueuedLine FileLog::note(Event event, const std::string& reason) const {
  Record record;
  record.event = event;
  if (!reason.empty()) record.reason = reason;
  return {render(record, clock_.wall()), Reservation()};
}

// Writes what is waiting; true where nothing is left.
bool FileLog::written() {
  if (options_.before_write && !waiting_.empty()) options_.before_write();
  const bool fine = writer_.write(waiting_);
  budget_.healthy = fine;
  waiting_count_ = waiting_.size();
  {
    const std::lock_guard lock(mutex_);
    head_ = writer_.head();
  }
  if (!fine) retry_ = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  return waiting_.empty();
}

// Again and again while it helps: each batch is followed by a new window.
bool FileLog::drained() {
  for (std::size_t before = waiting_.size(); !written(); before = waiting_.size()) {
    if (!budget_.healthy || waiting_.size() >= before) return false;
  }
  return true;
}

void FileLog::wait() {
  std::unique_lock lock(mutex_);
  if (!busy_) {
    asleep_ = queue_.empty();
    wake_.wait_for(lock, std::chrono::seconds(1),
                   [this] { return stopping_ || !queue_.empty() || kick_; });
    asleep_ = false;
  }
  // While it is busy nobody has to wake it.
  if (busy_ || !queue_.empty()) {
    wake_.wait_for(lock, gathers_for, [this] { return stopping_ || kick_; });
  }
  busy_ = queue_.size() > 1;
  kick_ = false;
  for (QueuedLine& line : queue_) waiting_.push_back(std::move(line));
  queue_.clear();
  waiting_count_ = waiting_.size();
}

void FileLog::pass() {
  if (!budget_.healthy && std::chrono::steady_clock::now() < retry_) return;
  const std::string notes = writer_.maintain();
  if (!notes.empty()) waiting_.push_front(note(Event::start, notes));
  if (!drained()) return;
  const std::uint64_t dropped = dropped_;
  if (dropped != dropped_told_) {
    const std::string text = std::to_string(dropped - dropped_told_) +
                             " records were dropped while the log could not be written";
    base::log_error("", "enforcement log " + options_.path.string() + ": " + text);
    waiting_.push_back(note(Event::start, text));
    dropped_told_ = dropped;
    (void)written();
  }
  writer_.save_head(false);
}

void FileLog::run() {
  for (bool last = false; !last;) {
    wait();
    {
      const std::lock_guard lock(mutex_);
      last = stopping_ && queue_.empty();
    }
    pass();
  }
}

void FileLog::stop(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true) || !thread_.joinable()) return;
  }
  wake_.notify_one();
  thread_.join();
  waiting_.push_back(note(Event::stop, reason));
  writer_.extend(true);
  if (!drained()) {
    base::log_error("", "enforcement log " + options_.path.string() + ": " +
                            std::to_string(waiting_.size()) + " records are lost");
  }
  writer_.close();
}

}  // namespace

base::Result<std::unique_ptr<EnforcementLog>, base::Error> EnforcementLog::open(
    LogOptions options, ChainHead& head, const base::Clock& clock) {
  auto log = std::make_unique<FileLog>(std::move(options), head, clock);
  auto started = log->start();
  if (!started) return base::fail(started.error());
  return std::unique_ptr<EnforcementLog>(std::move(log));
}

}  // namespace audit
