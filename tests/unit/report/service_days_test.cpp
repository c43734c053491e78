// Service over days that last milliseconds: counted, closed, composed, sent, retried, given up,
// forgotten (RFC 8460 §3, §4.1, §5.5). What is killed on the way goes on where it stood.
#include <set>

#include "tests/unit/report/support.h"
#include "tlsrpt/gzip.h"

using namespace report_test;
namespace fs = std::filesystem;

namespace {

const std::string mail_record = "v=TLSRPTv1; rua=mailto:tls@rua.example";
const std::string mail_uri = "mailto:tls@rua.example";

base::WallTime day_end(Day of = day) { return base::WallTime(of + std::chrono::days(1)); }
base::WallTime due(const std::string& domain, Day of = day) {
  return day_end(of) + report::jitter(domain, "edge.example.com");
}

}  // namespace

TEST_CASE("RFC 8460 §4.1: a day is closed at 00:00 UTC, and its report goes once") {
  World world;
  world.asks("recv.example", mail_record);
  world.start();
  world.sessions("recv.example", 3);
  world.sessions("recv.example", 2, {expired()});
  world.until(day_end() - 1s);
  CHECK(world.list()["state"] == "running");
  CHECK_FALSE(fs::exists(world.file("recv.example")));
  world.until(day_end() + 10s, 1s);
  CHECK(world.list()["state"] == "composed");
  CHECK(fs::exists(world.file("recv.example")));
  CHECK(world.row("recv.example")["successes"] == 3);
  CHECK(world.row("recv.example")["failures"] == 2);
  CHECK(world.row("recv.example")["state"] == "waiting");
  world.until(due("recv.example") - 1s);
  CHECK(world.mail.mails.empty());
  world.until(due("recv.example") + 1s, 1s);
  REQUIRE(world.mail.mails.size() == 1);
  const FakeMail::Mail mail = world.mail.mails[0];
  CHECK(mail.recipient == "tls@rua.example");
  CHECK(world.return_path.frees(mail.reverse_path, "tls@rua.example", world.clock.wall()));
  CHECK(mail.message.find("TLS-Report-Domain: recv.example\r\n") != std::string::npos);
  CHECK(world.row("recv.example")["state"] == "sent");
  world.until(day_end() + 72h, 30min);
  world.restart();
  world.until(day_end() + 80h, 30min);
  CHECK(world.mail.mails.size() == 1);
}

TEST_CASE("RFC 8460 §4.1: sessions around midnight each count on their day") {
  World world("2026-11-25T23:59:58.000Z");
  world.start();
  for (int i = 0; i < 40; ++i) {
    world.sessions("recv.example", 1);
    world.work();
    world.clock.set(world.clock.wall() + 100ms);
  }
  world.until(day_end() + 10s, 1s);
  CHECK(world.row("recv.example")["successes"] == 20);
  CHECK(world.row("recv.example", "2026-11-26")["successes"] == 20);
  CHECK(world.row("recv.example", "2026-11-26")["state"] == "running");
}

TEST_CASE("RFC 8460 §4.1: the day is closed while lines keep coming") {
  World world("2026-11-25T23:59:00.000Z");
  world.start();
  world.flaky->fails = [&world](const std::string& name) {
    if (name == "add") world.sessions("recv.example", 1);
    return FlakyReports::Fails::no;
  };
  world.sessions("recv.example", 1);
  bool more = false;
  while (world.clock.wall() < day_end() + 5s) {
    world.clock.set(world.clock.wall() + 1s);
    more = world.service->work();
  }
  CHECK_FALSE(more);  // once a second is enough
  world.flaky->fails = [](const std::string&) { return FlakyReports::Fails::no; };
  CHECK(world.list()["state"] == "composed");
}

