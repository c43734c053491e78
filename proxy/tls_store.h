// How many certification authorities are trusted where a configuration names a file, or the
// system's store. For `doctor` alone: handshakes load the store themselves.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace proxy {

struct TrustStore {
  std::string where;
  std::size_t authorities = 0;
};
// `ca_file`: empty for the system's. An error where the file cannot be read or is none.
base::Result<TrustStore, base::Error> trust_store(const std::string& ca_file);

}  // namespace proxy
