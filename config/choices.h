// The words of every key that takes one of a fixed list, beside the enumerators they stand for.
// Read by values.cpp in both directions and by whoever has to name a setting to a person.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "config/config.h"

namespace config {

template <class E, std::size_t N>
using ChoiceTable = std::array<std::pair<std::string_view, E>, N>;

template <class E>
struct Choices;

template <>
struct Choices<Protocol> {
  static constexpr ChoiceTable<Protocol, 3> table{{{"smtp", Protocol::Smtp},
                                                   {"lmtp", Protocol::Lmtp},
                                                   {"transparent", Protocol::Transparent}}};
};
template <>
struct Choices<IpPreference> {
  static constexpr ChoiceTable<IpPreference, 5> table{{{"system", IpPreference::System},
                                                       {"ipv4", IpPreference::Ipv4},
                                                       {"ipv6", IpPreference::Ipv6},
                                                       {"ipv4-only", IpPreference::Ipv4Only},
                                                       {"ipv6-only", IpPreference::Ipv6Only}}};
};
template <>
struct Choices<TlsVersion> {
  static constexpr ChoiceTable<TlsVersion, 2> table{
      {{"1.2", TlsVersion::Tls12}, {"1.3", TlsVersion::Tls13}}};
};
template <>
struct Choices<OnError> {
  static constexpr ChoiceTable<OnError, 2> table{
      {{"deliver", OnError::Deliver}, {"defer", OnError::Defer}}};
};
template <>
struct Choices<InsecureMx> {
  static constexpr ChoiceTable<InsecureMx, 2> table{
      {{"dane", InsecureMx::Dane}, {"opportunistic", InsecureMx::Opportunistic}}};
};
template <>
struct Choices<Mode> {
  static constexpr ChoiceTable<Mode, 2> table{
      {{"enforce", Mode::Enforce}, {"observe", Mode::Observe}}};
};
template <>
struct Choices<Combine> {
  static constexpr ChoiceTable<Combine, 3> table{{{"dane-first", Combine::DaneFirst},
                                                  {"both", Combine::Both},
                                                  {"dane-alone", Combine::DaneAlone}}};
};
template <>
struct Choices<Default> {
  static constexpr ChoiceTable<Default, 3> table{{{"opportunistic", Default::Opportunistic},
                                                  {"encrypted", Default::Encrypted},
                                                  {"verified", Default::Verified}}};
};
template <>
struct Choices<OnDowngrade> {
  static constexpr ChoiceTable<OnDowngrade, 2> table{
      {{"log", OnDowngrade::Log}, {"defer", OnDowngrade::Defer}}};
};
template <>
struct Choices<Require> {
  static constexpr ChoiceTable<Require, 3> table{{{"encrypted", Require::Encrypted},
                                                  {"verified", Require::Verified},
                                                  {"dane", Require::Dane}}};
};
template <>
struct Choices<Allow> {
  static constexpr ChoiceTable<Allow, 2> table{
      {{"encrypted", Allow::Encrypted}, {"opportunistic", Allow::Opportunistic}}};
};
template <>
struct Choices<Dnssec> {
  static constexpr ChoiceTable<Dnssec, 2> table{
      {{"validate", Dnssec::Validate}, {"ignore", Dnssec::Ignore}}};
};
template <>
struct Choices<base::LogLevel> {
  static constexpr ChoiceTable<base::LogLevel, 4> table{{{"debug", base::LogLevel::debug},
                                                         {"info", base::LogLevel::info},
                                                         {"warn", base::LogLevel::warn},
                                                         {"error", base::LogLevel::error}}};
};
template <>
struct Choices<LogFormat> {
  static constexpr ChoiceTable<LogFormat, 2> table{
      {{"text", LogFormat::Text}, {"json", LogFormat::Json}}};
};
template <>
struct Choices<OnLogFailure> {
  static constexpr ChoiceTable<OnLogFailure, 2> table{
      {{"defer", OnLogFailure::Defer}, {"continue", OnLogFailure::Continue}}};
};
template <>
struct Choices<OnUnenforceable> {
  static constexpr ChoiceTable<OnUnenforceable, 4> table{
      {{"tempfail", OnUnenforceable::Tempfail},
       {"reject", OnUnenforceable::Reject},
       {"quarantine", OnUnenforceable::Quarantine},
       {"header", OnUnenforceable::Header}}};
};
template <>
struct Choices<MilterAction> {
  static constexpr ChoiceTable<MilterAction, 3> table{{{"tempfail", MilterAction::Tempfail},
                                                       {"reject", MilterAction::Reject},
                                                       {"quarantine", MilterAction::Quarantine}}};
};

template <class E>
concept Choice = requires { Choices<E>::table; };

// The word that an operator writes for `value`.
template <Choice E>
constexpr std::string_view name_of(E value) {
  for (const auto& [word, one] : Choices<E>::table) {
    if (one == value) return word;
  }
  return {};
}

}  // namespace config
