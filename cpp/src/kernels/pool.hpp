// Windows over images: the largest or the sum of each, and the way back.
//
// Channels are the lanes. A pixel of fewer channels than lanes is still worked on with whole vectors: what
// stands behind it belongs to the next pixel, which is written later. Only where a row ends are lanes masked.
#pragma once

#include "kernels/loops.hpp"
#include "kernels/table.hpp"

namespace retrograd::RG_ISA {
namespace {

template <class T>
RG_INLINE std::int64_t whole_blocks(std::int64_t channels) {
    return (channels + lanes<T> - 1) / lanes<T> * lanes<T>;
}

// `left` channels of a pixel from p on; with Whole there is a vector to read and to write.
template <bool Whole, class T>
RG_INLINE Vec<T> load_channels(const T* p, std::int64_t left) {
    if constexpr (Whole) return load(p);
    return load_next(p, left);
}

template <bool Whole, class T>
RG_INLINE void store_channels(T* p, Vec<T> v, std::int64_t left) {
    if constexpr (Whole) {
        store(p, v);
    } else {
        store_next(p, v, left);
    }
}

// The part of [begin, begin + size) that lies in [0, n).
struct Clipped {
    std::int64_t begin, end, skipped;

    RG_MEMBER Clipped(std::int64_t start, std::int64_t size, std::int64_t n)
        : begin(start < 0 ? 0 : start),
          end(start + size < n ? start + size : n),
          skipped(start < 0 ? -start : 0) {}
};

// The windows of an axis that hold element i; next() goes on to i + 1.
struct Holding {
    std::int64_t at, size, stride, windows, begin, end;

    RG_MEMBER Holding(std::int64_t i, std::int64_t window, std::int64_t step, std::int64_t padding,
                      std::int64_t count)
        : at(i + padding),
          size(window),
          stride(step),
          windows(count),
          begin(at < size ? 0 : (at - size) / stride + 1),
          end(at / stride + 1 < count ? at / stride + 1 : count) {}

    RG_MEMBER void next() {
        ++at;
        if (begin < windows && begin * stride + size <= at) ++begin;
        if (end < windows && end * stride <= at) ++end;
    }
};

// ---- from windows to one value each

// The largest, the first one among equals, and where it stands in its window; a NaN is larger than all.
template <class T>
struct WindowMaximum {
    static constexpr bool may_overshoot = true;
    T *y, *position;

    struct Value {
        Vec<T> best, at;
    };
    static RG_MEMBER Value first(Vec<T> v, Vec<T> tap) { return {v, tap}; }
    static RG_MEMBER void meet(Value& value, Vec<T> v, Vec<T> tap) {
        const Mask<T> larger = (v > value.best) | isnan(v);
        value.best = select(larger, v, value.best);
        value.at = select(larger, tap, value.at);
    }
    template <bool Whole>
    RG_MEMBER void write(std::int64_t offset, const Value& value, std::int64_t left) const {
        store_channels<Whole>(y + offset, value.best, left);
        store_channels<Whole>(position + offset, value.at, left);
    }
};

// The sum over a divisor; with Accumulate it is added to y.
template <class T, bool Accumulate>
struct WindowSum {
    static constexpr bool may_overshoot = !Accumulate;  // the next pixel is read before it is written
    T* y;
    T divisor;

