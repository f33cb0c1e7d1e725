// The product of a matrix that is mostly zeros with a dense one.
//
// Rows of A are first written as lists of the elements that are not zero, and only these are multiplied. A
// chain of fused multiply-adds has the same bits without the products that are zero, and the blocks of K are
// those of gemm: so the result is gemm's, but for the sign of a zero, wherever B is finite.
#pragma once

#include "kernels/gemm.hpp"

namespace retrograd::RG_ISA {
namespace {

inline constexpr std::int64_t listed_rows = 32;  // rows of A whose lists are made at once

// Where the elements of some rows of A are that are not zero: their columns, in rising order.
template <class T>
struct Lists {
    std::int32_t* columns;
    std::int32_t* ends;  // for each row and block of K: where the next block's elements begin
    std::int64_t room, blocks;

    // Columns are written by whole vectors, though not all of their lanes may count.
    static constexpr std::int64_t room_for(std::int64_t k) { return (k / lanes<T> + 2) * lanes<T>; }

    // Elements of T; an index is no wider.
    static constexpr std::int64_t size(std::int64_t k) {
        return listed_rows * (room_for(k) + Blocks(k).count);
    }

    RG_MEMBER Lists(T* scratch, std::int64_t k)
        : columns(reinterpret_cast<std::int32_t*>(scratch)),
          ends(columns + listed_rows * room_for(k)),
          room(room_for(k)),
          blocks(Blocks(k).count) {}
};

// Rows that lie in memory as rows.
template <class T>
RG_INLINE void list_rows(const Lists<T>& lists, Matrix<T> a, std::int64_t rows, std::int64_t k) {
    const Blocks blocks(k);
    for (std::int64_t i = 0; i < rows; ++i) {
        std::int32_t* const columns = lists.columns + i * lists.room;
        std::int64_t n = 0;
        for (std::int64_t block = 0; block < blocks.count; ++block) {
            const std::int64_t end = blocks.begin(block + 1);
            for (std::int64_t q = blocks.begin(block); q < end; q += lanes<T>) {
                n += store_set_lanes<T>(load_next(a.at(i, q), end - q) != Vec<T>{}, q, columns + n);
            }
            lists.ends[i * blocks.count + block] = static_cast<std::int32_t>(n);
        }
    }
}

// Rows that lie in memory as columns: turned on the way.
template <class T>
RG_INLINE void list_columns(const Lists<T>& lists, Matrix<T> a, std::int64_t rows, std::int64_t k) {
    constexpr int L = lanes<T>, S = strip<T>;
    const Blocks blocks(k);
    std::int64_t n[listed_rows] = {};
    for (std::int64_t block = 0; block < blocks.count; ++block) {
        const std::int64_t end = blocks.begin(block + 1);
        std::int64_t q = blocks.begin(block);
        for (; q + L <= end; q += L) {
            std::int64_t i = 0;
            for (; i + S <= rows; i += S) {
                Vec<T> column[S];
                turn_strip<T>(LaneRows<T>{a.at(0, q), a.col}, i, column);
                for (int e = 0; e < S; ++e) {
                    std::int32_t* const to = lists.columns + (i + e) * lists.room + n[i + e];
                    n[i + e] += store_set_lanes<T>(column[e] != Vec<T>{}, q, to);
                }
            }
            for (; i < rows; ++i) {
                Vec<T> column;
                for (int e = 0; e < L; ++e) column[e] = *a.at(i, q + e);
                n[i] += store_set_lanes<T>(column != Vec<T>{}, q, lists.columns + i * lists.room + n[i]);
            }
        }
        for (; q < end; ++q) {
            for (std::int64_t i = 0; i < rows; ++i) {
                lists.columns[i * lists.room + n[i]] = static_cast<std::int32_t>(q);
                n[i] += *a.at(i, q) != 0;
            }
        }
        for (std::int64_t i = 0; i < rows; ++i) {
            lists.ends[i * blocks.count + block] = static_cast<std::int32_t>(n[i]);
        }
    }
}

// C vectors of columns of the result; Edge: only the first `left` columns of the one vector.
template <int C, bool Edge, class T>
__attribute__((noinline)) void multiply_lists(const Lists<T>& lists, const Product<T>& p) {
    constexpr int L = lanes<T>;
    const std::int64_t left = Edge ? p.columns : L, a_col = p.a.col, b_row = p.b.row;
    for (std::int64_t i = 0; i < p.rows; ++i) {
        const T* const a = p.a.at(i, 0);
        const std::int32_t* const column = lists.columns + i * lists.room;
        const T* before = p.before == nullptr ? nullptr : p.before + i * p.c_row;
        T* const to = p.c + i * p.c_row;
        std::int64_t e = 0;
        for (std::int64_t block = 0; block < lists.blocks; ++block, before = to) {
            const std::int64_t end = lists.ends[i * lists.blocks + block];
            Vec<T> sum[C] = {};
            for (; e < end; ++e) {
                const Vec<T> v = broadcast(a[column[e] * a_col]);
                const T* const b = p.b.p + column[e] * b_row;
#pragma GCC unroll 8
                for (int c = 0; c < C; ++c)
                    sum[c] = fma(v, Edge ? load_next(b, left) : load(b + c * L), sum[c]);
            }
            const T* const bias = block + 1 == lists.blocks ? p.bias : nullptr;
            for (int c = 0; c < C; ++c) {
                if (before != nullptr) sum[c] = load_next(before + c * L, left) + sum[c];
                if (bias != nullptr) sum[c] = sum[c] + load_next(bias + c * L, left);
                store_next(to + c * L, sum[c], left);
            }
        }
    }
}

// All columns, in groups: many chains of sums hide each other's latency.
template <class T>
RG_INLINE void multiply_columns(const Lists<T>& lists, Product<T> p) {
    constexpr int L = lanes<T>;
    while (p.columns > 0) {
        int vectors = 8;
        while (vectors > 1 && p.columns < vectors * L) vectors /= 2;
        switch (vectors) {
            case 8: multiply_lists<8, false>(lists, p); break;
            case 4: multiply_lists<4, false>(lists, p); break;
            case 2: multiply_lists<2, false>(lists, p); break;
            default:
                if (p.columns >= L) {
                    multiply_lists<1, false>(lists, p);
                } else {
                    multiply_lists<1, true>(lists, p);
                }
        }
        const std::int64_t done = vectors * L;
        p.columns -= done;
        p.b.p += done;
        p.c += done;
        if (p.before != nullptr) p.before += done;
        if (p.bias != nullptr) p.bias += done;
    }
}

template <class T>
std::int64_t sparse_gemm_scratch_size(std::int64_t k) {
    return Lists<T>::size(k);
}

template <class T>
void sparse_gemm(const MatrixProduct<T>& m, std::int64_t row_begin, std::int64_t row_end, T* scratch) {
    const Lists<T> lists(scratch, m.k);
    for (std::int64_t i = row_begin; i < row_end; i += listed_rows) {
        const Product<T> p = rectangle(m, i, least(i + listed_rows, row_end), 0, m.n);
        if (p.a.col == 1) {
            list_rows(lists, p.a, p.rows, p.k);
        } else {
            list_columns(lists, p.a, p.rows, p.k);
        }
        multiply_columns(lists, p);
    }
    apply_activation(m, row_begin, row_end, 0, m.n);
}

}  // namespace
}  // namespace retrograd::RG_ISA
