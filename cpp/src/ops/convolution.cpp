// The products of ops/convolution.hpp as loops around two kernels: images, bands of their rows, groups and
// taps outside; places, channels and filters inside.
#include "ops/convolution.hpp"

#include "ops/conv_bands.hpp"
#include "ops/conv_planar.hpp"

namespace retrograd {

namespace {

constexpr std::int64_t widest = 16;  // lanes of the widest vector

constexpr std::int64_t whole_vectors(std::int64_t n) { return ceil_div(n, widest) * widest; }

// Taps side by side whose channels lie side by side in an image, too, are one long run.
struct Runs {
    std::int64_t count, length;  // for each row of the kernel
    std::int64_t step;           // from run to run in the image
    std::int64_t columns;        // of the image that a run covers

    explicit Runs(const ConvSizes& s) {
        const bool joined = s.w.dilation == 1 && s.groups == 1;
        count = joined ? 1 : s.w.kernel;
        length = joined ? s.w.kernel * s.channels : s.group_channels();
        step = s.w.dilation * s.channels;
        columns = joined ? s.w.kernel : 1;
    }
};

// ---- kernels in the order in which the products read them: panels of columns, as many as a product makes
// at once, so that the rows of a panel follow each other

constexpr std::int64_t panel_of(std::int64_t places) { return places > 6 ? 32 : 64; }

// For correlate, of each group and panel: (inner, filters); depthwise (taps, channels).
struct TapsLayout {
    std::int64_t blocks, rows, columns, width, panels;

    explicit TapsLayout(const ConvSizes& s)
        : blocks(s.is_depthwise() ? 1 : s.groups),
          rows(s.inner()),
          columns(s.is_depthwise() ? s.channels : s.group_filters()),
          width(whole_vectors(columns)) {
        if (!s.is_depthwise()) width = std::min(width, panel_of(s.w.out));
        panels = ceil_div(columns, width);
    }
    [[nodiscard]] std::int64_t panel() const { return rows * width; }
    [[nodiscard]] std::int64_t size() const {
        return checked_mul(checked_mul(blocks, panels), checked_mul(rows, width));
    }
};

template <class T>
void pack_taps(const ConvSizes& s, const T* weight, T* to, const Member& member) {
    const TapsLayout taps(s);
    member.for_range(taps.blocks * taps.panels * taps.rows, 16, [&](std::int64_t begin, std::int64_t end) {
        if (taps.columns % taps.width != 0)
            std::fill_n(to + begin * taps.width, (end - begin) * taps.width, T(0));
        while (begin < end) {
            const std::int64_t panel = begin / taps.rows, first = begin % taps.rows;
            const std::int64_t some = std::min(taps.rows - first, end - begin);
            const std::int64_t block = panel / taps.panels, column = panel % taps.panels * taps.width;
            kernels<T>().transpose(weight + (block * taps.columns + column) * taps.rows + first, taps.rows,
                                   std::min(taps.width, taps.columns - column), some, to + begin * taps.width,
                                   taps.width);
            begin += some;
        }
    });
}

// Places of y that may add to x at once, because what they add to does not overlap: those of one column, or
// every `step`-th of a row, whichever are more.
struct Apart {
    std::int64_t step, places;
    bool along_rows;

    explicit Apart(const ConvSizes& s)
        : step(ceil_div(Runs(s).columns, s.w.stride)),
          places(std::max(s.h.out, ceil_div(s.w.out, step))),
          along_rows(places > s.h.out || s.h.out == 1) {}
};

// For spread, of each group, run and panel of the run: (filters, run).
struct RowsLayout {
    std::int64_t runs, filters, length, width, panels;

    explicit RowsLayout(const ConvSizes& s)
        : runs(s.h.kernel * Runs(s).count),
          filters(s.group_filters()),
          length(Runs(s).length),
          width(std::min(whole_vectors(length), panel_of(Apart(s).places))),
          panels(ceil_div(length, width)) {}
    [[nodiscard]] std::int64_t panel() const { return filters * width; }
    [[nodiscard]] std::int64_t size(std::int64_t groups) const {
        return checked_mul(checked_mul(groups, runs * panels), checked_mul(filters, width));
    }
};

template <class T>
void pack_rows(const ConvSizes& s, const T* weight, T* to, const Member& member) {
    if (s.is_depthwise()) return pack_taps(s, weight, to, member);
    const RowsLayout rows(s);
    member.for_range(s.groups * rows.runs * rows.panels, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t run = i / rows.panels, column = i % rows.panels * rows.width;
            const std::int64_t some = std::min(rows.width, rows.length - column);
            const T* from =
                weight + run / rows.runs * rows.filters * s.inner() + run % rows.runs * rows.length + column;
            T* row = to + i * rows.panel();
            for (std::int64_t f = 0; f < rows.filters; ++f, from += s.inner(), row += rows.width) {
                std::copy_n(from, some, row);
                std::fill_n(row + some, rows.width - some, T(0));
            }
        }
    });
}

