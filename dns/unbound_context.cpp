#include "dns/unbound_context.h"

#include <unbound.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/encode.h"
#include "base/ip.h"

namespace dns {
namespace {

using Done = base::Result<void, base::Error>;

// What libunbound says while it is set up; it logs to a FILE alone. Its log is one for the whole
// process, and is off once this is gone: answers carry their own reasons.
class SetupLog {
 public:
  explicit SetupLog(ub_ctx* context) : context_(context), file_(open_memstream(&text_, &size_)) {
    if (file_) ub_ctx_debugout(context_, file_);
  }
  ~SetupLog() {
    ub_ctx_debugout(context_, nullptr);
    if (file_) std::fclose(file_);
    std::free(text_);
  }
  SetupLog(const SetupLog&) = delete;
  SetupLog& operator=(const SetupLog&) = delete;

  // The last lines, on one line.
  std::string text() const {
    if (!file_) return {};
    std::fflush(file_);
    std::string all(text_, size_);
    if (all.size() > 600) all.erase(0, all.size() - 600);
    while (!all.empty() && all.back() == '\n') all.pop_back();
    for (char& c : all) {
      if (c == '\n') c = '|';
    }
    return all.empty() ? all : " (" + base::printable(all) + ")";
  }

 private:
  ub_ctx* context_;
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* file_;
};

struct Setting {
  const char* name;
  const char* value;
};

// libunbound is sized for a tool that asks one question; this is a mail relay. Everything else is
// unbound's default, DNSSEC hardening (harden-dnssec-stripped, harden-below-nxdomain,
// val-clean-additional, "validator iterator", QNAME minimisation) among it.
constexpr Setting settings[] = {
    {"msg-cache-size:", "1m"},
    {"rrset-cache-size:", "2m"},
    {"key-cache-size:", "4m"},
    {"neg-cache-size:", "4m"},
    {"outgoing-range:", "512"},
    {"num-queries-per-thread:", "1024"},
    {"outgoing-num-tcp:", "32"},
    // A server that was dead is asked again after a minute or two, not a quarter of an hour: the
    // message waiting in the MTA's queue is tried again before that.
    {"infra-host-ttl:", "120"},
    {"infra-keep-probing:", "yes"},
    // Asked for here so that neither a changed default nor a build can take it away.
    {"module-config:", "validator iterator"},
    {"harden-dnssec-stripped:", "yes"},
    {"harden-below-nxdomain:", "yes"},
    {"harden-glue:", "yes"},
    {"val-permissive-mode:", "no"},
};

base::Error failed(const std::string& what, int code, const SetupLog& log) {
  return base::Error{what + ": " + ub_strerror(code) + log.text()};
}

Done readable(const std::string& file, const char* key) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    return base::fail(std::string(key) + ": " + file + " is a directory");
  }
  std::ifstream stream(file);
  if (!stream) return base::fail(std::string(key) + ": cannot read " + file);
  if (stream.peek() == std::ifstream::traits_type::eof()) {
    return base::fail(std::string(key) + ": " + file + " is empty");
  }
  return {};
}

// "ip" or "ip@port".
base::Result<base::Ip, base::Error> forwarder_ip(const std::string& text) {
  const std::size_t at = text.find('@');
  auto ip = base::Ip::parse(std::string_view(text).substr(0, at));
  if (!ip) return base::fail("forwarders: \"" + text + "\" is no address: " + ip.error().text);
  if (at == std::string::npos) return ip;
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + at + 1, end, port);
  if (error != std::errc() || stop != end || port == 0 || port > 65535) {
    return base::fail("forwarders: \"" + text + "\" has no port from 1 to 65535 after the @");
  }
  return ip;
}

bool is_loopback(const base::Ip& ip) {
  const base::Ip plain = ip.unmapped();
  return plain.is_v4() ? plain.octets()[0] == 127 : plain.str() == "::1";
}

std::string option(ub_ctx* context, const char* name) {
  char* value = nullptr;
  if (ub_ctx_get_option(context, name, &value) != 0 || !value) return {};
  std::string text(value);
  std::free(value);
  return text;
}

Done add_forwarders(ub_ctx* context, const UnboundOptions& options, const SetupLog& log) {
  bool local_servers = !options.unbound_config.empty();  // that file may name its own
  for (const std::string& forwarder : options.forwarders) {
    const auto ip = forwarder_ip(forwarder);
    if (!ip) return base::fail(ip.error());
    local_servers = local_servers || is_loopback(*ip);
    if (const int code = ub_ctx_set_fwd(context, forwarder.c_str())) {
      return base::fail(failed("forwarders: \"" + forwarder + "\"", code, log));
    }
  }
  const char* shunned = local_servers ? "no" : "yes";
  if (const int code = ub_ctx_set_option(context, "do-not-query-localhost:", shunned)) {
    return base::fail(failed("do-not-query-localhost", code, log));
  }
  return {};
}

// The operator's own file comes last and may change anything but this: validation stays on.
Done add_config(ub_ctx* context, const std::string& file, const SetupLog& log) {
  if (file.empty()) return {};
  if (auto ok = readable(file, "unbound_config"); !ok) return ok;
  if (const int code = ub_ctx_config(context, file.c_str())) {
    return base::fail(failed("unbound_config: " + file, code, log));
  }
  if (option(context, "val-permissive-mode") == "yes") {
    return base::fail("unbound_config: " + file + ": val-permissive-mode turns validation off");
  }
  if (option(context, "module-config").find("validator") == std::string::npos) {
    return base::fail("unbound_config: " + file + ": module-config is without the validator");
  }
  return {};
}

Done set_up(ub_ctx* context, const UnboundOptions& options, const SetupLog& log) {
  for (const Setting& setting : settings) {
    if (const int code = ub_ctx_set_option(context, setting.name, setting.value)) {
      return base::fail(failed(setting.name, code, log));
    }
  }
  if (!options.trust_anchor_file.empty()) {
    if (auto ok = readable(options.trust_anchor_file, "trust_anchor_file"); !ok) return ok;
    if (const int code = ub_ctx_add_ta_file(context, options.trust_anchor_file.c_str())) {
      return base::fail(failed("trust_anchor_file: " + options.trust_anchor_file, code, log));
    }
  }
  if (auto ok = add_forwarders(context, options, log); !ok) return ok;
  if (auto ok = add_config(context, options.unbound_config, log); !ok) return ok;
  if (const int code = ub_ctx_async(context, 1)) return base::fail(failed("thread", code, log));
  // The first question finalizes the context: files are read and parsed only now. This one is
  // answered without a network, and nobody waits for it.
  int id = 0;
  const auto ignore = [](void*, int, ub_result* result) { ub_resolve_free(result); };
  const int code = ub_resolve_async(context, "localhost.", 1, 1, nullptr, ignore, &id);
  if (code) {
    const std::string files = options.trust_anchor_file + ' ' + options.unbound_config;
    return base::fail(failed("libunbound cannot start with " + files, code, log));
  }
  ub_cancel(context, id);
  return {};
}

}  // namespace

void UnboundContextDelete::operator()(ub_ctx* context) const { ub_ctx_delete(context); }

base::Result<UnboundContext, base::Error> make_unbound_context(const UnboundOptions& options) {
  UnboundContext context(ub_ctx_create());
  if (!context) return base::fail("libunbound cannot make a context");
  const SetupLog log(context.get());
  if (auto ok = set_up(context.get(), options, log); !ok) return base::fail(ok.error());
  return context;
}

}  // namespace dns
