// Walk: with the address that the MTA dialled, at a transparent listener. What becomes of it is
// decided by policy/dialled.h.
#include "base/overloaded.h"
#include "proxy/dialled.h"
#include "proxy/walk.h"

namespace proxy {

// Where the hosts stand in the order of trying: which of them, or the address itself.
asio::awaitable<void> Walk::find_route(SteadyTime budget) {
  const base::Ip dialled = transaction_->dialled->where().address;
  std::vector<std::optional<policy::HostPlan>> plans;
  for (const policy::MxHost& host : hosts_) worker_.gather().prefetch(query_for(host.host));
  for (std::size_t i = 0; i < hosts_.size() && !stopped_; ++i) {
    const auto facts = co_await worker_.gather().host(query_for(hosts_[i].host), budget);
    std::optional<policy::HostPlan> plan;
    if (facts) plan = policy::plan_host(snapshot_->settings, *plan_, *facts);
    plans.push_back(std::move(plan));
    if (plans.back() && policy::is_approved_at(*plans.back(), dialled)) break;
  }
  planned_hosts_ = hosts_;
  unprotected_route_ =
      policy::route_unprotected(snapshot_->settings, *plan_, plans, dialled);
  take_route(policy::route_dialled(snapshot_->settings, *plan_, plans, dialled));
}

void Walk::take_route(policy::DialledRoute route) {
  current_.reset();  // it may point into what goes now
  address_plan_.reset();
  host_address_.reset();
  hosts_ = planned_hosts_;
  std::visit(base::overloaded{
                 [this](const policy::ToDialledHost& to) {
                   hosts_.assign(1, planned_hosts_[to.index]);
                   host_address_ = transaction_->dialled->where().address;
                 },
                 [this](policy::ToDialledAddress& to) {
                   hosts_.clear();
                   address_ = transaction_->dialled->where().address;
                   address_plan_ = std::move(to.plan);
                 },
                 // The address that was dialled is none of theirs: nobody needs the connection.
                 [this](const policy::ToHosts&) { transaction_->dialled->close(); },
             },
             route);
}

bool Walk::to_dialled(const base::Ip& ip) const {
  return transaction_->dialled && transaction_->dialled->where().address == ip;
}

std::unique_ptr<PlainMx> Walk::take_early(const base::Ip& ip) {
  return to_dialled(ip) ? transaction_->dialled->take() : nullptr;
}

config::Tcp Walk::endpoint(const base::Ip& ip) const {
  config::Tcp to;
  to.address = ip;
  to.port = to_dialled(ip) ? transaction_->dialled->where().port : config_.outbound.port;
  return to;
}

}  // namespace proxy
