// The strings of policies (RFC 8460 §4.5) as the store keeps them under their digests, each read and
// parsed once while there is room. Not thread-safe: for the report thread. Made by proxy/reporting;
// called through report/composer and report/feed.
#pragma once

#include "report/composer.h"
#include "store/store.h"

namespace report {

// `store` must outlive what this returns.
PolicyStrings stored_policies(store::Store& store);

}  // namespace report
