// Convolutions of images and of sequences, and the same with their activation in one pass.
//
//   z[o, f] = b[f] + sum over the taps t and channels c of x[o s + t d - p, c] W[f, t, c]
//
//       x (h, w, in), W (out, kh, kw, in / groups), b (out), z (oh, ow, out), o = (oy, ox), t = (ky, kx)
//       oh = floor((h + 2p - d (kh - 1) - 1) / s) + 1, and ow likewise; x is 0 beyond its edges
//
//   with delta = dL/dz:
//   dx[i, c]    = sum over f and over o, t with o s + t d - p = i of delta[o, f] W[f, t, c]
//   dW[f, t, c] = sum over the batch and o of delta[o, f] x[o s + t d - p, c]
//   db[f]       = sum over the batch and o of delta[o, f]
//
// A sequence (time, in) is an image of one row.
#include "ops/activated.hpp"
#include "ops/attributes.hpp"
#include "ops/convolution.hpp"
#include "ops/fusion.hpp"
#include "ops/list.hpp"

namespace retrograd {

namespace {

class Convolution : public OpBase<Convolution> {
  public:
    Convolution(const char* name, std::size_t axes, ConvAttributes attributes)
        : name_(name), axes_(axes), attributes_(std::move(attributes)) {}

    [[nodiscard]] std::string_view name() const override { return name_; }
    [[nodiscard]] Attributes attributes() const override { return as_attributes(attributes_, false); }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 3, who);
        expect_real(inputs, who);
        const std::int64_t groups = attributes_.groups;
        expect_image(inputs[0], inputs[1], axes_, groups, who);
        const Shape &x = inputs[0].shape, &weight = inputs[1].shape;
        if (weight.last() != x.last() / groups) {
            throw ShapeError(text(who, ": input ", x.str(), " has ", x.last(), " channels in ", groups,
                                  groups == 1 ? " group" : " groups", " but weight is ", weight.str(),
                                  "; expected ", x.last() / groups, " on its last axis"));
        }
        if (weight.dims[0] % groups != 0) {
            throw ShapeError(text(who, ": groups=", groups, " does not divide the ", weight.dims[0],
                                  " filters of weight ", weight.str()));
        }
        expect_bias(inputs, weight.dims[0], who);
        const ConvSizes s = sizes(inputs, 1);
        expect_kernel_fits(s, inputs[0], who);
        Shape y{{s.w.out, s.filters}, x.batched};
        if (axes_ == 2) y.dims.insert(y.dims.begin(), s.h.out);
        (void)checked_mul(y.size(), s.inner());  // what a file asks for may be beyond all sizes
        return y;
    }

    [[nodiscard]] std::int64_t shared_size(std::span<const Input> in, const Shape&,
                                           std::int64_t batch) const override {
        return conv_shared_size(sizes(in, batch));
    }
    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> in, const Shape&,
                                            std::int64_t batch) const override {
        return conv_scratch_size(sizes(in, batch));
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> in, const Shape& y) const override {
        return y.size() * sizes(in, 1).inner();
    }

    // z = x * W + b, then y = activation(z) where there is one
    template <class T>
    void values(const Run<T>& r, const Member& member, UnaryFunction<T> activation, T* z) const {
        ConvResult<T> result{r.y.data()};
        result.z = z;
        result.bias = r.x.size() == 3 ? r.x[2].data() : nullptr;
        result.activation = activation;
        correlate(sizes(r.inputs, r.batch), r.x[0].data(), r.x[1].data(), result, memory(r, member), member);
    }

    // delta = r.dy
    template <class T>
    void gradients(const Run<T>& r, const Member& member) const {
        const ConvSizes s = sizes(r.inputs, r.batch);
        const T *x = r.x[0].data(), *weight = r.x[1].data(), *delta = r.dy.data();
        const ConvMemory<T> own = memory(r, member);
        if (T* const dx = data(r.dx[0])) {
            ConvResult<T> result{dx};
            result.accumulate = r.accumulate[0] != 0;
            spread(s, delta, weight, result, own, member);
            member.barrier();
        }
        if (T* const dW = data(r.dx[1])) {
            weight_gradients(s, x, delta, dW, r.accumulate[1] != 0, own, member);
            member.barrier();
        }
        if (T* const db = r.dx.size() == 3 ? data(r.dx[2]) : nullptr) {
            bias_gradients(delta, s.batch * s.h.out, s.w.out, s.filters, db, r.accumulate[2] != 0, own,
                           member);
        }
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        values<T>(r, member, nullptr, nullptr);
    }
    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        gradients(r, member);
    }

  private:
    [[nodiscard]] ConvSizes sizes(std::span<const Input> inputs, std::int64_t batch) const {
        const Shape& x = inputs[0].shape;
        return conv_sizes(attributes_, x.dims, inputs[1].shape.dims, x.batched ? batch : 1);
    }

    template <class T>
    static ConvMemory<T> memory(const Run<T>& r, const Member& member) {
        return {r.shared.data(), r.scratch[static_cast<std::size_t>(member.index())].data()};
    }

    const char* name_;
    std::size_t axes_;
    ConvAttributes attributes_;
};

}  // namespace

OpPtr make_conv2d(const Attributes& attributes) {
    return std::make_shared<Convolution>("conv2d", 2, read_conv_attributes(attributes, "conv2d", 2, false));
}

OpPtr make_conv1d(const Attributes& attributes) {
    return std::make_shared<Convolution>("conv1d", 1, read_conv_attributes(attributes, "conv1d", 1, false));
}

OpPtr fuse_convolution_activation(const Op& convolution, const Op& activation) {
    return fuse_activation<Convolution>(convolution, activation);
}

}  // namespace retrograd
