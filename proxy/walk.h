// Walk: from a recipient domain to one good connection. Gathers, plans, then takes the hosts MX by
// MX and address by address, judges each session and stops at the first that meets its plan. Can go
// on behind a connection that was lost. Remembers the most telling reason of all failures, so that
// the reply is about policies before it is about a dead backup. MX order is never changed by
// security; within one preference chance and the memory of dead hosts decide. One recipient domain
// of one transaction; lives on one thread. Used by proxy/delivery.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "policy/dialled.h"
#include "policy/judge.h"
#include "policy/plan.h"
#include "proxy/attempt_log.h"
#include "proxy/delivery.h"
#include "proxy/gather.h"
#include "proxy/mx_connection.h"
#include "proxy/place.h"
#include "proxy/pool.h"
#include "proxy/walk_failure.h"
#include "proxy/worker.h"

namespace proxy {

class Walk {
 public:
  Walk(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
       std::shared_ptr<const Transaction> transaction,
       std::variant<base::Domain, base::Ip> destination);

  // What a found connection is, for MAIL and for the log. Stays valid until the next call.
  struct Current {
    std::optional<base::Domain> host;  // none: an address literal, or an address that was dialled
    const policy::Try* plan = nullptr;
    dns::Security mx_security = dns::Security::insecure;
    std::string name() const { return host ? host->str() : std::string(); }
  };

  // The next connection that may carry this domain's mail, or nullptr when every host has failed or
  // the budget is over: then reply() says why. `use_pool`: an open connection under the same terms
  // will do.
  asio::awaitable<std::unique_ptr<MxLink>> next(SteadyTime budget, bool use_pool);
  // A recipient's address is not ASCII: only an MX with SMTPUTF8 will do (RFC 6531 §3.4).
  void require_smtputf8() { needs_smtputf8_ = true; }
  // The connection that next() returned broke before a recipient was accepted.
  void lost(const MxLink& link, const MxFailure& failure);
  // The same address once more. Not `used`: an idle connection turned out to be dead before it had
  // carried anything, which is no turn in the line for that address.
  void again(bool used);
  // Stops at the next occasion: the session no longer waits.
  void stop();

  smtp::Reply reply() const;      // without ID
  // Whether reply() holds nothing that an MX has said to a recipient's name.
  bool in_own_words() const;
  // What TLS-RPT calls the failure that reply() is about, where it has a name.
  std::optional<tlsrpt::ResultType> result() const;
  const std::optional<Current>& current() const { return current_; }
  const policy::DomainPlan* plan() const { return plan_; }
  // The second walk of observe mode is under way: the first would have deferred.
  bool observing() const { return observing_; }

 private:
  using Rank = WalkFailure::Rank;
  using LinkPtr = std::unique_ptr<MxLink>;

  asio::awaitable<bool> make_plan(SteadyTime budget);
  asio::awaitable<bool> plan_again(SteadyTime budget);
  void order_hosts();
  Gather::HostQuery query_for(const base::Domain& host) const;
  bool ignores_dnssec() const;
  LoggedMail logged() const;
  asio::awaitable<bool> enter_host(SteadyTime budget);
  // walk_own.cpp: where this machine is itself an MX host of the domain
  void leave_out_own(const std::function<bool(const policy::MxHost&)>& is_own);
  asio::awaitable<void> find_own(SteadyTime budget);
  bool leave_hosts();
  // walk_dialled.cpp: the address that the MTA dialled, at a transparent listener
  asio::awaitable<void> find_route(SteadyTime budget);
  void take_route(policy::DialledRoute route);
  bool to_dialled(const base::Ip& ip) const;
  std::unique_ptr<PlainMx> take_early(const base::Ip& ip);
  config::Tcp endpoint(const base::Ip& ip) const;
  asio::awaitable<LinkPtr> try_address(base::Ip ip, SteadyTime budget, bool use_pool);
  asio::awaitable<LinkPtr> connect(base::Ip ip, SteadyTime budget, bool use_pool,
                                   bool cleartext_retry, bool& retry_in_cleartext);
  LinkPtr take_idle(base::Ip ip);
  bool may_use(MxLink& link) const;
  asio::awaitable<Place> take_place(base::Ip ip, SteadyTime budget, bool use_pool);
  void note_no_place(const base::Ip& ip);
  Current current_host() const;
  // nullptr: this session lacks what the message needs; the reason is noted.
  LinkPtr fit(LinkPtr link);
  policy::Verdict judge(const policy::Evidence& evidence, bool cleartext_retry,
                        const policy::Past* past) const;
  asio::awaitable<std::optional<policy::Past>> past_of_host(base::Ip ip);
  bool judge_again(MxLink& link) const;
  bool was_cut_short() const;

  void note(Rank rank, smtp::Reply reply,
            std::optional<tlsrpt::ResultType> result = std::nullopt);
  void note(WalkFailure failure) { keep_most_telling(failure_, std::move(failure)); }
  void note_mx(const base::Ip& ip, const MxFailure& failure);
  std::string place(const base::Ip& ip) const;  // "mx.example.com [192.0.2.1]"
  std::string address_key(const base::Ip& ip) const;
  std::string tls_key() const;
  std::string mark_key(const std::string& terms) const;

  Worker& worker_;
  std::shared_ptr<const Snapshot> snapshot_;
  const config::Config& config_;
  std::shared_ptr<const Transaction> transaction_;
  std::shared_ptr<TlsClient> tls_client_;  // of the configuration that this transaction began with
  const std::uint64_t era_;  // of the pool
  std::optional<base::Domain> domain_;
  std::optional<base::Ip> literal_;
  policy::Operator operator_;

  Plans::Domain planned_domain_;  // where plan_ and host_plan_ are; others may have the same
  const policy::DomainPlan* plan_ = nullptr;
  std::vector<policy::MxHost> hosts_;
  std::size_t next_host_ = 0;
  bool beside_own_ = false;  // hosts_ is without this machine and what is no better
  Plans::Host host_plan_;
  std::optional<policy::Try> address_plan_;      // goes to one address, no host: literal, dialled
  std::optional<base::Ip> address_;              // that address
  std::optional<base::Ip> host_address_;         // of the hosts' addresses only this one
  std::optional<policy::DialledRoute> unprotected_route_;
  std::vector<policy::MxHost> planned_hosts_;    // all that unprotected_route_ chooses from
  std::vector<base::Ip> addresses_;
  std::size_t next_address_ = 0;
  std::optional<Current> current_;
  // Of the host under way, before this session; kept over a reconnect without TLS.
  std::optional<policy::Past> past_;

  std::set<std::string> lacking_;   // terms of sessions without 8BITMIME or SMTPUTF8
  bool accept_lacking_ = false;     // second round: send as it is
  bool needs_smtputf8_ = false;
  bool planned_ = false;
  bool rechecked_ = false;
  bool observing_ = false;
  bool by_policy_ = false;
  bool by_sts_ = false;
  bool stopped_ = false;
  std::shared_ptr<PlaceWaiter> waiter_;  // while it waits for its turn
  // When it began to stand in line for the connection to that address that it was handed.
  std::optional<std::pair<base::Ip, SteadyTime>> turn_;
  SteadyTime budget_{};  // of the present call of next()
  SteadyTime began_{};   // the attempt under way, its slot taken
  std::size_t without_address_ = 0;
  std::optional<WalkFailure> failure_;
};

}  // namespace proxy
