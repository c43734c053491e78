#include "audit/writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/log.h"

namespace audit {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t batch_limit = 1 << 20;

void note(std::string& notes, const std::string& text) {
  if (!notes.empty()) notes += "; ";
  notes += text;
}

std::string next_name(const std::filesystem::path& path) { return path.string() + ".next"; }

// The octets [from, end of file) into `to`; false where that failed.
bool copy_rest(int fd, std::uint64_t from, std::uint64_t size, const std::string& to) {
  std::ofstream out(to, std::ios::binary | std::ios::app);
  std::string buffer(65536, '\0');
  while (out && from < size) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(from));
    if (got <= 0) return false;
    out.write(buffer.data(), got);
    from += static_cast<std::uint64_t>(got);
  }
  out.close();
  return !out.fail();
}

}  // namespace

Writer::Writer(const LogOptions& options, ChainHead& store, const base::Clock& clock,
               Budget& budget)
    : options_(options),
      store_(store),
      clock_(clock),
      budget_(budget),
      retention_(options, store) {}

void Writer::complain(const std::string& text) {
  const auto now = Steady::now();
  if (now < complaint_due_) return;
  complaint_due_ = now + std::chrono::minutes(1);
  base::log_error("", "enforcement log " + options_.path.string() + ": " + text);
}

std::int64_t Writer::period_of(base::WallTime time) const {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  return options_.rotate.count() > 0 ? seconds / options_.rotate.count() : 0;
}

// ---- opening ------------------------------------------------------------------------------------

base::Result<std::string, base::Error> Writer::open() {
  auto known = store_.load();
  std::optional<Head> stored;
  if (known) stored = *known;
  saved_ = stored.value_or(Head{});
  auto removed = retention_.load();
  auto notes = attach(stored, Known::stored);
  if (!notes) return notes;
  if (!known) {
    // The store cannot be read: the file alone says where the chain stands.
    note(*notes, "the stored head could not be read: " + known.error().text);
    return notes;
  }
  if (removed) removed = retention_.begin(head_);
  if (!removed) complain("what retention removed is not known: " + removed.error().text);
  return notes;
}

base::Result<std::string, base::Error> Writer::attach(const std::optional<Head>& known,
                                                      Known source) {
  auto file = LogFile::open(options_.path);
  if (!file) return base::fail(file.error());
  file_ = std::make_unique<LogFile>(std::move(*file));
  (void)::unlink(next_name(options_.path).c_str());
  std::string notes;
  auto tail = repair(known ? known->seq : 0, notes);
  if (!tail) return base::fail(base::Error{options_.path.string() + ": " + tail.error().text});
  compare(*tail, known, source, notes);
  period_ = period_of(clock_.wall());
  if (const auto first = read_first_line(options_.path)) {
    if (const auto time = parse_rfc3339(first->time)) period_ = period_of(*time);
  }
  look_due_ = Steady::now() + std::chrono::seconds(1);
  extend();
  return {boost::system::in_place_value, std::move(notes)};
}

