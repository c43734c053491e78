#include "metrics/cells.h"

#include <algorithm>
#include <limits>
#include <new>

namespace metrics {

namespace {

std::size_t combinations(const std::vector<Label>& labels) {
  std::size_t count = 1;
  for (const Label& label : labels) count *= label.values.size();
  return count;
}

}  // namespace

void Cells::Free::operator()(Cell* cells) const {
  ::operator delete(cells, std::align_val_t(line));
}

Cells::Cells(std::size_t size) {
  constexpr std::size_t cells_a_line = line / sizeof(Cell);
  stride_ = (size + cells_a_line - 1) / cells_a_line * cells_a_line;
  void* const memory = ::operator new(shards * stride_ * sizeof(Cell), std::align_val_t(line));
  Cell* const cells = static_cast<Cell*>(memory);
  for (std::size_t i = 0; i < shards * stride_; ++i) new (cells + i) Cell(0);
  block_.reset(cells);
}

// A thread's number, not a value that anybody could read back.
std::size_t Cells::own_shard() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed) % shards;
  return mine;
}

std::int64_t Cells::sum(std::size_t cell) const {
  std::int64_t sum = 0;
  for (std::size_t shard = 0; shard < shards; ++shard) {
    sum += block_[shard * stride_ + cell].load(std::memory_order_relaxed);
  }
  return sum;
}

Labelled::Labelled(Type type, std::string name, std::string help, std::vector<Label> labels)
    : type_(type),
      name_(std::move(name)),
      help_(std::move(help)),
      labels_(std::move(labels)),
      cells_(combinations(labels_)) {}

bool Labelled::change(std::initializer_list<std::string_view> values, std::int64_t by) {
  if (values.size() != labels_.size()) return false;
  std::size_t cell = 0;
  auto value = values.begin();
  for (const Label& label : labels_) {
    const auto found = std::ranges::find(label.values, *value++);
    if (found == label.values.end()) return false;
    cell = cell * label.values.size() +
           static_cast<std::size_t>(found - label.values.begin());
  }
  cells_.add(cell, by);
  return true;
}

Family Labelled::collect() const {
  Family family;
  family.name = name_;
  family.help = help_;
  family.type = type_;
  const std::size_t count = combinations(labels_);
  for (std::size_t cell = 0; cell < count; ++cell) {
    Sample sample;
    std::size_t rest = count;
    for (const Label& label : labels_) {
      rest /= label.values.size();
      sample.labels.emplace_back(label.name, label.values[cell / rest % label.values.size()]);
    }
    sample.value = static_cast<double>(cells_.sum(cell));
    family.samples.push_back(std::move(sample));
  }
  return family;
}

std::int64_t Labelled::sum() const {
  std::int64_t sum = 0;
  for (std::size_t cell = 0; cell < combinations(labels_); ++cell) sum += cells_.sum(cell);
  return sum;
}

Histogram::Histogram(std::string name, std::string help, std::vector<double> bounds)
    : name_(std::move(name)),
      help_(std::move(help)),
      bounds_(std::move(bounds)),
      cells_(bounds_.size() + 2) {}

void Histogram::observe(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto bound = std::ranges::lower_bound(bounds_, seconds);
  cells_.add(static_cast<std::size_t>(bound - bounds_.begin()), 1);
  cells_.add(bounds_.size() + 1,
             std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

Family Histogram::collect() const {
  Family family;
  family.name = name_;
  family.help = help_;
  family.type = Type::histogram;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i <= bounds_.size(); ++i) {
    below += static_cast<std::uint64_t>(cells_.sum(i));
    const double bound =
        i < bounds_.size() ? bounds_[i] : std::numeric_limits<double>::infinity();
    family.buckets.push_back({bound, below});
  }
  family.sum = static_cast<double>(cells_.sum(bounds_.size() + 1)) / 1e6;
  return family;
}

}  // namespace metrics
