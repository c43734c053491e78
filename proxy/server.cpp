#include "proxy/server.h"

#include <sys/socket.h>
#include <sysexits.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "config/choices.h"
#include "proxy/meters.h"
#include "proxy/tls_client.h"

namespace proxy {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds drain_look{50};

}  // namespace

Server::Server(asio::io_context& home, Shared& shared)
    : home_(home), shared_(shared), drain_timer_(home) {}

Server::~Server() {
  for (auto& entry : entries_) {
    if (entry.listener) entry.listener->stop();
  }
  guards_.clear();
  for (auto& thread : threads_) {
    if (thread->worker) thread->worker->io().stop();
  }
  for (auto& thread : threads_) {
    if (thread->thread.joinable()) thread->thread.join();
  }
}

// ── opening ─────────────────────────────────────────────────────────────────────────────────────

base::Result<Server::Terms, base::Error> Server::make_terms(
    const std::vector<config::Listen>& listens, config::TlsVersion minimum) {
  Terms terms;
  for (const auto& listen : listens) {
    auto one = std::make_shared<ListenTerms>();
    one->listen = listen;
    if (!listen.tls_certificate.empty()) {
      auto tls = TlsServer::make(listen, minimum);
      if (!tls) return base::fail(config::text_of(listen.address) + ": " + tls.error().text);
      one->tls = std::move(*tls);
    }
    terms.push_back(std::move(one));
  }
  return terms;
}

base::Result<void, StartError> Server::open(std::shared_ptr<const Snapshot> snapshot,
                                            PassedSockets& passed) {
  const config::Config& config = *snapshot->config;
  std::size_t count = config.server.threads;
  if (count == 0) count = std::max(1U, std::thread::hardware_concurrency());
  for (std::size_t i = 0; i < count; ++i) {
    auto thread = std::make_unique<Thread>();
    const std::size_t plans = std::max<std::size_t>(1, base::limits::domain_plans / count);
    auto worker = Worker::make(shared_, snapshot, {.plans = plans});
    if (!worker) return base::fail(StartError{EX_CONFIG, worker.error().text});
    auto terms = make_terms(config.listen, config.tls.min_version);
    if (!terms) return base::fail(StartError{EX_CONFIG, terms.error().text});
    thread->worker = std::move(*worker);
    thread->terms = std::move(*terms);
    threads_.push_back(std::move(thread));
  }
  for (std::size_t i = 0; i < config.listen.size(); ++i) {
    const config::Listen& listen = config.listen[i];
    auto socket = ListenSocket::open(listen.address, listen.mode, listen.group, passed);
    if (!socket) return base::fail(StartError{EX_UNAVAILABLE, socket.error().text});
    base::log_info("", "listening at " + config::text_of(listen.address) + " (" +
                           std::string(config::name_of(listen.protocol)) +
                           (socket->from_systemd() ? ", socket from systemd)" : ")"));
    auto handover = [this, i](Descriptor connection, Peer peer) {
      hand_over(i, std::move(connection), std::move(peer));
    };
    auto listener = std::make_shared<Listener>(home_, std::move(*socket), listen.max_sessions,
                                               std::move(handover));
    entries_.push_back(Entry{listen, std::move(listener)});
  }
  return {};
}

void Server::start() {
  for (auto& thread : threads_) {
    Worker& worker = *thread->worker;
    guards_.push_back(asio::make_work_guard(worker.io()));
    thread->thread = std::thread([&worker] { worker.run(); });
  }
  for (auto& entry : entries_) entry.listener->start();
}

// ── connections ─────────────────────────────────────────────────────────────────────────────────

void Server::hand_over(std::size_t index, Descriptor connection, Peer peer) {
  Thread& thread = *threads_[next_++ % threads_.size()];
  auto carried = std::make_shared<Descriptor>(std::move(connection));
  asio::post(thread.worker->io(), [this, &thread, index, listener = entries_[index].listener,
                                   carried, peer] {
    begin(thread, index, listener, std::move(*carried), peer);
  });
}

// On the worker's thread.
void Server::begin(Thread& thread, std::size_t index, std::shared_ptr<Listener> listener,
                   Descriptor connection, Peer peer) {
  try {
    asio::io_context& io = thread.worker->io();
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    ::getsockname(connection.get(), reinterpret_cast<sockaddr*>(&name), &size);
    const asio::generic::stream_protocol protocol(name.ss_family, 0);
    Channel::Socket socket(io, protocol, connection.get());
    connection.release();
    if (shared_.meters) {
      const config::Protocol spoken = thread.terms[index]->listen.protocol;
      shared_.meters->accepted.add({config::name_of(spoken)});
    }
    auto session = std::make_unique<Session>(*thread.worker, thread.terms[index],
                                             std::move(socket), peer);
    asio::co_spawn(io, live(shared_, thread, listener, std::move(session)), asio::detached);
  } catch (const std::exception& error) {
    base::log_error("", std::string("no session for ") + peer.str() + ": " + error.what());
    listener->session_ended();
  }
}

