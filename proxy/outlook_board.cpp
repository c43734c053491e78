#include "proxy/outlook_board.h"

namespace proxy {

using policy::Outlook;
using policy::Prospect;

std::string OutlookQuestion::key() const {
  std::string key = domain.str();
  if (!require) return key;
  switch (*require) {
    case policy::Require::encrypted: return key + "|encrypted";
    case policy::Require::verified: return key + "|verified";
    case policy::Require::dane: break;
  }
  return key + "|dane";
}

OutlookBoard::OutlookBoard(Submit submit, std::size_t capacity, Clock clock)
    : submit_(std::move(submit)), capacity_(capacity), clock_(std::move(clock)) {}

Outlook OutlookBoard::ask(const base::Domain& domain, Time deadline) {
  return wait_for(OutlookQuestion{domain, std::nullopt, 0}, std::nullopt, deadline);
}

Outlook OutlookBoard::settle(const base::Domain& domain, policy::Require require, Time deadline,
                             Time since) {
  return wait_for(OutlookQuestion{domain, require, 0}, since, deadline);
}

std::optional<Outlook> OutlookBoard::settled(const base::Domain& domain, policy::Require require) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(OutlookQuestion{domain, require, 0}.key());
  if (closed_ || found == index_.end()) return std::nullopt;
  const Entry& entry = *found->second;
  if (!entry.outlook || clock_() - entry.written >= fresh || !is_settled(entry)) {
    return std::nullopt;
  }
  return entry.outlook;
}

bool OutlookBoard::is_settled(const Entry& entry) {
  return !entry.awaited || entry.outlook->prospect == Prospect::good;
}

void OutlookBoard::prepare(const base::Domain& domain, policy::Require require) {
  OutlookQuestion question{domain, require, 0};
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    Entry& entry = entry_of(question.key());
    const Time now = clock_();
    if (!must_ask(entry, now)) return;
    entry.asked = now;
    question.generation = generation_;
  }
  submit_(question);
}

// Whether nothing that is still good is there and nobody is at it.
bool OutlookBoard::must_ask(const Entry& entry, Time now) const {
  if (entry.outlook && now - entry.written < fresh) return false;
  return !entry.asked || now - *entry.asked >= asked_again;
}

Outlook OutlookBoard::wait_for(OutlookQuestion question, std::optional<Time> since,
                               Time deadline) {
  const std::string key = question.key();
  std::unique_lock lock(mutex_);
  std::optional<Outlook> latest;
  for (;;) {
    if (closed_) return policy::unknown_outlook("this server is ending");
    const Time now = clock_();
    Entry& entry = entry_of(key);
    const bool ask_now = must_ask(entry, now);
    if (ask_now) {
      entry.asked = now;
      question.generation = generation_;
    }
    bool enough = false;
    if (entry.outlook) {
      const auto age = now - entry.written;
      const bool passes = entry.outlook->prospect != Prospect::bad &&
                          entry.outlook->prospect != Prospect::refused;
      enough = age < fresh || (passes && !since && age < passable);
      if (enough || (since && (entry.written >= *since || age < passable))) {
        latest = entry.outlook;
      }
      enough = enough && (!since || is_settled(entry));
    }
    if (ask_now) {
      lock.unlock();  // It may be answered before this returns.
      submit_(question);
      lock.lock();
      if (!enough) continue;
    }
    if (enough) return *latest;
    if (now >= deadline || waiting_ >= waiting_most) break;
    ++waiting_;
    changed_.wait_until(lock, deadline);
    --waiting_;
  }
  if (latest) return *latest;
  return policy::unknown_outlook("what " + question.domain.str() +
                                 " publishes was not known in time");
}

OutlookBoard::Entry& OutlookBoard::entry_of(const std::string& key) {
  const auto found = index_.find(key);
  if (found != index_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return entries_.front();
  }
  if (entries_.size() >= capacity_) {
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
  entries_.push_front(Entry{key, std::nullopt, Time{}, false, std::nullopt});
  index_.emplace(key, entries_.begin());
  return entries_.front();
}

void OutlookBoard::put(const OutlookQuestion& question, Outlook outlook, bool awaited) {
  {
    const std::lock_guard lock(mutex_);
    if (question.generation != generation_) return;
    Entry& entry = entry_of(question.key());
    entry.outlook = std::move(outlook);
    entry.written = clock_();
    entry.awaited = awaited;
    entry.asked.reset();
  }
  changed_.notify_all();
}

void OutlookBoard::clear() {
  {
    const std::lock_guard lock(mutex_);
    entries_.clear();
    index_.clear();
    ++generation_;
  }
  changed_.notify_all();
}

void OutlookBoard::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

bool OutlookBoard::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

std::size_t OutlookBoard::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace proxy
