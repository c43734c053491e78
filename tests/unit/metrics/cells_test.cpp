#include <catch2/catch.hpp>

#include <thread>

#include "metrics/cells.h"

using metrics::Counters;
using metrics::Family;
using metrics::Gauges;
using metrics::Histogram;

TEST_CASE("a counter has every combination of its labels' values from the start") {
  Counters counters("a_total", "A.", {{"x", {"1", "2"}}, {"y", {"p", "q", "r"}}});
  CHECK(counters.add({"2", "q"}));
  CHECK(counters.add({"2", "q"}, 4));
  const Family family = counters.collect();
  REQUIRE(family.samples.size() == 6);
  CHECK(family.type == metrics::Type::counter);
  for (const metrics::Sample& sample : family.samples) {
    const bool counted = sample.labels == metrics::Labels{{"x", "2"}, {"y", "q"}};
    CHECK(sample.value == (counted ? 5 : 0));
  }
  CHECK(counters.sum() == 5);
}

TEST_CASE("a word that is no value of the label is counted nowhere") {
  Counters counters("a_total", "A.", {{"x", {"1", "2"}}});
  CHECK_FALSE(counters.add({"3"}));
  CHECK_FALSE(counters.add({"mx.example.com"}));
  CHECK_FALSE(counters.add({}));
  CHECK_FALSE(counters.add({"1", "2"}));
  CHECK(counters.sum() == 0);
}

TEST_CASE("what many threads count adds up, and a gauge goes down on another thread") {
  Counters counters("a_total", "A.", {{"x", {"1", "2"}}});
  Gauges gauges("b", "B.");
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10000; ++j) {
        counters.add({"1"});
        gauges.add({}, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int j = 0; j < 79999; ++j) gauges.add({}, -1);
  CHECK(counters.sum() == 80000);
  CHECK(gauges.collect().samples.at(0).value == 1);
}

TEST_CASE("a histogram's buckets are cumulative, a value at a bound is within it") {
  Histogram histogram("c_seconds", "C.", {0.1, 1});
  using std::chrono::milliseconds;
  for (const int ms : {50, 100, 101, 1000, 5000}) histogram.observe(milliseconds(ms));
  const Family family = histogram.collect();
  REQUIRE(family.buckets.size() == 3);
  CHECK(family.buckets[0].count == 2);
  CHECK(family.buckets[1].count == 4);
  CHECK(family.buckets[2].count == 5);
  CHECK(family.sum == Approx(6.251));
}

TEST_CASE("exposition: the Prometheus text format 0.0.4, with its escapes") {
  Family odd = metrics::gauge("odd", "Back\\slash, \"quotes\"\nand a line end.", 0.25);
  odd.samples[0].labels = {{"l", "a\\b\"c\nd"}};
  Histogram histogram("c_seconds", "C.", {0.5});
  histogram.observe(std::chrono::seconds(2));
  CHECK(metrics::exposition({odd, histogram.collect()}) ==
        "# HELP odd Back\\\\slash, \"quotes\"\\nand a line end.\n"
        "# TYPE odd gauge\n"
        "odd{l=\"a\\\\b\\\"c\\nd\"} 0.25\n"
        "# HELP c_seconds C.\n"
        "# TYPE c_seconds histogram\n"
        "c_seconds_bucket{le=\"0.5\"} 0\n"
        "c_seconds_bucket{le=\"+Inf\"} 1\n"
        "c_seconds_sum 2\n"
        "c_seconds_count 1\n");
}
