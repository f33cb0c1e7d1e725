// The kernel table: every loop that is compiled once per instruction set, as plain function pointers.
//
// kernels<T>() is chosen when the library is loaded; RETROGRAD_ISA=baseline|avx2|avx512|neon forces a level
// that the machine has. Every number a kernel writes depends on the operands alone: not on how a caller cuts
// the work into rectangles, rows or ranges, and not on the vector width (among instruction sets that have
// fused multiply-add).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace retrograd {

enum class Isa;  // simd/isa.hpp

template <class T>
using UnaryFunction = void (*)(const T* x, T* y, std::int64_t n);

// C = A B, or C += A B, then + bias, then the activation: C is m x n, A m x k, B k x n.
template <class T>
struct MatrixProduct {
    std::int64_t m, n, k;
    const T* a;  // element (i, p) is a[i * a_row + p * a_col]
    std::int64_t a_row, a_col;
    const T* b;  // element (p, j) is b[p * b_row + j * b_col]
    std::int64_t b_row, b_col;
    T* c;  // element (i, j) is c[i * c_row + j]
    std::int64_t c_row;
    bool accumulate = false;
    const T* bias = nullptr;                // one for each column, added once the product is complete
    UnaryFunction<T> activation = nullptr;  // applied to each finished row segment: c = activation(z)
    T* z = nullptr;  // where z = A B + bias is kept (row stride c_row), if anybody reads it later
};

// C = before + A B where the inner sum runs over a grid, three loops with steps of their own: the taps of a
// convolution, or the positions of an image. C is m x n.
template <class T>
struct GridProduct {
    std::int64_t m, n;
    std::int64_t count[3];              // of the grid, the innermost last
    std::int64_t a_step[3], b_step[3];  // what a step along an axis of the grid adds to a and to b
    const T* a;                         // element (i, k) is a[i * a_row + step(k)]; lanewise: a[... + j]
    std::int64_t a_row;
    const T* b;  // element (k, j) is b[step(k) + j]
    T* c;        // element (i, j) is c[i * c_row + j]
    std::int64_t c_row;
    const T* before = nullptr;  // element (i, j) is before[i * before_row + j * before_column]; null: nothing
    std::int64_t before_row = 0, before_column = 1;  // the latter 1 or 0
    bool lanewise = false;                           // column j of C is made of column j of A alone
    bool b_has_whole_vectors = false;                // what stands behind the n columns of B may be read
};

// Sum over t < n of a[i * a_row + t] * b[j * shift + t] for m rows and some shifts, in 16 lanes each: what
// stands in t's lane at c[(i * c_row + j) * 16] is added to. n is a multiple of 16.
template <class T>
struct SlidingDots {
    std::int64_t m, shifts, n;
    const T* a;
    std::int64_t a_row;
    const T* b;
    std::int64_t shift;
    T* c;
    std::int64_t c_row;
};

// So few products that a call of gemm would mostly be preparation.
inline constexpr std::int64_t tiny_products = 64;

// A layer z = x W^T + b of at most tiny_products products: x is rows x in, W is out x in.
template <class T>
struct LinearArrays {
    std::int64_t rows, in, out;
    const T *x, *weight;
};

template <class T>
struct LinearGradients {  // null: not wanted; else written, or added to
    T *dx, *dW, *db;
    bool add_dx, add_dW, add_db;
};

// y = f(x) and dx = dy * f'(x, y), one element at a time. x or y may be null in backward where the rule does
// not need it; dx may be dy.
template <class T>
struct UnaryKernel {
    std::string_view name;
    bool is_activation;     // stands in activations.hpp, not in unary.hpp
    bool needs_x, needs_y;  // what the derivative is written in
    UnaryFunction<T> forward;
    void (*backward)(const T* x, const T* y, const T* dy, T* dx, std::int64_t n, bool accumulate);
};

// y = f(a, b); a_step and b_step are 1, or 0 for one value that meets all. backward writes dy * df/da
// (operand 0) or dy * df/db (operand 1), one for each of the n elements; summing over a repeated operand is
// the caller's.
template <class T>
struct BinaryKernel {
    std::string_view name;
    bool needs_inputs, needs_output;
    void (*forward)(const T* a, int a_step, const T* b, int b_step, T* y, std::int64_t n);
    void (*backward)(int operand, const T* a, int a_step, const T* b, int b_step, const T* y, const T* dy,
                     T* dx, std::int64_t n, bool accumulate);
};

