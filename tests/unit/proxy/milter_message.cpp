#include "proxy/milter_message.h"

#include <catch2/catch.hpp>

#include "proxy/milter_header.h"
#include "tests/unit/policy/plan_support.h"
#include "tests/unit/proxy/session_world.h"

using namespace std::chrono_literals;
using plan_test::name;
using policy::Outlook;
using policy::Prospect;
using proxy::MilterMessage;
using proxy::MilterReply;
using proxy::OutlookQuestion;
using Kind = proxy::MilterReply::Kind;

namespace {

Outlook outlook(Prospect prospect, std::string words, std::string reason = {}) {
  Outlook out;
  out.prospect = prospect;
  out.words = std::move(words);
  out.reason = std::move(reason);
  out.reply = smtp::make_reply(451, {4, 7, 5}, out.reason);
  return out;
}

// What is said of each domain; "domain|require" for what a rule asks.
struct World {
  std::map<std::string, Outlook> said{
      {"good.example", outlook(Prospect::good, "verified (DANE)")},
      {"open.example", outlook(Prospect::open, "opportunistic")},
      {"bad.example", outlook(Prospect::bad, "TLS as demanded is not to be had",
                              "the policy of bad.example is not met, 100% sure")},
      {"open.example|verified", outlook(Prospect::bad, "", "no host is verified")},
      {"good.example|verified", outlook(Prospect::good, "verified (DANE)")},
  };
  std::vector<std::string> asked;
  config::Config config;
  session_world::MemoryLog log;
  proxy::Shared shared;
  std::unique_ptr<proxy::OutlookBoard> board;
  std::unique_ptr<proxy::MilterDesk> desk;

  proxy::MilterDesk& open() {
    Outlook null = outlook(Prospect::refused, "takes no mail (null MX)", "a null MX");
    null.reply = smtp::make_reply(556, {5, 1, 10}, "a null MX");
    said["null.example"] = null;
    board = std::make_unique<proxy::OutlookBoard>([this](const OutlookQuestion& question) {
      asked.push_back(question.key());
      const auto found = said.find(question.key());
      if (found != said.end()) board->put(question, found->second, false);
    });
    shared.log = &log;
    desk = std::make_unique<proxy::MilterDesk>(
        *board, shared, proxy::make_snapshot(std::make_shared<const config::Config>(config)),
        proxy::MilterDesk::Waits{50ms, 50ms});
    return *desk;
  }
  void rule(config::MilterAction action = config::MilterAction::Reject) {
    config.milter.rules.push_back(
        {"X-Classification", "confidential", config::Require::Verified, action});
  }
};

MilterReply rcpt(MilterMessage& message, const std::string& domain) {
  return message.recipient({"smtp", domain, std::nullopt}, "<user@" + domain + ">");
}

}  // namespace

TEST_CASE("each recipient is answered by its own domain's outlook, and the header tells them all") {
  World world;
  MilterMessage message(world.open());
  message.queue_id("4ABC");
  CHECK(rcpt(message, "good.example").kind == Kind::pass);
  CHECK(rcpt(message, "open.example").kind == Kind::pass);
  const MilterReply bad = rcpt(message, "bad.example");
  CHECK(bad.kind == Kind::tempfail);
  CHECK(bad.code == 451);
  CHECK(bad.enhanced == "4.7.5");
  CHECK(bad.text == "the policy of bad.example is not met, 100% sure [" + message.id() + "]");
  CHECK(rcpt(message, "bad.example").text == bad.text);
  const auto end = message.end();
  CHECK(end.reply.kind == Kind::pass);
  CHECK(end.forged == 0);
  CHECK(end.quarantine.empty());
  CHECK(end.field_body == "good.example: verified (DANE);\n\topen.example: opportunistic");
  // One line for the domain, however many recipients it has.
  const auto lines = world.log.records(audit::Event::policy);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].queue_id == "4ABC");
  CHECK(lines[0].id == message.id());
  CHECK(lines[0].domain->str() == "bad.example");
  CHECK(lines[0].verdict == audit::Verdict::deferred);
  CHECK(lines[0].reply->starts_with("451 4.7.5 "));
}

