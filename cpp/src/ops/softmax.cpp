// Rows of the last axis as probabilities.
//
//   softmax:      y = exp(x) / sum exp(x)       dx = y * (dy - sum(dy * y))
//   log_softmax:  y = x - log sum exp(x)        dx = dy - exp(y) * sum(dy)
#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

class Softmax : public OpBase<Softmax> {
  public:
    explicit Softmax(bool log) : log_(log) {}

    [[nodiscard]] std::string_view name() const override { return log_ ? "log_softmax" : "softmax"; }
    [[nodiscard]] Needs needs() const override { return {.output = true}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        expect_last_axis(inputs[0].shape, "input", who);
        return inputs[0].shape;
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input>, const Shape& y) const override {
        return 16 * y.size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const std::int64_t columns = r.shape->last(), rows = std::ssize(r.y) / columns;
        const auto f = log_ ? kernels<T>().log_softmax : kernels<T>().softmax;
        member.for_range(rows, row_chunk(columns), [&](std::int64_t i, std::int64_t end) {
            f(r.x[0].data() + i * columns, r.y.data() + i * columns, end - i, columns);
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const std::int64_t columns = r.shape->last(), rows = std::ssize(r.y) / columns;
        const auto f = log_ ? kernels<T>().log_softmax_backward : kernels<T>().softmax_backward;
        member.for_range(rows, row_chunk(columns), [&](std::int64_t i, std::int64_t end) {
            f(r.y.data() + i * columns, r.dy.data() + i * columns, r.dx[0].data() + i * columns, end - i,
              columns, r.accumulate[0] != 0);
        });
    }

  private:
    bool log_;
};

}  // namespace

OpPtr make_softmax(const Attributes& attributes) {
    allow_attributes(attributes, "softmax", {});
    return std::make_shared<Softmax>(false);
}

OpPtr make_log_softmax(const Attributes& attributes) {
    allow_attributes(attributes, "log_softmax", {});
    return std::make_shared<Softmax>(true);
}

}  // namespace retrograd
