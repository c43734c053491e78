// A policy of the store as the cache holds it: for the engine's start, and for commands that only
// look into the store. Pure. Called by policy/sts_engine and proxy/.
#pragma once

#include <utility>

#include "policy/sts_cache.h"
#include "store/store.h"

namespace policy {

// An error: the stored policy cannot be read. Whether it has expired is the cache's to say.
base::Result<StsEntry, base::Error> entry_of(store::PolicyRow row);

}  // namespace policy
