// The short ways to a matrix product, through zeros and for tiny layers: they have the numbers of gemm.
#include <vector>

#include "harness.hpp"
#include "suites.hpp"

namespace {

using namespace check;
using retrograd::Kernels;
using retrograd::MatrixProduct;

// Equal numbers: a sum that is zero may have either sign.
template <class T>
bool equal(const T* a, const T* b, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
        if (a[i] != b[i]) return false;
    }
    return true;
}

template <class T>
void fill_with_zeros(Guarded<T>& x, std::int64_t percent) {
    x.fill_random();
    for (std::int64_t i = 0; i < x.size(); ++i) {
        if (random_below(100) < percent) x[i] = random_below(2) == 0 ? T(0) : -T(0);
    }
}

template <class T>
void check_sparse(const Kernels<T>& kernels, std::int64_t m, std::int64_t n, std::int64_t k, bool turned,
                  std::int64_t zeros) {
    const std::int64_t gap = random_below(3) == 0 ? random_below(9) : 0;
    Guarded<T> a(m * k), b((k - 1) * (n + gap) + n), bias(n), start(m * n), fast(m * n), slow(m * n),
        z(m * n);
    Guarded<T> scratch((kernels.gemm_scratch_size(m, n, k) + 15) / 16 * 16);
    Guarded<T> lists((kernels.sparse_gemm_scratch_size(k) + 15) / 16 * 16);
    fill_with_zeros(a, zeros);
    b.fill_random();
    bias.fill_random();
    start.fill_random();
    MatrixProduct<T> p{};
    p.m = m, p.n = n, p.k = k;
    p.a = a.data(), p.a_row = turned ? 1 : k, p.a_col = turned ? m : 1;
    p.b = b.data(), p.b_row = n + gap, p.b_col = 1;
    p.c_row = n;
    p.accumulate = random_below(2) == 0;
    p.bias = random_below(2) == 0 ? bias.data() : nullptr;
    p.activation = random_below(2) == 0 ? retrograd::find_kernel(kernels.unary, "relu")->forward : nullptr;
    p.z = p.activation != nullptr && random_below(2) == 0 ? z.data() : nullptr;
    const auto copy = [&](Guarded<T>& to) {
        for (std::int64_t i = 0; i < m * n; ++i) to[i] = start[i];
        p.c = to.data();
    };
    copy(slow);
    kernels.gemm(p, 0, m, 0, n, scratch.data());
    copy(fast);
    const std::int64_t cut = random_below(m + 1);
    kernels.sparse_gemm(p, 0, cut, lists.data());
    kernels.sparse_gemm(p, cut, m, lists.data());
    expect(equal(fast.data(), slow.data(), m * n), label(kernels) + " sparse_gemm " + std::to_string(m) +
                                                       "x" + std::to_string(n) + "x" + std::to_string(k) +
                                                       (turned ? " turned, " : ", ") + std::to_string(zeros) +
                                                       " % zeros: not what gemm gives");
}

