// A layer of weights, and the same with its activation in one pass.
//
//   z = x W^T + b        x (rows, in), W (out, in), b (out), z (rows, out)
//
//   with delta = dL/dz:
//   dx = delta W         dW = delta^T x         db = sum over the rows of delta
#include "ops/activated.hpp"
#include "ops/attributes.hpp"
#include "ops/fusion.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"
#include "ops/zeros.hpp"

namespace retrograd {

namespace {

struct Sizes {
    std::int64_t rows, in, out;

    [[nodiscard]] std::int64_t parameters() const { return out * in + out; }

    // Few weights and many rows: dW has no work to share but its sums, which are cut into parts, by size.
    [[nodiscard]] std::int64_t parts() const {
        constexpr std::int64_t few_weights = 2048, many_rows = 512;
        return out * in > few_weights ? 1 : std::clamp<std::int64_t>(rows / many_rows, 1, 16);
    }

    [[nodiscard]] bool is_tiny() const { return rows * in * out <= tiny_products; }

    [[nodiscard]] bool may_skip_zeros() const {
        return parts() == 1 && retrograd::may_skip_zeros(rows, in, out);
    }
};

Sizes sizes_of(std::span<const Input> inputs, std::int64_t batch) {
    const Shape& x = inputs[0].shape;
    const auto& weight = inputs[1].shape.dims;
    if (x.dims.size() == 1) return {x.batched ? batch : 1, weight[1], weight[0]};  // without a division
    return {elements(x, batch) / weight[1], weight[1], weight[0]};
}

class Linear : public OpBase<Linear> {
  public:
    [[nodiscard]] std::string_view name() const override { return "linear"; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 3, who);
        expect_real(inputs, who);
        const Shape &x = inputs[0].shape, &weight = inputs[1].shape;
        expect_last_axis(x, "input", who);
        if (weight.batched || weight.rank() != 2) {
            throw ShapeError(
                text(who, ": weight is ", weight.str(), ", expected (out, in), the same for all samples"));
        }
        if (x.last() != weight.dims[1]) {
            throw ShapeError(text(who, ": input has ", x.last(), " features but weight is ", weight.str(),
                                  "; expected ", weight.dims[1], " on the last axis of ", x.str()));
        }
        const Shape bias{{weight.dims[0]}, false};
        if (inputs.size() == 3 && inputs[2].shape != bias) {
            throw ShapeError(text(who, ": bias is ", inputs[2].shape.str(), " but weight is ", weight.str(),
                                  "; expected bias ", bias.str()));
        }
        Shape y = x;
        y.dims.back() = weight.dims[0];
        return y;
    }

    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> in, const Shape&,
                                            std::int64_t batch) const override {
        const Sizes s = sizes_of(in, batch);
        const std::int64_t dense = product_scratch(s.rows, s.out, s.in);
        return s.may_skip_zeros() ? std::max(dense, sparse_scratch(s.rows, s.in, s.out)) : dense;
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input> in, const Shape&,
                                           std::int64_t batch) const override {
        const Sizes s = sizes_of(in, batch);
        if (s.may_skip_zeros()) return sparse_shared(s.out, s.in);
        return s.parts() > 1 ? s.parts() * s.parameters() : 0;
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> inputs, const Shape& y) const override {
        return y.size() * inputs[1].shape.dims[1];
    }

    // z = x W^T + b, then y = activation(z) where there is one
    template <class T>
    static void values(const Run<T>& r, const Member& member, UnaryFunction<T> activation, T* z) {
        const Sizes s = sizes_of(r.inputs, r.batch);
        const T* bias = r.x.size() == 3 ? r.x[2].data() : nullptr;
        if (s.is_tiny() && member.size() == 1) {
            T* const to = z != nullptr ? z : r.y.data();
            kernels<T>().tiny_linear({s.rows, s.in, s.out, r.x[0].data(), r.x[1].data()}, bias, to);
            if (activation != nullptr) activation(to, r.y.data(), std::ssize(r.y));
            return;
        }
        const Matrix<T> x = matrix(r.x[0].data(), s.in), weight = transposed(r.x[1].data(), s.in);
        MatrixProduct<T> p = product(s.rows, s.out, s.in, x, weight, r.y.data());
        p.bias = bias;
        p.activation = activation;
        p.z = z;
        T* scratch = r.scratch[static_cast<std::size_t>(member.index())].data();
        if (s.may_skip_zeros() && is_mostly_zeros(x.data, s.rows, s.in)) {
            return multiply_sparse_a(p, r.shared.data(), scratch, member);
        }
        multiply(p, scratch, member);
    }

