// Replays a corpus through a fuzz entry point, then mutates it for a bounded, seeded number of
// rounds. With clang the same entry points link against libFuzzer instead of this file.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

void run(const Bytes& input) { LLVMFuzzerTestOneInput(input.data(), input.size()); }

std::size_t below(std::mt19937_64& random, std::size_t bound) {
  return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
}

// One mutation: flip, insert, erase, duplicate a stretch, or splice another corpus file in.
void mutate(Bytes& input, const std::vector<Bytes>& corpus, std::mt19937_64& random) {
  static constexpr std::uint8_t telling[] = {0, '\r', '\n', '.', ' ', ':', ';', '"', '-', 255, 128};
  const std::size_t at = input.empty() ? 0 : below(random, input.size());
  const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
  switch (below(random, 6)) {
    case 0:
      if (!input.empty()) input[at] = static_cast<std::uint8_t>(below(random, 256));
      break;
    case 1:
      input.insert(place, telling[below(random, std::size(telling))]);
      break;
    case 2:
      if (!input.empty()) input.erase(place);
      break;
    case 3: {
      const Bytes stretch(place, input.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                     input.size(), at + below(random, 64))));
      input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), stretch.begin(), stretch.end());
      break;
    }
    case 4:
      if (!input.empty()) input.resize(at);
      break;
    default: {
      const Bytes& other = corpus[below(random, corpus.size())];
      const std::size_t from = other.empty() ? 0 : below(random, other.size());
      input.insert(place, other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
    }
  }
  if (input.size() > 65536) input.resize(65536);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Bytes> corpus;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::exists(argv[i])) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  if (corpus.empty()) {
    std::cerr << "no corpus\n";
    return 1;
  }
  const char* wanted = std::getenv("FUZZ_ROUNDS");
  const long rounds = wanted ? std::atol(wanted) : 20000;
  for (const Bytes& input : corpus) run(input);
  std::mt19937_64 random(20260101);
  for (long i = 0; i < rounds; ++i) {
    Bytes input = corpus[below(random, corpus.size())];
    for (std::size_t n = 1 + below(random, 8); n > 0; --n) mutate(input, corpus, random);
    run(input);
  }
  std::cout << corpus.size() << " corpus files, " << rounds << " mutations\n";
  return 0;
}