// The file's tail with its last line whole, or that of the newest rotated file where it is empty.
base::Result<Tail, base::Error> Writer::repair(std::uint64_t known_seq, std::string& notes) {
  auto tail = read_tail(file_->fd(), known_seq);
  if (!tail) return tail;
  if (tail->whole < tail->size) {
    if (tail->lacks_newline && file_->append("\n")) {
      note(notes, "the newline missing from the last line was added");
      return read_tail(file_->fd(), known_seq);
    }
    const std::string aside = options_.path.string() + ".torn-" + file_stamp(clock_.wall());
    const bool kept = copy_rest(file_->fd(), tail->whole, tail->size, aside);
    auto cut = file_->cut(tail->whole);
    if (!cut) return base::fail(cut.error());
    note(notes, "a torn last line of " + std::to_string(tail->size - tail->whole) + " octets was " +
                    (kept ? "moved to " + aside : "removed"));
  }
  if (tail->unreadable > 0) {
    note(notes, std::to_string(tail->unreadable) + " lines at the end are no records");
  }
  if (tail->whole > 0) return tail;
  const std::vector<RotatedFile> rotated = rotated_files(options_.path);
  if (rotated.empty()) return tail;
  if (is_compressed(rotated.back().path)) {
    return read_compressed_tail(rotated.back().path, known_seq);
  }
  const int fd = ::open(rotated.back().path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return base::fail(rotated.back().path.string() + ": " + std::strerror(errno));
  auto older = read_tail(fd, known_seq);
  ::close(fd);
  return older;
}

// Where the chain goes on. What does not fit is said, and left for verify to find: behind a line
// that is not ours the chain goes on from the hash that is known, so that it never fits that line.
void Writer::compare(const Tail& tail, const std::optional<Head>& known, Known source,
                     std::string& notes) {
  head_ = tail.head.value_or(Head{});
  if (!known) {
    if (tail.head) note(notes, "no stored head; the chain goes on from the file's last line");
    return;
  }
  if (known->seq > head_.seq) {
    // All of them may be past their retention, where no mail came for as long.
    const std::uint64_t last = std::max(head_.seq, retention_.removed().value_or(Head{}).seq);
    if (source == Known::stored && !retention_.elsewhere().empty()) {
      note(notes, was_another_log(known->seq) + retention_.elsewhere().string());
    } else if (known->seq > last) {
      note(notes, "records " + std::to_string(last + 1) + " to " + std::to_string(known->seq) +
                      " are missing from the file");
    }
    head_ = *known;
  } else if (tail.hash_of_known && *tail.hash_of_known != known->hash &&
             source == Known::stored && !retention_.elsewhere().empty()) {
    note(notes, "the stored head is that of " + retention_.elsewhere().string() +
                    "; this log goes on from its own record " + std::to_string(head_.seq));
  } else if (tail.hash_of_known && *tail.hash_of_known != known->hash) {
    note(notes, "record " + std::to_string(known->seq) + " is not the one that was written");
    head_.hash = known->hash;
  } else if (source == Known::written && head_.seq > known->seq + tail.unreadable) {
    // After a kill the store is behind the file; this writer never is.
    note(notes, "records " + std::to_string(known->seq + 1) + " to " + std::to_string(head_.seq) +
                    " were written by another program");
    head_.hash = known->hash;
  }
}

// ---- upkeep -------------------------------------------------------------------------------------

std::string Writer::maintain() {
  std::string notes;
  const auto steady = Steady::now();
  const base::WallTime now = clock_.wall();
  if (steady >= look_due_) {
    look_due_ = steady + std::chrono::seconds(1);
    if (!file_->is_at(options_.path)) {
      budget_.window = 0;
      file_->unlock();  // it may be the same file, changed
      auto attached = attach(head_, Known::written);
      if (attached) {
        note(*attached, "the file was moved, replaced or changed by another program");
        notes = std::move(*attached);
      } else {
        complain("the file was moved away: " + attached.error().text);
      }
    }
  }
  if (file_->end() == 0) period_ = period_of(now);
  if (budget_.healthy && period_of(now) > period_ && steady >= rotate_due_) rotate(now);
  if (steady >= expire_due_) {
    expire_due_ = steady + std::chrono::hours(1);
    auto expired = retention_.expire(now, head_);
    if (!expired) complain("retention waits: " + expired.error().text);
  }
  extend();
  return notes;
}

void Writer::extend(bool now) {
  const auto promised = static_cast<std::uint64_t>(std::max<std::int64_t>(
      budget_.promised->load(), 0));
  const std::uint64_t target = std::max(options_.window, 4 * promised);
  const auto steady = Steady::now();
  if (file_->window() < target - target / 4 && (now || steady >= extend_due_)) {
    auto extended = file_->extend(target);
    if (!extended || file_->window() < target / 2) extend_due_ = steady + std::chrono::seconds(1);
    if (!extended) complain("no space: " + extended.error().text);
  }
  publish_window();
}

void Writer::rotate(base::WallTime now) {
  rotate_due_ = Steady::now() + std::chrono::minutes(1);  // where it fails, the file goes on
  auto next = LogFile::open(next_name(options_.path));
  if (!next) return complain("rotation: " + next.error().text);
  const std::uint64_t target = std::max(options_.window, file_->window());
  auto extended = next->extend(target);
  // Promises made on the old file must hold on the new one: the smaller window first, then look.
  const auto window = static_cast<std::int64_t>(std::min(next->window(), file_->window()));
  budget_.window = window;
  if (!extended || budget_.promised->load() > window || !swap_files(file_stamp(now))) {
    (void)::unlink(next_name(options_.path).c_str());
    publish_window();
    return complain("rotation: no space for a new file, or no right to rename");
  }
  (void)file_->cut(file_->end());
  file_->sync();
  *file_ = std::move(*next);
  publish_window();
  period_ = period_of(now);
  rotate_due_ = {};
  expire_due_ = {};
  save_head(true);
}

// The file to its rotated name, the next one (open and locked) to the log's.
bool Writer::swap_files(const std::string& stamp) {
  for (unsigned number = 1; number < 10000; ++number) {
    const auto aside = rotated_name(options_.path, stamp, number);
    if (::renameat2(AT_FDCWD, options_.path.c_str(), AT_FDCWD, aside.c_str(), RENAME_NOREPLACE) ==
        0) {
      if (::rename(next_name(options_.path).c_str(), options_.path.c_str()) == 0) return true;
      (void)::rename(aside.c_str(), options_.path.c_str());
      return false;
    }
    if (errno != EEXIST) return false;
  }
  return false;
}

// ---- writing ------------------------------------------------------------------------------------

bool Writer::write(std::deque<QueuedLine>& lines) {
  std::deque<QueuedLine> kept;  // no room for these yet
  while (!lines.empty()) {
    std::string batch;
    std::deque<QueuedLine> taken;
    Head head = head_;
    while (!lines.empty() && batch.size() < batch_limit) {
      const std::string line = complete(lines.front().line, head.seq + 1, head.hash);
      const auto size = static_cast<std::int64_t>(line.size() + 1);
      // The window first, then the promises: `reserve` raises its promise first, then looks.
      const std::int64_t left = budget_.window.fetch_sub(size) - size;
      if (!lines.front().reservation.holds() && left < budget_.promised->load()) {
        budget_.window.fetch_add(size);
        kept.push_back(std::move(lines.front()));
        lines.pop_front();
        continue;
      }
      head = Head{head.seq + 1, sha_.hex(line)};
      batch += line;
      batch += '\n';
      taken.push_back(std::move(lines.front()));
      lines.pop_front();
    }
    auto written = file_->append(batch);
    if (!written) {
      publish_window();
      complain(written.error().text);
      for (; !taken.empty(); taken.pop_back()) lines.push_front(std::move(taken.back()));
      for (; !kept.empty(); kept.pop_back()) lines.push_front(std::move(kept.back()));
      return false;
    }
    publish_window();
    head_ = head;
    extend();
  }
  lines = std::move(kept);
  return true;
}

void Writer::save_head(bool now) {
  if (saved_ == head_) return;
  const auto steady = Steady::now();
  if (!now && steady < head_due_) return;
  head_due_ = steady + std::chrono::seconds(1);
  auto saved = store_.save(head_);
  if (saved) {
    saved_ = head_;
  } else {
    complain("the head could not be stored: " + saved.error().text);
  }
}

void Writer::close() {
  (void)file_->cut(file_->end());
  file_->sync();
  budget_.window = 0;
  save_head(true);
}

}  // namespace audit
