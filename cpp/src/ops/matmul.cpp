// The matrix product of two nodes, one for each sample and each leading index.
//
//   y = a b              a (m, k), b (k, n), y (m, n)
//   da = dy b^T          db = a^T dy          summed, in order, where an operand meets several of the other
//
// As in NumPy a vector is a row on the left and a column on the right, and loses that axis in the result; the
// batch of (batch, k) stands for the rows.
#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/strides.hpp"

namespace retrograd {

namespace {

// An operand: how far it is to the next sample (0: one for all) and to the next matrix, and how many of those
// a sample has.
struct Matrices {
    std::int64_t sample_step = 0, step = 0, count = 1;
};

// The products of a run: y[i, j] = a[i, j] b[i, j] for sample i and leading index j, which is broadcast.
struct Products {
    std::int64_t m = 1, n = 1, k = 1, samples = 1, lead = 1;
    std::array<Matrices, 2> operands;
    Strides<2> leading;  // leading index -> matrices of a and b

    [[nodiscard]] std::int64_t work() const { return m * n * k; }  // multiply-adds of one

    // Where the matrix of an operand begins.
    [[nodiscard]] std::int64_t offset(std::size_t operand, std::int64_t i, std::int64_t j) const {
        const Matrices& x = operands[operand];
        return i * x.sample_step + (x.count == 1 ? 0 : leading.offsets(j)[operand] * x.step);
    }

    // Whether the product of leading index j is one of matrix `own` of an operand.
    [[nodiscard]] bool meets(std::size_t operand, std::int64_t own, std::int64_t j) const {
        return operands[operand].count == 1 || leading.offsets(j)[operand] == own;
    }

    Products(const Shape& a, const Shape& b, std::int64_t batch) {
        const auto at = [](const Shape& s, std::int64_t from_end) {
            return s.dims[static_cast<std::size_t>(s.rank() - from_end)];
        };
        k = a.last();
        if (a.rank() >= 2) m = at(a, 2);
        if (b.rank() >= 2) n = at(b, 1);
        samples = a.batched || b.batched ? batch : 1;
        operands = {Matrices{a.batched ? a.size() : 0, m * k, a.size() / (m * k)},
                    Matrices{b.batched ? b.size() : 0, k * n, b.size() / (k * n)}};
        if (!b.batched && operands[1].count == 1) {  // one b for all rows of a: one product
            m *= operands[0].count * (a.batched ? batch : 1);
            operands[0] = {0, 0, 1};
            samples = 1;
            return;
        }
        const auto size = [](const Shape& s, std::int64_t axis) {
            return axis < s.rank() ? s.dims[static_cast<std::size_t>(s.rank() - 1 - axis)] : 1;
        };
        std::int64_t a_before = 1, b_before = 1;
        for (std::int64_t axis = 2; axis < std::max(a.rank(), b.rank()); ++axis) {
            const std::int64_t in_a = size(a, axis), in_b = size(b, axis);
            leading.push(std::max(in_a, in_b), {in_a == 1 ? 0 : a_before, in_b == 1 ? 0 : b_before});
            a_before *= in_a;
            b_before *= in_b;
        }
        lead = leading.count();
    }
};

class MatMul : public OpBase<MatMul> {
  public:
    [[nodiscard]] std::string_view name() const override { return "matmul"; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 2, 2, who);
        expect_real(inputs, who);
        const Shape &a = inputs[0].shape, &b = inputs[1].shape;
        const std::string both = text(a.str(), " @ ", b.str());
        if (user_rank(a) == 0 || user_rank(b) == 0) {
            throw ShapeError(
                text(who, ": ", both, " has a scalar; expected matrices or vectors, use multiply"));
        }
        if ((a.batched && a.rank() == 0) || (b.batched && b.rank() <= 1)) {
            throw GraphError(
                text(who, ": ", both, " would sum over the batch axis, which only a loss may do"));
        }
        const std::int64_t rows = b.dims[static_cast<std::size_t>(std::max<std::int64_t>(0, b.rank() - 2))];
        if (a.last() != rows) {
            throw ShapeError(text(who, ": ", both, ": ", a.last(), " columns meet ", rows,
                                  " rows; expected equal numbers"));
        }

