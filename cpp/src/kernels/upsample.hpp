// Larger images by linear interpolation along both axes, and the way back.
//
// Output o of an axis looks at the input place s = (o + 1/2) / factor - 1/2, kept within [0, n - 1]: the
// weight of input i is 1 - |s - i| where that is positive. Places are counted in halves of 1 / factor, which
// are integers, so that every weight is one division.
#pragma once

#include "kernels/pool.hpp"

namespace retrograd::RG_ISA {
namespace {

template <class T>
struct Interpolation {  // along one axis
    std::int64_t factor, inputs;
    T* weights;  // for each distance of 0 .. unit()

    RG_MEMBER Interpolation(std::int64_t f, std::int64_t n, T* table) : factor(f), inputs(n), weights(table) {
        for (std::int64_t d = 0; d <= unit(); ++d)
            weights[d] = static_cast<T>(unit() - d) / static_cast<T>(unit());
    }
    [[nodiscard]] RG_MEMBER std::int64_t unit() const { return 2 * factor; }
    [[nodiscard]] RG_MEMBER std::int64_t place(std::int64_t o) const {
        const std::int64_t s = 2 * o + 1 - factor, last = unit() * (inputs - 1);
        return s < 0 ? 0 : s > last ? last : s;
    }
    // The outputs that input i has a part in: [begin(i), end(i)).
    [[nodiscard]] RG_MEMBER std::int64_t begin(std::int64_t i) const {
        return i == 0 ? 0 : factor * (i - 1) + (factor + 1) / 2;
    }
    [[nodiscard]] RG_MEMBER std::int64_t end(std::int64_t i) const {
        return i == inputs - 1 ? factor * inputs : factor * (i + 1) + factor / 2;
    }
    [[nodiscard]] RG_MEMBER Vec<T> weight(std::int64_t distance) const {
        return broadcast(weights[distance < 0 ? -distance : distance]);
    }
};

// What both need to work: the weights of both axes, a row, and a vector behind it.
template <class T>
std::int64_t bilinear_scratch_size(const Upsampling& u) {
    return 2 * (u.factor_h + u.factor_w + 1) + u.width * u.factor_w * u.channels + lanes<T>;
}

// The rows of y [row, end): first along the columns, then along the row.
template <class T>
void bilinear(const Upsampling& u, const T* x, T* y, T* scratch, std::int64_t row, std::int64_t end) {
    const Interpolation<T> down(u.factor_h, u.height, scratch);
    const Interpolation<T> along(u.factor_w, u.width, scratch + down.unit() + 1);
    T* const line = along.weights + along.unit() + 1;
    const std::int64_t columns = u.width * u.factor_w, length = u.width * u.channels;
    const std::int64_t rows = u.height * u.factor_h;
    const std::int64_t room = columns * u.channels - whole_blocks<T>(u.channels);
    for (; row < end; ++row) {
        const std::int64_t s = down.place(row % rows), i = s / down.unit(), rest = s - i * down.unit();
        const T* upper = x + (row / rows * u.height + i) * length;
        const T* lower = rest == 0 ? upper : upper + length;
        const Vec<T> near = down.weight(rest), far = down.weight(down.unit() - rest);
        for (std::int64_t k = 0; k < length; k += lanes<T>) {
            const std::int64_t left = length - k;
            store_next(line + k, fma(far, load_next(lower + k, left), near * load_next(upper + k, left)),
                       left);
        }
        T* to = y + row * columns * u.channels;
        std::int64_t j = 0;
        for (std::int64_t o = 0; o < columns; ++o, to += u.channels) {
            const std::int64_t at = along.place(o);
            if (at - j * along.unit() >= along.unit()) ++j;
            const std::int64_t part = at - j * along.unit();
            const T* from = line + j * u.channels;
            const T* next = part == 0 ? from : from + u.channels;
            const Vec<T> here = along.weight(part), there = along.weight(along.unit() - part);
            const bool whole = o * u.channels <= room;
            for (std::int64_t c = 0; c < u.channels; c += lanes<T>) {
                const Vec<T> v = fma(there, load(next + c), here * load(from + c));
                if (whole) {
                    store(to + c, v);
                } else {
                    store_next(to + c, v, u.channels - c);
                }
            }
        }
    }
}

// The rows of dx [row, end), in the same order.
template <class T>
void bilinear_backward(const Upsampling& u, const T* dy, T* dx, T* scratch, std::int64_t row,
                       std::int64_t end, bool accumulate) {
    const Interpolation<T> down(u.factor_h, u.height, scratch);
    const Interpolation<T> along(u.factor_w, u.width, scratch + down.unit() + 1);
    T* const line = along.weights + along.unit() + 1;
    const std::int64_t length = u.width * u.factor_w * u.channels;
    const std::int64_t room = u.width * u.channels - whole_blocks<T>(u.channels);
    for (; row < end; ++row) {
        const std::int64_t i = row % u.height;
        const T* from = dy + row / u.height * u.height * u.factor_h * length;
        for (std::int64_t k = 0; k < length; k += lanes<T>) {
            Vec<T> total{};
            for (std::int64_t o = down.begin(i); o < down.end(i); ++o) {
                const Vec<T> weight = down.weight(down.place(o) - i * down.unit());
                total = fma(weight, load_next(from + o * length + k, length - k), total);
            }
            store_next(line + k, total, length - k);
        }
        T* to = dx + row * u.width * u.channels;
        for (std::int64_t j = 0; j < u.width; ++j, to += u.channels) {
            const bool whole = !accumulate && j * u.channels <= room;
            for (std::int64_t c = 0; c < u.channels; c += lanes<T>) {
                const std::int64_t left = u.channels - c;
                Vec<T> total{};
                for (std::int64_t o = along.begin(j); o < along.end(j); ++o) {
                    const Vec<T> weight = along.weight(along.place(o) - j * along.unit());
                    total = fma(weight, load(line + o * u.channels + c), total);
                }
                if (accumulate) total = load_next<T>(to + c, left) + total;
                if (whole) {
                    store(to + c, total);
                } else {
                    store_next(to + c, total, left);
                }
            }
        }
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
