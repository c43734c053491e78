// Milter: libmilter's end of the milter, the only file that knows that library. It has its own
// threads and is one for the whole process; why, and how its signal thread is kept from taking
// ours, is told in docs/decisions/0015-libmilter.md. What is said of a message is decided in
// proxy/milter_message. No exception leaves a callback, and a callback that fails lets mail pass.
// Made by proxy/advisor.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "proxy/milter_message.h"
#include "proxy/server.h"

namespace proxy {

class Milter {
 public:
  // Connections of MTAs at a time; those above go on without being looked at, or are deferred where
  // there are rules, with a warning.
  static constexpr std::size_t connections_most = 2000;

  // Opens the socket; nothing is answered before start(). There may be one in a process, once.
  static base::Result<std::unique_ptr<Milter>, StartError> open(const std::string& socket,
                                                                MilterDesk& desk);
  // No more connections; waits a moment for the answers under way, after which no thread of
  // libmilter comes back into this program's own.
  ~Milter();
  Milter(const Milter&) = delete;
  Milter& operator=(const Milter&) = delete;

  void start();

 private:
  Milter(int listening, std::string path) : listening_(listening), path_(std::move(path)) {}
  int listening_;  // our own descriptor of libmilter's socket, to end its waiting; -1: none
  std::string path_;  // of a Unix socket, whose file we take away
  std::thread thread_;
  std::future<void> ended_;
};

}  // namespace proxy
