// A layer's product and its activation in one pass.
#pragma once

#include <string>

#include "ops/elementwise.hpp"
#include "ops/shape_rules.hpp"

namespace retrograd {

// y = act(z), where z is the product of a layer; delta = dy * act'(z), and then as the product has it. The
// same bits as the pair.
template <class Product>
class Activated : public OpBase<Activated<Product>> {
  public:
    Activated(const Product& product, Both<UnaryKernel> activation)
        : name_(text(product.name(), "+", activation.f->name)), product_(product), activation_(activation) {}

    [[nodiscard]] std::string_view name() const override { return name_; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true, .output = activation_.f->needs_y}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        return product_.infer(inputs, who);
    }
    // z, where the derivative is written in it
    [[nodiscard]] std::int64_t saved_size(std::span<const Input>, const Shape& y,
                                          std::int64_t batch) const override {
        return activation_.f->needs_x ? elements(y, batch) : 0;
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input> in, const Shape& y,
                                           std::int64_t n) const override {
        return product_.shared_size(in, y, n);
    }
    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> in, const Shape& y,
                                            std::int64_t n) const override {
        return product_.scratch_size(in, y, n);
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> in, const Shape& y) const override {
        return product_.cost(in, y) + unary_cost * y.size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        product_.values(r, member, activation_.template of<T>().forward, data(r.saved));
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        member.for_range(std::ssize(r.dy), chunk, [&](std::int64_t i, std::int64_t end) {
            activation_.template of<T>().backward(data(r.saved, i), r.y.data() + i, r.dy.data() + i,
                                                  r.dy.data() + i, end - i, false);
        });
        member.barrier();
        product_.gradients(r, member);
    }

  private:
    std::string name_;
    Product product_;
    Both<UnaryKernel> activation_;
};

// The pair as one operation; null where the two are something else.
template <class Product>
[[nodiscard]] OpPtr fuse_activation(const Op& product, const Op& activation) {
    const auto* first = dynamic_cast<const Product*>(&product);
    const auto* unary = dynamic_cast<const Unary*>(&activation);
    if (first == nullptr || unary == nullptr) return nullptr;
    return std::make_shared<Activated<Product>>(*first, unary->kernel());
}

}  // namespace retrograd
