#include "audit/verify.h"

#include <algorithm>
#include <utility>

#include "audit/members.h"

namespace audit {

std::string BadRecord::str() const {
  return file.string() + ":" + std::to_string(line) + ": " + why;
}

namespace {

bool fits(const ChainLine& before, const ChainLine& line) {
  return before.link && line.link && line.link->seq == before.link->seq + 1 &&
         line.link->prev == before.hash;
}

BadRecord at(const ChainLine& line, std::string why) {
  return {line.file, line.number, std::move(why)};
}

std::string record(std::uint64_t seq) { return "record " + std::to_string(seq); }

std::string missing(std::uint64_t from, std::uint64_t to) {
  if (from == to) return record(from) + " is missing";
  return "records " + std::to_string(from) + " to " + std::to_string(to) + " are missing";
}

// The number is the one that belongs here, the hash is not.
BadRecord altered(const ChainLine& before, const ChainLine& line, const ChainLine* next,
                  const std::optional<Head>& known) {
  const bool intact = (next && fits(line, *next)) ||
                      (!next && known && *known == Head{line.link->seq, line.hash});
  if (intact) {
    return at(before, record(before.link->seq) +
                          " was altered: the one behind it holds the hash of another line");
  }
  if (next) return at(line, record(line.link->seq) + " was altered");
  return at(line, record(line.link->seq) +
                      " or the one before it was altered: prev is not the hash of that line");
}

}  // namespace

BadRecord diagnose(const ChainLine& before, const ChainLine& line,
                   std::span<const ChainLine> following, const std::optional<Head>& known) {
  const ChainLine* const next = following.empty() ? nullptr : &following.front();
  if (next && fits(before, *next) && !fits(*next, line)) {
    return at(line, line.link && line.link->seq <= before.link->seq
                        ? "a line was inserted: a second " + record(line.link->seq)
                        : "a line was inserted");
  }
  if (!line.link) return at(line, "not a record of the enforcement log");
  const std::uint64_t expected = before.link->seq + 1;
  const std::uint64_t seq = line.link->seq;
  if (seq == expected) return altered(before, line, next, known);
  if (line.link->prev == before.hash) {
    return at(line, "the record was altered: seq is " + std::to_string(seq) + ", expected " +
                        std::to_string(expected));
  }
  if (seq == before.link->seq) {
    const bool goes_on = (next && fits(line, *next)) ||
                         (known && *known == Head{line.link->seq, line.hash});
    return at(goes_on ? before : line, "a line was inserted: a second " + record(seq));
  }
  const auto later = std::ranges::find_if(
      following, [&](const ChainLine& one) { return fits(before, one); });
  if (later != following.end()) {
    return at(line, "out of order: " + record(expected) + " stands in line " +
                        std::to_string(later->number));
  }
  if (seq < expected) {
    return at(line, "out of order: seq is " + std::to_string(seq) + ", expected " +
                        std::to_string(expected));
  }
  return at(line, missing(expected, seq - 1));
}

namespace {

class Chain {
 public:
  Chain(LogFiles files, const std::optional<Head>& known)
      : files_(std::move(files)), known_(known) {}

  Verification run() {
    for (ChainLine line; read(line);) {
      if (!take(line)) break;
    }
    finish();
    return std::move(result_);
  }

 private:
  // The next line; false: there is no more.
  bool read(ChainLine& line) {
    for (;;) {
      if (!reader_ && !open_next()) return false;
      LineReader::Line found;
      const auto more = reader_->next(found);
      if (!more) return unreadable(more.error().text);
      if (!*more) {
        reader_.reset();
        continue;
      }
      const std::filesystem::path& path = files_.path(opened_ - 1);
      if (!found.ended && opened_ == files_.size()) {
        result_.torn = BadRecord{path, found.number, "the last line has no end yet"};
        continue;
      }
      line.file = path;
      line.number = found.number;
      line.link.reset();
      if (found.ended && !found.cut && members_.read(found.text)) line.link = link_of(members_);
      line.hash = sha_.hex(found.text);
      return true;
    }
  }

  bool open_next() {
    while (opened_ < files_.size()) {
      auto reader = files_.open(opened_++);
      if (!reader) return unreadable(reader.error().text);
      // Past its retention meanwhile; a file missing in between shows by its numbers.
      if (!*reader) {
        gone_ = gone_ || result_.records > 0;
        continue;
      }
      ++result_.files;
      reader_ = std::move(**reader);
      return true;
    }
    return false;
  }

  bool unreadable(std::string why) {
    if (!result_.unreadable) result_.unreadable = std::move(why);
    opened_ = files_.size();
    reader_.reset();
    return false;
  }

