// Recorder: a Resolver that hands every question on to another one and remembers what was asked, in
// order, and what was answered. So `check` shows the answers by which it decided, and asks nothing
// twice to show it. Bounded; any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "check/seen.h"
#include "dns/resolver.h"

namespace check {

class Recorder final : public dns::Resolver {
 public:
  // `on_question`: told each new question; on the thread that asks. `inner` outlives the recorder.
  Recorder(dns::Resolver& inner, std::function<void(const std::string&)> on_question);
  void lookup(const std::string& name, dns::Type type,
              std::function<void(dns::RawLookup)> done) override;
  // One entry for each question; the last answer counts.
  std::vector<Asked> asked() const;

 private:
  struct Book;
  dns::Resolver& inner_;
  std::function<void(const std::string&)> on_question_;
  std::shared_ptr<Book> book_;  // an answer may come after the recorder is gone
};

}  // namespace check
