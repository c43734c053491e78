// A clock that the test moves, DNS as plain data, and a way to run one coroutine to its end.
#pragma once

#include <arpa/inet.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <map>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "base/ip.h"
#include "dns/resolver.h"

namespace sts_test {

class FakeClock final : public base::Clock {
 public:
  explicit FakeClock(base::WallTime start) : now_(start.time_since_epoch().count()) {}
  base::WallTime wall() const override { return base::WallTime(std::chrono::milliseconds(now_)); }
  base::SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
  void advance(std::chrono::milliseconds by) { now_ += by.count(); }

 private:
  std::atomic<std::int64_t> now_;
};

// Answers at once, except for names that are held. What is not in the table does not exist.
class TableResolver final : public dns::Resolver {
 public:
  void lookup(const std::string& name, dns::Type type,
              std::function<void(dns::RawLookup)> done) override {
    std::unique_lock<std::mutex> held(lock_);
    ++asked_[name];
    if (held_.contains(name)) {
      waiting_.emplace_back(name, [this, name, type, done] { done(answer(name, type)); });
      return;
    }
    held.unlock();
    done(answer(name, type));
  }

  void txt(const std::string& name, const std::string& text, std::chrono::seconds ttl) {
    put(name, dns::Type::TXT, static_cast<char>(text.size()) + text, ttl);
  }
  void address(const std::string& name, const std::string& ip) {
    const auto parsed = base::Ip::parse(ip);
    const auto octets = parsed->octets();
    put(name, parsed->is_v4() ? dns::Type::A : dns::Type::AAAA,
        std::string(octets.begin(), octets.end()), std::chrono::seconds(300));
  }
  void fails(const std::string& name, dns::Type type, dns::LookupError::Kind kind) {
    dns::LookupError error;
    error.kind = kind;
    error.text = std::string(dns::to_string(type)) + " " + name + ": SERVFAIL";
    const std::lock_guard<std::mutex> held(lock_);
    table_.insert_or_assign({name, type}, dns::RawLookup(boost::system::in_place_error, error));
  }
  void nothing(const std::string& name, dns::Type type) {
    const std::lock_guard<std::mutex> held(lock_);
    table_.erase({name, type});
  }
  // From now on answers for `name` wait for release().
  void hold(const std::string& name) {
    const std::lock_guard<std::mutex> held(lock_);
    held_[name] = true;
  }
  void release(const std::string& name) {
    std::vector<std::function<void()>> now;
    {
      const std::lock_guard<std::mutex> held(lock_);
      held_.erase(name);
      for (auto& [waiting, answer] : waiting_) {
        if (waiting == name && answer) now.push_back(std::exchange(answer, nullptr));
      }
    }
    for (const auto& one : now) one();
  }
  int asked(const std::string& name) {
    const std::lock_guard<std::mutex> held(lock_);
    return asked_[name];
  }
  std::vector<std::string> names() {
    const std::lock_guard<std::mutex> held(lock_);
    std::vector<std::string> all;
    for (const auto& [name, count] : asked_) all.push_back(name);
    return all;
  }

 private:
  void put(const std::string& name, dns::Type type, std::string rdata, std::chrono::seconds ttl) {
    const std::lock_guard<std::mutex> held(lock_);
    auto& slot = table_[{name, type}];
    dns::RawAnswer answer;
    if (slot) answer = *slot;
    answer.existence = dns::Existence::data;
    answer.canonical_name = name;
    answer.ttl = ttl;
    answer.records.push_back(std::move(rdata));
    slot = dns::RawLookup(std::move(answer));
  }
  dns::RawLookup answer(const std::string& name, dns::Type type) {
    const std::lock_guard<std::mutex> held(lock_);
    const auto found = table_.find({name, type});
    if (found != table_.end()) return found->second;
    dns::RawAnswer none;
    none.existence = dns::Existence::nxdomain;
    none.canonical_name = name;
    none.ttl = std::chrono::seconds(300);
    return none;
  }

  std::mutex lock_;
  std::map<std::pair<std::string, dns::Type>, dns::RawLookup> table_;
  std::map<std::string, int> asked_;
  std::map<std::string, bool> held_;
  std::vector<std::pair<std::string, std::function<void()>>> waiting_;
};

// Runs `context` until `work` has ended; its value.
template <class T>
T run(boost::asio::io_context& context, boost::asio::awaitable<T> work) {
  std::optional<T> value;
  std::exception_ptr failed;
  boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr error, T result) {
    failed = error;
    value.emplace(std::move(result));
  });
  context.restart();
  while (!value && context.run_one() > 0) {
  }
  if (failed) std::rethrow_exception(failed);
  return std::move(*value);
}

}  // namespace sts_test
