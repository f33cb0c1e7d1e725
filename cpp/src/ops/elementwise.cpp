// One element at a time: the functions of the kernel table (elementwise.hpp), clip, and two that only copy.
#include "ops/elementwise.hpp"

#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"

namespace retrograd {

Shape Unary::infer(std::span<const Input> inputs, std::string_view who) const {
    expect_count(inputs, 1, 1, who);
    expect_real(inputs, who);
    return inputs[0].shape;
}

namespace {

// y = min(max(x, low), high)           dx = dy where low <= x <= high, else 0
class Clip : public OpBase<Clip> {
  public:
    Clip(double low, double high) : low_(low), high_(high) {}

    [[nodiscard]] std::string_view name() const override { return "clip"; }
    [[nodiscard]] Attributes attributes() const override { return {{"low", low_}, {"high", high_}}; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        return inputs[0].shape;
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const T low = static_cast<T>(low_), high = static_cast<T>(high_);
        member.for_range(std::ssize(r.y), chunk, [&](std::int64_t i, std::int64_t end) {
            const T* x = r.x[0].data();
            T* y = r.y.data();
            for (; i < end; ++i)
                y[i] = x[i] < low ? low : x[i] > high ? high : x[i];  // NaN is neither: handed on
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const T low = static_cast<T>(low_), high = static_cast<T>(high_);
        const bool accumulate = r.accumulate[0] != 0;
        member.for_range(std::ssize(r.dy), chunk, [&](std::int64_t i, std::int64_t end) {
            const T *x = r.x[0].data(), *dy = r.dy.data();
            T* dx = r.dx[0].data();
            for (; i < end; ++i)
                dx[i] = (accumulate ? dx[i] : T(0)) + (x[i] < low || x[i] > high ? T(0) : dy[i]);
        });
    }

  private:
    double low_, high_;
};

// y = x; dx = dy, but none for stop_gradient
class Copy : public OpBase<Copy> {
  public:
    explicit Copy(bool stops) : stops_(stops) {}

    [[nodiscard]] std::string_view name() const override { return stops_ ? "stop_gradient" : "identity"; }
    [[nodiscard]] bool differentiable(std::size_t) const override { return !stops_; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        return inputs[0].shape;
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        member.for_range(std::ssize(r.y), chunk, [&](std::int64_t i, std::int64_t end) {
            copy(r.x[0].data() + i, r.y.data() + i, end - i, false);
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        member.for_range(std::ssize(r.dy), chunk, [&](std::int64_t i, std::int64_t end) {
            copy<T>(r.dy.data() + i, r.dx[0].data() + i, end - i, r.accumulate[0] != 0);
        });
    }

  private:
    bool stops_;
};

}  // namespace

OpPtr make_unary(std::string_view name, const Attributes& attributes) {
    const Both<UnaryKernel> kernel{find_kernel(kernels<float>().unary, name),
                                   find_kernel(kernels<double>().unary, name)};
    if (kernel.f == nullptr) return nullptr;
    allow_attributes(attributes, name, {});
    return std::make_shared<Unary>(kernel);
}

OpPtr make_clip(const Attributes& attributes) {
    allow_attributes(attributes, "clip", {"low", "high"});
    const double low = get_double(attributes, "low"), high = get_double(attributes, "high");
    if (!(low <= high))
        throw ArgumentError(text("clip: low is ", low, " and high is ", high, "; expected low <= high"));
    return std::make_shared<Clip>(low, high);
}

OpPtr make_identity(const Attributes& attributes) {
    allow_attributes(attributes, "identity", {});
    return std::make_shared<Copy>(false);
}

OpPtr make_stop_gradient(const Attributes& attributes) {
    allow_attributes(attributes, "stop_gradient", {});
    return std::make_shared<Copy>(true);
}

}  // namespace retrograd
