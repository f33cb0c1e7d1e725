// Noticing, in the middle of long work, that the caller wants to stop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace retrograd {

// Throws Interrupted where the caller wants to stop. The clock is read about every 20 us of work, the caller
// asked every 20 ms: a large step adds pieces of its own until somebody asks, and all must end within 100 ms.
class Poll {
  public:
    explicit Poll(const std::function<bool()>* stop) : stop_(stop), last_(Clock::now()) {}

    void operator()(std::int64_t multiply_adds) {
        work_ += multiply_adds;
        if (work_ < 200'000) return;
        work_ = 0;
        ask();
    }

  private:
    using Clock = std::chrono::steady_clock;
    void ask();

    const std::function<bool()>* stop_;
    Clock::time_point last_;
    std::int64_t work_ = 0;
};

}  // namespace retrograd
