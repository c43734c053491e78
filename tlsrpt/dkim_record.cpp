#include "tlsrpt/dkim_record.h"

#include <algorithm>
#include <map>

#include "base/encode.h"

namespace tlsrpt {
namespace {

using base::fail;

// RFC 6376 §2.8 FWS, wherever in the text: DNS tools leave line ends, too.
constexpr std::string_view white_space = " \t\r\n";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(white_space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

std::string without_white_space(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (white_space.find(c) == std::string_view::npos) out += c;
  }
  return out;
}

// RFC 6376 §3.2 tag-name.
bool is_tag_name(std::string_view name) {
  const auto fits = [](char c) { return is_letter(c) || is_digit(c) || c == '_'; };
  return !name.empty() && is_letter(name[0]) && std::all_of(name.begin(), name.end(), fits);
}

// RFC 6376 §3.2 tag-value: VALCHAR, with white space in between.
bool is_tag_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    return (c > 32 && c < 127) || white_space.find(c) != std::string_view::npos;
  });
}

std::vector<std::string> colon_list(std::string_view text) {
  std::vector<std::string> out;
  for (;;) {
    const std::size_t end = std::min(text.find(':'), text.size());
    out.emplace_back(trim(text.substr(0, end)));
    if (end == text.size()) return out;
    text.remove_prefix(end + 1);
  }
}

// One list of a record as it stands there, cut short.
std::string joined(const std::vector<std::string>& words) {
  static constexpr std::size_t shown = 60;
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ":") + word;
  return base::printable(out.substr(0, shown));
}

bool has(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

struct TagList {
  std::string first;  // the name of the first tag
  std::map<std::string, std::string, std::less<>> values;
};

// RFC 6376 §3.2: a tag twice makes the whole list void; names are compared with regard to case.
base::Result<TagList, base::Error> parse_tags(std::string_view text) {
  TagList out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(';'), text.size());
    const std::string_view tag = trim(text.substr(0, end));
    const bool last = end == text.size();
    text.remove_prefix(last ? end : end + 1);
    if (tag.empty() && last && !out.values.empty()) break;
    const std::size_t equals = tag.find('=');
    if (equals == std::string_view::npos) return fail("is no list of tags");
    const std::string name(trim(tag.substr(0, equals)));
    const std::string_view value = trim(tag.substr(equals + 1));
    if (!is_tag_name(name)) return fail("has a tag whose name is none");
    if (!is_tag_value(value)) return fail("has an odd character in " + name + "=");
    if (out.values.empty()) out.first = name;
    if (!out.values.emplace(name, value).second) return fail("has " + name + "= twice");
  }
  return out;
}

}  // namespace

base::Result<DkimKeyRecord, base::Error> parse_dkim_record(std::string_view text) {
  if (text.size() > dkim_record_limit) return fail("is too long");
  const auto tags = parse_tags(text);
  if (!tags) return fail(tags.error());
  const auto value = [&tags](std::string_view name) -> const std::string* {
    const auto found = tags->values.find(name);
    return found == tags->values.end() ? nullptr : &found->second;
  };
  DkimKeyRecord record;
  if (const auto* version = value("v")) {
    if (*version != "DKIM1") return fail("has another version than v=DKIM1");
    if (tags->first != "v") return fail("does not begin with v=DKIM1");
  }
  const auto* key = value("p");
  if (key == nullptr) return fail("has no p=");
  const auto decoded = base::from_base64(without_white_space(*key));
  if (!decoded) return fail("has a p= that is no base64");
  record.key = *decoded;
  if (const auto* type = value("k")) record.key_type = *type;
  if (const auto* hashes = value("h")) record.hashes = colon_list(*hashes);
  if (const auto* services = value("s")) record.services = colon_list(*services);
  if (const auto* flags = value("t")) record.flags = colon_list(*flags);
  return record;
}

std::vector<std::string> record_faults(const DkimKeyRecord& record) {
  std::vector<std::string> out;
  if (record.hashes && !has(*record.hashes, "sha256")) {
    out.push_back("does not allow sha256, h=" + joined(*record.hashes) + ": leave h= out");
  }
  if (!has(record.services, "tlsrpt") && !has(record.services, "*")) {
    out.push_back("is not for TLS reports, s=" + joined(record.services) +
                  ", so that receivers may ignore them: write s=email:tlsrpt, or leave s= out");
  }
  if (has(record.flags, "y")) {
    out.push_back("says t=y, testing, so that receivers may take signatures for none: take y out");
  }
  return out;
}

}  // namespace tlsrpt
