#include "proxy/near_histories.h"

namespace proxy {

namespace asio = boost::asio;

namespace {

using Moment = std::optional<base::WallTime>;

bool is_soon(const Moment& from, const Moment& to) {
  if (!from || !to) return from == to;
  return *to >= *from && *to - *from < NearHistories::believed;
}

// Whether `now` tells nothing but that a minute is not over yet.
bool is_the_same(const policy::HostHistory& before, const policy::HostHistory& now) {
  return is_soon(before.seen, now.seen) && is_soon(before.tls, now.tls) &&
         is_soon(before.authenticated, now.authenticated) && before.peer_auth == now.peer_auth &&
         before.spki_sha256 == now.spki_sha256 && before.plain == now.plain;
}

}  // namespace

const NearHistories::Known* NearHistories::known(const base::Domain& host) {
  const Known* const found = known_.find(host);
  if (!found || found->version != home_.version(host)) return nullptr;
  return clock_.steady() - found->asked < believed ? found : nullptr;
}

asio::awaitable<std::optional<policy::HostHistory>> NearHistories::look(base::Domain host) {
  if (const Known* const found = known(host)) co_return found->history;
  // Before the question: what changes while it is under way makes the answer old.
  const HostHistories::Version version = home_.version(host);
  const base::SteadyTime asked = clock_.steady();
  auto history = co_await home_.look(host);
  if (history) known_.put(host, Known{*history, version, asked});
  co_return history;
}

void NearHistories::put(const base::Domain& host, policy::HostHistory history) {
  const Known* const found = known(host);
  if (found && is_the_same(found->history, history)) return;
  home_.put(host, std::move(history));
}

}  // namespace proxy
