// A small signed internet for the resolver's tests: a private root and a handful of zones below it,
// made with ldns, served by a real nsd on a free port of 127.0.0.1. A zone that is never answered
// and one that the server refuses stand beside them. All of it goes when the object goes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace dnstest {

// A socket of 127.0.0.1 with a port of its own, closed at the end.
class Socket {
 public:
  explicit Socket(int type, unsigned port = 0) : fd_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address_.sin_port = htons(static_cast<std::uint16_t>(port));
  }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool bind() { return ::bind(fd_, address(), sizeof address_) == 0; }
  bool connect() { return ::connect(fd_, address(), sizeof address_) == 0; }
  unsigned port() {
    socklen_t size = sizeof address_;
    ::getsockname(fd_, address(), &size);
    return ntohs(address_.sin_port);
  }

 private:
  sockaddr* address() { return reinterpret_cast<sockaddr*>(&address_); }
  sockaddr_in address_{};
  int fd_;
};

class Internet {
 public:
  Internet() : dir_(make_dir()), silent_(SOCK_DGRAM), port_(free_port()) {
    if (!silent_.bind()) throw std::runtime_error("no silent port");
    make_zones();
    start();
  }
  ~Internet() {
    stop();
    std::filesystem::remove_all(dir_);
  }
  Internet(const Internet&) = delete;
  Internet& operator=(const Internet&) = delete;

