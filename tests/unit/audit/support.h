// What the audit tests share: a folder that goes away, a clock moved by hand, a stored head in
// memory, files as text, and a child process.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "audit/chain.h"
#include "audit/log.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/log.h"

namespace audit_test {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "audit-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
    base::log_init("error", false);
  }
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  std::filesystem::path log() const { return path_ / "enforcement.jsonl"; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline base::WallTime at(const char* text) { return *audit::parse_rfc3339(text); }

class HandClock final : public base::Clock {
 public:
  explicit HandClock(base::WallTime now = at("2026-03-01T12:00:00.000Z"))
      : now_(now.time_since_epoch().count()) {}
  base::WallTime wall() const override {
    return base::WallTime(std::chrono::milliseconds(now_.load()));
  }
  base::SteadyTime steady() const override {
    return std::chrono::steady_clock::now() + std::chrono::milliseconds(passed_.load());
  }
  void set(base::WallTime now) { now_ = now.time_since_epoch().count(); }
  // Steady time alone.
  void pass(std::chrono::milliseconds time) { passed_ += time.count(); }

 private:
  std::atomic<std::int64_t> now_;
  std::atomic<std::int64_t> passed_{0};
};

class MemoryHead final : public audit::ChainHead {
 public:
  base::Result<std::optional<audit::Head>, base::Error> load() override {
    const std::lock_guard lock(mutex_);
    if (fails) return base::fail("the store is away");
    return head_;
  }
  base::Result<void, base::Error> save(const audit::Head& head) override {
    const std::lock_guard lock(mutex_);
    if (fails) return base::fail("the store is away");
    head_ = head;
    return {};
  }
  base::Result<std::optional<audit::Removed>, base::Error> load_removed() override {
    const std::lock_guard lock(mutex_);
    if (fails) return base::fail("the store is away");
    return removed_;
  }
  base::Result<void, base::Error> save_removed(const audit::Removed& removed) override {
    const std::lock_guard lock(mutex_);
    if (fails) return base::fail("the store is away");
    removed_ = removed;
    if (on_removed) on_removed();
    return {};
  }
  std::optional<audit::Head> removed() {
    const std::lock_guard lock(mutex_);
    if (!removed_) return std::nullopt;
    return removed_->last;
  }
  void forget_removed() {
    const std::lock_guard lock(mutex_);
    removed_.reset();
  }
  std::optional<audit::Head> get() {
    const std::lock_guard lock(mutex_);
    return head_;
  }
  void set(std::optional<audit::Head> head) {
    const std::lock_guard lock(mutex_);
    head_ = std::move(head);
  }
  std::atomic<bool> fails = false;
  std::function<void()> on_removed;  // when a removed record is saved

 private:
  std::mutex mutex_;
  std::optional<audit::Head> head_;
  std::optional<audit::Removed> removed_;
};

inline std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
inline void spit(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}
inline std::vector<nlohmann::json> records(const std::filesystem::path& file) {
  std::vector<nlohmann::json> all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

inline audit::Record delivery(const std::string& id) {
  audit::Record record;
  record.event = audit::Event::delivery;
  record.id = id;
  record.domain = *base::Domain::parse("example.com");
  record.recipients = 1;
  record.verdict = audit::Verdict::delivered;
  record.reply = "250 2.0.0 Ok: queued";
  return record;
}

inline std::unique_ptr<audit::EnforcementLog> open_log(const Folder& folder, audit::ChainHead& head,
                                                       const base::Clock& clock) {
  audit::LogOptions options;
  options.path = folder.log();
  auto log = audit::EnforcementLog::open(std::move(options), head, clock);
  if (!log) throw std::runtime_error(log.error().text);
  return std::move(*log);
}

// Runs `body` in a child, whose return value is its exit status (0 … 255).
template <class Body>
pid_t child(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    int status = 255;
    try {
      status = body();
    } catch (...) {
    }
    ::_exit(status);
  }
  return pid;
}
inline int status_of(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace audit_test
