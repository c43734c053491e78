// PolicyMap: the socket map protocol of Postfix and Sendmail. Each client is one coroutine: it
// reads what is there, answers every complete question in order with one write, and asks for all
// domains of a batch at once. A client that breaks the framing is told so and dropped; one that
// does not take its answers, or sends half a question, is cut. Lives on the thread of its worker.
// What is answered: proxy/policy_answers.
#pragma once

#include <memory>
#include <vector>

#include "proxy/channel.h"
#include "proxy/listener.h"
#include "proxy/policy_answers.h"

namespace proxy {

enum class MapListener { postfix, sendmail };

struct MapTimes {
  std::chrono::milliseconds idle = std::chrono::minutes(5);      // between two questions
  std::chrono::milliseconds rest = std::chrono::seconds(30);     // for the rest of one begun
  std::chrono::milliseconds writing = std::chrono::seconds(10);  // for one batch of answers
};

class PolicyMap {
 public:
  explicit PolicyMap(Worker& worker, MapTimes times = {})
      : answers_(worker), times_(times) {}

  PolicyAnswers& answers() { return answers_; }

  // One client, from its first octet to its end.
  asio::awaitable<void> serve(MapListener listener, Channel::Socket socket);

 private:
  // One batch of questions and their replies.
  struct Batch {
    std::string out;     // replies, up to the first that is not known
    std::vector<std::shared_ptr<PolicyAnswers::Search>> rest;
    std::size_t octets = 0;     // of the questions
    std::size_t questions = 0;
    bool broken = false;        // nothing behind them can be read
    bool full() const;          // there may be more questions
  };
  struct Client {
    explicit Client(Channel::Socket socket) : channel(std::move(socket)) {}
    Channel channel;
    Batch batch;
    bool begun = false;  // part of a question is there
  };
  // Answers what has come as far as nothing must be waited for. False: there is more to send, or to
  // answer.
  bool take(MapListener listener, Client& client);
  void answer(MapListener listener, std::string_view octets, SteadyTime now, Batch& batch);
  void answer_one(MapListener listener, std::string_view payload, SteadyTime now, Batch& batch);
  asio::awaitable<IoResult<void>> send(Channel& channel, Batch& batch);

  PolicyAnswers answers_;
  MapTimes times_;
};

}  // namespace proxy