// ---- correlate

// The grid of a kernel's taps: rows, columns, channels; A is an image, B the taps one after the other.
template <class T>
GridProduct<T> taps_product(const ConvSizes& s) {
    const TapsLayout taps(s);
    const Runs runs(s);
    GridProduct<T> p{};
    p.m = s.w.out, p.n = taps.columns;
    p.count[0] = s.h.kernel, p.count[1] = runs.count, p.count[2] = runs.length;
    p.a_step[0] = s.h.dilation * s.row(), p.a_step[1] = runs.step, p.a_step[2] = 1;
    p.b_step[2] = s.backwards ? -taps.width : taps.width;
    p.b_step[1] = runs.length * p.b_step[2];
    p.b_step[0] = runs.count * p.b_step[1];
    if (runs.length == 1) {  // the innermost loop is the one that should be long
        std::swap(p.count[1], p.count[2]);
        std::swap(p.a_step[1], p.a_step[2]);
        std::swap(p.b_step[1], p.b_step[2]);
    }
    p.a_row = s.w.stride * s.channels;
    p.c_row = s.filters;
    p.lanewise = s.is_depthwise();
    p.b_has_whole_vectors = true;
    return p;
}

// ---- spread

template <class T>
class Spreading {
  public:
    Spreading(const ConvSizes& sizes, const T* packed)
        : s_(sizes),
          runs_(sizes),
          rows_(sizes),
          apart_(sizes),
          packed_(packed),
          row_(sizes.row()),
          group_filters_(sizes.group_filters()),
          group_channels_(sizes.group_channels()) {
        p_.count[0] = p_.count[1] = 1;
        p_.lanewise = s_.is_depthwise();
        p_.count[2] = p_.lanewise ? 1 : group_filters_;
        p_.a_step[2] = 1, p_.b_step[2] = rows_.width;
        p_.b_has_whole_vectors = true;
        const std::int64_t column = s_.w.stride * s_.channels;
        p_.a_row = apart_.along_rows ? apart_.step * s_.filters : s_.w.out * s_.filters;
        p_.c_row = p_.before_row = apart_.along_rows ? apart_.step * column : s_.h.stride * row_;
    }

    // What the dy of some images add to some rows of the padded images, which begin at `to`. The order in
    // which an element is added to does not depend on where rows or images are cut.
    void add(const Piece& rows, const T* dy, T* to, std::int64_t to_image) {
        for (std::int64_t ky = 0; ky < s_.h.kernel; ++ky) {
            // The places of y from whose row the tap reaches a row of x.
            const auto places_before = [&](std::int64_t y) {
                const std::int64_t above = std::max<std::int64_t>(0, y - ky * s_.h.dilation);
                return std::min(s_.h.out, ceil_div(above, s_.h.stride));
            };
            const std::int64_t begin = places_before(rows.first), end = places_before(rows.last);
            if (apart_.along_rows) {
                for (std::int64_t oy = begin; oy < end; ++oy) {
                    for (std::int64_t ox = 0; ox < std::min(apart_.step, s_.w.out); ++ox) {
                        p_.m = ceil_div(s_.w.out - ox, apart_.step);
                        add_places(rows, dy, to, to_image, ky, oy, ox);
                    }
                }
            } else if (begin < end) {
                p_.m = end - begin;
                for (std::int64_t ox = 0; ox < s_.w.out; ++ox)
                    add_places(rows, dy, to, to_image, ky, begin, ox);
            }
        }
    }