TEST_CASE("RFC 8460 §5.5: a report that is not taken is tried again, octet for octet the same") {
  World world;
  world.asks("recv.example", mail_record);
  world.start();
  world.sessions("recv.example", 1);
  world.mail.answer = FakeMail::refuses;
  world.until(due("recv.example") + 6min, 1min);
  REQUIRE(world.mail.mails.size() == 2);
  const json row = world.row("recv.example");
  CHECK(row["state"] == "sending");
  CHECK(row["endpoints"][0]["state"] == "waiting");
  CHECK(row["endpoints"][0]["attempts"] == 2);
  CHECK(row["endpoints"][0]["answer"] == "451 4.3.0 not now");
  world.restart();
  world.until(due("recv.example") + 20min, 1min);
  REQUIRE(world.mail.mails.size() == 3);
  world.mail.answer = FakeMail::takes;
  world.until(due("recv.example") + 48h, 30min);
  REQUIRE(world.mail.mails.size() == 4);
  for (const FakeMail::Mail& mail : world.mail.mails) CHECK(mail == world.mail.mails[0]);
  CHECK(world.row("recv.example")["state"] == "sent");
  CHECK(world.row("recv.example")["endpoints"][0]["answer"] == "250 2.0.0 Ok: queued as 4F");
}

TEST_CASE("RFC 8460 §5.5: 24 hours after the first attempt a report is given up") {
  World world;
  world.asks("recv.example", mail_record);
  world.start();
  world.sessions("recv.example", 1);
  world.mail.answer = FakeMail::refuses;
  world.until(due("recv.example") + 23h, 1min);
  CHECK(world.row("recv.example")["state"] == "sending");
  world.until(due("recv.example") + 25h, 1min);
  CHECK(world.mail.mails.size() == 12);
  CHECK(world.row("recv.example")["state"] == "failed");
  CHECK(world.row("recv.example")["endpoints"][0]["state"] == "given-up");
  world.until(due("recv.example") + 60h, 30min);
  CHECK(world.mail.mails.size() == 12);
  // By hand it goes once more, the same octets.
  world.mail.answer = FakeMail::takes;
  const json sent = world.send();
  CHECK(sent["reports"][0]["state"] == "sent");
  REQUIRE(world.mail.mails.size() == 13);
  CHECK(world.mail.mails[12].message == world.mail.mails[0].message);
  // The return path is a new one: the relay frees none that is over eight days old.
  CHECK(world.mail.mails[12].reverse_path != world.mail.mails[0].reverse_path);
}

TEST_CASE("killed between acceptance and its record, the same octets go again, and then no more") {
  World world;
  world.asks("recv.example", mail_record);
  world.start();
  world.sessions("recv.example", 1);
  world.until(due("recv.example") - 1s);
  world.flaky->fails = [](const std::string& name) {
    return name == "put_endpoint" ? FlakyReports::Fails::before : FlakyReports::Fails::no;
  };
  world.until(due("recv.example") + 10min, 1min);
  REQUIRE(world.mail.mails.size() == 1);  // and it waits for the store, not sending again
  world.restart();
  world.until(due("recv.example") + 48h, 30min);
  REQUIRE(world.mail.mails.size() == 2);
  CHECK(world.mail.mails[1] == world.mail.mails[0]);
  CHECK(world.row("recv.example")["state"] == "sent");
}

TEST_CASE("killed before the message is stored, nothing was sent") {
  World world;
  world.asks("recv.example", mail_record);
  world.start();
  world.sessions("recv.example", 1);
  world.until(due("recv.example") - 1s);
  world.flaky->fails = [](const std::string& name) {
    return name == "put_endpoints" ? FlakyReports::Fails::before : FlakyReports::Fails::no;
  };
  world.until(due("recv.example") + 10min, 1min);
  CHECK(world.mail.mails.empty());
  world.restart();
  world.until(due("recv.example") + 20min, 1min);
  CHECK(world.mail.mails.size() == 1);
}

