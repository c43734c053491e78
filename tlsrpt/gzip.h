// gzip (RFC 1952) over zlib: stable when writing (no time, no name), bounded when reading, so that
// a small hostile file cannot fill the memory. Pure. Called by report/composer and tlsrpt/read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tlsrpt {

std::string gzip(std::string_view octets);

struct GunzipLimits {
  std::size_t output = std::size_t{64} << 20;  // octets altogether
  std::size_t ratio = 1000;                    // of output to input, once a MiB has come out
};
// Several members behind each other count as one (RFC 1952 §2.2). Fails on what is no gzip, is cut
// short, has a wrong checksum, or goes over a limit, in words that say which.
base::Result<std::string, base::Error> gunzip(std::string_view octets,
                                              const GunzipLimits& limits = {});

// The first octets of what a gzip holds, `most` at most; fewer where it holds fewer or is damaged.
std::string gunzip_front(std::string_view octets, std::size_t most);

}  // namespace tlsrpt
