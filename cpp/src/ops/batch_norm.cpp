// Each feature with the mean 0 and the variance 1 over a batch (Ioffe and Szegedy, "Batch normalization",
// 2015).
//
//   mean_j = mean of x_ij      var_j = mean of (x_ij - mean_j)^2      over all rows i, all axes but the last
//   y = (x - mean) / sqrt(var + eps) w + b
//
//   with n rows, r = 1 / sqrt(var + eps) and xhat = (x - mean) r:
//   db = sum of dy          dw = sum of dy xhat
//   dx = w r (dy - db / n - xhat dw / n)
//
// In training the statistics are the batch's, and the running ones follow: running = (1 - momentum) running +
// momentum batch, with the variance over n - 1. Otherwise, and where the running statistics are frozen, they
// are used as they are, and dx = w r dy.
#include <cmath>

#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

// How the rows are summed: few features stand several times in one longer row, so that vectors are full;
// many rows are cut into parts, whose sums are joined in order. Both depend on the shape alone.
struct Layout {
    std::int64_t features, merged = 1;  // rows in a longer row
    std::int64_t columns, rows, rest;   // of longer rows; plain rows that fill none
    std::int64_t parts;

    Layout(std::int64_t elements, std::int64_t n) : features(n) {
        constexpr std::int64_t longest = 256, some_rows = 256, most_parts = 64;
        const std::int64_t plain = elements / n;
        while (2 * merged * n <= longest && 2 * merged <= plain) merged *= 2;
        columns = merged * n;
        rows = plain / merged;
        rest = plain % merged;
        parts = std::clamp<std::int64_t>(rows / some_rows, 1, most_parts);
    }

    [[nodiscard]] std::int64_t plain_rows() const { return rows * merged + rest; }
    [[nodiscard]] std::int64_t begin(std::int64_t part) const { return rows * part / parts; }

    // In `shared`: two numbers for each part and column, two for each feature of the rest, four for each
    // column.
    [[nodiscard]] std::int64_t shared_size() const { return (2 * parts + 4) * columns + 2 * features; }

    // f(first row, rows, first column, columns, their length, where the two results go) for every part
    template <class F>
    void each_part(const Member& member, F&& f) const {
        constexpr std::int64_t panel = 64;
        const std::int64_t panels = ceil_div(columns, panel);
        member.for_each(parts * panels + (rest > 0 ? 1 : 0), [&](std::int64_t task) {
            const std::int64_t part = task / panels, j = task % panels * panel;
            if (part == parts) return f(rows * columns, rest, features, features, 2 * parts * columns);
            f(begin(part) * columns + j, begin(part + 1) - begin(part), std::min(panel, columns - j), columns,
              2 * part * columns + j);
        });
    }

    // g(count, index) for each group of rows that has numbers of feature j in `shared`
    template <class F>
    void each_group(std::int64_t j, F&& f) const {
        for (std::int64_t part = 0; part < parts; ++part) {
            for (std::int64_t s = 0; s < merged; ++s) {
                f(begin(part + 1) - begin(part), 2 * part * columns + s * features + j, columns);
            }
        }
        if (rest > 0) f(rest, 2 * parts * columns + j, features);
    }

    // f(first element, rows, columns) for shares of all rows
    template <class F>
    void each_row(const Member& member, F&& f) const {
        member.for_range(rows, row_chunk(columns),
                         [&](auto i, auto end) { f(i * columns, end - i, columns); });
        if (rest > 0 && member.index() == 0) f(rows * columns, rest, features);
    }
};

class BatchNorm : public OpBase<BatchNorm> {
  public:
    BatchNorm(double eps, double momentum) : eps_(eps), momentum_(momentum) {}

