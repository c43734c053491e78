#include "proxy/milter.h"

#include <dirent.h>
#include <fcntl.h>
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <set>

#include "base/log.h"
#include "proxy/milter_header.h"

// libmilter's thread for signals waits here for ever, by the linker's --wrap=sigwait: in its own
// sigwait() it would take SIGHUP and SIGTERM away from the daemon, and stop at both.
extern "C" int __wrap_sigwait(const sigset_t*, int*) {
  for (;;) ::pause();
}

namespace proxy {

namespace {

constexpr std::chrono::seconds answers_wait{2};
constexpr std::chrono::seconds listener_wait{6};  // libmilter looks up every five seconds
constexpr std::chrono::minutes told_again{1};
constexpr int idle_most = 7200;  // seconds that an MTA may be silent
constexpr mode_t socket_mode = 0660;

// The way from libmilter's callbacks, which are given no context of ours, to the desk; closed
// before the desk goes.
class Gate {
 public:
  void open(MilterDesk* desk) {
    const std::lock_guard lock(mutex_);
    desk_ = desk;
  }
  // Returns when nobody is inside any more, or after `patience`.
  bool close(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    desk_ = nullptr;
    return left_.wait_for(lock, patience, [this] { return inside_ == 0; });
  }
  MilterDesk* enter() {
    const std::lock_guard lock(mutex_);
    if (desk_) ++inside_;
    return desk_;
  }
  void leave() {
    {
      const std::lock_guard lock(mutex_);
      --inside_;
    }
    left_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable left_;
  MilterDesk* desk_ = nullptr;
  std::size_t inside_ = 0;
};

// libmilter knows functions alone, so these are the one thing in this program that is global. Never
// destroyed: its threads may still look at them while the process ends.
Gate& gate() {
  static Gate& one = *new Gate;
  return one;
}
std::atomic<std::size_t>& connections() {
  static auto& one = *new std::atomic<std::size_t>(0);
  return one;
}

struct Connection {
  bool counted = false;
  bool over = false;   // there were too many
  std::string sender;                      // of the message that began
  std::unique_ptr<MilterMessage> message;  // from its first recipient on
};

Connection* connection_of(SMFICTX* context) {
  auto* connection = static_cast<Connection*>(::smfi_getpriv(context));
  if (connection) return connection;
  auto made = std::make_unique<Connection>();
  if (::smfi_setpriv(context, made.get()) != MI_SUCCESS) return nullptr;
  return made.release();
}

std::optional<std::string> macro(SMFICTX* context, const char* name) {
  std::string writable(name);
  const char* const value = ::smfi_getsymval(context, writable.data());
  if (!value) return std::nullopt;
  return std::string(value);
}

// Runs `what(desk, connection)`; whatever goes wrong lets the mail pass. `closed`: the answer for a
// message that began before the end and was not looked at any more.
template <class What>
sfsistat guarded(SMFICTX* context, What what, sfsistat closed = SMFIS_CONTINUE) noexcept {
  try {
    MilterDesk* const desk = gate().enter();
    if (!desk) {
      const auto* const before = static_cast<Connection*>(::smfi_getpriv(context));
      return before && before->message ? closed : SMFIS_CONTINUE;
    }
    struct Leave {
      ~Leave() { gate().leave(); }
    } leave;
    Connection* const connection = connection_of(context);
    if (!connection) return SMFIS_CONTINUE;
    return what(*desk, *connection);
  } catch (const std::exception& error) {
    base::log_error("", std::string("milter: internal error, the mail passes: ") + error.what());
  } catch (...) {
    base::log_error("", "milter: internal error, the mail passes");
  }
  return SMFIS_CONTINUE;
}

sfsistat answer(SMFICTX* context, const MilterReply& reply) {
  if (reply.kind == MilterReply::Kind::pass) return SMFIS_CONTINUE;
  std::string text;
  for (const char c : reply.text) text += c == '%' ? "%%" : std::string(1, c);
  std::string code = std::to_string(reply.code);
  std::string enhanced = reply.enhanced;
  if (::smfi_setreply(context, code.data(), enhanced.data(), text.data()) != MI_SUCCESS) {
    base::log_warn("", "milter: libmilter did not take the reply " + code + " " + enhanced);
  }
  return reply.kind == MilterReply::Kind::reject ? SMFIS_REJECT : SMFIS_TEMPFAIL;
}

// ---- callbacks, in the order of a session -------------------------------------------------------

// From the negotiation on: a connection that says nothing more costs as much.
void count(Connection& connection) {
  if (connection.counted) return;
  connection.counted = true;
  connection.over = connections().fetch_add(1) >= Milter::connections_most;
}

void tell_too_many(bool rules) {
  static std::mutex& mutex = *new std::mutex;
  static std::chrono::steady_clock::time_point told{};
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex);
    if (told != std::chrono::steady_clock::time_point{} && now - told < told_again) return;
    told = now;
  }
  base::log_warn("", "milter: more than " + std::to_string(Milter::connections_most) +
                         " connections: mail of the others " +
                         (rules ? "is deferred, since there are rules"
                                : "passes without being looked at"));
}

sfsistat on_negotiate(SMFICTX* context, unsigned long actions, unsigned long steps, unsigned long,
                      unsigned long, unsigned long* actions_out, unsigned long* steps_out,
                      unsigned long* third, unsigned long* fourth) noexcept {
  guarded(context, [](MilterDesk&, Connection& connection) -> sfsistat {
    count(connection);
    return SMFIS_CONTINUE;
  });
  const unsigned long wanted = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_QUARANTINE;
  if (actions & SMFIF_SETSYMLIST) {
    for (const auto& [stage, names] :
         {std::pair(SMFIM_ENVRCPT, "i {rcpt_mailer} {rcpt_host} {rcpt_addr}"),
          std::pair(SMFIM_EOM, "i")}) {
      std::string writable(names);
      ::smfi_setsymlist(context, stage, writable.data());
    }
  }
  *actions_out = actions & (wanted | SMFIF_SETSYMLIST);
  *steps_out = steps & (SMFIP_NOHELO | SMFIP_NODATA | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN);
  *third = *fourth = 0;
  return SMFIS_CONTINUE;
}

sfsistat on_connect(SMFICTX* context, char*, sockaddr*) noexcept {
  return guarded(context, [&](MilterDesk& desk, Connection& connection) -> sfsistat {
    count(connection);
    if (!connection.over) return SMFIS_CONTINUE;
    const bool rules = !desk.snapshot()->config->milter.rules.empty();
    tell_too_many(rules);
    return rules ? SMFIS_TEMPFAIL : SMFIS_ACCEPT;
  });
}

sfsistat on_envfrom(SMFICTX* context, char** argv) noexcept {
  return guarded(context, [&](MilterDesk&, Connection& connection) -> sfsistat {
    connection.message.reset();
    if (connection.over) return SMFIS_CONTINUE;
    connection.sender = argv && argv[0] ? argv[0] : "";
    return SMFIS_CONTINUE;
  });
}

sfsistat on_envrcpt(SMFICTX* context, char** argv) noexcept {
  return guarded(context, [&](MilterDesk& desk, Connection& connection) -> sfsistat {
    const RecipientMacros macros{macro(context, "{rcpt_mailer}"), macro(context, "{rcpt_host}"),
                                 macro(context, "{rcpt_addr}")};
    if (connection.over) return SMFIS_CONTINUE;
    if (!connection.message) {
      // Postfix plays a session for mail that came in by sendmail(1), QMQP and `postsuper -r`, with
      // the client of old and no next hops. A real one always has a next hop or a mailer.
      const bool simulated = !macros.mailer && !macros.host;
      connection.message = std::make_unique<MilterMessage>(desk, simulated);
      connection.message->sender(connection.sender);
    }
    connection.message->queue_id(macro(context, "i").value_or(""));
    const std::string_view argument = argv && argv[0] ? argv[0] : "";
    return answer(context, connection.message->recipient(macros, argument));
  });
}

sfsistat on_header(SMFICTX* context, char* name, char* body) noexcept {
  return guarded(context, [&](MilterDesk&, Connection& connection) -> sfsistat {
    if (connection.message) connection.message->header(name ? name : "", body ? body : "");
    return SMFIS_CONTINUE;
  });
}

sfsistat on_eom(SMFICTX* context) noexcept {
  return guarded(context, [&](MilterDesk&, Connection& connection) -> sfsistat {
    const auto message = std::move(connection.message);
    if (!message) return SMFIS_CONTINUE;
    message->queue_id(macro(context, "i").value_or(""));
    MilterMessage::End end = message->end();
    if (end.reply.kind != MilterReply::Kind::pass) return answer(context, end.reply);
    std::string name(outlook_field);
    bool sent = true;
    bool held = true;
    // From the last: the numbers of those before stay.
    for (std::size_t i = end.forged; i > 0; --i) {
      const int index = static_cast<int>(i);
      sent = ::smfi_chgheader(context, name.data(), index, nullptr) == MI_SUCCESS && sent;
    }
    if (!end.field_body.empty()) {
      sent = ::smfi_addheader(context, name.data(), end.field_body.data()) == MI_SUCCESS && sent;
    }
    if (!end.quarantine.empty()) {
      held = ::smfi_quarantine(context, end.quarantine.data()) == MI_SUCCESS;
    }
    if (!sent || !held) {
      base::log_warn(message->id(), "milter: the MTA does not take all changes: it must allow "
                                    "header fields to be added and changed, and quarantine");
    }
    // The relay goes on to guard what on_unenforceable holds; a rule only the milter knows.
    return !held && end.by_rule ? SMFIS_TEMPFAIL : SMFIS_CONTINUE;
  }, SMFIS_TEMPFAIL);
}

sfsistat on_abort(SMFICTX* context) noexcept {
  return guarded(context, [](MilterDesk&, Connection& connection) -> sfsistat {
    connection.message.reset();
    return SMFIS_CONTINUE;
  });
}

// Also where the gate is closed: the memory is ours.
sfsistat on_close(SMFICTX* context) noexcept {
  auto* const connection = static_cast<Connection*>(::smfi_getpriv(context));
  if (!connection) return SMFIS_CONTINUE;
  ::smfi_setpriv(context, nullptr);
  if (connection->counted) connections().fetch_sub(1);
  delete connection;
  return SMFIS_CONTINUE;
}

smfiDesc description() {
  static std::string name = "sternpost";
  smfiDesc filter{};
  filter.xxfi_name = name.data();
  filter.xxfi_version = SMFI_VERSION;
  filter.xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_QUARANTINE | SMFIF_SETSYMLIST;
  filter.xxfi_connect = on_connect;
  filter.xxfi_envfrom = on_envfrom;
  filter.xxfi_envrcpt = on_envrcpt;
  filter.xxfi_header = on_header;
  filter.xxfi_eom = on_eom;
  filter.xxfi_abort = on_abort;
  filter.xxfi_close = on_close;
  filter.xxfi_negotiate = on_negotiate;
  return filter;
}

// ---- the socket ---------------------------------------------------------------------------------

// The descriptors of this process that listen.
std::set<int> listening_descriptors() {
  std::set<int> found;
  DIR* const directory = ::opendir("/proc/self/fd");
  if (!directory) return found;
  while (const dirent* const entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    int fd = -1;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), fd);
    int listens = 0;
    socklen_t size = sizeof listens;
    if (read.ec == std::errc() && fd != ::dirfd(directory) &&
        ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0) {
      found.insert(fd);
    }
  }
  ::closedir(directory);
  return found;
}