// A loss of one output row z against its target row t: value[i] = sum or mean over j of f(z_ij, t_ij).
template <class T>
struct LossKernel {
    std::string_view name;
    std::string_view parameter;  // the name of its one parameter, or empty
    double parameter_default;
    double target_low, target_high;  // what a target may be; equal bounds: anything finite
    void (*forward)(const T* z, const T* t, T* value, std::int64_t rows, std::int64_t columns, T parameter);
    // dz_ij = dvalue[i] * d value[i] / d z_ij
    void (*backward)(const T* z, const T* t, const T* dvalue, T* dz, std::int64_t rows, std::int64_t columns,
                     T parameter, bool accumulate);
};

// Rows that are normalised, each by its own statistics; bias is null for rms_norm.
template <class T>
struct NormRows {
    std::int64_t rows, columns;
    const T *x, *weight, *bias;
};

template <class T>
struct NormGradients {
    T *dx, *dW, *db;  // dx null: not wanted; dW and db are added to
    bool add_dx;
};

// The scores q . k of a block of queries, `stride` apart, a multiple of 16. Row r may attend to the keys
// below min(seen + r seen_step, keys), of these to the ones where its row of the mask is not 0.
template <class T>
struct AttentionScores {
    std::int64_t rows, keys, stride;
    std::int64_t seen, seen_step;
    const T* mask;  // null: none; mask_row 0: one row for all queries
    std::int64_t mask_row;
    const T* keep;  // null: no dropout; else what each weight is multiplied by, as far apart as the scores
    T scale;        // of the scores, above 0
};

constexpr int max_slots = 4;
constexpr int max_coefficients = 8;

// One optimizer step on a range of the flat buffers. g' = clamp(g * scale, -clip, clip) enters the rule.
// Returns the largest magnitude written to w or a slot, NaN where one is NaN.
template <class T>
struct UpdateKernel {
    std::string_view name;
    T(*apply)
    (T* w, const T* g, T* const* slots, std::int64_t n, const double* coefficients, double scale,
     double clip);
};

// What every number of a pass is drawn with: Philox's key, and its counter but for the lowest word.
struct RandomWords {
    std::uint32_t key[2];
    std::uint32_t counter[3];
};

inline constexpr std::int64_t drawn_together = 64;  // elements

// Windows over images of rows x columns x channels, one after another in memory. They begin at -padding and
// then at every stride; what lies outside of the image is no part of them.
struct Pooling {
    std::int64_t height, width, channels;
    std::int64_t windows_h, windows_w;  // how many
    std::int64_t size_h, size_w, stride_h, stride_w, padding_h, padding_w;
};

// Images of height x width x channels, and those that are factor times as large.
struct Upsampling {
    std::int64_t height, width, channels, factor_h, factor_w;
};

// One step of a recurrent layer, for some rows of the batch whose states lie side by side.
template <class T>
struct CellStep {
    std::int64_t rows, units;
    const T* z;  // gates * units numbers for each row
    std::int64_t z_row;
    T* slots;  // (rows, slots, units): p = h W_hh^T + b_hh in the first; what backward needs afterwards
    const T *h_before, *c_before;  // (rows, units); null: zeros. c is for cells with a memory alone
    T *h, *c;
    const T* mask;  // null, or 0 for a row whose state is handed on as it is
    std::int64_t mask_row;
    T* y;  // null, or where h is written as well
    std::int64_t y_row;
};

// The same step back.
template <class T>
struct CellGradient {
    std::int64_t rows, units;
    T* slots;  // as forward left them; delta = dL/dp in the first `gates` of them afterwards
    const T *h_before, *c_before, *c;
    const T* mask;
    std::int64_t mask_row;
    const T* dy;  // null, or what is added to dh
    std::int64_t dy_row;
    T *dh, *dc;  // dL/dh and dL/dc after the step; before it afterwards, for dh without delta W_hh
    T* dz;       // null: not wanted
    std::int64_t dz_row;
    bool add_dz;
};

template <class T>
struct CellKernel {
    std::string_view name;
    int gates, slots;
    bool has_memory;  // a c besides h
    void (*forward)(const CellStep<T>&);
    void (*backward)(const CellGradient<T>&);
};

enum class Source : std::uint8_t { f32, f64, u8 };  // element types with a fast way into a batch
constexpr int source_count = 3;

template <class T>
struct Kernels {
    Isa isa;

    // The rectangle [row_begin, row_end) x [column_begin, column_end) of C. `scratch`: gemm_scratch_size
    // elements, the caller's own. Each element of C is one chain of fused multiply-adds over p for each block
    // of K (of a length that depends on k alone), the blocks added in order.
    void (*gemm)(const MatrixProduct<T>&, std::int64_t row_begin, std::int64_t row_end,
                 std::int64_t column_begin, std::int64_t column_end, T* scratch);
    std::int64_t (*gemm_scratch_size)(std::int64_t m, std::int64_t n,
                                      std::int64_t k);  // for every rectangle of this one
    std::int64_t tile_rows, tile_columns;               // rectangles should begin at multiples of these

