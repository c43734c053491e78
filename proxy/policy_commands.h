// The commands of `policy` that need the cache, as the control socket answers them: list, show,
// refresh, purge. The same for the daemon and for a command that has the store to itself
// (proxy/offline_policy). Each asks the engine and puts its answer into JSON; a purge leaves one
// record in the enforcement log, the engine's own event.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "policy/sts_engine.h"

namespace proxy {

// What a wrong request, or a command without success, is answered with.
nlohmann::json command_failure(const std::string& text, int status = 1);

// As `policy list` and `policy show` (`whole`) tell it.
nlohmann::json listed_json(const policy::StsListed& listed, bool whole);
nlohmann::json policies_json(const std::vector<policy::StsListed>& policies);
// One with its lines; a failure where there is none.
nlohmann::json policy_json(const base::Domain& domain,
                           const std::optional<policy::StsListed>& found);

base::Result<base::Domain, base::Error> domain_of(const nlohmann::json& request);

struct PolicyCommands {
  policy::StsEngine& engine;
  boost::asio::any_io_executor home;                  // where a refresh waits
  std::function<void(const base::Domain&)> changed;   // may be empty: nobody keeps answers

  using Answer = std::function<void(nlohmann::json reply)>;
  void list(const Answer& answer) const;
  void show(const nlohmann::json& request, const Answer& answer) const;
  // For `check`: the same under "policy", where none is null and no failure.
  void cached(const nlohmann::json& request, const Answer& answer) const;
  void refresh(const nlohmann::json& request, const Answer& answer) const;
  void purge(const nlohmann::json& request, const Answer& answer) const;
};

}  // namespace proxy
