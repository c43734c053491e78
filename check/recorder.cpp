#include "check/recorder.h"

#include <algorithm>
#include <mutex>

namespace check {

namespace {

constexpr std::size_t questions_most = 2000;

}  // namespace

struct Recorder::Book {
  mutable std::mutex lock;
  std::vector<Asked> entries;

  Asked* find(const std::string& name, dns::Type type) {
    const auto found = std::ranges::find_if(entries, [&](const Asked& one) {
      return one.type == type && one.name == name;
    });
    return found == entries.end() ? nullptr : &*found;
  }
};

Recorder::Recorder(dns::Resolver& inner, std::function<void(const std::string&)> on_question)
    : inner_(inner), on_question_(std::move(on_question)), book_(std::make_shared<Book>()) {}

void Recorder::lookup(const std::string& name, dns::Type type,
                      std::function<void(dns::RawLookup)> done) {
  bool is_new = false;
  {
    const std::lock_guard<std::mutex> held(book_->lock);
    is_new = book_->find(name, type) == nullptr && book_->entries.size() < questions_most;
    if (is_new) book_->entries.push_back({type, name, std::nullopt});
  }
  if (is_new && on_question_) on_question_(std::string(dns::to_string(type)) + " " + name);
  auto keep = [book = book_, name, type, done = std::move(done)](dns::RawLookup answer) {
    {
      const std::lock_guard<std::mutex> held(book->lock);
      if (Asked* const entry = book->find(name, type)) entry->answer = answer;
    }
    done(std::move(answer));
  };
  inner_.lookup(name, type, std::move(keep));
}

std::vector<Asked> Recorder::asked() const {
  const std::lock_guard<std::mutex> held(book_->lock);
  return book_->entries;
}

}  // namespace check