// "" where it is no Unix socket.
std::string path_of(const std::string& socket) {
  for (const std::string_view scheme : {"unix:", "local:"}) {
    if (socket.starts_with(scheme)) return socket.substr(scheme.size());
  }
  return {};
}

StartError cannot_open(const std::string& socket, int error) {
  std::string text = "milter.socket " + socket + " cannot be opened";
  if (error != 0) text += std::string(": ") + std::strerror(error);
  return {EX_UNAVAILABLE, text + " (libmilter tells the system's log more)"};
}

}  // namespace

base::Result<std::unique_ptr<Milter>, StartError> Milter::open(const std::string& socket,
                                                               MilterDesk& desk) {
  std::string writable = socket;
  ::smfi_settimeout(idle_most);
  errno = 0;
  if (::smfi_setconn(writable.data()) != MI_SUCCESS ||
      ::smfi_register(description()) != MI_SUCCESS) {
    return base::fail(cannot_open(socket, errno));
  }
  const std::set<int> before = listening_descriptors();
  errno = 0;
  if (::smfi_opensocket(true) != MI_SUCCESS) return base::fail(cannot_open(socket, errno));
  int own = -1;
  for (const int fd : listening_descriptors()) {
    if (!before.contains(fd)) own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  }
  const std::string path = path_of(socket);
  std::unique_ptr<Milter> milter(new Milter(own, path));
  if (!path.empty() && ::chmod(path.c_str(), socket_mode) != 0) {
    return base::fail(cannot_open(socket, errno));
  }
  gate().open(&desk);
  return milter;
}

void Milter::start() {
  std::promise<void> ended;
  ended_ = ended.get_future();
  thread_ = std::thread([ended = std::move(ended)]() mutable {
    if (::smfi_main() != MI_SUCCESS) {
      base::log_error("", "milter: libmilter has ended; the MTA's default action holds now");
    }
    ended.set_value();
  });
}

Milter::~Milter() {
  ::smfi_stop();
  if (listening_ >= 0) {
    // Wakes the thread that waits for connections; libmilter itself looks every five seconds.
    ::shutdown(listening_, SHUT_RDWR);
    ::close(listening_);
  }
  struct stat file {};
  if (!path_.empty() && ::lstat(path_.c_str(), &file) == 0 && S_ISSOCK(file.st_mode)) {
    ::unlink(path_.c_str());
  }
  if (!gate().close(answers_wait)) {
    base::log_error("", "milter: answers under way did not end");
  }
  if (!thread_.joinable()) return;
  if (ended_.wait_for(listener_wait) == std::future_status::ready) {
    thread_.join();
  } else {
    base::log_warn("", "milter: libmilter did not end in time");
    thread_.detach();
  }
}

}  // namespace proxy
