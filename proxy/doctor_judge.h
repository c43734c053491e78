// What `doctor` makes of what was seen: pure functions from answers of the DNS and from the
// configuration to findings. Called by proxy/doctor.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "dns/validation.h"
#include "proxy/control.h"

namespace proxy {

enum class Health : std::uint8_t { pass, warn, fail, unknown };
std::string_view to_string(Health health);

struct Finding {
  std::string subject;  // fixed word, as in the documents: "resolver", "port 25"
  Health health = Health::pass;
  std::string text;     // what was seen
  std::string remedy;   // what to do; empty where nothing is
};

Finding judge_root(const dns::ValidationReport& report);
// What the resolver made of a name that is signed, bogus on purpose, or unsigned.
Finding judge_signed(const std::string& name, const dns::RawLookup& answer);
// resolver_answers: whether it answered anything; else SERVFAIL for the bogus name says nothing.
Finding judge_bogus(const std::string& name, const dns::RawLookup& answer, bool resolver_answers);
Finding judge_unsigned(const std::string& name, const dns::RawLookup& answer);

// The text of a trust anchor file; an error: it cannot be read.
Finding judge_anchor(const config::Path& file, const base::Result<std::string, base::Error>& text);

// `status` as the control socket answers it.
Finding judge_daemon(const config::Path& control,
                     const base::Result<nlohmann::json, DaemonError>& status);

// One for each global way to weaken, or one that there is none; one for the exceptions.
std::vector<Finding> judge_policy(const config::Config& config, std::chrono::sys_days today);

// The key record of the report mail. `texts`: its TXT records; an error: could not be looked up.
Finding judge_identity(const config::Config& config,
                       const std::optional<std::string>& key_problem);

}  // namespace proxy
