// The matrix product.
//
// C is cut into tiles that fit the registers: R rows of A against C vectors of columns of B, the sums kept in
// R x C registers while one block of K passes by. Every element is one chain of fused multiply-adds over each
// block, and the blocks are added in order; so its bits do not depend on the tile it fell into.
//
// A block of K is at most 384 long: 16 columns of B then fill half of a small first-level cache. B is copied
// into panels of whole vectors unless its rows can be read as they stand; A is read in place unless its
// strides would make its rows push each other out of the cache.
#pragma once

#include "kernels/pack.hpp"
#include "kernels/table.hpp"
#include "kernels/tiny.hpp"

namespace retrograd::RG_ISA {
namespace {

// ---- sizes

#if defined(RG_SIMD_AVX512)
inline constexpr bool tiles_have_edges = true;  // masks make part of a vector as cheap as a whole one
inline constexpr int most_rows(int vectors) { return vectors <= 2 ? 14 : vectors == 4 ? 6 : 3; }
#elif defined(RG_SIMD_NEON)  // for its 32 registers; with more rows gcc 12 moves sums to the stack
inline constexpr bool tiles_have_edges = false;
inline constexpr int most_rows(int vectors) { return vectors <= 2 ? 10 : vectors == 4 ? 5 : 2; }
#else
inline constexpr bool tiles_have_edges = false;
inline constexpr int most_rows(int vectors) { return vectors <= 2 ? 6 : vectors == 4 ? 2 : 1; }
#endif

inline constexpr std::int64_t longest_block = 384;  // of K
inline constexpr std::int64_t row_block = (tiles_have_edges ? 8 : 16) * most_rows(2);
template <class T>
inline constexpr std::int64_t column_block = 64 * lanes<T>;

template <class T>
inline constexpr std::int64_t gemm_tile_rows = most_rows(2);
template <class T>
inline constexpr std::int64_t gemm_tile_columns = 2 * lanes<T>;

// C^T, where C is made from exchanged roles: this many of its columns at once, and of its elements.
inline constexpr std::int64_t exchanged_rows = 64;
inline constexpr std::int64_t exchanged_size = 32768;

// What the parts of the scratch hold, in elements; all are whole cache lines.
template <class T>
struct Scratch {
    // Tiles of A, their rows padded to whole vectors.
    static constexpr std::int64_t tile_rows = (gemm_tile_rows<T> + lanes<T> - 1) / lanes<T> * lanes<T>;

    static constexpr std::int64_t a(std::int64_t rows, std::int64_t k) {
        const std::int64_t some = rows < row_block ? rows : row_block,
                           block = k < longest_block ? k : longest_block;
        return (some / gemm_tile_rows<T> + 1) * ((tile_rows * block + line<T> - 1) / line<T> * line<T>);
    }
    // Panels of B: one after the other in one place, or all side by side where several blocks of rows need
    // them.
    static constexpr std::int64_t b(std::int64_t rows, std::int64_t columns, std::int64_t k) {
        const std::int64_t widest = 8 * lanes<T>, block = k < longest_block ? k : longest_block;
        const std::int64_t some = rows <= row_block           ? widest
                                  : columns < column_block<T> ? columns
                                                              : column_block<T>;
        return (some + widest - 1) / widest * widest * block;
    }
    // Enough for every rectangle of an m x n product.
    static constexpr std::int64_t all(std::int64_t m, std::int64_t n, std::int64_t k) {
        const std::int64_t longer = m > n ? m : n;
        const std::int64_t width = m < exchanged_rows ? m : exchanged_rows;
        const std::int64_t square = (width + line<T>)*(n + line<T>);
        return a(longer, k) + b(longer, longer, k) + (square < exchanged_size ? square : exchanged_size) +
               line<T>;
    }
};

template <class T>
std::int64_t gemm_scratch_size(std::int64_t m, std::int64_t n, std::int64_t k) {
    const std::int64_t large = std::int64_t{1} << 30;  // beyond it nothing grows
    return Scratch<T>::all(m < large ? m : large, n < large ? n : large, k);
}

// K in equal blocks that depend on its length alone.
struct Blocks {
    std::int64_t k, count;

