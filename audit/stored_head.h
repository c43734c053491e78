// The head of the enforcement log's chain, and up to where retention removed it, as values of the
// store, and as words: "SEQ:HASH". Used by proxy/, which gives them to the log, and by `audit
// verify`, which compares them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "audit/chain.h"
#include "store/store.h"

namespace audit {

inline constexpr const char* head_key = "audit.head";  // in the store
inline constexpr const char* removed_key = "audit.removed";

// "4711:6e34…": the number and 64 hex digits. nullopt where `text` is none; 0 is no number.
std::optional<Head> parse_head(std::string_view text);
std::string text_of(const Head& head);

// The same with a space between, as it lies in the store.
base::Result<std::optional<Head>, base::Error> head_from_store(
    const std::optional<std::string>& value);

// The last record that was removed: as text_of writes it, "0:" where none was.
std::optional<Head> parse_removed(std::string_view text);
// "SEQ:HASH FILE", as it lies in the store; nullopt where there is none.
base::Result<std::optional<Removed>, base::Error> removed_from_store(
    const std::optional<std::string>& value);

class StoredHead final : public ChainHead {
 public:
  explicit StoredHead(store::Store& store) : store_(store) {}
  base::Result<std::optional<Head>, base::Error> load() override;
  base::Result<void, base::Error> save(const Head& head) override;
  base::Result<std::optional<Removed>, base::Error> load_removed() override;
  base::Result<void, base::Error> save_removed(const Removed& removed) override;

 private:
  store::Store& store_;
};

}  // namespace audit
