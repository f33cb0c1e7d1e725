// Operations that move numbers and compute nothing: the gradient goes back the way the numbers came.
#include <limits>

#include "ops/attributes.hpp"
#include "ops/axis_sum.hpp"
#include "ops/list.hpp"

namespace retrograd {

namespace {

// y has the elements of x in the same order. `shape` is that of one sample where there is a batch; one -1 is
// worked out. Flatten is the shape (-1).
class Reshape : public OpBase<Reshape> {
  public:
    explicit Reshape(std::vector<std::int64_t> shape, bool flatten = false)
        : shape_(std::move(shape)), flatten_(flatten) {}

    [[nodiscard]] std::string_view name() const override { return flatten_ ? "flatten" : "reshape"; }
    [[nodiscard]] Attributes attributes() const override {
        return flatten_ ? Attributes{} : Attributes{{"shape", shape_}};
    }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        const Shape& x = inputs[0].shape;
        Shape y{shape_, x.batched};
        const auto open = std::find(y.dims.begin(), y.dims.end(), -1);
        if (open != y.dims.end()) {
            *open = 1;
            const std::int64_t rest = y.size();
            if (rest != 0 && x.size() % rest == 0) *open = x.size() / rest;
        }
        if (y.size() != x.size()) {
            throw ShapeError(text(who, ": ", x.str(), " has ", x.size(), " elements",
                                  x.batched ? " in a sample" : "", ", which do not fill ",
                                  Shape{shape_, x.batched}.str()));
        }
        return y;
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
    std::vector<std::int64_t> shape_;
    bool flatten_;
};

// y is a view of x: element (i, j, ...) of y is x[start + i * stride_i + j * stride_j + ...].
template <class T>
void read_view(const Run<T>& r, const Strides<1>& view, std::int64_t start, const Member& member) {
    const T* x = r.x[0].data() + start;
    member.for_range(view.count(), chunk, [&](std::int64_t begin, std::int64_t end) {
        view.pieces(begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
            copy_from(x + at[0], view.step(0), r.y.data() + i, n);
        });
    });
}

template <class T>
void write_view(const Run<T>& r, const Strides<1>& view, std::int64_t start, bool accumulate,
                const Member& member) {
    T* dx = r.dx[0].data() + start;
    member.for_range(view.count(), chunk, [&](std::int64_t begin, std::int64_t end) {
        view.pieces(begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
            copy_to<T>(r.dy.data() + i, dx + at[0], view.step(0), n, accumulate);
        });
    });
}

// Axis i of y is axis axes[i] of x, the batch being 0 and staying first; no axes: the sample's reversed.
class Transpose : public OpBase<Transpose> {
  public:
    explicit Transpose(const Attributes& attributes) {
        allow_attributes(attributes, "transpose", {"axes"});
        if (attributes.contains("axes")) axes_ = get_ints(attributes, "axes");
    }

