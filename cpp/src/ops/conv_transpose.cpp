// The transposed convolution: what a convolution's backward pass does to its images, as a forward pass.
//
//   z[i, c] = b[c] + sum over f and over o, t with o s + t d - p = i of x[o, f] W[f, t, c]
//
//       x (oh, ow, in), W (in, kh, kw, out / groups), b (out), z (h, w, out)
//       h = (oh - 1) s - 2p + d (kh - 1) + output_padding + 1, and w likewise
//
//   with delta = dL/dz:
//   dx[o, f]    = sum over t and c of delta[o s + t d - p, c] W[f, t, c]
//   dW[f, t, c] = sum over the batch and o of x[o, f] delta[o s + t d - p, c]
//   db[c]       = sum over the batch and i of delta[i, c]
#include "ops/attributes.hpp"
#include "ops/convolution.hpp"
#include "ops/list.hpp"

namespace retrograd {

namespace {

class ConvTranspose : public OpBase<ConvTranspose> {
  public:
    explicit ConvTranspose(ConvAttributes attributes) : attributes_(std::move(attributes)) {}

    [[nodiscard]] std::string_view name() const override { return "conv_transpose2d"; }
    [[nodiscard]] Attributes attributes() const override { return as_attributes(attributes_, true); }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 3, who);
        expect_real(inputs, who);
        expect_image(inputs[0], inputs[1], 2, attributes_.groups, who);
        const Shape &x = inputs[0].shape, &weight = inputs[1].shape;
        if (weight.dims[0] != x.last()) {
            throw ShapeError(text(who, ": input ", x.str(), " has ", x.last(), " channels but weight is ",
                                  weight.str(), "; expected (in, kh, kw, out/groups) with in=", x.last()));
        }
        const ConvSizes s = sizes(inputs, 1);
        expect_bias(inputs, s.channels, who);
        if (s.h.in < 1 || s.w.in < 1) {
            throw ShapeError(text(who, ": padding ", Shape{attributes_.padding, false}.str(),
                                  " leaves nothing of the result: (", s.h.in, ", ", s.w.in,
                                  ") from the input ", x.str(), " and a kernel (", s.h.kernel, ", ",
                                  s.w.kernel, ")"));
        }
        const Shape z{{s.h.in, s.w.in, s.channels}, x.batched};
        (void)checked_mul(z.size(), s.inner());  // what a file asks for may be beyond all sizes
        return z;
    }

    [[nodiscard]] std::int64_t shared_size(std::span<const Input> in, const Shape&,
                                           std::int64_t batch) const override {
        return conv_shared_size(sizes(in, batch));
    }
    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> in, const Shape&,
                                            std::int64_t batch) const override {
        return conv_scratch_size(sizes(in, batch));
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> in, const Shape&) const override {
        return in[0].shape.size() * sizes(in, 1).inner();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        ConvResult<T> result{r.y.data()};
        result.bias = r.x.size() == 3 ? r.x[2].data() : nullptr;
        spread(sizes(r.inputs, r.batch), r.x[0].data(), r.x[1].data(), result, memory(r, member), member);
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const ConvSizes s = sizes(r.inputs, r.batch);
        const T *x = r.x[0].data(), *weight = r.x[1].data(), *delta = r.dy.data();
        const ConvMemory<T> own = memory(r, member);
        if (!r.dx[0].empty()) {
            ConvResult<T> result{r.dx[0].data()};
            result.accumulate = r.accumulate[0] != 0;
            correlate(s, delta, weight, result, own, member);
            member.barrier();
        }
        if (!r.dx[1].empty()) {
            weight_gradients(s, delta, x, r.dx[1].data(), r.accumulate[1] != 0, own, member);
            member.barrier();
        }
        if (r.dx.size() == 3 && !r.dx[2].empty()) {
            bias_gradients(delta, s.batch * s.h.in, s.w.in, s.channels, r.dx[2].data(), r.accumulate[2] != 0,
                           own, member);
        }
    }

  private:
    [[nodiscard]] ConvSizes sizes(std::span<const Input> inputs, std::int64_t batch) const {
        const Shape& x = inputs[0].shape;
        return transposed_sizes(attributes_, x.dims, inputs[1].shape.dims, x.batched ? batch : 1);
    }

    template <class T>
    static ConvMemory<T> memory(const Run<T>& r, const Member& member) {
        return {r.shared.data(), r.scratch[static_cast<std::size_t>(member.index())].data()};
    }

    ConvAttributes attributes_;
};

}  // namespace

OpPtr make_conv_transpose2d(const Attributes& attributes) {
    return std::make_shared<ConvTranspose>(read_conv_attributes(attributes, "conv_transpose2d", 2, true));
}

}  // namespace retrograd
