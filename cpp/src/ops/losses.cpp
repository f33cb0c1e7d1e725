// One value per sample, and their weighted mean.
//
//   L = sum w_i L_i / sum w_i                             dL/dL_i = w_i / sum w
//   cross_entropy:  L_i = -sum_k q_k log softmax(z)_k     delta = (softmax(z) - q) * dL/dL_i
//
// The losses of the kernel table take a whole sample as one row. No loss has a gradient for its target.
#include <cmath>
#include <limits>

#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

constexpr std::int64_t ignore_by_default = -100;

void expect_same_batch(const Shape& z, const Shape& target, std::string_view who) {
    if (z.batched == target.batched) return;
    throw ShapeError(text(who, ": output is ", z.str(), " but target is ", target.str(),
                          "; expected both with a batch axis, or both without"));
}

class Loss : public OpBase<Loss> {
  public:
    Loss(Both<LossKernel> kernel, double parameter) : kernel_(kernel), parameter_(parameter) {}

    [[nodiscard]] std::string_view name() const override { return kernel_.f->name; }
    [[nodiscard]] bool differentiable(std::size_t operand) const override { return operand == 0; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }
    [[nodiscard]] Attributes attributes() const override {
        if (kernel_.f->parameter.empty()) return {};
        return {{std::string(kernel_.f->parameter), parameter_}};
    }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 2, who);
        const Shape &z = inputs[0].shape, &target = inputs[1].shape;
        expect_real(inputs[0], "output", who);
        expect_real(inputs[1], "target", who);
        expect_same_batch(z, target, who);
        Shape column = target;  // a target (batch) is one number for an output (batch, 1)
        column.dims.push_back(1);
        if (z != target && z != column) {
            throw ShapeError(text(who, ": output is ", z.str(), " but target is ", target.str(),
                                  "; expected target ", z.str()));
        }
        return {{}, z.batched};
    }

    [[nodiscard]] Range range(std::span<const Input>, std::size_t operand) const override {
        const double low = kernel_.f->target_low, high = kernel_.f->target_high;
        if (operand != 1 || low == high) return {0, 0};
        return {.low = low, .high = high, .bounded = true};
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> inputs, const Shape&) const override {
        return 8 * inputs[0].shape.size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const std::int64_t columns = r.inputs[0].shape.size();
        member.for_range(std::ssize(r.y), row_chunk(columns), [&](std::int64_t i, std::int64_t end) {
            kernel_.of<T>().forward(r.x[0].data() + i * columns, r.x[1].data() + i * columns, r.y.data() + i,
                                    end - i, columns, static_cast<T>(parameter_));
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const std::int64_t columns = r.inputs[0].shape.size();
        member.for_range(std::ssize(r.dy), row_chunk(columns), [&](std::int64_t i, std::int64_t end) {
            kernel_.of<T>().backward(r.x[0].data() + i * columns, r.x[1].data() + i * columns,
                                     r.dy.data() + i, r.dx[0].data() + i * columns, end - i, columns,
                                     static_cast<T>(parameter_), r.accumulate[0] != 0);
        });
    }

  private:
    Both<LossKernel> kernel_;
    double parameter_;
};

// The target is a label for each row of z, or a row of probabilities. A sample of several rows (positions)
// has the mean over those that are not ignored.
class CrossEntropy : public OpBase<CrossEntropy> {
  public:
    CrossEntropy(double smoothing, std::int32_t ignore) : smoothing_(smoothing), ignore_(ignore) {}

    [[nodiscard]] std::string_view name() const override { return "cross_entropy"; }
    [[nodiscard]] bool differentiable(std::size_t operand) const override { return operand == 0; }
    [[nodiscard]] Attributes attributes() const override {
        return {{"label_smoothing", smoothing_}, {"ignore_index", std::int64_t{ignore_}}};
    }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 2, who);
        expect_real(inputs[0], "output", who);
        const Shape &z = inputs[0].shape, &target = inputs[1].shape;
        expect_last_axis(z, "output", who);
        expect_same_batch(z, target, who);
        Shape labels = z;
        labels.dims.pop_back();
        const bool is_label = inputs[1].dtype == DType::index;
        if (!is_label && target == labels) expect_index(inputs[1], "target", who);
        if (target != (is_label ? labels : z)) {
            throw ShapeError(text(who, ": output is ", z.str(), " but target is ", target.str(),
                                  "; expected integer labels ", labels.str(), " or probabilities ", z.str()));
        }
        return {{}, z.batched};
    }

    [[nodiscard]] Range range(std::span<const Input> inputs, std::size_t operand) const override {
        if (operand != 1) return {0, 0};
        if (inputs[1].dtype == DType::real) return {.low = 0, .high = 1, .bounded = true};
        return {.low = 0,
                .high = static_cast<double>(inputs[0].shape.last() - 1),
                .bounded = true,
                .ignore = ignore_};
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> inputs, const Shape&) const override {
        return 16 * inputs[0].shape.size();
    }
    [[nodiscard]] std::int64_t saved_size(std::span<const Input> in, const Shape&,
                                          std::int64_t batch) const override {
        return elements(in[0].shape, batch);  // softmax(z)
    }
    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> in, const Shape&,
                                            std::int64_t) const override {
        return in[0].shape.size() / in[0].shape.last();  // a value for each position
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const std::int64_t classes = r.inputs[0].shape.last(), positions = r.inputs[0].shape.size() / classes;
        member.for_range(
            std::ssize(r.y), row_chunk(positions * classes), [&](std::int64_t i, std::int64_t end) {
                if (positions == 1) return values(r, i, end - i, classes, r.y.data() + i);
                T* value = r.scratch[static_cast<std::size_t>(member.index())].data();
                for (; i < end; ++i) {
                    values(r, i * positions, positions, classes, value);
                    const std::int64_t counted = count(r, i, positions);
                    const T total = kernels<T>().sum(value, positions);
                    r.y[static_cast<std::size_t>(i)] = counted > 0 ? total / static_cast<T>(counted) : T(0);
                }
            });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const std::int64_t classes = r.inputs[0].shape.last(), positions = r.inputs[0].shape.size() / classes;
        member.for_range(
            std::ssize(r.dy), row_chunk(positions * classes), [&](std::int64_t i, std::int64_t end) {
                if (positions == 1) return derivatives(r, i, end - i, classes, r.dy.data() + i);
                T* dvalue = r.scratch[static_cast<std::size_t>(member.index())].data();
                for (; i < end; ++i) {
                    const std::int64_t counted = count(r, i, positions);
                    const T dy = r.dy[static_cast<std::size_t>(i)];
                    std::fill_n(dvalue, positions, counted > 0 ? dy / static_cast<T>(counted) : T(0));
                    derivatives(r, i * positions, positions, classes, dvalue);
                }
            });
    }

  private:
    template <class T>
    void values(const Run<T>& r, std::int64_t row, std::int64_t rows, std::int64_t classes, T* value) const {
        const Kernels<T>& k = kernels<T>();
        const T *z = r.x[0].data() + row * classes, smoothing = static_cast<T>(smoothing_);
        T* p = r.saved.data() + row * classes;
        if (r.inputs[1].dtype == DType::index) {
            k.cross_entropy(z, r.index[1].data() + row, value, p, rows, classes, ignore_, smoothing);
        } else {
            k.cross_entropy_soft(z, r.x[1].data() + row * classes, value, p, rows, classes, smoothing);
        }
    }

    template <class T>
    void derivatives(const Run<T>& r, std::int64_t row, std::int64_t rows, std::int64_t classes,
                     const T* dvalue) const {
        const Kernels<T>& k = kernels<T>();
        const T *p = r.saved.data() + row * classes, smoothing = static_cast<T>(smoothing_);
        T* dz = r.dx[0].data() + row * classes;
        const bool accumulate = r.accumulate[0] != 0;
        if (r.inputs[1].dtype == DType::index) {
            k.cross_entropy_backward(p, r.index[1].data() + row, dvalue, dz, rows, classes, ignore_,
                                     smoothing, accumulate);
        } else {
            k.cross_entropy_soft_backward(p, r.x[1].data() + row * classes, dvalue, dz, rows, classes,
                                          smoothing, accumulate);
        }
    }

    // The positions of sample i that are not ignored.
    template <class T>
    [[nodiscard]] std::int64_t count(const Run<T>& r, std::int64_t i, std::int64_t positions) const {
        if (r.inputs[1].dtype != DType::index) return positions;
        const std::int32_t* label = r.index[1].data() + i * positions;
        return positions - std::count(label, label + positions, ignore_);
    }

    double smoothing_;
    std::int32_t ignore_;
};

