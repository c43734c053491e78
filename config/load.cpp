#include "config/load.h"

#include <algorithm>
#include <tuple>

#include "base/encode.h"
#include "base/terminal.h"
#include "config/consistency.h"
#include "config/nearest.h"
#include "config/reading.h"
#include "config/schema.h"
#include "config/values.h"

namespace config {

namespace {

std::string in_quotes(std::string_view text) { return toml(std::string(text)); }

std::string position(const Place& place) {
  return place.file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

// A file that somebody else made: it must be there and look like what it is named as.
std::optional<std::string> complaint_about(const Path& path, FileUse use,
                                           const Surroundings& surroundings) {
  if (use == FileUse::Created || !surroundings.read_file || path.empty()) return std::nullopt;
  const auto octets = surroundings.read_file(path);
  if (!octets) return in_quotes(path.string()) + " cannot be read: " + octets.error().text;
  const auto has = [&](std::string_view mark) { return octets->find(mark) != std::string::npos; };
  if (use == FileUse::Certificates && !has("CERTIFICATE-----")) {
    return in_quotes(path.string()) + " holds no certificate in PEM";
  }
  if (use == FileUse::PrivateKey && !has("PRIVATE KEY-----")) {
    return in_quotes(path.string()) + " holds no private key in PEM";
  }
  // One record a line, as in a zone file (unbound's own form of it too).
  if (use == FileUse::TrustAnchor && !has("DNSKEY") && !has("DS")) {
    return in_quotes(path.string()) + " holds no DNSKEY and no DS record";
  }
  return std::nullopt;
}

// Whether it stands under a header of its own, [name] or [[name]], or could.
bool holds_tables(const Node& node) {
  const auto* list = std::get_if<List>(&node.value);
  return std::holds_alternative<Table>(node.value) ||
         (list && !list->empty() && std::holds_alternative<Table>(list->front().value));
}

class Loader {
 public:
  explicit Loader(const Surroundings& surroundings) : surroundings_(surroundings) {}

  void add(const Source& source);
  LoadResult finish();

  Reading reading;

 private:
  void read_top(const Member& member);
  void read_section(const Section& section, const Node& node);
  void read_table(const Section& section, const std::string& at, const Table& table,
                  const Place& place);
  void read_key(const Section& section, const std::string& at, const Member& member);
  void unknown_section(const std::string& name, const Place& place);
  void choose_host_name();
  void look_at_trust_anchor();

  const Surroundings& surroundings_;
  std::map<std::string, std::size_t> list_sizes_;
};

void Loader::add(const Source& source) {
  Tree tree = read_toml(source);
  if (!tree.errors.empty()) reading.whole = false;
  std::ranges::move(tree.errors, std::back_inserter(reading.errors));
  for (const Member& member : tree.root) read_top(member);
}

void Loader::read_top(const Member& member) {
  if (const Section* section = find_section(member.name)) {
    Node node = member.node;
    if (std::holds_alternative<Table>(node.value)) node.place = member.place;
    read_section(*section, node);
    return;
  }
  if (holds_tables(member.node)) {
    unknown_section(member.name, member.place);
  } else {
    reading.error(member.place,
                  "unknown key " + in_quotes(member.name) + key_hint("", member.name));
  }
}

void Loader::unknown_section(const std::string& name, const Place& place) {
  reading.error(place, "unknown section " + in_quotes(name) + section_hint(name));
  // Whoever gave a listener another name wants one.
  const std::vector<std::string> meant = nearest_sections(name);
  for (const std::string& one : meant) reading.meant.insert(one);
}

void Loader::read_section(const Section& section, const Node& node) {
  const std::string name(section.name);
  if (!section.is_list()) {
    const auto* table = std::get_if<Table>(&node.value);
    if (!table) {
      reading.error(node.place, "must be a section [" + name + "], not " +
                                    std::string(type_of(node)));
      return;
    }
    reading.places.try_emplace(name, node.place);
    read_table(section, name, *table, node.place);
    return;
  }
  const auto* list = std::get_if<List>(&node.value);
  if (!list) {
    reading.places.try_emplace(name, node.place);  // it is there, wrong as it is
    reading.error(node.place, "must be a list of sections, each under [[" + name + "]]");
    return;
  }
  for (const Node& one : *list) {
    const auto* table = std::get_if<Table>(&one.value);
    if (!table) {
      reading.error(one.place, "must be a section [[" + name + "]], not " +
                                   std::string(type_of(one)));
      continue;
    }
    section.append(reading.config);
    const std::string at = name + "." + std::to_string(list_sizes_[name]++);
    reading.places.emplace(at, one.place);
    read_table(section, at, *table, one.place);
  }
}

void Loader::read_table(const Section& section, const std::string& at, const Table& table,
                        const Place& place) {
  for (const Member& member : table) {
    const std::string nested = std::string(section.name) + "." + member.name;
    if (const Section* inner = find_section(nested)) {
      read_section(*inner, member.node);
      continue;
    }
    read_key(section, at, member);
  }
  if (!reading.whole) return;  // the key may be on a line that was left out
  for (const Key& key : section.keys) {
    const std::string path = at + "." + std::string(key.name);
    if (!key.required || reading.is_set(path) || !reading.is_good(path)) continue;
    reading.error(place, "[[" + std::string(section.name) + "]] without " + std::string(key.name));
    reading.wrong.insert(path);
  }
}

void Loader::read_key(const Section& section, const std::string& at, const Member& member) {
  const Key* key = find_key(section, member.name);
  if (!key && holds_tables(member.node)) {
    unknown_section(std::string(section.name) + "." + member.name, member.place);
    return;
  }
  if (!key) {
    reading.error(member.place, "unknown key " + in_quotes(member.name) +
                                    key_hint(section.name, member.name));
    // What it was meant to be is not missing besides.
    const std::vector<std::string> meant = nearest_keys(section.name, member.name);
    if (meant.size() == 1) reading.wrong.insert(at + "." + meant.front());
    return;
  }
  const std::string path = at + "." + member.name;
  if (const auto first = reading.places.find(path); first != reading.places.end()) {
    reading.error(member.place,
                  path + " is set twice: here and at " + position(first->second));
    return;
  }
  reading.places.emplace(path, member.node.place);
  std::vector<Issue> issues = key->read(reading.config, member.node);
  if (issues.empty() && key->file != FileUse::Created) {
    if (auto complaint = complaint_about(Path(std::get<std::string>(member.node.value)),
                                         key->file, surroundings_)) {
      issues.push_back({member.node.place, std::move(*complaint)});
    }
  }
  if (!issues.empty()) reading.wrong.insert(path);
  for (Issue& issue : issues) {
    reading.error(std::move(issue.place), member.name + ": " + issue.text);
  }
}

// server.hostname, else the host's full name (RFC 5321 §4.1.4: EHLO gives a name that is ours).
void Loader::choose_host_name() {
  std::string& name = reading.config.server.hostname;
  if (!name.empty() || !reading.is_good("server.hostname")) return;
  const std::string own = surroundings_.host_name ? surroundings_.host_name() : std::string();
  const auto domain = base::Domain::parse(own);
  if (!domain || !domain->is_ldh()) {
    if (!reading.whole) return;
    reading.error(reading.place("server"),
                  "server.hostname is not set, and the host has no name that could stand for it");
    return;
  }
  name = domain->str();
  if (name.find('.') == std::string::npos && reading.whole) {
    reading.warning(reading.place("server"), "server.hostname is not set, and the host's name, " +
                                                 in_quotes(name) +
                                                 ", has no domain: set it to the full name");
  }
}

// The default is nobody's mistake, so it is a warning; but without it nothing is ever DANE.
void Loader::look_at_trust_anchor() {
  const Dns& dns = reading.config.dns;
  if (reading.is_set("dns.trust_anchor_file") || !dns.unbound_config.empty()) return;
  const auto complaint =
      complaint_about(dns.trust_anchor_file, FileUse::TrustAnchor, surroundings_);
  if (complaint) {
    reading.warning(reading.place("dns"), "dns.trust_anchor_file: " + *complaint);
  }
}

LoadResult Loader::finish() {
  choose_host_name();
  look_at_trust_anchor();
  judge_consistency(reading, surroundings_);
  LoadResult result;
  result.errors = std::move(reading.errors);
  result.warnings = std::move(reading.warnings);
  for (auto* issues : {&result.errors, &result.warnings}) {
    for (Issue& issue : *issues) issue.text = base::without_controls(issue.text);
  }
  if (result.errors.empty()) {
    result.config = std::make_shared<const Config>(std::move(reading.config));
  }
  return result;
}

}  // namespace

LoadResult load_sources(const std::vector<Source>& sources, const Surroundings& surroundings) {
  Loader loader(surroundings);
  if (!sources.empty()) loader.reading.main.file = sources.front().name;
  for (const Source& source : sources) loader.add(source);
  LoadResult result = loader.finish();
  std::map<std::string, std::size_t> order;
  for (std::size_t i = 0; i < sources.size(); ++i) order.emplace(sources[i].name, i);
  const auto by_place = [&](const Issue& issue) {
    return std::tuple(order[issue.place.file], issue.place.line, issue.place.column);
  };
  std::ranges::stable_sort(result.errors, {}, by_place);
  std::ranges::stable_sort(result.warnings, {}, by_place);
  return result;
}

LoadResult load_defaults(const Surroundings& surroundings) {
  return load_sources({{"defaults", "[[listen]]\n"}}, surroundings);
}

std::string text_of(const Issue& issue, std::string_view kind) {
  return base::without_controls(position(issue.place)) + ": " + std::string(kind) + ": " +
         issue.text;
}

}  // namespace config
