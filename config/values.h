// One value of the configuration between its TOML form and its C++ type, in both directions. read()
// returns the value or a complaint for a person; toml() writes what read() would
// read back to the same value. Bounds and what several keys mean together are told elsewhere
// (schema.cpp, consistency.cpp). Pure; called by schema.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/choices.h"
#include "config/config.h"
#include "config/tree.h"

namespace config {

template <class T>
using Read = base::Result<T, base::Error>;

// "must be a list, not text": for a value of a type that the key does not take.
std::string wrong_type(std::string_view expected, const Node& found);
// "text", "a whole number", …
std::string_view type_of(const Node& node);

// Specialised below; lists and optional values are the reader's business, one element each.
template <class T>
Read<T> read(const Node& node);

template <>
Read<std::string> read(const Node& node);
template <>
Read<Path> read(const Node& node);
template <>
Read<bool> read(const Node& node);
template <>
Read<std::uint16_t> read(const Node& node);  // a port: 1 … 65535
template <>
Read<std::uint32_t> read(const Node& node);
template <>
Read<Bytes> read(const Node& node);  // "64KiB", "100MiB", 65536
template <>
Read<Duration> read(const Node& node);  // "500ms", "90s", "5m", "2h", "1d"
template <>
Read<std::chrono::year_month_day> read(const Node& node);
template <>
Read<base::Ip> read(const Node& node);
template <>
Read<base::Network> read(const Node& node);
template <>
Read<base::Domain> read(const Node& node);
template <>
Read<Address> read(const Node& node);
template <>
Read<Forwarder> read(const Node& node);  // "192.0.2.54", "192.0.2.54@5353"
template <>
Read<DomainMatch> read(const Node& node);
template <>
Read<Sha256> read(const Node& node);  // base64
template <>
Read<FileMode> read(const Node& node);  // "0660"

std::string toml(const std::string& value);
std::string toml(const Path& value);
std::string toml(bool value);
std::string toml(std::uint16_t value);
std::string toml(std::uint32_t value);
std::string toml(Bytes value);
std::string toml(Duration value);
std::string toml(const std::chrono::year_month_day& value);
std::string toml(const base::Ip& value);
std::string toml(const base::Network& value);
std::string toml(const Address& value);
std::string toml(const Forwarder& value);
std::string toml(const DomainMatch& value);
std::string toml(const Sha256& value);
std::string toml(const FileMode& value);
std::string toml(const base::Domain& value);

// `"a", "b" or "c"`
std::string alternatives(const std::vector<std::string_view>& words);

template <Choice E>
std::vector<std::string_view> words_of() {
  std::vector<std::string_view> words;
  for (const auto& [word, value] : Choices<E>::table) words.push_back(word);
  return words;
}

template <Choice E>
Read<E> read_choice(const Node& node) {
  const auto* text = std::get_if<std::string>(&node.value);
  if (!text) return base::fail(wrong_type(alternatives(words_of<E>()), node));
  for (const auto& [word, value] : Choices<E>::table) {
    if (word == *text) return value;
  }
  return base::fail("must be " + alternatives(words_of<E>()) + ", not " + toml(*text));
}

template <Choice E>
std::string toml(E value) {
  return toml(std::string(name_of(value)));
}

}  // namespace config