// The share of a sample's labels that count: what cross_entropy's value weighs in the mean of a batch.
class LabelWeight : public OpBase<LabelWeight> {
  public:
    explicit LabelWeight(std::int32_t ignore) : ignore_(ignore) {}

    [[nodiscard]] std::string_view name() const override { return "label_weight"; }
    [[nodiscard]] bool differentiable(std::size_t) const override { return false; }
    [[nodiscard]] Attributes attributes() const override { return {{"ignore_index", std::int64_t{ignore_}}}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_index(inputs[0], "the labels", who);
        return {{}, inputs[0].shape.batched};
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> inputs, const Shape&) const override {
        return inputs[0].shape.size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const std::int64_t positions = r.inputs[0].shape.size();
        member.for_range(std::ssize(r.y), row_chunk(positions), [&](std::int64_t i, std::int64_t end) {
            for (; i < end; ++i) {
                const std::int32_t* label = r.index[0].data() + i * positions;
                const std::int64_t counted = positions - std::count(label, label + positions, ignore_);
                r.y[static_cast<std::size_t>(i)] = static_cast<T>(counted) / static_cast<T>(positions);
            }
        });
    }

    template <class T>
    void run_backward(const Run<T>&, const Member&) const {}

  private:
    std::int32_t ignore_;
};