TEST_CASE("a look-up that fails is tried again for 24 hours, and then by hand") {
  World world;
  world.dns.fails("_smtp._tls.recv.example", dns::Type::TXT, dns::LookupError::Kind::servfail);
  world.start();
  world.sessions("recv.example", 1);
  world.until(due("recv.example") + 1min, 1min);
  CHECK(world.row("recv.example")["state"] == "waiting");
  CHECK(world.row("recv.example")["why"] ==
        "who wants it could not be found out: TXT _smtp._tls.recv.example: SERVFAIL");
  CHECK(world.row("recv.example")["record"] == nullptr);
  SECTION("until it is answered") {
    world.dns.nothing("_smtp._tls.recv.example", dns::Type::TXT);
    world.asks("recv.example", mail_record);
    world.until(due("recv.example") + 10min, 1min);
    CHECK(world.mail.mails.size() == 1);
    CHECK(world.row("recv.example")["state"] == "sent");
  }
  SECTION("and given up") {
    world.until(due("recv.example") + 23h, 5min);
    CHECK(world.row("recv.example")["state"] == "waiting");
    world.until(due("recv.example") + 25h, 5min);
    CHECK(world.row("recv.example")["state"] == "failed");
    const int asked = world.dns.asked("_smtp._tls.recv.example");
    CHECK(asked == 12);
    world.until(due("recv.example") + 40h, 30min);
    CHECK(world.dns.asked("_smtp._tls.recv.example") == asked);
    CHECK(world.send()["reports"][0]["state"] == "failed");
    world.dns.nothing("_smtp._tls.recv.example", dns::Type::TXT);
    world.asks("recv.example", mail_record);
    CHECK(world.send()["reports"][0]["state"] == "sent");
    CHECK(world.mail.mails.size() == 1);
  }
}

TEST_CASE("RFC 8460 §3: who asks for no report, or names nothing known, gets none") {
  const auto not_asked = [](const char* record, const std::string& why) {
    World world;
    if (record != nullptr) world.asks("recv.example", record);
    world.start();
    world.sessions("recv.example", 1);
    world.until_sent();
    INFO(why);
    const json row = world.row("recv.example");
    CHECK(row["state"] == "not-asked");
    CHECK(row["record"] == nullptr);
    CHECK(row["why"].get<std::string>().find(why) != std::string::npos);
    CHECK(row["next"] == nullptr);
    CHECK(row["endpoints"].empty());
    CHECK(fs::exists(world.file("recv.example")));  // the operator's own record
    CHECK(world.mail.mails.size() + world.https.posts.size() == 0);
  };
  not_asked(nullptr, "has no TLSRPTv1 record");
  not_asked("v=spf1 -all", "has no TLSRPTv1 record");
  not_asked("v=TLSRPTv1; rua=ftp://rua.example/,xmpp:a@b.example", "names nothing");
  not_asked("v=TLSRPTv1;", "_smtp._tls.recv.example: ");
}

TEST_CASE("RFC 8460 §3: of several endpoints each gets the report once, unknown schemes none") {
  World world;
  world.asks("recv.example",
             "v=TLSRPTv1; rua=mailto:a@rua.example,https://rua.example/v1,ftp://rua.example/,"
             "mailto:b%2Bc@rua.example");
  world.start();
  world.sessions("recv.example", 1);
  world.mail.answer = [](const FakeMail::Mail& mail) {
    return mail.recipient == "a@rua.example" ? FakeMail::takes(mail) : FakeMail::refuses(mail);
  };
  world.https.answer = {false, "HTTP 503"};
  world.until(due("recv.example") + 1min, 1min);
  json row = world.row("recv.example");
  CHECK(row["state"] == "sending");
  REQUIRE(row["endpoints"].size() == 3);
  CHECK(row["endpoints"][0]["state"] == "accepted");
  CHECK(row["endpoints"][1]["state"] == "waiting");
  CHECK(row["endpoints"][2]["state"] == "waiting");
  world.https.answer = {true, "HTTP 201"};
  world.until(due("recv.example") + 26h, 5min);
  row = world.row("recv.example");
  CHECK(row["state"] == "sent");  // delivered once at least one took it
  CHECK(row["endpoints"][2]["state"] == "given-up");
  int first = 0;
  std::string other;
  for (const FakeMail::Mail& mail : world.mail.mails) {
    if (mail.recipient == "a@rua.example") ++first;
    if (mail.recipient != "a@rua.example") other = mail.recipient;
  }
  CHECK(first == 1);
  CHECK(other == "b+c@rua.example");
  REQUIRE(world.https.posts.size() == 2);
  CHECK(world.https.posts[0] == world.https.posts[1]);
  CHECK(world.https.posts[1].first == "https://rua.example/v1");
  CHECK(world.https.posts[1].second == audit_test::slurp(world.file("recv.example")));
}

