// Writer: the one thread's part of the enforcement log: numbers and chains lines, writes them in
// batches, keeps the window of promised space, rotates, has retention.cpp delete what is past its
// time, saves the head. Single-threaded but for Budget and removed(). Log.cpp owns one.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <string>

#include "audit/chain.h"
#include "audit/file.h"
#include "audit/hash.h"
#include "audit/log.h"
#include "audit/record.h"
#include "audit/retention.h"
#include "base/clock.h"

namespace audit {

// Space on the disk against promises made on it; `promised` <= `window` is what `reserve` keeps.
struct Budget {
  std::atomic<std::int64_t> window{0};  // octets allocated behind the file's end
  std::shared_ptr<std::atomic<std::int64_t>> promised =
      std::make_shared<std::atomic<std::int64_t>>(0);  // line_limit for each reservation
  std::atomic<bool> healthy{true};      // the last write did not fail
};

struct QueuedLine {
  RenderedLine line;
  Reservation reservation;  // empty: written only where that breaks no promise
};

class Writer {
 public:
  Writer(const LogOptions& options, ChainHead& store, const base::Clock& clock, Budget& budget);

  // Opens the file and finds the chain's end; the words that the `start` record has to say.
  base::Result<std::string, base::Error> open();
  // Rotation, retention, the window, a file that was moved away. Words for a `start` record where
  // the file had to be opened anew, else empty.
  std::string maintain();
  // Makes the window what it should be; not within a second of a failure unless `now`.
  void extend(bool now = false);
  // Writes what can be written and takes it out of `lines`; false where a write failed.
  bool write(std::deque<QueuedLine>& lines);
  // Saves the head where it was not since the last line; `now` false: at most once a second.
  void save_head(bool now);
  bool head_saved() const { return saved_ == head_; }
  void close();  // sync, give the window back, save the head

  const Head& head() const { return head_; }
  std::optional<Head> removed() const { return retention_.removed(); }  // from any thread
  // To the operational log, at most once a minute.
  void complain(const std::string& text);

 private:
  enum class Known : std::uint8_t { stored, written };  // by the store; by this writer itself
  base::Result<std::string, base::Error> attach(const std::optional<Head>& known, Known source);
  base::Result<Tail, base::Error> repair(std::uint64_t known_seq, std::string& notes);
  void compare(const Tail& tail, const std::optional<Head>& known, Known source,
               std::string& notes);
  void rotate(base::WallTime now);
  bool swap_files(const std::string& stamp);
  void publish_window() { budget_.window = static_cast<std::int64_t>(file_->window()); }
  std::int64_t period_of(base::WallTime time) const;

  const LogOptions& options_;
  ChainHead& store_;
  const base::Clock& clock_;
  Budget& budget_;
  Retention retention_;
  Sha256 sha_;
  std::unique_ptr<LogFile> file_;
  Head head_;
  Head saved_;
  std::int64_t period_ = 0;  // of the rotation, of the file's first line
  std::chrono::steady_clock::time_point head_due_{};
  std::chrono::steady_clock::time_point look_due_{};
  std::chrono::steady_clock::time_point rotate_due_{};
  std::chrono::steady_clock::time_point expire_due_{};
  std::chrono::steady_clock::time_point complaint_due_{};
  std::chrono::steady_clock::time_point extend_due_{};
};

}  // namespace audit
