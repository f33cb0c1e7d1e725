// The matrix product of two nodes, one for each sample and each leading index.
//
//   y = a b              a (m, k), b (k, n), y (m, n)
//   da = dy b^T          db = a^T dy          summed, in order, where an operand meets several of the other
//
// As in NumPy a vector is a row on the left and a column on the right, and loses that axis in the result; the
// batch of (batch, k) stands for the rows.
#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

// The products of a run: y[i, j] = a[i, j] b[i, j] for sample i and leading index j. A step of 0: one matrix
// for all.
struct Products {
    std::int64_t m = 1, n = 1, k = 1, samples = 1, lead = 1;
    std::int64_t a_sample = 0, a_lead = 0, b_sample = 0, b_lead = 0;

    [[nodiscard]] std::int64_t work() const { return m * n * k; }  // multiply-adds of one

    Products(const Shape& a, const Shape& b, std::int64_t batch) {
        const auto at = [](const Shape& s, std::int64_t from_end) {
            return s.dims[static_cast<std::size_t>(s.rank() - from_end)];
        };
        k = a.last();
        if (a.rank() >= 2) m = at(a, 2);
        if (b.rank() >= 2) n = at(b, 1);
        const std::int64_t a_count = a.size() / (m * k), b_count = b.size() / (k * n);
        samples = a.batched || b.batched ? batch : 1;
        lead = std::max(a_count, b_count);
        if (a_count > 1) a_lead = m * k;
        if (b_count > 1) b_lead = k * n;
        if (a.batched) a_sample = a.size();
        if (b.batched) b_sample = b.size();
        if (b_sample == 0 && b_lead == 0) {  // one b for all rows of a: one product
            m *= a_count * (a.batched ? batch : 1);
            samples = lead = 1;
        }
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

        const std::vector<std::int64_t> a_lead = leading(a), b_lead = leading(b);
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
        if (!a_lead.empty() && !b_lead.empty() && a_lead != b_lead) {
            throw ShapeError(
                text(who, ": ", both, ": leading axes differ; expected equal ones, or none for one operand"));
        }
        Shape y{a_lead.empty() ? b_lead : a_lead, a.batched || b.batched};
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
                        const Matrix<T> a = matrix(r.x[0].data() + i * p.a_sample + j * p.a_lead, p.k);
                        const Matrix<T> b = matrix(r.x[1].data() + i * p.b_sample + j * p.b_lead, p.n);
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
        gradient(p, r, 0, p.a_sample, p.a_lead, member,
                 [&](std::int64_t i, std::int64_t j, T* da, bool accumulate) {
                     const T* b = r.x[1].data() + i * p.b_sample + j * p.b_lead;
                     return product(p.m, p.k, p.n, matrix(dy(i, j), p.n), transposed(b, p.n), da, accumulate);
                 });
        gradient(p, r, 1, p.b_sample, p.b_lead, member,
                 [&](std::int64_t i, std::int64_t j, T* db, bool accumulate) {
                     const T* a = r.x[0].data() + i * p.a_sample + j * p.a_lead;
                     return product(p.k, p.n, p.m, transposed(a, p.k), matrix(dy(i, j), p.n), db, accumulate);
                 });
    }

  private:
    // The axes before the matrix.
    static std::vector<std::int64_t> leading(const Shape& s) {
        return {s.dims.begin(), s.dims.end() - std::min<std::int64_t>(2, s.rank())};
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
    static void gradient(const Products& p, const Run<T>& r, std::size_t operand, std::int64_t sample_step,
                         std::int64_t lead_step, const Member& member, Product&& term) {
        if (r.dx[operand].empty()) return;
        const std::int64_t samples = sample_step == 0 ? 1 : p.samples, lead = lead_step == 0 ? 1 : p.lead;
        each_result(samples, lead, p.work() * (p.samples / samples) * (p.lead / lead), member,
                    [&](std::int64_t i, std::int64_t j, const Member& by) {
                        T* dx = r.dx[operand].data() + i * sample_step + j * lead_step;
                        bool accumulate = r.accumulate[operand] != 0;
                        for (std::int64_t s = i; s < p.samples; s += samples) {
                            for (std::int64_t l = j; l < p.lead; l += lead, accumulate = true) {
                                multiply(term(s, l, dx, accumulate), scratch(r, member), by);
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