TEST_CASE("without the whole identity, or with send = false, reports are kept and nothing goes") {
  World world;
  std::string why;
  SECTION("identity") {
    world.settings.identity.complete = false;
    why = "tls_rpt.organization_name, contact_info and report_domain are not all set";
  }
  SECTION("send") {
    world.settings.send = false;
    why = "tls_rpt.send is false";
  }
  world.asks("recv.example", mail_record);
  world.start();
  world.sessions("recv.example", 1);
  world.until_sent();
  CHECK(world.row("recv.example")["state"] == "kept");
  CHECK(world.row("recv.example")["next"] == nullptr);
  CHECK(world.list()["not_sending"] == why);
  CHECK(fs::exists(world.file("recv.example")));
  CHECK(world.dns.names().empty());
  CHECK(world.send()["error"] == "nothing is sent: " + why);
  CHECK(world.mail.mails.empty());
  // Set later, it goes by hand.
  world.settings.identity.complete = world.settings.send = true;
  world.restart();
  world.until(world.clock.wall() + 24h, 30min);
  CHECK(world.mail.mails.empty());
  CHECK(world.send()["reports"][0]["state"] == "sent");
  CHECK(world.mail.mails.size() == 1);
}

TEST_CASE("days that passed while nothing ran are composed each by itself") {
  World world;
  world.start();
  world.sessions("recv.example", 1);
  world.work();
  world.kill();
  for (int i = 0; i < 3; ++i) {
    world.sessions("recv.example", 10 + i);
    world.clock.set(world.clock.wall() + 24h);
  }
  world.start();
  world.work();
  CHECK(world.row("recv.example", "2026-11-25")["successes"] == 11);
  CHECK(world.row("recv.example", "2026-11-26")["successes"] == 11);
  CHECK(world.row("recv.example", "2026-11-27")["successes"] == 12);
  CHECK(world.list("2026-11-27")["state"] == "composed");
}

TEST_CASE("days older than tls_rpt.keep are forgotten, files and rows") {
  World world;
  world.settings.keep = std::chrono::days(3);
  world.start();
  for (int i = 0; i < 6; ++i) {
    world.sessions("recv.example", 1);
    world.until(day_end(day + std::chrono::days(i)) + 12h, 30min);
  }
  for (int i = 0; i < 6; ++i) {
    const Day of = day + std::chrono::days(i);
    CAPTURE(i);
    const bool kept = of >= day + std::chrono::days(3);
    CHECK(fs::exists(world.file("recv.example", of)) == kept);
    CHECK(world.list(tlsrpt::day_text(of).c_str())["reports"].size() == (kept ? 1 : 0));
  }
}

TEST_CASE("many domains are composed a part at a time, and counting goes on") {
  World world;
  world.start();
  constexpr int domains = 600;
  for (int i = 0; i < domains; ++i) world.sessions("d" + std::to_string(i) + ".example", 1);
  world.until(day_end() - 1s, 1h);
  world.clock.set(day_end() + 5s);
  int parts = 0;
  for (bool more = true; more; ++parts) {
    world.sessions("late.example", 1);
    more = world.service->work();
    CHECK(world.list()["state"] == (parts < 2 ? "closed" : "composed"));
  }
  CHECK(parts == 4);  // the last one finds no more
  CHECK(world.list()["reports"].size() == domains);
  CHECK(world.row("late.example", "2026-11-26")["successes"] == parts);
  std::set<std::string> ids;
  const json all = world.list();
  for (const json& row : all["reports"]) ids.insert(row["report_id"].get<std::string>());
  CHECK(ids.size() == domains);
}

