#include "proxy/policy_map.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "policy/map_query.h"
#include "smtp/netstring.h"

namespace proxy {

namespace {

constexpr std::size_t map_room = 4096;
constexpr std::size_t batch_questions = 64;
constexpr std::size_t batch_octets = 65536;  // of replies, before they are written

std::optional<policy::MapDialect> dialect_of(MapListener listener, std::string_view map) {
  if (listener == MapListener::sendmail) {
    if (map == "sts") return policy::MapDialect::sendmail;
    return std::nullopt;
  }
  if (map == "QUERY") return policy::MapDialect::postfix;
  if (map == "QUERYwithTLSRPT") return policy::MapDialect::postfix_tlsrpt;
  return std::nullopt;
}

std::string wrong_map(MapListener listener) {
  return listener == MapListener::sendmail ? "a question is \"sts DOMAIN\""
                                           : "a question is \"QUERY DOMAIN\" or "
                                             "\"QUERYwithTLSRPT DOMAIN\"";
}

std::string reply_of(const policy::MapAnswer& answer) {
  std::string out;
  smtp::append_netstring(out, policy::payload_of(answer));
  return out;
}

policy::MapAnswer without_domain(std::string_view key) {
  if (!policy::is_unknown_name(key)) return {};
  auto answer = policy::temporary("the name is beyond ASCII and IDNA2008 does not know it, so that "
                                  "its policy cannot be looked for: " + std::string(key));
  base::log_info("", "policy map: " + answer.text);
  return answer;
}

}  // namespace

void PolicyMap::answer_one(MapListener listener, std::string_view payload, SteadyTime now,
                           Batch& batch) {
  // Behind an answer that is awaited everything waits, for its order.
  const auto say = [&batch](std::string_view reply) {
    if (batch.rest.empty()) {
      batch.out += reply;
    } else {
      batch.rest.push_back(std::make_shared<PolicyAnswers::Search>());
      batch.rest.back()->reply = reply;
    }
  };
  const auto query = policy::parse_map_query(payload);
  const auto dialect = query ? dialect_of(listener, query->map) : std::nullopt;
  if (!dialect) return say(reply_of(policy::permanent(wrong_map(listener))));
  const std::string_view known = answers_.known(*dialect, query->key, now);
  if (!known.empty()) return say(known);
  const auto domain = policy::domain_of_map_key(query->key);
  if (!domain) return say(reply_of(without_domain(query->key)));
  const std::string_view of_domain = answers_.known(*dialect, domain->view(), now);
  if (!of_domain.empty()) return say(of_domain);
  batch.rest.push_back(answers_.search(*dialect, *domain, now));
}

bool PolicyMap::Batch::full() const {
  return questions >= batch_questions || out.size() >= batch_octets;
}

void PolicyMap::answer(MapListener listener, std::string_view octets, SteadyTime now,
                       Batch& batch) {
  while (!batch.full()) {
    const auto frame =
        smtp::netstring_at(octets.substr(batch.octets), base::limits::map_question);
    if (frame.state == smtp::NetstringFrame::State::partial) return;
    if (frame.state == smtp::NetstringFrame::State::bad) {
      batch.rest.push_back(std::make_shared<PolicyAnswers::Search>());
      batch.rest.back()->reply = reply_of(policy::permanent(frame.why));
      batch.broken = true;
      return;
    }
    ++batch.questions;
    batch.octets += frame.size;
    answer_one(listener, frame.payload, now, batch);
  }
}

asio::awaitable<IoResult<void>> PolicyMap::send(Channel& channel, Batch& batch) {
  for (const std::shared_ptr<PolicyAnswers::Search>& search : batch.rest) {
    if (search->reply.empty()) {
      if (!batch.out.empty()) {
        channel.set_deadline(std::chrono::steady_clock::now() + times_.writing);
        auto written = co_await channel.write(batch.out);
        if (!written) co_return written;
        batch.out.clear();
      }
      co_await PolicyAnswers::await(search);
    }
    batch.out += search->reply;
  }
  channel.set_deadline(std::chrono::steady_clock::now() + times_.writing);
  auto written = co_await channel.write(batch.out);
  co_return written;
}

bool PolicyMap::take(MapListener listener, Client& client) {
  Batch& batch = client.batch;
  Channel& channel = client.channel;
  const SteadyTime now = std::chrono::steady_clock::now();
  batch.out.clear();
  batch.rest.clear();
  batch.octets = batch.questions = 0;
  answer(listener, channel.buffered(), now, batch);
  channel.consume(batch.octets);
  if (batch.questions > 0) client.begun = false;
  if (!batch.rest.empty()) return false;
  if (batch.questions > 0) {
    const bool full = batch.full();
    const auto sent = channel.write_now(batch.out);
    if (!sent) return false;  // send() will find the same.
    batch.out.erase(0, *sent);
    if (full || !batch.out.empty()) return false;
  }
  const bool rest = !channel.buffered().empty();
  if (!rest) {
    channel.set_deadline(now + times_.idle);
  } else if (!client.begun) {
    channel.set_deadline(now + times_.rest);
  }
  client.begun = rest;
  return true;
}

asio::awaitable<void> PolicyMap::serve(MapListener listener, Channel::Socket socket) {
  Client client(std::move(socket));
  Channel& channel = client.channel;
  channel.set_deadline(std::chrono::steady_clock::now() + times_.idle);
  const std::function<bool()> at_once = [&] { return take(listener, client); };
  for (;;) {
    auto filled = co_await channel.fill_while(base::limits::map_buffer, map_room, at_once);
    if (!filled) co_return;
    do {
      auto sent = co_await send(channel, client.batch);
      if (!sent || client.batch.broken) co_return;
      // Where there is always more, neither reading nor writing ever waits: the others' turn.
      co_await asio::post(channel.executor(), asio::use_awaitable);
    } while (!take(listener, client));
  }
}

}  // namespace proxy