  std::string anchor() const { return path("root.ds"); }
  std::string wrong_anchor() const { return path("wrong.ds"); }
  std::string config() const { return path("unbound.conf"); }
  std::string path(const std::string& name) const { return dir_ + "/" + name; }
  std::string forwarder() const { return "127.0.0.1@" + std::to_string(port_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  void stop() {
    if (server_ <= 0) return;
    ::kill(server_, SIGTERM);
    ::waitpid(server_, nullptr, 0);
    server_ = 0;
  }

 private:
  static std::string make_dir() {
    std::string name = std::filesystem::temp_directory_path() / "sternpost-dns-XXXXXX";
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
    return name;
  }

  // Free for UDP and TCP alike, as far as one can tell beforehand.
  static unsigned free_port() {
    for (int i = 0; i < 100; ++i) {
      Socket tcp(SOCK_STREAM);
      tcp.bind();
      const unsigned port = tcp.port();
      if (Socket(SOCK_DGRAM, port).bind()) return port;
    }
    throw std::runtime_error("no free port");
  }

  void run(const std::string& command) const {
    const std::string line = "cd '" + dir_ + "' && { " + command + "; } >>log 2>&1";
    if (std::system(line.c_str()) != 0) throw std::runtime_error(command + "\n" + read("log"));
  }

  static std::string soa(const std::string& zone) {
    return "$TTL 3600\n@ SOA ns." + zone + " host." + zone + " 1 3600 900 604800 300\n@ NS ns." +
           zone + "\nns." + zone + " A 127.0.0.1\n";
  }

  // More than one datagram holds: the resolver has to come again over TCP.
  static std::string many_tlsa() {
    std::string text;
    for (int i = 10; i < 70; ++i) {
      text += "_25._tcp.many TLSA 3 1 1 " + std::to_string(i) + std::string(62, 'a') + "\n";
    }
    return text;
  }

  // Writes `name`.zone, signs it with `options` of ldns-signzone, and leaves its DS in `name`.ds.
  void sign(const std::string& name, const std::string& origin, const std::string& text,
            const std::string& options = "") const {
    write(name + ".zone", "$ORIGIN " + origin + "\n" + soa(origin == "." ? "" : origin) + text);
    const std::string keygen = "$(ldns-keygen -r /dev/urandom -a ECDSAP256SHA256 ";
    run("K=" + keygen + "-k " + origin + ") && Z=" + keygen + origin +
        ") && ldns-signzone " + options + " -f " + name + ".signed " + name + ".zone $Z $K" +
        " && ldns-key2ds -n -2 $K.key > " + name + ".ds && cp $K.key " + name + ".key");
  }

  void make_zones() {
    sign("secure", "secure.",
         "mx A 192.0.2.1\nmx A 192.0.2.2\nmx AAAA 2001:db8::1\n"
         "@ MX 10 MX\n@ MX 20 mx2\n_mta-sts TXT \"v=STSv1; \" \"id=1;\"\n"
         "_25._tcp.mx TLSA 3 1 1 " + std::string(64, 'a') + "\n"
         "alias 7 CNAME mx\nalias2 CNAME alias\nout CNAME www.insecure.\n"
         "gone CNAME nothing.secure.\nmute CNAME v4.secure.\nv4 A 192.0.2.9\n"
         "toobogus CNAME www.bogus.\nold DNAME nsec3.\n"
         "loop1 CNAME loop2\nloop2 CNAME loop1\n" + many_tlsa());
    sign("nsec3", "nsec3.", "www A 192.0.2.3\n", "-n");
    sign("bogus", "bogus.", "www A 192.0.2.66\n");
    sign("expired", "expired.", "www A 192.0.2.4\n", "-i 20200101 -e 20200201");
    run("sed -i 's/192.0.2.66/192.0.2.67/' bogus.signed");
    write("insecure.signed", "$ORIGIN insecure.\n" + soa("insecure.") +
                                 "www A 192.0.2.5\nback CNAME mx.secure.\n");
    write("refused.signed", "$ORIGIN refused.\n" + soa("refused.") + "www A 192.0.2.6\n");
    std::string delegations;
    for (const char* zone :
         {"secure", "nsec3", "bogus", "expired", "insecure", "drop", "refused"}) {
      delegations += std::string(zone) + ". NS ns." + zone + ".\nns." + zone + ". A 127.0.0.1\n";
    }
    for (const char* zone : {"secure", "nsec3", "bogus", "expired"}) {
      delegations += read(std::string(zone) + ".ds");
    }
    sign("root", ".", delegations);
    run("K=$(ldns-keygen -r /dev/urandom -a ECDSAP256SHA256 -k .) && "
        "ldns-key2ds -n -2 $K.key > wrong.ds");
  }

  void start() {
    std::string nsd = "server:\n  ip-address: 127.0.0.1@" + std::to_string(port_) +
                      "\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n"
                      "  zonesdir: \"" + dir_ + "\"\n  pidfile: \"\"\n  logfile: \"" +
                      path("nsd.log") + "\"\n  xfrdfile: \"" + path("xfrd") +
                      "\"\n  zonelistfile: \"" + path("zonelist") + "\"\n  xfrdir: \"" + dir_ +
                      "\"\nremote-control:\n  control-enable: no\n";
    std::string unbound = "server:\n  edns-buffer-size: 1232\n";
    for (const char* zone : {"root", "secure", "nsec3", "bogus", "expired", "insecure", "drop",
                             "refused"}) {
      const std::string name = zone == std::string("root") ? "." : std::string(zone) + ".";
      const bool silent = name == "drop.";
      const unsigned port = silent ? silent_.port() : port_;
      unbound += "stub-zone:\n  name: \"" + name + "\"\n  stub-addr: 127.0.0.1@" +
                 std::to_string(port) + "\n";
      if (silent) continue;
      nsd += "zone:\n  name: \"" + name + "\"\n  zonefile: \"" + zone + ".signed\"\n";
      if (name == "refused.") nsd += "  allow-query: 192.0.2.0/24 NOKEY\n";
    }
    write("nsd.conf", nsd);
    write("unbound.conf", unbound);
    const std::string conf = path("nsd.conf");
    server_ = ::fork();
    if (server_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // also where a sanitizer ends the test
      ::execlp("nsd", "nsd", "-d", "-c", conf.c_str(), nullptr);
      ::execl("/usr/sbin/nsd", "nsd", "-d", "-c", conf.c_str(), nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 500; ++i) {
      if (Socket(SOCK_STREAM, port_).connect()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    stop();
    throw std::runtime_error("nsd does not start: " + read("nsd.log"));
  }

  std::string dir_;
  Socket silent_;
  unsigned port_;
  pid_t server_ = 0;
};

}  // namespace dnstest
