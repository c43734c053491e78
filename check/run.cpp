#include "check/run.h"

#include <sysexits.h>

#include <algorithm>

#include "audit/record.h"
#include "check/assemble.h"
#include "check/outcome.h"

namespace check {

using nlohmann::json;

namespace {

constexpr std::chrono::seconds daemon_wait{5};

class FixedClock final : public base::Clock {
 public:
  FixedClock(base::WallTime at, const base::Clock& real) : at_(at), real_(real) {}
  base::WallTime wall() const override { return at_; }
  base::SteadyTime steady() const override { return real_.steady(); }

 private:
  base::WallTime at_;
  const base::Clock& real_;
};

std::string text_of(const json& from, const char* key) {
  return from.contains(key) && from[key].is_string() ? from[key].get<std::string>() : "";
}

std::optional<store::PolicyRow> row_of(const json& policy, const base::Domain& domain) {
  const auto fetched = audit::parse_rfc3339(text_of(policy, "fetched"));
  const auto expires = audit::parse_rfc3339(text_of(policy, "expires"));
  if (!fetched || !expires || !policy.contains("policy") || !policy["policy"].is_array()) {
    return std::nullopt;
  }
  store::PolicyRow row;
  row.domain = domain.str();
  row.id = text_of(policy, "id");
  for (const json& line : policy["policy"]) {
    if (!line.is_string()) return std::nullopt;
    row.body += line.get<std::string>() + "\n";
  }
  row.fetched = *fetched;
  row.expires = *expires;
  return row;
}

DaemonCache ask_cache(const config::Config& config, const base::Domain& domain) {
  if (!config.mta_sts.enabled) return {std::nullopt, "not asked: MTA-STS is disabled here"};
  json request;
  request["command"] = "policy cached";
  request["domain"] = domain.str();
  return cache_of(proxy::ask_daemon(config.server.control, request, daemon_wait), domain);
}

std::string name_of(const config::Forwarder& forwarder) {
  return forwarder.address.str() + "@" + std::to_string(forwarder.port);
}

// One for each resolver that is asked.
std::vector<std::shared_ptr<const config::Config>> configs_of(const config::Config& config,
                                                              const Options& options) {
  std::vector<std::shared_ptr<const config::Config>> all;
  for (const config::Forwarder& forwarder : options.resolvers) {
    config::Config one = config;
    one.dns.forwarders.assign(1, forwarder);
    all.push_back(std::make_shared<const config::Config>(std::move(one)));
  }
  if (all.empty()) all.push_back(std::make_shared<const config::Config>(config));
  return all;
}

// Handshakes; and, where hosts failed for a cached policy, once more under the present one.
bool connect(Inquiry& inquiry, Gathered& gathered, const Options& options,
             proxy::SteadyTime deadline) {
  if (options.connect) inquiry.connect(gathered, deadline);
  if (!gathered.facts) return false;
  const auto* active = std::get_if<policy::StsActive>(&gathered.facts->domain.sts);
  const bool fresh = active && active->source == policy::PolicySource::fetched;
  const Decided first = decide(options.domain, gathered, options.connect);
  if (first.outcome.verdict == Verdict::delivered || !first.by_sts || fresh) return false;
  if (!inquiry.recheck(gathered, deadline)) return false;
  if (options.connect) inquiry.connect(gathered, deadline);
  return true;
}

}  // namespace

DaemonCache cache_of(const base::Result<json, proxy::DaemonError>& reply,
                     const base::Domain& domain) {
  DaemonCache cache;
  if (!reply) {
    cache.words = reply.error().not_running ? "no daemon runs: what is published now counts"
                                            : "the daemon's cache could not be asked, and what "
                                              "is published now counts: " + reply.error().text;
    return cache;
  }
  cache.words = "the daemon has no policy cached: what is published now counts";
  if (!reply->contains("policy") || (*reply)["policy"].is_null()) return cache;
  cache.row = row_of((*reply)["policy"], domain);
  cache.words = cache.row ? "from the daemon's cache"
                          : "what the daemon has cached cannot be read: it is fetched anew";
  return cache;
}

DaemonCache as_of(DaemonCache cache, base::WallTime time) {
  if (!cache.row || cache.row->fetched <= time) return cache;
  cache.words = "the daemon fetched its policy later than that, at ";
  cache.words += audit::rfc3339(cache.row->fetched);
  cache.words += ": what is published now counts";
  cache.row.reset();
  return cache;
}

base::Result<Report, Failure> run(const config::Config& config, const Options& options,
                                  const base::Clock& clock, const Progress& progress) {
  const auto deadline = std::chrono::steady_clock::now() + options.limit;
  // DNS and MTA-STS leave time for the handshakes.
  const auto gathered_by = options.connect ? deadline - options.limit / 3 : deadline;
  const Question question{options.domain, options.at.value_or(clock.wall()),
                          options.at.has_value(), options.connect};
  const FixedClock then(question.time, clock);
  const base::Clock& used = options.at ? static_cast<const base::Clock&>(then) : clock;
  DaemonCache cache = ask_cache(config, options.domain);
  if (options.at) cache = as_of(std::move(cache), *options.at);

  std::vector<std::unique_ptr<Inquiry>> inquiries;
  std::vector<Gathered> all;
  std::vector<std::string> names;
  for (const auto& one : configs_of(config, options)) {
    const std::string name = options.resolvers.empty() ? std::string("configured")
                                                       : name_of(options.resolvers[names.size()]);
    names.push_back(name);
    auto inquiry = Inquiry::open(one, used, cache, progress);
    if (!inquiry) return base::fail(Failure{EX_UNAVAILABLE, inquiry.error().text});
    all.push_back((*inquiry)->gather(options.domain, gathered_by));
    inquiries.push_back(std::move(*inquiry));
  }
  // The first that answers at all counts.
  const auto main = std::ranges::find_if(all, [](const Gathered& one) {
    return one.validation.state != dns::Validation::unknown;
  });
  if (main == all.end()) {
    const std::string& why = all.front().validation.text;
    return base::fail(Failure{EX_UNAVAILABLE, "no resolver answers: " + why});
  }
  Inquiry& inquiry = *inquiries[static_cast<std::size_t>(main - all.begin())];
  const bool rechecked = connect(inquiry, *main, options, deadline);
  Report report = assemble(question, *main, cache);
  report.outcome.rechecked = rechecked;
  report.resolvers = resolvers_of(names, all);
  report.differences = differences_of(all);
  return report;
}

}  // namespace check
