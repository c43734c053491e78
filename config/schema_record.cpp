#include <algorithm>

#include "base/encode.h"
#include "config/schema_builder.h"

namespace config::schema_parts {

namespace {

Complaint store_url(std::string& url) {
  if (url.starts_with("postgresql:") || url.starts_with("postgres:")) {
    return "a PostgreSQL store is not part of this version; use \"sqlite:/path\"";
  }
  constexpr std::string_view scheme = "sqlite:";
  const bool good = url.starts_with(scheme) && url.size() > scheme.size() &&
                    url[scheme.size()] == '/' && url.find('\0') == std::string::npos;
  if (good) return std::nullopt;
  return "must be \"sqlite:\" and an absolute path, not " + toml(url);
}

// A day's reports are tried until four in the morning of the second day after it.
Complaint keep_until_sent(Duration& keep) {
  if (keep < days(2)) return "must be \"2d\" or more: yesterday's reports are sent today";
  return positive()(keep);
}

// What stands in a header field of the report mail must be one line.
Complaint one_line(std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return "must be one line of text";
  }
  if (base::trim(text).empty()) return "must not be blank";
  return std::nullopt;
}

// An addr-spec that needs no quoting (RFC 5321 §4.1.2, Dot-string).
Complaint mail_address(std::string& text) {
  const std::size_t at = text.rfind('@');
  const std::string_view local = std::string_view(text).substr(0, at);
  const bool dots = local.starts_with('.') || local.ends_with('.') ||
                    local.find("..") != std::string_view::npos;
  const auto atom = [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet > 0x20 && octet < 0x7F && std::string_view("()<>[]:;@\\,\"").find(c) ==
                                               std::string_view::npos;
  };
  const auto domain = base::Domain::parse(
      at == std::string::npos ? std::string_view() : std::string_view(text).substr(at + 1));
  if (local.empty() || dots || !std::ranges::all_of(local, atom) || !domain) {
    return "must be a mail address like \"postmaster@example.com\", not " + toml(text);
  }
  text = std::string(local) + "@" + domain->str();  // as it stands in the report
  return std::nullopt;
}

Section tls_rpt() {
  return Builder<TlsRpt>("tls_rpt", "TLS reports (RFC 8460).",
                         [](Config& c) -> TlsRpt& { return c.tls_rpt; })
      .add("enabled", &TlsRpt::enabled, "Whether results are gathered.")
      .add("organization_name", &TlsRpt::organization_name,
           "Without this, contact_info and report_domain records are kept, nothing is sent, and "
           "one warning says so.",
           {.example = "\"Example Corp\"", .refine = one_line})
      .add("contact_info", &TlsRpt::contact_info,
           "Whom the receiver of a report may ask: an address in report_domain, which is also the "
           "sender in the report mail.",
           {.example = "\"postmaster@example.com\"", .refine = mail_address})
      .add("report_domain", &TlsRpt::report_domain,
           "The operator's own domain: submitter of every report.",
           {.example = "\"example.com\""})
      .add("directory", &TlsRpt::directory,
           "Where the reports lie: YYYY-MM-DD/DOMAIN.json.gz, one for each recipient domain and "
           "UTC day.")
      .add("keep", &TlsRpt::keep, "How long they lie there: \"2d\" or more.",
           {.refine = keep_until_sent})
      .add("send", &TlsRpt::send, "To the domains that ask for it in _smtp._tls.")
      .add("submit_via", &TlsRpt::submit_via,
           "Where report mail is handed in: an MTA with a queue, no [[listen]] of this relay.")
      .add("dkim_selector", &TlsRpt::dkim_selector,
           "Signs the report mail here (DKIM); else whoever takes it in signs it.",
           {.example = "\"tlsrpt\""})
      .add("dkim_key", &TlsRpt::dkim_key, "The key for it (PEM): RSA or Ed25519.",
           {.example = "\"/etc/sternpost/dkim.key\"", .file = FileUse::PrivateKey})
      .add("collector", &TlsRpt::collector, "Also hands results to a libtlsrpt collector.",
           {.example = "\"/run/tlsrpt/collectd.sock\""})
      .done();
}

Section log() {
  return Builder<Log>("log", "The operational log, to standard error, and the enforcement log.",
                      [](Config& c) -> Log& { return c.log; })
      .add("level", &Log::level, "Lowest level of the operational log.")
      .add("format", &Log::format, "Of the operational log.")
      .add("enforcement", &Log::enforcement, "The enforcement log: one JSON object a line.")
      .add("rotate", &Log::rotate,
           "The program rotates it. The chain of hashes goes on over rotations; its head is in "
           "the store.",
           {.refine = positive()})
      .add("retention", &Log::retention, "How long rotated files are kept.",
           {.refine = positive()})
      .add("on_failure", &Log::on_failure,
           "defer: that the record can be written is made sure before the final dot goes to the "
           "MX; if not, 451 4.3.0. Once the MX has answered the dot, its answer is passed on "
           "whatever becomes of the log.")
      .done();
}

Section store() {
  return Builder<Store>("store", "Policy cache and state.",
                        [](Config& c) -> Store& { return c.store; })
      .add("url", &Store::url, "\"sqlite:/path\".", {.refine = store_url})
      .done();
}

}  // namespace

std::vector<Section> record_sections() { return {tls_rpt(), log(), store()}; }

}  // namespace config::schema_parts