TEST_CASE("on_unenforceable: reject, quarantine, header") {
  World reject;
  reject.config.milter.on_unenforceable = config::OnUnenforceable::Reject;
  MilterMessage refused(reject.open());
  const MilterReply reply = rcpt(refused, "bad.example");
  CHECK(reply.kind == Kind::reject);
  CHECK(reply.code == 554);
  CHECK(reply.enhanced == "5.7.5");

  World quarantine;
  quarantine.config.milter.on_unenforceable = config::OnUnenforceable::Quarantine;
  MilterMessage held(quarantine.open());
  CHECK(rcpt(held, "good.example").kind == Kind::pass);
  CHECK(rcpt(held, "bad.example").kind == Kind::pass);
  const auto end = held.end();
  CHECK(end.quarantine ==
        "sternpost: the policy of bad.example is not met, 100% sure [" + held.id() + "]");
  CHECK(end.field_body.find("bad.example: TLS as demanded") != std::string::npos);

  World header;
  header.config.milter.on_unenforceable = config::OnUnenforceable::Header;
  MilterMessage told(header.open());
  CHECK(rcpt(told, "bad.example").kind == Kind::pass);
  CHECK(rcpt(told, "null.example").kind == Kind::pass);
  CHECK(told.end().quarantine.empty());
  CHECK(header.log.records(audit::Event::policy).empty());
}

TEST_CASE("RFC 7505 §4.2: a null MX is refused for good, unless the header alone is wanted") {
  for (const auto action : {config::OnUnenforceable::Tempfail, config::OnUnenforceable::Reject,
                            config::OnUnenforceable::Quarantine}) {
    World world;
    world.config.milter.on_unenforceable = action;
    MilterMessage message(world.open());
    const MilterReply reply = rcpt(message, "null.example");
    CHECK(reply.kind == Kind::reject);
    CHECK(reply.code == 556);
    CHECK(reply.enhanced == "5.1.10");
  }
}

TEST_CASE("what is not known in time passes") {
  World world;
  MilterMessage message(world.open());
  CHECK(rcpt(message, "slow.example").kind == Kind::pass);
  CHECK(message.end().field_body == "slow.example: not known");
}

TEST_CASE("in a session that is only played nobody is refused; a rule quarantines") {
  World world;
  world.rule();
  MilterMessage message(world.open(), true);
  CHECK(rcpt(message, "bad.example").kind == Kind::pass);
  CHECK(rcpt(message, "null.example").kind == Kind::pass);
  CHECK(message.end().reply.kind == Kind::pass);

  MilterMessage secret(*world.desk, true);
  CHECK(rcpt(secret, "open.example").kind == Kind::pass);
  secret.header("X-Classification", "confidential");
  const auto end = secret.end();
  CHECK(end.reply.kind == Kind::pass);
  CHECK(end.quarantine.find("X-Classification") != std::string::npos);
}

TEST_CASE("observe mode acts on nothing and logs what it would have done") {
  World world;
  world.said["bad.example"].observed = true;
  world.said["open.example|verified"].observed = true;
  world.rule();
  MilterMessage message(world.open());
  CHECK(rcpt(message, "bad.example").kind == Kind::pass);
  CHECK(rcpt(message, "open.example").kind == Kind::pass);
  message.header("X-Classification", "confidential");
  CHECK(message.end().reply.kind == Kind::pass);
  const auto lines = world.log.records(audit::Event::policy);
  REQUIRE(lines.size() == 2);
  CHECK_FALSE(lines[0].verdict);
  CHECK(lines[0].would_be == audit::Verdict::deferred);
  CHECK(lines[1].would_be == audit::Verdict::rejected);
}

TEST_CASE("a rule holds the message back when any accepted recipient offers less") {
  World world;
  world.rule();
  MilterMessage message(world.open());
  rcpt(message, "good.example");
  rcpt(message, "open.example");
  message.header("Subject", "x");
  CHECK(world.asked.size() == 2);
  message.header("x-classification", " Confidential ");
  CHECK(world.asked.size() == 4);  // asked while the message comes in
  const auto end = message.end();
  CHECK(end.reply.kind == Kind::reject);
  CHECK(end.reply.code == 554);
  CHECK(end.reply.text.starts_with("a message with this X-Classification goes only where there "
                                   "is verified TLS: no host is verified ["));

  MilterMessage other(*world.desk);
  rcpt(other, "good.example");
  other.header("X-Classification", "confidential");
  CHECK(other.end().reply.kind == Kind::pass);

  // A recipient that was refused does not count.
  World second;
  second.rule(config::MilterAction::Tempfail);
  second.said["open.example"] = second.said["bad.example"];
  MilterMessage rest(second.open());
  CHECK(rcpt(rest, "open.example").kind == Kind::tempfail);
  rcpt(rest, "good.example");
  rest.header("X-Classification", "confidential");
  CHECK(rest.end().reply.kind == Kind::pass);
}

