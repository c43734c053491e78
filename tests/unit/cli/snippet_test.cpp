#include "cli/snippet.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "cli/commands.h"
#include "cli/snippet_command.h"
#include "tests/source_folder.h"

namespace {

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

// `config`: nothing where there is no file. `installed`: what the MTA says of its version.
Outcome run(const std::vector<std::string>& arguments, const std::string& config = "",
            const std::string& installed = "",
            const std::string& file = "/nowhere/sternpost.toml") {
  std::ostringstream out;
  std::ostringstream err;
  cli::World world;
  world.default_config = file;
  world.load = [&](const config::Path&) {
    config::Surroundings surroundings;
    surroundings.today = std::chrono::sys_days(std::chrono::year{2026} / 6 / 1);
    surroundings.host_name = [] { return std::string("edge.example.com"); };
    return config::load_sources({{"x.toml", config}}, surroundings);
  };
  world.shell = [&](const std::string&) { return installed; };
  const int status = cli::run(arguments, {out, err}, world);
  return {status, out.str(), err.str()};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

const cli::Addresses usual;

}  // namespace

TEST_CASE("a version is numbers, and whatever comes behind") {
  for (const std::string good : {"3.7", "3.7.11", "4.96", "6.8.0p2", "8.17.1.9/Debian-2+deb12u2",
                                 "3.11-20250101"}) {
    CAPTURE(good);
    const auto version = cli::parse_version(good);
    REQUIRE(version);
    CHECK(version->text == good);
  }
  for (const std::string bad : {"", "3", "3.", ".7", "x", "3.x", "3.7 or so", "3.7\n", "-3.7"}) {
    CAPTURE(bad);
    CHECK_FALSE(cli::parse_version(bad));
  }
  const auto below = [](const std::string& a, const std::string& b) {
    return cli::parse_version(a)->below(*cli::parse_version(b));
  };
  CHECK(below("3.9.1", "3.10"));
  CHECK_FALSE(below("3.10", "3.10"));
  CHECK_FALSE(below("3.10.5", "3.10"));
  CHECK_FALSE(below("4.0", "3.10"));
}

TEST_CASE("the version is found in what each MTA says") {
  const auto found = [](cli::Mta mta, const std::string& output) {
    const auto version = cli::found_version(mta, output);
    return version ? version->text : "";
  };
  CHECK(found(cli::Mta::Postfix, "3.7.11\n") == "3.7.11");
  CHECK(found(cli::Mta::Exim, "Exim version 4.96 #2 built 01-Jan-2026 10:00:00\nCopyright") ==
        "4.96");
  CHECK(found(cli::Mta::Sendmail, "Version 8.17.1.9/Debian-2+deb12u2\n") ==
        "8.17.1.9/Debian-2+deb12u2");
  CHECK(found(cli::Mta::OpenSmtpd, "version: OpenSMTPD 6.8.0p2\nusage: smtpd") == "6.8.0p2");
  for (const cli::Mta mta : {cli::Mta::Postfix, cli::Mta::Exim, cli::Mta::Sendmail,
                             cli::Mta::OpenSmtpd}) {
    CHECK(found(mta, "").empty());
    CHECK(found(mta, "sh: not found\n").empty());
  }
}

TEST_CASE("snippet: lines fit the version") {
  const auto text = [](cli::Mta mta, cli::Via via, const std::string& version) {
    const auto parts = cli::snippet(mta, via, *cli::parse_version(version), usual);
    return parts ? cli::printed(mta, *parts) : "error: " + parts.error().text;
  };
  using cli::Mta;
  using cli::Via;
  CHECK(has(text(Mta::Postfix, Via::Lmtp, "3.7"), "lmtp_fallback_relay="));
  CHECK_FALSE(has(text(Mta::Postfix, Via::Lmtp, "3.0.4"), "fallback"));
  CHECK(has(text(Mta::Postfix, Via::Map, "3.9.2"), "socketmap:inet:127.0.0.1:8461:QUERY\n"));
  CHECK(has(text(Mta::Postfix, Via::Map, "3.10"), "127.0.0.1:8461:QUERYwithTLSRPT\n"));
  CHECK(has(text(Mta::Postfix, Via::Milter, "3.7"), "{ inet:127.0.0.1:8891, connect_timeout"));
  CHECK(has(text(Mta::Postfix, Via::Milter, "2.11"), "milter_default_action = tempfail"));
  // Before 3.4 its parser does not know servername=, and every answer with it would defer.
  CHECK(has(text(Mta::Postfix, Via::Map, "3.4"), "\nsmtp_tls_policy_maps = "));
  CHECK(text(Mta::Postfix, Via::Map, "3.3.22") ==
        "error: Postfix 3.3.22 is too old: by map it must be 3.4 or newer");
  CHECK(text(Mta::OpenSmtpd, Via::Lmtp, "6.0.3") ==
        "error: OpenSMTPD 6.0.3 is too old: by lmtp it must be 6.4 or newer");
  CHECK(text(Mta::Exim, Via::Milter, "4.96") ==
        "error: Exim cannot be attached by milter; by smtp, lmtp, transparent");
}

TEST_CASE("snippet: every text is whole in every version") {
  for (const cli::Mta mta : {cli::Mta::Postfix, cli::Mta::Sendmail, cli::Mta::Exim,
                             cli::Mta::OpenSmtpd}) {
    for (const std::string_view name : {"lmtp", "smtp", "map", "milter", "transparent"}) {
      const auto via = *cli::parse_via(name);
      for (const std::string version : {"2.6", "3.0", "3.10", "4.96", "6.8", "8.17", "99.0"}) {
        const auto parts = cli::snippet(mta, via, *cli::parse_version(version), usual);
        if (!parts) continue;
        const std::string text = cli::printed(mta, *parts);
        CAPTURE(text);
        CHECK_FALSE(parts->empty());
        for (const cli::Part& part : *parts) {
          CHECK(part.file.starts_with("/etc/"));
          CHECK(part.text.ends_with('\n'));
        }
        CHECK_FALSE(std::regex_search(text, std::regex("@[A-Z_]+@|\n\\?|==> *\n")));
      }
    }
  }
}

TEST_CASE("snippet: the address is the listener's, in each MTA's words") {
  const std::string config =
      "[[listen]]\nprotocol = \"smtp\"\naddress = \"[::1]:2525\"\n"
      "[[listen]]\nprotocol = \"lmtp\"\naddress = \"0.0.0.0:2424\"\n"
      "[[listen]]\nprotocol = \"lmtp\"\naddress = \"127.0.0.9:2425\"\n";
  const auto printed = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "snippet");
    const Outcome outcome = run(words, config);
    CHECK(outcome.status == 0);
    CHECK_FALSE(has(outcome.err, "these lines are for 1"));
    return outcome.out;
  };
  CHECK(has(printed({"postfix"}), "= sternpost:inet:127.0.0.1:2424\n"));  // nobody dials 0.0.0.0
  CHECK(has(printed({"postfix", "--via", "smtp"}), "= sternpost:[::1]:2525\n"));
  CHECK(has(printed({"sendmail"}), "`sternpost:[127.0.0.1]'"));
  CHECK(has(printed({"sendmail", "--via", "smtp"}), "`sternpost:[IPv6:::1]'"));
  CHECK(has(printed({"exim"}), "route_list = * \"<; ::1\"\n"));
  CHECK(has(printed({"exim"}), "port = 2525\n"));
  CHECK(has(printed({"opensmtpd"}), "\"lmtp://127.0.0.10:2424\" }"));
  CHECK(has(printed({"postfix", "--listen", "unix:/run/x"}), "= sternpost:unix:/run/x\n"));
  CHECK(has(printed({"sendmail", "--via", "milter", "--listen", "unix:/run/m"}), "S=unix:/run/m,"));
  CHECK(has(printed({"postfix", "--via", "milter", "--listen", "inet6:99@::1"}),
            "{ inet:[::1]:99,"));
  const auto milter = [&](const std::string& mta, const std::string& socket) {
    return printed({mta, "--via", "milter", "--listen", socket});
  };
  CHECK(has(milter("postfix", "inet:99@0.0.0.0"), "{ inet:127.0.0.1:99,"));
  CHECK(has(milter("sendmail", "inet:99@0.0.0.0"), "S=inet:99@127.0.0.1,"));
  CHECK(has(milter("postfix", "inet6:99@::"), "{ inet:[::1]:99,"));
  CHECK(has(milter("sendmail", "inet6:99@[::]"), "S=inet6:99@[::1],"));
  CHECK(has(milter("sendmail", "inet:99@mail.example"), "S=inet:99@mail.example,"));
}

