// Walking over arrays whose axes are repeated, permuted or cut: strides of each operand for the axes of a
// result that lies row after row. Axes that fit together are merged, so that the innermost piece is as long
// as it can be.
#pragma once

#include <array>

#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

constexpr int max_rank = 8;             // axes of a sample, for the operations that walk
constexpr int max_axes = max_rank + 1;  // and the batch

void expect_rank(const Shape& shape, std::string_view who);  // throws ShapeError above max_rank

template <int N>
class Strides {
  public:
    using Offsets = std::array<std::int64_t, N>;

    // The next axis of the result, from the last to the first; `steps`: how far each operand moves along it.
    void push(std::int64_t n, const Offsets& steps) {
        if (n == 1) return;
        count_ *= n;
        if (axes_ > 0 && continues(steps)) {
            size_[axes_ - 1] *= n;
            return;
        }
        size_[axes_] = n;
        step_[axes_] = steps;
        ++axes_;
    }

    [[nodiscard]] std::int64_t count() const { return count_; }
    [[nodiscard]] int axes() const { return axes_; }
    [[nodiscard]] std::int64_t size(int axis) const { return size_[axis]; }  // axis 0 is the innermost
    [[nodiscard]] std::int64_t step(int operand, int axis = 0) const { return step_[axis][operand]; }
    [[nodiscard]] bool contiguous(int operand) const { return axes_ <= 1 && step_[0][operand] == 1; }
    [[nodiscard]] bool repeated(int operand) const {
        for (int axis = 0; axis < axes_; ++axis) {
            if (step_[axis][operand] == 0) return true;
        }
        return false;
    }

    // f(i, offsets, n) for the pieces of [begin, end) of the result along the innermost axis: elements i .. i
    // + n - 1 of the result, operands from `offsets` on.
    template <class F>
    void pieces(std::int64_t begin, std::int64_t end, F&& f) const {
        const std::int64_t length = size_[0];
        std::int64_t row = begin / length, column = begin % length;
        while (begin < end) {
            const std::int64_t n = std::min(length - column, end - begin);
            f(begin, offsets(row, column), n);
            begin += n;
            ++row;
            column = 0;
        }
    }

    [[nodiscard]] Offsets offsets(std::int64_t i) const { return offsets(i / size_[0], i % size_[0]); }

  private:
    [[nodiscard]] bool continues(const Offsets& steps) const {
        for (int o = 0; o < N; ++o) {
            if (steps[o] != step_[axes_ - 1][o] * size_[axes_ - 1]) return false;
        }
        return true;
    }

    [[nodiscard]] Offsets offsets(std::int64_t row, std::int64_t column) const {
        Offsets at{};
        for (int o = 0; o < N; ++o) at[o] = column * step_[0][o];
        for (int axis = 1; axis < axes_; ++axis) {
            const std::int64_t next = row / size_[axis], i = row - next * size_[axis];
            for (int o = 0; o < N; ++o) at[o] += i * step_[axis][o];
            row = next;
        }
        return at;
    }

    static constexpr Offsets ones() {
        Offsets one{};
        one.fill(1);
        return one;
    }

    int axes_ = 0;
    std::int64_t count_ = 1;
    std::array<std::int64_t, max_axes> size_{1};
    std::array<Offsets, max_axes> step_{ones()};
};

// The operands of a result as NumPy broadcasts them.
template <int N>
[[nodiscard]] Strides<N> broadcast_strides(std::span<const Input> inputs, const Shape& y,
                                           std::int64_t batch) {
    Strides<N> strides;
    typename Strides<N>::Offsets running{}, steps{};
    running.fill(1);
    for (std::int64_t axis = 0; axis < user_rank(y); ++axis) {  // from the last
        const auto size_in = [&](const Shape& shape) -> std::int64_t {
            if (axis == y.rank()) return shape.batched ? batch : 1;
            return axis < shape.rank() ? shape.dims[static_cast<std::size_t>(shape.rank() - 1 - axis)] : 1;
        };
        for (int o = 0; o < N; ++o) {
            const std::int64_t n = size_in(inputs[static_cast<std::size_t>(o)].shape);
            steps[o] = n == 1 ? 0 : running[o];
            running[o] *= n;
        }
        strides.push(size_in(y), steps);
    }
    return strides;
}

// y[i] = x[i * step] and the other way round: the rare loops that are not kernels.
template <class T>
void copy_from(const T* x, std::int64_t step, T* y, std::int64_t n) {
    if (step == 1)
        std::copy_n(x, n, y);
    else
        for (std::int64_t i = 0; i < n; ++i) y[i] = x[i * step];
}

template <class T>
void copy_to(const T* x, T* y, std::int64_t step, std::int64_t n, bool accumulate) {
    if (step == 1) return copy(x, y, n, accumulate);
    if (accumulate)
        for (std::int64_t i = 0; i < n; ++i) y[i * step] += x[i];
    else
        for (std::int64_t i = 0; i < n; ++i) y[i * step] = x[i];
}

// y = factor * x, or y += factor * x, where x is repeated along the axes of y that it does not have.
template <class T>
void repeat(const Strides<1>& strides, const T* x, T factor, T* y, bool accumulate, const Member& member) {
    member.for_range(strides.count(), chunk, [&](std::int64_t begin, std::int64_t end) {
        strides.pieces(begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
            if (strides.step(0) == 1) return kernels<T>().scale(x + at[0], factor, y + i, n, accumulate);
            const T value = factor * x[at[0]];
            if (accumulate)
                for (T& out : std::span(y + i, static_cast<std::size_t>(n))) out += value;
            else
                std::fill_n(y + i, n, value);
        });
    });
}

}  // namespace retrograd