    [[nodiscard]] std::string_view name() const override { return "transpose"; }
    [[nodiscard]] Attributes attributes() const override {
        return axes_ ? Attributes{{"axes", *axes_}} : Attributes{};
    }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        const Shape& x = inputs[0].shape;
        expect_rank(x, who);
        const std::int64_t rank = user_rank(x);
        if (axes_) {
            if (std::ssize(*axes_) != rank) {
                throw ShapeError(text(who, ": got ", axes_->size(), " axes for shape ", x.str(),
                                      ", expected ", rank, x.batched ? ", the batch (0) first" : ""));
            }
            std::vector<std::int64_t> rest = *axes_;
            if (x.batched) {
                if (rest[0] != 0 && rest[0] != -rank) {
                    throw GraphError(text(who, ": axis ", rest[0], " of shape ", x.str(),
                                          " would come first, but the batch ",
                                          "may not move; begin the axes with 0"));
                }
                rest.erase(rest.begin());
            }
            static_cast<void>(
                sample_axes(&rest, x, "move", who));  // in range, none twice: then all are there
        }
        Shape y{{}, x.batched};
        for (std::int64_t i = 0; i < x.rank(); ++i) y.dims.push_back(x.dims[source(i, x)]);
        return y;
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        read_view(r, view(r.inputs[0].shape, r.batch), 0, member);
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        write_view(r, view(r.inputs[0].shape, r.batch), 0, r.accumulate[0] != 0, member);
    }

  private:
    // The axis of the sample x that axis i of the sample y is.
    [[nodiscard]] std::size_t source(std::int64_t i, const Shape& x) const {
        if (!axes_) return static_cast<std::size_t>(x.rank() - 1 - i);
        const std::int64_t first = x.batched ? 1 : 0, axis = (*axes_)[static_cast<std::size_t>(i + first)];
        return static_cast<std::size_t>((axis < 0 ? axis + user_rank(x) : axis) - first);
    }

    [[nodiscard]] Strides<1> view(const Shape& x, std::int64_t batch) const {
        Strides<1> strides;
        for (std::int64_t i = x.rank() - 1; i >= 0; --i) {
            const std::size_t from = source(i, x);
            std::int64_t step = 1;
            for (std::size_t j = from + 1; j < x.dims.size(); ++j) step *= x.dims[j];
            strides.push(x.dims[from], {step});
        }
        if (x.batched) strides.push(batch, {x.size()});
        return strides;
    }

    std::optional<std::vector<std::int64_t>> axes_;
};

// The operands one after another along an axis. One without a batch is repeated for every sample.
class Concatenate : public OpBase<Concatenate> {
  public:
    explicit Concatenate(std::int64_t axis) : axis_(axis) {}

    [[nodiscard]] std::string_view name() const override { return "concatenate"; }
    [[nodiscard]] Attributes attributes() const override { return {{"axis", axis_}}; }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1 << 16, who);
        expect_real(inputs, who);
        Shape y = inputs[0].shape;
        for (const Input& input : inputs) y.batched = y.batched || input.shape.batched;
        const std::size_t axis = sample_axis(axis_, y, "concatenate", who);
        y.dims[axis] = 0;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const Shape& x = inputs[i].shape;
            bool fits = x.rank() == y.rank();
            for (std::size_t d = 0; fits && d < y.dims.size(); ++d)
                fits = d == axis || x.dims[d] == y.dims[d];
            if (!fits) {
                throw ShapeError(text(who, ": operand ", i, " is ", x.str(), " but operand 0 is ",
                                      inputs[0].shape.str(), "; expected equal sizes but for axis ", axis_));
            }
            y.dims[axis] += x.dims[axis];
        }
        return y;
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        each_operand(r, [&](std::size_t i, std::int64_t rows, std::int64_t own_rows, std::int64_t n,
                            std::int64_t to, std::int64_t width) {
            const T* x = r.x[i].data();
            member.for_range(rows, row_chunk(n), [&](std::int64_t row, std::int64_t end) {
                for (; row < end; ++row)
                    copy(x + row % own_rows * n, r.y.data() + row * width + to, n, false);
            });
        });
    }

    // Each row of dx is the sum of its copies, sample after sample.
    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        each_operand(r, [&](std::size_t i, std::int64_t rows, std::int64_t own_rows, std::int64_t n,
                            std::int64_t from, std::int64_t width) {
            if (r.dx[i].empty()) return;
            T* dx = r.dx[i].data();
            member.for_range(own_rows, row_chunk(n), [&](std::int64_t first, std::int64_t end) {
                for (std::int64_t own = first; own < end; ++own) {
                    bool accumulate = r.accumulate[i] != 0;
                    for (std::int64_t row = own; row < rows; row += own_rows, accumulate = true) {
                        copy<T>(r.dy.data() + row * width + from, dx + own * n, n, accumulate);
                    }
                }
            });
        });
    }

  private:
    // f(operand, rows of y, rows of the operand, their length, where they begin in a row of y, its length)
    template <class T, class F>
    void each_operand(const Run<T>& r, F&& f) const {
        const Shape& y = *r.shape;
        const std::int64_t counted = axis_ < 0 ? axis_ + user_rank(y) : axis_;
        const auto axis = static_cast<std::size_t>(counted - (y.batched ? 1 : 0));
        std::int64_t rows = 1, rest = 1, at = 0;
        for (std::size_t d = 0; d < y.dims.size(); ++d) {
            if (d < axis) rows *= y.dims[d];
            if (d > axis) rest *= y.dims[d];
        }
        for (std::size_t i = 0; i < r.inputs.size(); ++i) {
            const Shape& x = r.inputs[i].shape;
            const std::int64_t n = x.dims[axis] * rest;
            f(i, y.batched ? rows * r.batch : rows, x.batched ? rows * r.batch : rows, n, at,
              y.dims[axis] * rest);
            at += n;
        }
    }

    std::int64_t axis_;
};