// y = sum w v / sum w over the batch, w being 1 or the product of one or two weights; 0 where all w are 0.
//   dv = w / sum w * dy          for one of the weights:  dw = (the other) * (v - y) / sum w * dy
class WeightedMean : public OpBase<WeightedMean> {
  public:
    [[nodiscard]] std::string_view name() const override { return "weighted_mean"; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true, .output = true}; }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 3, who);
        expect_real(inputs, who);
        const Shape& value = inputs[0].shape;
        if (value.batched && value.rank() != 0) {
            throw ShapeError(
                text(who, ": the values are ", value.str(), ", expected one for each sample: (batch)"));
        }
        for (const Input& weight : inputs.subspan(1)) {
            if (weight.shape == value) continue;
            throw ShapeError(text(who, ": the values are ", value.str(), " but a weight is ",
                                  weight.shape.str(), "; expected ", value.str()));
        }
        return {{}, false};
    }
    [[nodiscard]] std::int64_t saved_size(std::span<const Input>, const Shape&, std::int64_t) const override {
        return 1;
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input> in, const Shape&,
                                           std::int64_t n) const override {
        return in.size() == 3 ? elements(in[0].shape, n) : 0;
    }

    // One number for each sample is too little to share.
    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        if (member.index() != 0) return;
        const Kernels<T>& k = kernels<T>();
        const std::int64_t n = std::ssize(r.x[0]);
        const T *value = r.x[0].data(), *weight = r.x.size() > 1 ? r.x[1].data() : nullptr;
        if (r.x.size() == 3) {
            for (std::int64_t i = 0; i < n; ++i)
                r.shared[static_cast<std::size_t>(i)] = weight[i] * r.x[2].data()[i];
            weight = r.shared.data();
        }
        const T total = weight == nullptr ? static_cast<T>(n) : k.sum(weight, n);
        const T sum = weight == nullptr ? k.sum(value, n) : k.dot(weight, value, n);
        r.saved[0] = total;
        r.y[0] = total == T(0) ? T(0) : sum / total;
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const T total = r.saved[0], dy = r.dy[0], y = r.y[0];
        const auto share = [&](T factor) { return total == T(0) ? T(0) : factor / total * dy; };
        for (std::size_t operand = 0; operand < r.x.size(); ++operand) {
            if (r.dx[operand].empty()) continue;
            const bool accumulate = r.accumulate[operand] != 0;
            T* dx = r.dx[operand].data();
            const auto write = [&](std::int64_t i, T gradient) {
                dx[i] = (accumulate ? dx[i] : T(0)) + gradient;
            };
            const T equal = share(T(1));  // where there are no weights
            member.for_range(std::ssize(r.x[0]), chunk, [&](std::int64_t first, std::int64_t end) {
                if (r.x.size() == 1) {
                    for (std::int64_t i = first; i < end; ++i) write(i, equal);
                    return;
                }
                for (std::int64_t i = first; i < end; ++i) {
                    T factor = T(1);
                    for (std::size_t w = 1; w < r.x.size(); ++w) {
                        if (w != operand) factor *= r.x[w].data()[i];
                    }
                    if (operand != 0) factor *= r.x[0].data()[i] - y;
                    write(i, share(factor));
                }
            });
        }
    }
};