TEST_CASE("a rule's actions; what it demands and is not known passes and the header says so") {
  World quarantine;
  quarantine.rule(config::MilterAction::Quarantine);
  MilterMessage held(quarantine.open());
  rcpt(held, "open.example");
  held.header("X-Classification", "confidential");
  const auto end = held.end();
  CHECK(end.reply.kind == Kind::pass);
  CHECK(end.quarantine.starts_with("sternpost: a message with this X-Classification"));

  World tempfail;
  tempfail.rule(config::MilterAction::Tempfail);
  MilterMessage later(tempfail.open());
  rcpt(later, "open.example");
  later.header("X-Classification", "confidential");
  CHECK(later.end().reply.code == 451);

  World unknown;
  unknown.rule();
  unknown.said.erase("open.example|verified");
  MilterMessage passes(unknown.open());
  rcpt(passes, "open.example");
  passes.header("X-Classification", "confidential");
  const auto passed = passes.end();
  CHECK(passed.reply.kind == Kind::pass);
  CHECK(passed.field_body == "open.example: opportunistic, what a rule demands not known");
}

TEST_CASE("a rule is not switched off for one domain by another that is silent") {
  for (const char* silent : {"a.example", "z.example"}) {
    World world;
    world.rule();
    world.said[silent] = outlook(Prospect::open, "opportunistic");
    MilterMessage message(world.open());
    rcpt(message, silent);
    rcpt(message, "open.example");
    message.header("X-Classification", "confidential");
    CHECK(message.end().reply.kind == Kind::reject);
  }
}

TEST_CASE("a rule counts an address literal as bad, and tells of what was not looked at") {
  World world;
  world.rule();
  MilterMessage literal(world.open());
  const proxy::RecipientMacros to_literal{"smtp", "[192.0.2.1]", std::nullopt};
  CHECK(literal.recipient(to_literal, "<u@[192.0.2.1]>").kind == Kind::pass);
  literal.header("X-Classification", "confidential");
  const auto refused = literal.end();
  CHECK(refused.reply.kind == Kind::reject);
  CHECK(refused.reply.text.find("address literal") != std::string::npos);

  MilterMessage relayed(*world.desk);
  const proxy::RecipientMacros to_relay{"smtp", "[smart.example]", std::nullopt};
  relayed.recipient(to_relay, "<u@example.com>");
  rcpt(relayed, "good.example");
  relayed.header("X-Classification", "confidential");
  CHECK(relayed.end().field_body ==
        "other recipients: not looked at;\n\tgood.example: verified (DANE)");

  MilterMessage plain(*world.desk);
  plain.recipient(to_literal, "<u@[192.0.2.1]>");
  plain.recipient(to_relay, "<u@example.com>");
  CHECK(plain.end().field_body.empty());
}

TEST_CASE("a look-up that failed refuses nothing for good") {
  World world;
  world.config.milter.on_unenforceable = config::OnUnenforceable::Reject;
  world.said["bad.example"].passing = true;
  world.said["open.example|verified"].passing = true;
  world.rule();
  MilterMessage message(world.open());
  CHECK(rcpt(message, "bad.example").code == 451);
  rcpt(message, "open.example");
  message.header("X-Classification", "confidential");
  CHECK(message.end().reply.code == 451);
}

TEST_CASE("RFC 8460 §5.3: report mail of our own is not held up, what only looks like it is") {
  World world;
  const auto own = session_world::return_path();
  const base::SystemClock clock;
  world.open();
  world.shared.report_mail = &own;
  world.shared.clock = &clock;
  const std::string sender = session_world::return_path_today("user@bad.example");
  MilterMessage report(*world.desk);
  report.sender("<" + sender + ">");
  CHECK(rcpt(report, "bad.example").kind == Kind::pass);
  CHECK(report.end().field_body.empty());
  MilterMessage other(*world.desk);
  other.sender("<" + session_world::return_path_today("else@bad.example") + ">");
  CHECK(rcpt(other, "bad.example").kind == Kind::tempfail);
  MilterMessage bounce(*world.desk);
  bounce.sender("<>");
  CHECK(rcpt(bounce, "bad.example").kind == Kind::tempfail);
}

