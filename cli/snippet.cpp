#include "cli/snippet.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

namespace cli {

namespace {

using Values = std::map<std::string, std::string, std::less<>>;

constexpr std::array<std::pair<Mta, std::string_view>, 4> mtas{{{Mta::Postfix, "postfix"},
                                                                {Mta::Sendmail, "sendmail"},
                                                                {Mta::Exim, "exim"},
                                                                {Mta::OpenSmtpd, "opensmtpd"}}};
constexpr std::array<std::pair<Via, std::string_view>, 5> vias{{{Via::Lmtp, "lmtp"},
                                                                {Via::Smtp, "smtp"},
                                                                {Via::Map, "map"},
                                                                {Via::Milter, "milter"},
                                                                {Via::Transparent, "transparent"}}};

const std::vector<Text>& texts_of(Mta mta) {
  switch (mta) {
    case Mta::Postfix: return postfix_texts();
    case Mta::Sendmail: return sendmail_texts();
    case Mta::Exim: return exim_texts();
    case Mta::OpenSmtpd: break;
  }
  return opensmtpd_texts();
}

// A client cannot dial "any address".
base::Ip dialled(const base::Ip& ip) {
  if (ip == base::Ip::v4({0, 0, 0, 0})) return base::Ip::v4({127, 0, 0, 1});
  if (ip == base::Ip::v6({})) {
    std::array<std::uint8_t, 16> loopback{};
    loopback.back() = 1;
    return base::Ip::v6(loopback);
  }
  return ip;
}

std::string bracketed(const base::Ip& ip) {
  return ip.is_v6() ? "[" + ip.str() + "]" : ip.str();
}

// The same address in the words of each MTA. A Unix socket has a path alone, and only where an
// MTA's text has a placeholder for it.
Values values_of(const config::Address& address) {
  Values values;
  if (const auto* tcp = std::get_if<config::Tcp>(&address)) {
    const base::Ip ip = dialled(tcp->address);
    const std::string port = std::to_string(tcp->port);
    values["IP"] = ip.str();
    values["PORT"] = port;
    values["URL"] = bracketed(ip) + ":" + port;               // OpenSMTPD, Postfix's inet:
    values["HOST_PORT"] = "[" + ip.str() + "]:" + port;       // Postfix's smtp
    values["LITERAL"] = ip.literal();
    values["EXIM_HOST"] = ip.is_v6() ? "\"<; " + ip.str() + "\"" : ip.str();
    values["POSTFIX"] = "inet:" + values["URL"];
    if (ip == base::Ip::v4({127, 0, 0, 1})) {
      values["NET"] = "127.0.0.";
      for (int last = 2; last <= 10; ++last) {
        values["LISTENERS"] += "[[listen]]\nprotocol = \"lmtp\"\naddress = \"127.0.0." +
                               std::to_string(last) + ":" + port + "\"\n";
      }
    }
    values["SOCKETMAP"] = (ip.is_v6() ? "inet6:" : "inet:") + port + "@" + ip.str();
  } else {
    const std::string path = std::get<config::Unix>(address).path.string();
    values["POSTFIX"] = "unix:" + path;
    values["SOCKETMAP"] = "local:" + path;
  }
  return values;
}

// libmilter's "inet:8891@127.0.0.1" as a client may dial it.
std::string dialled_milter(const std::string& spec) {
  const std::size_t at = spec.find('@');
  if (!spec.starts_with("inet") || at == std::string::npos) return spec;
  std::string_view host = std::string_view(spec).substr(at + 1);
  const bool in_brackets = host.starts_with('[') && host.ends_with(']');
  if (in_brackets) host = host.substr(1, host.size() - 2);
  const auto ip = base::Ip::parse(host);
  if (!ip || dialled(*ip) == *ip) return spec;
  const std::string to = dialled(*ip).str();
  return spec.substr(0, at + 1) + (in_brackets ? "[" + to + "]" : to);
}

// libmilter's "inet:8891@127.0.0.1", "inet6:8891@[::1]", "unix:/path" and "local:/path" in
// Postfix's words.
std::string postfix_milter(std::string_view spec) {
  const std::size_t colon = spec.find(':');
  const std::string_view kind = spec.substr(0, colon);
  if (colon == std::string_view::npos) return "unix:" + std::string(spec);  // a path alone
  const std::string_view rest = spec.substr(colon + 1);
  if (!kind.starts_with("inet")) return "unix:" + std::string(rest);
  const std::size_t at = rest.find('@');
  std::string host(at == std::string_view::npos ? "127.0.0.1" : rest.substr(at + 1));
  if (host.find(':') != std::string::npos && !host.starts_with('[')) host = "[" + host + "]";
  return "inet:" + host + ":" + std::string(rest.substr(0, at));
}

bool is_loopback(const base::Ip& ip) {
  return ip.is_v4() ? ip.octets().front() == 127 : ip.str() == "::1";
}

// Whether this listener is the one that is reached at `address`.
bool serves(const config::Listen& listen, const config::Address& address) {
  if (listen.address == address) return true;
  const auto* at = std::get_if<config::Tcp>(&listen.address);
  const auto* wanted = std::get_if<config::Tcp>(&address);
  const bool any = at && (at->address == base::Ip::v4({0, 0, 0, 0}) ||
                          at->address == base::Ip::v6({}));
  return any && wanted && wanted->port == at->port;
}

using Words = std::vector<std::string_view>;

// What lines may ask for beside the version: where the listener is and what it has.
Words words_of(const Addresses& addresses, Via via, const config::Address& address) {
  const config::Protocol protocol =
      via == Via::Lmtp ? config::Protocol::Lmtp : config::Protocol::Smtp;
  const auto listen = std::ranges::find_if(addresses.listeners, [&](const auto& one) {
    return one.protocol == protocol && serves(one, address);
  });
  const bool known = listen != addresses.listeners.end();
  if (known && !listen->client_ca.empty()) return {"tls", "client_ca"};
  const auto* tcp = std::get_if<config::Tcp>(&address);
  if (!tcp || is_loopback(dialled(tcp->address))) return {"loopback"};
  return {known && !listen->tls_certificate.empty() ? "tls" : "bare"};
}

// The line itself, without its condition; nothing where it is for other versions or listeners.
std::optional<std::string_view> line_for(std::string_view line, const Version& version,
                                         const Words& words) {
  if (!line.starts_with('?')) return line;
  const std::size_t space = line.find(' ');
  const bool from = line.starts_with("?>=");
  if (!from && !line.starts_with("?<")) {
    const std::string_view word = line.substr(1, space - 1);
    if (std::ranges::find(words, word) == words.end()) return std::nullopt;
    return line.substr(space + 1);
  }
  const std::size_t begin = from ? 3 : 2;
  const auto bound = parse_version(line.substr(begin, space - begin));
  if (version.below(*bound) == from) return std::nullopt;
  return line.substr(space + 1);
}

// Fills placeholders in; the name of the first one that has no value.
std::optional<std::string> fill(std::string& text, const Values& values) {
  std::size_t at = 0;
  while ((at = text.find('@', at)) != std::string::npos) {
    const std::size_t end = text.find('@', at + 1);
    const std::string name = text.substr(at + 1, end == std::string::npos ? 0 : end - at - 1);
    const bool named = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || c == '_';
    });
    if (!named) {
      ++at;
      continue;
    }
    const auto value = values.find(name);
    if (value == values.end()) return name;
    text.replace(at, end - at + 1, value->second);
    at += value->second.size();
  }
  return std::nullopt;
}

