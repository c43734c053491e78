// A TLS server in a thread of the test, one connection after another, that answers as a script
// says: also drops, drips and nonsense, which no proper HTTP server would send.
#pragma once

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/dane/certs.h"

namespace sts_test {

class Peer {
 public:
  Peer(SSL* ssl, int socket, const std::atomic<bool>& stopping)
      : ssl_(ssl), socket_(socket), stopping_(stopping) {}
  std::string read_request() {
    std::string text;
    char octet = 0;
    while (text.find("\r\n\r\n") == std::string::npos && SSL_read(ssl_, &octet, 1) == 1) {
      text.push_back(octet);
    }
    return text;
  }
  // What comes behind the header; fewer where the client goes away.
  std::string read_body(std::size_t octets) {
    std::string text(octets, '\0');
    std::size_t have = 0;
    while (have < octets) {
      const int got = SSL_read(ssl_, text.data() + have, static_cast<int>(octets - have));
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    text.resize(have);
    return text;
  }
  // False once the client is gone.
  bool send(const std::string& text) {
    return !stopping_ && (text.empty() || SSL_write(ssl_, text.data(),
                                                    static_cast<int>(text.size())) > 0);
  }
  void close_notify() { SSL_shutdown(ssl_); }
  void reset() {
    const linger now{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  // Until the client closes.
  void wait_for_end() {
    char octet = 0;
    while (SSL_read(ssl_, &octet, 1) == 1) {
    }
  }
  std::string sni() const {
    const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? "" : name;
  }

 private:
  SSL* ssl_;
  int socket_;
  const std::atomic<bool>& stopping_;
};

class HttpsServer {
 public:
  using Script = std::function<void(Peer&)>;
  // `port` 0: a free one.
  HttpsServer(const certs::Issued& leaf, std::vector<certs::Issued> chain, Script script,
              const std::string& address = "127.0.0.1", std::uint16_t port = 0)
      : context_(SSL_CTX_new(TLS_server_method())), script_(std::move(script)) {
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX_use_certificate(context_, leaf.cert.get());
    SSL_CTX_use_PrivateKey(context_, leaf.key.get());
    for (const auto& one : chain) SSL_CTX_add1_chain_cert(context_, one.cert.get());
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    inet_pton(AF_INET, address.c_str(), &where.sin_addr);
    socklen_t size = sizeof where;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&where), size) != 0 ||
        listen(listener_, 16) != 0) {
      throw std::runtime_error("cannot listen on " + address);
    }
    getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size);
    port_ = ntohs(where.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~HttpsServer() {
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    const int now = current_;
    if (now >= 0) shutdown(now, SHUT_RDWR);
    thread_.join();
    close(listener_);
    SSL_CTX_free(context_);
  }
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;
  std::uint16_t port() const { return port_; }
  SSL_CTX* context() { return context_; }
  int connections() const { return connections_; }

 private:
  void run() {
    while (!stopping_) {
      const int connection = accept(listener_, nullptr, nullptr);
      if (connection < 0) return;
      ++connections_;
      current_ = connection;
      SSL* ssl = SSL_new(context_);
      SSL_set_fd(ssl, connection);
      if (!stopping_ && SSL_accept(ssl) == 1) {
        Peer peer(ssl, connection, stopping_);
        script_(peer);
      }
      SSL_free(ssl);
      current_ = -1;
      close(connection);
    }
  }

  SSL_CTX* context_;
  Script script_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> current_{-1};
  std::atomic<int> connections_{0};
  std::thread thread_;
};

}  // namespace sts_test