TEST_CASE("killed while a day is composed, every report is there, once") {
  constexpr int domains = 260;
  for (const char* const call : {"put_reports", "counts", "report", "oldest_counted"}) {
    CAPTURE(call);
    World one;
    one.start();
    for (int i = 0; i < domains; ++i) one.sessions("d" + std::to_string(i) + ".example", 1);
    one.work();
    one.clock.set(day_end() + 5s);
    int calls = 0;
    one.flaky->fails = [&calls, call](const std::string& name) {
      if (name != call) return FlakyReports::Fails::no;
      return ++calls == 2 ? FlakyReports::Fails::after : FlakyReports::Fails::no;
    };
    (void)one.service->work();
    (void)one.service->work();
    one.restart();
    one.work();
    const json list = one.list();
    CHECK(list["state"] == "composed");
    REQUIRE(list["reports"].size() == domains);
    for (const json& row : list["reports"]) {
      CHECK(row["successes"] == 1);
      CHECK(fs::exists(row["file"].get<std::string>()));
    }
  }
}

TEST_CASE("while the directory cannot be written nothing is lost, and no report half there") {
  World world;
  world.start();
  audit_test::spit(world.settings.directory, "a file where the folder should be");
  world.sessions("recv.example", 4);
  world.until(day_end() + 1h);
  CHECK(world.list()["state"] == "closed");
  CHECK(world.row("recv.example")["state"] == "closed");
  CHECK(world.shown("recv.example")["policies"][0]["summary"]["total-successful-session-count"] ==
        4);
  world.sessions("recv.example", 1);
  fs::remove(world.settings.directory);
  world.until(day_end() + 1h + 1s, 1s);
  CHECK(world.row("recv.example")["successes"] == 4);
  CHECK(world.row("recv.example", "2026-11-26")["successes"] == 1);
  CHECK(fs::exists(world.file("recv.example")));
}

TEST_CASE("a report whose file cannot be written holds up no other, and is tried again") {
  World world;
  world.start();
  fs::create_directories(world.file("b.example"));  // a folder of that name
  for (const char* const domain : {"a.example", "b.example", "c.example"}) {
    world.sessions(domain, 1);
  }
  world.until(day_end() + 1h);
  world.sessions("d.example", 1);
  world.until(day_end(day + std::chrono::days(1)) + 1h);
  CHECK(fs::exists(world.file("a.example")));
  CHECK(fs::exists(world.file("c.example")));
  CHECK(fs::exists(world.file("d.example", day + std::chrono::days(1))));
  CHECK(world.list()["state"] == "closed");
  CHECK(world.list("2026-11-26")["state"] == "composed");
  CHECK(world.shown("b.example")["policies"].size() == 1);  // its counts are kept
  fs::remove(world.file("b.example"));
  SECTION("a minute later") {
    world.work();
    CHECK_FALSE(fs::exists(world.file("b.example")));
    world.clock.pass(1min);
    world.work();
    CHECK(world.list()["state"] == "composed");
  }
  SECTION("by hand at once") {
    CHECK(world.send()["reports"].size() == 3);
    CHECK(world.list()["state"] == "composed");
  }
  CHECK(fs::is_regular_file(world.file("b.example")));
}

TEST_CASE("many reports that cannot be written are passed over, with those behind them composed") {
  World world;
  world.start();
  constexpr int stuck = 300;  // more than are looked at at once
  for (int i = 0; i < stuck; ++i) {
    const std::string domain = "a" + std::to_string(i) + ".example";
    fs::create_directories(world.file(domain));
    world.sessions(domain, 1);
  }
  world.sessions("z.example", 1);
  world.until(day_end() + 1h, 1h);
  CHECK(fs::is_regular_file(world.file("z.example")));
  CHECK(world.list()["reports"].size() == stuck + 1);
  for (int i = 0; i < stuck; ++i) fs::remove(world.file("a" + std::to_string(i) + ".example"));
  world.clock.pass(1min);
  world.work();
  CHECK(world.list()["state"] == "composed");
}

