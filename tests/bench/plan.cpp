// How long the plan for a domain takes when all is in the caches, as every message but the domain's
// first finds it, beside a synchronous question to libunbound whose answer it has in its cache.
// usage: bench_plan CONFIG ROUNDS DOMAIN... ; prints JSON. Called by tests/bench/run.
#include <unbound.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/random.h"
#include "config/load.h"
#include "dns/unbound_context.h"
#include "policy/https_fetcher.h"
#include "policy/sts_engine.h"
#include "proxy/gather.h"
#include "proxy/mx_slots.h"
#include "proxy/server_services.h"
#include "proxy/survey.h"
#include "proxy/worker.h"

namespace {

std::atomic<std::size_t> allocations{0};

}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* const place = std::malloc(size)) return place;
  throw std::bad_alloc();
}
void operator delete(void* place) noexcept { std::free(place); }
void operator delete(void* place, std::size_t) noexcept { std::free(place); }

namespace {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

template <class T>
T value_of(base::Result<T, base::Error> result) {
  if (!result) throw std::runtime_error(result.error().text);
  return std::move(*result);
}

// What a worker of the relay has, on one loop.
struct Planner {
  explicit Planner(std::shared_ptr<const config::Config> with)
      : config(*with), snapshot(proxy::make_snapshot(std::move(with))) {
    shared.clock = &clock;
    shared.slots = &slots;
    shared.validation = proxy::Validation::validates;
    worker = value_of(proxy::Worker::make(shared, snapshot, {}));
    resolver = value_of(proxy::make_resolver(worker->io(), config, true));
    shared.resolver = resolver.get();
    auto context = value_of(policy::make_fetch_context(config.tls.ca_file.string()));
    fetcher = std::make_unique<policy::HttpsFetcher>(proxy::fetch_settings(config), *resolver,
                                                     clock, std::move(context));
    policy::StsEngine::Parts parts;
    parts.home = worker->io().get_executor();
    parts.clock = &clock;
    parts.resolver = resolver.get();
    parts.fetcher = fetcher.get();
    parts.random = &random;
    sts = std::make_unique<policy::StsEngine>(std::move(parts), policy::StsEngineSettings());
    shared.sts = sts.get();
  }

  // As proxy/walk does until the first host may be connected to.
  asio::awaitable<void> plan(base::Domain domain) {
    const auto deadline = Steady::now() + std::chrono::seconds(20);
    const auto op = proxy::operator_today(clock, snapshot->settings, domain);
    worker->gather().prefetch_mx(domain, false);
    auto state = co_await sts->state_for(domain, std::chrono::seconds(20));
    const auto mx = co_await worker->gather().mx(domain, false, deadline);
    if (!mx) throw std::runtime_error(domain.str() + ": no MX");
    const auto planned =
        worker->plans().domain(snapshot, op, domain, mx, std::move(state));
    const auto& plan = std::get<policy::DomainPlan>(planned->outcome);
    dane::HostOrigin origin{domain, plan.expanded, plan.by_mx, plan.mx_security};
    auto query = proxy::host_query(config, std::move(origin), plan.hosts.front().host, false);
    const auto facts = co_await worker->gather().host(std::move(query), deadline);
    if (!facts) throw std::runtime_error(domain.str() + ": no host");
    const auto host = proxy::Plans::host(*snapshot, *planned, facts);
    const auto* attempt = std::get_if<policy::Try>(&host->plan.decision);
    if (!attempt || std::holds_alternative<policy::Opportunistic>(attempt->requirement)) {
      throw std::runtime_error(domain.str() + " promises nothing");
    }
  }
  asio::awaitable<void> plan_all(const std::vector<base::Domain>& domains, std::size_t rounds) {
    for (std::size_t i = 0; i < rounds; ++i) {
      for (const base::Domain& domain : domains) co_await plan(domain);
    }
  }
  void run(const std::vector<base::Domain>& domains, std::size_t rounds) {
    std::exception_ptr thrown;
    bool ended = false;
    worker->io().restart();
    asio::co_spawn(worker->io(), plan_all(domains, rounds),
                   [&thrown, &ended](std::exception_ptr error) {
                     thrown = error;
                     ended = true;
                   });
    while (!ended && worker->io().run_one() > 0) {
    }
    if (thrown) std::rethrow_exception(thrown);
  }

  base::SystemClock clock;
  base::Random random;
  config::Config config;
  std::shared_ptr<const proxy::Snapshot> snapshot;
  proxy::MxSlots slots;
  proxy::Shared shared;
  std::unique_ptr<proxy::Worker> worker;
  std::unique_ptr<dns::UnboundResolver> resolver;
  std::unique_ptr<policy::HttpsFetcher> fetcher;
  std::unique_ptr<policy::StsEngine> sts;
};

double microseconds(Steady::time_point begun, std::size_t times) {
  return std::chrono::duration<double, std::micro>(Steady::now() - begun).count() /
         static_cast<double>(times);
}

// What a plan without caches of its own would ask first, and no more of it.
double ask_libunbound(const config::Config& config, const std::vector<base::Domain>& domains,
                      std::size_t rounds) {
  dns::UnboundOptions options;
  options.trust_anchor_file = config.dns.trust_anchor_file.string();
  for (const auto& forwarder : config.dns.forwarders) {
    options.forwarders.push_back(forwarder.address.str() + "@" + std::to_string(forwarder.port));
  }
  options.unbound_config = config.dns.unbound_config.string();
  const auto context = value_of(dns::make_unbound_context(options));
  const auto ask = [&](const base::Domain& domain) {
    ub_result* result = nullptr;
    const int error = ub_resolve(context.get(), domain.str().c_str(), 15, 1, &result);
    if (error != 0 || !result->havedata) throw std::runtime_error("libunbound: no MX");
    ub_resolve_free(result);
  };
  for (const base::Domain& domain : domains) ask(domain);
  const auto begun = Steady::now();
  for (std::size_t i = 0; i < rounds; ++i) {
    for (const base::Domain& domain : domains) ask(domain);
  }
  return microseconds(begun, rounds * domains.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: bench_plan CONFIG ROUNDS DOMAIN...\n";
    return 2;
  }
  try {
    const base::SystemClock clock;
    const config::LoadResult loaded = config::load(config::Path(argv[1]), clock);
    if (!loaded.config) throw std::runtime_error(loaded.errors.front().text);
    const auto rounds = static_cast<std::size_t>(std::strtoul(argv[2], nullptr, 10));
    std::vector<base::Domain> domains;
    for (int i = 3; i < argc; ++i) domains.push_back(*base::Domain::parse(argv[i]));
    Planner planner(loaded.config);
    planner.run(domains, 2);
    const std::size_t times = rounds * domains.size();
    const std::size_t before = allocations;
    const auto begun = Steady::now();
    planner.run(domains, rounds);
    nlohmann::json out;
    out["plan_us"] = microseconds(begun, times);
    out["allocations"] = static_cast<double>(allocations - before) / static_cast<double>(times);
    out["libunbound_us"] = ask_libunbound(*loaded.config, domains, std::max<std::size_t>(
                                                                      1, rounds / 100));
    std::cout << out.dump() << '\n';
  } catch (const std::exception& error) {
    std::cerr << "bench_plan: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
