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

// How an array fills its input node, decided once: good for as long as the workspace stays bound as it is.
template <class T>
class FeedReader {
  public:
    FeedReader(const Feed& feed, Workspace<T>& workspace);

    // By every member, for its share of the rows. A row that cannot be used is reported as feed `number`'s.
    void read(const Rows& rows, const Member& member, std::int64_t number, BadRow& bad) const {
        if (values_ == nullptr && indices_ == nullptr) return;  // an input that this plan does not read
        member.for_range(rows.count, grain_, [&](std::int64_t begin, std::int64_t end) {
            const std::int64_t good = read_(*this, rows, begin, end);
            if (good < end) bad.report(number, good);
        });
    }

  private:
    // Reads the rows [begin, end) of a batch and returns the first that cannot be used, or `end`.
    using ReadRows = std::int64_t (*)(const FeedReader&, const Rows&, std::int64_t begin, std::int64_t end);

    template <class S>
    static ReadRows plain(bool index);
    template <class S>
    static std::int64_t plain_values(const FeedReader&, const Rows&, std::int64_t begin, std::int64_t end);
    template <class S>
    static std::int64_t plain_indices(const FeedReader&, const Rows&, std::int64_t begin, std::int64_t end);
    static std::int64_t long_rows(const FeedReader&, const Rows&, std::int64_t begin, std::int64_t end);
    static std::int64_t any_values(const FeedReader&, const Rows&, std::int64_t begin, std::int64_t end);
    static std::int64_t any_indices(const FeedReader&, const Rows&, std::int64_t begin, std::int64_t end);

    ReadRows read_;
    const ArrayView* array_;
    Op::Range range_;
    std::int64_t size_;   // elements of a row
    std::int64_t grain_;  // rows that one member reads together
    std::int64_t step_;   // bytes from row to row
    bool is_dense_;       // there is nothing between the rows
    T* values_ = nullptr;
    std::int32_t* indices_ = nullptr;
    bool (*convert_)(const void*, T*, std::int64_t) = nullptr;
};

// The same once, for every feed. No barrier is made here.
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
