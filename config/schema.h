// The one table of the configuration: every section and key, its default and what it means. The
// loader reads by it, `config defaults` and docs/configuration.md are printed from it. What keys
// mean together is told in consistency.h. The defaults themselves stand in config.h.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/tree.h"

namespace config {

// What a named file must be for the loader to be content; Created: the program makes it itself.
enum class FileUse { Created, Readable, Certificates, PrivateKey, TrustAnchor };

struct Key {
  std::string_view name;
  std::string_view comment;
  std::string default_text;   // TOML; empty: there is none
  std::string_view example;   // TOML; shown where there is no default
  bool required = false;
  FileUse file = FileUse::Created;
  std::vector<std::string_view> words;  // where the value is one of a list
  // Puts the value into the section's place in the Config (its last element, for a list of
  // tables). Leaves it as it was and says why where the value is wrong.
  std::function<std::vector<Issue>(Config&, const Node&)> read;
};

struct Section {
  std::string_view name;  // "outbound", "policy.rule"
  std::string_view comment;
  std::function<void(Config&)> append;  // for [[lists]] of tables; empty for a [table]
  std::vector<Key> keys;
  bool is_list() const { return static_cast<bool>(append); }
};

// In the order in which people read them.
const std::vector<Section>& schema();

const Section* find_section(std::string_view name);
const Key* find_key(const Section& section, std::string_view name);

}  // namespace config