TEST_CASE("snippet --via transparent: says where the rule leads to and nobody listens") {
  const auto said = [](const std::vector<std::string>& addresses) {
    std::string config;
    for (const std::string& address : addresses) {
      config += "[[listen]]\nprotocol = \"transparent\"\naddress = \"" + address + "\"\n";
    }
    const Outcome outcome = run({"snippet", "postfix", "--via", "transparent"}, config);
    CHECK(outcome.status == 0);
    CHECK(has(outcome.out, "tcp dport 25 redirect to :10026\n"));  // IPv6 is never let past it
    return outcome.err;
  };
  CHECK(has(said({"127.0.0.1:10026"}), "[[listen]] with protocol = \"transparent\" at [::1]:10026; "
                                       "without one, connections that the rule leads there are "
                                       "refused\n"));
  CHECK(has(said({"[::1]:10026"}), " at 127.0.0.1:10026; "));
  CHECK(has(said({"127.0.0.1:10026", "[::1]:10027"}), " at [::1]:10026; "));
  CHECK_FALSE(has(said({"127.0.0.1:10026", "[::1]:10026"}), "refused"));
  CHECK_FALSE(has(said({"0.0.0.0:10026", "[::]:10026"}), "refused"));
  // The rule is for another port: nothing is known of what listens there.
  const Outcome other = run({"snippet", "exim", "--via", "transparent", "--listen", "127.0.0.1:99"},
                            "[[listen]]\nprotocol = \"transparent\"\naddress = \"127.0.0.1:98\"\n");
  CHECK_FALSE(has(other.err, "refused"));
}

