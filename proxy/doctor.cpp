#include "proxy/doctor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <future>
#include <thread>

#include "base/encode.h"
#include "dns/decode.h"
#include "policy/https_fetcher.h"
#include "proxy/server_services.h"
#include "proxy/tls_store.h"
#include "tlsrpt/dkim.h"

namespace proxy {

namespace {

constexpr std::chrono::seconds daemon_wait{5};
constexpr std::chrono::seconds connect_wait{8};
constexpr std::size_t tries = 4;           // addresses of the partner's MX hosts
constexpr std::size_t file_limit = 65536;  // of a trust anchor or a key

base::Result<std::string, base::Error> text_of_file(const config::Path& file) {
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  std::string text(file_limit, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.is_open() || in.bad() || (in.gcount() == 0 && errno != 0)) {
    return base::fail(file.string() + ": " + std::strerror(errno));
  }
  text.resize(static_cast<std::size_t>(in.gcount()));
  return {boost::system::in_place_value, std::move(text)};
}

// ---- the resolver, on a loop of its own ---------------------------------------------------------

class Asking {
 public:
  explicit Asking(const config::Config& config)
      : resolver_(make_resolver(io_, config, true)),
        guard_(io_.get_executor()),
        loop_([this] { io_.run(); }) {}
  ~Asking() {
    guard_.reset();
    io_.stop();
    loop_.join();
  }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;

  std::optional<base::Error> error() const {
    if (resolver_) return std::nullopt;
    return resolver_.error();
  }
  dns::UnboundResolver& resolver() { return **resolver_; }
  boost::asio::io_context& io() { return io_; }
  // Until the loop has ended.
  void keep(std::shared_ptr<policy::HttpsFetcher> fetcher) { fetcher_ = std::move(fetcher); }

  std::future<dns::RawLookup> ask(const std::string& name, dns::Type type) {
    auto promise = std::make_shared<std::promise<dns::RawLookup>>();
    resolver().lookup(name, type, [promise](dns::RawLookup answer) {
      promise->set_value(std::move(answer));
    });
    return promise->get_future();
  }
  std::future<dns::ValidationReport> ask_root() {
    auto promise = std::make_shared<std::promise<dns::ValidationReport>>();
    resolver().check_validation(
        [promise](const dns::ValidationReport& report) { promise->set_value(report); });
    return promise->get_future();
  }