  private:
    // Of all images, one after the other: what was just written is not needed at once by the next place,
    // which laps over it.
    void add_places(const Piece& rows, const T* dy, T* to, std::int64_t to_image, std::int64_t ky,
                    std::int64_t oy, std::int64_t ox) {
        dy += (oy * s_.w.out + ox) * s_.filters;
        to += (oy * s_.h.stride + ky * s_.h.dilation - rows.first) * row_ + ox * s_.w.stride * s_.channels;
        const std::int64_t result = s_.result();
        for (std::int64_t i = rows.begin; i < rows.end; ++i, dy += result, to += to_image) {
            if (p_.lanewise)
                add_lanewise(dy, to, ky);
            else
                add_runs(dy, to, ky);
        }
    }

    // Through the taps of row ky, whose first one leads to `to`.
    void add_runs(const T* dy, T* to, std::int64_t ky) {
        for (std::int64_t group = 0; group < s_.groups; ++group) {
            const T* panel =
                packed_ + (group * s_.h.kernel + ky) * runs_.count * rows_.panels * rows_.panel();
            for (std::int64_t run = 0; run < runs_.count; ++run) {
                for (std::int64_t j = 0; j < rows_.length; j += rows_.width, panel += rows_.panel()) {
                    p_.n = std::min(rows_.width, rows_.length - j);
                    p_.a = dy + group * group_filters_;
                    p_.b = panel;
                    p_.before = p_.c = to + run * runs_.step + group * group_channels_ + j;
                    multiply_(p_);
                }
            }
        }
    }

    void add_lanewise(const T* dy, T* to, std::int64_t ky) {
        const std::int64_t width = whole_vectors(s_.channels);
        p_.n = s_.channels;
        for (std::int64_t kx = 0; kx < s_.w.kernel; ++kx) {
            p_.a = dy, p_.b = packed_ + (ky * s_.w.kernel + kx) * width;
            p_.before = p_.c = to + kx * runs_.step;
            multiply_(p_);
        }
    }

    const ConvSizes& s_;
    Runs runs_;
    RowsLayout rows_;
    Apart apart_;
    const T* packed_;
    std::int64_t row_, group_filters_, group_channels_;
    GridProduct<T> p_{};
    void (*multiply_)(const GridProduct<T>&) = kernels<T>().grid_product;
};

// Channels by themselves, stride 1: an element of x can as well gather from the places around it, which is to
// correlate dy with the taps in reverse; an element that is kept in a register beats one that is added to.
bool is_gathered(const ConvSizes& s) {
    const auto simple = [](const ConvAxis& axis) { return axis.stride == 1 && axis.before < axis.span(); };
    return s.is_depthwise() && simple(s.h) && simple(s.w);
}

ConvSizes gathered(ConvSizes s) {
    for (ConvAxis* axis : {&s.h, &s.w}) {
        std::swap(axis->in, axis->out);
        axis->before = axis->span() - 1 - axis->before;
        axis->after = axis->used() - axis->in - axis->before;
    }
    s.backwards = !s.backwards;
    return s;
}

// n places of `channels` numbers: each the bias, or 0
template <class T>
void fill_places(const T* bias, std::int64_t channels, T* to, std::int64_t n) {
    if (bias == nullptr) return void(std::fill_n(to, n * channels, T(0)));
    for (std::int64_t i = 0; i < n; ++i) std::copy_n(bias, channels, to + i * channels);
}

// ---- weight gradients

// dW^T of each group, (inner, filters), or depthwise (taps, channels); in several parts of the batch, which
// are cut by size and folded in order.
struct GradientLayout {
    std::int64_t blocks, block_rows, columns, width, parts;

    explicit GradientLayout(const ConvSizes& s)
        : blocks(s.is_depthwise() ? 1 : s.groups),
          block_rows(s.inner()),
          columns(s.is_depthwise() ? s.channels : s.group_filters()),
          width(whole_vectors(columns)) {
        constexpr std::int64_t most_elements = std::int64_t{1} << 18, most_parts = 16;
        parts = std::clamp<std::int64_t>(most_elements / part(), 1,
                                         std::clamp<std::int64_t>(s.batch, 1, most_parts));
    }
    [[nodiscard]] std::int64_t rows() const { return blocks * block_rows; }
    [[nodiscard]] std::int64_t part() const { return checked_mul(rows(), width); }
    [[nodiscard]] std::int64_t size() const { return checked_mul(parts, part()); }
};

template <class T>
struct GradientRows {  // some rows of one part of dW^T
    std::int64_t begin, end;
    T* to;  // row 0
};

