// Patience: what is to be done about a wait only if it lasts. Most waits for an MX are over in less
// than a millisecond, and a system call for each of them would be for nothing. One timer for all of
// a worker's waits, and none while nobody waits. Lives on one thread; held by its worker, used by
// sessions, which watch a client only while an MX is slow.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <memory>

namespace proxy {

class Patience {
  struct State;
  struct Wait {
    std::chrono::steady_clock::time_point until;
    std::function<void()> then;
  };

 public:
  // As long as it lives, the wait lasts. May outlive the Patience.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept { *this = std::move(other); }
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket() { drop(); }

   private:
    friend class Patience;
    void drop();
    std::shared_ptr<State> state_;  // null: holds nothing
    std::list<Wait>::iterator place_;
  };

  Patience(boost::asio::any_io_executor executor, std::chrono::milliseconds length);
  ~Patience();
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  // `then` is called once, from the loop, when the wait has lasted for `length` or a little more.
  Ticket begin(std::function<void()> then);
  std::size_t size() const;  // waits that `then` is still to be called for

 private:
  static void arm(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

}  // namespace proxy
