// Bands: some rows of a padded image, or several whole images. The products of a convolution walk through
// pieces of the result whose band stays in a cache; only where there is padding is the band a copy.
#pragma once

#include "ops/convolution.hpp"

namespace retrograd {

inline constexpr std::int64_t band_size = std::int64_t{1} << 15;       // elements that a near cache holds
inline constexpr std::int64_t near_band_size = std::int64_t{1} << 13;  // the nearest

struct Bands {
    std::int64_t rows;    // of the result at most, whose band has about that size; one at least
    std::int64_t images;  // at most, where all rows of one are in a band

    // `step`: from row to row of the result, in rows of the padded image; `span`: what one row needs there.
    Bands(const ConvSizes& s, std::int64_t all_rows, std::int64_t step, std::int64_t span)
        : rows(all_rows),
          images(std::clamp<std::int64_t>(near_band_size / (s.padded_image() + s.result()), 1,
                                          std::max<std::int64_t>(1, s.batch))) {
        if (!s.is_padded()) return;
        const std::int64_t most = std::max<std::int64_t>(1, (band_size / s.row() - span) / step + 1);
        if (most >= all_rows) return;
        rows = ceil_div(all_rows, ceil_div(all_rows, most));
        images = 1;
    }
};

inline std::int64_t band_elements(const ConvSizes& s) {
    if (!s.is_padded()) return 0;
    const std::int64_t some = std::max(s.h.span(), band_size / s.row() + 1);
    return std::max(checked_mul(std::min(some, s.h.padded()), s.row()), band_size);
}

// Rows [first, first + count) of the padded image.
template <class T>
void pad_rows(const ConvSizes& s, const T* image, std::int64_t first, std::int64_t count, T* to) {
    const std::int64_t length = s.w.in * s.channels, left = s.w.before * s.channels;
    for (std::int64_t i = first - s.h.before; i < first - s.h.before + count; ++i, to += s.row()) {
        if (i < 0 || i >= s.h.in) {
            std::fill_n(to, s.row(), T(0));
            continue;
        }
        std::fill_n(to, left, T(0));
        std::copy_n(image + i * length, length, to + left);
        std::fill_n(to + left + length, s.row() - left - length, T(0));
    }
}

// Some rows of the results of some images: [first, last) of each of the images [begin, end).
struct Piece {
    std::int64_t begin, end, first, last;

    [[nodiscard]] std::int64_t rows() const { return last - first; }
};

// f(piece) for the rows [begin, end) of all images, which have `rows` each.
template <class F>
void for_pieces(std::int64_t begin, std::int64_t end, std::int64_t rows, const Bands& bands, const F& f) {
    while (begin < end) {
        const std::int64_t image = begin / rows, first = begin % rows;
        const std::int64_t last = std::min({rows, first + bands.rows, first + end - begin});
        const std::int64_t images = last - first < rows ? 1 : std::min(bands.images, (end - begin) / rows);
        f(Piece{image, image + images, first, last});
        begin += images * (last - first);
    }
}

template <class T>
struct Band {
    const T* rows;
    std::int64_t image;  // from image to image
};

// What correlate sees for a piece of y: in place where there is no padding.
template <class T>
Band<T> band_of(const ConvSizes& s, const T* x, const Piece& piece, T* scratch) {
    const std::int64_t top = piece.first * s.h.stride;
    if (!s.is_padded()) return {x + piece.begin * s.image() + top * s.row(), s.image()};
    const std::int64_t needed = (piece.rows() - 1) * s.h.stride + s.h.span();
    const std::int64_t image = needed * s.row();
    for (std::int64_t i = piece.begin; i < piece.end; ++i)
        pad_rows(s, x + i * s.image(), top, needed, scratch + (i - piece.begin) * image);
    return {scratch, image};
}

}  // namespace retrograd
