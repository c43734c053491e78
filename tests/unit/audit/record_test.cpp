#include "audit/record.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "audit/hash.h"
#include "tests/unit/audit/support.h"

using namespace audit;
using audit_test::at;

namespace {
const std::string hash(64, 'a');

Record full() {
  Record r;
  r.event = Event::session;
  r.id = "0ABCDEFGHJKMN";
  r.queue_id = "4F2A31";
  r.domain = *base::Domain::parse("example.com");
  r.recipients = 3;
  r.policy_type = "sts";
  r.policy_mode = "enforce";
  r.policy_id = "20260101";
  r.policy_source = "cached";
  r.counted = true;
  r.results = std::vector<PolicyResult>{
      {tlsrpt::PolicyType::sts, "example.com", hash, {"certificate-expired"}, "expired"},
      {tlsrpt::PolicyType::tlsa, "mx.example.com", hash, {}, ""}};
  r.requirement = "verified";
  r.mx = "mx.example.com";
  r.ip = *base::Ip::parse("2001:db8::1");
  r.source_ip = *base::Ip::parse("2001:db8::2");
  r.helo = "edge.example.net";
  r.mx_dnssec = MxDnssec::insecure;
  r.tls_version = "TLSv1.3";
  r.cipher = "TLS_AES_256_GCM_SHA384";
  r.group = "x25519";
  r.sni = "mx.example.com";
  r.resumed = false;
  r.reused = true;
  r.peer_auth = "pkix";
  r.protection = "authenticated";
  r.cert_sha256 = hash;
  r.spki_sha256 = hash;
  r.result = "certificate-expired";
  r.reason = "the certificate expired";
  r.verdict = Verdict::refused;
  r.would_be = Verdict::deferred;
  r.reply = "451 4.7.5 no";
  return r;
}

nlohmann::ordered_json parsed(const Record& record) {
  return nlohmann::ordered_json::parse(
      to_json_line(record, 7, hash, at("2026-01-02T03:04:05.006Z")));
}
}  // namespace

TEST_CASE("record: every key is there, in one order, whatever is known") {
  for (const Record& record : {Record(), full()}) {
    const auto json = parsed(record);
    std::vector<std::string> keys;
    for (const auto& item : json.items()) keys.push_back(item.key());
    CHECK(keys == std::vector<std::string>(record_keys.begin(), record_keys.end()));
  }
}

TEST_CASE("record: unknown is null") {
  const auto json = parsed(Record());
  for (const auto& [key, value] : json.items()) {
    CAPTURE(key);
    const bool filled = key == "time" || key == "event" || key == "seq" || key == "prev";
    CHECK(value.is_null() == !filled);
  }
  CHECK(nlohmann::json::parse(to_json_line(Record(), 1, "", {}))["prev"].is_null());
}

TEST_CASE("record: a whole line, octet for octet") {
  Record r;
  r.event = Event::downgrade_suspected;
  r.domain = *base::Domain::parse("example.com");
  r.recipients = 2;
  r.counted = false;
  r.results = std::vector<PolicyResult>{{tlsrpt::PolicyType::tlsa, "mx.example", "d", {"a", "b"},
                                         "r"}};
  r.mx_dnssec = MxDnssec::secure;
  r.verdict = Verdict::uncertain;
  CHECK(to_json_line(r, 7, "ff", at("2026-01-02T03:04:05.006Z")) ==
        R"({"time":"2026-01-02T03:04:05.006Z","event":"downgrade-suspected","id":null,)"
        R"("queue_id":null,"seq":7,"prev":"ff","domain":"example.com","recipients":2,)"
        R"("policy_type":null,"policy_mode":null,"policy_id":null,"policy_source":null,)"
        R"("counted":false,"results":[{"policy_type":"tlsa","policy_domain":"mx.example",)"
        R"("policy_digest":"d","result_types":["a","b"],"reason":"r"}],"requirement":null,)"
        R"("mx":null,"ip":null,"source_ip":null,"helo":null,"mx_dnssec":"secure",)"
        R"("tls_version":null,"cipher":null,"group":null,"sni":null,"resumed":null,)"
        R"("reused":null,"peer_auth":null,"protection":null,"cert_sha256":null,)"
        R"("spki_sha256":null,"result":null,"reason":null,"verdict":"uncertain",)"
        R"("would_be":null,"reply":null})");
}

TEST_CASE("record: values come back as they went in") {
  const auto json = parsed(full());
  CHECK(json["event"] == "session");
  CHECK(json["recipients"] == 3);
  CHECK(json["ip"] == "2001:db8::1");
  CHECK(json["mx_dnssec"] == "insecure");
  CHECK(json["reused"] == true);
  CHECK(json["results"][0]["policy_type"] == "sts");
  CHECK(json["results"][0]["result_types"][0] == "certificate-expired");
  CHECK(json["results"][1]["result_types"].empty());
  CHECK(json["would_be"] == "deferred");
  CHECK(json["seq"] == 7);
  CHECK(json["prev"] == hash);
}

