// Features moved and scaled by what was measured of them.
//
//   y = (x - mean) / std, and 0 where std is 0        dx = dy / std, and 0 where std is 0
//
// A feature that never varied tells nothing, and any other value of it would be infinitely many standard
// deviations away: it is left out. The mean and std of data that was never seen are NaN, and refused.
#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

class Standardize : public OpBase<Standardize> {
  public:
    explicit Standardize(std::string layer) : layer_(std::move(layer)) {}

    [[nodiscard]] std::string_view name() const override { return "standardize"; }
    [[nodiscard]] Attributes attributes() const override { return {{"layer", layer_}}; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }
    [[nodiscard]] bool differentiable(std::size_t operand) const override { return operand == 0; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 3, 3, who);
        expect_real(inputs, who);
        const Shape& x = inputs[0].shape;
        expect_last_axis(x, "input", who);
        for (const std::size_t i : {1, 2}) {
            const Shape expected{{x.last()}, false};
            if (inputs[i].shape == expected) continue;
            throw ShapeError(text(who, ": ", i == 1 ? "mean" : "std", " is ", inputs[i].shape.str(),
                                  ", but the input is ", x.str(), "; expected ", expected.str(),
                                  ", a number for each feature of its last axis"));
        }
        return x;
    }
    [[nodiscard]] std::int64_t scratch_size(std::span<const Input>, const Shape& y,
                                            std::int64_t) const override {
        return y.last();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const std::int64_t features = r.shape->last();
        const T *mean = r.x[1].data(), *factor = factors(r, member);
        for (std::int64_t j = 0; j < features; ++j) {
            if (mean[j] == mean[j] && factor[j] == factor[j]) continue;
            throw StateError(text(layer_,
                                  ": it does not know the mean and std of its features; give it the "
                                  "training data first: rg.Standardize().adapt(x), or, in a model, "
                                  "net[\"standardize_0\"].adapt(x)"));
        }
        member.for_range(std::ssize(r.y) / features, row_chunk(features),
                         [&](std::int64_t row, std::int64_t end) {
                             for (; row < end; ++row) {
                                 const T* x = r.x[0].data() + row * features;
                                 T* y = r.y.data() + row * features;
                                 for (std::int64_t j = 0; j < features; ++j)
                                     y[j] = (x[j] - mean[j]) * factor[j];
                             }
                         });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const std::int64_t features = r.shape->last();
        const T* factor = factors(r, member);
        const bool accumulate = r.accumulate[0] != 0;
        member.for_range(std::ssize(r.dx[0]) / features, row_chunk(features),
                         [&](std::int64_t row, std::int64_t end) {
                             for (; row < end; ++row) {
                                 const T* dy = r.dy.data() + row * features;
                                 T* dx = r.dx[0].data() + row * features;
                                 for (std::int64_t j = 0; j < features; ++j)
                                     dx[j] = (accumulate ? dx[j] : T(0)) + dy[j] * factor[j];
                             }
                         });
    }

  private:
    // 1 / std, and 0 for 0
    template <class T>
    static const T* factors(const Run<T>& r, const Member& member) {
        T* factor = r.scratch[static_cast<std::size_t>(member.index())].data();
        const std::span<const T> std = r.x[2];
        for (std::size_t j = 0; j < std.size(); ++j) factor[j] = std[j] == T(0) ? T(0) : T(1) / std[j];
        return factor;
    }

    std::string layer_;
};

}  // namespace

OpPtr make_standardize(const Attributes& attributes) {
    allow_attributes(attributes, "standardize", {"layer"});
    return std::make_shared<Standardize>(get_string(attributes, "layer"));
}

}  // namespace retrograd
