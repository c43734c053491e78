// examine(): what `doctor` looks at, each with a verdict and what to do: the resolver and what it
// makes of a signed, a bogus and an unsigned name, trust anchor, clock, CA store, the ports to the
// outside, directories and files, the report identity, and what the configuration weakens. Changes
// nothing, sends no mail. Blocking, up to about half a minute. Made for cli/doctor.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "proxy/doctor_judge.h"

namespace proxy {

struct DoctorQuestions {
  std::string signed_name = "ietf.org";            // has A records, signed
  std::string bogus_name = "dnssec-failed.org";    // signed wrongly, on purpose
  std::string unsigned_name = "google.com";
  std::string partner = "gmail.com";               // has MX hosts and an MTA-STS policy
  std::string user = "sternpost";                  // the daemon's; the caller where there is none
  bool user_named = false;                         // by whoever asks: then he must be there
  config::Path config_file;                        // the daemon must read it, too; may be empty
};

// In the order of the list above. No thread may run yet: part of it is asked in a child process
// that takes on the user.
std::vector<Finding> examine(const config::Config& config, const base::Clock& clock,
                             const DoctorQuestions& questions);

// ---- the parts of it that look at this machine alone
// What the daemon's user must be able to write ("directories") and to read ("files").
std::vector<Finding> examine_rights(const config::Config& config,
                                    const DoctorQuestions& questions);
Finding examine_clock();

}  // namespace proxy