TEST_CASE("snippet --via transparent: TLS stays on for what is not redirected") {
  const std::string postfix = run({"snippet", "postfix", "--via", "transparent"}).out;
  CHECK(has(postfix, "\nsmtp_tls_security_level = may\n"));
  CHECK_FALSE(has(postfix, "\nsmtp_tls_policy_maps"));
  const std::string exim = run({"snippet", "exim", "--via", "transparent"}).out;
  CHECK_FALSE(has(exim, "hosts_avoid_tls"));
  CHECK(has(exim, "\n  hosts_try_dane =\n"));
  const std::string old = run({"snippet", "exim", "--via", "transparent", "--version", "4.90"}).out;
  CHECK_FALSE(has(old, "hosts_try_dane"));  // which it does not know
}

TEST_CASE("snippet --via transparent: the rule is that of contrib") {
  const auto from_table = [](const std::string& text) {
    const std::size_t at = text.find("\ntable inet sternpost\n");
    REQUIRE(at != std::string::npos);
    return text.substr(at);
  };
  const std::filesystem::path root = std::filesystem::path(tests_folder()).parent_path();
  const std::string rule = from_table(read(root / "contrib/nftables-transparent.nft"));
  for (const std::string mta : {"postfix", "sendmail", "exim", "opensmtpd"}) {
    CAPTURE(mta);
    CHECK(from_table(run({"snippet", mta, "--via", "transparent"}).out) == rule);
  }
}

TEST_CASE("snippet --via map: says what becomes of the settings that it replaces") {
  for (const std::string version : {"3.7", "3.10"}) {
    const std::string out = run({"snippet", "postfix", "--via", "map", "--version", version}).out;
    CHECK(has(out, "Your own policy tables come before the map in one list"));
    CHECK(has(out, "policy.default"));
  }
}