TEST_CASE("record: texts are ASCII in the line and themselves when read") {
  const auto round = [](const std::string& text) {
    Record r;
    r.helo = text;
    const std::string line = to_json_line(r, 1, "", {});
    for (char c : line) CHECK((c >= 0x20 && c < 0x7F));
    return nlohmann::json::parse(line)["helo"].get<std::string>();
  };
  for (const std::string text :
       {"quote \" backslash \\ slash /", "\n\r\t\b\f\x01\x1f\x7f", "\xC3\xA9\xE2\x80\xA6",
        "\xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF"}) {
    CHECK(round(text) == text);
  }
  CHECK(round(std::string("a\0b", 3)) == std::string("a\0b", 3));
}

TEST_CASE("record: RFC 3629 §4: what is not UTF-8 becomes U+FFFD") {
  const auto helo = [](const std::string& text) {
    Record r;
    r.helo = text;
    return nlohmann::json::parse(to_json_line(r, 1, "", {}))["helo"].get<std::string>();
  };
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(helo("a\xFFz") == "a" + bad + "z");
  CHECK(helo("\xC0\xAF") == bad + bad);              // overlong
  CHECK(helo("\xED\xA0\x80") == bad + bad + bad);    // a surrogate
  CHECK(helo("\xC3") == bad);                        // cut short
}

TEST_CASE("record: no local part in reply, reason or results") {
  Record r = full();
  r.local_parts = {"alice"};
  r.reply = "550 5.1.1 <alice@example.com>: alice is unknown";
  r.reason = "\"alice b\"@example.com";
  (*r.results)[0].reason = "said: carol@example.com alice";
  const std::string line = to_json_line(r, 1, "", {});
  CHECK(line.find("alice") == std::string::npos);
  CHECK(line.find("carol") == std::string::npos);
  const auto json = nlohmann::json::parse(line);
  CHECK(json["reply"] == "550 5.1.1 <…@example.com>: … is unknown");
  CHECK(json["reason"] == "…@example.com");
}

TEST_CASE("record: a line stays within its limit and stays JSON, whatever it is given",
          "[asan-only]") {
  Record r = full();
  const std::string awkward = "\x01\xFF\xC3\xA9 ";
  std::string text;
  while (text.size() < 100000) text += awkward;
  for (auto* field : {&r.id, &r.queue_id, &r.policy_type, &r.policy_mode, &r.policy_id,
                      &r.policy_source, &r.requirement, &r.mx, &r.helo, &r.tls_version, &r.cipher,
                      &r.group, &r.sni, &r.peer_auth, &r.protection, &r.cert_sha256,
                      &r.spki_sha256, &r.result, &r.reason, &r.reply}) {
    *field = text;
  }
  r.results = std::vector<PolicyResult>(
      100, {tlsrpt::PolicyType::no_policy_found, text, text, std::vector<std::string>(50, text),
            text});
  const std::string line = to_json_line(r, ~std::uint64_t{0}, hash, {});
  CHECK(line.size() + 1 <= line_limit);
  CHECK(nlohmann::json::parse(line)["reply"].get<std::string>().ends_with("…"));
}

TEST_CASE("record: a long reply is cut, never between a local part and its @") {
  Record r;
  r.reply = "550 " + std::string(16370, 'x') + " secretname@example.com and more";
  CHECK(to_json_line(r, 1, "", {}).find("secretname") == std::string::npos);
  r.reply = std::string(20000, 's') + "@example.com";
  CHECK(to_json_line(r, 1, "", {}).find("sss") == std::string::npos);
}

TEST_CASE("record: time is RFC 3339 in UTC with milliseconds, and back") {
  for (const char* text : {"1970-01-01T00:00:00.000Z", "2026-02-28T23:59:59.999Z",
                           "2028-02-29T12:00:00.010Z"}) {
    CHECK(rfc3339(at(text)) == text);
  }
  for (const char* text : {"", "2026-02-29T00:00:00.000Z", "2026-01-01T24:00:00.000Z",
                           "2026-01-01T00:00:00Z", "2026-01-01 00:00:00.000Z"}) {
    CHECK_FALSE(parse_rfc3339(text));
  }
}

TEST_CASE("record: parse_link tells records from other lines") {
  const std::string line = to_json_line(full(), 7, hash, at("2026-01-02T03:04:05.006Z"));
  const auto link = parse_link(line);
  REQUIRE(link);
  CHECK(link->seq == 7);
  CHECK(link->prev == hash);
  CHECK(link->time == "2026-01-02T03:04:05.006Z");
  for (std::size_t n = 0; n < line.size(); ++n) CHECK_FALSE(parse_link(line.substr(0, n)));
  for (const char* bad : {"{}", "[]", "7", R"({"time":"x","seq":-1,"prev":null})",
                          R"({"time":"x","seq":1.5,"prev":null})",
                          R"({"time":"x","seq":1,"prev":"zz"})", R"({"seq":1,"prev":null})"}) {
    CHECK_FALSE(parse_link(bad));
  }
}

TEST_CASE("hash: FIPS 180-4's example, and one object for many lines") {
  Sha256 sha;
  CHECK(sha.hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha.hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha.hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
