// The convolution of an image of one channel with few filters, stride 1: neither channels nor filters fill a
// vector, so vectors hold neighbouring places instead.
//
// Rows of the padded image lie one after the other, and what a tap sees of it is the same image from another
// beginning: place t = oy width + ox of the result reads x[t + ky d width + kx d]. Each filter has a plane of
// its own; the places between the rows of the result are computed, and left out where the planes are turned.
#pragma once

#include "ops/convolution.hpp"

namespace retrograd::planar {

constexpr std::int64_t sum_lanes = 16;
constexpr std::int64_t most_filters = 8, most_taps = 128, most_parts = 16;
constexpr std::int64_t most_places = 8192;  // in a band

[[nodiscard]] constexpr std::int64_t whole_sums(std::int64_t n) { return ceil_div(n, sum_lanes) * sum_lanes; }

[[nodiscard]] inline bool fits(const ConvSizes& s) {
    return s.channels == 1 && s.groups == 1 && s.h.stride == 1 && s.w.stride == 1 &&
           s.filters <= most_filters && s.taps() <= most_taps && s.w.out >= 8;
}

struct Layout {
    std::int64_t rows, width;  // of a band; of the padded image
    std::int64_t seen;         // elements of a band of the image, with what vectors read beyond it
    std::int64_t places;       // of a plane

    explicit Layout(const ConvSizes& s)
        : rows(std::clamp<std::int64_t>(most_places / s.row(), 1, s.h.out)),
          width(s.row()),
          seen(whole_sums((rows + s.h.span()) * width + s.w.span() + sum_lanes)),
          places(whole_sums(rows * width)) {}

