#include "cli/policy_generate.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <ostream>

#include "base/encode.h"
#include "base/limits.h"
#include "base/terminal.h"
#include "cli/print.h"
#include "config/values.h"
#include "dane/openssl_spki.h"
#include "policy/publish.h"
#include "policy/sts_lint.h"

namespace cli {

using nlohmann::ordered_json;

namespace {

constexpr std::size_t file_limit = std::size_t{1} << 20;

// Why not, and the exit status.
struct Refusal {
  int status = exit_usage;
  std::string text;
};
template <class T>
using Made = base::Result<T, Refusal>;

Made<policy::StsMode> mode_of(const std::string& word) {
  for (const auto mode :
       {policy::StsMode::testing, policy::StsMode::enforce, policy::StsMode::none}) {
    if (word == policy::to_string(mode)) return mode;
  }
  return base::fail(Refusal{exit_usage, "--mode: \"" + word +
                                            "\" is none of testing, enforce, none"});
}

// Long for what is to protect; short for what is to go soon, or may have to.
Made<std::chrono::seconds> max_age_of(const std::string& text, policy::StsMode mode) {
  if (text.empty()) {
    return mode == policy::StsMode::enforce ? std::chrono::weeks(2) : std::chrono::days(1);
  }
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  config::Node node;
  node.value = digits ? text + "s" : text;
  const auto read = config::read<config::Duration>(node);
  if (!read || *read > std::chrono::seconds(base::limits::sts_max_age)) {
    return base::fail(Refusal{exit_usage, "--max-age: write seconds or 14d, up to " +
                                              std::to_string(base::limits::sts_max_age)});
  }
  return std::chrono::duration_cast<std::chrono::seconds>(*read);
}

Made<std::string> read_file(const std::string& name) {
  errno = 0;
  std::ifstream file(name, std::ios::binary);
  std::string text(file_limit + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad() || (errno != 0 && file.gcount() == 0)) {
    return base::fail(Refusal{exit_unavailable, name + ": " + std::strerror(errno)});
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > file_limit) {
    return base::fail(Refusal{exit_unavailable, name + ": over 1 MiB: no certificate or key"});
  }
  return {boost::system::in_place_value, std::move(text)};
}

// The MX hosts that the patterns name in full.
std::vector<base::Domain> hosts_of(const PolicyGenerate& options) {
  std::vector<base::Domain> hosts;
  for (const std::string& pattern : options.mx) {
    if (pattern.starts_with("*.")) continue;
    if (auto host = base::Domain::parse(pattern)) hosts.push_back(std::move(*host));
  }
  return hosts;
}

// [HOST=]FILE; without HOST for each MX host that is named in full.
Made<void> add_tlsa(const PolicyGenerate& options, const std::string& given, const char* option,
                    const char* which, std::vector<policy::TlsaWish>& to) {
  std::string file = given;
  std::vector<base::Domain> hosts = hosts_of(options);
  const std::size_t equals = given.find('=');
  if (equals != std::string::npos && given.find('/') > equals) {
    auto host = base::Domain::parse(given.substr(0, equals));
    if (!host) {
      return base::fail(Refusal{exit_usage, std::string(option) + ": \"" +
                                                given.substr(0, equals) + "\" is no host name"});
    }
    hosts = {std::move(*host)};
    file = given.substr(equals + 1);
  }
  if (hosts.empty()) {
    return base::fail(Refusal{exit_usage, std::string(option) +
                                              ": for which host? Write HOST=FILE"});
  }
  const auto pem = read_file(file);
  if (!pem) return base::fail(pem.error());
  const auto digest = dane::spki_of_pem(*pem);
  if (!digest) return base::fail(Refusal{exit_unavailable, file + ": " + digest.error().text});
  for (const base::Domain& host : hosts) {
    const std::string note = std::string(which) + ", of the " + digest->what + " " + file;
    to.push_back({host, digest->spki_sha256, base::without_controls(note)});
  }
  return {};
}

Made<policy::Publication> publication_of(const PolicyGenerate& options, const World& world) {
  auto domain = base::Domain::parse(options.domain);
  if (!domain) {
    return base::fail(Refusal{exit_usage, "\"" + options.domain +
                                              "\" is no domain: " + domain.error().text});
  }
  const auto mode = mode_of(options.mode);
  if (!mode) return base::fail(mode.error());
  const auto max_age = max_age_of(options.max_age, *mode);
  if (!max_age) return base::fail(max_age.error());
  policy::Publication wish{std::move(*domain), *mode, options.mx, *max_age, options.id,
                           options.rua, {}, options.ttl};
  if (wish.id.empty()) wish.id = policy::sts_id_of(world.clock->wall());
  for (const std::string& given : options.tlsa) {
    auto added = add_tlsa(options, given, "--tlsa", "now", wish.tlsa);
    if (!added) return base::fail(added.error());
  }
  for (const std::string& given : options.next) {
    auto added = add_tlsa(options, given, "--next", "next", wish.tlsa);
    if (!added) return base::fail(added.error());
  }
  return {boost::system::in_place_value, std::move(wish)};
}

void print_json(const policy::Published& published, std::ostream& out) {
  ordered_json reply;
  reply["schema"] = 1;
  reply["policy_url"] = published.policy_url;
  reply["policy"] = published.policy_file;
  reply["records"] = ordered_json::array();
  for (const policy::ZoneRecord& record : published.records) {
    ordered_json one;
    one["name"] = record.name;
    one["ttl"] = record.ttl;
    one["type"] = record.type;
    one["data"] = record.data;
    one["note"] = record.note;
    reply["records"].push_back(one);
  }
  out << in_ascii(reply, 2) << '\n';
}

// A zone file, the policy in its comments.
void print_zone(const policy::Published& published, const policy::Publication& wish,
                std::ostream& out) {
  out << "; 1. " << published.policy_url << "\n"
      << ";    served as text/plain, with a certificate for mta-sts." << wish.domain.str()
      << " (`--policy` prints the file):\n";
  std::string_view rest = published.policy_file;
  while (!rest.empty()) {
    const std::size_t end = rest.find("\r\n");
    out << ";    | " << rest.substr(0, end) << '\n';
    rest.remove_prefix(end + 2);
  }
  out << "; 2. Only then these records: a new id tells senders that there is a new policy.\n";
  for (const policy::ZoneRecord& record : published.records) out << record.line() << '\n';
  if (wish.tlsa.empty()) return;
  out << "; TLSA records count in a zone that is signed (DNSSEC). A new key's record must be\n"
         "; published for longer than the TTL before the key is used, and the old one stays until\n"
         "; the old key is gone.\n";
}

}  // namespace

void add_policy_generate(CLI::App& policy, PolicyGenerate& options, std::string& config) {
  CLI::App* const command = policy.add_subcommand(
      "generate", "Write the policy file and the DNS records of your own domain");
  options.command = command;
  command->add_option("DOMAIN", options.domain, "Your domain")->type_name("DOMAIN")->required();
  command
      ->add_option("-c,--config", config,
                   "Configuration file (or STERNPOST_CONFIG); nothing is read from it here, and "
                   "it need not be there")
      ->type_name("FILE")
      ->capture_default_str();
  const auto many = [command](const char* name, std::vector<std::string>& into, const char* text,
                              const char* type) {
    command->add_option(name, into, text)->type_name(type)->allow_extra_args(false);
  };
  many("--mx", options.mx, "An MX host, or *.example.com for any right below", "PATTERN");
  command->add_option("--mode", options.mode, "testing, enforce or none")
      ->type_name("MODE")
      ->capture_default_str();
  command
      ->add_option("--max-age", options.max_age,
                   "How long senders keep the policy: 14d (default for enforce), 1d (for the "
                   "others), or seconds")
      ->type_name("TIME");
  command->add_option("--id", options.id, "Id of the TXT record; left out: the time")
      ->type_name("ID");
  many("--rua", options.rua, "Where TLS reports go: mailto:ADDRESS or https://HOST/PATH", "URI");
  many("--tlsa", options.tlsa,
       "Certificate or key (PEM) in use, for a TLSA 3 1 1 record; without HOST for each --mx that "
       "is a host",
       "[HOST=]FILE");
  many("--next", options.next, "The same of the key that comes next, beside it", "[HOST=]FILE");
  command->add_option("--ttl", options.ttl, "Of the records, in seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 2147483647))
      ->capture_default_str();
  CLI::Option* const json = command->add_flag("--json", options.json, "Print JSON");
  command->add_flag("--policy", options.policy_alone, "Print the policy file alone")
      ->excludes(json);
  command->footer(
      "Prints lines of a zone file; the policy stands in its comments. Asks nobody, changes\n"
      "nothing. Begin with testing and --rua; enforce when the reports show no failure.\n"
      "Exit status: 0 printed, 2 senders would not accept it, 69 a file cannot be read.\n"
      "\nExamples:\n"
      "  sternpost policy generate example.com --mx mx1.example.com --rua mailto:tls@example.com\n"
      "  sternpost policy generate example.com --mx mx1.example.com --mode enforce \\\n"
      "    --tlsa mx1.pem --next mx1-next.key");
}

int policy_generate(const PolicyGenerate& options, const Terminal& terminal, const World& world) {
  const auto wish = publication_of(options, world);
  if (!wish) {
    const Refusal refusal = wish.error();
    terminal.err << "policy generate: " << base::without_controls(refusal.text) << '\n';
    return refusal.status;
  }
  const auto published = policy::publish(*wish);
  if (!published) {
    terminal.err << "policy generate: " << base::without_controls(published.error().text)
                 << '\n';
    return exit_usage;
  }
  for (const policy::LintFinding& one : policy::lint(published->policy_file)) {
    terminal.err << "warning: " << one.text << '\n';
  }
  if (options.json) {
    print_json(*published, terminal.out);
  } else if (options.policy_alone) {
    terminal.out << published->policy_file;
  } else {
    print_zone(*published, *wish, terminal.out);
  }
  return exit_fine;
}

}  // namespace cli