TEST_CASE("snippet: TLS towards a listener elsewhere, where it has a certificate") {
  const std::string pair =
      "tls_certificate = \"/etc/sternpost/a.pem\"\ntls_key = \"/etc/sternpost/a.key\"\n";
  const auto listener = [](const std::string& protocol, const std::string& ip) {
    return "[[listen]]\nprotocol = \"" + protocol + "\"\naddress = \"" + ip + ":2424\"\n";
  };
  for (const std::string way : {"lmtp", "smtp"}) {
    const auto print = [&](const std::string& mta, const std::string& config) {
      const Outcome outcome = run({"snippet", mta, "--via", way}, config);
      CAPTURE(way, mta, outcome.out, outcome.err);
      CHECK(outcome.status == 0);
      return outcome.out;
    };
    const std::string level = "\n    -o " + way + "_tls_security_level=";
    const std::string near = listener(way, "127.0.0.1");
    const std::string far = listener(way, "192.0.2.7");
    const std::string ca = "client_ca = \"/etc/sternpost/ca.pem\"\n";
    CHECK(has(print("postfix", near + pair), level + "none\n"));
    CHECK(has(print("postfix", far + pair), level + "encrypt\n"));
    CHECK(has(print("postfix", far), level + "may\n"));
    CHECK(has(print("postfix", far), "cleartext unless"));
    CHECK_FALSE(has(print("postfix", far + pair), "cleartext unless"));
    CHECK_FALSE(has(print("postfix", far + pair), "tls_cert_file"));
    for (const std::string& where : {near, far}) {
      CHECK(has(print("postfix", where + pair + ca), level + "encrypt\n"));
      CHECK(has(print("postfix", where + pair + ca), "-o " + way + "_tls_cert_file="));
      CHECK(has(print("exim", where + pair + ca), "tls_certificate = ..."));
      CHECK(has(print("exim", where + pair + ca), "\n  hosts_require_tls = *\n"));
    }
    CHECK(has(print("exim", near + pair), "\n  hosts_avoid_tls = *\n"));
    CHECK(has(print("exim", far + pair), "\n  hosts_require_tls = *\n"));
    CHECK_FALSE(has(print("exim", far + pair), "hosts_avoid_tls"));
    CHECK_FALSE(has(print("exim", far), "\n  hosts_"));
    CHECK(has(print("exim", far), "cleartext unless"));
    CHECK(has(print("sendmail", far), "dnl The listener is on another machine: the way there"));
    CHECK(has(print("sendmail", far + pair), "met by a TLS_Srv entry in the access map"));
    CHECK_FALSE(has(print("sendmail", far + pair), "cleartext unless"));
    CHECK_FALSE(has(print("sendmail", near), "TLS"));
    CHECK(has(print("sendmail", near + pair + ca), "confCLIENT_CERT"));
  }
  // The address that an MTA elsewhere dials, of a listener at all of them.
  const std::string all = listener("lmtp", "0.0.0.0") + pair;
  CHECK(has(run({"snippet", "postfix", "--listen", "192.0.2.7:2424"}, all).out, "level=encrypt\n"));
  CHECK(has(run({"snippet", "postfix", "--listen", "192.0.2.7:2425"}, all).out, "level=may\n"));
  CHECK(has(run({"snippet", "postfix", "--listen", "unix:/run/x"}, all).out, "level=none\n"));
}

