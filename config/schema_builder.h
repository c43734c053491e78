// How schema_*.cpp write the table down: a section is built key by key from pointers to members,
// which give the type, the way to read it and the default. Only for those files.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "config/schema.h"
#include "config/values.h"

namespace config::schema_parts {

using Complaint = std::optional<std::string>;

template <class T>
struct Element {
  using Type = T;
};
template <class T>
struct Element<std::optional<T>> {
  using Type = T;
};
template <class T>
struct Element<std::vector<T>> {
  using Type = T;
};
template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class E>
struct Extra {
  std::string_view example = {};
  bool required = false;
  FileUse file = FileUse::Created;
  std::function<Complaint(E&)> refine = {};  // refuses a value, or puts it into its one form
};

template <class T>
Complaint outside(const T& low, const T& high) {
  return "must be from " + toml(low) + " to " + toml(high);
}

template <class T>
std::function<Complaint(T&)> between(T low, T high) {
  return [low, high](T& value) {
    return value < low || value > high ? outside(low, high) : std::nullopt;
  };
}

template <class E>
Read<E> read_one(const Node& node) {
  if constexpr (Choice<E>) {
    return read_choice<E>(node);
  } else {
    return read<E>(node);
  }
}

// The element, or an issue at its place.
template <class E>
std::optional<E> element(const Node& node, const Extra<E>& extra, std::vector<Issue>& issues) {
  Read<E> result = read_one<E>(node);
  if (!result) {
    issues.push_back({node.place, result.error().text});
    return std::nullopt;
  }
  if (extra.refine) {
    if (Complaint complaint = extra.refine(*result)) {
      issues.push_back({node.place, std::move(*complaint)});
      return std::nullopt;
    }
  }
  return std::move(*result);
}

template <class T>
std::vector<Issue> read_member(const Node& node, const Extra<typename Element<T>::Type>& extra,
                               T& out) {
  using E = typename Element<T>::Type;
  std::vector<Issue> issues;
  if constexpr (is_list<T>) {
    const auto* list = std::get_if<List>(&node.value);
    if (!list) return {{node.place, wrong_type("a list", node)}};
    if (extra.required && list->empty()) return {{node.place, "must not be empty"}};
    T values;
    for (const Node& one : *list) {
      if (auto value = element<E>(one, extra, issues)) values.push_back(std::move(*value));
    }
    if (issues.empty()) out = std::move(values);
  } else {
    if (auto value = element<E>(node, extra, issues)) out = std::move(*value);
  }
  return issues;
}

template <class T>
std::string default_of(const T& value, bool has_example) {
  if constexpr (is_list<T>) {
    if (value.empty() && has_example) return {};
    std::string text;
    for (const auto& one : value) text += (text.empty() ? "" : ", ") + toml(one);
    return "[" + text + "]";
  } else if constexpr (is_optional<T>) {
    return value ? toml(*value) : std::string();
  } else if constexpr (requires { value.empty(); }) {
    return value.empty() ? std::string() : toml(value);
  } else {
    return toml(value);
  }
}

template <class S>
class Builder {
 public:
  using At = S& (*)(Config&);

  Builder(std::string_view name, std::string_view comment, At at) : at_(at) {
    section_.name = name;
    section_.comment = comment;
  }

  Builder& list(void (*append)(Config&)) {
    section_.append = append;
    return *this;
  }

  template <class T>
  Builder& add(std::string_view name, T S::*member, std::string_view comment,
               Extra<typename Element<T>::Type> extra = {}) {
    using E = typename Element<T>::Type;
    Key key;
    key.name = name;
    key.comment = comment;
    if (!extra.required) key.default_text = default_of(S{}.*member, !extra.example.empty());
    key.example = extra.example;
    key.required = extra.required;
    key.file = extra.file;
    if constexpr (Choice<E>) key.words = words_of<E>();
    key.read = [at = at_, member, extra](Config& config, const Node& node) {
      return read_member<T>(node, extra, at(config).*member);
    };
    section_.keys.push_back(std::move(key));
    return *this;
  }

  Section done() { return std::move(section_); }

 private:
  At at_;
  Section section_;
};

std::vector<Section> relay_sections();   // server, listen, outbound, dns, tls
std::vector<Section> policy_sections();  // mta_sts, dane, policy, policy.rule, policy.exception
std::vector<Section> record_sections();  // tls_rpt, log, store
std::vector<Section> other_sections();   // milter, milter.rule, socketmap, admin

// The bounds of every time: what waits must wait a little, and nothing for more than ten years.
inline std::function<Complaint(Duration&)> positive() { return between(Duration(1), days(3650)); }
inline std::function<Complaint(Duration&)> zero_or_more() {
  return between(Duration(0), days(3650));
}

}  // namespace config::schema_parts