    explicit constexpr RG_MEMBER Blocks(std::int64_t length)
        : k(length), count((length + longest_block - 1) / longest_block) {}
    [[nodiscard]] RG_MEMBER std::int64_t begin(std::int64_t block) const { return k * block / count; }
};

// ---- a tile

// Rows of C that the tiles of a width are compiled for: 1 to 4, then even numbers. A tile of one row less
// makes its last row twice.
inline constexpr int made_rows(int rows, int most) {
    return rows <= 4 || rows == most ? rows : rows + rows % 2;
}
inline constexpr bool may_repeat(int rows) { return rows > 4 && rows % 2 == 0; }

template <class T>
struct Tile {
    std::int64_t rows;
    const T* a;
    std::int64_t a_row, a_col;
    const T* b;
    std::int64_t b_row;
    std::int64_t k;
    T* c;
    const T* before;  // what is added to, in C's layout; may be C; null: nothing
    std::int64_t c_row;
    const T* bias;      // null: none
    std::int64_t last;  // columns of the last vector
};

template <class T, bool Last>
RG_INLINE Vec<T> load_part(const T* p, std::int64_t last) {
    if constexpr (tiles_have_edges && Last) {
        return load_partial(p, last);
    } else {
        return load(p);
    }
}

template <class T, int R, int C>
void multiply_tile(const Tile<T>& t) {
    constexpr int L = lanes<T>;
    Vec<T> sum[R][C] = {};
    const T *a = t.a, *b = t.b;
    const std::int64_t last_row = may_repeat(R) ? t.rows - 1 : R - 1;
    if (t.before != nullptr && t.k >= 32) {  // asked for now, it is there when the sums are done
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            for (int c = 0; c < C * L * static_cast<int>(sizeof(T)); c += 64) {
                __builtin_prefetch(
                    reinterpret_cast<const char*>(t.before + (r < R - 1 ? r : last_row) * t.c_row) + c, 1);
            }
        }
    }
    const std::int64_t a_row = t.a_row, a_col = t.a_col, b_row = t.b_row, last = t.last;
    const std::int64_t a_last = last_row * a_row;
    for (std::int64_t p = t.k; p > 0; --p) {
        // A block of K does not always stay in the nearest cache: what comes a few steps later is asked for.
        for (int c = 0; c < C * L; c += line<T>) __builtin_prefetch(b + 8 * b_row + c);
        __builtin_prefetch(a + 16 * a_col);
        Vec<T> vb[C];
#pragma GCC unroll 8
        for (int c = 0; c < C - 1; ++c) vb[c] = load(b + c * L);
        vb[C - 1] = load_part<T, true>(b + (C - 1) * L, last);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const Vec<T> va = broadcast(a[r < R - 1 ? r * a_row : a_last]);
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) sum[r][c] = fma(va, vb[c], sum[r][c]);
        }
        a += a_col;
        b += b_row;
    }
    const std::int64_t c_row = t.c_row, c_last = last_row * c_row;
    if (const T* before = t.before) {
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const T* const from = before + (r < R - 1 ? r * c_row : c_last);
#pragma GCC unroll 8
            for (int c = 0; c < C - 1; ++c) sum[r][c] = load(from + c * L) + sum[r][c];
            sum[r][C - 1] = load_part<T, true>(from + (C - 1) * L, last) + sum[r][C - 1];
        }
    }
    if (const T* bias = t.bias) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) {
            const Vec<T> v = c < C - 1 ? load(bias + c * L) : load_part<T, true>(bias + c * L, last);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) sum[r][c] = sum[r][c] + v;
        }
    }
    T* out = t.c;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
        T* const to = out + (r < R - 1 ? r * c_row : c_last);
#pragma GCC unroll 8
        for (int c = 0; c < C - 1; ++c) store(to + c * L, sum[r][c]);
        if constexpr (tiles_have_edges) {
            store_partial(to + (C - 1) * L, sum[r][C - 1], last);
        } else {
            store(to + (C - 1) * L, sum[r][C - 1]);
        }
    }
}

template <class T>
using TileFunction = void (*)(const Tile<T>&);

// The tiles of R = 1 .. most_rows(C) rows.
template <class T, int C>
struct TileTable {
    TileFunction<T> rows[most_rows(C) + 1] = {};

