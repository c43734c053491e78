#include "audit/retention.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "audit/record.h"
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
  auto stored = store_.load_removed();
  if (!stored) return base::fail(std::move(stored.error()));
  loaded_ = true;
  const auto is_same = [this](const std::filesystem::path& log) {
    return log.lexically_normal() == options_.path.lexically_normal();
  };
  if (*stored && !is_same((*stored)->log)) {
    elsewhere_ = std::move((*stored)->log);
    return {};
  }
  const std::lock_guard lock(mutex_);
  if (*stored) removed_ = (*stored)->last;
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
  auto saved = store_.save_removed({removed, options_.path});
  if (!saved) return saved;
  elsewhere_.clear();
  const std::lock_guard lock(mutex_);
  removed_ = removed;
  return {};
}

// Deletes from the oldest on, so that no hole is left where a clock was wrong or a file stays, and
// only what is past by its name and by its last record: a name, anybody who may write the folder
// can give. A file whose end cannot be read goes by its name, and vouches for nothing.
base::Result<void, base::Error> Retention::expire(base::WallTime now, const Head& head) {
  if (options_.retention.count() <= 0) return {};
  const base::WallTime limit = now - options_.retention;
  const std::string oldest = file_stamp(limit);
  const std::vector<RotatedFile> files = rotated_files(options_.path);
  const std::string present = file_stamp(now);
  std::size_t past = 0;      // so many of them
  std::optional<Head> last;  // of those
  std::optional<Head> end;
  for (std::size_t i = 0; i < files.size(); ++i) {
    // A time that is still to come was a wrong clock's: the files behind it tell.
    const bool tells = files[i].stamp <= present;
    if (tells && files[i].stamp >= oldest) break;
    const std::optional<Tail> tail = read_end(files[i].path);
    const auto time = tail && tail->head ? parse_rfc3339(tail->time) : std::nullopt;
    if (tells && time && *time >= limit && *time <= now) break;
    if (tail && tail->head) end = tail->head;
    if (!tells || (time && *time > now)) continue;
    past = i + 1;
    last = end;
  }
  if (past == 0) return {};
  std::vector<std::filesystem::path> kept;
  for (std::size_t i = past; i < files.size(); ++i) kept.push_back(files[i].path);
  kept.push_back(options_.path);
  // With no record left the next one goes on from the head.
  const Head before = before_first(kept).value_or(head);
  const std::optional<Head> known = removed();
  // What was gone before, retention did not remove.
  if (last && last->seq <= before.seq && (!known || last->seq > known->seq)) {
    auto saved = keep(*last);
    if (!saved) return saved;
  }
  for (std::size_t i = 0; i < past; ++i) {
    const std::filesystem::path& file = files[i].path;
    if (::unlink(file.c_str()) == 0) {
      base::log_info("", "enforcement log: " + file.string() + " is past its retention");
    } else if (errno != ENOENT) {
      return base::fail(file.string() + " is past its retention and cannot be removed: " +
                        std::strerror(errno));
    }
  }
  return {};
}

}  // namespace audit
