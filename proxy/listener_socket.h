// ListenSocket: one bound and listening descriptor, from systemd or made here. A Unix socket's
// file gets its mode and group before anybody can connect; a stale file is replaced only when
// nobody answers behind it. Used by proxy/listener and proxy/control; accepts nothing by itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace proxy {

// An open descriptor, closed at the end of its life.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  int release();

 private:
  int fd_ = -1;
};

// The sockets that systemd passed to this process (sd_listen_fds(3)), each taken at most once.
class PassedSockets {
 public:
  static PassedSockets from_systemd();
  // The listening socket bound to exactly this address.
  std::optional<Descriptor> take(const config::Address& address);
  std::size_t left() const { return descriptors_.size(); }

 private:
  std::vector<Descriptor> descriptors_;
};

class ListenSocket {
 public:
  // Mode of a Unix socket where the configuration sets none.
  static constexpr std::uint32_t default_mode = 0660;

  // An error names the address and the reason ("127.0.0.1:25: Address already in use").
  static base::Result<ListenSocket, base::Error> open(const config::Address& address,
                                                      std::optional<config::FileMode> mode,
                                                      const std::string& group,
                                                      PassedSockets& passed);
  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&&) = delete;
  // Removes the file of a Unix socket made here.
  ~ListenSocket();

  int fd() const { return descriptor_.get(); }
  bool from_systemd() const { return from_systemd_; }
  // The port in force: of use where 0 was asked for.
  std::uint16_t port() const;

 private:
  ListenSocket(Descriptor descriptor, bool from_systemd, config::Path made)
      : descriptor_(std::move(descriptor)), from_systemd_(from_systemd), made_(std::move(made)) {}
  Descriptor descriptor_;
  bool from_systemd_ = false;
  config::Path made_;  // the file to remove; empty: none
};

}  // namespace proxy
