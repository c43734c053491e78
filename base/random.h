// Random: the source of chance, passed in. MX order within a preference, jitter, transaction IDs.
// Production seeds it from the kernel; tests from a number.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace base {

class Random {
 public:
  Random() : engine_(std::random_device{}() | (std::uint64_t{std::random_device{}()} << 32)) {}
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t next() { return engine_(); }
  // 0 … bound-1; bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(engine_);
  }
  // A transaction's ID: 13 characters of Crockford's base 32, 65 bits of which 64 are random.
  std::string id();

 private:
  std::mt19937_64 engine_;
};

}  // namespace base
