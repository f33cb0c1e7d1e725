// The two products that convolutions are made of. Both read images as they lie in memory: no patch of an
// image is copied.
//
//   grid product   C_ij = sum over a grid of k of A_ik B_kj, where a step along an axis of the grid moves A
//                  and B by any distance: the taps of a kernel, or the positions of an image
//   sliding dots   C_ij = sum over t of A_it B_(t + shift j)
//
// The sum of a grid product is one chain of fused multiply-adds for each element. Sliding dots are summed in
// 16 lanes, which the caller folds when all is added.
#pragma once

#include "kernels/gemm.hpp"
#include "kernels/loops.hpp"
#include "kernels/table.hpp"
#include "simd/accumulator.hpp"

namespace retrograd::RG_ISA {
namespace {

// ---- grid product

#if defined(RG_SIMD_AVX512)
inline constexpr bool grid_reads_parts = true;  // masks make part of a vector as cheap as a whole one
inline constexpr int grid_rows(int vectors) { return vectors == 1 ? 16 : vectors == 2 ? 14 : 6; }
#elif defined(RG_SIMD_NEON)
inline constexpr bool grid_reads_parts = false;
inline constexpr int grid_rows(int vectors) { return vectors == 1 ? 12 : vectors == 2 ? 10 : 5; }
#elif defined(RG_SIMD_SSE4)  // few tiles: a machine from before 2013 may be slow
inline constexpr bool grid_reads_parts = false;
inline constexpr int grid_rows(int vectors) { return vectors == 4 ? 2 : 4; }
#else
inline constexpr bool grid_reads_parts = false;
inline constexpr int grid_rows(int vectors) { return vectors == 1 ? 10 : vectors == 2 ? 6 : 2; }
#endif

template <class T>
struct GridTile {
    std::int64_t rows;
    const T *a, *b;
    T* c;
    const T* before;
    std::int64_t last;  // columns of the last vector
};

// Part of a vector or a whole one. Masks are short code, which may stand once for every row.
#if defined(RG_SIMD_AVX512) || defined(RG_SIMD_AVX2)
template <class T>
RG_INLINE Vec<T> load_edge(const T* p, std::int64_t n) {
    return load_partial(p, n);
}
template <class T>
RG_INLINE void store_edge(T* p, Vec<T> v, std::int64_t n) {
    store_partial(p, v, n);
}
#else
template <class T>
RG_INLINE Vec<T> load_edge(const T* p, std::int64_t n) {
    return load_next(p, n);
}
template <class T>
RG_INLINE void store_edge(T* p, Vec<T> v, std::int64_t n) {
    store_some(p, v, n);
}
#endif

enum class Read : std::uint8_t { whole, part };  // the last vector of a row of B

// B meets every row with one number of A (Lanewise: with as many numbers as it has itself).
template <class T, int R, int C, Read Last, bool Lanewise>
void grid_tile(const GridProduct<T>& p, const GridTile<T>& t) {
    constexpr int L = lanes<T>;
    constexpr bool part = Last == Read::part || grid_reads_parts;
    Vec<T> sum[R][C] = {};
    const std::int64_t last_row = may_repeat(R) ? t.rows - 1 : R - 1;
    const std::int64_t a_row = p.a_row, a_last = last_row * a_row, last = t.last, count = p.count[2];
    const std::int64_t a_step = p.a_step[2], b_step = p.b_step[2];
    for (std::int64_t outer = 0; outer < p.count[0]; ++outer) {
        for (std::int64_t middle = 0; middle < p.count[1]; ++middle) {
            const T* a = t.a + outer * p.a_step[0] + middle * p.a_step[1];
            const T* b = t.b + outer * p.b_step[0] + middle * p.b_step[1];
            for (std::int64_t inner = count; inner > 0; --inner) {
                Vec<T> vb[C];
#pragma GCC unroll 4
                for (int c = 0; c < C; ++c) {
                    if constexpr (part) {
                        vb[c] = c < C - 1 ? load(b + c * L) : load_partial(b + c * L, last);
                    } else {
                        vb[c] = load(b + c * L);
                    }
                }
#pragma GCC unroll 16
                for (int r = 0; r < R; ++r) {
                    if constexpr (Lanewise) {
                        const T* const from = a + (r < R - 1 ? r * a_row : a_last);
                        sum[r][0] = fma(part ? load_partial(from, last) : load(from), vb[0], sum[r][0]);
                    } else {
                        const Vec<T> va = broadcast(a[r < R - 1 ? r * a_row : a_last]);
#pragma GCC unroll 4
                        for (int c = 0; c < C; ++c) sum[r][c] = fma(va, vb[c], sum[r][c]);
                    }
                }
                a += a_step;
                b += b_step;
            }
        }
    }
    const std::int64_t c_row = p.c_row, c_last = last_row * c_row;
    if (const T* const before = t.before; before != nullptr && p.before_column == 0) {
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const Vec<T> one = broadcast(before[(r < R - 1 ? r : last_row) * p.before_row]);
#pragma GCC unroll 4
            for (int c = 0; c < C; ++c) sum[r][c] = one + sum[r][c];
        }
    } else if (before != nullptr) {
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const T* const from = before + (r < R - 1 ? r : last_row) * p.before_row;
#pragma GCC unroll 4
            for (int c = 0; c < C - 1; ++c) sum[r][c] = load(from + c * L) + sum[r][c];
            sum[r][C - 1] = load_edge(from + (C - 1) * L, last) + sum[r][C - 1];
        }
    }
    T* const to = t.c;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int c = 0; c < C - 1; ++c) store(to + (r < R - 1 ? r * c_row : c_last) + c * L, sum[r][c]);
    }
    T* const to_last = to + (C - 1) * L;
    if (last == L) {  // what is written without a mask can be read again at once
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) store(to_last + (r < R - 1 ? r * c_row : c_last), sum[r][C - 1]);
    } else {
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            store_edge(to_last + (r < R - 1 ? r * c_row : c_last), sum[r][C - 1], last);
        }
    }
}

