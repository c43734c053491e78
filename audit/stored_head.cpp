#include "audit/stored_head.h"

#include <charconv>

#include "base/encode.h"

namespace audit {
namespace {

constexpr std::size_t hash_digits = 64;

std::optional<Head> parted_by(char mark, std::string_view text) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  Head head;
  const auto read = std::from_chars(text.data(), text.data() + at, head.seq);
  if (read.ec != std::errc() || read.ptr != text.data() + at || head.seq == 0) {
    return std::nullopt;
  }
  head.hash = base::to_lower(text.substr(at + 1));
  if (head.hash.size() != hash_digits || !base::from_hex(head.hash)) return std::nullopt;
  return head;
}

}  // namespace

std::optional<Head> parse_head(std::string_view text) { return parted_by(':', text); }

std::string text_of(const Head& head) { return std::to_string(head.seq) + ":" + head.hash; }

base::Result<std::optional<Head>, base::Error> head_from_store(
    const std::optional<std::string>& value) {
  if (!value) return std::optional<Head>();
  auto head = parted_by(' ', *value);
  if (!head) return base::fail("the head of the enforcement log in the store is not readable");
  return head;
}

std::optional<Head> parse_removed(std::string_view text) {
  if (text == "0:") return Head{};
  return parse_head(text);
}

base::Result<std::optional<Removed>, base::Error> removed_from_store(
    const std::optional<std::string>& value) {
  if (!value) return std::optional<Removed>();
  const std::size_t space = value->find(' ');
  auto last = parse_removed(std::string_view(*value).substr(0, space));
  if (!last || space == std::string::npos) {
    return base::fail("what the store says that retention removed is not readable");
  }
  return std::optional<Removed>(Removed{std::move(*last), value->substr(space + 1)});
}

base::Result<std::optional<Head>, base::Error> StoredHead::load() {
  auto text = store_.value(head_key);
  if (!text) return base::fail(std::move(text.error()));
  return head_from_store(*text);
}

base::Result<void, base::Error> StoredHead::save(const Head& head) {
  store_.put_value(head_key, std::to_string(head.seq) + " " + head.hash);
  return {};
}

base::Result<std::optional<Removed>, base::Error> StoredHead::load_removed() {
  auto text = store_.value(removed_key);
  if (!text) return base::fail(std::move(text.error()));
  return removed_from_store(*text);
}

base::Result<void, base::Error> StoredHead::save_removed(const Removed& removed) {
  store_.put_value(removed_key, text_of(removed.last) + " " + removed.log.string());
  return store_.flush();
}

}  // namespace audit
