// Runs tests/scenarios/*.toml: facts in, plan and verdict out. Each [[scenario]] names what differs
// from a plain domain (plan_support.h) and what it wants; tests/scenarios/README.md has the keys.
// A key that nothing reads fails the scenario, so a typing error cannot make it pass.
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <toml++/toml.h>

#include "plan_support.h"
#include "tests/source_folder.h"

namespace {

using namespace policy;
namespace pt = plan_test;

// A table that remembers which of its keys were read.
class Table {
 public:
  Table(const toml::table& table, std::string at) : table_(table), at_(std::move(at)) {}
  bool has(const char* key) {
    read_.insert(key);
    return table_.contains(key);
  }
  std::string text(const char* key, std::string otherwise = {}) {
    read_.insert(key);
    return table_[key].value_or(std::move(otherwise));
  }
  bool flag(const char* key, bool otherwise = false) {
    read_.insert(key);
    return table_[key].value_or(otherwise);
  }
  std::vector<std::string> list(const char* key) {
    read_.insert(key);
    std::vector<std::string> out;
    if (const auto* array = table_[key].as_array()) {
      for (const auto& item : *array) out.push_back(item.value_or(std::string("?")));
    } else if (table_.contains(key)) {
      out.push_back(text(key));
    }
    return out;
  }
  Table table(const char* key) {
    read_.insert(key);
    static const toml::table none;
    const auto* sub = table_[key].as_table();
    return {sub ? *sub : none, at_ + "." + key};
  }
  std::vector<Table> tables(const char* key) {
    read_.insert(key);
    std::vector<Table> out;
    if (const auto* array = table_[key].as_array()) {
      for (const auto& item : *array) {
        const std::string place = "[" + std::to_string(out.size()) + "]";
        out.emplace_back(*item.as_table(), at_ + "." + key + place);
      }
    }
    return out;
  }
  void all_read() const {
    for (const auto& [key, value] : table_) {
      const std::string word(key.str());
      if (!read_.contains(word)) FAIL_CHECK("unknown key " << at_ << "." << word);
    }
  }
  const std::string& at() const { return at_; }

