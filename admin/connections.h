// Connections: who is connected to the admin interface, so that clients who wait, or have their
// answer, cannot keep others out: where there are too many, the one that has been so for longest
// gives way. Counts and decides; owns no socket. Not thread-safe: all on the admin thread. Used by
// admin/http_connection and proxy/admin_port.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

namespace admin {

class Connections {
 public:
  explicit Connections(std::size_t most) : most_(most) {}

  // A connection begins; the last place is never taken while somebody can give way.
  void enter();
  void leave() { --present_; }

  // From now on the connection may be ended, by `end`, which is called once at most.
  std::uint64_t may_end(std::function<void()> end);
  // From now on not; nothing where it was ended.
  void must_stay(std::uint64_t number) { idle_.erase(number); }

 private:
  std::size_t most_;
  std::size_t present_ = 0;
  std::uint64_t next_ = 0;
  std::map<std::uint64_t, std::function<void()>> idle_;  // the oldest first
};

}  // namespace admin