    struct Value {
        Vec<T> total;
    };
    static RG_MEMBER Value first(Vec<T> v, Vec<T>) { return {v}; }
    static RG_MEMBER void meet(Value& value, Vec<T> v, Vec<T>) { value.total += v; }
    template <bool Whole>
    RG_MEMBER void write(std::int64_t offset, const Value& value, std::int64_t left) const {
        Vec<T> v = value.total / broadcast(divisor);
        if constexpr (Accumulate) v = load_channels<Whole, T>(y + offset, left) + v;
        store_channels<Whole>(y + offset, v, left);
    }
};

// Some channels of one window, as many vectors at once as hide the time that one comparison takes: `rows` x
// `columns` pixels from x on, the first of which is number `tap` of its window.
template <bool Whole, int Vectors, class T, class Window>
RG_INLINE void reduce_channels(const Pooling& p, const T* x, std::int64_t rows, std::int64_t columns, T tap,
                               std::int64_t offset, std::int64_t left, const Window& window) {
    typename Window::Value value[Vectors];
    Vec<T> row_tap = broadcast(tap);
    for (int v = 0; v < Vectors; ++v)
        value[v] = Window::first(load_channels<Whole>(x + v * lanes<T>, left), row_tap);
    for (std::int64_t i = 0; i < rows; ++i) {
        Vec<T> at = row_tap;
        for (std::int64_t j = 0; j < columns; ++j, at += broadcast(T(1))) {
            if (i == 0 && j == 0) continue;
            const T* from = x + (i * p.width + j) * p.channels;
            for (int v = 0; v < Vectors; ++v)
                Window::meet(value[v], load_channels<Whole>(from + v * lanes<T>, left), at);
        }
        row_tap += broadcast(static_cast<T>(p.size_w));
    }
    for (int v = 0; v < Vectors; ++v) window.template write<Whole>(offset + v * lanes<T>, value[v], left);
}

template <bool Whole, class T, class Window>
RG_INLINE void reduce_window(const Pooling& p, const T* x, std::int64_t rows, std::int64_t columns,
                             std::int64_t tap, std::int64_t offset, const Window& window) {
    const T first = static_cast<T>(tap);
    std::int64_t c = 0;
    if constexpr (Whole) {
        for (; c + lanes<T> < p.channels; c += 2 * lanes<T>)
            reduce_channels<true, 2>(p, x + c, rows, columns, first, offset + c, p.channels - c, window);
    }
    for (; c < p.channels; c += lanes<T>)
        reduce_channels<Whole, 1>(p, x + c, rows, columns, first, offset + c, p.channels - c, window);
}

template <class T, class Window>
RG_INLINE void reduce_row(const Pooling& p, const T* x, std::int64_t row, const Window& window) {
    const std::int64_t image = p.height * p.width * p.channels, blocks = whole_blocks<T>(p.channels);
    x += row / p.windows_h * image;
    const std::int64_t top = row % p.windows_h * p.stride_h - p.padding_h;
    const Clipped h(top, p.size_h, p.height);
    const std::int64_t rows = h.end - h.begin, out = row * p.windows_w * p.channels;
    const std::int64_t room = p.windows_w * p.channels - blocks;
    for (std::int64_t j = 0; j < p.windows_w; ++j) {
        const Clipped w(j * p.stride_w - p.padding_w, p.size_w, p.width);
        const T* from = x + (h.begin * p.width + w.begin) * p.channels;
        const std::int64_t columns = w.end - w.begin, tap = h.skipped * p.size_w + w.skipped;
        const std::int64_t last = ((h.end - 1) * p.width + w.end - 1) * p.channels;
        const std::int64_t offset = out + j * p.channels;
        if (!Window::may_overshoot || j * p.channels > room || last + blocks > image) {
            reduce_window<false>(p, from, rows, columns, tap, offset, window);
        } else if (rows == 2 && columns == 2) {
            reduce_window<true>(p, from, 2, 2, tap, offset, window);
        } else {
            reduce_window<true>(p, from, rows, columns, tap, offset, window);
        }
    }
}

template <class T>
void max_pool(const Pooling& p, const T* x, T* y, T* position, std::int64_t row, std::int64_t end) {
    for (; row < end; ++row) reduce_row(p, x, row, WindowMaximum<T>{y, position});
}

template <class T>
void sum_pool(const Pooling& p, const T* x, T divisor, T* y, std::int64_t row, std::int64_t end,
              bool accumulate) {
    for (; row < end; ++row) {
        if (accumulate) {
            reduce_row(p, x, row, WindowSum<T, true>{y, divisor});
        } else {
            reduce_row(p, x, row, WindowSum<T, false>{y, divisor});
        }
    }
}

// ---- and from one value for each window to its elements

template <class T>
struct MaximumShare {  // dy goes where the largest stood
    const T *dy, *position;

    template <bool Whole>
    RG_MEMBER Vec<T> of(std::int64_t offset, std::int64_t tap, std::int64_t left) const {
        const Vec<T> at = load_channels<Whole>(position + offset, left);
        return select(at == broadcast(static_cast<T>(tap)), load_channels<Whole>(dy + offset, left),
                      Vec<T>{});
    }
    RG_MEMBER Vec<T> scaled(Vec<T> v) const { return v; }
};

template <class T>
struct EqualShare {  // each has dy times a factor
    const T* dy;
    T factor;

    template <bool Whole>
    RG_MEMBER Vec<T> of(std::int64_t offset, std::int64_t, std::int64_t left) const {
        return load_channels<Whole>(dy + offset, left);
    }
    RG_MEMBER Vec<T> scaled(Vec<T> v) const { return v * broadcast(factor); }
};

// One row of an image, and the windows that hold parts of it.
template <class T, class Share, bool Accumulate>
struct RowSpread {
    const Pooling& p;
    const Share& share;
    T* dx;                      // the row
    std::int64_t first_window;  // the first row of windows of the image
    const Holding& h;           // rows of windows
    const Holding& first;       // windows that hold the first pixel of a row

    template <bool Whole>
    RG_MEMBER void write(std::int64_t offset, Vec<T> v, std::int64_t left) const {
        if constexpr (Accumulate) v = load_channels<Whole, T>(dx + offset, left) + v;
        store_channels<Whole>(dx + offset, v, left);
    }