asio::awaitable<void> Server::live(Shared& shared, Thread& thread,
                                   std::shared_ptr<Listener> listener,
                                   std::unique_ptr<Session> session) {
  thread.sessions.insert(session.get());
  ++shared.sessions;
  co_await session->run();
  thread.sessions.erase(session.get());
  session.reset();
  --shared.sessions;
  listener->session_ended();
}

// ── a new configuration ─────────────────────────────────────────────────────────────────────────

base::Result<void, base::Error> Server::adopt(std::shared_ptr<const Snapshot> snapshot,
                                              std::vector<std::string>& kept) {
  const config::Config& config = *snapshot->config;
  std::vector<config::Listen> listens;
  for (const auto& entry : entries_) {
    const auto same = std::ranges::find_if(config.listen, [&](const config::Listen& listen) {
      return listen.address == entry.listen.address && listen.protocol == entry.listen.protocol;
    });
    if (same == config.listen.end()) {
      kept.push_back("listen " + config::text_of(entry.listen.address) + " (still open)");
      listens.push_back(entry.listen);
    } else {
      if (same->mode != entry.listen.mode || same->group != entry.listen.group) {
        kept.push_back("listen " + config::text_of(same->address) + ": mode, group");
      }
      listens.push_back(*same);
    }
  }
  for (const auto& listen : config.listen) {
    const bool open = std::ranges::any_of(entries_, [&](const Entry& entry) {
      return listen.address == entry.listen.address && listen.protocol == entry.listen.protocol;
    });
    if (!open) kept.push_back("listen " + config::text_of(listen.address) + " (not open yet)");
  }
  struct Fresh {
    Terms terms;
    std::shared_ptr<TlsClient> tls_client;
  };
  std::vector<Fresh> fresh;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    auto terms = make_terms(listens, config.tls.min_version);
    if (!terms) return base::fail(terms.error());
    auto tls_client = TlsClient::make(config, *shared_.clock);
    if (!tls_client) return base::fail(tls_client.error());
    fresh.push_back(Fresh{std::move(*terms), std::move(*tls_client)});
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    entries_[i].listen.max_sessions = listens[i].max_sessions;
    entries_[i].listener->set_max_sessions(listens[i].max_sessions);
  }
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    Thread& thread = *threads_[i];
    asio::post(thread.worker->io(), [&thread, snapshot, one = std::move(fresh[i])]() mutable {
      thread.worker->adopt(snapshot, std::move(one.tls_client));
      thread.terms = std::move(one.terms);
    });
  }
  return {};
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────

void Server::tell_sessions(void (Session::*what)()) {
  for (auto& thread : threads_) {
    Thread& one = *thread;
    asio::post(one.worker->io(), [&one, what] {
      for (Session* session : one.sessions) (session->*what)();
    });
  }
}

void Server::drain(std::chrono::milliseconds patience, std::chrono::milliseconds final_wait,
                   std::function<void()> done) {
  shared_.draining = true;
  drained_ = std::move(done);
  for (auto& entry : entries_) entry.listener->stop();
  tell_sessions(&Session::drain);
  const SteadyTime now = std::chrono::steady_clock::now();
  watch_drain(now + patience, now + patience + final_wait);
}

void Server::watch_drain(SteadyTime patience_end, SteadyTime end) {
  const SteadyTime now = std::chrono::steady_clock::now();
  std::uint32_t accepted = 0;  // Sessions, those on their way to a worker too.
  for (const auto& entry : entries_) accepted += entry.listener->sessions();
  if (accepted == 0 || now >= end) {
    if (accepted > 0) {
      base::log_warn("", std::to_string(accepted) + " sessions did not end in time");
    }
    std::exchange(drained_, nullptr)();
    return;
  }
  if (!patience_over_ && now >= patience_end) {
    patience_over_ = true;
    tell_sessions(&Session::end_before_dot);
  }
  drain_timer_.expires_after(drain_look);
  drain_timer_.async_wait([this, patience_end, end](const boost::system::error_code& error) {
    if (!error) watch_drain(patience_end, end);
  });
}

std::vector<Server::Listening> Server::listening() const {
  std::vector<Listening> out;
  for (const auto& entry : entries_) {
    Listening one;
    one.address = config::text_of(entry.listen.address);
    one.protocol = config::name_of(entry.listen.protocol);
    one.sessions = entry.listener->sessions();
    one.max_sessions = entry.listen.max_sessions;
    one.port = entry.listener->port();
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace proxy
