// Sums over some axes of an array, in an order that depends on the shape alone.
//
// Neighbouring axes that are both summed or both kept are one group; the innermost groups are one call of a
// kernel (a sum of a row, or sums of columns), the outer ones loops. Where few results have many terms, the
// outermost group is cut into at most 16 parts, whose sums are then added in order.
#pragma once

#include "ops/strides.hpp"

namespace retrograd {

class AxisSum {
  public:
    // The next axis, from the last to the first.
    void push(std::int64_t n, bool summed) {
        if (n == 1) return;
        (summed ? terms_ : outputs_) *= n;
        if (groups_ > 0 && summed_[groups_ - 1] == summed) {
            size_[groups_ - 1] *= n;
            return;
        }
        size_[groups_] = n;
        summed_[groups_] = summed;
        ++groups_;
    }

    [[nodiscard]] std::int64_t outputs() const { return outputs_; }
    [[nodiscard]] std::int64_t terms() const { return terms_; }  // of one output
    [[nodiscard]] std::int64_t shared_size() const { return parts() > 1 ? parts() * outputs_ : 0; }

    // y = sum of x, or y += sum of x. With parts, the members meet once in here.
    template <class T>
    void run(const T* x, T* y, bool accumulate, T* shared, const Member& member) const {
        if (terms_ == 1) {
            member.for_range(outputs_, chunk,
                             [&](auto i, auto end) { copy(x + i, y + i, end - i, accumulate); });
            return;
        }
        const std::int64_t outermost = size_[groups_ - 1];
        const std::int64_t panels = ceil_div(columns(), panel), pieces = outputs_ / columns() * panels;
        if (parts() == 1) {
            member.for_each(pieces, [&](std::int64_t i) {
                add_up(x, y, accumulate, i / panels, i % panels, 0, outermost);
            });
            return;
        }
        const std::int64_t count = parts();
        member.for_each(count * pieces, [&](std::int64_t i) {
            const std::int64_t part = i / pieces, piece = i % pieces;
            add_up(x, shared + part * outputs_, false, piece / panels, piece % panels,
                   outermost * part / count, outermost * (part + 1) / count);
        });
        member.barrier();
        member.for_range(outputs_, panel, [&](std::int64_t i, std::int64_t end) {
            kernels<T>().sum_columns(shared + i, outputs_, count, end - i, y + i, accumulate);
        });
    }

  private:
    static constexpr std::int64_t panel = 256;  // columns that are summed together

    [[nodiscard]] std::int64_t columns() const { return groups_ > 0 && !summed_[0] ? size_[0] : 1; }

    [[nodiscard]] std::int64_t parts() const {
        constexpr std::int64_t few_outputs = 1024, many_terms = 32768;
        if (groups_ == 0 || !summed_[groups_ - 1] || outputs_ > few_outputs) return 1;
        return std::clamp<std::int64_t>(outputs_ * terms_ / many_terms, 1,
                                        std::min<std::int64_t>(16, size_[groups_ - 1]));
    }

    // One block of outputs, restricted to [first, last) of the outermost group where that is summed.
    template <class T>
    void add_up(const T* x, T* y, bool accumulate, std::int64_t block, std::int64_t panel_index,
                std::int64_t first, std::int64_t last) const {
        const Kernels<T>& k = kernels<T>();
        const bool by_columns = !summed_[0];
        const int row_group = by_columns ? 1 : 0, outer = row_group + 1;
        const std::int64_t width = columns(), column = panel_index * panel,
                           n = std::min(panel, width - column);
        y += block * width + column;
        x += column;

        // Where the block begins, and how many rows of blocks are added up in it.
        std::int64_t stride = width * size_[row_group], slices = 1;
        for (int g = outer; g < groups_; ++g) {
            if (summed_[g]) {
                slices *= size_[g];
            } else {
                x += block % size_[g] * stride;
                block /= size_[g];
            }
            stride *= size_[g];
        }
        std::int64_t row = 0, rows = size_[row_group], slice = 0;
        if (row_group == groups_ - 1) {
            row = first;
            rows = last - first;
        } else if (summed_[groups_ - 1]) {
            slice = slices / size_[groups_ - 1] * first;
            slices = slices / size_[groups_ - 1] * last;
        }
        for (; slice < slices; ++slice) {
            const T* from = x + slice_offset(slice, outer) + row * width;
            if (by_columns) {
                k.sum_columns(from, width, rows, n, y, accumulate);
            } else {
                *y = (accumulate ? *y : T(0)) + k.sum(from, rows);
            }
            accumulate = true;
        }
    }

    [[nodiscard]] std::int64_t slice_offset(std::int64_t slice, int outer) const {
        std::int64_t offset = 0, stride = 1;
        for (int g = 0; g < groups_; ++g) {
            if (g >= outer && summed_[g]) {
                offset += slice % size_[g] * stride;
                slice /= size_[g];
            }
            stride *= size_[g];
        }
        return offset;
    }

    int groups_ = 0;
    std::int64_t outputs_ = 1, terms_ = 1;
    std::array<std::int64_t, max_axes> size_{};
    std::array<bool, max_axes> summed_{};
};

// The sum of a gradient over the axes along which an operand was repeated.
template <int N>
[[nodiscard]] AxisSum sum_of_repeats(const Strides<N>& strides, int operand) {
    AxisSum sum;
    for (int axis = 0; axis < strides.axes(); ++axis)
        sum.push(strides.size(axis), strides.step(operand, axis) == 0);
    return sum;
}

}  // namespace retrograd