// What the places of a piece give; dy begins there. `add`: to what stands there.
template <class T>
void gradient_band(const ConvSizes& s, const Band<T>& band, const T* dy, const Piece& piece,
                   const GradientRows<T>& rows, bool add) {
    const GradientLayout layout(s);
    const Runs runs(s);
    GridProduct<T> p{};
    p.n = layout.columns;
    p.count[0] = piece.end - piece.begin, p.count[1] = piece.rows(), p.count[2] = s.w.out;
    p.a_step[0] = band.image, p.b_step[0] = s.result();
    p.a_step[1] = s.h.stride * s.row(), p.a_step[2] = s.w.stride * s.channels;
    p.b_step[1] = s.w.out * s.filters, p.b_step[2] = s.filters;
    p.c_row = p.before_row = layout.width;
    p.lanewise = s.is_depthwise();
    p.a_row = p.lanewise ? runs.step : 1;
    const std::int64_t length = p.lanewise ? s.w.kernel : runs.length;  // rows that are a step apart
    const std::int64_t kernel_row = s.w.kernel * (p.lanewise ? 1 : s.group_channels());
    for (std::int64_t row = rows.begin; row < rows.end; row += p.m) {
        const std::int64_t group = row / layout.block_rows, in_group = row % layout.block_rows,
                           ky = in_group / kernel_row;
        const std::int64_t run = in_group % kernel_row / length, first = in_group % length;
        p.m = std::min(length - first, rows.end - row);
        p.a = band.rows + ky * s.h.dilation * s.row() + (p.lanewise ? 0 : run * runs.step) + first * p.a_row +
              group * s.group_channels();
        p.b = dy + group * s.group_filters();
        p.c = rows.to + row * layout.width;
        p.before = add ? p.c : nullptr;
        kernels<T>().grid_product(p);
    }
}

// dW = the sum of the parts, turned
template <class T>
void fold_parts(const ConvSizes& s, const GradientLayout& layout, T* partial, T* dW, bool accumulate,
                T* scratch, const Member& member) {
    T* const total = partial + layout.size();
    member.for_range(layout.part(), 64, [&](std::int64_t begin, std::int64_t end) {
        kernels<T>().sum_columns(partial + begin, layout.part(), layout.parts, end - begin, total + begin,
                                 false);
    });
    member.barrier();
    member.for_range(s.filters, 4, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t f = begin; f < end;) {
            const std::int64_t block = f / layout.columns, first = f % layout.columns;
            const std::int64_t some = accumulate ? 1 : std::min(layout.columns - first, end - f);
            T* const to = accumulate ? scratch : dW + f * layout.block_rows;
            kernels<T>().transpose(total + block * layout.block_rows * layout.width + first, layout.width,
                                   layout.block_rows, some, to, layout.block_rows);
            if (accumulate) kernels<T>().add(scratch, dW + f * layout.block_rows, layout.block_rows);
            f += some;
        }
    });
}

constexpr std::int64_t bias_parts = 16;

}  // namespace

std::int64_t conv_shared_size(const ConvSizes& s) {
    const GradientLayout layout(s);
    const std::int64_t gradients = layout.size() + layout.part(), taps = TapsLayout(s).size();
    const std::int64_t rows = s.is_depthwise() ? taps : RowsLayout(s).size(s.groups);
    const std::int64_t most_filters = std::max(s.filters, s.channels);
    const std::int64_t planes = planar::fits(s) ? planar::shared_size(s) : 0;
    return std::max({gradients, rows, taps, bias_parts * most_filters, planes});
}

std::int64_t conv_scratch_size(const ConvSizes& s) {
    const std::int64_t bias = std::max(checked_mul(s.w.out, s.filters), checked_mul(s.w.in, s.channels));
    const std::int64_t planes = planar::fits(s) ? planar::scratch_size(s) : 0;
    const std::int64_t gather = is_gathered(s) ? band_elements(gathered(s)) : 0;
    return std::max({band_elements(s), gather, s.inner(), bias, planes});
}