TEST_CASE("at the end of the program a rule defers what it has not found out") {
  World world;
  world.rule();
  MilterMessage message(world.open());
  rcpt(message, "good.example");
  message.header("X-Classification", "confidential");
  world.board->close();
  const auto end = message.end();
  CHECK(end.reply.code == 451);
  CHECK(end.reply.enhanced == "4.3.2");
}

TEST_CASE("forged fields are counted whatever the case of their name; a reload is for the next") {
  World world;
  MilterMessage message(world.open());
  message.header("x-STERNPOST-outlook", "good.example: verified");
  message.header("X-Sternpost-Outlook", "again");
  message.header("X-Sternpost-Outlook2", "other");
  CHECK(message.end().forged == 2);
  CHECK(message.end().field_body.empty());  // No outbound recipient: nothing to say.

  world.config.milter.own_domains = {{name("bad.example"), false}};
  world.desk->adopt(proxy::make_snapshot(std::make_shared<const config::Config>(world.config)));
  CHECK(rcpt(message, "bad.example").kind == Kind::tempfail);
  MilterMessage next(*world.desk);
  CHECK(rcpt(next, "bad.example").kind == Kind::pass);
}

TEST_CASE("a message to more domains than are looked at passes") {
  World world;
  MilterMessage message(world.open());
  for (int i = 0; i < 1000; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    world.said[domain] = outlook(Prospect::open, "opportunistic");
    REQUIRE(rcpt(message, domain).kind == Kind::pass);
  }
  CHECK(rcpt(message, "bad.example").kind == Kind::pass);
  const std::string body = message.end().field_body;
  CHECK(body.find("and 950 more domains") != std::string::npos);
  CHECK(body.size() < 4096);
}

TEST_CASE("the field is folded before its lines grow long") {
  std::vector<std::pair<std::string, std::string>> domains;
  for (int i = 0; i < 50; ++i) domains.emplace_back(std::string(200, 'a'), "opportunistic");
  std::string line;
  for (const char c : proxy::outlook_field_body(domains)) {
    line += c;
    if (c != '\n') continue;
    CHECK(line.size() < 998);
    line.clear();
  }
  CHECK(proxy::outlook_field_body({}).empty());
}

TEST_CASE("RFC 2047 §2: a header value matches as it stands, unfolded, or decoded") {
  const auto good = [](std::string_view body) { return proxy::field_matches(body, "Top Secret"); };
  for (const std::string_view body :
       {"Top Secret", " top  SECRET ", "Top\r\n\tSecret", "Top\n Secret\n",
        "=?utf-8?Q?Top_Secret?=", "=?UTF-8?q?Top=20Secret?=", "=?utf-8?B?VG9wIFNlY3JldA==?=",
        "Top =?us-ascii?Q?Secret?=",
        "=?utf-8?Q?Top_?= =?utf-8?Q?Secret?=", "=?utf-8?Q?Top_?=\r\n =?utf-8?B?U2VjcmV0?="}) {
    INFO(body);
    CHECK(good(body));
  }
  for (const std::string_view body :
       {"Top Secrets", "TopSecret", "", "Top Secret (really)", "=?utf-8?Q?Top_Secret",
        "=?utf-8?X?Top_Secret?=", "=?utf-8?Q?Top=2Secret?=", "=?utf-8?B?V!?=", "=?=?=?"}) {
    INFO(body);
    CHECK_FALSE(good(body));
  }
}

TEST_CASE("encoded words are bounded, each and in sum") {
  const std::string longer = "=?utf-8?Q?" + std::string(100, 'a') + "?=";
  CHECK(proxy::decode_encoded_words(longer) == longer);
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "=?utf-8?Q?" + std::string(60, 'a') + "?=";
  CHECK(proxy::decode_encoded_words(many).size() < 11000);
}

TEST_CASE("a reply is one line of printable ASCII within its length") {
  CHECK(proxy::reply_text("a\r\nb\xc3\xa9", 100) == "a??b??");
  CHECK(proxy::reply_text(std::string(600, 'x'), 10) == "xxxxxxx...");
  World world;
  world.said["bad.example"].reason = std::string(2000, 'x');
  MilterMessage message(world.open());
  const MilterReply reply = rcpt(message, "bad.example");
  CHECK(reply.text.size() == 500);
  CHECK(reply.text.ends_with("... [" + message.id() + "]"));
}
