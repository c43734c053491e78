// Service, the commands `report list`, `report show` and `report send`: the JSON that scripts read.
#include "tests/unit/report/support.h"
#include "tlsrpt/gzip.h"

using namespace report_test;
namespace fs = std::filesystem;

namespace {

const std::string record =
    "v=TLSRPTv1; rua=mailto:tls@rua.example,https://rua.example:8443/v1?a=b";

std::vector<std::string> keys(const json& object) {
  std::vector<std::string> names;
  for (const auto& item : object.items()) names.push_back(item.key());
  return names;
}
using Keys = std::vector<std::string>;  // in the alphabet's order

}  // namespace

TEST_CASE("report list: the running day's counts, by domain") {
  World world;
  world.start();
  world.sessions("b.example", 2, {expired()});
  world.sessions("a.example", 3);
  const json list = world.list();
  CHECK(keys(list) == Keys{"date", "not_sending", "reports", "schema", "state"});
  CHECK(list["schema"] == 1);
  CHECK(list["date"] == "2026-11-25");
  CHECK(list["state"] == "running");
  CHECK(list["not_sending"] == nullptr);
  REQUIRE(list["reports"].size() == 2);
  const json& row = list["reports"][1];
  CHECK(keys(row) == Keys{"domain", "endpoints", "failures", "file", "next", "record",
                          "report_id", "state", "successes", "why"});
  CHECK(row["domain"] == "b.example");
  CHECK(row["failures"] == 2);
  CHECK(row["successes"] == 0);
  CHECK(row["state"] == "running");
  CHECK(row["file"] == nullptr);
  CHECK(row["next"] == nullptr);
  CHECK(row["record"] == nullptr);
  CHECK(row["why"] == nullptr);
  CHECK(row["endpoints"] == json::array());
}

TEST_CASE("report list: what was logged a moment ago is in it, and nothing of other days") {
  World world;
  world.start();
  world.sessions("a.example", 1);
  CHECK(world.row("a.example")["successes"] == 1);
  world.sessions("a.example", 1);
  CHECK(world.row("a.example")["successes"] == 2);
  CHECK(world.list("2026-11-26")["reports"].empty());
  CHECK(world.list("2026-11-24")["reports"].empty());
  CHECK(world.list("2026-11-24")["state"] == "empty");
  CHECK(world.list("2026-11-26")["state"] == "to-come");
  const json today = world.command({{"command", "report list"}});
  CHECK(today["date"] == "2026-11-25");
  CHECK(today["reports"].size() == 1);
}

TEST_CASE("report list: a report that was sent, with each endpoint") {
  World world;
  world.asks("a.example", record);
  world.start();
  world.sessions("a.example", 1);
  world.until_sent();
  const json row = world.row("a.example");
  CHECK(row["state"] == "sent");
  CHECK(row["report_id"] ==
        tlsrpt::report_id(day, "a.example", "example.com", "edge.example.com"));
  CHECK(row["file"] == world.file("a.example").string());
  CHECK(row["record"] == record);
  CHECK(row["why"] == nullptr);
  CHECK(row["next"] == nullptr);
  REQUIRE(row["endpoints"].size() == 2);
  const json& first = row["endpoints"][0];
  CHECK(keys(first) == Keys{"answer", "attempts", "first", "next", "state", "uri"});
  CHECK(first["uri"] == "mailto:tls@rua.example");
  CHECK(first["state"] == "accepted");
  CHECK(first["attempts"] == 1);
  CHECK(first["first"].get<std::string>().starts_with("2026-11-26T0"));
  CHECK(first["next"] == nullptr);
  CHECK(first["answer"] == "250 2.0.0 Ok: queued as 4F");
  CHECK(row["endpoints"][1]["uri"] == "https://rua.example:8443/v1?a=b");
  CHECK(row["endpoints"][1]["answer"] == "HTTP 201");
}

TEST_CASE("report list: a report that waits says when it goes") {
  World world;
  world.asks("a.example", record);
  world.start();
  world.sessions("a.example", 1);
  world.until(at("2026-11-26T00:00:10.000Z"), 30min);
  const auto due = at("2026-11-26T00:00:00.000Z") + report::jitter("a.example", "edge.example.com");
  CHECK(world.row("a.example")["next"] == audit::rfc3339(due));
}

TEST_CASE("report show: the report itself, of the running day and of one that is over") {
  World world;
  world.start();
  world.sessions("a.example", 2);
  world.sessions("b.example", 1);
  const json answer = world.command({{"command", "report show"}});
  CHECK(keys(answer) == Keys{"date", "missing", "reports", "schema"});
  CHECK(answer["missing"].empty());
  REQUIRE(answer["reports"].size() == 2);
  CHECK(keys(answer["reports"][0]) == Keys{"domain", "report"});
  const json running = world.shown("a.example");
  CHECK(running["policies"][0]["policy"]["policy-string"][0] == "version: STSv1");
  CHECK(running["policies"][0]["summary"]["total-successful-session-count"] == 2);
  world.until_sent();
  CHECK(world.shown("a.example") == running);
  const std::string text = *tlsrpt::gunzip(audit_test::slurp(world.file("a.example")));
  CHECK(world.command({{"command", "report show"}, {"date", "2026-11-25"}})["reports"][0]
                     ["report"] == text);
}

