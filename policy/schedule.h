// Schedule: things in the order of one of their times, each of which knows its own place in it, so
// that it can be moved and taken out. A binary heap of pointers: eight octets a thing, where a
// std::set takes 64. The things live elsewhere and do not move. Used by policy/sts_cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace policy {

// `Time`: the member to order by; `Place`: a std::uint32_t of the thing for this class's own use.
template <class Thing, auto Time, auto Place>
class Schedule {
 public:
  bool empty() const { return heap_.empty(); }
  Thing& first() const { return *heap_.front(); }

  void add(Thing& thing) {
    heap_.push_back(&thing);
    rise(heap_.size() - 1);
  }
  void remove(Thing& thing) {
    const std::size_t place = thing.*Place;
    Thing* const last = heap_.back();
    heap_.pop_back();
    if (last == &thing) return;
    put(place, last);
    moved(*last);
  }
  // Its time is another now.
  void moved(Thing& thing) {
    rise(thing.*Place);
    sink(thing.*Place);
  }

 private:
  void put(std::size_t place, Thing* thing) {
    heap_[place] = thing;
    thing->*Place = static_cast<std::uint32_t>(place);
  }
  void rise(std::size_t place) {
    Thing* const thing = heap_[place];
    while (place > 0) {
      const std::size_t above = (place - 1) / 2;
      if (!(thing->*Time < heap_[above]->*Time)) break;
      put(place, heap_[above]);
      place = above;
    }
    put(place, thing);
  }
  void sink(std::size_t place) {
    Thing* const thing = heap_[place];
    for (;;) {
      std::size_t below = 2 * place + 1;
      if (below >= heap_.size()) break;
      if (below + 1 < heap_.size() && heap_[below + 1]->*Time < heap_[below]->*Time) ++below;
      if (!(heap_[below]->*Time < thing->*Time)) break;
      put(place, heap_[below]);
      place = below;
    }
    put(place, thing);
  }

  std::vector<Thing*> heap_;
};

}  // namespace policy
