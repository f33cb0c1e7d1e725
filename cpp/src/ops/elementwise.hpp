// y = f(x) for every unary function of the kernel table.
#pragma once

#include <retrograd/op.hpp>

#include "ops/work.hpp"

namespace retrograd {

// What a function of one element is worth in multiply-adds, as an order of magnitude.
constexpr std::int64_t unary_cost = 8;

class Unary : public OpBase<Unary> {
  public:
    explicit Unary(Both<UnaryKernel> kernel) : kernel_(kernel) {}

    [[nodiscard]] const Both<UnaryKernel>& kernel() const { return kernel_; }

    [[nodiscard]] std::string_view name() const override { return kernel_.f->name; }
    [[nodiscard]] Needs needs() const override { return {kernel_.f->needs_x, kernel_.f->needs_y}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override;
    [[nodiscard]] std::int64_t cost(std::span<const Input>, const Shape& y) const override {
        return unary_cost * y.size();
    }

    // y = f(x)
    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        member.for_range(std::ssize(r.y), chunk, [&](std::int64_t i, std::int64_t end) {
            kernel_.of<T>().forward(r.x[0].data() + i, r.y.data() + i, end - i);
        });
    }

    // dx = dy * f'(x, y)
    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const UnaryKernel<T>& f = kernel_.of<T>();
        member.for_range(std::ssize(r.dy), chunk, [&](std::int64_t i, std::int64_t end) {
            f.backward(f.needs_x ? r.x[0].data() + i : nullptr, f.needs_y ? r.y.data() + i : nullptr,
                       r.dy.data() + i, r.dx[0].data() + i, end - i, r.accumulate[0] != 0);
        });
    }

  private:
    Both<UnaryKernel> kernel_;
};

}  // namespace retrograd
