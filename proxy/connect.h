// One connection attempt with an end. The socket is the caller's: open, and bound where it matters
// from where. Not responsible for which address, nor for trying another. Called by
// proxy/mx_connection and proxy/report_mail.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "proxy/channel.h"

namespace proxy {

// `begun`: called once the attempt is under way and the socket has its local end, at a moment when
// the peer can hardly have taken the connection yet; never when it failed at once.
// asio::error::timed_out where nobody answered by `end`. The socket is shared with a timer whose
// handler may run after this has returned; it may be moved from then.
asio::awaitable<boost::system::error_code> connect_by(std::shared_ptr<Channel::Socket> socket,
                                                      Channel::Socket::endpoint_type where,
                                                      SteadyTime end,
                                                      std::function<void()> begun = {});

}  // namespace proxy