TEST_CASE("snippet: says what it assumes") {
  const Outcome nothing = run({"snippet", "exim"});
  CHECK(nothing.status == 0);
  CHECK(has(nothing.err, "no Exim is installed: these lines are for Exim 4.96"));
  CHECK(has(nothing.err, "no configuration at /nowhere/sternpost.toml: these lines are for "
                         "127.0.0.1:10025, to be its [[listen]] with protocol = \"smtp\"\n"));
  const Outcome found = run({"snippet", "postfix", "--via", "smtp"}, "[[listen]]\n", "3.10.2\n");
  CHECK(found.err == "Postfix 3.10.2 is installed\n");
  const Outcome other = run({"snippet", "postfix", "--version", "3.7"}, "[[listen]]\n");
  CHECK(other.err == "/nowhere/sternpost.toml has no [[listen]] with protocol = \"lmtp\"; "
                     "it needs one at 127.0.0.1:10024, which these lines are for\n");
  const auto said = [](std::vector<std::string> words) {
    words.insert(words.begin(), "snippet");
    return run(words, "[[listen]]\n").err;
  };
  CHECK(has(said({"postfix", "--via", "map"}), " has no socketmap.listen; it needs one at"));
  CHECK(has(said({"sendmail", "--via", "map"}), " has no socketmap.sendmail_listen; it"));
  CHECK(has(said({"sendmail", "--via", "milter"}), " has no milter.socket; it needs one"));
  // What cannot be had at all is said alone.
  CHECK_FALSE(has(said({"postfix", "--version", "2.0"}), "these lines are for"));
  // One that is there and has mistakes: no lines for what it may not mean.
  const Outcome mistaken = run({"snippet", "exim"}, "[[listen]]\nnonsense = 1\n", "", "/dev/null");
  CHECK(mistaken.status == 78);
  CHECK(has(mistaken.err, "nonsense"));
  CHECK(mistaken.out.empty());
  CHECK(run({"snippet", "postfix", "-c", "x.toml"}, "[[listen]]\nnonsense = 1\n").status == 78);
}

TEST_CASE("snippet: a wrong word is wrong usage, and prints no lines") {
  const std::vector<std::vector<std::string>> wrong{
      {"snippet"}, {"snippet", "qmail"}, {"snippet", "Postfix"},
      {"snippet", "postfix", "--via", "uucp"}, {"snippet", "exim", "--via", "map"},
      {"snippet", "postfix", "--via", ""},
      {"snippet", "postfix", "--version", "x"}, {"snippet", "postfix", "--version", ""},
      {"snippet", "postfix", "--version", "2.0"}, {"snippet", "postfix", "--listen", "here"},
      {"snippet", "postfix", "--listen", ""}, {"snippet", "exim", "--listen", "unix:/run/x"},
      {"snippet", "opensmtpd", "--listen", "[::1]:24"},
      {"snippet", "sendmail", "--via", "milter", "--listen", "8891"},
      {"snippet", "sendmail", "--via", "milter", "--listen", "inet:1@x')"},
      {"snippet", "postfix", "--listen", "unix:/a\nb = c"}, {"snippet", "postfix", "exim"}};
  for (const auto& arguments : wrong) {
    CAPTURE(arguments);
    const Outcome outcome = run(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK_FALSE(outcome.err.empty());
  }
}

TEST_CASE("snippet --json: the same parts") {
  const Outcome outcome = run({"snippet", "postfix", "--version", "3.7", "--json"});
  const auto reply = nlohmann::json::parse(outcome.out);
  CHECK(reply["schema"] == 1);
  CHECK(reply["via"] == "lmtp");
  REQUIRE(reply["parts"].size() == 2);
  CHECK(reply["parts"][1]["file"] == "/etc/postfix/master.cf");
  CHECK(has(run({"snippet", "postfix", "--version", "3.7"}).out,
            reply["parts"][1]["text"].get<std::string>()));
}

TEST_CASE("README and guides have the lines that snippet prints") {
  const std::filesystem::path root = std::filesystem::path(tests_folder()).parent_path();
  const std::regex block("`sternpost (snippet [^`]*)`[^`\n]*:\n\n```\n([^`][\\s\\S]*?)\n```\n");
  for (const auto& [name, least] : std::vector<std::pair<std::string, std::size_t>>{
           {"README.md", 1}, {"docs/postfix.md", 2}, {"docs/sendmail.md", 2},
           {"docs/exim.md", 2}, {"docs/opensmtpd.md", 1}}) {
    const std::string text = read(root / name);
    std::size_t count = 0;
    for (auto at = std::sregex_iterator(text.begin(), text.end(), block);
         at != std::sregex_iterator(); ++at, ++count) {
      std::istringstream words((*at)[1].str());
      const std::vector<std::string> arguments{std::istream_iterator<std::string>(words), {}};
      CAPTURE(name, arguments);
      const Outcome outcome = run(arguments);
      CHECK(outcome.status == 0);
      CHECK(outcome.out == (*at)[2].str() + "\n");
    }
    CAPTURE(name);
    CHECK(count >= least);
  }
}
