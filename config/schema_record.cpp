#include "config/schema_builder.h"

namespace config::schema_parts {

namespace {

Complaint store_url(std::string& url) {
  if (url.starts_with("postgresql:") || url.starts_with("postgres:")) {
    return "a PostgreSQL store is not part of this version; use \"sqlite:/path\"";
  }
  constexpr std::string_view scheme = "sqlite:";
  const bool good = url.starts_with(scheme) && url.size() > scheme.size() &&
                    url.find('\0') == std::string::npos;
  if (good) return std::nullopt;
  return "must be \"sqlite:\" and a path, not " + toml(url);
}

Section tls_rpt() {
  return Builder<TlsRpt>("tls_rpt", "TLS reports (RFC 8460).",
                         [](Config& c) -> TlsRpt& { return c.tls_rpt; })
      .add("enabled", &TlsRpt::enabled, "Whether results are gathered.")
      .add("organization_name", &TlsRpt::organization_name,
           "Without this, contact_info and report_domain records are kept, nothing is sent, and "
           "one warning says so.",
           {.example = "\"Example Corp\""})
      .add("contact_info", &TlsRpt::contact_info, "Whom the receiver of a report may ask.",
           {.example = "\"postmaster@example.com\""})
      .add("report_domain", &TlsRpt::report_domain,
           "The operator's own domain: submitter of every report.",
           {.example = "\"example.com\""})
      .add("directory", &TlsRpt::directory, "Where the reports lie, a directory a day.")
      .add("keep", &TlsRpt::keep, "How long they lie there.", {.refine = positive()})
      .add("send", &TlsRpt::send, "To the domains that ask for it in _smtp._tls.")
      .add("submit_via", &TlsRpt::submit_via, "Where report mail is handed in.")
      .add("dkim_selector", &TlsRpt::dkim_selector,
           "Signs the report mail here; else whoever takes it in signs it.",
           {.example = "\"tlsrpt\""})
      .add("dkim_key", &TlsRpt::dkim_key, "The key for it (PEM).",
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