// y = x[start:stop:step] along one axis, missing, negative and too large bounds as in Python.
class Slice : public OpBase<Slice> {
  public:
    explicit Slice(const Attributes& attributes)
        : axis_(get_int(attributes, "axis")),
          start_(maybe_int(attributes, "start")),
          stop_(maybe_int(attributes, "stop")),
          step_(int_or(attributes, "step", 1)) {
        allow_attributes(attributes, "slice", {"axis", "start", "stop", "step"});
        if (step_ == 0 || step_ == std::numeric_limits<std::int64_t>::min()) {
            throw ArgumentError(text("slice: step is ", step_, ", expected a step forwards or backwards"));
        }
    }

    [[nodiscard]] std::string_view name() const override { return "slice"; }
    [[nodiscard]] Attributes attributes() const override {
        Attributes all{{"axis", axis_}, {"step", step_}};
        if (start_) all["start"] = *start_;
        if (stop_) all["stop"] = *stop_;
        return all;
    }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        Shape y = inputs[0].shape;
        expect_rank(y, who);
        const std::size_t axis = sample_axis(axis_, y, "slice", who);
        const Range range = range_in(y.dims[axis]);
        if (range.count == 0) {
            const auto shown = [](const auto& bound) { return bound ? text(*bound) : std::string(); };
            throw ShapeError(text(who, ": [", shown(start_), ":", shown(stop_), ":", step_,
                                  "] selects nothing of the ", y.dims[axis], " elements along axis ", axis_,
                                  " of ", y.str()));
        }
        y.dims[axis] = range.count;
        return y;
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const auto [view, start] = view_of(r.inputs[0].shape, r.batch);
        read_view(r, view, start, member);
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const auto [view, start] = view_of(r.inputs[0].shape, r.batch);
        const bool accumulate = r.accumulate[0] != 0;
        if (!accumulate) {
            clear(r.dx[0], member);
            member.barrier();
        }
        write_view(r, view, start, accumulate, member);
    }

  private:
    struct Range {
        std::int64_t start, count;
    };

    struct View {
        Strides<1> strides;
        std::int64_t start;
    };

    [[nodiscard]] Range range_in(std::int64_t size) const {
        const std::int64_t low = step_ > 0 ? 0 : -1, high = step_ > 0 ? size : size - 1;
        const auto bound = [&](const std::optional<std::int64_t>& given, std::int64_t otherwise) {
            if (!given) return otherwise;
            return std::clamp(*given < 0 ? *given + size : *given, low, high);
        };
        const std::int64_t start = bound(start_, step_ > 0 ? 0 : size - 1),
                           stop = bound(stop_, step_ > 0 ? size : -1);
        const std::int64_t distance = step_ > 0 ? stop - start : start - stop,
                           stride = step_ > 0 ? step_ : -step_;
        return {start, distance > 0 ? (distance - 1) / stride + 1 : 0};
    }

    [[nodiscard]] View view_of(const Shape& x, std::int64_t batch) const {
        const std::int64_t counted = axis_ < 0 ? axis_ + user_rank(x) : axis_,
                           axis = counted - (x.batched ? 1 : 0);
        View view{{}, 0};
        std::int64_t stride = 1;
        for (std::int64_t d = x.rank() - 1; d >= 0; --d) {
            const std::int64_t n = x.dims[static_cast<std::size_t>(d)];
            if (d == axis) {
                const Range range = range_in(n);
                view.start = range.start * stride;
                view.strides.push(range.count, {range.count == 1 ? stride : step_ * stride});
            } else {
                view.strides.push(n, {stride});
            }
            stride *= n;
        }
        if (x.batched) view.strides.push(batch, {stride});
        return view;
    }

    std::int64_t axis_;
    std::optional<std::int64_t> start_, stop_;
    std::int64_t step_;
};

