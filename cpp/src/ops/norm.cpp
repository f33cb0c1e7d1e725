// Rows of the last axis, normalised, then scaled by one weight for each column.
//
//   layer_norm:  u = (x - mean) s,  s = 1 / sqrt(variance + eps),     y = u w + b
//   rms_norm:    u = x s,           s = 1 / sqrt(mean(x^2) + eps),    y = u w
//
//   with g = dy w:
//   dx = s (g - mean(g) - u mean(g u))      without mean(g) in rms_norm
//   dw = sum over the rows of dy u          db = sum over the rows of dy
//
// The variance is that of the row itself, divided by n.
#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

class RowNorm : public OpBase<RowNorm> {
  public:
    RowNorm(bool centred, double eps) : centred_(centred), eps_(eps) {}

    [[nodiscard]] std::string_view name() const override { return centred_ ? "layer_norm" : "rms_norm"; }
    [[nodiscard]] Attributes attributes() const override { return {{"eps", eps_}}; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        const std::size_t operands = centred_ ? 3 : 2;
        expect_count(inputs, operands, operands, who);
        expect_real(inputs, who);
        const Shape& x = inputs[0].shape;
        expect_last_axis(x, "input", who);
        const Shape one_each{{x.last()}, false};
        for (std::size_t i = 1; i < operands; ++i) {
            if (inputs[i].shape == one_each) continue;
            throw ShapeError(text(who, ": ", i == 1 ? "weight" : "bias", " is ", inputs[i].shape.str(),
                                  " but the input is ", x.str(), "; expected ", one_each.str()));
        }
        return x;
    }

    [[nodiscard]] std::int64_t saved_size(std::span<const Input>, const Shape& y,
                                          std::int64_t batch) const override {
        return statistics() * (elements(y, batch) / y.last());
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input>, const Shape& y,
                                           std::int64_t batch) const override {
        return parts(elements(y, batch) / y.last()) * 2 * y.last();
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input>, const Shape& y) const override {
        return 4 * y.size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const std::int64_t columns = r.shape->last(), rows = std::ssize(r.y) / columns;
        const auto f = centred_ ? kernels<T>().layer_norm : kernels<T>().rms_norm;
        member.for_range(rows, row_chunk(columns), [&](std::int64_t first, std::int64_t end) {
            f(some_rows(r, first, end), static_cast<T>(eps_), r.y.data() + first * columns,
              r.saved.data() + first * statistics());
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const std::int64_t columns = r.shape->last(), rows = std::ssize(r.y) / columns, count = parts(rows);
        const auto f = centred_ ? kernels<T>().layer_norm_backward : kernels<T>().rms_norm_backward;
        T *dW = r.shared.data(), *db = dW + count * columns;
        member.for_each(count, [&](std::int64_t part) {
            const std::int64_t first = rows * part / count, end = rows * (part + 1) / count;
            NormGradients<T> g{nullptr, dW + part * columns, db + part * columns, r.accumulate[0] != 0};
            if (!r.dx[0].empty()) g.dx = r.dx[0].data() + first * columns;
            std::fill_n(g.dW, columns, T(0));
            std::fill_n(g.db, columns, T(0));
            f(some_rows(r, first, end), r.saved.data() + first * statistics(), r.dy.data() + first * columns,
              g);
        });
        member.barrier();
        fold(dW, count, r, 1, member);
        if (centred_) fold(db, count, r, 2, member);
    }

  private:
    // Kept of each row: the mean, where there is one, and s.
    [[nodiscard]] std::int64_t statistics() const { return centred_ ? 2 : 1; }

    // The sums over the rows are cut into as many parts, by their number alone.
    static std::int64_t parts(std::int64_t rows) { return std::clamp<std::int64_t>(rows / 32, 1, 16); }

    template <class T>
    static NormRows<T> some_rows(const Run<T>& r, std::int64_t first, std::int64_t end) {
        const std::int64_t columns = r.shape->last();
        return {end - first, columns, r.x[0].data() + first * columns, r.x[1].data(),
                r.x.size() == 3 ? r.x[2].data() : nullptr};
    }

    template <class T>
    static void fold(const T* partial, std::int64_t count, const Run<T>& r, std::size_t operand,
                     const Member& member) {
        const std::span<T> sum = r.dx[operand];
        const std::int64_t columns = r.shape->last();
        member.for_range(std::ssize(sum), 64, [&](std::int64_t j, std::int64_t end) {
            kernels<T>().sum_columns(partial + j, columns, count, end - j, sum.data() + j,
                                     r.accumulate[operand] != 0);
        });
    }

    bool centred_;
    double eps_;
};

OpPtr make_row_norm(std::string_view name, bool centred, const Attributes& attributes) {
    allow_attributes(attributes, name, {"eps"});
    const double eps = get_double(attributes, "eps");
    if (!(eps > 0) || eps > 1e30) {
        throw ArgumentError(text(name, ": eps is ", eps, ", expected a number above 0, such as 1e-5"));
    }
    return std::make_shared<RowNorm>(centred, eps);
}

}  // namespace

OpPtr make_layer_norm(const Attributes& attributes) { return make_row_norm("layer_norm", true, attributes); }
OpPtr make_rms_norm(const Attributes& attributes) { return make_row_norm("rms_norm", false, attributes); }

}  // namespace retrograd