    template <int R>
    constexpr void fill() {
        if constexpr (R > 0) {
            rows[R] = &multiply_tile<T, made_rows(R, most_rows(C)), C>;
            fill<R - 1>();
        }
    }
    constexpr TileTable() { fill<most_rows(C)>(); }
};
template <class T, int C>
inline constexpr TileTable<T, C> tile_table{};

template <class T>
RG_INLINE TileFunction<T> tile_function(std::int64_t rows, int vectors) {
    switch (vectors) {
        case 1: return tile_table<T, 1>.rows[rows];
        case 2: return tile_table<T, 2>.rows[rows];
        case 4: return tile_table<T, 4>.rows[rows];
        default: return tile_table<T, 8>.rows[rows];
    }
}

// A tile whose last vector ends beyond C: made in a place of its own, from where the columns that exist are
// taken.
template <class T>
void multiply_edge(TileFunction<T> function, Tile<T> t, std::int64_t rows, int vectors) {
    T place[most_rows(1) * 8 * lanes<T>];
    T* const c = t.c;
    const T *const before = t.before, *const bias = t.bias;
    const std::int64_t c_row = t.c_row, width = vectors * lanes<T>, columns = width - lanes<T> + t.last;
    t.c = place;
    t.c_row = width;
    t.before = t.bias = nullptr;
    function(t);
    for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; j += lanes<T>) {
            const std::int64_t left = columns - j;
            Vec<T> v = load<T>(place + i * width + j);
            if (before != nullptr) v = load_next(before + i * c_row + j, left) + v;
            if (bias != nullptr) v = v + load_next(bias + j, left);
            store_next(c + i * c_row + j, v, left);
        }
    }
}

// ---- the whole

// The first row of a tile, one of so many: even, so that no tile but the last makes a row twice.
RG_INLINE std::int64_t first_row(std::int64_t rows, std::int64_t tile, std::int64_t tiles) {
    return least(rows, (rows + 1) / 2 * tile / tiles * 2);
}

// C (rows x columns) = before + A B + bias; see MatrixProduct.
template <class T>
struct Product {
    std::int64_t rows, columns, k;
    Matrix<T> a, b;
    T* c;
    const T* before;
    std::int64_t c_row;
    const T* bias;
    std::int64_t bias_step;  // 0: one value for all columns
};

template <class T>
struct Plan {
    int vectors;  // of a panel
    bool pack_a, pack_b;
};

template <class T>
RG_INLINE Plan<T> plan(const Product<T>& p) {
    Plan<T> plan{2, false, false};
    if (p.rows <= most_rows(8)) {
        plan.vectors = 8;
    } else if (p.rows <= most_rows(4)) {
        plan.vectors = 4;
    }
    const std::int64_t row_tiles = (p.rows + most_rows(plan.vectors) - 1) / most_rows(plan.vectors);
    constexpr auto bytes = static_cast<std::int64_t>(sizeof(T));
    const std::int64_t k = least(p.k, longest_block);
    plan.pack_b = p.b.col != 1 || (row_tiles > 2 && k * p.b.row * bytes > 24576);
    const bool many_columns = p.columns >= 8 * lanes<T>;
    if (plan.vectors == 2 && many_columns) {
        plan.pack_a = p.a.col == 1 ? p.a.row * bytes >= 4096 : p.a.col * bytes >= 256;
    }
    return plan;
}

// One block of K against one panel of columns, for all rows of a block.
template <class T>
RG_INLINE void multiply_panel(const Product<T>& p, Tile<T> t, const T* a, std::int64_t a_tile,
                              std::int64_t rows, std::int64_t columns, int vectors) {
    const std::int64_t tiles = (rows + most_rows(vectors) - 1) / most_rows(vectors);
    const T* const b = t.b;
    T* const c = t.c;
    const T *const before = t.before, *const bias = t.bias;
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
        const std::int64_t first = first_row(rows, tile, tiles);
        const std::int64_t some = first_row(rows, tile + 1, tiles) - first;
        t.rows = some;
        t.a = a_tile != 0 ? a + tile * a_tile : a + first * t.a_row;
        int wide = vectors;
        for (std::int64_t j = 0; j < columns; j += wide * lanes<T>) {
            const std::int64_t left = columns - j;
            while (wide > 1 && left <= (wide / 2) * lanes<T>) wide /= 2;
            while (wide > 2 && left <= (wide - 1) * lanes<T>) wide /= 2;
            t.b = b + j;
            t.c = c + first * p.c_row + j;
            t.before = before == nullptr ? before : before + first * p.c_row + j;
            t.bias = bias == nullptr ? bias : bias + j;
            t.last = least(left - (wide - 1) * lanes<T>, lanes<T>);
            const TileFunction<T> function = tile_function<T>(some, wide);
            if (tiles_have_edges || t.last == lanes<T>) {
                function(t);
            } else {
                multiply_edge(function, t, some, wide);
            }
        }
    }
}

