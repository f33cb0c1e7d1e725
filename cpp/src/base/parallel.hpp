// Threads: the only place that knows OpenMP or std::thread.
//
// A Team runs one function on every member at once ("one region over many steps"); inside, members share
// loops with for_each and meet at barriers. What a chunk computes never depends on the number of members.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>

#include "base/poll.hpp"

namespace retrograd {

struct TeamState;  // what the members of one region share

class Member {
  public:
    Member(int index, int size, TeamState* state) : index_(index), size_(size), state_(state) {}

    [[nodiscard]] int index() const { return index_; }
    [[nodiscard]] int size() const { return size_; }

    // f(i) for this member's share of 0 <= i < count: contiguous, fixed by index and size.
    template <class F>
    void for_each(std::int64_t count, F&& f) const {
        if (size_ == 1) {
            for (std::int64_t i = 0; i < count; ++i) f(i);
            return;
        }
        const std::int64_t first = count * index_ / size_;
        const std::int64_t last = count * (index_ + 1) / size_;
        for (std::int64_t i = first; i < last; ++i) f(i);
    }

    // f(begin, end) for this member's share of 0 <= i < count, cut at multiples of `grain`.
    template <class F>
    void for_range(std::int64_t count, std::int64_t grain, F&& f) const {
        if (size_ == 1) {
            if (count > 0) f(std::int64_t{0}, count);
            return;
        }
        const std::int64_t chunks = (count + grain - 1) / grain;
        const std::int64_t first = chunks * index_ / size_ * grain;
        const std::int64_t last = chunks * (index_ + 1) / size_ * grain;
        if (first < last && first < count) f(first, last < count ? last : count);
    }

    // Waits for all members. Throws where another member failed, so that nobody waits for ever.
    void barrier() const {
        if (size_ > 1) wait();
    }

    // Between pieces of long work: throws where the caller wants to stop, or where another member failed.
    void poll(std::int64_t multiply_adds) const {
        if (poll_ != nullptr) (*poll_)(multiply_adds);
        if (size_ > 1) leave_if_aborted();
    }

    // The same member, which asks whether to stop. Only the one that runs in the caller's thread may.
    [[nodiscard]] Member asking(Poll* poll) const {
        Member member = *this;
        member.poll_ = poll;
        return member;
    }

    static Member alone() { return Member(0, 1, nullptr); }

  private:
    void wait() const;
    void leave_if_aborted() const;

    int index_;
    int size_;
    TeamState* state_;
    Poll* poll_ = nullptr;
};

// CPUs this process may use: the affinity mask, the cgroup quota and OMP_NUM_THREADS, whichever is least; at
// least 1.
[[nodiscard]] int available_threads();

// Runs f(member) on `threads` members at once, the caller being member 0; returns how many there really were.
// The first exception of any member is rethrown here. A region inside a region, and any region in a forked
// child whose pool could not be paused, runs in fresh threads.
int run_team(int threads, const std::function<void(const Member&)>& f);

// Makes forked children safe; idempotent, called when the library is loaded.
void install_fork_handlers();

// "openmp", "threads" or "serial".
[[nodiscard]] const char* parallel_backend();

}  // namespace retrograd
