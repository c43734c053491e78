// Runs every tests/dialogs/*.dlg: client and MX hosts scripted, the real relay in between. First as
// written, then once for each line with that side's connection cut behind it. Whatever is cut, the
// client never reads a 2xx that its MX did not send, no MX sees a final dot before the client sent
// one, none sees two, and a client that stays gets 4xx, never 5xx, and never silence.
//
// A line of a dialog: SIDE > TEXT (this side sends), SIDE < TEXT (this side receives). SIDE is
// "client" or a domain, each of which has one MX host. What the client receives is a code and,
// where it is the answer for a recipient, for which: "250 rcpt a.example", "250 dot a.example".
// What an MX receives is the start of the line, "*data*" for a message up to its dot, or "*end*"
// for the end of the connection. "$LF" stands for a bare LF, "$RETURN(ADDRESS)" for the return path
// of report mail to that address. "protocol smtp|lmtp" and "set KEY VALUE" (milliseconds, or
// octets) come first; "#" begins a comment.
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "session_world.h"
#include "tests/source_folder.h"

namespace {

namespace fs = std::filesystem;
using session_world::Acceptor;
using session_world::Line;
using session_world::PlainResolver;
using session_world::Relay;

struct Step {
  bool sends = false;
  std::string text;
};
struct Dialog {
  std::string name;
  config::Protocol protocol = config::Protocol::Smtp;
  std::map<std::string, config::Duration> settings;
  std::vector<std::string> sides;  // "client" first
  std::map<std::string, std::vector<Step>> steps;
};

void put_return_path(std::string& text) {
  static constexpr std::string_view mark = "$RETURN(";
  const std::size_t from = text.find(mark);
  if (from == std::string::npos) return;
  const std::size_t end = text.find(')', from);
  const std::string address = text.substr(from + mark.size(), end - from - mark.size());
  text.replace(from, end + 1 - from, session_world::return_path_today(address));
}

Dialog read_dialog(const fs::path& file) {
  Dialog dialog;
  dialog.name = file.filename().string();
  dialog.sides.push_back("client");
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string side, direction;
    words >> side >> direction;
    if (side == "protocol") {
      dialog.protocol = direction == "lmtp" ? config::Protocol::Lmtp : config::Protocol::Smtp;
    } else if (side == "set") {
      std::int64_t milliseconds = 0;
      words >> milliseconds;
      dialog.settings[direction] = config::Duration(milliseconds);
    } else {
      if (direction != ">" && direction != "<") throw std::runtime_error(dialog.name + ": " + line);
      if (!dialog.steps.contains(side) && side != "client") dialog.sides.push_back(side);
      const std::size_t at = side.size() + 3;
      std::string text = at < line.size() ? line.substr(at) : "";
      for (std::size_t lf = 0; (lf = text.find("$LF")) != std::string::npos;) {
        text.replace(lf, 3, "\n");
      }
      put_return_path(text);
      dialog.steps[side].push_back({direction == ">", std::move(text)});
    }
  }
  return dialog;
}

struct Cut {
  std::string side;  // empty: none
  std::size_t behind = 0;
};

// What the scripted sides saw; counted before it is sent, and after it was received.
struct Ledger {
  std::atomic<bool> client_sent_dot{false};
  struct Mx {
    std::atomic<int> dots{0};           // received
    std::atomic<int> early_dots{0};     // before the client's
    std::atomic<int> rcpt_accepted{0};  // 2xx sent
    std::atomic<int> dot_accepted{0};
    std::string data;
    std::string problem;
  };
  std::map<std::string, Mx> mx;
};

bool positive(const std::string& text) { return text.starts_with("2"); }

// One connection to a scripted MX. False: cut.
bool play_mx(const std::vector<Step>& steps, Line& line, Ledger& ledger, Ledger::Mx& mx,
             std::optional<std::size_t> cut) {
  std::string last;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    if (step.sends) {
      const bool whole = step.text.size() < 4 || step.text[3] != '-';
      if (whole && positive(step.text) && last.starts_with("RCPT")) ++mx.rcpt_accepted;
      if (whole && positive(step.text) && last == "*data*") ++mx.dot_accepted;
      line.send(step.text + "\r\n");
    } else if (step.text == "*data*") {
      std::string data;
      for (;;) {
        auto got = line.read();
        if (!got) return true;  // The relay gave the message up.
        if (*got == ".") break;
        data += *got + "\r\n";
      }
      if (!ledger.client_sent_dot) ++mx.early_dots;
      ++mx.dots;
      mx.data = data;
      last = step.text;
    } else if (step.text == "*end*") {
      if (auto got = line.read()) mx.problem = "expected the end, got " + *got;
    } else {
      auto got = line.read();
      if (!got) return true;
      if (!got->starts_with(step.text)) {
        mx.problem = "expected " + step.text + ", got " + *got;
        return true;
      }
      last = *got;
    }
    if (cut && i == *cut) {
      line.close();
      return false;
    }
  }
  return true;
}

void run_mx(const std::vector<Step>& steps, Acceptor& acceptor, Ledger& ledger, Ledger::Mx& mx,
            std::optional<std::size_t> cut) {
  while (auto line = acceptor.accept()) {
    play_mx(steps, *line, ledger, mx, cut);
    cut.reset();  // A connection that takes the cut one's place is served as written.
  }
}

struct ClientResult {
  std::vector<std::string> problems;
  bool as_written = true;
  std::string sent_data;
  std::set<std::string> refused;  // domains whose recipient was not accepted
};