    // dx = delta W, dW = delta^T x, db = sum of delta; delta = r.dy
    template <class T>
    static void gradients(const Run<T>& r, const Member& member) {
        const Sizes s = sizes_of(r.inputs, r.batch);
        const T *x = r.x[0].data(), *weight = r.x[1].data(), *delta = r.dy.data();
        T *dx = data(r.dx[0]), *dW = data(r.dx[1]), *db = r.dx.size() == 3 ? data(r.dx[2]) : nullptr;
        const bool add_dx = r.accumulate[0] != 0, add_dW = r.accumulate[1] != 0;
        const bool add_db = db != nullptr && r.accumulate[2] != 0;
        if (s.is_tiny() && member.size() == 1) {
            return kernels<T>().tiny_linear_backward({s.rows, s.in, s.out, x, weight}, delta,
                                                     {dx, dW, db, add_dx, add_dW, add_db});
        }
        T* scratch = r.scratch[static_cast<std::size_t>(member.index())].data();
        if (dx != nullptr) {
            multiply(product(s.rows, s.in, s.out, matrix(delta, s.out), matrix(weight, s.in), dx, add_dx),
                     scratch, member);
        }
        if (s.parts() == 1)
            return weight_gradients(s, 0, s.rows, x, delta, dW, add_dW, db, add_db, scratch, member);

        const std::int64_t parts = s.parts(), weights = s.out * s.in;
        T *dW_parts = r.shared.data(), *db_parts = dW_parts + parts * weights;
        member.for_each(parts, [&](std::int64_t part) {
            member.poll(s.rows / parts * weights);
            weight_gradients(s, s.rows * part / parts, s.rows * (part + 1) / parts, x, delta,
                             dW == nullptr ? dW : dW_parts + part * weights, false,
                             db == nullptr ? db : db_parts + part * s.out, false, scratch, Member::alone());
        });
        member.barrier();
        fold(dW_parts, parts, weights, dW, add_dW, member);
        fold(db_parts, parts, s.out, db, add_db, member);
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
    // dW and db from the rows [first, last)
    template <class T>
    static void weight_gradients(const Sizes& s, std::int64_t first, std::int64_t last, const T* x,
                                 const T* delta, T* dW, bool add_dW, T* db, bool add_db, T* scratch,
                                 const Member& member) {
        x += first * s.in;
        delta += first * s.out;
        if (dW != nullptr) {
            const MatrixProduct<T> p =
                product(s.out, s.in, last - first, transposed(delta, s.out), matrix(x, s.in), dW, add_dW);
            if (s.may_skip_zeros() && is_mostly_zeros(x, s.rows, s.in)) {
                multiply_sparse_b(p, scratch, member);
            } else {
                multiply(p, scratch, member);
            }
        }
        if (db != nullptr) {
            member.for_range(s.out, 64, [&](std::int64_t j, std::int64_t end) {
                kernels<T>().sum_columns(delta + j, s.out, last - first, end - j, db + j, add_db);
            });
        }
    }

    template <class T>
    static void fold(const T* partial, std::int64_t parts, std::int64_t n, T* sum, bool accumulate,
                     const Member& member) {
        if (sum == nullptr) return;
        member.for_range(n, 64, [&](std::int64_t j, std::int64_t end) {
            kernels<T>().sum_columns(partial + j, n, parts, end - j, sum + j, accumulate);
        });
    }
};

}  // namespace

OpPtr make_linear(const Attributes& attributes) {
    allow_attributes(attributes, "linear", {});
    return std::make_shared<Linear>();
}

OpPtr fuse_linear_activation(const Op& linear, const Op& activation) {
    return fuse_activation<Linear>(linear, activation);
}

}  // namespace retrograd
