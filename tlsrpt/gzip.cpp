#include "tlsrpt/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace tlsrpt {
namespace {

constexpr int gzip_window = 15 + 16;  // zlib's way to ask for gzip instead of zlib's own format
constexpr std::size_t step = 65536;
constexpr std::size_t ratio_from = std::size_t{1} << 20;

// zlib takes no const input, but does not write to it.
Bytef* octets_of(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, gzip_window) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
};

}  // namespace

std::string gzip(std::string_view octets) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, gzip_window, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  std::string out(deflateBound(&stream, octets.size()), '\0');
  stream.next_in = octets_of(octets);
  stream.avail_in = static_cast<uInt>(octets.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END) throw std::runtime_error("deflate failed");
  return out;
}

base::Result<std::string, base::Error> gunzip(std::string_view octets,
                                              const GunzipLimits& limits) {
  Inflater inflater;
  z_stream& stream = inflater.stream();
  std::string out;
  std::array<char, step> piece{};
  std::size_t given = 0;
  for (;;) {
    const std::size_t rest = octets.size() - given;
    const std::string_view part = octets.substr(given, std::min(rest, step));
    stream.next_in = octets_of(part);
    stream.avail_in = static_cast<uInt>(part.size());
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    const int code = inflate(&stream, Z_NO_FLUSH);
    given += part.size() - stream.avail_in;
    out.append(piece.data(), piece.size() - stream.avail_out);
    if (out.size() > limits.output) {
      return base::fail("gzip: more than " + std::to_string(limits.output) + " octets come out");
    }
    if (out.size() > ratio_from && out.size() / limits.ratio > octets.size()) {
      return base::fail("gzip: expands more than " + std::to_string(limits.ratio) + " times");
    }
    if (code == Z_STREAM_END) {
      const bool padding =
          octets.substr(given).find_first_not_of('\0') == std::string_view::npos;
      if (padding) return {boost::system::in_place_value, std::move(out)};
      if (inflateReset(&stream) != Z_OK) return base::fail("gzip: cannot go on");
      continue;
    }
    const bool stuck = code == Z_BUF_ERROR && given == octets.size() && stream.avail_out > 0;
    if (stuck) return base::fail("gzip: cut short");
    if (code != Z_OK && code != Z_BUF_ERROR) {
      return base::fail(std::string("gzip: ") +
                        (stream.msg != nullptr ? stream.msg : "not readable"));
    }
  }
}

std::string gunzip_front(std::string_view octets, std::size_t most) {
  Inflater inflater;
  z_stream& stream = inflater.stream();
  const std::string_view part = octets.substr(0, std::max(step, most));
  std::string out(most, '\0');
  stream.next_in = octets_of(part);
  stream.avail_in = static_cast<uInt>(part.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  (void)inflate(&stream, Z_SYNC_FLUSH);
  out.resize(out.size() - stream.avail_out);
  return out;
}

}  // namespace tlsrpt
