// bench_reports: what TLS-RPT costs besides delivery. One part a run, so that memory and CPU time
// are told apart; tests/bench/reports runs them. Each prints lines of a name and a figure.
//
//   bench_reports count DIR SECONDS   messages go into the log, the service counts them
//   bench_reports fill DIR FAILING    puts a day of counts into DIR; 1: with failures, 0: without
//   bench_reports compose DIR         the day ends: the service closes and composes it
#include <sys/resource.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fstream>
#include <future>
#include <iostream>
#include <thread>

#include "audit/log.h"
#include "report/service.h"
#include "report/strings.h"
#include "store/sqlite_reports.h"
#include "store/sqlite_store.h"
#include "tests/bench/reports_world.h"

namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr std::size_t rate = 2000;  // sessions a second
constexpr std::chrono::milliseconds tick{10};
constexpr std::chrono::milliseconds busy_timeout{5000};
const store::Day day = std::chrono::sys_days(std::chrono::year(2026) / 11 / 25);

template <class Outcome>
auto need(Outcome outcome) {
  if (!outcome) {
    std::cerr << "bench_reports: " << outcome.error().text << "\n";
    std::exit(1);
  }
  if constexpr (!std::is_void_v<typename Outcome::value_type>) return std::move(*outcome);
}

void print(const char* name, double figure) { std::cout << name << " " << figure << std::endl; }

double seconds(steady_clock::duration time) { return std::chrono::duration<double>(time).count(); }

