// The failures of a channel in words. Inside channel*.cpp only.
#pragma once

#include <cerrno>
#include <cstring>

#include "proxy/channel.h"

namespace proxy {

inline IoError error_of(int number) {
  if (number == ECONNRESET || number == EPIPE) {
    return {IoError::Kind::reset, "connection reset by peer"};
  }
  return {IoError::Kind::reset, std::strerror(number)};
}
inline IoError closed() { return {IoError::Kind::closed, "connection closed by peer"}; }
inline IoError too_much() { return {IoError::Kind::limit, "more was sent than is allowed"}; }

}  // namespace proxy