namespace {

template <class T>
void correlate_planes(const ConvSizes& s, const T* x, const T* weight, const ConvResult<T>& result,
                      const ConvMemory<T>& memory, const Member& member) {
    Bands bands(s, s.h.out, 1, s.h.span());
    bands.rows = planar::Layout(s).rows, bands.images = 1;
    T* const z = result.z != nullptr ? result.z : result.y;
    member.for_range(s.batch * s.h.out, 1, [&](std::int64_t begin, std::int64_t end) {
        for_pieces(begin, end, s.h.out, bands, [&](const Piece& piece) {
            const std::int64_t row = s.w.out * s.filters;
            const std::int64_t at = piece.begin * s.result() + piece.first * row;
            planar::correlate_band(s, x + piece.begin * s.image(), weight, result.bias, piece.first,
                                   piece.last, z + at, memory.scratch);
            if (result.activation != nullptr) result.activation(z + at, result.y + at, piece.rows() * row);
            member.poll(piece.rows() * row * s.taps());
        });
    });
}

}  // namespace

template <class T>
void correlate(const ConvSizes& s, const T* x, const T* weight, const ConvResult<T>& result,
               const ConvMemory<T>& memory, const Member& member) {
    if (planar::fits(s) && !result.accumulate) return correlate_planes(s, x, weight, result, memory, member);
    pack_taps(s, weight, memory.shared, member);
    member.barrier();
    const TapsLayout taps(s);
    GridProduct<T> p = taps_product<T>(s);
    T* const z = result.z != nullptr ? result.z : result.y;
    if (result.accumulate) p.before_row = p.c_row;
    const std::int64_t row = s.w.out * s.filters;
    const auto some_columns = [&](const Piece& piece, const Band<T>& band, std::int64_t group,
                                  std::int64_t j) {
        const std::int64_t channel = group * s.group_channels(), filter = group * s.group_filters() + j;
        p.n = std::min(taps.width, taps.columns - j);
        p.b = memory.shared + (group * taps.panels + j / taps.width) * taps.panel();
        if (s.backwards) p.b += taps.panel() - taps.width;
        for (std::int64_t image = piece.begin; image < piece.end; ++image) {
            for (std::int64_t i = piece.first; i < piece.last; ++i) {
                p.a = band.rows + (image - piece.begin) * band.image +
                      (i - piece.first) * s.h.stride * s.row() + channel + (p.lanewise ? j : 0);
                p.c = z + image * s.result() + i * row + filter;
                p.before = result.bias == nullptr ? nullptr : result.bias + filter;
                if (result.accumulate) p.before = p.c;
                kernels<T>().grid_product(p);
            }
        }
    };
    member.for_range(s.batch * s.h.out, 1, [&](std::int64_t begin, std::int64_t end) {
        for_pieces(begin, end, s.h.out, Bands(s, s.h.out, s.h.stride, s.h.span()), [&](const Piece& piece) {
            const Band<T> band = band_of(s, x, piece, memory.scratch);
            for (std::int64_t group = 0; group < taps.blocks; ++group) {
                for (std::int64_t j = 0; j < taps.columns; j += taps.width)
                    some_columns(piece, band, group, j);
            }
            const std::int64_t at = piece.begin * s.result() + piece.first * row;
            const std::int64_t count = (piece.end - piece.begin) * piece.rows() * row;
            if (result.activation != nullptr) result.activation(z + at, result.y + at, count);
            member.poll(count * s.inner());
        });
    });
}

template <class T>
void spread(const ConvSizes& s, const T* dy, const T* weight, const ConvResult<T>& dx,
            const ConvMemory<T>& memory, const Member& member) {
    if (is_gathered(s)) return correlate(gathered(s), dy, weight, dx, memory, member);
    pack_rows(s, weight, memory.shared, member);
    member.barrier();
    const std::int64_t length = s.w.in * s.channels;
    const auto begin_band = [&](const Piece& piece, T* to, T* band) {
        const std::int64_t images = piece.end - piece.begin;
        if (s.is_padded())
            std::fill_n(band, images * piece.rows() * s.row(), T(0));
        else if (!dx.accumulate)
            fill_places(dx.bias, s.channels, to, images * piece.rows() * s.w.in);
    };
    const auto end_band = [&](const Piece& piece, T* to, const T* band) {
        const std::int64_t images = piece.end - piece.begin;
        for (std::int64_t i = 0; i < images * piece.rows(); ++i, to += length, band += s.row()) {
            if (dx.bias != nullptr && !dx.accumulate) fill_places(dx.bias, s.channels, to, s.w.in);
            copy(band + s.w.before * s.channels, to, length, dx.accumulate || dx.bias != nullptr);
        }
    };
    member.for_range(s.batch * s.h.in, 1, [&](std::int64_t begin, std::int64_t end) {
        Spreading<T> spreading(s, memory.shared);
        for_pieces(begin, end, s.h.in, Bands(s, s.h.in, 1, 1), [&](const Piece& piece) {
            T* const to = dx.y + piece.begin * s.image() + piece.first * length;
            T* const band = s.is_padded() ? memory.scratch : to;
            begin_band(piece, to, band);
            const Piece padded{piece.begin, piece.end, piece.first + s.h.before, piece.last + s.h.before};
            spreading.add(padded, dy + piece.begin * s.result(), band,
                          s.is_padded() ? piece.rows() * s.row() : s.image());
            if (s.is_padded()) end_band(piece, to, band);
            member.poll((piece.end - piece.begin) * piece.rows() * length * s.taps() * s.group_filters());
        });
    });
}