double cpu_seconds(int whose) {
  rusage usage{};
  ::getrusage(whose, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// VmHWM in MiB.
double peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

class ManualClock final : public base::Clock {
 public:
  explicit ManualClock(base::WallTime wall) : wall_(wall) {}
  base::WallTime wall() const override { return wall_; }
  base::SteadyTime steady() const override { return steady_clock::now(); }

 private:
  base::WallTime wall_;
};

// As the server keeps it.
class StoredHead final : public audit::ChainHead {
 public:
  explicit StoredHead(store::Store& store) : store_(store) {}
  base::Result<std::optional<audit::Head>, base::Error> load() override {
    return std::optional<audit::Head>();
  }
  base::Result<void, base::Error> save(const audit::Head& head) override {
    store_.put_value("audit.head", std::to_string(head.seq) + " " + head.hash);
    return {};
  }

 private:
  store::Store& store_;
};

std::unique_ptr<store::SqliteStore> open_store(const fs::path& dir) {
  store::SqliteOptions options;
  options.file = dir / "sternpost.db";
  options.queue = 2 * bench::domains;
  return need(store::SqliteStore::open(std::move(options)));
}

std::unique_ptr<store::Reports> open_reports(const fs::path& dir) {
  return need(store::open_sqlite_reports(dir / "sternpost.db", busy_timeout));
}

// Keeps the reports and sends none: sending is another matter, spread over four hours.
report::Settings settings_of(const fs::path& dir) {
  report::Settings settings;
  settings.identity = {{"Relay Example", "postmaster@relay.example", "relay.example"},
                       "out1.relay.example", true};
  settings.send = false;
  settings.directory = dir / "reports";
  settings.keep = std::chrono::hours(30 * 24);
  settings.log = dir / "enforcement.jsonl";
  return settings;
}

report::Service::Parts parts_of(asio::io_context& io, const base::Clock& clock,
                                store::Reports& reports, store::Store& strings) {
  report::Service::Parts parts;
  parts.executor = io.get_executor();
  parts.clock = &clock;
  parts.reports = &reports;
  parts.strings = report::stored_policies(strings);
  return parts;
}

// ---- counting -----------------------------------------------------------------------------------

// CPU time of the thread that runs `io`, as it sees it itself.
double cpu_of(asio::io_context& io) {
  std::promise<double> told;
  asio::post(io, [&told] { told.set_value(cpu_seconds(RUSAGE_THREAD)); });
  return told.get_future().get();
}

// Adds to the tables what the journal holds, on the thread that runs `io`: how long that took.
double settle(asio::io_context& io, store::Reports& reports) {
  std::promise<double> told;
  asio::post(io, [&] {
    const auto start = steady_clock::now();
    need(reports.oldest_counted(std::chrono::floor<std::chrono::days>(base::SystemClock().wall())));
    told.set_value(seconds(steady_clock::now() - start));
  });
  return told.get_future().get();
}

class Load {
 public:
  Load(audit::EnforcementLog& log, store::Reports& progress) : log_(log), progress_(progress) {}

  // Messages at the rate, then until all of them are counted.
  void run(bench::World& world, std::size_t messages) {
    const auto start = steady_clock::now();
    while (appended_.size() < 2 * messages) {
      const auto due = static_cast<std::size_t>(seconds(steady_clock::now() - start) * rate) + 1;
      while (appended_.size() < 2 * std::min(due, messages)) {
        for (const audit::Record& record : world.message()) {
          appended_.push_back(steady_clock::now());
          log_.append(record);
        }
      }
      look();
      std::this_thread::sleep_for(tick);
    }
    while (counted_ < appended_.size()) {
      look();
      std::this_thread::sleep_for(tick);
    }
    if (log_.dropped() > 0) std::cerr << "bench_reports: the log dropped records\n";
  }
  double longest_delay() const { return seconds(longest_); }

 private:
  // The first line is the log's own; those behind it are ours, in order.
  void look() {
    const std::uint64_t now_counted = *need(progress_.progress()).counted - 1;
    if (now_counted == counted_) return;
    longest_ = std::max(longest_, steady_clock::now() - appended_[counted_]);
    counted_ = now_counted;
  }

  audit::EnforcementLog& log_;
  store::Reports& progress_;
  std::vector<steady_clock::time_point> appended_;
  std::uint64_t counted_ = 0;
  steady_clock::duration longest_{};
};

// In the middle of a day: each domain has its policies and counts already.
void fill_today(bench::World& world, store::Store& store, store::Reports& reports) {
  world.keep_policies(store);
  need(store.flush());
  const auto today = std::chrono::floor<std::chrono::days>(base::SystemClock().wall());
  need(reports.count_from(0));
  for (const store::CountBatch& batch : world.day(today, false)) need(reports.add(batch));
  need(reports.oldest_counted(today));  // takes what lies in the journal
  need(reports.close_through(today - std::chrono::days(1)));
  need(reports.count_from(1));
}

int count(const fs::path& dir, std::size_t for_seconds, bool even) {
  const base::SystemClock clock;
  bench::World world(even);
  const auto store = open_store(dir);
  const auto reports = open_reports(dir);
  fill_today(world, *store, *reports);
  StoredHead head(*store);
  audit::LogOptions options;
  options.path = dir / "enforcement.jsonl";
  const auto log = need(audit::EnforcementLog::open(std::move(options), head, clock));
  asio::io_context io;
  report::Service service(settings_of(dir), parts_of(io, clock, *reports, *store));
  need(service.open());
  service.start();
  auto guard = asio::make_work_guard(io);
  std::thread counting([&io] { io.run(); });
  const auto progress = open_reports(dir);
  Load load(*log, *progress);

  const double counting_before = cpu_of(io);
  const double all_before = cpu_seconds(RUSAGE_SELF);
  const auto start = steady_clock::now();
  load.run(world, rate * for_seconds);
  const double wall = seconds(steady_clock::now() - start);
  const double settling = settle(io, *reports);
  const double counting_cpu = cpu_of(io) - counting_before;
  const double all_cpu = cpu_seconds(RUSAGE_SELF) - all_before;
  io.stop();
  counting.join();
  print("sessions", static_cast<double>(rate * for_seconds));
  print("seconds", wall);
  print("counting_percent", 100 * counting_cpu / static_cast<double>(for_seconds));
  print("others_percent", 100 * (all_cpu - counting_cpu) / static_cast<double>(for_seconds));
  print("longest_delay", load.longest_delay());
  print("settling", settling);
  return 0;
}

// ---- composing ----------------------------------------------------------------------------------

int fill(const fs::path& dir, bool failing) {
  bench::World world;
  const auto store = open_store(dir);
  const auto reports = open_reports(dir);
  world.keep_policies(*store);
  need(store->flush());
  need(reports->close_through(day - std::chrono::days(1)));
  need(reports->count_from(0));
  for (const store::CountBatch& batch : world.day(day, failing)) need(reports->add(batch));
  return 0;
}

int compose(const fs::path& dir) {
  const ManualClock clock(day + std::chrono::days(1) + std::chrono::seconds(5));
  const auto store = open_store(dir);
  const auto reports = open_reports(dir);
  asio::io_context io;
  report::Service service(settings_of(dir), parts_of(io, clock, *reports, *store));
  need(service.open());
  const double cpu_before = cpu_seconds(RUSAGE_SELF);
  const auto start = steady_clock::now();
  service.start();
  do {
    io.run_one();
  } while (need(reports->oldest_counted(day)));
  print("seconds", seconds(steady_clock::now() - start));
  print("cpu_seconds", cpu_seconds(RUSAGE_SELF) - cpu_before);
  print("memory", peak_memory());
  std::size_t files = 0;
  std::uintmax_t octets = 0;
  for (const auto& file : fs::directory_iterator(dir / "reports" / "2026-11-25")) {
    ++files;
    octets += file.file_size();
  }
  print("files", static_cast<double>(files));
  print("octets", static_cast<double>(octets));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  std::cout.precision(10);
  if (words.size() == 4 && words[0] == "count") {
    return count(words[1], std::stoul(words[2]), words[3] == "even");
  }
  if (words.size() == 3 && words[0] == "fill") return fill(words[1], words[2] == "1");
  if (words.size() == 2 && words[0] == "compose") return compose(words[1]);
  std::cerr << "usage: bench_reports count DIR SECONDS even|zipf | fill DIR 0|1 | compose DIR\n";
  return 2;
}
