// sum, mean, max and logsumexp over some or all axes of a sample (over any axes of a node without a batch).
//
//   sum:        y = sum x                   dx = dy
//   mean:       y = sum x / n               dx = dy / n
//   max:        y = max x                   dx = dy / k for the k elements that are the largest, else 0
//   logsumexp:  y = log sum exp x           dx = dy * exp(x - y)
#include <limits>

#include "ops/attributes.hpp"
#include "ops/axis_sum.hpp"
#include "ops/list.hpp"

namespace retrograd {

namespace {

// What a reduction is made with: `keepdims`, and `axis` as the user gave it (absent: all of the sample's).
class Axes {
  public:
    Axes(const Attributes& attributes, std::string_view op)
        : given_(maybe_axes(attributes, "axis")), keepdims_(bool_or(attributes, "keepdims", false)) {
        allow_attributes(attributes, op, {"axis", "keepdims"});
        if (given_) list_ = axis_list(*given_);
    }

    [[nodiscard]] Attributes attributes() const {
        Attributes all{{"keepdims", keepdims_}};
        if (given_) all["axis"] = *given_;
        return all;
    }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        const Shape& x = inputs[0].shape;
        expect_rank(x, who);
        const std::vector<bool> reduced = sample_axes(given_ ? &list_ : nullptr, x, "reduce", who);
        Shape y{{}, x.batched};
        for (std::size_t i = 0; i < x.dims.size(); ++i) {
            if (!reduced[i])
                y.dims.push_back(x.dims[i]);
            else if (keepdims_)
                y.dims.push_back(1);
        }
        return y;
    }

    // f(size, reduced, stride in x) for each axis, from the last to the first; the batch is the last of all.
    template <class F>
    void each(const Shape& x, std::int64_t batch, F&& f) const {
        std::int64_t stride = 1;
        const std::int64_t rank = user_rank(x), first = x.batched ? 1 : 0;
        for (std::int64_t axis = rank - 1; axis >= 0; --axis) {
            const std::int64_t n = axis < first ? batch : x.dims[static_cast<std::size_t>(axis - first)];
            f(n, axis >= first && is_reduced(axis, rank), stride);
            stride *= n;
        }
    }

  private:
    [[nodiscard]] bool is_reduced(std::int64_t axis, std::int64_t rank) const {
        if (!given_) return true;
        return std::any_of(list_.begin(), list_.end(),
                           [&](auto a) { return (a < 0 ? a + rank : a) == axis; });
    }

    std::optional<Attribute> given_;
    std::vector<std::int64_t> list_;
    bool keepdims_;
};

class Sum : public OpBase<Sum> {
  public:
    Sum(const Attributes& attributes, bool mean) : axes_(attributes, mean ? "mean" : "sum"), mean_(mean) {}