    // The bits of gemm and sum_columns.
    void (*tiny_linear)(const LinearArrays<T>&, const T* bias, T* z);
    void (*tiny_linear_backward)(const LinearArrays<T>&, const T* delta, const LinearGradients<T>&);

    // Rows of C for an A that is mostly zeros, which are passed over: a_row or a_col, and b_col, are 1. The
    // bits are gemm's, but for the sign of a zero, wherever B is finite.
    void (*sparse_gemm)(const MatrixProduct<T>&, std::int64_t row_begin, std::int64_t row_end, T* scratch);
    std::int64_t (*sparse_gemm_scratch_size)(std::int64_t k);
    std::int64_t (*count_zeros)(const T* x, std::int64_t n);

    // Each element is one chain of fused multiply-adds in the order of the grid, to which `before` is added.
    void (*grid_product)(const GridProduct<T>&);
    void (*sliding_dots)(const SlidingDots<T>&);

    // y[j * y_row + i] = x[i * x_row + j], for i < rows and j < columns
    void (*transpose)(const T* x, std::int64_t x_row, std::int64_t rows, std::int64_t columns, T* y,
                      std::int64_t y_row);

    std::span<const UnaryKernel<T>> unary;
    std::span<const BinaryKernel<T>> binary;
    std::span<const LossKernel<T>> losses;
    std::span<const UpdateKernel<T>> updates;
    std::span<const CellKernel<T>> cells;

    // Sums in 16 or 64 logical lanes folded in one fixed tree; the same bits on every instruction set.
    T (*sum)(const T* x, std::int64_t n);
    T(*sum_of_squares)
    (const T* x, std::int64_t n);  // infinity or NaN where an element is not finite or too large
    T (*dot)(const T* x, const T* y, std::int64_t n);
    T (*max)(const T* x, std::int64_t n);      // hands on NaN
    T (*max_abs)(const T* x, std::int64_t n);  // hands on NaN; 0 for none

    // y[j] = (accumulate ? y[j] : 0) + sum over i of x[i * row + j], rows in order: one chain for each
    // column.
    void (*sum_columns)(const T* x, std::int64_t row, std::int64_t rows, std::int64_t columns, T* y,
                        bool accumulate);

    // Columns with a mean each. `row` is the step from row to row, where it is not `columns`.
    // y[j] = sum over i of (x[i, j] - mean[j])^2
    void (*square_deviations)(const T* x, std::int64_t row, std::int64_t rows, std::int64_t columns,
                              const T* mean, T* y);
    // sums[j] = sum over i of d[i, j], and products[j] = sum over i of d[i, j] (x[i, j] - mean[j])
    void (*deviation_sums)(const T* d, const T* x, std::int64_t row, std::int64_t rows, std::int64_t columns,
                           const T* mean, T* sums, T* products);
    // y = (x - mean) scale + shift
    void (*scale_columns)(const T* x, std::int64_t rows, std::int64_t columns, const T* mean, const T* scale,
                          const T* shift, T* y);
    // dx = d a + (x - mean) b + c, or dx += that
    void (*scale_columns_backward)(const T* d, const T* x, std::int64_t rows, std::int64_t columns,
                                   const T* mean, const T* a, const T* b, const T* c, T* dx, bool accumulate);

    // y = 0 where the random number of an element is below the threshold, else x scale; or y += that. x[0] is
    // element `first` of the array, which is a multiple of drawn_together.
    void (*dropout)(const RandomWords&, std::uint32_t threshold, T scale, std::int64_t first, const T* x,
                    T* y, std::int64_t n, bool accumulate);

    void (*add)(const T* x, T* y, std::int64_t n);  // y += x
    void (*scale)(const T* x, T factor, T* y, std::int64_t n,
                  bool accumulate);  // y = factor * x, or y += factor * x
    // g += l1 * sign(w) + l2 * w; returns nothing: the penalty's value is sum |w| and sum w^2.
    void (*penalty_gradient)(const T* w, T* g, std::int64_t n, T l1, T l2);
    T (*sum_abs)(const T* x, std::int64_t n);

    // Rows of length `columns`.
    void (*softmax)(const T* x, T* y, std::int64_t rows, std::int64_t columns);
    void (*softmax_backward)(const T* y, const T* dy, T* dx, std::int64_t rows, std::int64_t columns,
                             bool accumulate);
    void (*log_softmax)(const T* x, T* y, std::int64_t rows, std::int64_t columns);
    void (*log_softmax_backward)(const T* y, const T* dy, T* dx, std::int64_t rows, std::int64_t columns,
                                 bool accumulate);

