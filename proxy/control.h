// Control: the daemon's Unix socket for its own commands. One JSON object a line in, one out:
// {"command": "status"} is answered by {"ok": true, …} or {"ok": false, "error": "…"}. Mode 0600:
// who may connect is who may read the socket's file. Lines, connections and times are bounded.
// Knows no command; proxy/serve gives it those. The other side is ask_daemon(), for cli/.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "proxy/channel.h"
#include "proxy/listener.h"

namespace proxy {

class Control : public std::enable_shared_from_this<Control> {
 public:
  using Answer = std::function<void(nlohmann::json reply)>;
  // Calls `answer` once, from any thread, now or later. An error: {"error": "…"}.
  using Command = std::function<void(const nlohmann::json& request, Answer answer)>;

  Control(boost::asio::io_context& home, ListenSocket socket,
          std::map<std::string, Command> commands);
  static base::Result<ListenSocket, base::Error> open_socket(const config::Path& path);
  void start();
  void stop();

 private:
  static boost::asio::awaitable<void> serve(std::shared_ptr<Control> self, Descriptor connection);
  boost::asio::awaitable<void> converse(Channel& channel);
  boost::asio::awaitable<std::string> obey(const std::string& line);

  boost::asio::io_context& home_;
  std::map<std::string, Command> commands_;
  std::shared_ptr<Listener> listener_;
  bool stopped_ = false;
};

// For a command line: one request, one reply, blocking. Errors: nobody listens there (the daemon
// does not run), the time is over, or the daemon's own "error".
struct DaemonError {
  bool not_running = false;
  std::string text;
  int status = 1;  // of the command (sysexits.h): 69 nobody can be asked, 75 try again
};
base::Result<nlohmann::json, DaemonError> ask_daemon(const config::Path& socket,
                                                     const nlohmann::json& request,
                                                     std::chrono::milliseconds timeout);

}  // namespace proxy