 private:
  const toml::table& table_;
  std::string at_;
  std::set<std::string> read_;
};

template <class T>
T one_of(const std::string& word, std::map<std::string, T> words) {
  const auto found = words.find(word);
  if (found == words.end()) throw std::invalid_argument("unknown word '" + word + "'");
  return found->second;
}

MxOutcome mx_of(Table& in) {
  const std::vector<std::string> items = in.list("mx");
  if (items.empty()) return MxList{{{pt::name("mx.example.com"), 10}}, {}};
  if (items.size() == 1 && items[0].find(' ') == std::string::npos) {
    return one_of<MxOutcome>(items[0], {{"implicit", ImplicitMx{}},
                                        {"null", NullMx{}},
                                        {"nxdomain", NoSuchDomain{}},
                                        {"failed", MxFailed{"MX example.com: SERVFAIL", false}},
                                        {"bogus", MxFailed{"MX example.com: bogus", true}},
                                        {"unusable", NoUsableMx{"10 192.0.2.1"}}});
  }
  MxList list;
  for (const std::string& item : items) {
    const auto space = item.find(' ');
    const auto preference = static_cast<std::uint16_t>(std::stoi(item.substr(0, space)));
    list.hosts.push_back({pt::name(item.substr(space + 1)), preference});
  }
  return list;
}

StsState sts_of(Table& in) {
  const std::string word = in.text("sts", "absent");
  std::vector<std::string> mx = in.list("sts_mx");
  if (mx.empty()) mx = {"mx.example.com"};
  const bool refresh_failed = in.flag("refresh_failed");
  if (word == "absent") return StsAbsent{"no record"};
  if (word == "unknown") return StsUnknown{"TXT _mta-sts.example.com: time-out"};
  if (word == "unavailable") return StsUnavailable{"20260101", pt::fetch_failure()};
  StsState state = pt::sts(one_of<StsMode>(word, {{"enforce", StsMode::enforce},
                                                  {"testing", StsMode::testing},
                                                  {"none", StsMode::none}}),
                           mx);
  if (refresh_failed) std::get<StsActive>(state).refresh_failure = pt::fetch_failure();
  return state;
}

dane::Status dane_of_scenario(Table& in, const std::string& host) {
  const std::string word = in.text("dane", "none");
  const std::string base = in.text("base", host);
  if (word == "usable") return pt::usable(base);
  if (word == "usable-ta") return pt::usable(base, {pt::tlsa(2, 0)});
  if (word == "unusable") return pt::unusable(base);
  if (word == "failed") return pt::dane_failed();
  if (word == "bogus") return pt::dane_failed(true);
  if (word != "none") throw std::invalid_argument("unknown dane '" + word + "'");
  return pt::no_dane();
}

void read_settings(Table in, Settings& out) {
  out.mode = one_of<Mode>(in.text("mode", "enforce"),
                          {{"enforce", Mode::enforce}, {"observe", Mode::observe}});
  out.combine = one_of<Combine>(in.text("combine", "dane-first"),
                                {{"dane-first", Combine::dane_first},
                                 {"both", Combine::both},
                                 {"dane-alone", Combine::dane_alone}});
  out.fallback = one_of<Default>(in.text("default", "opportunistic"),
                                 {{"opportunistic", Default::opportunistic},
                                  {"encrypted", Default::encrypted},
                                  {"verified", Default::verified}});
  out.insecure_mx =
      one_of<InsecureMx>(in.text("insecure_mx", "dane"),
                         {{"dane", InsecureMx::dane},
                          {"opportunistic", InsecureMx::opportunistic}});
  const std::map<std::string, OnError> on_error{{"deliver", OnError::deliver},
                                                {"defer", OnError::defer}};
  out.on_lookup_error = one_of<OnError>(in.text("on_lookup_error", "deliver"), on_error);
  out.on_fetch_error = one_of<OnError>(in.text("on_fetch_error", "deliver"), on_error);
  out.dane_enabled = in.flag("dane", true);
  out.sts_enabled = in.flag("sts", true);
  in.all_read();
}

Rule read_rule(Table in) {
  Rule rule;
  rule.domains = {{pt::name("example.com"), false}};
  rule.require = one_of<Require>(in.text("require"), {{"encrypted", Require::encrypted},
                                                      {"verified", Require::verified},
                                                      {"dane", Require::dane}});
  rule.mx = in.list("mx");
  rule.spki_sha256 = in.list("pins");
  if (in.has("ca_file")) rule.ca_file = in.text("ca_file");
  in.all_read();
  return rule;
}

Exception read_exception(Table in) {
  Exception exception;
  exception.domains = {{pt::name("example.com"), false}};
  exception.until = std::chrono::sys_days(std::chrono::year(2026) / 12 / 31);
  exception.allow =
      one_of<Allow>(in.text("allow"),
                    {{"encrypted", Allow::encrypted}, {"opportunistic", Allow::opportunistic}});
  exception.ignore_dnssec = in.text("dnssec") == "ignore";
  in.all_read();
  return exception;
}

pt::Setup read_facts(Table& in) {
  pt::Setup out;
  out.facts.mx = mx_of(in);
  out.facts.mx_security =
      one_of<dns::Security>(in.text("security", "secure"), {{"secure", dns::Security::secure},
                                                            {"insecure", dns::Security::insecure}});
  out.facts.sts = sts_of(in);
  const std::string host = in.text("host", "mx.example.com");
  out.host.host = pt::name(host);
  out.host.dane = dane_of_scenario(in, host);
  const std::string address = in.text("address", "found");
  if (address != "found" && address != "partial-bogus") out.host.addresses.clear();
  out.host.no_address_proven = address == "none";
  out.host.address_bogus = address.ends_with("bogus");
  if (out.host.address_bogus || address == "failed") {
    out.host.address_error = "A " + host + ": " + address;
  }
  read_settings(in.table("settings"), out.settings);
  if (in.has("rule")) out.settings.rules.push_back(read_rule(in.table("rule")));
  if (in.has("exception")) {
    out.settings.exceptions.push_back(read_exception(in.table("exception")));
  }
  return out;
}

Evidence read_evidence(Table& in, const pt::Setup& setup) {
  const std::string tls = in.text("tls", "ok");
  if (tls == "none") return pt::no_starttls();
  if (tls == "failed") return pt::no_handshake();
  if (tls != "ok") throw std::invalid_argument("unknown tls '" + tls + "'");
  std::vector<std::string> ids = in.list("names");
  if (ids.empty()) ids = {setup.host.host.str()};
  TlsSession out = pt::session(one_of<ChainState>(in.text("chain", "trusted"),
                                                  {{"trusted", ChainState::trusted},
                                                   {"expired", ChainState::expired},
                                                   {"not-yet-valid", ChainState::not_yet_valid},
                                                   {"untrusted", ChainState::untrusted},
                                                   {"unknown", ChainState::unknown}}),
                               ids);
  if (in.has("key")) out.spki_sha256 = in.text("key");
  const std::string match = in.text("tlsa", "mismatch");
  if (match == "match") {
    if (const auto* usable = std::get_if<dane::Usable>(&setup.host.dane)) {
      out.dane->matched = usable->records.front();
    }
  } else {
    out.dane->name_mismatch = match == "name";
    out.dane->expired = match == "expired";
    out.dane->untrusted = match == "untrusted";
    if (match != "mismatch" && match != "name" && match != "expired" && match != "untrusted") {
      throw std::invalid_argument("unknown tlsa '" + match + "'");
    }
  }
  return out;
}

void want_text(Table& want, const char* key, const std::string& got) {
  if (!want.has(key)) return;
  INFO(want.at() << "." << key);
  CHECK(got == want.text(key));
}

void want_words(Table& want, const std::string& got) {
  for (const std::string& word : want.list("text")) {
    INFO(want.at() << ".text: '" << word << "' in '" << got << "'");
    CHECK(got.find(word) != std::string::npos);
  }
}

std::string word(const std::optional<tlsrpt::ResultType>& result) {
  return result ? std::string(to_string(*result)) : "success";
}

void want_results(Table& want, const std::vector<tlsrpt::SessionResult>& got) {
  if (!want.has("results")) return;
  INFO(want.at() << ".results");
  CHECK(pt::summary(got) == want.list("results"));
}

template <class Out>  // Refused or Excluded
void want_outcome(Table& want, const char* key, const Out& out) {
  want_text(want, key, pt::code(out.reply));
  want_words(want, pt::text(out.reply));
  want_text(want, "kind", std::string(to_string(out.kind)));
  want_text(want, "result", out.result ? word(out.result) : "none");
  want_results(want, out.results);
  if (want.has("by_policy")) CHECK(out.by_policy == want.flag("by_policy"));
}

void want_try(Table& want, const Try& plan, const StsState& sts) {
  want_text(want, "requirement", std::string(to_string(plan.requirement)));
  want_text(want, "kind", std::string(to_string(plan.kind)));
  want_text(want, "mode", std::string(policy_mode(plan, sts)));
  want_text(want, "sni", plan.sni ? plan.sni->str() : "");
  want_text(want, "why", plan.why);
  if (want.has("vouched")) CHECK(plan.mx_vouched == want.flag("vouched"));
}

void want_verdict(Table want, const pt::Setup& setup, const HostPlan& plan) {
  const Evidence evidence = read_evidence(want, setup);
  const Try* tried = std::get_if<Try>(&plan.decision);
  if (want.flag("second_walk")) tried = &plan.unprotected;
  if (!tried) {
    FAIL_CHECK(want.at() << ": no session with a host that is excluded");
    return;
  }
  const Verdict got =
      judge(*tried, setup.facts.domain, plan.host, evidence, want.flag("retry"));
  const std::string outcome = pt::authorized(got) ? "authorized"
                              : pt::denied(got)   ? "denied"
                                                  : "retry";
  want_text(want, "verdict", outcome);
  if (const auto* yes = pt::authorized(got)) {
    want_text(want, "auth", std::string(to_string(yes->peer_auth())));
    want_text(want, "protection", std::string(to_string(yes->protection())));
  }
  if (const auto* no = pt::denied(got)) {
    want_text(want, "reply", pt::code(no->reply));
    want_text(want, "by", std::string(to_string(no->by)));
    want_words(want, pt::text(no->reply));
  }
  want_text(want, "result", word(got.result));
  want_results(want, got.results);
  want.all_read();
}

void run(Table& in) {
  pt::Setup setup = read_facts(in);
  setup.op = operator_for(setup.settings, setup.facts.domain,
                          std::chrono::sys_days(std::chrono::year(2026) / 6 / 1));
  in.has("session");
  Table want = in.table("want");
  const auto domain = setup.domain();
  if (const auto* refused = std::get_if<Refused>(&domain)) {
    if (!want.has("refused")) FAIL_CHECK("the domain is refused: " << refused->reason);
    want_outcome(want, "refused", *refused);
  } else {
    const auto& accepted = std::get<DomainPlan>(domain);
    if (want.has("refused")) FAIL_CHECK("the domain is not refused");
    const HostPlan plan = plan_host(setup.settings, accepted, setup.host);
    if (want.has("order")) {
      std::vector<std::string> order;
      for (const MxHost& mx : accepted.hosts) order.push_back(mx.host.str());
      CHECK(order == want.list("order"));
    }
    if (const auto* excluded = std::get_if<Excluded>(&plan.decision)) {
      if (!want.has("excluded")) FAIL_CHECK("the host is excluded: " << excluded->reason);
      want_outcome(want, "excluded", *excluded);
    } else {
      if (want.has("excluded")) FAIL_CHECK("the host is not excluded");
      want_try(want, std::get<Try>(plan.decision), accepted.sts);
    }
    for (Table& one : in.tables("session")) want_verdict(one, setup, plan);
  }
  want.all_read();
}

}  // namespace

TEST_CASE("scenarios: facts in, plan and verdict out", "[scenario]") {
  int count = 0;
  const std::filesystem::path folder = std::filesystem::path(tests_folder()) / "scenarios";
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".toml") files.insert(entry.path());
  }
  std::set<std::string> titles;
  for (const auto& file : files) {
    const toml::table parsed = toml::parse_file(file.string());
    Table top(parsed, file.filename().string());
    for (Table& scenario : top.tables("scenario")) {
      const std::string title = scenario.text("title");
      INFO(scenario.at() << ": " << title);
      CHECK(titles.insert(title).second);
      run(scenario);
      scenario.all_read();
      ++count;
    }
    top.all_read();
  }
  CHECK(count >= 40);
}
