#include "audit/retention.h"

#include <unistd.h>

#include <span>
#include <utility>

#include "base/log.h"

namespace audit {
namespace {

// The record before the first one of these files: by its number and what that one says of it.
std::optional<Head> before_first(std::span<const std::filesystem::path> files) {
  for (const std::filesystem::path& file : files) {
    const std::optional<FirstLine> first = read_first_line(file);
    if (first && first->seq > 0) return Head{first->seq - 1, first->prev};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Head> Retention::removed() const {
  const std::lock_guard lock(mutex_);
  return removed_;
}

base::Result<void, base::Error> Retention::load() {
  auto stored = store_.load_removed(options_.path);
  if (!stored) return base::fail(std::move(stored.error()));
  loaded_ = true;
  const std::lock_guard lock(mutex_);
  removed_ = *stored;
  return {};
}

base::Result<void, base::Error> Retention::begin(const Head& head) {
  if (!loaded_) return {};
  const std::optional<Head> known = removed();
  if (known && (head.seq > 0 || known->seq == 0)) return {};
  if (head.seq == 0) return keep(Head{});  // a log that begins
  return keep(before_first(chain_files(options_.path)).value_or(head));
}

base::Result<void, base::Error> Retention::keep(const Head& removed) {
  auto saved = store_.save_removed(options_.path, removed);
  if (!saved) return saved;
  const std::lock_guard lock(mutex_);
  removed_ = removed;
  return {};
}

base::Result<void, base::Error> Retention::expire(base::WallTime now, const Head& head) {
  if (options_.retention.count() <= 0) return {};
  const std::string oldest = file_stamp(now - options_.retention);
  std::vector<std::filesystem::path> past;
  std::vector<std::filesystem::path> kept;
  for (RotatedFile& file : rotated_files(options_.path)) {
    (file.stamp < oldest ? past : kept).push_back(std::move(file.path));
  }
  if (past.empty()) return {};
  kept.push_back(options_.path);
  // With no record left the next one goes on from the head.
  const Head last = before_first(kept).value_or(head);
  const std::optional<Head> known = removed();
  if (!known || last.seq > known->seq) {
    auto saved = keep(last);
    if (!saved) return saved;
  }
  for (const std::filesystem::path& file : past) {
    if (::unlink(file.c_str()) == 0) {
      base::log_info("", "enforcement log: " + file.string() + " is past its retention");
    }
  }
  return {};
}

}  // namespace audit