template <class T>
using GridTileFunction = void (*)(const GridProduct<T>&, const GridTile<T>&);

// The tiles of R = 1 .. Rows rows.
template <class T, int Rows, int C, Read Last, bool Lanewise>
struct GridTileTable {
    GridTileFunction<T> rows[Rows + 1] = {};

    template <int R>
    constexpr void fill() {
        if constexpr (R > 0) {
            rows[R] = &grid_tile<T, made_rows(R, Rows), C, Last, Lanewise>;
            fill<R - 1>();
        }
    }
    constexpr GridTileTable() { fill<Rows>(); }
};

#if defined(RG_SIMD_SSE4)
inline constexpr int lanewise_rows = 4;
#else
inline constexpr int lanewise_rows = 8;
#endif

template <class T, int C>
inline constexpr GridTileTable<T, grid_rows(C), C, Read::whole, false> grid_tiles{};
template <class T>
inline constexpr GridTileTable<T, grid_rows(1), 1, Read::part, false> part_tiles{};
template <class T>
inline constexpr GridTileTable<T, lanewise_rows, 1, Read::whole, true> lanewise_tiles{};
template <class T>
inline constexpr GridTileTable<T, lanewise_rows, 1, Read::part, true> lanewise_part_tiles{};

// By the number of rows.
template <class T>
RG_INLINE const GridTileFunction<T>* grid_tile_functions(bool lanewise, bool part, int vectors) {
    if (lanewise) return part ? lanewise_part_tiles<T>.rows : lanewise_tiles<T>.rows;
    if (part) return part_tiles<T>.rows;
    switch (vectors) {
        case 1: return grid_tiles<T, 1>.rows;
        case 2: return grid_tiles<T, 2>.rows;
        default: return grid_tiles<T, 4>.rows;
    }
}

// Vectors of the next panel, of which `left` columns are to come: as many as are mostly filled.
template <class T>
RG_INLINE int panel_vectors(const GridProduct<T>& p, std::int64_t left) {
    if (p.lanewise) return 1;
    // A panel of B that may not be read beyond its columns is made of whole vectors, and of one part.
    const std::int64_t whole = left / lanes<T>;
    const std::int64_t some = p.b_has_whole_vectors || grid_reads_parts ? (left + lanes<T> - 1) / lanes<T>
                                                                        : (whole > 0 ? whole : 1);
    if (some >= 4 && p.m <= grid_rows(4)) return 4;
    return some >= 2 ? 2 : 1;
}

