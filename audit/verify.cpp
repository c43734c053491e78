#include "audit/verify.h"

#include <fstream>

#include "audit/record.h"

namespace audit {

std::string BadRecord::str() const {
  return file.string() + ":" + std::to_string(line) + ": " + why;
}

std::optional<std::string> ChainCheck::next(std::string_view line) {
  const std::optional<Link> link = parse_link(line);
  if (!link) return "not a record of the enforcement log";
  if (records_ > 0) {
    const std::uint64_t expected = head_.seq + 1;
    if (link->seq > expected + 1) {
      return "records " + std::to_string(expected) + " to " + std::to_string(link->seq - 1) +
             " are missing";
    }
    if (link->seq == expected + 1) return "record " + std::to_string(expected) + " is missing";
    if (link->seq < expected) {
      return "seq is " + std::to_string(link->seq) + ", expected " + std::to_string(expected);
    }
    if (link->prev != head_.hash) return "prev is not the hash of the line before";
  } else if ((link->seq == 1) != link->prev.empty()) {
    return link->prev.empty() ? "prev is null, but seq is not 1" : "prev is not null in record 1";
  }
  if (records_ == 0) first_seq_ = link->seq;
  head_ = Head{link->seq, sha_.hex(line)};
  ++records_;
  return std::nullopt;
}

namespace {

class Reader {
 public:
  Reader(Verification& result, const std::optional<Head>& stored)
      : result_(result), stored_(stored) {}

  // False: a bad record was found.
  bool read(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return bad(file, 1, "the file cannot be read");
    std::uint64_t number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      if (in.eof()) return bad(file, number, "the line is torn: it has no newline");
      if (auto why = check_.next(line)) return bad(file, number, std::move(*why));
      if (stored_ && check_.head().seq == stored_->seq && check_.head() != *stored_) {
        return bad(file, number, "the line is not the one whose hash is stored");
      }
    }
    if (in.bad()) return bad(file, number + 1, "the file cannot be read");
    last_file_ = file;
    last_line_ = number;
    return true;
  }

  void finish() {
    result_.records = check_.records();
    result_.first_seq = check_.first_seq();
    result_.head = check_.head();
    if (result_.bad || !stored_ || stored_->seq <= check_.head().seq) return;
    bad(last_file_, last_line_ + 1,
        "records up to " + std::to_string(stored_->seq) + " are missing at the end");
  }

 private:
  bool bad(const std::filesystem::path& file, std::uint64_t line, std::string why) {
    result_.bad = BadRecord{file, line, std::move(why)};
    return false;
  }

  Verification& result_;
  const std::optional<Head>& stored_;
  ChainCheck check_;
  std::filesystem::path last_file_;
  std::uint64_t last_line_ = 0;
};

}  // namespace

Verification verify(std::span<const std::filesystem::path> files,
                    const std::optional<Head>& stored) {
  Verification result;
  Reader reader(result, stored);
  for (const std::filesystem::path& file : files) {
    if (!reader.read(file)) break;
  }
  reader.finish();
  return result;
}

}  // namespace audit
