// Indices become numbers: a row of a table for each, or a row with a single 1.
//
//   gather:   y[i] = table[index[i]]    dtable[k] = sum of dy[i] where index[i] = k, in the order of i
//   one_hot:  y[i] = 1 at index[i], else 0
//
// Backward of gather sorts the positions i by their row, so that each row's sum is one member's, and notes
// which rows it wrote: what a step costs need not depend on how large the table is.
//
// An index outside of the table gives a row of zeros and no gradient: batches are checked before they come
// here, but no number in a file or a constant may reach beyond an array.
#include <algorithm>
#include <array>

#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

struct Place {  // one use of a row
    std::int32_t row, position;
};

// The places of an index in the order of their rows, those of a row in the order of their positions: a sort
// by one byte after the other, which keeps equal ones in order. `room` holds twice as many. What is outside
// of the table comes last, as row `rows`.
std::span<const Place> sort_places(std::span<const std::int32_t> index, std::int64_t rows, Place* room) {
    const auto n = std::ssize(index);
    Place *from = room, *to = room + n;
    for (std::int64_t i = 0; i < n; ++i) {
        const std::int32_t row = index[static_cast<std::size_t>(i)];
        const bool inside = row >= 0 && row < rows;
        from[i] = {inside ? row : static_cast<std::int32_t>(rows), static_cast<std::int32_t>(i)};
    }
    for (int shift = 0; shift < 32 && (rows >> shift) != 0; shift += 8) {
        const auto digit = [&](const Place& place) {
            return static_cast<std::size_t>(static_cast<std::uint32_t>(place.row) >> shift & 255u);
        };
        std::array<std::int64_t, 257> start{};
        for (std::int64_t i = 0; i < n; ++i) ++start[digit(from[i]) + 1];
        for (std::size_t d = 1; d < start.size(); ++d) start[d] += start[d - 1];
        for (std::int64_t i = 0; i < n; ++i) to[start[digit(from[i])]++] = from[i];
        std::swap(from, to);
    }
    return {from, static_cast<std::size_t>(n)};
}

void note(std::span<const Place> places, std::int64_t rows, bool adds, TouchedRows& touched) {
    if (!adds) {
        touched.all = false;
        touched.list.clear();
    }
    if (touched.all) return;
    const auto before = std::ssize(touched.list);
    for (std::size_t i = 0; i < places.size() && places[i].row < rows; ++i) {
        if (i > 0 && places[i].row == places[i - 1].row) continue;
        if (std::ssize(touched.list) == TouchedRows::most(rows)) {
            touched.all = true;
            return;
        }
        touched.list.push_back(places[i].row);
    }
    if (before == 0) return;
    std::ranges::sort(touched.list);
    const auto rest = std::unique(touched.list.begin(), touched.list.end());
    touched.list.erase(rest, touched.list.end());
}

Op::Range rows_of(std::int64_t count) {  // and no index outside
    return {.low = 0, .high = static_cast<double>(count - 1), .bounded = true, .ignore = 0};
}