    // value[i] = -sum_j q_ij log softmax(z_i)_j with q = (1 - smoothing) onehot(label_i) + smoothing /
    // columns; a row whose label is `ignore` has value 0 and derivative 0. `p` keeps softmax(z).
    void (*cross_entropy)(const T* z, const std::int32_t* label, T* value, T* p, std::int64_t rows,
                          std::int64_t columns, std::int32_t ignore, T smoothing);
    void (*cross_entropy_backward)(const T* p, const std::int32_t* label, const T* dvalue, T* dz,
                                   std::int64_t rows, std::int64_t columns, std::int32_t ignore, T smoothing,
                                   bool accumulate);
    // The same with a row of probabilities for each row of z.
    void (*cross_entropy_soft)(const T* z, const T* target, T* value, T* p, std::int64_t rows,
                               std::int64_t columns, T smoothing);
    void (*cross_entropy_soft_backward)(const T* p, const T* target, const T* dvalue, T* dz,
                                        std::int64_t rows, std::int64_t columns, T smoothing,
                                        bool accumulate);

    // Rows [row, end) of y, counted through all images: the largest of each window, the first among equals,
    // and its number in the window, row by row; a NaN is larger than all. Backward: rows of dx, which are
    // sums of dy in the order of the windows.
    void (*max_pool)(const Pooling&, const T* x, T* y, T* position, std::int64_t row, std::int64_t end);
    void (*max_pool_backward)(const Pooling&, const T* dy, const T* position, T* dx, std::int64_t row,
                              std::int64_t end, bool accumulate);
    // The same for the sum of each window over a divisor; backward: dx = factor * the sum of dy.
    void (*sum_pool)(const Pooling&, const T* x, T divisor, T* y, std::int64_t row, std::int64_t end,
                     bool accumulate);
    void (*sum_pool_backward)(const Pooling&, const T* dy, T factor, T* dx, std::int64_t row,
                              std::int64_t end, bool accumulate);

    // Rows [row, end) of y, or of dx, counted through all images. `scratch`: the caller's own.
    void (*bilinear)(const Upsampling&, const T* x, T* y, T* scratch, std::int64_t row, std::int64_t end);
    void (*bilinear_backward)(const Upsampling&, const T* dy, T* dx, T* scratch, std::int64_t row,
                              std::int64_t end, bool accumulate);
    std::int64_t (*bilinear_scratch_size)(const Upsampling&);
    // y = (x - mean) w / sqrt(variance + eps) + b, and y = x w / sqrt(mean square + eps). `statistics` keeps,
    // for each row, the mean (layer_norm alone) and the reciprocal root.
    void (*layer_norm)(const NormRows<T>&, T eps, T* y, T* statistics);
    void (*layer_norm_backward)(const NormRows<T>&, const T* statistics, const T* dy,
                                const NormGradients<T>&);
    void (*rms_norm)(const NormRows<T>&, T eps, T* y, T* statistics);
    void (*rms_norm_backward)(const NormRows<T>&, const T* statistics, const T* dy, const NormGradients<T>&);

    // Scores become e^(scale (score - largest)) keep, 0 where a row may not attend; `share` is one over the
    // sum of a row before dropout, 0 for a row that sees nothing, whose logsumexp is infinite.
    void (*attention_weights)(const AttentionScores<T>&, T* scores, T* logsumexp, T* share);
    // Scores become p keep with p = e^(scale score - logsumexp), and slopes, which come as dL/d(p keep),
    // become dL/dscore = p (keep slope - along) scale.
    void (*attention_slopes)(const AttentionScores<T>&, const T* logsumexp, const T* along, T* scores,
                             T* slopes);

    // y[i] = T(x[i]); false where a value is NaN or infinite afterwards.
    bool (*convert[source_count])(const void* x, T* y, std::int64_t n);
};

template <class T>
[[nodiscard]] const Kernels<T>& kernels();

// The table of one level, or null where this build or this machine does not have it.
template <class T>
[[nodiscard]] const Kernels<T>* kernels_of(Isa isa);

// The kernel of a name in a list of the table; null where there is none.
template <class List>
[[nodiscard]] constexpr auto find_kernel(const List& list, std::string_view name) -> decltype(list.data()) {
    for (const auto& kernel : list) {
        if (kernel.name == name) return &kernel;
    }
    return nullptr;
}

[[nodiscard]] std::span<const Isa> runnable_isas();  // the levels this build has and this machine can run

// What was wrong with RETROGRAD_ISA; empty where nothing was. The best level is used then.
[[nodiscard]] std::string_view isa_warning();

}  // namespace retrograd