TEST_CASE("report show, send --dry-run: a file that is gone is told, beside the others") {
  World world;
  world.asks("b.example", "v=TLSRPTv1; rua=mailto:b@rua.example");
  world.start();
  world.sessions("a.example", 1);
  world.sessions("b.example", 1);
  world.until(at("2026-11-26T00:00:10.000Z"), 30min);
  const auto told = [&world](const std::string& why) {
    const json shown = world.command({{"command", "report show"}, {"date", "2026-11-25"}});
    REQUIRE(shown["reports"].size() == 1);
    CHECK(shown["reports"][0]["domain"] == "b.example");
    REQUIRE(shown["missing"].size() == 1);
    CHECK(keys(shown["missing"][0]) == Keys{"domain", "why"});
    CHECK(shown["missing"][0]["domain"] == "a.example");
    const auto words = shown["missing"][0]["why"].get<std::string>();
    CHECK(words.find("a.example.json.gz: ") != std::string::npos);
    CHECK(words.find(why) != std::string::npos);
    const json dry = world.command(
        {{"command", "report send"}, {"date", "2026-11-25"}, {"dry_run", true}});
    CHECK(dry["messages"].size() == 1);
    CHECK(dry["nothing"][0]["domain"] == "a.example");
  };
  audit_test::spit(world.file("a.example"), "no gzip");
  told("");
  fs::remove(world.file("a.example"));
  told("No such file");
}

TEST_CASE("report send: the running day is refused, and the last closed one named") {
  World world;
  world.asks("a.example", record);
  world.start();
  world.sessions("a.example", 1);
  const json answer = world.send();
  const std::string last = "; the last closed day is 2026-11-24: --date 2026-11-24";
  const std::string today = "the report of 2026-11-25 is composed after 00:00 UTC" + last;
  CHECK(answer["error"] == today);
  CHECK(answer["schema"] == 1);
  CHECK(world.command({{"command", "report send"}})["error"] == today);
  CHECK(world.send("2026-12-31")["error"] ==
        "the report of 2026-12-31 is composed after 00:00 UTC of 2027-01-01" + last);
  // Over, but not closed: the counts cannot be stored.
  world.flaky->fails = [](const std::string& name) {
    return name == "add" ? FlakyReports::Fails::before : FlakyReports::Fails::no;
  };
  world.sessions("a.example", 1);
  world.clock.set(at("2026-11-26T10:00:00.000Z"));
  CHECK(world.send()["error"] ==
        "the report of 2026-11-25 is composed once that day is counted, which is tried again "
        "every second" + last);
  CHECK(world.mail.mails.empty());
}

TEST_CASE("report send: reports go before their time, and those that went do not go again") {
  World world;
  world.asks("a.example", record);
  world.start();
  world.sessions("a.example", 1);
  world.sessions("b.example", 1);
  world.until(at("2026-11-26T00:00:04.000Z"), 30min);
  const json answer = world.send();
  CHECK(keys(answer) == Keys{"date", "left", "reports", "schema"});
  CHECK(answer["left"] == 0);
  REQUIRE(answer["reports"].size() == 2);
  CHECK(answer["reports"][0]["state"] == "sent");
  CHECK(answer["reports"][0]["tried"] == true);
  CHECK(answer["reports"][1]["state"] == "not-asked");
  CHECK(world.mail.mails.size() == 1);
  CHECK(world.https.posts.size() == 1);
  const json again = world.send();
  CHECK(again["reports"][0]["tried"] == false);
  world.until_sent();
  CHECK(world.mail.mails.size() == 1);
  CHECK(world.https.posts.size() == 1);
  // Who asks for it by now gets it.
  world.asks("b.example", "v=TLSRPTv1; rua=mailto:b@rua.example");
  CHECK(world.send()["reports"][1]["state"] == "sent");
  CHECK(world.mail.mails.size() == 2);
}

TEST_CASE("report send: one that is on its way is not sent beside it") {
  World world;
  world.asks("a.example", record);
  world.start();
  world.sessions("a.example", 1);
  world.until(at("2026-11-26T00:00:04.000Z"), 30min);
  world.dns.hold("_smtp._tls.a.example");
  world.clock.set(at("2026-11-26T05:00:00.000Z"));
  world.work();
  const json answer = world.send();
  CHECK(answer["reports"][0]["tried"] == false);
  CHECK(world.mail.mails.empty());
  world.dns.release("_smtp._tls.a.example");
  world.poll();
  CHECK(world.mail.mails.size() == 1);
  CHECK(world.row("a.example")["state"] == "sent");
}

