// One step of a recurrent layer for some rows of a batch: loops over the cells of functions/cells.hpp.
#pragma once

#include "functions/cells.hpp"
#include "kernels/loops.hpp"
#include "kernels/table.hpp"

namespace retrograd::RG_ISA {
namespace {

// The parts of `Count` numbers for each unit that lie `units` apart.
template <int Count, class T>
RG_INLINE void load_parts(const T* p, std::int64_t units, std::int64_t left, Vec<T>* part) {
    for (int k = 0; k < Count; ++k) part[k] = load_next(p + k * units, left);
}

template <int Count, class T>
RG_INLINE void store_parts(T* p, std::int64_t units, std::int64_t left, const Vec<T>* part) {
    for (int k = 0; k < Count; ++k) store_next(p + k * units, part[k], left);
}

template <class T>
RG_INLINE Vec<T> load_or_zero(const T* p, std::int64_t at, std::int64_t left) {
    return p == nullptr ? Vec<T>{} : load_next(p + at, left);
}

template <class T>
RG_INLINE bool is_masked(const T* mask, std::int64_t at) {
    return mask != nullptr && mask[at] == T(0);
}

template <class Cell, class T>
void cell_forward(const CellStep<T>& s) {
    const std::int64_t n = s.units;
    for (std::int64_t i = 0; i < s.rows; ++i) {
        const bool masked = is_masked(s.mask, i * s.mask_row);
        const T* z = s.z + i * s.z_row;
        T* slots = s.slots + i * Cell::slots * n;
        for (std::int64_t j = 0; j < n; j += lanes<T>) {
            const std::int64_t left = n - j, at = i * n + j;
            CellState<Vec<T>> before{load_or_zero(s.h_before, at, left), Vec<T>{}};
            if constexpr (Cell::has_memory) before.c = load_or_zero(s.c_before, at, left);
            Vec<T> h = before.h, c = before.c;
            if (!masked) {
                Vec<T> input[Cell::gates], slot[Cell::slots];
                load_parts<Cell::gates>(z + j, n, left, input);
                load_parts<Cell::gates>(slots + j, n, left, slot);
                h = Cell::forward(input, slot, before, c);
                store_parts<Cell::slots>(slots + j, n, left, slot);
            }
            store_next(s.h + at, h, left);
            if constexpr (Cell::has_memory) store_next(s.c + at, c, left);
            if (s.y != nullptr) store_next(s.y + i * s.y_row + j, h, left);
        }
    }
}

// What walks back through many steps may fade until it is denormal, and denormals are slow.
template <int Count, class V>
RG_INLINE void drop_denormals(V* part) {
    for (int k = 0; k < Count; ++k) part[k] = without_denormals(part[k]);
}

template <class Cell, class T>
void cell_backward(const CellGradient<T>& s) {
    const std::int64_t n = s.units;
    for (std::int64_t i = 0; i < s.rows; ++i) {
        const bool masked = is_masked(s.mask, i * s.mask_row);
        T* slots = s.slots + i * Cell::slots * n;
        for (std::int64_t j = 0; j < n; j += lanes<T>) {
            const std::int64_t left = n - j, at = i * n + j;
            Vec<T> dh = load_next<T>(s.dh + at, left);
            if (s.dy != nullptr) dh = load_next(s.dy + i * s.dy_row + j, left) + dh;
            Vec<T> slot[Cell::slots] = {}, dz[Cell::gates] = {};
            if (!masked) {
                CellState<Vec<T>> before{load_or_zero(s.h_before, at, left), Vec<T>{}};
                Vec<T> c{}, dc{};
                if constexpr (Cell::has_memory) {
                    before.c = load_or_zero(s.c_before, at, left);
                    c = load_next(s.c + at, left);
                    dc = load_next<T>(s.dc + at, left);
                }
                load_parts<Cell::slots>(slots + j, n, left, slot);
                dh = Cell::backward(slot, before, c, dh, dc, dz);
                drop_denormals<Cell::gates>(slot);
                drop_denormals<Cell::gates>(dz);
                if constexpr (Cell::has_memory) store_next(s.dc + at, without_denormals(dc), left);
            }
            store_next(s.dh + at, dh, left);
            store_parts<Cell::gates>(slots + j, n, left, slot);
            if (s.dz == nullptr) continue;
            T* to = s.dz + i * s.dz_row + j;
            for (int k = 0; k < Cell::gates; ++k) {
                if (s.add_dz) dz[k] = load_next<T>(to + k * n, left) + dz[k];
                store_next(to + k * n, dz[k], left);
            }
        }
    }
}

template <class T, class List>
struct CellTable;
template <class T, class... Rules>
struct CellTable<T, RuleList<Rules...>> {
    static constexpr CellKernel<T> list[] = {{Rules::name, Rules::gates, Rules::slots, Rules::has_memory,
                                              &cell_forward<Rules, T>, &cell_backward<Rules, T>}...};
};

}  // namespace
}  // namespace retrograd::RG_ISA
