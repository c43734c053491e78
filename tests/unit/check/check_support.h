// Facts, plans and handshakes for the tests of check/, as plain data: example.com with MX hosts
// whose one address shows what the test says.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "check/assemble.h"
#include "check/outcome.h"
#include "check/problems.h"
#include "tests/source_folder.h"
#include "tests/unit/policy/plan_support.h"

namespace check_test {

struct Made {
  plan_test::Setup setup;
  std::vector<policy::HostFacts> hosts;
  config::Config config;
  check::Gathered gathered;

  // Plans anew; the addresses have not been tried.
  check::Gathered& plan() {
    auto snapshot = std::make_shared<proxy::Snapshot>();
    snapshot->settings = setup.settings;
    gathered = check::Gathered();
    gathered.snapshot = snapshot;
    gathered.op = setup.op;
    gathered.validation.state = dns::Validation::validates;
    std::vector<std::shared_ptr<const policy::HostFacts>> facts;
    for (const policy::HostFacts& host : hosts) {
      facts.push_back(std::make_shared<const policy::HostFacts>(host));
    }
    gathered.facts = policy::GatheredFacts{setup.facts, facts};
    gathered.survey = policy::plan_all(snapshot->settings, gathered.op, *gathered.facts);
    for (const policy::HostPlan& host : gathered.survey->hosts) {
      check::SeenHost seen;
      for (const base::Ip& ip : host.addresses) seen.addresses.emplace_back(ip);
      gathered.seen.push_back(std::move(seen));
    }
    return gathered;
  }
  check::SeenAddress& seen(std::size_t host = 0, std::size_t address = 0) {
    return gathered.seen[host].addresses[address];
  }
  void shows(policy::Evidence evidence, std::size_t host = 0, std::size_t address = 0) {
    check::SeenAddress& one = seen(host, address);
    one.state = check::SeenAddress::State::tried;
    if (const auto* session = std::get_if<policy::TlsSession>(&evidence)) {
      one.pkix = one.undated = session->pkix;
      one.certificate = dane::Certificate{"CN=mx", "CN=Lab CA", {}, {}, "EC 256", 1};
    }
    one.evidence = std::move(evidence);
  }
  void fails(proxy::MxFailure::Kind kind, std::string text, std::size_t host = 0,
             std::size_t address = 0) {
    check::SeenAddress& one = seen(host, address);
    one.state = check::SeenAddress::State::tried;
    one.failure = proxy::MxFailure{kind, std::move(text), std::nullopt, false};
  }
  check::Decided decide(bool connected = true) const {
    return check::decide(setup.facts.domain, gathered, connected);
  }
  check::Report report() const {
    const check::Question question{setup.facts.domain, base::WallTime(), false, true};
    return check::assemble(question, gathered, {std::nullopt, "no daemon runs"});
  }
};

// `count` hosts: mx.example.com, mx2.example.com, … of preference 10, 20, …
inline Made made(std::size_t count = 1) {
  Made out;
  policy::MxList list;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = i == 0 ? "" : std::to_string(i + 1);
    const base::Domain host = plan_test::name("mx" + number + ".example.com");
    list.hosts.push_back({host, static_cast<std::uint16_t>(10 * (i + 1))});
    const base::Ip ip = plan_test::ip("192.0.2." + std::to_string(i + 1));
    out.hosts.push_back({host, {ip}, {}, false, false, plan_test::no_dane()});
  }
  out.setup.facts.mx = list;
  return out;
}

// The host's address, asked for and found behind a CNAME.
inline check::Asked behind_alias(const std::string& host, const std::string& target,
                                 dns::Security security = dns::Security::secure) {
  dns::RawAnswer raw;
  raw.existence = dns::Existence::data;
  raw.security = security;
  raw.via_cname = true;
  raw.canonical_name = target;
  return {dns::Type::A, host, dns::RawLookup(raw)};
}

inline std::vector<std::string> codes(const std::vector<check::Problem>& problems) {
  std::vector<std::string> all;
  for (const check::Problem& one : problems) all.push_back((one.blocks ? "!" : "") + one.code);
  return all;
}

inline void collect(const nlohmann::json& value, const std::string& at,
                    std::set<std::string>& keys) {
  if (value.is_array()) {
    for (const nlohmann::json& one : value) collect(one, at + "[]", keys);
  } else if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) {
      const std::string path = at.empty() ? key : at + "." + key;
      keys.insert(path);
      collect(inner, path, keys);
    }
  }
}

// The first column of the table under "## JSON" of a document.
inline std::set<std::string> documented(const std::string& document) {
  std::ifstream file(tests_folder() + "/../docs/" + document);
  std::set<std::string> keys;
  std::string line;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line.starts_with("#")) inside = line == "## JSON";
    if (!inside || !line.starts_with("| `")) continue;
    const std::size_t end = line.find('|', 1);
    for (std::size_t at = 0; (at = line.find('`', at)) < end; ++at) {
      const std::size_t close = line.find('`', at + 1);
      keys.insert(line.substr(at + 1, close - at - 1));
      at = close;
    }
  }
  return keys;
}

// A document has every key and no other.
inline void compare_keys(const nlohmann::json& value, const std::string& document) {
  std::set<std::string> keys;
  collect(value, "", keys);
  const std::set<std::string> written = documented(document);
  for (const std::string& key : keys) {
    INFO("not in docs/" << document << ": " << key);
    CHECK(written.contains(key));
  }
  for (const std::string& key : written) {
    INFO("in docs/" << document << " alone: " << key);
    CHECK(keys.contains(key));
  }
}

}  // namespace check_test
