#include "dns/unbound_resolver.h"

#include <unbound.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <utility>

#include "base/encode.h"
#include "dns/decode.h"
#include "dns/unbound_context.h"

namespace dns {
namespace {

namespace asio = boost::asio;

constexpr std::uint16_t type_ns = 2;
constexpr int class_in = 1;

// RFC 1035 §4.1.1.
enum Rcode { noerror = 0, formerr = 1, servfail = 2, nxdomain = 3, notimp = 4, refused = 5 };

struct Question {
  std::string name;  // lower case, no trailing dot; "" is the root
  std::uint16_t type = 0;
  auto operator<=>(const Question&) const = default;
  std::string str() const {
    const std::string_view words = type == type_ns ? "NS" : to_string(static_cast<Type>(type));
    return std::string(words) + ' ' + (name.empty() ? "." : name);
  }
};

RawLookup error_of(LookupError::Kind kind, const Question& question, std::string_view what) {
  LookupError error;
  error.kind = kind;
  error.text = question.str() + ": " + std::string(what);
  return base::fail(std::move(error));
}

// Whoever waits for an answer. Calls its function exactly once: the destructor does it where nobody
// did, so that neither a resolver nor a loop that goes away leaves anybody waiting.
class Waiter {
 public:
  Waiter(Question question, std::function<void(RawLookup)> done)
      : question_(std::move(question)), done_(std::move(done)) {}
  Waiter(Waiter&& other) noexcept
      : question_(std::move(other.question_)), done_(std::exchange(other.done_, nullptr)) {}
  Waiter& operator=(Waiter&&) = delete;
  ~Waiter() {
    if (done_) tell(error_of(LookupError::Kind::internal, question_, "cancelled"));
  }
  const Question& question() const { return question_; }
  void tell(RawLookup lookup) { std::exchange(done_, nullptr)(std::move(lookup)); }

 private:
  Question question_;
  std::function<void(RawLookup)> done_;
};

RawLookup rcode_error(const Question& question, const ub_result& result) {
  const std::string_view limited = result.was_ratelimited ? " (rate limited)" : "";
  switch (result.rcode) {
    case servfail:
      return error_of(LookupError::Kind::servfail, question, "SERVFAIL" + std::string(limited));
    case refused: return error_of(LookupError::Kind::refused, question, "REFUSED");
    case formerr: return error_of(LookupError::Kind::malformed, question, "FORMERR");
    case notimp: return error_of(LookupError::Kind::servfail, question, "NOTIMP");
    default:
      return error_of(LookupError::Kind::servfail, question,
                      "RCODE " + std::to_string(result.rcode));
  }
}

// The name in a ub_result: with a trailing dot, in any case.
std::string plain_name(const char* name) {
  std::string text = base::to_lower(name);
  if (!text.empty() && text.back() == '.') text.pop_back();
  return text;
}

// RFC 4035 §4.3: secure, insecure and bogus as libunbound found them, over the whole CNAME chain.
RawLookup lookup_of(const Question& question, const ub_result& result) {
  if (result.bogus) {
    std::string why = result.why_bogus ? base::printable(result.why_bogus) : "";
    if (why.size() > 300) why.resize(300);
    return error_of(LookupError::Kind::bogus, question, "bogus: " + why);
  }
  if (result.rcode != noerror && result.rcode != nxdomain) return rcode_error(question, result);
  RawAnswer answer;
  answer.security = result.secure ? Security::secure : Security::insecure;
  answer.canonical_name = question.name;
  if (result.canonname) {
    std::string name = plain_name(result.canonname);
    answer.via_cname = name != question.name;
    answer.canonical_name = std::move(name);
  }
  for (int i = 0; result.havedata && result.data && result.data[i]; ++i) {
    answer.records.emplace_back(result.data[i], static_cast<std::size_t>(result.len[i]));
  }
  answer.existence = result.nxdomain || result.rcode == nxdomain ? Existence::nxdomain
                     : answer.records.empty()                    ? Existence::nodata
                                                                 : Existence::data;
  // libunbound's TTL is that of the records alone; a CNAME on the way may go stale sooner.
  answer.ttl = std::chrono::seconds(std::max(result.ttl, 0));
  if (result.answer_packet && result.answer_len > 0) {
    const std::string_view packet(static_cast<const char*>(result.answer_packet),
                                  static_cast<std::size_t>(result.answer_len));
    if (const auto shortest = shortest_ttl(packet)) answer.ttl = std::min(answer.ttl, *shortest);
  }
  return answer;
}

}  // namespace

// All of it lives on the home loop. Handlers hold it weakly: what is in flight ends with it.
class UnboundResolver::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(asio::io_context& home, UnboundContext context, const UnboundOptions& options)
      : home_(home), context_(std::move(context)), timeout_(options.timeout),
        max_in_flight_(options.max_in_flight), readable_(home, ub_fd(context_.get())) {}

  ~Core() {
    readable_.release();  // the descriptor is libunbound's
    context_.reset();     // its thread ends; no callback comes after this
  }

  // From any thread.
  void post(Waiter waiter) {
    asio::post(home_, [weak = weak_from_this(),
                       waiter = std::make_unique<Waiter>(std::move(waiter))]() mutable {
      if (const auto core = weak.lock()) core->ask(std::move(*waiter));
    });
  }