    [[nodiscard]] std::int64_t scratch(const ConvSizes& s) const { return seen + s.filters * places; }
    // Places of the first `some` rows, in whole groups of lanes.
    [[nodiscard]] std::int64_t first(const ConvSizes& s, std::int64_t some) const {
        return whole_sums((some - 1) * width + s.w.out);
    }
};

[[nodiscard]] inline std::int64_t scratch_size(const ConvSizes& s) { return Layout(s).scratch(s); }

[[nodiscard]] inline std::int64_t parts(const ConvSizes& s) {
    return std::clamp<std::int64_t>(s.batch, 1, most_parts);
}
[[nodiscard]] inline std::int64_t shared_size(const ConvSizes& s) {
    return (parts(s) + 1) * s.weights() * sum_lanes;
}

// What the rows [first, last) of the result see of an image, and zeros behind it.
template <class T>
void copy_band(const ConvSizes& s, const Layout& layout, const T* image, std::int64_t first,
               std::int64_t last, T* to) {
    const T* const end = to + layout.seen;
    const std::int64_t needed = last - first - 1 + s.h.span(), top = first - s.h.before;
    if (!s.is_padded()) {
        to = std::copy_n(image + top * s.w.in, needed * s.w.in, to);
    } else {
        for (std::int64_t i = top; i < top + needed; ++i, to += layout.width) {
            if (i < 0 || i >= s.h.in) {
                std::fill_n(to, layout.width, T(0));
                continue;
            }
            std::fill_n(to, s.w.before, T(0));
            std::copy_n(image + i * s.w.in, s.w.in, to + s.w.before);
            std::fill_n(to + s.w.before + s.w.in, layout.width - s.w.before - s.w.in, T(0));
        }
    }
    std::fill_n(to, end - to, T(0));
}

// z = x * W + b for the rows [first, last) of one image; z is where they begin
template <class T>
void correlate_band(const ConvSizes& s, const T* image, const T* weight, const T* bias, std::int64_t first,
                    std::int64_t last, T* z, T* scratch) {
    const Layout layout(s);
    T *const seen = scratch, *const planes = scratch + layout.seen;
    copy_band(s, layout, image, first, last, seen);
    GridProduct<T> p{};
    p.m = s.filters, p.n = layout.first(s, last - first);
    p.count[0] = s.h.kernel, p.count[1] = 1, p.count[2] = s.w.kernel;
    p.a = weight, p.a_row = s.taps();
    p.a_step[0] = s.w.kernel, p.a_step[2] = 1;
    p.b = seen;
    p.b_step[0] = s.h.dilation * layout.width, p.b_step[2] = s.w.dilation;
    p.c = planes, p.c_row = layout.places;
    p.before = bias, p.before_row = 1, p.before_column = 0;
    p.b_has_whole_vectors = true;
    kernels<T>().grid_product(p);
    for (std::int64_t i = 0; i < last - first; ++i) {
        kernels<T>().transpose(planes + i * layout.width, layout.places, s.filters, s.w.out,
                               z + i * s.w.out * s.filters, s.filters);
    }
}

// Adds what the images [begin, end) give to `sums`, 16 lanes for each weight.
template <class T>
void add_gradients(const ConvSizes& s, const T* x, const T* dy, std::int64_t begin, std::int64_t end, T* sums,
                   T* scratch, const Member& member) {
    const Layout layout(s);
    T *const seen = scratch, *const planes = scratch + layout.seen;
    std::fill_n(sums, s.weights() * sum_lanes, T(0));
    std::fill_n(planes, s.filters * layout.places, T(0));  // so that places between rows stay zero
    SlidingDots<T> p{};
    p.m = s.filters, p.shifts = s.w.kernel;
    p.a = planes, p.a_row = layout.places;
    p.shift = s.w.dilation;
    p.c_row = s.taps();
    const std::int64_t row = s.w.out * s.filters;
    for (std::int64_t image = begin; image < end; ++image) {
        for (std::int64_t first = 0; first < s.h.out; first += layout.rows) {
            const std::int64_t last = std::min(first + layout.rows, s.h.out);
            copy_band(s, layout, x + image * s.image(), first, last, seen);
            for (std::int64_t i = 0; i < last - first; ++i) {
                kernels<T>().transpose(dy + image * s.result() + (first + i) * row, s.filters, s.w.out,
                                       s.filters, planes + i * layout.width, layout.places);
            }
            p.n = layout.first(s, last - first);
            for (std::int64_t f = 0; f < s.filters && last - first < layout.rows;
                 ++f) {  // of the band before
                const std::int64_t written = (last - first - 1) * layout.width + s.w.out;
                std::fill_n(planes + f * layout.places + written, layout.places - written, T(0));
            }
            for (std::int64_t ky = 0; ky < s.h.kernel; ++ky) {
                p.b = seen + ky * s.h.dilation * layout.width;
                p.c = sums + ky * s.w.kernel * sum_lanes;
                kernels<T>().sliding_dots(p);
            }
            member.poll((last - first) * row * s.taps());
        }
    }
}

template <class T>
void weight_gradients(const ConvSizes& s, const T* x, const T* dy, T* dW, bool accumulate,
                      const ConvMemory<T>& memory, const Member& member) {
    const std::int64_t count = parts(s), sums = s.weights() * sum_lanes;
    member.for_each(count, [&](std::int64_t part) {
        add_gradients(s, x, dy, s.batch * part / count, s.batch * (part + 1) / count,
                      memory.shared + part * sums, memory.scratch, member);
    });
    member.barrier();
    T* const total = memory.shared + count * sums;
    member.for_range(s.weights(), 4, [&](std::int64_t begin, std::int64_t end) {
        kernels<T>().sum_columns(memory.shared + begin * sum_lanes, sums, count, (end - begin) * sum_lanes,
                                 total + begin * sum_lanes, false);
        for (std::int64_t i = begin; i < end; ++i) {
            const T sum = kernels<T>().sum(total + i * sum_lanes, sum_lanes);
            dW[i] = accumulate ? dW[i] + sum : sum;
        }
    });
}

}  // namespace retrograd::planar
