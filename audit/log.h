// EnforcementLog: the hash-chained file of JSON lines, shared by all I/O threads. `append` renders
// on the caller's thread and hands the line to one writer thread, which numbers, chains and writes
// all that is queued with one write(2); it rotates the file and deletes what is past its retention.
// The chain goes on over restarts, kills and rotations. fdatasync at rotation and stop alone: a
// killed process loses only lines still queued, a power cut also what the kernel had not written.
// The lines are record.h, verification is verify.h. Called by proxy/ (sessions) and main.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "audit/chain.h"
#include "audit/record.h"
#include "base/clock.h"
#include "base/result.h"

namespace audit {

enum class OnFailure : std::uint8_t { defer, proceed };  // `defer` and `continue` of [log]

struct LogOptions {
  std::filesystem::path path;                      // its folder must be there
  std::chrono::seconds rotate{86400};              // aligned to 1970 in UTC; 0: never
  std::chrono::seconds retention{400LL * 86400};   // of rotated files; 0: for ever
  OnFailure on_failure = OnFailure::defer;
  std::string start_reason;                        // for the `start` record
  std::uint64_t window = 8ULL << 20;               // octets held free ahead of the file's end
  std::size_t capacity = 20000;                    // lines queued that no reservation covers
  // On the writer's thread, before a batch is written: puts on disk what its lines refer to.
  std::function<void()> before_write;
};

// The promise that one record (of at most `line_limit` octets) can be written. Taken before the
// final dot goes to the MX, given to `append`, or given back when it goes out of scope.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept : promised_(std::move(other.promised_)) {}
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation() { release(); }
  bool holds() const { return promised_ != nullptr; }

 private:
  friend class EnforcementLog;
  explicit Reservation(std::shared_ptr<std::atomic<std::int64_t>> promised)
      : promised_(std::move(promised)) {}
  void release();
  std::shared_ptr<std::atomic<std::int64_t>> promised_;
};

class EnforcementLog {
 public:
  // Opens the file, repairs a torn last line, finds the chain's head again in the file and in
  // `head`, writes a `start` record that says what was repaired or does not fit, and starts the
  // writer. Fails where the file cannot be opened or read, or another process writes it. A full
  // disk is no failure here. `head` and `clock` (safe from any thread) must outlive the log.
  static base::Result<std::unique_ptr<EnforcementLog>, base::Error> open(LogOptions options,
                                                                         ChainHead& head,
                                                                         const base::Clock& clock);
  virtual ~EnforcementLog() = default;

  // Lock-free, from any thread. An error (in words) obliges the caller to answer 451 4.3.0 and not
  // to send the final dot. With `continue` it never fails: the reservation is then empty.
  virtual base::Result<Reservation, base::Error> reserve() = 0;
  // Never blocks on the disk and never fails; from any thread. `time` is that of the call. A record
  // under a reservation is kept until it is written; one without may be dropped when the queue is
  // full, which the log says in a `start` record when it can be written again.
  virtual void append(const Record& record, Reservation reservation) noexcept = 0;
  void append(const Record& record) noexcept { append(record, Reservation()); }
  // Writes all that is queued, then a `stop` record with `reason`; later records are dropped.
  // Called once by main when the sessions have ended; the destructor calls it too.
  virtual void stop(const std::string& reason) = 0;

  // Whether records can be written now; how many were dropped; the last line written.
  virtual bool healthy() const = 0;
  virtual std::uint64_t dropped() const = 0;
  virtual Head head() const = 0;
  // The last record that retention removed; seq 0: none was. nullopt: not known.
  virtual std::optional<Head> removed() const { return std::nullopt; }

 protected:
  // Takes over one line's promise already counted in `promised`.
  static Reservation take_over(std::shared_ptr<std::atomic<std::int64_t>> promised) {
    return Reservation(std::move(promised));
  }
};

}  // namespace audit
