// Indices become numbers: a row of a table for each, or a row with a single 1.
//
//   gather:   y[i] = table[index[i]]                      dtable[k] = sum of dy[i] where index[i] = k, in
//   order of i one_hot:  y[i] = 1 at index[i], else 0
//
// An index outside of the table gives a row of zeros and no gradient: batches are checked before they come
// here, but no number in a file or a constant may reach beyond an array.
#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

Op::Range rows_of(std::int64_t count) {  // and no index outside
    return {.low = 0, .high = static_cast<double>(count - 1), .bounded = true, .ignore = 0};
}

class Gather : public OpBase<Gather> {
  public:
    [[nodiscard]] std::string_view name() const override { return "gather"; }
    [[nodiscard]] bool differentiable(std::size_t operand) const override { return operand == 0; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 2, who);
        expect_real(inputs[0], "the table", who);
        expect_index(inputs[1], "the index", who);
        const Shape& table = inputs[0].shape;
        if (table.batched || table.rank() == 0) {
            throw ShapeError(text(who, ": the table is ", table.str(),
                                  ", expected (rows, ...), the same for all samples"));
        }
        Shape y = inputs[1].shape;
        y.dims.insert(y.dims.end(), table.dims.begin() + 1, table.dims.end());
        return y;
    }
    [[nodiscard]] Range range(std::span<const Input> inputs, std::size_t operand) const override {
        if (operand != 1) return {0, 0};
        return rows_of(inputs[0].shape.dims[0]);
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const std::int64_t rows = r.inputs[0].shape.dims[0], n = std::ssize(r.x[0]) / rows;
        const auto index = r.index[1];
        member.for_range(std::ssize(index), row_chunk(n), [&](std::int64_t i, std::int64_t end) {
            for (; i < end; ++i) {
                const std::int64_t row = index[static_cast<std::size_t>(i)];
                if (row >= 0 && row < rows)
                    std::copy_n(r.x[0].data() + row * n, n, r.y.data() + i * n);
                else
                    std::fill_n(r.y.data() + i * n, n, T(0));
            }
        });
    }

    // Each member has some rows of the table, and adds to them in the order of the indices.
    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        const std::int64_t rows = r.inputs[0].shape.dims[0], n = std::ssize(r.dx[0]) / rows;
        const auto index = r.index[1];
        T* dtable = r.dx[0].data();
        member.for_range(rows, 1, [&](std::int64_t first, std::int64_t last) {
            if (r.accumulate[0] == 0) std::fill_n(dtable + first * n, (last - first) * n, T(0));
            for (std::int64_t i = 0; i < std::ssize(index); ++i) {
                const std::int64_t row = index[static_cast<std::size_t>(i)];
                if (row >= first && row < last) kernels<T>().add(r.dy.data() + i * n, dtable + row * n, n);
            }
        });
    }
};

class OneHot : public OpBase<OneHot> {
  public:
    explicit OneHot(std::int64_t count) : count_(count) {}

    [[nodiscard]] std::string_view name() const override { return "one_hot"; }
    [[nodiscard]] bool differentiable(std::size_t) const override { return false; }
    [[nodiscard]] Attributes attributes() const override { return {{"count", count_}}; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_index(inputs[0], "the index", who);
        Shape y = inputs[0].shape;
        y.dims.push_back(count_);
        return y;
    }
    [[nodiscard]] Range range(std::span<const Input>, std::size_t) const override { return rows_of(count_); }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const auto index = r.index[0];
        member.for_range(std::ssize(index), row_chunk(count_), [&](std::int64_t i, std::int64_t end) {
            std::fill_n(r.y.data() + i * count_, (end - i) * count_, T(0));
            for (; i < end; ++i) {
                const std::int64_t at = index[static_cast<std::size_t>(i)];
                if (at >= 0 && at < count_) r.y[static_cast<std::size_t>(i * count_ + at)] = T(1);
            }
        });
    }

    template <class T>
    void run_backward(const Run<T>&, const Member&) const {}

  private:
    std::int64_t count_;
};

}  // namespace

OpPtr make_gather(const Attributes& attributes) {
    allow_attributes(attributes, "gather", {});
    return std::make_shared<Gather>();
}

OpPtr make_one_hot(const Attributes& attributes) {
    allow_attributes(attributes, "one_hot", {"count"});
    const std::int64_t count = get_int(attributes, "count");
    if (count < 1) throw ArgumentError(text("one_hot: count is ", count, ", expected at least 1"));
    return std::make_shared<OneHot>(count);
}

}  // namespace retrograd
