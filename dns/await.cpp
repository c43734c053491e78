#include "dns/await.h"

namespace dns {

boost::asio::awaitable<RawLookup> async_lookup(Resolver& resolver, std::string name, Type type) {
  std::function<void(std::function<void(RawLookup)>)> start =
      [&resolver, &name, type](std::function<void(RawLookup)> done) {
        resolver.lookup(name, type, std::move(done));
      };
  std::optional<RawLookup> answer = co_await async_callback<RawLookup>(std::move(start));
  co_return std::move(*answer);
}

}  // namespace dns