template <class T>
__attribute__((noinline)) void multiply(const Product<T>& p, T* scratch) {
    const Plan<T> how = plan(p);
    T *const packed_a = scratch, *const packed_b = scratch + Scratch<T>::a(p.rows, p.k);
    const std::int64_t panel = how.vectors * lanes<T>;
    const bool one_row_block = p.rows <= row_block;
    const Blocks blocks(p.k);
    for (std::int64_t j0 = 0; j0 < p.columns; j0 += column_block<T>) {
        const std::int64_t columns = least(column_block<T>, p.columns - j0);
        for (std::int64_t block = 0; block < blocks.count; ++block) {
            const std::int64_t k0 = blocks.begin(block), k = blocks.begin(block + 1) - k0;
            for (std::int64_t i0 = 0; i0 < p.rows; i0 += row_block) {
                const std::int64_t rows = least(row_block, p.rows - i0);
                Tile<T> t{};
                t.k = k;
                t.a_row = p.a.row;
                t.a_col = p.a.col;
                t.c_row = p.c_row;
                const T* a = p.a.at(i0, k0);
                std::int64_t a_tile = 0;
                if (how.pack_a) {
                    const std::int64_t tiles = (rows + most_rows(2) - 1) / most_rows(2);
                    a_tile = round_up(Scratch<T>::tile_rows * k, line<T>);
                    for (std::int64_t tile = 0; tile < tiles; ++tile) {
                        const std::int64_t first = first_row(rows, tile, tiles);
                        // Rows that follow fill the last vector, if there are any: whole vectors are faster.
                        const std::int64_t rows_there = least(Scratch<T>::tile_rows, p.rows - i0 - first);
                        pack_a(Matrix<T>{p.a.at(i0 + first, k0), p.a.row, p.a.col}, rows_there, k,
                               packed_a + tile * a_tile, Scratch<T>::tile_rows);
                    }
                    a = packed_a;
                    t.a_row = 1;
                    t.a_col = Scratch<T>::tile_rows;
                }
                for (std::int64_t j = 0; j < columns; j += panel) {
                    const std::int64_t some = least(panel, columns - j);
                    const Matrix<T> b{p.b.at(k0, j0 + j), p.b.row, p.b.col};
                    t.b = b.p;
                    t.b_row = b.row;
                    if (how.pack_b || (!tiles_have_edges && some % lanes<T> != 0)) {
                        // A panel that is used once goes through one place that stays in the nearest cache.
                        T* const place = packed_b + (one_row_block ? 0 : j * least(p.k, longest_block));
                        if (i0 == 0) pack_b(b, k, some, place, panel);
                        t.b = place;
                        t.b_row = panel;
                    }
                    const std::int64_t offset = i0 * p.c_row + j0 + j;
                    t.c = p.c + offset;
                    t.before =
                        block == 0 ? (p.before == nullptr ? p.before : p.before + offset) : p.c + offset;
                    t.bias = block + 1 == blocks.count && p.bias != nullptr ? p.bias + j0 + j : nullptr;
                    multiply_panel(p, t, a, a_tile, rows, some, how.vectors);
                }
            }
        }
    }
}

// ---- one row against a B whose columns lie in memory as rows: turned in registers, without a copy

