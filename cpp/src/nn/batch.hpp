// Batches are gathered from the caller's own arrays: row by row, converted on the way, checked on the way.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <retrograd/data.hpp>
#include <retrograd/op.hpp>
#include <retrograd/plan.hpp>

#include "base/parallel.hpp"
#include "plan/workspace.hpp"

namespace retrograd {

// One array that feeds one input node.
struct Feed {
    const ArrayView* array;
    int node;
    Op::Range range;  // what its values may be
};

// The rows of one batch: listed, or `count` rows from `first` on.
struct Rows {
    const std::int64_t* list = nullptr;
    std::int64_t first = 0;
    std::int64_t count = 0;

    [[nodiscard]] std::int64_t operator[](std::int64_t i) const { return list ? list[i] : first + i; }
};

// The first row with a value that cannot be used; shared by the members of a team.
class BadRow {
  public:
    void report(std::int64_t feed, std::int64_t position) {
        const std::int64_t key = feed << 40 | position;
        std::int64_t seen = key_.load(std::memory_order_relaxed);
        while (key < seen && !key_.compare_exchange_weak(seen, key, std::memory_order_relaxed)) {
        }
    }
    [[nodiscard]] bool any() const { return key_.load(std::memory_order_relaxed) != none; }
    [[nodiscard]] std::size_t feed() const { return static_cast<std::size_t>(key_.load() >> 40); }
    [[nodiscard]] std::int64_t position() const { return key_.load() & ((std::int64_t{1} << 40) - 1); }

  private:
    static constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();
    std::atomic<std::int64_t> key_{none};
};

// Every member takes its share of the rows of every feed. No barrier is made here.
template <class T>
void gather(std::span<const Feed> feeds, const Rows& rows, Workspace<T>& workspace, const Member& member,
            BadRow& bad);

// Throws the ArgumentError that says which value of which row stood in the way.
template <class T>
[[noreturn]] void throw_bad_row(std::span<const Feed> feeds, const Rows& rows, const BadRow& bad);

// What the consumers of an input allow it to be.
[[nodiscard]] Op::Range range_of(const Plan& plan, int input);

// Rows, rank and sample shape as the node expects them; a missing last axis of length 1 is filled in.
// Throws ShapeError or DTypeError.
[[nodiscard]] ArrayView fitted(const ArrayView& array, const GraphNode& node);

}  // namespace retrograd