 private:
  boost::asio::io_context io_{1};
  base::Result<std::unique_ptr<dns::UnboundResolver>, base::Error> resolver_;
  std::shared_ptr<policy::HttpsFetcher> fetcher_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::thread loop_;
};

// ---- port 25 ------------------------------------------------------------------------------------

// The first line that somebody says there, or why nobody does.
base::Result<std::string, base::Error> greeting_of(const base::Ip& ip, std::uint16_t port) {
  const auto endpoint = boost::asio::ip::tcp::endpoint(
      boost::asio::ip::make_address(ip.str()), port);
  const std::string where = ip.str() + " port " + std::to_string(port);
  const auto wrong = [&where](const char* what) { return base::fail(where + ": " + what); };
  const Descriptor fd(::socket(endpoint.data()->sa_family,
                               SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return wrong(std::strerror(errno));
  const auto wait = [&fd](short events) {
    pollfd ready{fd.get(), events, 0};
    return ::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(connect_wait).count())) > 0;
  };
  if (::connect(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    if (errno != EINPROGRESS) return wrong(std::strerror(errno));
    if (!wait(POLLOUT)) return wrong("nobody answers");
    int error = 0;
    socklen_t size = sizeof error;
    (void)::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return wrong(std::strerror(error));
  }
  std::string line(512, '\0');
  if (!wait(POLLIN)) return wrong("connected, and no greeting comes");
  const ssize_t got = ::recv(fd.get(), line.data(), line.size(), 0);
  if (got <= 0) return wrong("connected, and the connection ends without a greeting");
  line.resize(static_cast<std::size_t>(got));
  static constexpr std::string_view quit = "QUIT\r\n";
  (void)::send(fd.get(), quit.data(), quit.size(), MSG_NOSIGNAL);
  const std::string said = base::printable(line.substr(0, line.find_first_of("\r\n")));
  return {boost::system::in_place_value, where + ": " + said};
}

std::vector<base::Ip> addresses_of(Asking& asking, const config::Config& config,
                                   const std::string& host) {
  auto a = asking.ask(host, dns::Type::A);
  auto aaaa = asking.ask(host, dns::Type::AAAA);
  const auto v4 = dns::decode_all<base::Ip>(a.get(), dns::decode_a);
  const auto v6 = dns::decode_all<base::Ip>(aaaa.get(), dns::decode_aaaa);
  return policy::order_addresses(v4 ? v4->records : std::vector<base::Ip>(),
                                 v6 ? v6->records : std::vector<base::Ip>(),
                                 address_order(config.outbound.ip_preference));
}

Finding examine_smtp(Asking& asking, const config::Config& config, const std::string& partner) {
  const std::string subject = "port " + std::to_string(config.outbound.port);
  auto answer = dns::decode_all<dns::Mx>(asking.ask(partner, dns::Type::MX).get(),
                                         dns::decode_mx);
  if (!answer || answer->records.empty()) {
    const std::string why = answer ? "it has no MX" : answer.error().text;
    return {subject, Health::unknown, "no MX host of " + partner + " to try: " + why,
            "name another domain with --partner"};
  }
  std::ranges::sort(answer->records, {}, &dns::Mx::preference);
  std::string last = "no MX host of " + partner + " has an address";
  std::size_t tried = 0;
  for (const dns::Mx& mx : answer->records) {
    for (const base::Ip& ip : addresses_of(asking, config, mx.exchange)) {
      if (tried++ == tries) break;
      const auto greeting = greeting_of(ip, config.outbound.port);
      if (greeting) return {subject, Health::pass, mx.exchange + ", " + *greeting, ""};
      last = mx.exchange + ", " + greeting.error().text;
    }
  }
  return {subject, Health::fail, last,
          "mail cannot go out: look at the firewall; many providers block the port until asked"};
}

// ---- port 443 -----------------------------------------------------------------------------------

// A policy of a real domain: address, port, TLS, CA store and clock at once.
Finding examine_https(Asking& asking, const config::Config& config, const base::Clock& clock,
                      const std::string& partner) {
  const std::string subject = "port " + std::to_string(config.mta_sts.https_port);
  auto context = policy::make_fetch_context(config.tls.ca_file.string());
  if (!context) return {subject, Health::fail, context.error().text, "look at tls.ca_file"};
  const auto domain = base::Domain::parse(partner);
  if (!domain) return {subject, Health::unknown, "\"" + partner + "\" is no domain", ""};
  if (addresses_of(asking, config, "mta-sts." + domain->str()).empty()) {
    return {subject, Health::unknown, "no address of mta-sts." + partner + " could be found",
            "name a domain that has a policy with --partner"};
  }
  const auto fetcher = std::make_shared<policy::HttpsFetcher>(
      fetch_settings(config), asking.resolver(), clock, std::move(*context));
  asking.keep(fetcher);
  auto fetched = boost::asio::co_spawn(asking.io(), fetcher->fetch(*domain),
                                       boost::asio::use_future);
  const policy::StsBody body = fetched.get();
  if (body) {
    return {subject, Health::pass, "the MTA-STS policy of " + partner + " was fetched", ""};
  }
  return {subject, Health::fail, body.error().reason,
          "policies cannot be fetched: look at the firewall, tls.ca_file and the clock; or name a "
          "domain that has a policy with --partner"};
}

// ---- identity -----------------------------------------------------------------------------------

Finding examine_identity(Asking* asking, const config::Config& config) {
  const config::TlsRpt& tls_rpt = config.tls_rpt;
  const bool signs = tls_rpt.enabled && tls_rpt.send && tls_rpt.report_domain &&
                     !tls_rpt.dkim_key.empty();
  if (!signs) return judge_identity(config, std::nullopt);
  const auto pem = text_of_file(tls_rpt.dkim_key);
  if (!pem) {
    return {"report identity", Health::unknown, pem.error().text,
            "run doctor as root or as the service user"};
  }
  auto signer = tlsrpt::DkimSigner::make(*pem, tls_rpt.report_domain->str(),
                                         tls_rpt.dkim_selector);
  if (!signer) {
    return {"report identity", Health::fail, tls_rpt.dkim_key.string() + ": " +
                                                 signer.error().text, "make a new key"};
  }
  if (asking == nullptr) return {"report identity", Health::unknown, "there is no resolver", ""};
  const auto answer = dns::decode_all<std::string>(
      asking->ask(signer->record_name(), dns::Type::TXT).get(), dns::decode_txt);
  if (!answer) {
    return {"report identity", Health::unknown,
            signer->record_name() + " could not be looked up: " + answer.error().text,
            "ask again"};
  }
  std::optional<std::string> problem = signer->record_problem("");
  for (const std::string& text : answer->records) {
    problem = signer->record_problem(text);
    if (!problem) break;
  }
  return judge_identity(config, problem);
}

Finding examine_store(const config::Config& config) {
  const auto store = trust_store(config.tls.ca_file.string());
  const std::string install = "apt-get install ca-certificates, or set tls.ca_file";
  if (!store) return {"CA store", Health::fail, store.error().text, install};
  const std::string what = std::to_string(store->authorities) +
                           (store->authorities == 1 ? " authority in " : " authorities in ") +
                           store->where;
  return {"CA store", store->authorities > 0 ? Health::pass : Health::fail, what,
          store->authorities > 0 ? "" : install};
}

}  // namespace

std::vector<Finding> examine(const config::Config& config, const base::Clock& clock,
                             const DoctorQuestions& questions) {
  const std::vector<Finding> rights = examine_rights(config, questions);
  nlohmann::json request;
  request["command"] = "status";
  std::vector<Finding> findings;
  findings.push_back(judge_daemon(config.server.control,
                                  ask_daemon(config.server.control, request, daemon_wait)));
  findings.push_back(judge_anchor(config.dns.trust_anchor_file,
                                  text_of_file(config.dns.trust_anchor_file)));
  Asking asking(config);
  bool answers = false;  // the resolver anything at all
  const std::optional<base::Error> broken = asking.error();
  if (broken) {
    findings.push_back({"resolver", Health::fail, broken->text, "look at [dns]"});
  } else {
    auto root = asking.ask_root();
    auto good = asking.ask(questions.signed_name, dns::Type::A);
    auto bogus = asking.ask(questions.bogus_name, dns::Type::A);
    auto plain = asking.ask(questions.unsigned_name, dns::Type::A);
    const dns::RawLookup signed_answer = good.get();
    answers = signed_answer.has_value();
    findings.push_back(judge_root(root.get()));
    findings.push_back(judge_signed(questions.signed_name, signed_answer));
    findings.push_back(
        judge_bogus(questions.bogus_name, bogus.get(), signed_answer.has_value()));
    findings.push_back(judge_unsigned(questions.unsigned_name, plain.get()));
  }
  findings.push_back(examine_clock());
  findings.push_back(examine_store(config));
  if (!broken) {
    const std::size_t ports = findings.size();
    findings.push_back(examine_smtp(asking, config, questions.partner));
    if (config.mta_sts.enabled) {
      findings.push_back(examine_https(asking, config, clock, questions.partner));
    }
    for (std::size_t i = ports; !answers && i < findings.size(); ++i) {
      if (findings[i].health == Health::unknown) findings[i].remedy = "see to the resolver first";
    }
  }
  findings.insert(findings.end(), rights.begin(), rights.end());
  findings.push_back(examine_identity(broken ? nullptr : &asking, config));
  const auto today = std::chrono::floor<std::chrono::days>(clock.wall());
  for (Finding& one : judge_policy(config, today)) findings.push_back(std::move(one));
  return findings;
}

}  // namespace proxy