void judge_reply(const Line::Reply& reply, const std::string& expected, Ledger& ledger,
                 bool cut_elsewhere, ClientResult& result) {
  std::istringstream words(expected);
  int code = 0;
  std::string what, domain;
  words >> code >> what >> domain;
  if (reply.code != code) {
    result.as_written = false;
    if (!cut_elsewhere) result.problems.push_back("expected " + expected + ": " + reply.text);
    // 503 to DATA says only that no recipient was accepted; each of those had its 4xx.
    const bool no_recipient = code == 354 && reply.code == 503;
    if (cut_elsewhere && reply.code >= 500 && code < 400 && !no_recipient) {
      result.problems.push_back("5xx for a lost MX: " + reply.text);
    }
  }
  if (reply.code >= 400 && reply.code != code && !reply.text.ends_with("]")) {
    result.problems.push_back("no ID: " + reply.text);
  }
  if (what == "rcpt" && reply.code >= 400) result.refused.insert(domain);
  if (what.empty() || reply.code < 200 || reply.code > 299) return;
  auto& mx = ledger.mx[domain];
  const int promised = what == "dot" ? mx.dot_accepted.load() : mx.rcpt_accepted.load();
  if (promised == 0) result.problems.push_back("2xx without the MX's: " + expected);
}

// LMTP: a recipient that was not accepted has no reply behind the dot.
bool has_no_reply(const std::string& expected, const ClientResult& result) {
  std::istringstream words(expected);
  std::string code, what, domain;
  words >> code >> what >> domain;
  return what == "dot" && result.refused.contains(domain);
}

ClientResult play_client(const std::vector<Step>& steps, std::uint16_t port, Ledger& ledger,
                         const Cut& cut) {
  ClientResult result;
  Line line = Line::connect(port);
  const bool cut_elsewhere = !cut.side.empty() && cut.side != "client";
  bool in_data = false;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    if (step.sends) {
      if (in_data && step.text == ".") {
        ledger.client_sent_dot = true;
        in_data = false;
      } else if (in_data) {
        result.sent_data += step.text + "\r\n";
      }
      line.send(step.text + "\r\n");
    } else if (has_no_reply(step.text, result)) {
      continue;
    } else {
      const auto reply = line.read_reply();
      if (!reply) {
        result.problems.push_back("no reply where " + step.text + " was expected");
        return result;
      }
      judge_reply(*reply, step.text, ledger, cut_elsewhere, result);
      if (step.text.starts_with("354")) {
        if (reply->code != 354) return result;  // Nothing of what follows may be sent.
        in_data = true;
      }
    }
    if (cut.side == "client" && cut.behind == i) {
      result.as_written = false;
      return result;
    }
  }
  return result;
}

void run(const Dialog& dialog, const Cut& cut) {
  INFO(dialog.name << (cut.side.empty() ? "" : ", cut: " + cut.side + " behind line " +
                                                   std::to_string(cut.behind)));
  PlainResolver resolver;
  Ledger ledger;
  std::vector<std::unique_ptr<Acceptor>> acceptors;
  std::uint16_t mx_port = 0;
  for (std::size_t i = 1; i < dialog.sides.size(); ++i) {
    const std::string ip = "127.0.1." + std::to_string(i);
    acceptors.push_back(std::make_unique<Acceptor>(ip, mx_port));
    mx_port = acceptors.front()->port();
    resolver.add(dialog.sides[i], ip);
    ledger.mx[dialog.sides[i]];
  }
  auto config = session_world::test_config(dialog.protocol, mx_port);
  for (const auto& [key, value] : dialog.settings) {
    if (key == "lmtp_wait") config.outbound.lmtp_wait = value;
    if (key == "final_wait") config.outbound.final_wait = value;
    if (key == "recipient_wait") config.outbound.recipient_wait = value;
    if (key == "max_message_size") {
      config.outbound.max_message_size = static_cast<config::Bytes>(value.count());
    }
  }
  Relay relay(std::make_shared<const config::Config>(std::move(config)), resolver);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < dialog.sides.size(); ++i) {
    const std::string side = dialog.sides[i];
    const auto cut_here = cut.side == side ? std::optional(cut.behind) : std::nullopt;
    threads.emplace_back([&, i, side, cut_here] {
      run_mx(dialog.steps.at(side), *acceptors[i - 1], ledger, ledger.mx.at(side), cut_here);
    });
  }
  const ClientResult client =
      play_client(dialog.steps.at("client"), relay.port(), ledger, cut);
  CHECK(relay.wait_idle());
  for (auto& acceptor : acceptors) acceptor->close();
  for (auto& thread : threads) thread.join();

  for (const auto& problem : client.problems) FAIL_CHECK(problem);
  for (const auto& [domain, mx] : ledger.mx) {
    INFO(domain);
    CHECK(mx.early_dots == 0);
    CHECK(mx.dots <= 1);
    if (cut.side.empty()) CHECK(mx.problem == "");
    if (mx.dots == 1 && !client.sent_data.empty()) {
      // One Received field on top, all other octets untouched.
      CHECK(mx.data.starts_with("Received: from "));
      CHECK(mx.data.ends_with("\r\n" + client.sent_data));
    }
  }
}

std::vector<fs::path> dialog_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(tests_folder() + "/dialogs")) {
    if (entry.path().extension() == ".dlg") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

TEST_CASE("dialogs, as written") {
  const auto files = dialog_files();
  REQUIRE(files.size() >= 8);
  for (const auto& file : files) run(read_dialog(file), Cut{});
}

TEST_CASE("dialogs, cut behind every line of every side", "[asan-only]") {
  for (const auto& file : dialog_files()) {
    const Dialog dialog = read_dialog(file);
    for (const auto& side : dialog.sides) {
      for (std::size_t i = 0; i < dialog.steps.at(side).size(); ++i) run(dialog, Cut{side, i});
    }
  }
}
