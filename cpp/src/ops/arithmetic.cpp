// y = f(a, b) with broadcasting, comparisons, and the choice between two nodes.
//
//   y = f(a, b)          da = sum of dy * df/da over the axes along which a is repeated, and so for b
#include "ops/attributes.hpp"
#include "ops/axis_sum.hpp"
#include "ops/list.hpp"

namespace retrograd {

namespace {

// Hands the gradient of a broadcast operand on: `derive(begin, end, g, accumulate)` writes dL/d operand for
// the elements [begin, end) of the result; where the operand is repeated they are summed by way of `shared`.
template <int N, class T, class Derive>
void operand_gradient(const Run<T>& r, const Strides<N>& strides, int operand, const Member& member,
                      Derive&& derive) {
    const auto i = static_cast<std::size_t>(operand);
    if (r.dx[i].empty()) return;
    const bool accumulate = r.accumulate[i] != 0;
    if (!strides.repeated(operand)) {
        return member.for_range(strides.count(), chunk, [&](std::int64_t begin, std::int64_t end) {
            derive(begin, end, r.dx[i].data(), accumulate);
        });
    }
    T *each = r.shared.data(), *partial = each + strides.count();
    member.for_range(strides.count(), chunk,
                     [&](std::int64_t begin, std::int64_t end) { derive(begin, end, each, false); });
    member.barrier();
    sum_of_repeats(strides, operand).run(each, r.dx[i].data(), accumulate, partial, member);
    member.barrier();  // `shared` is free for the next operand
}

template <int N>
std::int64_t gradient_shared_size(std::span<const Input> inputs, const Shape& y, std::int64_t batch) {
    const Strides<N> strides = broadcast_strides<N>(inputs, y, batch);
    std::int64_t size = 0;
    for (int o = 0; o < N; ++o) {
        if (strides.repeated(o)) {
            size = std::max(size, strides.count() + sum_of_repeats(strides, o).shared_size());
        }
    }
    return size;
}

class Binary : public OpBase<Binary> {
  public:
    explicit Binary(Both<BinaryKernel> kernel) : kernel_(kernel) {}

    [[nodiscard]] std::string_view name() const override { return kernel_.f->name; }
    [[nodiscard]] Needs needs() const override { return {kernel_.f->needs_inputs, kernel_.f->needs_output}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 2, who);
        expect_real(inputs, who);
        return broadcast_shapes(inputs, who);
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input> in, const Shape& y,
                                           std::int64_t n) const override {
        return gradient_shared_size<2>(in, y, n);
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const BinaryKernel<T>& f = kernel_.of<T>();
        const T *a = r.x[0].data(), *b = r.x[1].data();
        const auto strides = broadcast_strides<2>(r.inputs, *r.shape, r.batch);
        const int a_step = static_cast<int>(strides.step(0)), b_step = static_cast<int>(strides.step(1));
        member.for_range(strides.count(), chunk, [&](std::int64_t begin, std::int64_t end) {
            strides.pieces(begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
                f.forward(a + at[0], a_step, b + at[1], b_step, r.y.data() + i, n);
            });
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const BinaryKernel<T>& f = kernel_.of<T>();
        const T *a = r.x[0].data(), *b = r.x[1].data(), *y = r.y.data();
        const auto strides = broadcast_strides<2>(r.inputs, *r.shape, r.batch);
        const int a_step = static_cast<int>(strides.step(0)), b_step = static_cast<int>(strides.step(1));
        for (const int operand : {0, 1}) {
            operand_gradient(r, strides, operand, member, [&](auto begin, auto end, T* g, bool accumulate) {
                strides.pieces(begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
                    f.backward(operand, a + at[0], a_step, b + at[1], b_step, y + i, r.dy.data() + i, g + i,
                               n, accumulate);
                });
            });
        }
    }

  private:
    Both<BinaryKernel> kernel_;
};

// y = 1 where a < b (or the like) holds, else 0
struct Relation {
    std::string_view name;
    bool less, equal, greater, unordered;  // when it holds; unordered: one of the two is NaN
};

constexpr Relation relations[] = {
    {"less", true, false, false, false},    {"less_equal", true, true, false, false},
    {"greater", false, false, true, false}, {"greater_equal", false, true, true, false},
    {"equal", false, true, false, false},   {"not_equal", true, false, true, true},
};

class Comparison : public OpBase<Comparison> {
  public:
    explicit Comparison(const Relation& relation) : relation_(relation) {}