    [[nodiscard]] std::string_view name() const override { return "batch_norm"; }
    [[nodiscard]] Attributes attributes() const override { return {{"eps", eps_}, {"momentum", momentum_}}; }
    [[nodiscard]] Needs needs() const override { return {.inputs = true}; }
    [[nodiscard]] bool differentiable(std::size_t i) const override { return i != 1 && i != 2; }
    [[nodiscard]] std::vector<std::size_t> states() const override { return {1, 2}; }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        if (inputs.size() != 5) expect_count(inputs, 3, 3, who);
        expect_real(inputs, who);
        const Shape& x = inputs[0].shape;
        expect_last_axis(x, "input", who);
        constexpr const char* names[] = {"", "running_mean", "running_var", "weight", "bias"};
        for (std::size_t i = 1; i < inputs.size(); ++i) {
            if (inputs[i].shape == Shape{{x.last()}, false}) continue;
            throw ShapeError(text(who, ": ", names[i], " is ", inputs[i].shape.str(), " but the input ",
                                  x.str(), " has ", x.last(), " features on its last axis"));
        }
        return x;
    }

    [[nodiscard]] std::int64_t least_batch(std::span<const Input> inputs) const override {
        return inputs[0].shape.size() == inputs[0].shape.last() ? 2 : 1;
    }
    [[nodiscard]] std::int64_t saved_size(std::span<const Input>, const Shape& y,
                                          std::int64_t) const override {
        return 3 * y.last();  // mean, 1 / sqrt(var + eps), var over n - 1
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input>, const Shape& y,
                                           std::int64_t batch) const override {
        return Layout(elements(y, batch), y.last()).shared_size();
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input>, const Shape& y) const override {
        return 8 * y.size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const Layout layout(std::ssize(r.y), r.shape->last());
        const std::int64_t n = layout.features, columns = layout.columns;
        T *sums = r.shared.data(), *mean = sums + 2 * layout.parts * columns + 2 * n,
          *factor = mean + columns, *shift = factor + columns;
        if (r.training) {
            measure(layout, r.x[0].data(), sums, member);
            member.barrier();
        }
        member.for_range(n, 64, [&](std::int64_t j, std::int64_t end) {
            for (; j < end; ++j) {
                if (r.training)
                    join(layout, sums, j, r.saved.data());
                else
                    use_running(r, j);
                const T scale = r.saved.data()[n + j] * (r.x.size() == 5 ? r.x[3].data()[j] : T(1));
                for (std::int64_t at = j; at < columns; at += n) {
                    mean[at] = r.saved.data()[j];
                    factor[at] = scale;
                    shift[at] = r.x.size() == 5 ? r.x[4].data()[j] : T(0);
                }
            }
        });
        member.barrier();
        layout.each_row(member, [&](std::int64_t i, std::int64_t rows, std::int64_t length) {
            kernels<T>().scale_columns(r.x[0].data() + i, rows, length, mean, factor, shift, r.y.data() + i);
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const Layout layout(std::ssize(r.y), r.shape->last());
        const std::int64_t n = layout.features, columns = layout.columns;
        T *sums = r.shared.data(), *mean = sums + 2 * layout.parts * columns + 2 * n, *a = mean + columns,
          *b = a + columns, *c = b + columns;
        member.for_range(columns, 64, [&](std::int64_t j, std::int64_t end) {
            for (; j < end; ++j) mean[j] = r.saved.data()[j % n];
        });
        member.barrier();
        const T *x = r.x[0].data(), *dy = r.dy.data();
        layout.each_part(member, [&](auto i, auto rows, auto some, auto row, auto to) {
            // the rest has the columns of features, which are those of the first row
            kernels<T>().deviation_sums(dy + i, x + i, row, rows, some,
                                        mean + (row == columns ? to % columns : 0), sums + to,
                                        sums + to + row);
        });
        member.barrier();
        member.for_range(n, 64, [&](std::int64_t j, std::int64_t end) {
            for (; j < end; ++j) coefficients(r, layout, sums, j, a, b, c);
        });
        if (r.dx[0].empty()) return;
        member.barrier();
        layout.each_row(member, [&](std::int64_t i, std::int64_t rows, std::int64_t length) {
            kernels<T>().scale_columns_backward(dy + i, x + i, rows, length, mean, a, b, c,
                                                r.dx[0].data() + i, r.accumulate[0] != 0);
        });
    }

    template <class T>
    void run_commit(const Run<T>& r) const {
        const std::int64_t n = r.shape->last();
        const T some = static_cast<T>(momentum_), rest = static_cast<T>(1 - momentum_);
        const T* saved = r.saved.data();
        for (std::int64_t j = 0; j < n; ++j) {
            T &mean = r.states[0].data()[j], &var = r.states[1].data()[j];
            mean = rest * mean + some * saved[j];
            var = rest * var + some * saved[2 * n + j];
        }
    }

  private:
    // The mean and the sum of squared deviations from it, of every column of every part.
    template <class T>
    static void measure(const Layout& layout, const T* x, T* sums, const Member& member) {
        layout.each_part(member, [&](auto i, auto rows, auto some, auto row, auto to) {
            T* mean = sums + to;
            kernels<T>().sum_columns(x + i, row, rows, some, mean, false);
            for (std::int64_t j = 0; j < some; ++j) mean[j] /= static_cast<T>(rows);
            kernels<T>().square_deviations(x + i, row, rows, some, mean, mean + row);
        });
    }

    // The groups of a feature as one (Chan, Golub and LeVeque, 1983).
    template <class T>
    void join(const Layout& layout, const T* sums, std::int64_t j, T* saved) const {
        const std::int64_t n = layout.features;
        const T rows = static_cast<T>(layout.plain_rows());
        T mean = 0, squares = 0;
        layout.each_group(
            j, [&](auto count, auto at, auto) { mean += static_cast<T>(count) / rows * sums[at]; });
        layout.each_group(j, [&](auto count, auto at, auto row) {
            const T apart = sums[at] - mean;
            squares += sums[at + row] + static_cast<T>(count) * (apart * apart);
        });
        saved[j] = mean;
        saved[n + j] = T(1) / std::sqrt(squares / rows + static_cast<T>(eps_));
        saved[2 * n + j] = squares / (rows - T(1));
    }

    template <class T>
    void use_running(const Run<T>& r, std::int64_t j) const {
        T* saved = r.saved.data();
        saved[j] = r.x[1].data()[j];
        saved[r.shape->last() + j] = T(1) / std::sqrt(r.x[2].data()[j] + static_cast<T>(eps_));
    }

    // dw and db of feature j, and dx = dy a + (x - mean) b + c
    template <class T>
    static void coefficients(const Run<T>& r, const Layout& layout, const T* sums, std::int64_t j, T* a, T* b,
                             T* c) {
        const std::int64_t n = layout.features;
        T sum = 0, product = 0;
        layout.each_group(j, [&](auto, auto at, auto row) {
            sum += sums[at];
            product += sums[at + row];
        });
        const T deviation = r.saved.data()[n + j], rows = static_cast<T>(layout.plain_rows());
        const T factor = deviation * (r.x.size() == 5 ? r.x[3].data()[j] : T(1));
        for (std::int64_t at = j; at < layout.columns; at += n) {
            a[at] = factor;
            b[at] = r.training ? -factor * deviation * deviation * (product / rows) : T(0);
            c[at] = r.training ? -factor * (sum / rows) : T(0);
        }
        const auto add = [&](std::size_t operand, T value) {
            if (r.x.size() != 5 || r.dx[operand].empty()) return;
            T& d = r.dx[operand].data()[j];
            d = (r.accumulate[operand] != 0 ? d : T(0)) + value;
        };
        add(3, product * deviation);
        add(4, sum);
    }

    double eps_, momentum_;
};

}  // namespace

OpPtr make_batch_norm(const Attributes& attributes) {
    allow_attributes(attributes, "batch_norm", {"eps", "momentum"});
    const double eps = get_double(attributes, "eps"), momentum = get_double(attributes, "momentum");
    if (!(eps > 0)) throw ArgumentError(text("batch_norm: eps is ", eps, ", expected a number above 0"));
    if (!(momentum >= 0 && momentum <= 1)) {
        throw ArgumentError(text("batch_norm: momentum is ", momentum, ", expected a number from 0 to 1"));
    }
    return std::make_shared<BatchNorm>(eps, momentum);
}

}  // namespace retrograd
