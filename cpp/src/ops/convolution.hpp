// The three products of a convolution, in terms of which conv1d, conv2d and conv_transpose2d are written.
//
// An image x (h, w, c) meets a kernel W (f, kh, kw, c / groups) at oh x ow places; stride s, padding p and
// dilation d are those of each axis, and x is 0 beyond its edges. With i = o s + t d - p for a tap t:
//
//   correlate           y[o, f]    =  sum over t, c of x[i, c] W[f, t, c]
//   spread              dx[i, c]  +=  sum over f of dy[o, f] W[f, t, c], for each o and t     (the transpose)
//   weight_gradients    dW[f, t, c] = sum over o of dy[o, f] x[i, c]
//
// Where groups > 1, a channel of y sees the channels of x in its own group.
#pragma once

#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

// One axis of an image.
struct ConvAxis {
    std::int64_t in, out, kernel, stride, before, after, dilation;  // before, after: the padding

    [[nodiscard]] std::int64_t span() const { return (kernel - 1) * dilation + 1; }
    [[nodiscard]] std::int64_t used() const { return (out - 1) * stride + span(); }  // counted with padding
    [[nodiscard]] bool is_padded() const { return before > 0 || used() > in; }
    [[nodiscard]] std::int64_t padded() const { return is_padded() ? std::max(used(), before + in) : in; }
};

struct ConvSizes {
    std::int64_t batch;
    ConvAxis h, w;
    std::int64_t channels, filters, groups;
    bool backwards = false;  // the kernel is read from its last tap to its first

    [[nodiscard]] std::int64_t group_channels() const { return channels / groups; }
    [[nodiscard]] std::int64_t group_filters() const { return filters / groups; }
    [[nodiscard]] std::int64_t taps() const { return h.kernel * w.kernel; }
    [[nodiscard]] std::int64_t inner() const { return taps() * group_channels(); }
    [[nodiscard]] std::int64_t weights() const { return filters * inner(); }
    [[nodiscard]] std::int64_t image() const { return h.in * w.in * channels; }
    [[nodiscard]] std::int64_t result() const { return h.out * w.out * filters; }
    [[nodiscard]] std::int64_t row() const { return w.padded() * channels; }  // of the padded image
    [[nodiscard]] bool is_padded() const { return h.is_padded() || w.is_padded(); }
    [[nodiscard]] std::int64_t padded_image() const { return h.padded() * row(); }
    // Every channel by itself: vectors hold channels.
    [[nodiscard]] bool is_depthwise() const {
        return groups > 1 && group_channels() == 1 && group_filters() == 1;
    }
};

// What stride, padding and dilation may be at most; sums of them stay far from 63 bits.
inline constexpr std::int64_t most_of_attribute = std::int64_t{1} << 30;

struct ConvAttributes {
    std::vector<std::int64_t> stride, padding, dilation, output_padding;  // for each axis
    bool same = false;                                                    // padding="same"
    std::int64_t groups = 1;
};

// Reads and checks them for `axes` axes; throws ArgumentError.
[[nodiscard]] ConvAttributes read_conv_attributes(const Attributes&, const char* op, std::size_t axes,
                                                  bool transposed);
[[nodiscard]] Attributes as_attributes(const ConvAttributes&, bool transposed);

// Of conv1d and conv2d: x is `image`. Of conv_transpose2d: x is `small`, and the image is what is made.
[[nodiscard]] ConvSizes conv_sizes(const ConvAttributes&, const std::vector<std::int64_t>& image,
                                   const std::vector<std::int64_t>& kernel, std::int64_t batch);
[[nodiscard]] ConvSizes transposed_sizes(const ConvAttributes&, const std::vector<std::int64_t>& small,
                                         const std::vector<std::int64_t>& kernel, std::int64_t batch);

// Throw ShapeError, beginning with `who`.
void expect_image(const Input& x, const Input& weight, std::size_t axes, std::int64_t groups,
                  std::string_view who);
void expect_bias(std::span<const Input> inputs, std::int64_t filters, std::string_view who);
void expect_kernel_fits(const ConvSizes&, const Input& x, std::string_view who);

// Elements of Run::shared and Run::scratch that the three products need.
[[nodiscard]] std::int64_t conv_shared_size(const ConvSizes&);
[[nodiscard]] std::int64_t conv_scratch_size(const ConvSizes&);

template <class T>
struct ConvResult {
    T* y;
    T* z = nullptr;  // where the values before the activation are kept, if anybody reads them later
    const T* bias = nullptr;
    UnaryFunction<T> activation = nullptr;
    bool accumulate = false;
};

template <class T>
struct ConvMemory {
    T *shared, *scratch;
};

// All three begin with a barrier's worth of preparation in `shared`: between two of them stands a barrier.
template <class T>
void correlate(const ConvSizes&, const T* x, const T* weight, const ConvResult<T>&, const ConvMemory<T>&,
               const Member&);

// y of the result is dx (or what conv_transpose2d makes); it has a bias, but no activation.
template <class T>
void spread(const ConvSizes&, const T* dy, const T* weight, const ConvResult<T>& dx, const ConvMemory<T>&,
            const Member&);

template <class T>
void weight_gradients(const ConvSizes&, const T* x, const T* dy, T* dW, bool accumulate, const ConvMemory<T>&,
                      const Member&);

// db = the sum of dy over its rows; a row is `columns` places side by side.
template <class T>
void bias_gradients(const T* dy, std::int64_t rows, std::int64_t columns, std::int64_t filters, T* db,
                    bool accumulate, const ConvMemory<T>&, const Member&);

}  // namespace retrograd