TEST_CASE("a day that cannot be written does not hold up the days after it") {
  World world;
  world.start();
  fs::create_directories(world.settings.directory);
  audit_test::spit(world.settings.directory / "2026-11-25", "no folder");
  world.sessions("a.example", 1);
  world.until(day_end() + 1h);
  world.sessions("a.example", 2);
  world.until(day_end(day + std::chrono::days(1)) + 1h);
  CHECK(world.list()["state"] == "closed");
  CHECK(world.row("a.example", "2026-11-26")["successes"] == 2);
  CHECK(fs::exists(world.file("a.example", day + std::chrono::days(1))));
  fs::remove(world.settings.directory / "2026-11-25");
  world.work();
  CHECK(world.row("a.example")["successes"] == 1);
  CHECK(world.list()["state"] == "composed");
}

TEST_CASE("while the store fails nothing is lost, and it is not tried without a pause") {
  World world;
  world.start();
  world.flaky->fails = [](const std::string&) { return FlakyReports::Fails::before; };
  world.sessions("recv.example", 2);
  for (int i = 0; i < 20; ++i) {
    CHECK_FALSE(world.service->work());
    world.sessions("recv.example", 1);
    world.clock.set(world.clock.wall() + 1h);
  }
  world.flaky->fails = [](const std::string&) { return FlakyReports::Fails::no; };
  world.work();
  CHECK(world.row("recv.example", "2026-11-25")["successes"] == 16);
  CHECK(world.row("recv.example", "2026-11-26")["successes"] == 6);
}

TEST_CASE("counts that come for a day whose report is made already do not make it anew") {
  World world;
  world.asks("recv.example", mail_record);
  world.start();
  world.sessions("recv.example", 1);
  world.until_sent();
  const std::string before = audit_test::slurp(world.file("recv.example"));
  // No line does that; a store of another time might.
  store::CountBatch batch;
  batch.from = world.log.seq();
  batch.to = batch.from + 1;
  batch.policies.push_back({day, "recv.example", "", "sts", "recv.example", 99, 0, 0});
  REQUIRE(world.flaky->add(batch).has_value());
  world.restart();
  world.until(day_end() + 30h, 30min);
  CHECK(audit_test::slurp(world.file("recv.example")) == before);
  CHECK(world.row("recv.example")["state"] == "sent");
  CHECK(world.mail.mails.size() == 1);
}

namespace {

// A relay with fifty domains that want a report each, once all sessions of the day are counted.
void fifty_domains(World& world) {
  for (int i = 0; i < 50; ++i) {
    world.asks("d" + std::to_string(i) + ".example",
               "v=TLSRPTv1; rua=mailto:d" + std::to_string(i) + "@rua.example");
  }
  world.start();
  for (int i = 0; i < 50; ++i) world.sessions("d" + std::to_string(i) + ".example", 1);
  world.work();
}

void twenty_seconds(World& world) {
  for (int i = 0; i < 20; ++i) {
    world.clock.set(world.clock.wall() + 1s);
    world.work();
  }
}

std::size_t recipients_of(const World& world) {
  std::set<std::string> recipients;
  for (const FakeMail::Mail& mail : world.mail.mails) recipients.insert(mail.recipient);
  CHECK(world.mail.mails.size() == recipients.size());  // each once
  return recipients.size();
}

}  // namespace

TEST_CASE("fifty reports that are due at once all go, each once") {
  World world;
  fifty_domains(world);
  world.clock.set(day_end() + 10s);
  world.work();
  world.clock.set(day_end() + 5h);
  twenty_seconds(world);
  CHECK(recipients_of(world) == 50);
}

TEST_CASE("a relay that was down at midnight spreads what it owes from when it is back") {
  World world;
  fifty_domains(world);
  world.clock.set(day_end() + 5h);
  twenty_seconds(world);
  CHECK(recipients_of(world) < 25);
  world.clock.set(day_end() + 9h + 10min);
  twenty_seconds(world);
  CHECK(recipients_of(world) == 50);
}
