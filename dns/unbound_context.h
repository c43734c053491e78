// The libunbound context with our settings: a validating resolver in this process, from the root or
// through forwarders. It is finished here, so that a bad trust anchor or configuration is an error
// at start and not at the first look-up. Used by dns/unbound_resolver.cpp alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "dns/unbound_resolver.h"

struct ub_ctx;

namespace dns {

struct UnboundContextDelete {
  void operator()(ub_ctx* context) const;
};
using UnboundContext = std::unique_ptr<ub_ctx, UnboundContextDelete>;

// Errors name the file or the forwarder at fault. The context is asynchronous, with a thread of its
// own, and has been finalized: no option can be changed after this.
base::Result<UnboundContext, base::Error> make_unbound_context(const UnboundOptions& options);

}  // namespace dns
