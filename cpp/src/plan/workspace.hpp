// A Workspace holds what changes while a plan runs: values, deltas, saved data, and how many samples there are.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <retrograd/plan.hpp>

#include "base/aligned_buffer.hpp"
#include "base/parallel.hpp"

namespace retrograd {

// Asks now and then whether the caller wants to stop; throws Interrupted where it does. Only member 0 polls: its
// exception ends the region for all.
class Poll {
  public:
    explicit Poll(const std::function<bool()>* stop = nullptr) : stop_(stop), last_(Clock::now()) {}

    // `work`: multiply-adds since the last call. The clock is read about every 20 us, the caller asked every 50 ms.
    void operator()(std::int64_t work) {
        if (stop_ == nullptr) return;
        work_ += work;
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

template <class T>
struct Storage {  // what outlives a workspace: the model's flat buffers
    std::span<T> parameters, gradients, constants;
};

template <class T>
class Workspace {
  public:
    Workspace(std::shared_ptr<const Plan> plan, Storage<T> storage, int members);

    // Makes room for `batch` samples and binds every span. Growing allocates; a smaller batch is free.
    void bind(std::int64_t batch);

    [[nodiscard]] const Plan& plan() const { return *plan_; }
    [[nodiscard]] std::int64_t batch() const { return batch_; }
    [[nodiscard]] int members() const { return members_; }
    [[nodiscard]] std::int64_t arena_bytes() const { return arena_.size() * static_cast<std::int64_t>(sizeof(T)); }

    // The bound buffers; valid until the next bind that grows. A node without one has an empty span.
    [[nodiscard]] std::span<T> value(int node);
    [[nodiscard]] std::span<T> delta(int node);
    [[nodiscard]] std::span<std::int32_t> index(int node);

    // Reads an input in place instead of from the arena, until the next bind.
    void read_input(int node, std::span<const T> values);

    // Called by one thread before forward, with a barrier (or the beginning of the region) behind it.
    void prepare(bool training, bool accumulate);

    // Every member of a team calls these; they end with a barrier. `poll` is null for members that do not poll.
    void forward(const Member& member, Poll* poll);
    void backward(const Member& member, Poll* poll);

  private:
    void bind_step(std::size_t s);

    std::shared_ptr<const Plan> plan_;
    Storage<T> storage_;
    int members_;
    std::int64_t capacity_ = 0, batch_ = 0;
    Plan::Layout layout_;
    AlignedBuffer<T> arena_, scratch_;
    AlignedBuffer<std::int32_t> indices_;
    std::vector<std::int64_t> index_offsets_;  // per node; -1 for none

    struct Record {
        Run<T> run;
        std::vector<Input> operands;
        std::vector<std::span<const T>> x;
        std::vector<std::span<const std::int32_t>> index;
        std::vector<std::span<T>> dx;
        std::vector<std::uint8_t> accumulate, accumulate_parameters;  // the second: parameters keep what they have
        std::vector<std::span<T>> repeated;
        std::int64_t cost = 0;  // of one sample
    };
    std::vector<Record> records_;
    std::vector<std::span<T>> member_scratch_;
};

}  // namespace retrograd
