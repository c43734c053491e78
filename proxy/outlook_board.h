// OutlookBoard: the outlooks that threads of others (libmilter's) ask for, and the answers that the
// advisor's thread writes up. An answer stands for ten seconds; one that lets mail pass is given a
// minute long while it is renewed, so a busy domain never waits. Every wait has an end, at which
// the answer is `unknown`. Bounded; shared by all threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/limits.h"
#include "policy/outlook.h"

namespace proxy {

// `require`: what a message demands of its own (`[[milter.rule]]`); nullopt: what holds for all
// mail of the domain.
struct OutlookQuestion {
  base::Domain domain;
  std::optional<policy::Require> require;
  std::uint64_t generation = 0;  // of the configuration it was asked under
  std::string key() const;
};

class OutlookBoard {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Clock = std::function<Time()>;
  // Has a question answered by put(), now or later, on any thread; must not wait.
  using Submit = std::function<void(const OutlookQuestion&)>;

  static constexpr std::chrono::seconds fresh{10};
  static constexpr std::chrono::seconds passable{60};     // where it lets mail pass
  static constexpr std::chrono::seconds asked_again{20};  // a question without an answer
  static constexpr std::size_t waiting_most = 1000;

  explicit OutlookBoard(Submit submit, std::size_t capacity = base::limits::domain_facts,
                        Clock clock = &std::chrono::steady_clock::now);

  // Waits where nothing is known yet.
  policy::Outlook ask(const base::Domain& domain, Time deadline);
  // Waits, besides, while a handshake is under way that may make it better or known. At the
  // deadline an answer no older than `since`, or than `passable`, is better than none.
  policy::Outlook settle(const base::Domain& domain, policy::Require require, Time deadline,
                         Time since = Time::max());
  // What settle() would return without waiting; asks nothing.
  std::optional<policy::Outlook> settled(const base::Domain& domain, policy::Require require);
  // Asks without waiting, so that settle() finds it.
  void prepare(const base::Domain& domain, policy::Require require);

  // `awaited`: a handshake is under way, and another put() comes when it has ended.
  void put(const OutlookQuestion& question, policy::Outlook outlook, bool awaited);
  // The configuration is another: nothing said before counts, nor what is still being found out.
  void clear();
  // Whoever waits has `unknown` at once, and so has whoever asks from now on.
  void close();
  bool closed() const;
  std::size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::optional<policy::Outlook> outlook;
    Time written{};
    bool awaited = false;
    std::optional<Time> asked;  // and not answered yet
  };
  using Entries = std::list<Entry>;

  // `since`: of settle(), none of ask().
  policy::Outlook wait_for(OutlookQuestion question, std::optional<Time> since, Time deadline);
  static bool is_settled(const Entry& entry);
  Entry& entry_of(const std::string& key);
  bool must_ask(const Entry& entry, Time now) const;

  Submit submit_;
  std::size_t capacity_;
  Clock clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Entries entries_;  // newest use first
  std::unordered_map<std::string, Entries::iterator> index_;
  std::uint64_t generation_ = 0;
  std::size_t waiting_ = 0;
  bool closed_ = false;
};

}  // namespace proxy
