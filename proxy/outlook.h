// Forecaster: answers the questions of the OutlookBoard on the advisor's thread: gathers, plans,
// looks at what was last seen, and, where that is missing or growing old, has it renewed by a
// handshake without mail (proxy/probe.h), so that a refusal never outlives the fault for long.
// At most one such probe for a question at a time, sixteen at once, the rest in a bounded queue:
// what rules ask first, and not what nobody can be waiting for any more. A refusal by an MTA-STS
// policy has the policy looked at again (RFC 8461 §5.1), as a delivery does.
// Made by proxy/advisor; lives on the worker's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "proxy/outlook_board.h"
#include "proxy/probe.h"
#include "proxy/worker.h"

namespace proxy {

class Forecaster {
 public:
  Forecaster(Worker& worker, OutlookBoard& board) : worker_(worker), board_(board) {}
  Forecaster(const Forecaster&) = delete;
  Forecaster& operator=(const Forecaster&) = delete;

  // On the worker's thread; the board has the answer later.
  void answer(const OutlookQuestion& question);
  // The configuration is another.
  void clear();

 private:
  // A survey and all that it refers to.
  struct Surveyed {
    std::shared_ptr<const Snapshot> snapshot;
    policy::Rule rule;        // where the question demands something itself
    policy::Operator op;
    policy::Survey survey;
  };
  struct Renewal {
    bool under_way = false;
    SteadyTime due{};  // not before
  };
  struct Job {
    OutlookQuestion question;
    std::shared_ptr<const Surveyed> surveyed;
    SteadyTime since{};
  };

  asio::awaitable<base::Result<std::shared_ptr<const Surveyed>, base::Error>> survey(
      OutlookQuestion question);
  asio::awaitable<void> find_out(OutlookQuestion question);
  asio::awaitable<void> renew(Job job);
  asio::awaitable<Probed> look_again(Job& job);
  bool may_change_policy(const Surveyed& surveyed, const policy::Outlook& outlook) const;
  void drop(const Job& job);
  policy::Outlook outlook_of(const OutlookQuestion& question, const Surveyed& surveyed) const;
  // Whether a handshake for this question is under way now.
  bool begin_renewal(const OutlookQuestion& question, std::shared_ptr<const Surveyed> surveyed);
  void start_next();

  Worker& worker_;
  OutlookBoard& board_;
  std::unordered_map<std::string, Renewal> renewals_;
  std::deque<Job> waiting_;
  std::size_t running_ = 0;
};

}  // namespace proxy
