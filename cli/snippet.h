// The lines that attach an MTA, as text: data in snippet_MTA.cpp with a few placeholders, filled in
// here. Pure: which version it is and where the relay listens are handed in. Reading the
// configuration, finding the MTA and printing are snippet_command's. Called by it and by its test.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace cli {

enum class Mta { Postfix, Sendmail, Exim, OpenSmtpd };
enum class Via { Lmtp, Smtp, Map, Milter, Transparent };

// "3.7.11", "4.96", "6.8.0p2": numbers, then anything that the MTA or a distribution adds.
struct Version {
  std::vector<unsigned> numbers;  // two at least
  std::string text;               // as it came
  // By as many numbers as `other` has: 3.7.11 is not below 3.7.
  bool below(const Version& other) const;
};
std::optional<Version> parse_version(std::string_view text);

// Where the relay is reached; defaults as in contrib/sternpost.toml and `config defaults`.
struct Addresses {
  config::Address lmtp = config::Tcp{base::Ip::v4({127, 0, 0, 1}), 10024};
  config::Address smtp = config::Tcp{base::Ip::v4({127, 0, 0, 1}), 10025};
  config::Address transparent = config::Tcp{base::Ip::v4({127, 0, 0, 1}), 10026};
  config::Address map = config::Tcp{base::Ip::v4({127, 0, 0, 1}), 8461};
  config::Address sendmail_map = config::Tcp{base::Ip::v4({127, 0, 0, 1}), 5461};
  std::string milter = "inet:8891@127.0.0.1";  // as libmilter writes it
  std::vector<config::Listen> listeners;  // the configuration's: whether they have TLS
  // The one that `via` uses; not for a milter.
  config::Address& of(Via via, Mta mta);
};

// The redirecting rule leads connections over IPv4 to 127.0.0.1 and those over IPv6 to [::1]: the
// one of them where `listeners` have none that is transparent.
std::optional<config::Address> unserved(const Addresses& addresses);

// What goes into one file.
struct Part {
  std::string file;   // "/etc/postfix/main.cf"
  std::string where;  // "at the end"; may be empty
  std::string text;   // whole lines, with the comments that say why
};

// The parts, or why there are none: an MTA that cannot be attached that way, a version too old, an
// address that it cannot dial. The words are fit for the operator.
base::Result<std::vector<Part>, base::Error> snippet(Mta mta, Via via, const Version& version,
                                                     const Addresses& addresses);

// As it is printed: each part under a comment line "# ==> FILE: WHERE" ("dnl" for Sendmail).
std::string printed(Mta mta, const std::vector<Part>& parts);

std::optional<Mta> parse_mta(std::string_view name);
std::optional<Via> parse_via(std::string_view name);
std::string_view name_of(Mta mta);   // as the command takes it: "postfix"
std::string_view title_of(Mta mta);  // as people write it: "Postfix"
std::string_view name_of(Via via);
Via default_via(Mta mta);
Version debian_version(Mta mta);  // Debian 12's

// The data of one MTA: for each way the oldest version that has what the lines need, and the text.
// A line "==> FILE: WHERE" begins a part; a line "?>=3.1 …" is for 3.1 and above, "?<3.1 …" for
// those below; "?loopback …", "?tls …" and "?bare …" are for a listener on this machine, one
// elsewhere with a certificate and one elsewhere without, "?client_ca …" for one that demands
// the MTA's certificate (it counts as "tls" wherever it is); @NAME@ is filled in.
struct Text {
  Via via;
  std::string_view since;  // "3.0"
  std::string_view text;
};
const std::vector<Text>& postfix_texts();
const std::vector<Text>& sendmail_texts();
const std::vector<Text>& exim_texts();
const std::vector<Text>& opensmtpd_texts();
// The redirecting rules, the same for every MTA.
extern const std::string_view nftables_text;

}  // namespace cli
