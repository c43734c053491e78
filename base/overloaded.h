// overloaded{…}: a visitor for std::visit built of lambdas; leaving an alternative out does not
// compile.
#pragma once

namespace base {

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

}  // namespace base