// `Groups` vectors of columns from column j on: as many chains of sums, which hide each other's latency. Only
// the columns from `first` on are written.
template <int Groups, class T>
RG_INLINE void multiply_turned_columns(const Product<T>& p, const Blocks& blocks, std::int64_t j,
                                       std::int64_t first) {
    constexpr int L = lanes<T>, S = strip<T>;
    Vec<T> whole[Groups] = {}, sum[Groups], column[S];
    for (int g = 0; g < Groups && p.before != nullptr; ++g) whole[g] = load(p.before + j + g * L);
    for (std::int64_t block = 0; block < blocks.count; ++block) {
        const std::int64_t k0 = blocks.begin(block), k1 = blocks.begin(block + 1);
        for (int g = 0; g < Groups; ++g) sum[g] = Vec<T>{};
        std::int64_t q = k0;
        const T *a = p.a.at(0, k0), *b = p.b.at(k0, j);
        for (; q + S <= k1; q += S, a += S * p.a.col, b += S) {
            for (int g = 0; g < Groups; ++g) {
                turn_strip<T>(LaneRows<T>{b + g * L * p.b.col, p.b.col}, 0, column);
                for (int e = 0; e < S; ++e) sum[g] = fma(broadcast(a[e * p.a.col]), column[e], sum[g]);
            }
        }
        if (q < k1) {  // the last strip laps over the one before
            for (int g = 0; g < Groups; ++g) {
                turn_strip<T>(LaneRows<T>{p.b.at(k1 - S, j + g * L), p.b.col}, 0, column);
                for (int e = 0; e < S; ++e) {
                    const Vec<T> longer = fma(broadcast(*p.a.at(0, k1 - S + e)), column[e], sum[g]);
                    if (k1 - S + e >= q) sum[g] = longer;
                }
            }
        }
        const bool replace = block == 0 && p.before == nullptr;
        for (int g = 0; g < Groups; ++g) whole[g] = replace ? sum[g] : whole[g] + sum[g];
    }
    for (int g = 0; g < Groups; ++g) {
        Vec<T> v = whole[g];
        const std::int64_t at = j + g * L;
        if (p.bias != nullptr) v = v + (p.bias_step == 0 ? broadcast(*p.bias) : load(p.bias + at));
        if (at >= first) {
            store(p.c + at, v);
        } else {
            for (std::int64_t e = first - at; e < L; ++e) p.c[at + e] = v[e];
        }
    }
}

inline constexpr std::int64_t large_matrix = 1 << 19;  // bytes

// At least one vector of columns, and one strip of k.
template <class T>
__attribute__((noinline)) void multiply_turned_row(const Product<T>& p) {
    constexpr int L = lanes<T>;
    const Blocks blocks(p.k);
    // What does not fit a cache comes faster in fewer streams.
    const bool is_large = p.k * p.columns * static_cast<std::int64_t>(sizeof(T)) >= large_matrix;
    std::int64_t j = 0;
    for (; j + 2 * L <= p.columns && !is_large; j += 2 * L) multiply_turned_columns<2>(p, blocks, j, j);
    for (; j < p.columns; j += L) multiply_turned_columns<1>(p, blocks, least(j, p.columns - L), j);
}

// ---- the same product with the roles of A and B exchanged: C^T = B^T A^T, then turned back

template <class T>
__attribute__((noinline)) void multiply_exchanged(const Product<T>& p, T* scratch) {
    constexpr int L = lanes<T>;
    for (std::int64_t i0 = 0; i0 < p.rows; i0 += exchanged_rows) {
        const std::int64_t rows = least(exchanged_rows, p.rows - i0), width = round_up(rows, L);
        const std::int64_t most = exchanged_size / width / L * L;
        T *const result = scratch, *const inner = scratch + round_up(width * least(most, p.columns), line<T>);
        for (std::int64_t j0 = 0; j0 < p.columns; j0 += most) {
            const std::int64_t columns = least(most, p.columns - j0), corner = i0 * p.c_row + j0;
            if (p.before != nullptr) turn(p.before + corner, p.c_row, rows, columns, result, width);
            multiply(Product<T>{columns,
                                rows,
                                p.k,
                                {p.b.at(0, j0), p.b.col, p.b.row},
                                {p.a.at(i0, 0), p.a.col, p.a.row},
                                result,
                                p.before == nullptr ? nullptr : result,
                                width,
                                nullptr,
                                0},
                     inner);
            for (std::int64_t j = 0; j < columns; j += L) {
                const std::int64_t left = columns - j;
                const SomeRows<T> lane(result + j * width, width, left);
                const Vec<T> bias = p.bias == nullptr ? Vec<T>{} : load_next(p.bias + j0 + j, left);
                for (std::int64_t i = 0; i < rows; i += strip<T>) {
                    Vec<T> column[strip<T>];
                    turn_strip<T>(lane, i, column);
                    T* const c = p.c + corner + i * p.c_row + j;
                    for (int e = 0; e < strip<T> && i + e < rows; ++e) {
                        store_next(c + e * p.c_row, p.bias == nullptr ? column[e] : column[e] + bias, left);
                    }
                }
            }
        }
    }
}

