#include "store/count_journal.h"

#include <algorithm>
#include <functional>
#include <tuple>
#include <type_traits>
#include <unordered_set>

namespace store {

namespace {

// Seven bits an octet, the lowest first; the eighth says that more follow.
void put(std::string& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) out += static_cast<char>(number | 0x80);
  out += static_cast<char>(number);
}
void put(std::string& out, std::string_view text) {
  put(out, text.size());
  out += text;
}
void put(std::string& out, Day day) {
  put(out, static_cast<std::uint64_t>(day.time_since_epoch().count()));
}

// Takes from the start of `octets`; false: they end too early.
bool take(std::string_view& octets, std::uint64_t& number) {
  number = 0;
  for (unsigned shift = 0; shift < 64 && !octets.empty(); shift += 7) {
    const auto octet = static_cast<unsigned char>(octets.front());
    octets.remove_prefix(1);
    number |= static_cast<std::uint64_t>(octet & 0x7f) << shift;
    if ((octet & 0x80) == 0) return true;
  }
  return false;
}
bool take(std::string_view& octets, std::int64_t& number) {
  std::uint64_t taken = 0;
  if (!take(octets, taken)) return false;
  number = static_cast<std::int64_t>(taken);
  return true;
}
bool take(std::string_view& octets, std::string_view& text) {
  std::uint64_t size = 0;
  if (!take(octets, size) || size > octets.size()) return false;
  text = octets.substr(0, size);
  octets.remove_prefix(size);
  return true;
}

template <class... Members>
bool take_all(std::string_view& octets, Members&... members) {
  return (take(octets, members) && ...);
}

auto key_of(const PolicyView& row) { return std::tie(row.day, row.domain, row.digest); }
auto key_of(const FailureView& row) {
  return std::tie(row.day, row.domain, row.digest, row.result_type, row.reason, row.mx, row.helo,
                  row.ip, row.source_ip);
}

void add(PolicyView& to, const PolicyView& row) {
  to.fine += row.fine;
  to.noted += row.noted;
  to.failed += row.failed;
}
void add(FailureView& to, const FailureView& row) { to.count += row.count; }

template <class Row>
std::size_t hash_of(const Row& row) {
  std::size_t hash = 0;
  const auto part = [&hash](const auto& value) {
    hash = hash * 31 + std::hash<std::remove_cvref_t<decltype(value)>>()(value);
  };
  std::apply([&part](const auto&... values) { (part(values), ...); }, key_of(row));
  return hash;
}

// Rows of one key become one, in the place of the first.
template <class Row>
std::vector<Row> merged(const std::vector<Row>& rows) {
  std::vector<Row> found;
  const auto hash = [&found](std::size_t place) { return hash_of(found[place]); };
  const auto same = [&found](std::size_t a, std::size_t b) {
    return key_of(found[a]) == key_of(found[b]);
  };
  std::unordered_set<std::size_t, decltype(hash), decltype(same)> places(rows.size(), hash, same);
  for (const Row& row : rows) {
    found.push_back(row);
    const auto [place, is_new] = places.insert(found.size() - 1);
    if (is_new) continue;
    found.pop_back();
    add(found[*place], row);
  }
  return found;
}

template <class Row>
void merge_rows(std::vector<Row>& rows) {
  rows = merged(rows);
  std::ranges::stable_sort(rows, {}, [](const Row& row) { return std::tie(row.day, row.domain); });
}

}  // namespace

std::string encoded(const std::vector<PolicyCount>& rows) {
  std::string out;
  for (const PolicyCount& row : rows) {
    put(out, row.day);
    for (const std::string* const text :
         {&row.domain, &row.digest, &row.policy_type, &row.policy_domain}) {
      put(out, *text);
    }
    for (const std::uint64_t count : {row.fine, row.noted, row.failed}) put(out, count);
  }
  return out;
}

std::string encoded(const std::vector<FailureCount>& rows) {
  std::string out;
  for (const FailureCount& row : rows) {
    put(out, row.day);
    for (const std::string* const text : {&row.domain, &row.digest, &row.result_type, &row.reason,
                                          &row.mx, &row.helo, &row.ip, &row.source_ip}) {
      put(out, *text);
    }
    put(out, row.count);
  }
  return out;
}

bool decode(std::string_view octets, std::vector<PolicyView>& rows) {
  while (!octets.empty()) {
    PolicyView row;
    if (!take_all(octets, row.day, row.domain, row.digest, row.policy_type, row.policy_domain,
                  row.fine, row.noted, row.failed)) {
      return false;
    }
    rows.push_back(row);
  }
  return true;
}

bool decode(std::string_view octets, std::vector<FailureView>& rows) {
  while (!octets.empty()) {
    FailureView row;
    if (!take_all(octets, row.day, row.domain, row.digest, row.result_type, row.reason, row.mx,
                  row.helo, row.ip, row.source_ip, row.count)) {
      return false;
    }
    rows.push_back(row);
  }
  return true;
}

void merge(std::vector<PolicyView>& rows) { merge_rows(rows); }
void merge(std::vector<FailureView>& rows) { merge_rows(rows); }

}  // namespace store