    [[nodiscard]] std::string_view name() const override { return mean_ ? "mean" : "sum"; }
    [[nodiscard]] Attributes attributes() const override { return axes_.attributes(); }
    [[nodiscard]] Shape infer(std::span<const Input> in, std::string_view who) const override {
        return axes_.infer(in, who);
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> in, const Shape&) const override {
        return in[0].shape.size();
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input> in, const Shape&,
                                           std::int64_t n) const override {
        return sum_of(in[0].shape, n).shared_size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const AxisSum sum = sum_of(r.inputs[0].shape, r.batch);
        sum.run(r.x[0].data(), r.y.data(), false, r.shared.data(), member);
        if (!mean_) return;
        member.barrier();
        const T terms =
            static_cast<T>(sum.terms());  // divided, not multiplied by 1 / n: the mean of equals is exact
        member.for_range(sum.outputs(), chunk, [&](std::int64_t i, std::int64_t end) {
            for (; i < end; ++i) r.y[static_cast<std::size_t>(i)] /= terms;
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const AxisSum sum = sum_of(r.inputs[0].shape, r.batch);
        Strides<1> strides;
        std::int64_t step = 1;
        axes_.each(r.inputs[0].shape, r.batch, [&](std::int64_t n, bool reduced, std::int64_t) {
            strides.push(n, {reduced ? 0 : step});
            if (!reduced) step *= n;
        });
        const T factor = mean_ ? T(1) / static_cast<T>(sum.terms()) : T(1);
        repeat<T>(strides, r.dy.data(), factor, r.dx[0].data(), r.accumulate[0] != 0, member);
    }

  private:
    [[nodiscard]] AxisSum sum_of(const Shape& x, std::int64_t batch) const {
        AxisSum sum;
        axes_.each(x, batch, [&](std::int64_t n, bool reduced, std::int64_t) { sum.push(n, reduced); });
        return sum;
    }

    Axes axes_;
    bool mean_;
};

// Where the elements of each result lie: results from `kept` on, the elements of one along `reduced`.
struct Groups {
    Strides<1> kept, reduced;

    Groups(const Axes& axes, const Shape& x, std::int64_t batch) {
        axes.each(x, batch, [&](std::int64_t n, bool is_reduced, std::int64_t stride) {
            (is_reduced ? reduced : kept).push(n, {stride});
        });
    }

    // The elements of result i, in place where they are neighbours, else copied to `row`.
    template <class T>
    [[nodiscard]] const T* elements_of(std::int64_t i, const T* x, T* row) const {
        x += kept.offsets(i)[0];
        if (reduced.contiguous(0)) return x;
        reduced.pieces(0, reduced.count(), [&](std::int64_t j, const auto& at, std::int64_t n) {
            copy_from(x + at[0], reduced.step(0), row + j, n);
        });
        return row;
    }

    template <class T>
    void put(std::int64_t i, const T* row, T* x, bool accumulate) const {
        x += kept.offsets(i)[0];
        reduced.pieces(0, reduced.count(), [&](std::int64_t j, const auto& at, std::int64_t n) {
            copy_to(row + j, x + at[0], reduced.step(0), n, accumulate);
        });
    }
};

// What max and logsumexp share: each result from its elements in one row. A Rule has
//   value(x, n, work) -> y        derivative(x, y, dy, dx, n)
template <class Rule>
class RowReduction : public OpBase<RowReduction<Rule>> {
  public:
    explicit RowReduction(const Attributes& attributes) : axes_(attributes, Rule::name) {}

    [[nodiscard]] std::string_view name() const override { return Rule::name; }
    [[nodiscard]] Attributes attributes() const override { return axes_.attributes(); }
    [[nodiscard]] Needs needs() const override { return {.inputs = true, .output = true}; }
    [[nodiscard]] Shape infer(std::span<const Input> in, std::string_view who) const override {
        return axes_.infer(in, who);
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> in, const Shape&) const override {
        return Rule::cost * in[0].shape.size();
    }
    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> in, const Shape&,
                                            std::int64_t n) const override {
        return 2 * Groups(axes_, in[0].shape, n).reduced.count();  // the elements, and what is made of them
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const Groups groups(axes_, r.inputs[0].shape, r.batch);
        T* row = r.scratch[static_cast<std::size_t>(member.index())].data();
        const std::int64_t n = groups.reduced.count();
        member.for_range(groups.kept.count(), row_chunk(n), [&](std::int64_t i, std::int64_t end) {
            for (; i < end; ++i) {
                r.y[static_cast<std::size_t>(i)] =
                    Rule::value(groups.elements_of(i, r.x[0].data(), row), n, row + n);
            }
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const Groups groups(axes_, r.inputs[0].shape, r.batch);
        T* row = r.scratch[static_cast<std::size_t>(member.index())].data();
        const std::int64_t n = groups.reduced.count();
        member.for_range(groups.kept.count(), row_chunk(n), [&](std::int64_t i, std::int64_t end) {
            for (; i < end; ++i) {
                const auto at = static_cast<std::size_t>(i);
                Rule::derivative(groups.elements_of(i, r.x[0].data(), row), r.y[at], r.dy[at], row + n, n);
                groups.put(i, row + n, r.dx[0].data(), r.accumulate[0] != 0);
            }
        });
    }

  private:
    Axes axes_;
};

struct Max {
    static constexpr std::string_view name = "max";
    static constexpr std::int64_t cost = 1;

    template <class T>
    static T value(const T* x, std::int64_t n, T*) {
        return kernels<T>().max(x, n);
    }

    template <class T>
    static void derivative(const T* x, T y, T dy, T* dx, std::int64_t n) {
        const T share = dy / static_cast<T>(std::count(x, x + n, y));
        for (std::int64_t i = 0; i < n; ++i) dx[i] = x[i] == y ? share : T(0);
    }
};

struct LogSumExp {
    static constexpr std::string_view name = "logsumexp";
    static constexpr std::int64_t cost = 16;

    template <class T>
    static T value(const T* x, std::int64_t n, T* work) {
        const Kernels<T>& k = kernels<T>();
        const T largest = k.max(x, n);
        if (largest - largest != T(0)) return largest;  // nothing but -inf, or inf or NaN among them
        k.log_softmax(x, work, 1, n);
        return largest - k.max(work, n);  // log_softmax is x - y
    }

    template <class T>
    static void derivative(const T* x, T y, T dy, T* dx, std::int64_t n) {
        if (y == -std::numeric_limits<T>::infinity()) {
            std::fill_n(dx, n, T(0));
            return;
        }
        kernels<T>().softmax(x, dx, 1, n);  // exp(x - y)
        for (std::int64_t i = 0; i < n; ++i) dx[i] *= dy;
    }
};

}  // namespace

OpPtr make_sum(const Attributes& attributes) { return std::make_shared<Sum>(attributes, false); }
OpPtr make_mean(const Attributes& attributes) { return std::make_shared<Sum>(attributes, true); }
OpPtr make_max(const Attributes& attributes) { return std::make_shared<RowReduction<Max>>(attributes); }
OpPtr make_logsumexp(const Attributes& attributes) {
    return std::make_shared<RowReduction<LogSumExp>>(attributes);
}

}  // namespace retrograd