        std::vector<std::int64_t> a_lead = leading(a), b_lead = leading(b);
        if (a.batched && !b.batched) meet_batch(b_lead, a_lead.size());
        if (b.batched && !a.batched) meet_batch(a_lead, b_lead.size());
        if (a.batched && b.batched && (a.rank() != b.rank() || a.rank() < 2)) {
            throw ShapeError(text(who, ": ", both,
                                  ": two operands with a batch axis need the same number of axes, and a "
                                  "matrix for each sample; reshape one of them"));
        }
        if ((a.batched && a.rank() == 1 && b.rank() > 2) ||
            (a.batched && !b.batched && b_lead.size() > a_lead.size()) ||
            (b.batched && !a.batched && a_lead.size() > b_lead.size())) {
            throw GraphError(
                text(who, ": ", both, ": a leading axis would meet the batch axis; reshape one of them"));
        }
        const std::size_t most = std::max(a_lead.size(), b_lead.size());
        a_lead.insert(a_lead.begin(), most - a_lead.size(), 1);
        b_lead.insert(b_lead.begin(), most - b_lead.size(), 1);
        Shape y{{}, a.batched || b.batched};
        for (std::size_t i = 0; i < most; ++i) {
            if (a_lead[i] != b_lead[i] && a_lead[i] != 1 && b_lead[i] != 1) {
                throw ShapeError(text(who, ": ", both, ": leading axes differ, ", a_lead[i], " meets ",
                                      b_lead[i], "; expected equal ones, or 1"));
            }
            y.dims.push_back(std::max(a_lead[i], b_lead[i]));
        }
        if (a.rank() >= 2) y.dims.push_back(a.dims[a.dims.size() - 2]);
        if (b.rank() >= 2) y.dims.push_back(b.last());
        return y;
    }

    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> in, const Shape&,
                                            std::int64_t batch) const override {
        const Products p(in[0].shape, in[1].shape, batch);
        return product_scratch(p.m, p.n, p.k);
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> inputs, const Shape& y) const override {
        return y.size() * inputs[0].shape.last();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const Products p(r.inputs[0].shape, r.inputs[1].shape, r.batch);
        each_result(p.samples, p.lead, p.work(), member,
                    [&](std::int64_t i, std::int64_t j, const Member& by) {
                        const Matrix<T> a = matrix(r.x[0].data() + p.offset(0, i, j), p.k);
                        const Matrix<T> b = matrix(r.x[1].data() + p.offset(1, i, j), p.n);
                        T* y = r.y.data() + (i * p.lead + j) * p.m * p.n;
                        multiply(product(p.m, p.n, p.k, a, b, y), scratch(r, member), by);
                    });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const Products p(r.inputs[0].shape, r.inputs[1].shape, r.batch);
        const auto dy = [&](std::int64_t i, std::int64_t j) -> const T* {
            return r.dy.data() + (i * p.lead + j) * p.m * p.n;
        };
        gradient(p, r, 0, member, [&](std::int64_t i, std::int64_t j, T* da, bool accumulate) {
            const T* b = r.x[1].data() + p.offset(1, i, j);
            return product(p.m, p.k, p.n, matrix(dy(i, j), p.n), transposed(b, p.n), da, accumulate);
        });
        gradient(p, r, 1, member, [&](std::int64_t i, std::int64_t j, T* db, bool accumulate) {
            const T* a = r.x[0].data() + p.offset(0, i, j);
            return product(p.k, p.n, p.m, transposed(a, p.k), matrix(dy(i, j), p.n), db, accumulate);
        });
    }

  private:
    // The axes before the matrix.
    static std::vector<std::int64_t> leading(const Shape& s) {
        return {s.dims.begin(), s.dims.end() - std::min<std::int64_t>(2, s.rank())};
    }

    // A leading axis of 1 may meet the batch, as in NumPy, and then is not one of the result's.
    static void meet_batch(std::vector<std::int64_t>& lead, std::size_t others) {
        if (lead.size() == others + 1 && lead[0] == 1) lead.erase(lead.begin());
    }

    template <class T>
    static T* scratch(const Run<T>& r, const Member& member) {
        return r.scratch[static_cast<std::size_t>(member.index())].data();
    }

    // f(sample, lead, by) for all matrices of an array: each by one member if there are enough, else by all.
    // `work`: the multiply-adds of one call.
    template <class F>
    static void each_result(std::int64_t samples, std::int64_t lead, std::int64_t work, const Member& member,
                            F&& f) {
        const std::int64_t count = samples * lead;
        if (count >= member.size()) {
            member.for_each(count, [&](std::int64_t i) {
                f(i / lead, i % lead, Member::alone());
                member.poll(work);
            });
        } else {
            for (std::int64_t i = 0; i < count; ++i) f(i / lead, i % lead, member);
        }
    }

    // `term(i, j, dx, accumulate)`: what the product y[i, j] adds to the gradient of its operand.
    template <class T, class Product>
    static void gradient(const Products& p, const Run<T>& r, std::size_t operand, const Member& member,
                         Product&& term) {
        if (r.dx[operand].empty()) return;
        const Matrices& own = p.operands[operand];
        const std::int64_t samples = own.sample_step == 0 ? 1 : p.samples;
        const bool alone = own.count == p.lead;  // each matrix stands in one product of a sample
        each_result(samples, own.count, p.work() * (p.samples / samples) * (p.lead / own.count), member,
                    [&](std::int64_t i, std::int64_t j, const Member& by) {
                        T* dx = r.dx[operand].data() + i * own.sample_step + j * own.step;
                        bool accumulate = r.accumulate[operand] != 0;
                        for (std::int64_t s = i; s < p.samples; s += samples) {
                            for (std::int64_t l = alone ? j : 0; l < (alone ? j + 1 : p.lead); ++l) {
                                if (!alone && !p.meets(operand, j, l)) continue;
                                multiply(term(s, l, dx, accumulate), scratch(r, member), by);
                                accumulate = true;
                            }
                        }
                    });
    }
};

}  // namespace

OpPtr make_matmul(const Attributes& attributes) {
    allow_attributes(attributes, "matmul", {});
    return std::make_shared<MatMul>();
}

}  // namespace retrograd