std::int32_t ignore_index(const Attributes& attributes, std::string_view op) {
    const std::int64_t ignore = int_or(attributes, "ignore_index", ignore_by_default);
    if (ignore < std::numeric_limits<std::int32_t>::min() ||
        ignore > std::numeric_limits<std::int32_t>::max()) {
        throw ArgumentError(text(op, ": ignore_index is ", ignore, ", expected a 32-bit integer"));
    }
    return static_cast<std::int32_t>(ignore);
}

}  // namespace

OpPtr make_loss(std::string_view name, const Attributes& attributes) {
    const Both<LossKernel> kernel{find_kernel(kernels<float>().losses, name),
                                  find_kernel(kernels<double>().losses, name)};
    if (kernel.f == nullptr) return nullptr;
    if (kernel.f->parameter.empty()) {
        allow_attributes(attributes, name, {});
        return std::make_shared<Loss>(kernel, kernel.f->parameter_default);
    }
    allow_attributes(attributes, name, {kernel.f->parameter});
    const double parameter =
        double_or(attributes, std::string(kernel.f->parameter), kernel.f->parameter_default);
    if (!(parameter > 0) || !std::isfinite(parameter)) {
        throw ArgumentError(
            text(name, ": ", kernel.f->parameter, " is ", parameter, ", expected a finite number above 0"));
    }
    return std::make_shared<Loss>(kernel, parameter);
}

OpPtr make_cross_entropy(const Attributes& attributes) {
    allow_attributes(attributes, "cross_entropy", {"label_smoothing", "ignore_index"});
    const double smoothing = double_or(attributes, "label_smoothing", 0.0);
    if (!(smoothing >= 0 && smoothing <= 1)) {
        throw ArgumentError(text("cross_entropy: label_smoothing is ", smoothing, ", expected 0 to 1"));
    }
    return std::make_shared<CrossEntropy>(smoothing, ignore_index(attributes, "cross_entropy"));
}

OpPtr make_label_weight(const Attributes& attributes) {
    allow_attributes(attributes, "label_weight", {"ignore_index"});
    return std::make_shared<LabelWeight>(ignore_index(attributes, "label_weight"));
}

OpPtr make_weighted_mean(const Attributes& attributes) {
    allow_attributes(attributes, "weighted_mean", {});
    return std::make_shared<WeightedMean>();
}

}  // namespace retrograd