  void watch() {
    const auto wait = asio::posix::stream_descriptor::wait_read;
    readable_.async_wait(wait, [weak = weak_from_this()](boost::system::error_code error) {
      if (const auto core = weak.lock(); core && !error) core->read();
    });
  }

 private:
  struct Pending {
    Pending(Core& owner, Question asked)
        : core(owner), question(std::move(asked)), timer(owner.home_) {}
    Core& core;
    Question question;
    int id = 0;
    asio::steady_timer timer;
    std::vector<Waiter> waiters;
  };
  using PendingMap = std::map<Question, std::unique_ptr<Pending>>;

  struct Finished {
    std::vector<Waiter> waiters;
    RawLookup lookup;
  };

  void ask(Waiter waiter) {
    const Question question = waiter.question();
    if (broken_) {
      waiter.tell(error_of(LookupError::Kind::internal, question, "the resolver has failed"));
      return;
    }
    if (const auto found = pending_.find(question); found != pending_.end()) {
      found->second->waiters.push_back(std::move(waiter));
      return;
    }
    if (pending_.size() >= max_in_flight_) {
      waiter.tell(
          error_of(LookupError::Kind::internal, question, "too many look-ups in flight"));
      return;
    }
    auto pending = std::make_unique<Pending>(*this, question);
    const std::string name = question.name + '.';
    const int code = ub_resolve_async(context_.get(), name.c_str(), question.type, class_in,
                                      pending.get(), &Core::on_answer, &pending->id);
    if (code) {
      waiter.tell(error_of(LookupError::Kind::internal, question, ub_strerror(code)));
      return;
    }
    pending->waiters.push_back(std::move(waiter));
    pending->timer.expires_after(timeout_);
    pending->timer.async_wait(
        [weak = weak_from_this(), question](boost::system::error_code error) {
          if (const auto core = weak.lock(); core && !error) core->give_up(question);
        });
    pending_.emplace(question, std::move(pending));
  }

  // libunbound's callback, from within ub_process. Nobody is told from in there, since whoever is
  // told may do anything, up to destroying the resolver.
  static void on_answer(void* data, int code, ub_result* result) {
    const std::unique_ptr<ub_result, decltype(&ub_resolve_free)> owned(result, &ub_resolve_free);
    auto& pending = *static_cast<Pending*>(data);
    const bool failed = code != 0 || !result;
    RawLookup lookup =
        failed ? error_of(LookupError::Kind::internal, pending.question, ub_strerror(code))
               : lookup_of(pending.question, *result);
    Core& core = pending.core;
    core.finished_.push_back({std::move(pending.waiters), std::move(lookup)});
    core.pending_.erase(core.pending_.find(pending.question));
  }

  void read() {
    const int code = ub_process(context_.get());
    if (code == 0) {
      watch();
    } else {
      fail_all(ub_strerror(code));
    }
    tell();
  }

  // The time limit: a late answer is dropped by libunbound.
  void give_up(const Question& question) {
    const auto found = pending_.find(question);
    // A timer that went off while its answer came may find a newer question of the same name.
    if (found == pending_.end()) return;
    if (found->second->timer.expiry() > std::chrono::steady_clock::now()) return;
    ub_cancel(context_.get(), found->second->id);
    const std::string after = "no answer within " + std::to_string(timeout_.count()) + " ms";
    finished_.push_back({std::move(found->second->waiters),
                         error_of(LookupError::Kind::timeout, question, after)});
    pending_.erase(found);
    tell();
  }

  // libunbound's thread is gone or its pipe is broken: nothing will be answered any more.
  void fail_all(std::string_view why) {
    broken_ = true;
    for (auto& [question, pending] : pending_) {
      finished_.push_back({std::move(pending->waiters),
                           error_of(LookupError::Kind::internal, question, why)});
    }
    pending_.clear();
  }

  void tell() {
    const auto self = shared_from_this();
    for (Finished& finished : std::exchange(finished_, {})) {
      for (Waiter& waiter : finished.waiters) waiter.tell(finished.lookup);
    }
  }

  asio::io_context& home_;
  PendingMap pending_;  // outlives the context, whose callbacks point into it
  UnboundContext context_;
  std::chrono::milliseconds timeout_;
  std::size_t max_in_flight_;
  asio::posix::stream_descriptor readable_;
  std::vector<Finished> finished_;
  bool broken_ = false;
};

base::Result<std::unique_ptr<UnboundResolver>, base::Error> UnboundResolver::create(
    asio::io_context& home, const UnboundOptions& options) {
  auto context = make_unbound_context(options);
  if (!context) return base::fail(context.error());
  auto core = std::make_shared<Core>(home, std::move(*context), options);
  core->watch();
  return std::unique_ptr<UnboundResolver>(new UnboundResolver(std::move(core)));
}

UnboundResolver::UnboundResolver(std::shared_ptr<Core> core) : core_(std::move(core)) {}

UnboundResolver::~UnboundResolver() = default;

void UnboundResolver::lookup(const std::string& name, Type type,
                             std::function<void(RawLookup)> done) {
  Question question{plain_name(name.c_str()), static_cast<std::uint16_t>(type)};
  core_->post(Waiter(std::move(question), std::move(done)));
}

void UnboundResolver::check_validation(std::function<void(ValidationReport)> done) {
  core_->post(Waiter(Question{"", type_ns}, [done = std::move(done)](const RawLookup& root_ns) {
    done(validation_of(root_ns));
  }));
}

}  // namespace dns
