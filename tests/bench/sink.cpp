// bench_sink: an MX that accepts everything, as fast as it can, for benchmarks. One thread, any
// number of addresses, a certificate of its own for each.
//
//   bench_sink PORT NO_RESUME(0|1) ADDRESS=CERTIFICATE.pem …      (key and chain in one file)
//
// The command XSTAT on any connection answers "250 messages=N full=N resumed=N octets=N p50_us=N
// p99_us=N", the last two over the messages that carry X-Bench-Sent (bench_load with a rate): from
// that moment to the end of the data. XRST sets all to 0.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "proxy/channel.h"

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

struct Counts {
  unsigned long messages = 0, full = 0, resumed = 0, octets = 0;
  std::vector<long> delays;  // µs
} counts;

long now_ns() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

// When a message was sent, out of the first octets of its header; 0: it does not say.
long sent_at(std::string_view head) {
  constexpr std::string_view name = "X-Bench-Sent: ";
  const std::size_t at = head.substr(0, 1024).find(name);
  if (at == std::string_view::npos) return 0;
  return std::strtol(std::string(head.substr(at + name.size(), 20)).c_str(), nullptr, 10);
}

std::string statistics() {
  std::vector<long> sorted = counts.delays;
  std::ranges::sort(sorted);
  const auto part = [&sorted](std::size_t percent) {
    return std::to_string(sorted.empty() ? 0 : sorted[(sorted.size() - 1) * percent / 100]);
  };
  return "250 messages=" + std::to_string(counts.messages) +
         " full=" + std::to_string(counts.full) + " resumed=" + std::to_string(counts.resumed) +
         " octets=" + std::to_string(counts.octets) + " p50_us=" + part(50) +
         " p99_us=" + part(99) + "\r\n";
}

SSL_CTX* make_context(const std::string& file, bool no_resume) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(context, file.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, file.c_str(), SSL_FILETYPE_PEM) != 1) {
    std::cerr << "cannot read " << file << "\n";
    std::exit(1);
  }
  if (no_resume) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
  } else {
    SSL_CTX_set_num_tickets(context, 1);
    const unsigned char id[] = "bench";
    SSL_CTX_set_session_id_context(context, id, sizeof id - 1);
  }
  return context;
}

// Acknowledges at once what has arrived: a sender that leaves Nagle's algorithm on would else wait
// 40 ms for it in the middle of what it says, and the benchmark would measure that.
void acknowledge(proxy::Channel& channel) {
  const int on = 1;
  ::setsockopt(channel.socket().native_handle(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

// Reads a message's octets to the end of data; keeps only what may be part of the terminator.
asio::awaitable<bool> swallow(proxy::Channel& channel) {
  std::string tail = "\r\n";
  long sent = 0;
  std::size_t seen = 0;
  for (;;) {
    if (channel.buffered().empty()) {
      auto got = co_await channel.fill();
      if (!got) co_return false;
      acknowledge(channel);
    }
    const std::string_view have = channel.buffered();
    if (!sent && seen < 2048) sent = sent_at(have);
    seen += have.size();
    const std::string joined = tail + std::string(have.substr(0, 4));
    std::size_t used = std::string::npos;
    const std::size_t early = joined.find("\r\n.\r\n");
    if (early != std::string::npos) {
      used = early + 5 - tail.size();
    } else if (const auto at = have.find("\r\n.\r\n"); at != std::string_view::npos) {
      used = at + 5;
    }
    if (used != std::string::npos) {
      counts.octets += used;
      channel.consume(used);
      if (sent) counts.delays.push_back((now_ns() - sent) / 1000);
      co_return true;
    }
    counts.octets += have.size();
    tail = (tail + std::string(have.substr(have.size() > 4 ? have.size() - 4 : 0)));
    if (tail.size() > 4) tail.erase(0, tail.size() - 4);
    channel.consume(have.size());
  }
}

asio::awaitable<void> serve(proxy::Channel::Socket socket, SSL_CTX* context) {
  proxy::Channel channel(std::move(socket));
  std::string out = "220 sink ESMTP\r\n";
  for (;;) {
    const bool more = channel.buffered().find('\n') != std::string_view::npos;
    if (!more && !out.empty()) {
      auto sent = co_await channel.write(out);
      if (!sent) co_return;
      out.clear();
    }
    auto line = co_await channel.read_line(2048);
    if (!line) co_return;
    const std::string verb = line->text.substr(0, 4);
    if (verb == "EHLO") {
      out += "250-sink\r\n250-PIPELINING\r\n250-SIZE 200000000\r\n250-8BITMIME\r\n";
      if (!channel.is_tls()) out += "250-STARTTLS\r\n";
      out += "250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n";
    } else if (verb == "STAR") {
      auto sent = co_await channel.write("220 go\r\n");
      if (!sent) co_return;
      proxy::SslPtr ssl(SSL_new(context));
      SSL_set_accept_state(ssl.get());
      auto shaken = co_await channel.handshake(std::move(ssl));
      if (!shaken) co_return;
      acknowledge(channel);  // Without tickets nothing else answers the client's last flight.
      ++(SSL_session_reused(channel.ssl()) ? counts.resumed : counts.full);
    } else if (verb == "DATA") {
      auto sent = co_await channel.write(out + "354 go\r\n");
      out.clear();
      if (!sent) co_return;
      const bool whole = co_await swallow(channel);
      if (!whole) co_return;
      ++counts.messages;
      out += "250 2.0.0 taken\r\n";
    } else if (verb == "QUIT") {
      auto sent = co_await channel.write(out + "221 2.0.0 bye\r\n");
      (void)sent;
      co_return;
    } else if (verb == "XSTA") {
      out += statistics();
    } else if (verb == "XRST") {
      counts = Counts();
      out += "250 2.0.0 ok\r\n";
    } else {
      out += "250 2.0.0 ok\r\n";
    }
  }
}

asio::awaitable<void> accept(asio::io_context& io, tcp::acceptor acceptor, SSL_CTX* context) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    proxy::Channel::Socket generic(std::move(socket));
    asio::co_spawn(io, serve(std::move(generic), context), asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  if (argc < 4) {
    std::cerr << "bench_sink PORT NO_RESUME ADDRESS=CERTIFICATE …\n";
    return 2;
  }
  asio::io_context io(1);
  const auto port = static_cast<unsigned short>(std::stoi(argv[1]));
  for (int i = 3; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t equals = word.find('=');
    SSL_CTX* context = make_context(word.substr(equals + 1), argv[2][0] == '1');
    const tcp::endpoint where(asio::ip::make_address(word.substr(0, equals)), port);
    tcp::acceptor acceptor(io, where);
    asio::co_spawn(io, accept(io, std::move(acceptor), context), asio::detached);
  }
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&io](const boost::system::error_code&, int) { io.stop(); });
  std::cout << "ready" << std::endl;
  io.run();
}
