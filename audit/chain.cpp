#include "audit/chain.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <tuple>

#include "audit/hash.h"
#include "audit/lines.h"
#include "audit/record.h"
#include "tlsrpt/gzip.h"

namespace audit {
namespace {

base::Error system_error(const char* what) {
  return {std::string(what) + ": " + std::strerror(errno)};
}

// The file's octets [from, from + out.size()).
base::Result<void, base::Error> read_at(int fd, std::string& out, std::uint64_t from) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(from + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail(system_error("read"));
    if (got == 0) return base::fail("read: the file became shorter");
    done += static_cast<std::size_t>(got);
  }
  return {};
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

// Looks through the whole lines in `text`, last first. False: more of the file is needed.
bool scan(std::string_view text, bool from_start, std::uint64_t known_seq, Tail& tail) {
  Sha256 sha;
  const std::vector<std::string_view> lines = split_lines(text);
  tail.head.reset();
  tail.unreadable = 0;
  std::string last_hash;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if (last_hash.empty()) last_hash = sha.hex(*line);
    const std::optional<Link> link = parse_link(*line);
    if (!link) {
      if (!tail.head) ++tail.unreadable;
      continue;
    }
    if (!tail.head) {
      // Lines that are no records count as one each, so that the next number is a new one, and the
      // chain goes on from the file's last bytes whatever they are.
      tail.head = Head{link->seq + tail.unreadable, last_hash};
      tail.time = link->time;
      if (known_seq == 0 || link->seq < known_seq) return true;
    }
    if (link->seq == known_seq) tail.hash_of_known = sha.hex(*line);
    if (link->seq <= known_seq) return true;
  }
  return from_start;
}

bool completes(std::string_view torn, const std::optional<Head>& head) {
  const std::optional<Link> link = parse_link(torn);
  if (!link) return false;
  if (!head) return link->seq == 1 && link->prev.empty();
  return link->seq == head->seq + 1 && link->prev == head->hash;
}

// STEM-STAMP[-NUMBER]EXTENSION; the stamp and number, or nullopt.
std::optional<std::pair<std::string, unsigned>> rotated_stamp(const std::string& name,
                                                              const std::string& stem,
                                                              const std::string& extension) {
  static constexpr std::size_t stamp_size = 16;
  const std::size_t least = stem.size() + 1 + stamp_size + extension.size();
  if (name.size() < least || !name.starts_with(stem + "-") || !name.ends_with(extension)) {
    return std::nullopt;
  }
  const std::string stamp = name.substr(stem.size() + 1, stamp_size);
  static constexpr std::string_view form = "00000000T000000Z";
  for (std::size_t i = 0; i < stamp_size; ++i) {
    const bool digit = stamp[i] >= '0' && stamp[i] <= '9';
    if (form[i] == '0' ? !digit : stamp[i] != form[i]) return std::nullopt;
  }
  const std::string rest = name.substr(stem.size() + 1 + stamp_size, name.size() - least);
  if (rest.empty()) return std::pair(stamp, 1U);
  if (rest[0] != '-' || rest.size() < 2 || rest.size() > 6) return std::nullopt;
  unsigned number = 0;
  for (char c : rest.substr(1)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return std::pair(stamp, number);
}

}  // namespace

base::Result<Tail, base::Error> read_tail(int fd, std::uint64_t known_seq) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return base::fail(system_error("stat"));
  Tail tail;
  tail.size = static_cast<std::uint64_t>(status.st_size);
  // Twice as much each time, until there is enough or no more.
  for (std::uint64_t want = 65536;; want *= 4) {
    const std::uint64_t length = std::min(want, tail.size);
    std::string text(length, '\0');
    auto read = read_at(fd, text, tail.size - length);
    if (!read) return base::fail(read.error());
    const bool from_start = length == tail.size;
    const std::size_t last = text.rfind('\n');
    const std::size_t whole = last == std::string::npos ? 0 : last + 1;
    std::size_t first = 0;  // of a line
    if (!from_start) first = std::min(text.find('\n'), text.size() - 1) + 1;
    if (last == std::string::npos && !from_start) continue;
    tail.whole = tail.size - length + whole;
    const std::string_view lines(text.data() + std::min(first, whole),
                                 whole - std::min(first, whole));
    if (!scan(lines, from_start, known_seq, tail)) continue;
    tail.lacks_newline = completes(std::string_view(text).substr(whole), tail.head);
    return tail;
  }
}

bool is_compressed(const std::filesystem::path& file) { return file.extension() == ".gz"; }

