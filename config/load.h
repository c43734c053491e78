// Reads a configuration: the main file, then `conf.d/*.toml` beside it in order of name. All
// mistakes are told at once, each with its place. `serve`, its reload and `config check` use this
// one loader. Never throws for anything that stands in the files. It does not bind addresses, talk
// to a resolver or compare a certificate with its key; `serve` does when it starts.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "config/tree.h"

namespace config {

// What the loader asks of the machine; tests answer themselves.
struct Surroundings {
  std::chrono::sys_days today;
  // The host's full name, empty where it has none. Asked only where server.hostname is not set.
  std::function<std::string()> host_name;
  std::function<bool(const std::string& group)> has_group;
  // The file's octets (the first 256 KiB), or why they cannot be read. Asked for every file that
  // the configuration names and that somebody else must have made.
  std::function<base::Result<std::string, base::Error>(const Path&)> read_file;
  // Why the TLS library cannot use tls.groups, tls.ciphers or tls.ciphersuites: the key's name and
  // a sentence. Empty: nobody is asked, and who starts with it finds out.
  std::function<std::optional<std::pair<std::string, std::string>>(const Tls&)> tls_fault;
  // Who may do what with a file; nullopt: it is not there. Asked for files that hold a secret.
  std::function<std::optional<std::filesystem::perms>(const Path&)> permissions;
};

// The real ones: today by `clock`, getaddrinfo's canonical name, the group database, the file
// system.
Surroundings real_surroundings(const base::Clock& clock);

struct LoadResult {
  std::shared_ptr<const Config> config;  // null where there are errors
  std::vector<Issue> errors;             // in order of file, line, column
  std::vector<Issue> warnings;           // likewise; there may be some beside a good configuration
};

LoadResult load(const Path& file, const Surroundings& surroundings);
inline LoadResult load(const Path& file, const base::Clock& clock) {
  return load(file, real_surroundings(clock));
}

// A file that the configuration names, read as the loader reads it: the first 256 KiB, or why not.
base::Result<std::string, base::Error> read_named_file(const Path& path);

// The same from texts already read; the first is the main file.
LoadResult load_sources(const std::vector<Source>& sources, const Surroundings& surroundings);

// What holds where there is no file: every default, with a listener that nobody opens.
LoadResult load_defaults(const Surroundings& surroundings);

// "FILE:LINE:COLUMN: error: TEXT"; `kind` is "error" or "warning".
std::string text_of(const Issue& issue, std::string_view kind);

}  // namespace config