std::vector<Part> parts_of(std::string_view text, const Version& version, const Words& words) {
  std::vector<Part> parts;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const auto line = line_for(text.substr(0, end), version, words);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line) continue;
    if (line->starts_with("==> ")) {
      const std::string_view title = line->substr(4);
      const std::size_t colon = title.find(": ");
      Part part;
      part.file = title.substr(0, colon);
      if (colon != std::string_view::npos) part.where = title.substr(colon + 2);
      parts.push_back(std::move(part));
    } else if (!parts.empty()) {
      parts.back().text += std::string(*line) + "\n";
    }
  }
  return parts;
}

std::string list_of(const std::vector<Text>& texts) {
  std::string list;
  for (const Text& text : texts) {
    if (!list.empty()) list += ", ";
    list += name_of(text.via);
  }
  return list;
}

template <class Table, class Value>
std::string_view name_in(const Table& table, Value value) {
  for (const auto& [one, name] : table) {
    if (one == value) return name;
  }
  return {};
}

template <class Value, class Table>
std::optional<Value> value_in(const Table& table, std::string_view name) {
  for (const auto& [value, one] : table) {
    if (one == name) return value;
  }
  return std::nullopt;
}

}  // namespace

bool Version::below(const Version& other) const {
  for (std::size_t i = 0; i < other.numbers.size(); ++i) {
    const unsigned mine = i < numbers.size() ? numbers[i] : 0;
    if (mine != other.numbers[i]) return mine < other.numbers[i];
  }
  return false;
}

