#include "cli/progress.h"

#include <ostream>

#include "base/encode.h"

namespace cli {

namespace {

constexpr std::size_t width = 78;
constexpr const char* clear_line = "\r\033[K";

}  // namespace

check::Progress shown_progress(const Terminal& terminal) {
  if (!terminal.live) return nullptr;
  return [&terminal](const std::string& text) {
    std::string shown = base::printable(text);
    if (shown.size() > width) shown.resize(width);
    terminal.err << clear_line << shown << std::flush;
  };
}

void clear_progress(const Terminal& terminal) {
  if (terminal.live) terminal.err << clear_line << std::flush;
}

}  // namespace cli