    // Pixel j gets the sum over the windows [begin, end) of each row of windows, row after row.
    template <bool Whole>
    RG_MEMBER void pixel(std::int64_t j, std::int64_t begin, std::int64_t end) const {
        for (std::int64_t c = 0; c < p.channels; c += lanes<T>) {
            const std::int64_t left = p.channels - c;
            Vec<T> total{};
            for (std::int64_t a = h.begin; a < h.end; ++a) {
                for (std::int64_t b = begin; b < end; ++b) {
                    const std::int64_t tap =
                        (h.at - a * p.stride_h) * p.size_w + j + p.padding_w - b * p.stride_w;
                    total += share.template of<Whole>(((first_window + a) * p.windows_w + b) * p.channels + c,
                                                      tap, left);
                }
            }
            write<Whole>(j * p.channels + c, share.scaled(total), left);
        }
    }

    RG_MEMBER void any_windows() const {
        const std::int64_t blocks = whole_blocks<T>(p.channels);
        const std::int64_t room = p.width * p.channels - blocks, room_dy = p.windows_w * p.channels - blocks;
        Holding w = first;
        for (std::int64_t j = 0; j < p.width; ++j, w.next()) {
            if (!Accumulate && j * p.channels <= room && (w.end - 1) * p.channels <= room_dy) {
                pixel<true>(j, w.begin, w.end);
            } else {
                pixel<false>(j, w.begin, w.end);
            }
        }
    }

    // Windows side by side from the first pixel on, one row of them: each pixel has one window.
    template <bool Whole>
    RG_MEMBER void window(std::int64_t b, std::int64_t tap) const {
        const std::int64_t from = ((first_window + h.begin) * p.windows_w + b) * p.channels;
        for (std::int64_t k = 0; k < p.size_w; ++k) {
            for (std::int64_t c = 0; c < p.channels; c += lanes<T>) {
                const std::int64_t left = p.channels - c;
                const Vec<T> v = share.scaled(share.template of<Whole>(from + c, tap + k, left));
                write<Whole>((b * p.size_w + k) * p.channels + c, v, left);
            }
        }
    }

    RG_MEMBER void side_by_side() const {
        const std::int64_t blocks = whole_blocks<T>(p.channels);
        const std::int64_t tap = (h.at - h.begin * p.stride_h) * p.size_w;
        const std::int64_t room = p.width * p.channels - blocks, room_dy = p.windows_w * p.channels - blocks;
        for (std::int64_t b = 0; b < p.windows_w; ++b) {
            const std::int64_t last = (b * p.size_w + p.size_w - 1) * p.channels;
            if (!Accumulate && last <= room && b * p.channels <= room_dy) {
                window<true>(b, tap);
            } else {
                window<false>(b, tap);
            }
        }
        if constexpr (!Accumulate) {
            for (std::int64_t j = p.windows_w * p.size_w * p.channels; j < p.width * p.channels; ++j)
                dx[j] = T(0);
        }
    }
};

template <bool Accumulate, class T, class Share>
RG_INLINE void spread_rows_of(const Pooling& p, const Share& share, T* dx, std::int64_t row,
                              std::int64_t end) {
    const Holding first(0, p.size_w, p.stride_w, p.padding_w, p.windows_w);
    const bool neighbours = p.stride_w == p.size_w && p.padding_w == 0;
    while (row < end) {
        const std::int64_t image = row / p.height, image_end = (image + 1) * p.height;
        Holding h(row - image * p.height, p.size_h, p.stride_h, p.padding_h, p.windows_h);
        for (; row < (image_end < end ? image_end : end); ++row, h.next()) {
            T* to = dx + row * p.width * p.channels;
            const RowSpread<T, Share, Accumulate> spread{p, share, to, image * p.windows_h, h, first};
            if (neighbours && h.end - h.begin == 1) {
                spread.side_by_side();
            } else {
                spread.any_windows();
            }
        }
    }
}

template <class T, class Share>
RG_INLINE void spread_rows(const Pooling& p, const Share& share, T* dx, std::int64_t row, std::int64_t end,
                           bool accumulate) {
    if (accumulate) {
        spread_rows_of<true>(p, share, dx, row, end);
    } else {
        spread_rows_of<false>(p, share, dx, row, end);
    }
}

template <class T>
void max_pool_backward(const Pooling& p, const T* dy, const T* position, T* dx, std::int64_t row,
                       std::int64_t end, bool accumulate) {
    spread_rows(p, MaximumShare<T>{dy, position}, dx, row, end, accumulate);
}

template <class T>
void sum_pool_backward(const Pooling& p, const T* dy, T factor, T* dx, std::int64_t row, std::int64_t end,
                       bool accumulate) {
    spread_rows(p, EqualShare<T>{dy, factor}, dx, row, end, accumulate);
}

}  // namespace
}  // namespace retrograd::RG_ISA