base::Result<Tail, base::Error> read_compressed_tail(const std::filesystem::path& file,
                                                     std::uint64_t known_seq) {
  auto reader = LineReader::open(file);
  if (!reader) return base::fail(std::move(reader.error()));
  Tail tail;
  Sha256 sha;
  std::optional<Link> last;
  LineReader::Line line;
  for (;;) {
    const auto more = reader->next(line);
    if (!more) return base::fail(more.error());
    if (!*more) break;
    tail.size += line.text.size() + 1;
    const std::optional<Link> link = parse_link(line.text);
    if (link) last = link;
    tail.unreadable = link ? 0 : tail.unreadable + 1;
    const std::string hash = sha.hex(line.text);
    if (last) tail.head = Head{last->seq + tail.unreadable, hash};
    if (link && link->seq == known_seq) tail.hash_of_known = hash;
  }
  if (last) tail.time = last->time;
  tail.whole = tail.size;
  return tail;
}

std::optional<Tail> read_end(const std::filesystem::path& file) {
  if (is_compressed(file)) {
    auto tail = read_compressed_tail(file, 0);
    return tail ? std::optional(std::move(*tail)) : std::nullopt;
  }
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  auto tail = read_tail(fd, 0);
  ::close(fd);
  return tail ? std::optional(std::move(*tail)) : std::nullopt;
}

std::optional<FirstLine> read_first_line(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string line(2 * line_limit, '\0');
  in.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<std::size_t>(in.gcount()));
  if (line.starts_with("\x1f\x8b")) line = tlsrpt::gunzip_front(line, 2 * line_limit);
  const std::size_t end = line.find('\n');
  if (end == std::string::npos) return std::nullopt;
  const std::optional<Link> link = parse_link(std::string_view(line).substr(0, end));
  if (!link) return std::nullopt;
  return FirstLine{link->seq, link->prev, link->time};
}

base::Result<std::uint64_t, base::Error> read_last_number(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return std::uint64_t{0};
  if (fd < 0) return base::fail(file.string() + ": " + std::strerror(errno));
  auto tail = read_tail(fd, 0);
  ::close(fd);
  if (!tail) return base::fail(file.string() + ": " + tail.error().text);
  return tail->head ? tail->head->seq : 0;
}

std::string file_stamp(base::WallTime time) {
  std::string text = rfc3339(time);
  std::erase(text, '-');
  std::erase(text, ':');
  return text.substr(0, 15) + "Z";
}

std::filesystem::path rotated_name(const std::filesystem::path& current, const std::string& stamp,
                                   unsigned number) {
  std::string name = current.stem().string() + "-" + stamp;
  if (number > 1) name += "-" + std::to_string(number);
  return current.parent_path() / (name + current.extension().string());
}

std::vector<RotatedFile> rotated_files(const std::filesystem::path& current) {
  struct Entry {
    RotatedFile file;
    std::uint64_t seq;
    unsigned number;
  };
  std::vector<Entry> entries;
  std::error_code error;
  const auto folder = current.parent_path().empty() ? "." : current.parent_path();
  for (auto it = std::filesystem::directory_iterator(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::filesystem::path name =
        is_compressed(it->path()) ? it->path().stem() : it->path().filename();
    const auto stamp = rotated_stamp(name.string(), current.stem().string(),
                                     current.extension().string());
    if (!stamp) continue;
    // While it is being compressed there are two, of which one is not whole.
    std::error_code missing;
    if (is_compressed(it->path()) && std::filesystem::exists(folder / name, missing)) continue;
    const std::optional<FirstLine> first = read_first_line(it->path());
    entries.push_back({{it->path(), stamp->first}, first ? first->seq : 0, stamp->second});
  }
  // By number where each file has one; a clock set back must not reorder the chain.
  const bool numbered = std::all_of(entries.begin(), entries.end(),
                                    [](const Entry& entry) { return entry.seq != 0; });
  std::sort(entries.begin(), entries.end(), [numbered](const Entry& a, const Entry& b) {
    if (numbered && a.seq != b.seq) return a.seq < b.seq;
    return std::tie(a.file.stamp, a.number) < std::tie(b.file.stamp, b.number);
  });
  std::vector<RotatedFile> files;
  for (Entry& entry : entries) files.push_back(std::move(entry.file));
  return files;
}

std::string was_another_log(std::uint64_t last) {
  return "up to record " + std::to_string(last) + " the log was ";
}

std::vector<std::filesystem::path> chain_files(const std::filesystem::path& current) {
  std::vector<std::filesystem::path> files;
  for (RotatedFile& file : rotated_files(current)) files.push_back(std::move(file.path));
  std::error_code error;
  if (std::filesystem::exists(current, error)) files.push_back(current);
  return files;
}

}  // namespace audit