template <class T>
void weight_gradients(const ConvSizes& s, const T* x, const T* dy, T* dW, bool accumulate,
                      const ConvMemory<T>& memory, const Member& member) {
    if (planar::fits(s)) return planar::weight_gradients(s, x, dy, dW, accumulate, memory, member);
    const GradientLayout layout(s);
    const Bands bands(s, s.h.out, s.h.stride, s.h.span());
    const auto some_rows = [&](const Piece& some) {
        const std::int64_t part = some.begin;
        const GradientRows<T> rows{some.first, some.last, memory.shared + part * layout.part()};
        const std::int64_t begin = s.batch * part / layout.parts, end = s.batch * (part + 1) / layout.parts;
        bool add = false;
        for_pieces(begin * s.h.out, end * s.h.out, s.h.out, bands, [&](const Piece& piece) {
            const T* const from = dy + piece.begin * s.result() + piece.first * s.w.out * s.filters;
            gradient_band(s, band_of(s, x, piece, memory.scratch), from, piece, rows, add);
            add = true;
            member.poll((piece.end - piece.begin) * piece.rows() * s.w.out * some.rows() * layout.columns);
        });
    };
    Bands whole = bands;
    whole.rows = layout.rows(), whole.images = 1;
    member.for_range(layout.parts * layout.rows(), 1, [&](std::int64_t begin, std::int64_t end) {
        for_pieces(begin, end, layout.rows(), whole, some_rows);
    });
    member.barrier();
    fold_parts(s, layout, memory.shared, dW, accumulate, memory.scratch, member);
}

template <class T>
void bias_gradients(const T* dy, std::int64_t rows, std::int64_t columns, std::int64_t filters, T* db,
                    bool accumulate, const ConvMemory<T>& memory, const Member& member) {
    const std::int64_t row = columns * filters, parts = std::min(rows, bias_parts);
    member.for_each(parts, [&](std::int64_t part) {
        const std::int64_t first = rows * part / parts, last = rows * (part + 1) / parts;
        kernels<T>().sum_columns(dy + first * row, row, last - first, row, memory.scratch, false);
        kernels<T>().sum_columns(memory.scratch, filters, columns, filters, memory.shared + part * filters,
                                 false);
    });
    member.barrier();
    member.for_range(filters, 64, [&](std::int64_t begin, std::int64_t end) {
        kernels<T>().sum_columns(memory.shared + begin, filters, parts, end - begin, db + begin, accumulate);
    });
}

#define RG_CONVOLUTION(T)                                                                                   \
    template void correlate<T>(const ConvSizes&, const T*, const T*, const ConvResult<T>&,                  \
                               const ConvMemory<T>&, const Member&);                                        \
    template void spread<T>(const ConvSizes&, const T*, const T*, const ConvResult<T>&,                     \
                            const ConvMemory<T>&, const Member&);                                           \
    template void weight_gradients<T>(const ConvSizes&, const T*, const T*, T*, bool, const ConvMemory<T>&, \
                                      const Member&);                                                       \
    template void bias_gradients<T>(const T*, std::int64_t, std::int64_t, std::int64_t, T*, bool,           \
                                    const ConvMemory<T>&, const Member&);
RG_CONVOLUTION(float)
RG_CONVOLUTION(double)
#undef RG_CONVOLUTION

}  // namespace retrograd