    [[nodiscard]] std::string_view name() const override { return relation_.name; }
    [[nodiscard]] bool differentiable(std::size_t) const override { return false; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 2, who);
        expect_real(inputs, who);
        return broadcast_shapes(inputs, who);
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const auto strides = broadcast_strides<2>(r.inputs, *r.shape, r.batch);
        member.for_range(strides.count(), chunk, [&](std::int64_t begin, std::int64_t end) {
            strides.pieces(begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
                const T *a = r.x[0].data() + at[0], *b = r.x[1].data() + at[1];
                for (std::int64_t j = 0; j < n; ++j) {
                    r.y[static_cast<std::size_t>(i + j)] =
                        holds(a[j * strides.step(0)], b[j * strides.step(1)]) ? T(1) : T(0);
                }
            });
        });
    }

    template <class T>
    void run_backward(const Run<T>&, const Member&) const {}

  private:
    template <class T>
    [[nodiscard]] bool holds(T a, T b) const {
        return a < b    ? relation_.less
               : a > b  ? relation_.greater
               : a == b ? relation_.equal
                        : relation_.unordered;
    }

    const Relation& relation_;
};

// y = a where condition is not 0, else b
class Where : public OpBase<Where> {
  public:
    [[nodiscard]] std::string_view name() const override { return "where"; }
    [[nodiscard]] bool differentiable(std::size_t operand) const override { return operand != 0; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 3, 3, who);
        expect_real(inputs, who);
        return broadcast_shapes(inputs, who);
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input> in, const Shape& y,
                                           std::int64_t n) const override {
        return gradient_shared_size<3>(in, y, n);
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const auto strides = broadcast_strides<3>(r.inputs, *r.shape, r.batch);
        member.for_range(strides.count(), chunk, [&](std::int64_t begin, std::int64_t end) {
            strides.pieces(begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
                const T *condition = r.x[0].data() + at[0], *a = r.x[1].data() + at[1],
                        *b = r.x[2].data() + at[2];
                T* y = r.y.data() + i;
                for (std::int64_t j = 0; j < n; ++j) {
                    y[j] = condition[j * strides.step(0)] != T(0) ? a[j * strides.step(1)]
                                                                  : b[j * strides.step(2)];
                }
            });
        });
    }

    // da = dy where the condition held, db = dy elsewhere
    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const auto strides = broadcast_strides<3>(r.inputs, *r.shape, r.batch);
        for (const int operand : {1, 2}) {
            operand_gradient(r, strides, operand, member, [&](auto begin, auto end, T* g, bool accumulate) {
                strides.pieces(begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
                    const T *condition = r.x[0].data() + at[0], *dy = r.dy.data() + i;
                    T* out = g + i;
                    for (std::int64_t j = 0; j < n; ++j) {
                        const bool taken = (condition[j * strides.step(0)] != T(0)) == (operand == 1);
                        out[j] = (accumulate ? out[j] : T(0)) + (taken ? dy[j] : T(0));
                    }
                });
            });
        }
    }
};

}  // namespace

OpPtr make_binary(std::string_view name, const Attributes& attributes) {
    const Both<BinaryKernel> kernel{find_kernel(kernels<float>().binary, name),
                                    find_kernel(kernels<double>().binary, name)};
    if (kernel.f == nullptr) return nullptr;
    allow_attributes(attributes, name, {});
    return std::make_shared<Binary>(kernel);
}

OpPtr make_comparison(std::string_view name, const Attributes& attributes) {
    for (const Relation& relation : relations) {
        if (relation.name != name) continue;
        allow_attributes(attributes, name, {});
        return std::make_shared<Comparison>(relation);
    }
    return nullptr;
}

OpPtr make_where(const Attributes& attributes) {
    allow_attributes(attributes, "where", {});
    return std::make_shared<Where>();
}

}  // namespace retrograd