template <class T>
void grid_product(const GridProduct<T>& p) {
    int vectors = 0;
    for (std::int64_t j = 0; j < p.n; j += vectors * lanes<T>) {
        const std::int64_t left = p.n - j;
        vectors = panel_vectors(p, left);
        const std::int64_t last = left - (vectors - 1) * lanes<T>;
        const bool part = !grid_reads_parts && last < lanes<T> && (p.lanewise || !p.b_has_whole_vectors);
        const std::int64_t most = p.lanewise ? lanewise_rows : grid_rows(vectors);
        const std::int64_t tiles = p.m <= most ? 1 : (p.m + most - 1) / most;
        const GridTileFunction<T>* const functions = grid_tile_functions<T>(p.lanewise, part, vectors);
        GridTile<T> tile{p.m,
                         p.a + (p.lanewise ? j : 0),
                         p.b + j,
                         p.c + j,
                         p.before == nullptr ? nullptr : p.before + j * p.before_column,
                         last < lanes<T> ? last : lanes<T>};
        std::int64_t rows = p.m;
        for (std::int64_t left_tiles = tiles, left_rows = p.m; left_tiles > 0; --left_tiles) {
            if (tiles > 1) {  // no tile but the last makes a row twice
                rows = least(left_rows, round_up((left_rows + left_tiles - 1) / left_tiles, 2));
                tile.rows = rows;
            }
            functions[rows](p, tile);
            left_rows -= rows;
            tile.a += rows * p.a_row;
            tile.c += rows * p.c_row;
            if (tile.before != nullptr) tile.before += rows * p.before_row;
        }
    }
}

// ---- sliding dots

template <class T>
inline constexpr int dot_parts = Accumulator<T>::parts;
template <class T>
inline constexpr int most_shifts = dot_parts<T> == 1                       ? 5
                                   : dot_parts<T> == 2 && grid_reads_parts ? 4
                                                                           : 2;
template <class T>
inline constexpr int most_dots = dot_parts<T> >= 4 ? 1 : 3;

// R rows of A and S shifts of B at once.
template <class T, int R, int S>
void dot_tile(const SlidingDots<T>& p, std::int64_t i, std::int64_t j) {
    constexpr int L = lanes<T>, parts = dot_parts<T>, whole = Accumulator<T>::logical_lanes;
    Vec<T> sum[R][S][parts];
    T* const c = p.c + (i * p.c_row + j) * whole;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) {
#pragma GCC unroll 4
            for (int e = 0; e < parts; ++e) sum[r][s][e] = load(c + (r * p.c_row + s) * whole + e * L);
        }
    }
    const T *a = p.a + i * p.a_row, *b = p.b + j * p.shift;
    const std::int64_t a_row = p.a_row, shift = p.shift;
    for (std::int64_t t = 0; t < p.n; t += whole, a += whole, b += whole) {
#pragma GCC unroll 4
        for (int e = 0; e < parts; ++e) {
            Vec<T> vb[S];
#pragma GCC unroll 8
            for (int s = 0; s < S; ++s) {
                vb[s] = load(b + s * shift + e * L);
                keep(vb[s]);
            }
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) {
                const Vec<T> va = load(a + r * a_row + e * L);
#pragma GCC unroll 8
                for (int s = 0; s < S; ++s) sum[r][s][e] = fma(va, vb[s], sum[r][s][e]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) {
#pragma GCC unroll 4
            for (int e = 0; e < parts; ++e) store(c + (r * p.c_row + s) * whole + e * L, sum[r][s][e]);
        }
    }
}

template <class T, int R, int S = most_shifts<T>>
RG_INLINE void dot_shifts(const SlidingDots<T>& p, std::int64_t i, std::int64_t j, std::int64_t shifts) {
    if (shifts == S) return dot_tile<T, R, S>(p, i, j);
    if constexpr (S > 1) dot_shifts<T, R, S - 1>(p, i, j, shifts);
}

template <class T>
void sliding_dots(const SlidingDots<T>& p) {
    for (std::int64_t i = 0; i < p.m;) {
        const std::int64_t rows = p.m - i >= most_dots<T> ? most_dots<T> : 1;
        const std::int64_t tiles = (p.shifts + most_shifts<T> - 1) / most_shifts<T>;
        for (std::int64_t tile = 0; tile < tiles; ++tile) {
            const std::int64_t j = p.shifts * tile / tiles, some = p.shifts * (tile + 1) / tiles - j;
            if (rows == 1) {
                dot_shifts<T, 1>(p, i, j, some);
            } else {
                dot_shifts<T, most_dots<T>>(p, i, j, some);
            }
        }
        i += rows;
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
