// The kernels of one instruction set. Compiled once for each, with RG_ISA set to its name. All that the
// headers of this folder define has internal linkage, and two functions are all that leaves: the linker can
// never give one machine the code of another.
//
// AVX-512 has only kernels that gain by it; the others are AVX2's, which have the same bits (table.cpp).
#include "kernels/attention.hpp"
#include "kernels/columns.hpp"
#include "kernels/conv.hpp"
#include "kernels/convert.hpp"
#include "kernels/dropout.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/gemm.hpp"
#include "kernels/losses.hpp"
#include "kernels/norm.hpp"
#include "kernels/pool.hpp"
#include "kernels/recurrent.hpp"
#include "kernels/reduce.hpp"
#include "kernels/softmax.hpp"
#include "kernels/sparse.hpp"
#include "kernels/updates.hpp"
#include "kernels/upsample.hpp"
#include "simd/isa.hpp"

namespace retrograd::RG_ISA {
namespace {

#if defined(RG_SIMD_AVX512)
inline constexpr bool is_first_choice_only = true;
#else
inline constexpr bool is_first_choice_only = false;
#endif

// What most steps spend their time in.
template <class T>
void fill_steps(Kernels<T>& table) {
    table.gemm = &gemm<T>;
    table.gemm_scratch_size = &gemm_scratch_size<T>;
    table.tile_rows = gemm_tile_rows<T>;
    table.tile_columns = gemm_tile_columns<T>;
    table.sparse_gemm = &sparse_gemm<T>;
    table.sparse_gemm_scratch_size = &sparse_gemm_scratch_size<T>;
    table.count_zeros = &count_zeros<T>;
    table.grid_product = &grid_product<T>;
    table.sliding_dots = &sliding_dots<T>;
    table.sum_columns = &sum_columns<T>;
    table.unary = UnaryTable<T, Activations, UnaryFunctions>::list;
    table.updates = UpdateTable<T, Updates>::list;
    table.cells = CellTable<T, Cells>::list;
}

// What gains in float, and is rare in double.
template <class T>
void fill_functions(Kernels<T>& table) {
    table.tiny_linear = &tiny_linear<T>;
    table.tiny_linear_backward = &tiny_linear_backward<T>;
    table.softmax = &softmax<T>;
    table.softmax_backward = &softmax_backward<T>;
    table.log_softmax = &log_softmax<T>;
    table.log_softmax_backward = &log_softmax_backward<T>;
    table.cross_entropy = &cross_entropy<T>;
    table.cross_entropy_backward = &cross_entropy_backward<T>;
    table.cross_entropy_soft = &cross_entropy_soft<T>;
    table.cross_entropy_soft_backward = &cross_entropy_soft_backward<T>;
    table.layer_norm = &layer_norm<T>;
    table.layer_norm_backward = &layer_norm_backward<T>;
    table.rms_norm = &rms_norm<T>;
    table.rms_norm_backward = &rms_norm_backward<T>;
    table.attention_weights = &attention_weights<T>;
    table.attention_slopes = &attention_slopes<T>;
}

// What memory holds up, or little is spent in.
template <class T>
void fill_rest(Kernels<T>& table) {
    table.transpose = &transpose<T>;
    table.binary = BinaryTable<T, ArithmeticFunctions>::list;
    table.losses = LossTable<T, Losses>::list;
    table.sum = &sum_all<T>;
    table.sum_of_squares = &sum_squares<T>;
    table.dot = &dot_all<T>;
    table.max = &max_all<T>;
    table.max_abs = &max_magnitude<T>;
    table.square_deviations = &square_deviations<T>;
    table.deviation_sums = &deviation_sums<T>;
    table.scale_columns = &scale_columns<T>;
    table.scale_columns_backward = &scale_columns_backward<T>;
    table.dropout = &dropout<T>;
    table.add = &add<T>;
    table.scale = &scale<T>;
    table.penalty_gradient = &penalty_gradient<T>;
    table.sum_abs = &sum_magnitudes<T>;
    table.max_pool = &max_pool<T>;
    table.max_pool_backward = &max_pool_backward<T>;
    table.sum_pool = &sum_pool<T>;
    table.sum_pool_backward = &sum_pool_backward<T>;
    table.bilinear = &bilinear<T>;
    table.bilinear_backward = &bilinear_backward<T>;
    table.bilinear_scratch_size = &bilinear_scratch_size<T>;
    table.convert[static_cast<int>(Source::f32)] = &convert<float, T>;
    table.convert[static_cast<int>(Source::f64)] = &convert<double, T>;
    table.convert[static_cast<int>(Source::u8)] = &convert<std::uint8_t, T>;
}

template <class T>
void fill(Kernels<T>& table) {
    table.isa = Isa::RG_ISA;
    fill_steps(table);
    if constexpr (!is_first_choice_only || sizeof(T) == sizeof(float)) fill_functions(table);
    if constexpr (!is_first_choice_only) fill_rest(table);
}

}  // namespace

void fill_float(Kernels<float>& table) { fill(table); }
void fill_double(Kernels<double>& table) { fill(table); }

}  // namespace retrograd::RG_ISA