TEST_CASE("report send: what was sent since the command began does not go again") {
  World world;
  world.asks("a.example", "v=TLSRPTv1; rua=mailto:a@rua.example");
  world.asks("b.example", "v=TLSRPTv1; rua=mailto:b@rua.example");
  world.start();
  world.sessions("a.example", 1);
  world.sessions("b.example", 1);
  world.until(at("2026-11-26T00:00:04.000Z"), 30min);
  world.dns.hold("_smtp._tls.a.example");
  bool answered = false;
  world.service->command({{"command", "report send"}, {"date", "2026-11-25"}},
                         [&answered](const json& answer) {
                           answered = true;
                           CHECK(answer["reports"][0]["tried"] == true);
                           CHECK(answer["reports"][1]["tried"] == false);
                           CHECK(answer["reports"][1]["state"] == "sent");
                         });
  world.poll();
  world.clock.set(at("2026-11-26T05:00:00.000Z"));
  world.work();  // b goes by itself
  REQUIRE(world.mail.mails.size() == 1);
  CHECK_FALSE(answered);
  world.dns.release("_smtp._tls.a.example");
  world.poll();
  CHECK(answered);
  CHECK(world.mail.mails.size() == 2);
}

TEST_CASE("report send --dry-run: prints what would go, of any day, and sends nothing") {
  World world;
  world.asks("a.example", record);
  world.start();
  world.sessions("a.example", 1);
  world.sessions("b.example", 1);
  const auto dry_run = [&world] {
    return world.command(
        {{"command", "report send"}, {"date", "2026-11-25"}, {"dry_run", true}});
  };
  const auto looks_right = [](const json& answer) {
    CHECK(keys(answer) == Keys{"date", "messages", "nothing", "notice", "schema"});
    REQUIRE(answer["messages"].size() == 2);
    CHECK(keys(answer["messages"][0]) == Keys{"domain", "message", "uri"});
    CHECK(answer["messages"][0]["uri"] == "mailto:tls@rua.example");
    const auto mail = answer["messages"][0]["message"].get<std::string>();
    CHECK(mail.find("TLS-Report-Submitter: example.com\r\n") != std::string::npos);
    const auto post = answer["messages"][1]["message"].get<std::string>();
    CHECK(post.starts_with("POST /v1?a=b HTTP/1.1\r\nHost: rua.example"));
    CHECK(post.find("Content-Type: application/tlsrpt+gzip\r\n") != std::string::npos);
    REQUIRE(answer["nothing"].size() == 1);
    CHECK(answer["nothing"][0]["domain"] == "b.example");
    CHECK(answer["nothing"][0]["why"] == "_smtp._tls.b.example has no TLSRPTv1 record");
  };
  looks_right(dry_run());  // the running day
  CHECK(dry_run()["notice"] ==
        "the report of 2026-11-25 is composed after 00:00 UTC; the last closed day is 2026-11-24: "
        "--date 2026-11-24");
  world.until(at("2026-11-26T00:00:10.000Z"), 30min);
  looks_right(dry_run());
  CHECK(dry_run()["notice"] == nullptr);
  CHECK(world.row("a.example")["state"] == "waiting");
  CHECK(world.mail.mails.empty());
  CHECK(world.https.posts.empty());
  SECTION("also where nothing is ever sent") {
    world.settings.send = false;
    world.restart();
    looks_right(dry_run());
    CHECK(world.mail.mails.empty());
  }
  SECTION("but not without who it is from") {
    world.settings.identity.complete = false;
    world.restart();
    CHECK(dry_run()["error"].get<std::string>().starts_with("nothing is sent: tls_rpt."));
  }
}

TEST_CASE("report …: a request that cannot be understood is told") {
  World world;
  world.start();
  const auto bad = [&world](const json& request, const std::string& why) {
    INFO(request.dump());
    CHECK(world.command(request)["error"].get<std::string>().find(why) != std::string::npos);
  };
  bad({{"command", "report list"}, {"date", "25.11.2026"}}, "YYYY-MM-DD");
  bad({{"command", "report list"}, {"date", "2026-11-31"}}, "YYYY-MM-DD");
  bad({{"command", "report show"}, {"domain", "a..example"}}, "");
  bad({{"command", "report burn"}}, "command not known");
  world.flaky->fails = [](const std::string& name) {
    const bool asked = name == "reports" || name == "counts";
    return asked ? FlakyReports::Fails::before : FlakyReports::Fails::no;
  };
  bad({{"command", "report list"}}, "the disk is full");
  bad({{"command", "report show"}}, "the disk is full");
  bad({{"command", "report send"}, {"date", "2026-11-24"}}, "the disk is full");
  bad({{"command", "report send"}, {"dry_run", true}}, "the disk is full");
}

TEST_CASE("report …: the domain is read in any case") {
  World world;
  world.start();
  world.sessions("a.example", 1);
  CHECK(world.command({{"command", "report list"}, {"domain", "A.Example"}})["reports"].size() ==
        1);
  CHECK(world.command({{"command", "report list"}, {"domain", "b.example"}})["reports"].empty());
}
