#include "admin/connections.h"

#include <utility>

namespace admin {

void Connections::enter() {
  if (++present_ < most_ || idle_.empty()) return;
  const std::function<void()> end = std::move(idle_.begin()->second);
  idle_.erase(idle_.begin());
  end();
}

std::uint64_t Connections::may_end(std::function<void()> end) {
  idle_.emplace(next_, std::move(end));
  return next_++;
}

}  // namespace admin