// y is x broadcast to a shape (of one sample, where x has a batch); dx sums over the repeats.
class Expand : public OpBase<Expand> {
  public:
    explicit Expand(std::vector<std::int64_t> shape) : shape_(std::move(shape)) {}

    [[nodiscard]] std::string_view name() const override { return "expand"; }
    [[nodiscard]] Attributes attributes() const override { return {{"shape", shape_}}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        const Shape& x = inputs[0].shape;
        Shape y{shape_, x.batched};
        expect_rank(y, who);
        // With a batch both need the same rank, for the axis before the sample's is the batch.
        bool fits = x.batched ? x.rank() == y.rank() : x.rank() <= y.rank();
        for (std::size_t i = 0; fits && i < x.dims.size(); ++i) {
            const std::int64_t from = x.dims[x.dims.size() - 1 - i], to = y.dims[y.dims.size() - 1 - i];
            fits = from == to || from == 1;
        }
        if (!fits) {
            throw ShapeError(text(who, ": ", x.str(), " cannot be repeated to ", y.str(),
                                  "; sizes must be equal or 1, counted from the last axis"));
        }
        return y;
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input> in, const Shape& y,
                                           std::int64_t n) const override {
        return sum_of_repeats(broadcast_strides<1>(in, y, n), 0).shared_size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        repeat(broadcast_strides<1>(r.inputs, *r.shape, r.batch), r.x[0].data(), T(1), r.y.data(), false,
               member);
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const AxisSum sum = sum_of_repeats(broadcast_strides<1>(r.inputs, *r.shape, r.batch), 0);
        sum.run<T>(r.dy.data(), r.dx[0].data(), r.accumulate[0] != 0, r.shared.data(), member);
    }

  private:
    std::vector<std::int64_t> shape_;
};

}  // namespace

OpPtr make_reshape(const Attributes& attributes) {
    allow_attributes(attributes, "reshape", {"shape"});
    const std::vector<std::int64_t> shape = get_ints(attributes, "shape");
    const auto open = std::count(shape.begin(), shape.end(), -1);
    if (open > 1 || std::any_of(shape.begin(), shape.end(), [](auto n) { return n < -1 || n == 0; })) {
        throw ArgumentError(text("reshape: shape is ", Shape{shape, false}.str(),
                                 "; expected positive sizes, at most one of them -1"));
    }
    return std::make_shared<Reshape>(shape);
}

OpPtr make_flatten(const Attributes& attributes) {
    allow_attributes(attributes, "flatten", {});
    return std::make_shared<Reshape>(std::vector<std::int64_t>{-1}, true);
}

OpPtr make_transpose(const Attributes& attributes) { return std::make_shared<Transpose>(attributes); }

OpPtr make_concatenate(const Attributes& attributes) {
    allow_attributes(attributes, "concatenate", {"axis"});
    return std::make_shared<Concatenate>(int_or(attributes, "axis", -1));
}

OpPtr make_slice(const Attributes& attributes) { return std::make_shared<Slice>(attributes); }

OpPtr make_expand(const Attributes& attributes) {
    allow_attributes(attributes, "expand", {"shape"});
    const std::vector<std::int64_t> shape = get_ints(attributes, "shape");
    if (std::any_of(shape.begin(), shape.end(), [](auto n) { return n < 1; })) {
        throw ArgumentError(
            text("expand: shape is ", Shape{shape, false}.str(), "; expected positive sizes"));
    }
    return std::make_shared<Expand>(shape);
}

}  // namespace retrograd
