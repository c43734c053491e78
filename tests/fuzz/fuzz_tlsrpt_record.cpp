// The TLSRPTv1 parser: lines of the input are the records. Whatever is published, an endpoint can
// stand in a header field, an SMTP command or a request line, and its key alone leads to it again.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/encode.h"
#include "tlsrpt/record.h"

namespace {

using tlsrpt::Endpoint;

void require(bool holds) {
  if (!holds) std::abort();
}

void require_printable(std::string_view text) {
  for (const char c : text) require(c >= 32 && c < 127);
}

void address(std::string_view text) {
  require(base::is_utf8(text) && text.find_first_of("<>") == text.npos);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    require(static_cast<unsigned char>(text[i]) >= 32 && text[i] != 127);
    if (text[i] == '"') quoted = !quoted;
    if (quoted && text[i] == '\\') ++i;
    if (!quoted) require(text[i] != ' ' && text[i] != ',');
  }
  require(!quoted && text.rfind('@') != text.npos && text.rfind('@') > 0);
}

void endpoint(const Endpoint& place) {
  require_printable(place.uri);
  require(place.uri.find_first_of(" ,;!\"<>\\") == place.uri.npos);
  const bool mail = place.scheme == Endpoint::Scheme::mailto;
  require(place.uri.starts_with(mail ? "mailto:" : "https://"));
  if (mail) {
    address(place.address);
    require(place.host.empty() && place.target.empty());
  } else {
    require(place.address.empty() && !place.host.empty() && place.port != 0);
    require(place.target.starts_with('/') && place.target.find_first_of(" #") == std::string::npos);
    require_printable(place.target);
    require(place.host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.:") ==
            std::string::npos);
  }
  const auto again = tlsrpt::parse_record("v=TLSRPTv1;rua=" + place.uri);
  require(again.has_value() && again->ignored.empty());
  require(again->endpoints == std::vector<Endpoint>{place});
}

void one(const std::string& text) {
  const auto record = tlsrpt::parse_record(text);
  if (!record) {
    require(!record.error().text.empty());
    return;
  }
  require(record->text == text && text.size() <= tlsrpt::record_limit);
  require(record->endpoints.size() <= tlsrpt::endpoints_limit && record->ignored.size() <= 20);
  std::set<std::string> keys;
  for (const Endpoint& place : record->endpoints) {
    require(keys.insert(place.uri).second);
    endpoint(place);
  }
  for (const std::string& words : record->ignored) {
    require(!words.empty() && words.size() < 300);
    require_printable(words);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> texts(1);
  for (std::size_t i = 0; i < size; ++i) {
    if (data[i] == '\n') {
      texts.emplace_back();
    } else {
      texts.back().push_back(static_cast<char>(data[i]));
    }
  }
  std::size_t readable = 0;
  for (const std::string& text : texts) {
    one(text);
    if (tlsrpt::parse_record(text)) ++readable;
    // The same as a URI alone, so that mutations go there.
    one("v=TLSRPTv1;rua=" + text);
    one("v=TLSRPTv1;rua=mailto:" + text);
    one("v=TLSRPTv1;rua=https://" + text);
  }
  const auto chosen = tlsrpt::choose_record(texts);
  if (chosen && *chosen) require(readable == 1);
  if (chosen && !*chosen) require(readable == 0);
  texts.emplace_back("v=spf1 -all");
  const auto again = tlsrpt::choose_record(texts);
  require(again.has_value() == chosen.has_value());
  if (chosen) require(again->has_value() == chosen->has_value());
  return 0;
}