  // Whether the line fits; if not, result_.bad says what is at fault.
  bool take(ChainLine& line) {
    if (std::exchange(gone_, false) && !fits(before_, line)) {
      // Retention deletes from the oldest on: what was read by now is gone, too. Where it was
      // somebody else, compare_beginning() says so.
      result_ = Verification{};
      result_.files = 1;
    }
    if (result_.records == 0 && !first(line)) return false;
    if (result_.records > 0 && !fits(before_, line) && !was_elsewhere(line)) {
      std::vector<ChainLine> following;
      for (ChainLine one; following.size() < lines_looked_at && read(one);) {
        following.push_back(one);
      }
      result_.bad = diagnose(before_, line, following, known_);
      return false;
    }
    if (known_ && line.link->seq == known_->seq && line.hash != known_->hash) {
      result_.bad = at(line, record(known_->seq) + " is not the line whose hash is known");
      return false;
    }
    ++result_.records;
    result_.head = Head{line.link->seq, line.hash};
    result_.last_time = line.link->time;
    before_ = std::move(line);
    return true;
  }

  // `line` is the one that was read last. A daemon that comes back to this file goes on with the
  // number and the hash of the other one (Writer::compare), and says so in its first record, which
  // the chain holds fast like any other. A known head from in between cannot be compared here.
  bool was_elsewhere(const ChainLine& line) {
    constexpr std::size_t most = 100;
    if (!line.link || line.link->seq <= before_.link->seq + 1) return false;
    const std::uint64_t last = line.link->seq - 1;
    if (known_ && known_->seq > before_.link->seq && known_->seq <= last) return false;
    if (!members_.is(key_index("event"), "start")) return false;
    const std::optional<std::string> reason = members_.text(key_index("reason"));
    if (!reason || reason->find(was_another_log(last)) == std::string::npos) return false;
    if (result_.elsewhere.size() >= most) return false;
    const std::uint64_t from = before_.link->seq + 1;
    result_.elsewhere.push_back(
        at(line, (from == last ? record(from) + " is" : "records " + std::to_string(from) +
                                                            " to " + std::to_string(last) +
                                                            " are") +
                     " in another log, as this record says: " + *reason));
    return true;
  }

  bool first(const ChainLine& line) {
    if (!line.link) {
      result_.bad = at(line, "not a record of the enforcement log");
      return false;
    }
    if ((line.link->seq == 1) != line.link->prev.empty()) {
      result_.bad = at(line, line.link->prev.empty() ? "prev is null, but seq is not 1"
                                                     : "prev is not null in record 1");
      return false;
    }
    if (known_ && line.link->seq == known_->seq + 1 && line.link->prev != known_->hash) {
      result_.bad = at(line, "prev is not the hash that is known of " + record(known_->seq));
      return false;
    }
    result_.first_seq = line.link->seq;
    result_.first_prev = line.link->prev;
    result_.first_time = line.link->time;
    result_.first_file = line.file;
    return true;
  }

  void finish() {
    if (result_.bad || result_.unreadable || !known_) return;
    result_.head_is_older = result_.records > 0 && known_->seq + 1 < result_.first_seq;
    if (known_->seq <= result_.head.seq || known_->seq == 0) return;
    ChainLine end = before_;
    if (result_.records == 0 && files_.size() > 0) end.file = files_.path(files_.size() - 1);
    ++end.number;
    result_.ends_early = true;
    result_.bad = at(end, missing(result_.head.seq + 1, known_->seq) + " at the end");
  }

  LogFiles files_;
  const std::optional<Head>& known_;
  std::size_t opened_ = 0;
  bool gone_ = false;  // a file that was listed, behind the line read last
  std::optional<LineReader> reader_;
  Members members_;
  Sha256 sha_;
  ChainLine before_;
  Verification result_;
};

}  // namespace

Verification verify(LogFiles files, const std::optional<Head>& known) {
  return Chain(std::move(files), known).run();
}

Verification verify(std::span<const std::filesystem::path> files,
                    const std::optional<Head>& known) {
  return verify(LogFiles::named({files.begin(), files.end()}), known);
}

void compare_beginning(Verification& result, const Head& removed,
                       const std::optional<Head>& known) {
  if (result.records == 0) {
    if (!result.ends_early || !known) return;
    if (known->seq > removed.seq) {
      result.bad->why = missing(removed.seq + 1, known->seq) + " at the end";
      return;
    }
    result.bad.reset();
    result.ends_early = false;
    return;
  }
  std::string why;
  if (result.first_seq > removed.seq + 1) {
    why = missing(removed.seq + 1, result.first_seq - 1);
    why += " at the beginning; retention has removed none";
    if (removed.seq > 0) why += " behind " + record(removed.seq);
  } else if (result.first_seq == removed.seq + 1 && result.first_prev != removed.hash) {
    why = "prev is not the hash of ";
    why += record(removed.seq);
    why += ", the last one that retention removed";
  } else {
    return;
  }
  result.beginning = BadRecord{result.first_file, 1, std::move(why)};
}

}  // namespace audit
