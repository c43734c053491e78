// sternpost-clocked: the program with a wall clock that a test moves, so that days pass in seconds.
// STERNPOST_CLOCK names a file with the milliseconds to add to the real time; a test replaces it
// while the program runs. Without it, or without the file, it is the real time. Budgets and
// time-outs keep their real length.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "cli/program.h"

namespace {

constexpr std::chrono::milliseconds read_again{50};

class MovedClock final : public base::Clock {
 public:
  explicit MovedClock(std::string file) : file_(std::move(file)) {}

  base::WallTime wall() const override {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    auto due = due_.load();
    const auto next = now + std::chrono::steady_clock::duration(read_again).count();
    // One thread reads; the others go on with what was read before.
    if (now >= due && due_.compare_exchange_strong(due, next)) read();
    return real_.wall() + std::chrono::milliseconds(offset_.load());
  }
  base::SteadyTime steady() const override { return real_.steady(); }

 private:
  // What cannot be read as a number changes nothing.
  void read() const {
    const int fd = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    std::array<char, 32> text{};
    const ssize_t got = ::read(fd, text.data(), text.size());
    ::close(fd);
    std::int64_t offset = 0;
    if (got <= 0) return;
    const auto end = std::from_chars(text.data(), text.data() + got, offset);
    if (end.ec == std::errc()) offset_ = offset;
  }

  base::SystemClock real_;
  std::string file_;
  mutable std::atomic<std::int64_t> offset_{0};
  mutable std::atomic<std::int64_t> due_{0};  // steady time of the next reading
};

}  // namespace

int main(int argc, char** argv) {
  const char* const file = std::getenv("STERNPOST_CLOCK");
  const MovedClock clock(file ? file : "");
  return cli::program(argc, argv, clock);
}