template <class T>
void check_tiny(const Kernels<T>& kernels, std::int64_t rows, std::int64_t in, std::int64_t out) {
    Guarded<T> x(rows * in), weight(out * in), bias(out), delta(rows * out), z(rows * out);
    Guarded<T> dx(rows * in), dW(out * in), db(out);
    std::vector<T> scratch(static_cast<std::size_t>(kernels.gemm_scratch_size(rows, out, in)) + 4096);
    for (Guarded<T>* one : {&x, &weight, &bias, &delta, &dx, &dW, &db}) one->fill_random();
    const std::string what = label(kernels) + " tiny layer, " + std::to_string(rows) + " rows, " +
                             std::to_string(in) + " to " + std::to_string(out) + ": ";
    const auto product = [&](std::int64_t m, std::int64_t n, std::int64_t k, const Guarded<T>& a, bool turn_a,
                             const Guarded<T>& b, bool turn_b, std::vector<T>& c, bool add, const T* plus) {
        MatrixProduct<T> p{};
        p.m = m, p.n = n, p.k = k;
        p.a = a.data(), p.a_row = turn_a ? 1 : k, p.a_col = turn_a ? m : 1;
        p.b = b.data(), p.b_row = turn_b ? 1 : n, p.b_col = turn_b ? k : 1;
        p.c = c.data(), p.c_row = n;
        p.accumulate = add;
        p.bias = plus;
        kernels.gemm(p, 0, m, 0, n, scratch.data());
    };
    std::vector<T> expected(static_cast<std::size_t>(rows * out));
    const bool has_bias = random_below(2) == 0;
    product(rows, out, in, x, false, weight, true, expected, false, has_bias ? bias.data() : nullptr);
    const retrograd::LinearArrays<T> layer{rows, in, out, x.data(), weight.data()};
    kernels.tiny_linear(layer, has_bias ? bias.data() : nullptr, z.data());
    expect(same_bits(z.data(), expected.data(), rows * out), what + "z");

    const bool add_dx = random_below(2) == 0, add_dW = random_below(2) == 0, add_db = random_below(2) == 0;
    std::vector<T> dx_(dx.data(), dx.data() + rows * in), dW_(dW.data(), dW.data() + out * in);
    std::vector<T> db_(db.data(), db.data() + out);
    product(rows, in, out, delta, false, weight, false, dx_, add_dx, nullptr);
    product(out, in, rows, delta, true, x, false, dW_, add_dW, nullptr);
    kernels.sum_columns(delta.data(), out, rows, out, db_.data(), add_db);
    const bool no_dx = random_below(4) == 0, no_dW = random_below(4) == 0, no_db = random_below(4) == 0;
    if (no_dx) dx_.assign(dx.data(), dx.data() + rows * in);
    if (no_dW) dW_.assign(dW.data(), dW.data() + out * in);
    if (no_db) db_.assign(db.data(), db.data() + out);
    kernels.tiny_linear_backward(layer, delta.data(),
                                 {no_dx ? nullptr : dx.data(), no_dW ? nullptr : dW.data(),
                                  no_db ? nullptr : db.data(), add_dx, add_dW, add_db});
    expect(same_bits(dx.data(), dx_.data(), rows * in), what + "dx");
    expect(same_bits(dW.data(), dW_.data(), out * in), what + "dW");
    expect(same_bits(db.data(), db_.data(), out), what + "db");
}

template <class T>
void check_transpose(const Kernels<T>& kernels, std::int64_t rows, std::int64_t columns) {
    const std::int64_t gap = random_below(5), apart = rows + random_below(5);
    const std::int64_t x_row = columns + gap, size = (columns - 1) * apart + rows;
    Guarded<T> x((rows - 1) * x_row + columns), y(size);
    x.fill_random();
    y.fill(T(7));
    kernels.transpose(x.data(), x_row, rows, columns, y.data(), apart);
    bool good = true;
    for (std::int64_t at = 0; at < size; ++at) {
        const std::int64_t i = at % apart, j = at / apart;
        good &= y[at] == (i < rows ? x[i * x_row + j] : T(7));
    }
    expect(good, label(kernels) + " transpose " + std::to_string(rows) + "x" + std::to_string(columns));
}

template <class T>
void check_count(const Kernels<T>& kernels, std::int64_t n) {
    Guarded<T> x(n);
    fill_with_zeros(x, 50);
    std::int64_t zeros = 0;
    for (std::int64_t i = 0; i < n; ++i) zeros += x[i] == 0;
    expect(kernels.count_zeros(x.data(), n) == zeros, label(kernels) + " count_zeros " + std::to_string(n));
}

}  // namespace

void check_products() {
    const std::int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 10, 15, 16, 17, 31, 32, 33, 40, 64, 100, 129, 200};
    const std::int64_t lengths[] = {1, 2, 3, 7, 8, 15, 16, 17, 64, 100, 383, 384, 385, 785, 1030};
    const auto pick = [](const auto& list) { return list[random_below(std::ssize(list))]; };
    for_each_table([&](const auto& kernels) {
        for (int i = 0; i < 400; ++i) {
            const std::int64_t zeros[] = {0, 50, 81, 99, 100};
            check_sparse(kernels, pick(sizes), pick(sizes), pick(lengths), random_below(2) == 0, pick(zeros));
            check_transpose(kernels, pick(sizes), pick(sizes));
            check_count(kernels, pick(lengths));
        }
        for (int i = 0; i < 2000; ++i) {
            const std::int64_t rows = 1 + random_below(8), in = 1 + random_below(16),
                               out = 1 + random_below(16);
            if (rows * in * out <= retrograd::tiny_products) check_tiny(kernels, rows, in, out);
        }
    });
}