std::optional<Version> parse_version(std::string_view text) {
  Version version;
  version.text = text;
  std::string_view rest = text;
  while (true) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc{}) return std::nullopt;
    version.numbers.push_back(number);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (!rest.starts_with('.')) break;
    rest.remove_prefix(1);
  }
  const bool plain = std::all_of(rest.begin(), rest.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("+-~./_").find(c) != std::string_view::npos;
  });
  if (version.numbers.size() < 2 || !plain) return std::nullopt;
  return version;
}

std::optional<config::Address> unserved(const Addresses& addresses) {
  const auto* tcp = std::get_if<config::Tcp>(&addresses.transparent);
  if (!tcp) return std::nullopt;
  for (const base::Ip& any : {base::Ip::v4({0, 0, 0, 0}), base::Ip::v6({})}) {
    const config::Address wanted = config::Tcp{dialled(any), tcp->port};
    const bool there = std::ranges::any_of(addresses.listeners, [&](const auto& one) {
      const auto* at = std::get_if<config::Tcp>(&one.address);
      return one.protocol == config::Protocol::Transparent && at && at->port == tcp->port &&
             (one.address == wanted || at->address == any);
    });
    if (!there) return wanted;
  }
  return std::nullopt;
}

config::Address& Addresses::of(Via via, Mta mta) {
  switch (via) {
    case Via::Lmtp: return lmtp;
    case Via::Smtp: return smtp;
    case Via::Map: return mta == Mta::Sendmail ? sendmail_map : map;
    case Via::Transparent:
    case Via::Milter: break;
  }
  return transparent;
}

std::optional<Mta> parse_mta(std::string_view name) { return value_in<Mta>(mtas, name); }
std::optional<Via> parse_via(std::string_view name) { return value_in<Via>(vias, name); }
std::string_view name_of(Mta mta) { return name_in(mtas, mta); }
std::string_view name_of(Via via) { return name_in(vias, via); }

std::string_view title_of(Mta mta) {
  switch (mta) {
    case Mta::Postfix: return "Postfix";
    case Mta::Sendmail: return "Sendmail";
    case Mta::Exim: return "Exim";
    case Mta::OpenSmtpd: break;
  }
  return "OpenSMTPD";
}

Via default_via(Mta mta) { return mta == Mta::Exim ? Via::Smtp : Via::Lmtp; }

Version debian_version(Mta mta) {
  switch (mta) {
    case Mta::Postfix: return *parse_version("3.7");
    case Mta::Sendmail: return *parse_version("8.17");
    case Mta::Exim: return *parse_version("4.96");
    case Mta::OpenSmtpd: break;
  }
  return *parse_version("6.8");
}

base::Result<std::vector<Part>, base::Error> snippet(Mta mta, Via via, const Version& version,
                                                     const Addresses& addresses) {
  const std::vector<Text>& texts = texts_of(mta);
  const auto text = std::find_if(texts.begin(), texts.end(),
                                 [&](const Text& one) { return one.via == via; });
  const std::string title(title_of(mta));
  if (text == texts.end()) {
    return base::fail(title + " cannot be attached by " + std::string(name_of(via)) + "; by " +
                      list_of(texts));
  }
  if (version.below(*parse_version(text->since))) {
    return base::fail(title + " " + version.text + " is too old: by " +
                      std::string(name_of(via)) + " it must be " + std::string(text->since) +
                      " or newer");
  }
  Addresses copy = addresses;
  Values values = values_of(copy.of(via, mta));
  values["MILTER"] = dialled_milter(addresses.milter);
  values["POSTFIX_MILTER"] = postfix_milter(values["MILTER"]);
  const Words words = words_of(addresses, via, copy.of(via, mta));
  std::vector<Part> parts = parts_of(text->text, version, words);
  if (via == Via::Transparent) {
    const std::vector<Part> rules = parts_of(nftables_text, version, words);
    parts.insert(parts.end(), rules.begin(), rules.end());
  }
  for (Part& part : parts) {
    if (fill(part.text, values)) {
      return base::fail(mta == Mta::OpenSmtpd
                            ? "OpenSMTPD needs the listener at 127.0.0.1 and a port"
                            : title + " cannot use a Unix socket here: give the listener a port");
    }
  }
  return parts;
}

std::string printed(Mta mta, const std::vector<Part>& parts) {
  std::string out;
  for (const Part& part : parts) {
    if (!out.empty()) out += '\n';
    out += mta == Mta::Sendmail && part.file.ends_with(".mc") ? "dnl" : "#";
    out += " ==> " + part.file;
    if (!part.where.empty()) out += ": " + part.where;
    out += "\n" + part.text;
  }
  return out;
}

}  // namespace cli
