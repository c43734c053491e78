// Counting without a lock and without a cache line that two threads write: Cells are numbers of
// which each thread has a copy of its own (relaxed atomics, added up when somebody asks); Counters,
// Gauges and Histogram are families made of them. Which labels a family has, and every value they
// can take, is fixed when it is made: no label ever comes from a domain, a host or a user. Written
// by sessions, read by whoever shows them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/family.h"

namespace metrics {

class Cells {
 public:
  explicit Cells(std::size_t size);
  void add(std::size_t cell, std::int64_t value) {
    block_[own_shard() * stride_ + cell].fetch_add(value, std::memory_order_relaxed);
  }
  std::int64_t sum(std::size_t cell) const;

 private:
  static constexpr std::size_t line = 64;    // octets of a cache line
  static constexpr std::size_t shards = 64;  // threads beyond share theirs
  using Cell = std::atomic<std::int64_t>;
  static_assert(Cell::is_always_lock_free);
  struct Free {
    void operator()(Cell* cells) const;
  };
  // The same for all that one thread ever counts.
  static std::size_t own_shard();

  std::size_t stride_;
  std::unique_ptr<Cell[], Free> block_;
};

struct Label {
  std::string name;
  std::vector<std::string> values;
};

// A family with one cell for each combination of its labels' values.
class Labelled {
 public:
  Labelled(Type type, std::string name, std::string help, std::vector<Label> labels);
  // All of them, zeros too, so that a rate sees the first event.
  Family collect() const;
  std::int64_t sum() const;  // over all combinations

 protected:
  // One value for each label, in their order; false, and nothing is counted, for a word that is
  // none of them.
  bool change(std::initializer_list<std::string_view> values, std::int64_t by);

 private:
  Type type_;
  std::string name_;
  std::string help_;
  std::vector<Label> labels_;
  Cells cells_;
};

class Counters : public Labelled {
 public:
  Counters(std::string name, std::string help, std::vector<Label> labels = {})
      : Labelled(Type::counter, std::move(name), std::move(help), std::move(labels)) {}
  bool add(std::initializer_list<std::string_view> values = {}, std::uint64_t by = 1) {
    return change(values, static_cast<std::int64_t>(by));
  }
};

class Gauges : public Labelled {
 public:
  Gauges(std::string name, std::string help, std::vector<Label> labels = {})
      : Labelled(Type::gauge, std::move(name), std::move(help), std::move(labels)) {}
  bool add(std::initializer_list<std::string_view> values, std::int64_t by) {
    return change(values, by);
  }
};

// Durations, in seconds.
class Histogram {
 public:
  // `bounds`: ascending, without infinity.
  Histogram(std::string name, std::string help, std::vector<double> bounds);
  void observe(std::chrono::nanoseconds duration);
  Family collect() const;

 private:
  std::string name_;
  std::string help_;
  std::vector<double> bounds_;
  Cells cells_;  // one for each bound, infinity's, and the sum in microseconds
};

}  // namespace metrics