// Copying an element costs about as much as this many products.
template <class T>
inline constexpr std::int64_t copy_cost = (lanes<T> + 1) / 2;

// Whether to turn C is less work than to turn B, and the parts of vectors that would be idle are fewer.
template <class T>
RG_INLINE bool exchange_pays(const Product<T>& p) {
    if (p.rows > 2 * exchanged_rows) return false;
    const std::int64_t direct = p.k * (p.rows * round_up(p.columns, lanes<T>) + copy_cost<T> * p.columns);
    const std::int64_t exchanged = p.k * (p.columns * round_up(p.rows, lanes<T>) + copy_cost<T> * p.rows) +
                                   copy_cost<T> * p.rows * p.columns;
    return exchanged < direct;
}

template <class T>
RG_INLINE Product<T> rectangle(const MatrixProduct<T>& m, std::int64_t row_begin, std::int64_t row_end,
                               std::int64_t column_begin, std::int64_t column_end) {
    const std::int64_t corner = row_begin * m.c_row + column_begin;
    return {row_end - row_begin,
            column_end - column_begin,
            m.k,
            {m.a + row_begin * m.a_row, m.a_row, m.a_col},
            {m.b + column_begin * m.b_col, m.b_row, m.b_col},
            (m.z != nullptr ? m.z : m.c) + corner,
            m.accumulate ? m.c + corner : nullptr,
            m.c_row,
            m.bias == nullptr ? nullptr : m.bias + column_begin,
            1};
}

template <class T>
__attribute__((noinline)) void multiply_best(const Product<T>& p, T* scratch) {
    const bool is_turned = p.b.row == 1 && p.b.col != 1;
    const bool has_strip = p.k >= strip<T>;
    if (is_turned && has_strip && p.rows == 1 && p.columns >= lanes<T>) return multiply_turned_row(p);
    if (p.columns == 1 && p.c_row == 1 && p.a.col == 1 && has_strip &&
        p.rows >= lanes<T>) {  // A times one vector
        return multiply_turned_row(Product<T>{1,
                                              p.rows,
                                              p.k,
                                              {p.b.p, p.b.col, p.b.row},
                                              {p.a.p, p.a.col, p.a.row},
                                              p.c,
                                              p.before,
                                              p.rows,
                                              p.bias,
                                              0});
    }
    if (is_turned && exchange_pays(p)) return multiply_exchanged(p, scratch);
    multiply(p, scratch);
}

template <class T>
void apply_activation(const MatrixProduct<T>& m, std::int64_t row_begin, std::int64_t row_end,
                      std::int64_t column_begin, std::int64_t column_end) {
    if (m.activation == nullptr) return;
    const std::int64_t rows = row_end - row_begin, columns = column_end - column_begin;
    const T* const from = m.z != nullptr ? m.z : m.c;
    const bool whole = columns == m.c_row;  // rows that lie side by side are one
    for (std::int64_t i = row_begin; i < row_end; i += whole ? rows : 1) {
        const std::int64_t at = i * m.c_row + column_begin;
        m.activation(from + at, m.c + at, whole ? rows * columns : columns);
    }
}

template <class T>
void gemm(const MatrixProduct<T>& m, std::int64_t row_begin, std::int64_t row_end, std::int64_t column_begin,
          std::int64_t column_end, T* scratch) {
    const std::int64_t rows = row_end - row_begin, columns = column_end - column_begin;
    if (m.k == 0 || (m.k <= tiny_products && rows * columns * m.k <= tiny_products)) {
        multiply_tiny(m, row_begin, row_end, column_begin, column_end);
    } else {
        multiply_best(rectangle(m, row_begin, row_end, column_begin, column_end), scratch);
    }
    apply_activation(m, row_begin, row_end, column_begin, column_end);
}

}  // namespace
}  // namespace retrograd::RG_ISA
