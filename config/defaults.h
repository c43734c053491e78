// The whole configuration with its defaults and comments, printed from the schema. What is printed
// loads back to the same values; what has no default, or belongs to a feature that this version
// lacks, stands there as a comment. Called by `config defaults` and the test of
// docs/configuration.md.
#pragma once

#include <string>

namespace config {

std::string defaults_toml();

// The same as a page of the documentation.
std::string defaults_markdown();

}  // namespace config
