// Retention: deletes rotated files of the enforcement log that are past their time, and keeps in
// the store up to which record it has: the line that the oldest one kept must go on from. So verify
// can tell records that retention removed from those that somebody cut off. The store is told
// before a file goes; where it cannot be, the file stays. Owned and called by the log's writer,
// but for removed(), which any thread may ask.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>

#include "audit/chain.h"
#include "audit/log.h"
#include "base/clock.h"
#include "base/result.h"

namespace audit {

class Retention {
 public:
  Retention(const LogOptions& options, ChainHead& store) : options_(options), store_(store) {}

  // What the store holds; before the chain's head is looked for.
  base::Result<void, base::Error> load();
  // `head` is the chain's. Where the store held nothing, as an older Sternpost's or that of a log
  // elsewhere, what is on disk now is taken for all that has to be there. Nothing where load()
  // failed.
  base::Result<void, base::Error> begin(const Head& head);
  // Until begin(): which other log the stored head is of; empty: of none.
  const std::filesystem::path& elsewhere() const { return elsewhere_; }
  // Deletes what is past its time. An error, where the store cannot be told or a file not be
  // removed: what was to go is there still.
  base::Result<void, base::Error> expire(base::WallTime now, const Head& head);
  // The last record that was removed; seq 0: none was. nullopt: not known.
  std::optional<Head> removed() const;

 private:
  base::Result<void, base::Error> keep(const Head& removed);

  const LogOptions& options_;
  ChainHead& store_;
  bool loaded_ = false;
  std::filesystem::path elsewhere_;
  mutable std::mutex mutex_;  // of this one
  std::optional<Head> removed_;
};

}  // namespace audit
