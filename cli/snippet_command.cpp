#include "cli/snippet_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <ostream>

#include "base/encode.h"
#include "cli/settings.h"
#include "config/values.h"

namespace cli {

namespace {

constexpr const char* mta_names = "postfix, sendmail, exim or opensmtpd";

std::string usual(Addresses& addresses, Via via, Mta mta) {
  return via == Via::Milter ? addresses.milter : config::text_of(addresses.of(via, mta));
}

// Where a configuration says that something listens there.
std::string_view key_of(Via via, Mta mta) {
  switch (via) {
    case Via::Lmtp: return "[[listen]] with protocol = \"lmtp\"";
    case Via::Smtp: return "[[listen]] with protocol = \"smtp\"";
    case Via::Transparent: return "[[listen]] with protocol = \"transparent\"";
    case Via::Milter: return "milter.socket";
    case Via::Map: break;
  }
  return mta == Mta::Sendmail ? "socketmap.sendmail_listen" : "socketmap.listen";
}

// What the configuration says, where there is one; what is assumed otherwise is said on `err`.
std::optional<Addresses> addresses_from(const Snippet& options, const std::string& file, Via via,
                                        Mta mta, const Terminal& terminal, const World& world) {
  Addresses addresses;
  const config::LoadResult loaded = world.load(file);
  const bool named = options.command->count("--config") > 0 || world.config_named;
  if (!loaded.config) {
    // Another user may not be allowed to read it; who names it, or has mistakes in it, wants it.
    if (named || ::access(file.c_str(), R_OK) == 0) {
      print_issues(loaded, terminal);
      return std::nullopt;
    }
    if (options.listen.empty()) {
      const bool absent = is_absent(file);
      terminal.err << (absent ? "no configuration at " : "cannot read the configuration ")
                   << base::printable(file) << ": these lines are for "
                   << usual(addresses, via, mta) << ", to be its " << key_of(via, mta) << '\n';
    }
    return addresses;
  }
  const config::Config& config = *loaded.config;
  addresses.listeners = config.listen;
  if (!config.milter.socket.empty()) addresses.milter = config.milter.socket;
  if (config.socketmap.listen) addresses.map = *config.socketmap.listen;
  if (config.socketmap.sendmail_listen) addresses.sendmail_map = *config.socketmap.sendmail_listen;
  const auto take = [&](config::Protocol protocol, config::Address& address) {
    for (const config::Listen& listen : config.listen) {
      if (listen.protocol != protocol) continue;
      address = listen.address;
      return true;
    }
    return false;
  };
  const bool lmtp = take(config::Protocol::Lmtp, addresses.lmtp);
  const bool smtp = take(config::Protocol::Smtp, addresses.smtp);
  const bool transparent = take(config::Protocol::Transparent, addresses.transparent);
  const bool there = via == Via::Lmtp          ? lmtp
                     : via == Via::Smtp        ? smtp
                     : via == Via::Transparent ? transparent
                     : via == Via::Milter      ? !config.milter.socket.empty()
                     : mta == Mta::Sendmail    ? config.socketmap.sendmail_listen.has_value()
                                               : config.socketmap.listen.has_value();
  if (!there && options.listen.empty()) {
    terminal.err << base::printable(file) << " has no " << key_of(via, mta)
                 << "; it needs one at " << usual(addresses, via, mta)
                 << ", which these lines are for\n";
  }
  const bool rule = there && via == Via::Transparent && options.listen.empty();
  if (const auto missing = rule ? unserved(addresses) : std::nullopt) {
    terminal.err << base::printable(file) << " has no " << key_of(via, mta) << " at "
                 << config::text_of(*missing)
                 << "; without one, connections that the rule leads there are refused\n";
  }
  return addresses;
}

bool take_listen(const std::string& text, Via via, Mta mta, Addresses& addresses,
                 const Terminal& terminal) {
  if (via == Via::Milter) {
    for (const std::string_view scheme : {"unix:/", "local:/", "inet:", "inet6:"}) {
      if (text.starts_with(scheme) && text.find_first_of(" \t\r\n,;'`") == std::string::npos) {
        addresses.milter = text;
        return true;
      }
    }
    terminal.err << "--listen: \"" << base::printable(text)
                 << "\" is no address of a milter; write inet:8891@127.0.0.1 or unix:/path\n";
    return false;
  }
  config::Node node;
  node.value = text;
  const auto address = config::read<config::Address>(node);
  if (!address || text.find_first_of(" \t\r\n,;'`") != std::string::npos) {
    terminal.err << "--listen: \"" << base::printable(text)
                 << "\" is no address; write 127.0.0.1:10024, [::1]:10024 or unix:/path\n";
    return false;
  }
  addresses.of(via, mta) = *address;
  return true;
}

// The one of --version, or the installed one, or Debian 12's; nothing where --version is none.
std::optional<Version> version_from(const Snippet& options, Mta mta, const Terminal& terminal,
                                    const World& world) {
  if (options.command->count("--version") > 0) {
    auto given = parse_version(options.version);
    if (!given) {
      terminal.err << "--version: \"" << options.version << "\" is no version; write it like "
                   << debian_version(mta).text << '\n';
    }
    return given;
  }
  const std::string output = world.shell ? world.shell(version_query(mta)) : std::string();
  auto found = found_version(mta, output);
  if (found) {
    terminal.err << title_of(mta) << ' ' << found->text << " is installed\n";
    return found;
  }
  const Version usual = debian_version(mta);
  terminal.err << "no " << title_of(mta) << " is installed: these lines are for "
               << title_of(mta) << ' ' << usual.text << ", as in Debian 12 (--version)\n";
  return usual;
}

void print_json(const std::vector<Part>& parts, Mta mta, Via via, const Version& version,
                std::ostream& out) {
  nlohmann::ordered_json reply;
  reply["schema"] = 1;
  reply["mta"] = name_of(mta);
  reply["version"] = version.text;
  reply["via"] = name_of(via);
  reply["parts"] = nlohmann::json::array();
  for (const Part& part : parts) {
    nlohmann::ordered_json one;
    one["file"] = part.file;
    one["where"] = part.where;
    one["text"] = part.text;
    reply["parts"].push_back(one);
  }
  out << base::json_in_ascii(reply.dump(2)) << '\n';
}

}  // namespace

std::string version_query(Mta mta) {
  const std::string path = "PATH=\"$PATH:/usr/sbin:/usr/local/sbin:/sbin\"; ";
  switch (mta) {
    case Mta::Postfix: return path + "postconf -h mail_version";
    case Mta::Exim: return path + "exim4 -bV || exim -bV";
    case Mta::OpenSmtpd: return path + "smtpd -h 2>&1";
    case Mta::Sendmail: break;
  }
  // Not the program: under this name another MTA's may be there, to which -bv means "send mail".
  return "sed -n 's/^DZ/Version /p' /etc/mail/sendmail.cf";
}

std::optional<Version> found_version(Mta mta, std::string_view output) {
  const std::string_view before = mta == Mta::Postfix     ? ""
                                  : mta == Mta::Exim      ? "Exim version "
                                  : mta == Mta::OpenSmtpd ? "OpenSMTPD "
                                                          : "Version ";
  const std::size_t at = output.find(before);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = output.substr(at + before.size());
  return parse_version(rest.substr(0, rest.find_first_of(" \r\n\t")));
}

void add_snippet(CLI::App& app, Snippet& options, std::string& file) {
  options.command = app.add_subcommand("snippet", "Print the lines that attach an MTA");
  options.command->add_option("MTA", options.mta, mta_names)->type_name("MTA")->required();
  options.command->add_option("-c,--config", file, "Configuration file (or STERNPOST_CONFIG)")
      ->type_name("FILE")
      ->capture_default_str();
  options.command
      ->add_option("--via", options.via,
                   "lmtp (default; smtp for Exim), smtp, map, milter or transparent")
      ->type_name("WAY");
  options.command
      ->add_option("--version", options.version, "The MTA's version, where not the one found here")
      ->type_name("V");
  options.command
      ->add_option("--listen", options.listen,
                   "Where Sternpost listens, where not as in the configuration")
      ->type_name("ADDRESS");
  options.command->add_flag("--json", options.json, "Print JSON");
  options.command->footer(
      "Comments in the lines name the file that each part goes to. Changes nothing.\n"
      "Exit status: 0 printed, 2 wrong words, or no lines for this MTA, way, version or\n"
      "address, 75 the lines could not be written, 78 the configuration has mistakes, or\n"
      "the file that --config names is not there.\n"
      "\nExamples:\n"
      "  sternpost snippet postfix\n"
      "  sternpost snippet exim --via lmtp --version 4.96");
}

int snippet_command(const Snippet& options, const std::string& file, const Terminal& terminal,
                    const World& world) {
  const auto mta = parse_mta(options.mta);
  if (!mta) {
    terminal.err << "no lines for \"" << options.mta << "\"; for " << mta_names << '\n';
    return exit_usage;
  }
  const bool usual_way = options.command->count("--via") == 0;
  const auto via = usual_way ? default_via(*mta) : parse_via(options.via);
  if (!via) {
    terminal.err << "--via: \"" << options.via
                 << "\" is none of lmtp, smtp, map, milter, transparent\n";
    return exit_usage;
  }
  const auto known = snippet(*mta, *via, debian_version(*mta), Addresses());
  if (!known) {
    terminal.err << known.error().text << '\n';
    return exit_usage;
  }
  const auto version = version_from(options, *mta, terminal, world);
  if (!version) return exit_usage;
  // Before anything is said of addresses that these lines would be for.
  if (const auto fits = snippet(*mta, *via, *version, Addresses()); !fits) {
    terminal.err << fits.error().text << '\n';
    return exit_usage;
  }
  auto addresses = addresses_from(options, file, *via, *mta, terminal, world);
  if (!addresses) return exit_config;
  if (options.command->count("--listen") > 0) {
    if (!take_listen(options.listen, *via, *mta, *addresses, terminal)) return exit_usage;
  }
  const auto parts = snippet(*mta, *via, *version, *addresses);
  if (!parts) {
    terminal.err << parts.error().text << '\n';
    return exit_usage;
  }
  if (options.json) {
    print_json(*parts, *mta, *via, *version, terminal.out);
  } else {
    terminal.out << printed(*mta, *parts);
  }
  return exit_fine;
}

}  // namespace cli
