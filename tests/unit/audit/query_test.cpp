// Reading many lines: LineReader's bounds, Members, and which lines a Query wants.
#include <catch2/catch.hpp>

#include "audit/lines.h"
#include "audit/query.h"
#include "tests/unit/audit/support.h"
#include "tlsrpt/gzip.h"

using namespace audit_test;

namespace {

using Lines = std::vector<std::string>;

struct Read {
  Lines lines;
  std::string error;
  std::vector<bool> cut;
  bool ended = true;
};

Read read(const std::string& octets, const audit::LineLimits& limits = {}) {
  Folder folder;
  spit(folder.log(), octets);
  Read result;
  auto reader = audit::LineReader::open(folder.log(), limits);
  if (!reader) return {{}, reader.error().text, {}, true};
  audit::LineReader::Line line;
  for (;;) {
    const auto more = reader->next(line);
    if (!more) result.error = more.error().text;
    if (!more || !*more) break;
    CHECK(line.number == result.lines.size() + 1);
    result.lines.emplace_back(line.text);
    result.cut.push_back(line.cut);
    result.ended = line.ended;
  }
  return result;
}

bool is_wanted(const audit::Query& query, const audit::Record& record,
               const char* time = "2026-03-01T12:00:00.000Z") {
  audit::Members members;
  const std::string line = audit::to_json_line(record, 1, "", at(time));
  return audit::Matcher(query).matches(line, members);
}

}  // namespace

TEST_CASE("lines: plain and compressed files give the same lines, also many members") {
  const std::string text = "one\n\nthree\n" + std::string(3000, 'x') + "\nlast";
  const Lines want{"one", "", "three", std::string(3000, 'x'), "last"};
  CHECK(read(text).lines == want);
  CHECK_FALSE(read(text).ended);
  CHECK(read(tlsrpt::gzip(text)).lines == want);
  CHECK(read(tlsrpt::gzip(text.substr(0, 2)) + tlsrpt::gzip(text.substr(2)) +
             std::string(100, '\0'))
            .lines == want);
  CHECK(read("").lines.empty());
  CHECK(read(tlsrpt::gzip("")).lines.empty());
}

TEST_CASE("lines: a line without end or bound is cut, the next one is whole") {
  audit::LineLimits limits;
  limits.line_room = 100;
  for (const std::size_t length : {101U, 5000U, 300000U, 900000U}) {
    const Read got = read("a\n" + std::string(length, 'x') + "\nb\n", limits);
    REQUIRE(got.lines == Lines{"a", std::string(100, 'x'), "b"});
    CHECK(got.cut == std::vector<bool>{false, true, false});
    CHECK(read(std::string(length, 'x'), limits).lines == Lines{std::string(100, 'x')});
  }
  CHECK(read(std::string(100, 'x') + "\n", limits).cut == std::vector<bool>{false});
}

TEST_CASE("lines: what expands like no log, is cut short or damaged is an error") {
  const std::string bomb = tlsrpt::gzip(std::string(std::size_t{80} << 20, 'a'));
  CHECK(read(bomb).error.find("expands more than 200 times") != std::string::npos);
  audit::LineLimits limits;
  limits.expanded = 1000;
  CHECK(read(tlsrpt::gzip(std::string(5000, 'a')), limits).error.find("too much") !=
        std::string::npos);
  std::string octets = tlsrpt::gzip("one\ntwo\n");
  CHECK(read(octets.substr(0, octets.size() - 4)).error.find("cut short") != std::string::npos);
  octets[octets.size() - 6] ^= 1;
  CHECK(read(octets).error.find("gzip: ") != std::string::npos);
  CHECK(audit::LineReader::open("/dev/zero").has_error());
  CHECK(audit::LineReader::open("/tmp").has_error());
}

TEST_CASE("members: the values of a line, as a JSON parser reads them") {
  audit::Record record = delivery("abc");
  record.reason = "a \"quoted\" \\ \xC3\xBC";
  record.results = {{{}, "d.example", "00", {"validation-failure"}, "x\"]}"}};
  const std::string line = audit::to_json_line(record, 7, "", at("2026-03-01T12:00:00.000Z"));
  audit::Members members;
  REQUIRE(members.read(line));
  const auto json = nlohmann::json::parse(line);
  for (std::size_t i = 0; i < audit::record_keys.size(); ++i) {
    const std::string key(audit::record_keys[i]);
    CAPTURE(key);
    CHECK(nlohmann::json::parse(members.raw(i)) == json[key]);
    if (json[key].is_string()) CHECK(members.text(i) == json[key].get<std::string>());
  }
  CHECK(members.is(audit::key_index("reason"), *record.reason));
  CHECK(audit::link_of(members)->seq == 7);
}