class Gather : public OpBase<Gather> {
  public:
    [[nodiscard]] std::string_view name() const override { return "gather"; }
    [[nodiscard]] bool differentiable(std::size_t operand) const override { return operand == 0; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 2, who);
        expect_real(inputs[0], "the table", who);
        expect_index(inputs[1], "the index", who);
        const Shape& table = inputs[0].shape;
        if (table.batched || table.rank() == 0) {
            throw ShapeError(text(who, ": the table is ", table.str(),
                                  ", expected (rows, ...), the same for all samples"));
        }
        Shape y = inputs[1].shape;
        y.dims.insert(y.dims.end(), table.dims.begin() + 1, table.dims.end());
        return y;
    }
    [[nodiscard]] Range range(std::span<const Input> inputs, std::size_t operand) const override {
        if (operand != 1) return {0, 0};
        return rows_of(inputs[0].shape.dims[0]);
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const std::int64_t rows = r.inputs[0].shape.dims[0], n = std::ssize(r.x[0]) / rows;
        const auto index = r.index[1];
        member.for_range(std::ssize(index), row_chunk(n), [&](std::int64_t i, std::int64_t end) {
            for (; i < end; ++i) {
                const std::int64_t row = index[static_cast<std::size_t>(i)];
                if (row >= 0 && row < rows)
                    std::copy_n(r.x[0].data() + row * n, n, r.y.data() + i * n);
                else
                    std::fill_n(r.y.data() + i * n, n, T(0));
            }
        });
    }

    [[nodiscard]] bool writes_rows() const override { return true; }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input> inputs, const Shape&,
                                           std::int64_t batch) const override {
        constexpr auto numbers = static_cast<std::int64_t>(2 * sizeof(Place) / sizeof(float));
        return checked_mul(elements(inputs[1].shape, batch), numbers);
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const std::int64_t rows = r.inputs[0].shape.dims[0], n = std::ssize(r.dx[0]) / rows;
        const bool adds = r.accumulate[0] != 0;
        auto* const room = reinterpret_cast<Place*>(r.shared.data());
        const std::span<const std::int32_t> index = r.index[1];
        if (member.index() == 0) {
            const std::span<const Place> sorted = sort_places(index, rows, room);
            if (sorted.data() != room) std::ranges::copy(sorted, room);
        }
        if (!adds) forget(r, n, member);
        member.barrier();
        const std::span<const Place> places(room, index.size());
        if (member.index() == 0 && r.touched != nullptr) note(places, rows, adds, *r.touched);
        const std::int64_t end = share_begins(places, member.index() + 1, member.size());
        T* const dtable = r.dx[0].data();
        for (std::int64_t i = share_begins(places, member.index(), member.size()); i < end; ++i) {
            const Place place = places[static_cast<std::size_t>(i)];
            if (place.row == rows) break;
            kernels<T>().add(r.dy.data() + place.position * n, dtable + place.row * n, n);
        }
    }

  private:
    // Clears what the backward before this one wrote.
    template <class T>
    static void forget(const Run<T>& r, std::int64_t n, const Member& member) {
        if (r.touched == nullptr || r.touched->all) return clear(r.dx[0], member);
        const std::vector<std::int32_t>& list = r.touched->list;
        member.for_each(std::ssize(list), [&](std::int64_t i) {
            std::fill_n(r.dx[0].data() + list[static_cast<std::size_t>(i)] * n, n, T(0));
        });
    }

    // Where a member's share of the places begins: with the first place of a row.
    static std::int64_t share_begins(std::span<const Place> places, int index, int size) {
        auto i = places.size() * static_cast<std::size_t>(index) / static_cast<std::size_t>(size);
        while (i > 0 && i < places.size() && places[i].row == places[i - 1].row) ++i;
        return static_cast<std::int64_t>(i);
    }
};

class OneHot : public OpBase<OneHot> {
  public:
    explicit OneHot(std::int64_t count) : count_(count) {}

    [[nodiscard]] std::string_view name() const override { return "one_hot"; }
    [[nodiscard]] bool differentiable(std::size_t) const override { return false; }
    [[nodiscard]] Attributes attributes() const override { return {{"count", count_}}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_index(inputs[0], "the index", who);
        Shape y = inputs[0].shape;
        y.dims.push_back(count_);
        return y;
    }
    [[nodiscard]] Range range(std::span<const Input>, std::size_t) const override { return rows_of(count_); }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const auto index = r.index[0];
        member.for_range(std::ssize(index), row_chunk(count_), [&](std::int64_t i, std::int64_t end) {
            std::fill_n(r.y.data() + i * count_, (end - i) * count_, T(0));
            for (; i < end; ++i) {
                const std::int64_t at = index[static_cast<std::size_t>(i)];
                if (at >= 0 && at < count_) r.y[static_cast<std::size_t>(i * count_ + at)] = T(1);
            }
        });
    }

    template <class T>
    void run_backward(const Run<T>&, const Member&) const {}

  private:
    std::int64_t count_;
};

}  // namespace

OpPtr make_gather(const Attributes& attributes) {
    allow_attributes(attributes, "gather", {});
    return std::make_shared<Gather>();
}

OpPtr make_one_hot(const Attributes& attributes) {
    allow_attributes(attributes, "one_hot", {"count"});
    const std::int64_t count = get_int(attributes, "count");
    if (count < 1) throw ArgumentError(text("one_hot: count is ", count, ", expected at least 1"));
    return std::make_shared<OneHot>(count);
}

}  // namespace retrograd
