#include "config/schema.h"

#include <algorithm>
#include <iterator>

#include "config/schema_builder.h"

namespace config {

const std::vector<Section>& schema() {
  static const std::vector<Section> sections = [] {
    std::vector<Section> all;
    for (auto part : {schema_parts::relay_sections, schema_parts::policy_sections,
                      schema_parts::record_sections, schema_parts::other_sections}) {
      std::ranges::move(part(), std::back_inserter(all));
    }
    return all;
  }();
  return sections;
}

const Section* find_section(std::string_view name) {
  const auto found = std::ranges::find(schema(), name, &Section::name);
  return found == schema().end() ? nullptr : &*found;
}

const Key* find_key(const Section& section, std::string_view name) {
  const auto found = std::ranges::find(section.keys, name, &Key::name);
  return found == section.keys.end() ? nullptr : &*found;
}

}  // namespace config
