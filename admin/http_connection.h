// One HTTP connection of the admin interface: one request, one answer, then it is closed. GET and
// HEAD alone; header and times are bounded, so a slow client is cut; no body is taken. What may be
// asked is admin/access's matter, what is answered admin/site's. Runs on the executor of its
// socket. Started by proxy/admin_port.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <functional>
#include <memory>
#include <string>

#include "admin/access.h"
#include "admin/connections.h"
#include "admin/site.h"

namespace admin {

using Socket = boost::asio::generic::stream_protocol::socket;
using FactsPtr = std::shared_ptr<const Facts>;

struct Service {
  // Calls back once, later, from any thread; or never, which is waited for some seconds.
  std::function<void(std::function<void(FactsPtr)>)> facts;
  Policies policies;
  // Who was refused for a wrong or missing token, for the operator's log.
  std::function<void(const std::string& peer)> refused;
};

// `access`, `peer`: of this connection. It may be ended by `connections` until the whole header is
// there, and again once the answer is out. Never throws for what a client does.
boost::asio::awaitable<void> serve(Socket socket, std::shared_ptr<const Service> service,
                                   std::shared_ptr<const Access> access, std::string peer,
                                   std::shared_ptr<Connections> connections);

}  // namespace admin
