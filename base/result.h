// Result<T, E>: what a function returns where a peer, DNS or the operator can make it fail.
// An error is never an absence: "nothing there" is a value, "could not find out" is an error.
// Exceptions are for bugs and start-up only. Used everywhere.
#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace base {

template <class T, class E>
using Result = boost::system::result<T, E>;

// An error that is only its words, fit for an operator to read.
struct Error {
  std::string text;
};
// What value() does where there is none: only a bug asks for it.
[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location&) {
  throw std::logic_error(error.text);
}

// result<T, E> from an error without ambiguity where T and E convert into each other.
template <class E>
struct Failure {
  E error;
  template <class T>
  operator boost::system::result<T, E>() && {  // NOLINT: meant to convert
    return {boost::system::in_place_error, std::move(error)};
  }
};

template <class E>
Failure<E> fail(E error) {
  return {std::move(error)};
}
inline Failure<Error> fail(const char* text) { return {Error{text}}; }
inline Failure<Error> fail(std::string text) { return {Error{std::move(text)}}; }

}  // namespace base
