// What `own` finds of the TLS-RPT record (RFC 8460 §3); see own.h.
#include "check/own.h"
#include "check/problems.h"
#include "dns/decode.h"
#include "tlsrpt/record.h"

namespace check {

namespace {

void add(OwnReport& report, Level level, std::string code, std::string text,
         std::string todo = {}) {
  report.findings.push_back(
      {level, "tls-rpt", std::move(code), std::move(text), std::move(todo)});
}

}  // namespace

void add_tls_rpt(OwnReport& report, const OwnSeen& seen) {
  if (!seen.tls_rpt) return;
  const std::string name = "_smtp._tls." + seen.domain.str();
  const std::string todo = "publish one TXT record at " + name +
                           " such as \"v=TLSRPTv1; rua=mailto:tls-reports@" +
                           seen.domain.str() + "\"";
  const auto decoded = dns::decode_all<std::string>(*seen.tls_rpt, dns::decode_txt);
  if (!decoded) {
    const bool bogus = decoded.error().kind == dns::LookupError::Kind::bogus;
    if (!bogus && report.certain) report.uncertain_why = decoded.error().text;
    report.certain = report.certain && bogus;
    add(report, Level::fail, "tls-rpt-lookup", decoded.error().text,
        bogus ? sign_anew(seen.domain.str())
              : "see to the name servers of " + seen.domain.str());
    return;
  }
  const auto record = tlsrpt::choose_record(decoded->records);
  if (!record) {
    add(report, Level::fail, "tls-rpt-record", name + ": " + record.error().text, todo);
  } else if (!*record) {
    add(report, Level::warn, "tls-rpt-none",
        "there is no TLS-RPT record: nobody tells you of failures", todo);
  } else {
    std::string places;
    for (const auto& one : (*record)->endpoints) places += (places.empty() ? "" : ", ") + one.uri;
    for (const std::string& ignored : (*record)->ignored) {
      add(report, Level::warn, "tls-rpt-ignored", name + ": passed over: " + ignored, todo);
    }
    if (places.empty()) {
      add(report, Level::fail, "tls-rpt-nowhere", name + " names no place that can be used",
          todo);
    } else {
      add(report, Level::pass, "tls-rpt", "reports go to " + places);
    }
  }
}

}  // namespace check