TEST_CASE("members: spaces, foreign keys and another order are no matter; damage is") {
  audit::Members members;
  REQUIRE(members.read(R"( { "x" : {"id":"no"} , "id":"yes", "seq" : 3,"prev":null} )"));
  CHECK(members.text(audit::key_index("id")) == "yes");
  CHECK(members.raw(audit::key_index("seq")) == "3");
  CHECK_FALSE(audit::link_of(members));  // No time.
  REQUIRE(members.read("{}"));
  for (const char* bad : {"", "[]", "{", "{\"id\"", "{\"id\":", "{\"id\":\"x", "{\"id\":\"x\"",
                          "{\"id\":\"x\",}", "{\"id\":,}", "{\"id\":\"x\"}y", "{id:1}",
                          "{\"id\":\"a\",\"id\":\"b\"}", "{\"results\":[{]", "{\"a\":\"\\\"}"}) {
    CAPTURE(bad);
    CHECK_FALSE(members.read(bad));
  }
}

TEST_CASE("query: each condition, and all together") {
  audit::Record record = delivery("tx1");
  record.queue_id = "4Xy\"z";
  record.protection = "authenticated";
  record.result = "success";
  audit::Query none;
  CHECK(is_wanted(none, record));
  const auto both = [&](auto member, const char* yes, const char* no) {
    audit::Query query;
    query.*member = {yes};
    CHECK(is_wanted(query, record));
    query.*member = {no};
    CHECK_FALSE(is_wanted(query, record));
    query.*member = {no, yes};
    CHECK(is_wanted(query, record));
  };
  both(&audit::Query::domains, "example.com", "mple.com");
  both(&audit::Query::domains, ".com", ".example.com");
  both(&audit::Query::events, "delivery", "session");
  both(&audit::Query::verdicts, "delivered", "deferred");
  both(&audit::Query::protections, "authenticated", "cleartext");
  both(&audit::Query::results, "success", "validation-failure");
  both(&audit::Query::ids, "tx1", "tx");
  both(&audit::Query::queue_ids, "4Xy\"z", "4Xy");
  audit::Query all;
  all.domains = {"example.com"};
  all.ids = {"tx1"};
  all.verdicts = {"deferred"};
  CHECK_FALSE(is_wanted(all, record));
  all.verdicts = {"delivered"};
  CHECK(is_wanted(all, record));
}

TEST_CASE("query: a word is looked for under its own key") {
  audit::Record record = delivery("delivered");
  record.verdict = audit::Verdict::deferred;
  record.reply = "example.org";
  audit::Query query;
  query.verdicts = {"delivered"};
  CHECK_FALSE(is_wanted(query, record));
  query.verdicts.clear();
  query.domains = {"example.org"};
  CHECK_FALSE(is_wanted(query, record));
}

TEST_CASE("query: time, its ends belonging to it") {
  audit::Query query;
  query.since = at("2026-03-01T12:00:00.000Z");
  query.until = at("2026-03-01T13:00:00.000Z");
  const audit::Record record = delivery("t");
  CHECK(is_wanted(query, record, "2026-03-01T12:00:00.000Z"));
  CHECK(is_wanted(query, record, "2026-03-01T13:00:00.000Z"));
  CHECK_FALSE(is_wanted(query, record, "2026-03-01T11:59:59.999Z"));
  CHECK_FALSE(is_wanted(query, record, "2026-03-01T13:00:00.001Z"));
}

TEST_CASE("query: a result type of one of the policies that applied") {
  audit::Record record = delivery("t");
  record.result = "success";
  record.results = {{{}, "d.example", "00", {"sts-policy-invalid"}, "why"}};
  audit::Query query;
  query.results = {"sts-policy-invalid"};
  CHECK(is_wanted(query, record));
  query.results = {"validation-failure"};
  CHECK_FALSE(is_wanted(query, record));
}
