#include "tlsrpt/dkim.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>

#include "tests/source_folder.h"
#include "tests/unit/tlsrpt/dkim_support.h"
#include "tests/unit/tlsrpt/message_support.h"

using namespace std::chrono_literals;
using tlsrpt::DkimSigner;

namespace {

const base::WallTime date = std::chrono::sys_days{2026y / 11 / 26} + 3h + 25min + 7s + 999ms;

const std::string message =
    "From: \"Example Corp\" <postmaster@example.com>\r\n"
    "To: <reports@recv.example>\r\n"
    "Date: Thu, 26 Nov 2026 03:25:07 +0000\r\n"
    "Message-ID: <1@example.com>\r\n"
    "Subject: Report Domain: recv.example\r\n"
    " Submitter: example.com\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: text/plain\r\n"
    "TLS-Report-Domain: recv.example\r\n"
    "TLS-Report-Submitter: example.com\r\n"
    "Auto-Submitted: auto-generated\r\n"
    "TLS-Required: No\r\n"
    "X-Other: not signed\r\n"
    "\r\n"
    "One  line.\r\n";

DkimSigner signer(const char* pem = dkim_test::ed25519_key) {
  auto made = DkimSigner::make(pem, "example.com", "2026-a");
  if (!made) throw std::logic_error(made.error().text);
  return std::move(*made);
}

std::string signed_by(const DkimSigner& by, std::string_view text = message) {
  const auto out = by.sign(text, date);
  REQUIRE(out.has_value());
  return *out;
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string refusal(const char* pem, std::string domain = "example.com",
                    std::string selector = "s") {
  const auto made = DkimSigner::make(pem, std::move(domain), std::move(selector));
  return made ? "" : made.error().text;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("RFC 6376 §3.5: the signature field, octet for octet") {
  const std::string want =
      "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com;\r\n"
      "\ts=2026-a; t=1795663507;\r\n"
      "\th=from:from:to:to:subject:subject:date:date:message-id:message-id:\r\n"
      "\tmime-version:mime-version:content-type:content-type:tls-report-domain:\r\n"
      "\ttls-report-domain:tls-report-submitter:tls-report-submitter:auto-submitted:\r\n"
      "\tauto-submitted:tls-required:tls-required;\r\n"
      "\tbh=Ey8/M851ZUkql5pYmai2ukD7gWyrHYaZE1hk3GyBR7o=;\r\n"
      "\tb=6Nua68t1fPoNtM6sGiNeqbNqDc5Gh5evmws4bZVHiBHyBewVZFqcvvw3q4w2DjVTc8zf44wD\r\n"
      "\tV4Pfin5YSt6zCA==\r\n";
  CHECK(signed_by(signer()) == want + message);
  CHECK(signed_by(signer()) == signed_by(signer()));
}

TEST_CASE("RFC 6376 §3.3: RSA and Ed25519 signatures hold") {
  for (const char* pem : {dkim_test::ed25519_key, dkim_test::rsa_key}) {
    const DkimSigner by = signer(pem);
    const std::string out = signed_by(by);
    CHECK(out.ends_with("\r\n" + message));
    CHECK(dkim_test::holds(out, by.record_text()));
    CHECK(signed_by(by) == out);
  }
}

TEST_CASE("the messages that tests/lab/test_dkim_signature.py gives to dkimpy are what we sign") {
  const std::pair<std::string, const char*> keys[] = {{"ed25519", dkim_test::ed25519_key},
                                                      {"rsa", dkim_test::rsa_key}};
  for (const auto& [name, pem] : keys) {
    const std::string path = tests_folder() + "/unit/tlsrpt/signed/" + name;
    const DkimSigner by = signer(pem);
    CHECK(signed_by(by, message_test::odd_message()) == content(path + ".eml"));
    CHECK(by.record_name() + "\n" + by.record_text() + "\n" == content(path + ".txt"));
  }
}

TEST_CASE("RFC 8460 §3: the signature has no l= and covers what it has to") {
  const DkimSigner by = signer(dkim_test::rsa_key);
  const std::string out = signed_by(by);
  const std::string_view field = tlsrpt::message_parts(out).fields[0];
  CHECK(dkim_test::tag(field, "l").empty());
  CHECK(dkim_test::tag(field, "a") == "rsa-sha256");
  CHECK(dkim_test::tag(field, "t") == "1795663507");
  const std::string names = ":" + dkim_test::tag(field, "h") + ":";
  for (const char* name : {"from", "to", "subject", "date", "message-id", "mime-version",
                           "content-type", "tls-report-domain", "tls-report-submitter",
                           "auto-submitted", "tls-required"}) {
    INFO(name);
    CHECK(contains(names, ":" + std::string(name) + ":" + name + ":"));
  }
  CHECK_FALSE(contains(names, "x-other"));
  for (std::string_view rest = field; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    CHECK(line.size() <= 78);
    rest.remove_prefix(std::min(rest.size(), line.size() + 2));
  }
}

TEST_CASE("RFC 6376 §8.15: what is changed, added or taken away breaks the signature") {
  const auto tampered = [](const DkimSigner& by, std::string_view what, std::string_view with) {
    std::string out = signed_by(by);
    const std::size_t at = out.find(what, out.find("\r\nFrom:"));
    REQUIRE(at != std::string::npos);
    out.replace(at, what.size(), with);
    INFO(out);
    return !dkim_test::holds(out, by.record_text());
  };
  for (const char* pem : {dkim_test::ed25519_key, dkim_test::rsa_key}) {
    const DkimSigner by = signer(pem);
    CHECK(tampered(by, "postmaster", "postmastex"));
    CHECK(tampered(by, "TLS-Report-Domain: recv", "TLS-Report-Domain: xecv"));
    CHECK(tampered(by, "TLS-Report-Submitter: e", "TLS-Report-Submitter: x"));
    CHECK(tampered(by, "Auto-Submitted: auto-generated\r\n", ""));
    CHECK(tampered(by, "One", "Two"));
    CHECK(tampered(by, "line.\r\n", "line.\r\nmore\r\n"));
    CHECK(tampered(by, "To:", "From: other <x@example.net>\r\nTo:"));
    CHECK(tampered(by, "\r\n\r\n", "\r\nTLS-Report-Domain: other.example\r\n\r\n"));
    CHECK(tampered(by, "\r\n\r\n", "\r\nSubject: other\r\n\r\n"));
    // What MTAs on the way do, and relaxed forms bear.
    CHECK_FALSE(tampered(by, "One  line.", "One line. "));
    CHECK_FALSE(tampered(by, "Domain: recv.example\r\n Sub", "Domain:\r\n\trecv.example Sub"));
    CHECK_FALSE(tampered(by, "X-Other: not signed", "X-Other: changed"));
    CHECK_FALSE(tampered(by, "Auto-Submitted:", "AUTO-submitted :"));
  }
}

TEST_CASE("a message without some of the fields, or without a body, is signed, too") {
  const DkimSigner by = signer();
  for (const char* text : {"From: a@example.com\r\n\r\n", "From: a@example.com\r\n", "\r\nbody\r\n",
                           "From: a@example.com\r\nFrom: b@example.com\r\n\r\nx", ""}) {
    INFO(text);
    const std::string out = signed_by(by, text);
    CHECK(dkim_test::holds(out, by.record_text()));
  }
  const std::string out = signed_by(by, "From: a@example.com\r\n\r\n");
  CHECK_FALSE(dkim_test::holds(out + "more", by.record_text()));
}

TEST_CASE("RFC 6376 §3.3.3, RFC 8301 §3.2: which keys, domains and selectors are taken") {
  CHECK(refusal(dkim_test::rsa_key).empty());
  CHECK(refusal(dkim_test::ed25519_key).empty());
  CHECK(contains(refusal(""), "no private key in PEM form"));
  CHECK(contains(refusal("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                 "no private key in PEM form"));
  CHECK(contains(refusal(dkim_test::encrypted_key), "encrypted"));
  CHECK(contains(refusal(dkim_test::weak_key), "768 bits"));
  CHECK(contains(refusal(dkim_test::curve_key), "neither RSA nor Ed25519"));

  const char* key = dkim_test::ed25519_key;
  const auto good = [key](const char* domain, const char* selector, const char* want) {
    const auto made = DkimSigner::make(key, domain, selector);
    REQUIRE(made.has_value());
    CHECK(made->record_name() == want);
  };
  good("example.com", "2026", "2026._domainkey.example.com");
  good("Example.COM.", "a.b-c.D", "a.b-c.D._domainkey.example.com");
  const auto bad_selector = [key](const std::string& selector) {
    INFO(selector);
    CHECK(contains(refusal(key, "example.com", selector), "selector"));
  };
  bad_selector("");                     // none
  bad_selector("a..b");                 // an empty label
  bad_selector(".a");                   // in front
  bad_selector("a.");                   // at the end
  bad_selector("-a");                   // hyphen at the edge
  bad_selector("a-.b");                 // of any label
  bad_selector("a_b");                  // no letter, digit or hyphen
  bad_selector("a b");                  // nor this
  bad_selector("a;d=evil");             // another tag
  bad_selector("a\r\nX: y");            // another field
  bad_selector(std::string(64, 'a'));   // a label of 64
  std::string long_one(63, 'a');
  for (int i = 0; i < 3; ++i) long_one += "." + std::string(63, 'a');
  bad_selector(long_one);               // too long with the domain
  const auto bad_domain = [key](const std::string& domain) {
    INFO(domain);
    CHECK(contains(refusal(key, domain, "s"), "domain"));
  };
  bad_domain("");
  bad_domain("a..b");
  bad_domain("exa mple.com");
  bad_domain("under_score.example");
  bad_domain("example.com\r\nX: y");
}

TEST_CASE("RFC 8463 §4, RFC 6376 §3.6.1: the record that should be published") {
  CHECK(signer().record_text() ==
        "v=DKIM1; k=ed25519; s=email:tlsrpt; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  CHECK(signer().record_name() == "2026-a._domainkey.example.com");
  const DkimSigner rsa = signer(dkim_test::rsa_key);
  CHECK(rsa.record_text().starts_with("v=DKIM1; k=rsa; s=email:tlsrpt; p=MIGfMA0GCSqGSIb3DQEB"));
  CHECK_FALSE(rsa.record_problem(rsa.record_text()));
}

TEST_CASE("RFC 8460 §3, RFC 6376 §3.6.1: what is wrong with a key record") {
  const DkimSigner by = signer();
  const std::string p = "p=" + std::string(dkim_test::ed25519_public);
  const auto good = [&by](const std::string& record) {
    INFO(record);
    CHECK(by.record_problem(record).value_or("") == "");
  };
  good("v=DKIM1; k=ed25519; " + p);                        // s= left out: all services
  good("k=ed25519; " + p);                                 // v= is only recommended
  good(p + ";k=ed25519");                                  // in any order
  good("v=DKIM1;k=ed25519;s=*;" + p);                      // all services
  good("v=DKIM1;k=ed25519;s=tlsrpt;" + p);                 // as RFC 8460 §3 writes it
  good("v=DKIM1; k=ed25519; s=email : tlsrpt; " + p);      // spaces in a list
  good("v=DKIM1;k=ed25519;t=s;h=sha1:sha256;" + p + ";");  // no testing, sha256 allowed
  good("v = DKIM1 ; k = ed25519 ; n=a note ; " + p);       // spaces anywhere, a note
  good("v=DKIM1; k=ed25519; x=new; " + p);                 // an unknown tag
  good("v=DKIM1; k=ed25519;\r\n\tp=11qYAYKxCrfVS/7TyW QHOg7hcvPapiMlrwIaaPcHURo=");  // folded

  const auto bad = [&by](const std::string& record, std::string_view why) {
    INFO(record);
    const auto problem = by.record_problem(record);
    REQUIRE(problem);
    CHECK(problem->starts_with("the DKIM record 2026-a._domainkey.example.com "));
    INFO(*problem);
    CHECK(contains(*problem, why));
  };
  bad("", "is not there, or is empty; it should be: v=DKIM1; k=ed25519; s=email:tlsrpt; p=11qY");
  bad(" ", "is not there, or is empty");
  bad("hello", "no list of tags");
  bad("v=spf1 -all", "another version");
  bad("v=DKIM2; k=ed25519; " + p, "another version");
  bad("v=dkim1; k=ed25519; " + p, "another version");      // compared with regard to case
  bad("k=ed25519; v=DKIM1; " + p, "does not begin with v=DKIM1");
  bad("v=DKIM1; k=ed25519; " + p + "; " + p, "p= twice");
  bad("v=DKIM1; k=ed25519; s=a; s=tlsrpt; " + p, "s= twice");
  bad("v=DKIM1; ; k=ed25519; " + p, "no list of tags");    // an empty tag
  bad("v=DKIM1; 1=x; k=ed25519; " + p, "name is none");
  bad("v=DKIM1; n=\xff; k=ed25519; " + p, "odd character in n=");
  bad("v=DKIM1; k=ed25519; P=" + std::string(dkim_test::ed25519_public), "has no p=");
  bad("v=DKIM1; k=ed25519", "has no p=");
  bad("v=DKIM1; k=ed25519; p=", "revoked");
  bad("v=DKIM1; k=ed25519; p=11qY*", "no base64");
  bad("v=DKIM1; " + p, "another type of key than ed25519");  // k= left out: rsa
  bad("v=DKIM1; k=rsa; " + p, "another type of key than ed25519");
  bad("v=DKIM1; k=ed25519; p=AAAA", "the p= of another key");
  bad("v=DKIM1; k=ed25519; s=email; " + p, "not for TLS reports, s=email");
  bad("v=DKIM1; k=ed25519; s=email; " + p, "write s=email:tlsrpt");
  bad("v=DKIM1; k=ed25519; s=; " + p, "not for TLS reports");
  bad("v=DKIM1; k=ed25519; s=tlsrptx; " + p, "not for TLS reports, s=tlsrptx");
  bad("v=DKIM1; k=ed25519; t=y; " + p, "testing");
  bad("v=DKIM1; k=ed25519; t=s:y; " + p, "testing");
  bad("v=DKIM1; k=ed25519; h=sha1; " + p, "does not allow sha256, h=sha1");
  bad("v=DKIM1; k=ed25519; s=email; t=y; " + p, "s=email:tlsrpt, or leave s= out; it says t=y");
  bad("v=DKIM1; k=ed25519; n=" + std::string(20000, 'a') + "; " + p, "too long");
}

TEST_CASE("RFC 6376 §3.6.1: a bare RSAPublicKey in p= is our key, too") {
  const DkimSigner by = signer(dkim_test::rsa_key);
  const auto whole = base::from_base64(dkim_test::tag(":" + by.record_text(), "p"));
  REQUIRE(whole);
  // SubjectPublicKeyInfo of 1024 bits: 22 octets stand before the RSAPublicKey in it.
  const std::span<const std::uint8_t> bare = std::span(*whole).subspan(22);
  CHECK_FALSE(by.record_problem("v=DKIM1; p=" + base::to_base64(bare)));
  CHECK(by.record_problem("v=DKIM1; p=" + base::to_base64(bare.subspan(1))));
}
