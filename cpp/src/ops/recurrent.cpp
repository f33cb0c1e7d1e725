// Recurrent layers: a walk along the time axis, one operation for the whole of it.
//
// z = x W_ih^T + b_ih is given for all times: (batch, time, gates * units). With the state h before a step, 0
// before the first, p = h W_hh^T + b_hh, and a step makes h' of z, p and h:
//
//   simple_rnn:  h' = act(z + p), act = tanh or relu
//   lstm:        i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the quarters of z + p
//                c' = f c + i g             h' = o tanh(c')
//   gru:         r, u = sigmoid of the first two thirds of z + p, n = tanh(z_n + r p_n)
//                h' = (1 - u) n + u h
//
// A step whose mask is 0 leaves h (and c) as they are. The result is h' of all times, or of the last step; a
// walk in reverse begins at the last time.
//
// Back from the last step to the first, with dh' = dL/dh' (of the result, and what the step after it left):
//
//   simple_rnn:  delta = dh' act'(h')
//   lstm:        dc' += dh' o (1 - tanh(c')^2)
//                delta_i = dc' g i (1 - i)  delta_f = dc' c f (1 - f)
//                delta_g = dc' i (1 - g^2)  delta_o = dh' tanh(c') o (1 - o)      dc = dc' f
//   gru:         dn = dh' (1 - u) (1 - n^2) delta_n = dn r
//                delta_r = dn p_n r (1 - r) delta_u = dh' (h - n) u (1 - u)
//   dz = delta (gru: dz_n = dn)             dh = delta W_hh (gru: + dh' u)
//
//   dW_hh = sum over steps and samples of delta^T h       db_hh = sum over steps and samples of delta
//
// Members share the batch, and each walks with its own samples: nobody waits before the end, and no cut
// changes gemm's bits. What backward needs is kept in the order of the steps, so that a step of some samples
// is one piece of memory; delta takes its place.
#include <utility>

#include "ops/attributes.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

struct Sizes {
    std::int64_t batch, steps, units, gates, slots;
    bool has_memory;

    [[nodiscard]] std::int64_t weights() const { return gates * units * units; }
    [[nodiscard]] std::int64_t states() const { return checked_mul(checked_mul(batch, steps), units); }
    [[nodiscard]] std::int64_t all_slots() const { return checked_mul(states(), slots); }
    [[nodiscard]] std::int64_t memory() const { return has_memory ? states() : 0; }
};

// The samples that walk together: so few that their states stay in a near cache from step to step.
constexpr std::int64_t most_walkers = 96;

// A matrix B (k x n) in panels of columns, each a small matrix of its own: the tiles of a product read it as
// it stands, at every step.
template <class T>
struct Panels {
    T* data;
    std::int64_t k, n, width;

    Panels(T* place, std::int64_t rows, std::int64_t columns, std::int64_t batch)
        : data(place), k(rows), n(columns) {
        const bool few_rows = 2 * batch <= kernels<T>().tile_rows;  // then a tile has more columns
        width = few_rows ? n : std::min(n, kernels<T>().tile_columns);
    }

    // f(panel, first column, columns) for this member's share
    template <class F>
    void for_each(const Member& member, F&& f) const {
        member.for_each(ceil_div(n, width), [&](std::int64_t panel) {
            const std::int64_t j = panel * width;
            f(data + j * k, j, std::min(width, n - j));
        });
    }

    void copy_transposed(const T* x, const Member& member) const {  // B = x^T
        for_each(member, [&](T* panel, std::int64_t j, std::int64_t columns) {
            kernels<T>().transpose(x + j * k, k, columns, k, panel, columns);
        });
    }

    void copy(const T* x, const Member& member) const {
        for_each(member, [&](T* panel, std::int64_t j, std::int64_t columns) {
            for (std::int64_t i = 0; i < k; ++i) std::copy_n(x + i * n + j, columns, panel + i * columns);
        });
    }

    // C = A B + bias, or C += A B; rows of A and C are a_row and c_row apart.
    void multiply(const T* a, std::int64_t a_row, std::int64_t rows, const T* bias, T* c, std::int64_t c_row,
                  bool accumulate, T* scratch, const Member& member) const {
        for_each(Member::alone(), [&](T* panel, std::int64_t j, std::int64_t columns) {
            MatrixProduct<T> p =
                product(rows, columns, k, matrix(a, a_row), matrix<T>(panel, columns), c + j, accumulate);
            p.c_row = c_row;
            p.bias = bias == nullptr ? bias : bias + j;
            kernels<T>().gemm(p, 0, rows, 0, columns, scratch);
            member.poll(rows * columns * k);
        });
    }
};

// Where the numbers of a walk lie. Nothing of a prediction is read again, so its steps take turns in one
// place.
template <class T>
struct Places {
    Sizes size;
    bool keeps;
    T *slots, *h, *c;     // (steps, batch, slots * units) and (steps, batch, units)
    T *weight_hh, *mask;  // copies for backward, the weight in panels
    T* turned;            // W_hh^T in panels, for forward
    T *dh, *dc;           // (batch, units), for backward

    Places(const Run<T>& r, const Sizes& s) : size(s), keeps(r.training) {
        T* next = r.saved.data();
        const auto take = [&next](std::int64_t n) { return std::exchange(next, next + padded(n)); };
        slots = take(s.all_slots());
        h = take(s.states());
        c = take(s.memory());
        weight_hh = take(s.weights());
        mask = take(s.batch * s.steps);
        next = r.shared.data();
        dh = turned = take(std::max(s.weights(), s.batch * s.units));
        dc = take(s.batch * s.units);
    }

    static std::int64_t padded(std::int64_t n) { return ceil_div(n, 16) * 16; }
    static std::int64_t saved_size(const Sizes& s) {
        return padded(s.all_slots()) + padded(s.states()) + padded(s.memory()) + padded(s.weights()) +
               padded(s.batch * s.steps);
    }
    static std::int64_t shared_size(const Sizes& s) {
        return padded(std::max(s.weights(), s.batch * s.units)) + padded(s.batch * s.units);
    }

    [[nodiscard]] T* slots_of(std::int64_t step, std::int64_t row) const {
        return slots + ((keeps ? step : 0) * size.batch + row) * size.slots * size.units;
    }
    [[nodiscard]] std::int64_t state_of(std::int64_t step, std::int64_t row) const {
        return ((keeps ? step : step % 2) * size.batch + row) * size.units;
    }
};

class Recurrent : public OpBase<Recurrent> {
  public:
    Recurrent(std::string name, std::string_view cell, Attributes attributes)
        : name_(std::move(name)),
          attributes_(std::move(attributes)),
          cell_{find_kernel(kernels<float>().cells, cell), find_kernel(kernels<double>().cells, cell)},
          all_steps_(get_bool(attributes_, "return_sequences")),
          reverse_(get_bool(attributes_, "reverse")) {}

    [[nodiscard]] std::string_view name() const override { return name_; }
    [[nodiscard]] Attributes attributes() const override { return attributes_; }
    [[nodiscard]] bool differentiable(std::size_t operand) const override { return operand != mask_operand; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override;

    [[nodiscard]] std::int64_t saved_size(std::span<const Input> inputs, const Shape&,
                                          std::int64_t batch) const override {
        return Places<float>::saved_size(sizes(inputs, batch));
    }
    [[nodiscard]] std::int64_t shared_size(std::span<const Input> inputs, const Shape&,
                                           std::int64_t batch) const override {
        return Places<float>::shared_size(sizes(inputs, batch));
    }
    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> inputs, const Shape&,
                                            std::int64_t batch) const override {
        const Sizes s = sizes(inputs, batch);
        return product_scratch(s.batch * s.steps, s.gates * s.units, s.units);
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> inputs, const Shape&) const override {
        const Sizes s = sizes(inputs, 1);
        return s.steps * (s.weights() + unary_cost * s.gates * s.units);
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const Sizes s = sizes(r.inputs, r.batch);
        const Places<T> places(r, s);
        const Panels<T> turned(places.turned, s.units, s.gates * s.units, s.batch);
        if (s.steps > 1) {
            turned.copy_transposed(r.x[1].data(), member);
            if (r.training) back_panels(places).copy(r.x[1].data(), member);
            member.barrier();
        }
        for_walkers(s, member, [&](std::int64_t row, std::int64_t rows) {
            if (r.training && r.x.size() > mask_operand)
                std::copy_n(r.x[mask_operand].data() + row * s.steps, rows * s.steps,
                            places.mask + row * s.steps);
            for (std::int64_t step = 0; step < s.steps; ++step)
                step_forward(r, places, turned, step, row, rows, member);
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const Sizes s = sizes(r.inputs, r.batch);
        const Places<T> places(r, s);
        for_walkers(s, member, [&](std::int64_t row, std::int64_t rows) {
            const std::int64_t from = row * s.units, n = rows * s.units;
            if (all_steps_)
                std::fill_n(places.dh + from, n, T(0));
            else
                std::copy_n(r.dy.data() + from, n, places.dh + from);
            std::fill_n(places.dc + from, n, T(0));
            for (std::int64_t step = s.steps; step-- > 0;) step_backward(r, places, step, row, rows, member);
        });
        if (r.dx[1].empty() && r.dx[2].empty()) return;
        member.barrier();
        weight_gradients(r, places, member);
    }

  private:
    static constexpr std::size_t mask_operand = 3;

    [[nodiscard]] Sizes sizes(std::span<const Input> inputs, std::int64_t batch) const {
        const Shape& z = inputs[0].shape;
        return {z.batched ? batch : 1, z.dims[0],      z.dims[1] / cell_.f->gates,
                cell_.f->gates,        cell_.f->slots, cell_.f->has_memory};
    }

    [[nodiscard]] std::int64_t time_of(const Sizes& s, std::int64_t step) const {
        return reverse_ ? s.steps - 1 - step : step;
    }

    template <class T>
    static Panels<T> back_panels(const Places<T>& places) {
        const Sizes& s = places.size;
        return {places.weight_hh, s.gates * s.units, s.units, s.batch};
    }

    // f(first row, rows) for this member's samples, some at a time
    template <class F>
    static void for_walkers(const Sizes& s, const Member& member, F&& f) {
        member.for_range(s.batch, 1, [&](std::int64_t begin, std::int64_t end) {
            const std::int64_t groups = ceil_div(end - begin, most_walkers);
            for (std::int64_t i = 0; i < groups; ++i) {
                const std::int64_t row = begin + (end - begin) * i / groups;
                f(row, begin + (end - begin) * (i + 1) / groups - row);
            }
        });
    }

    // p = h W_hh^T + b_hh, then the cell
    template <class T>
    void step_forward(const Run<T>& r, const Places<T>& places, const Panels<T>& turned, std::int64_t step,
                      std::int64_t row, std::int64_t rows, const Member& member) const {
        const Sizes& s = places.size;
        const std::int64_t n = s.units, all = s.gates * n, time = time_of(s, step);
        const T* bias = r.x[2].data();
        T* slots = places.slots_of(step, row);
        CellStep<T> cell{};
        cell.rows = rows, cell.units = n, cell.slots = slots;
        if (step == 0) {
            for (std::int64_t i = 0; i < rows; ++i) std::copy_n(bias, all, slots + i * s.slots * n);
        } else {
            cell.h_before = places.h + places.state_of(step - 1, row);
            cell.c_before = places.c + places.state_of(step - 1, row);
            turned.multiply(cell.h_before, n, rows, bias, slots, s.slots * n, false, scratch(r, member),
                            member);
        }
        cell.z = r.x[0].data() + (row * s.steps + time) * all;
        cell.z_row = s.steps * all;
        cell.h = places.h + places.state_of(step, row);
        cell.c = places.c + places.state_of(step, row);
        if (r.x.size() > mask_operand) {
            cell.mask = r.x[mask_operand].data() + row * s.steps + time;
            cell.mask_row = s.steps;
        }
        if (all_steps_) {
            cell.y = r.y.data() + (row * s.steps + time) * n;
            cell.y_row = s.steps * n;
        } else if (step + 1 == s.steps) {
            cell.y = r.y.data() + row * n;
            cell.y_row = n;
        }
        cell_.template of<T>().forward(cell);
    }

    // the cell back, then dh += delta W_hh
    template <class T>
    void step_backward(const Run<T>& r, const Places<T>& places, std::int64_t step, std::int64_t row,
                       std::int64_t rows, const Member& member) const {
        const Sizes& s = places.size;
        const std::int64_t n = s.units, all = s.gates * n, time = time_of(s, step);
        CellGradient<T> cell{};
        cell.rows = rows, cell.units = n, cell.slots = places.slots_of(step, row);
        if (step > 0) {
            cell.h_before = places.h + places.state_of(step - 1, row);
            cell.c_before = places.c + places.state_of(step - 1, row);
        }
        cell.c = places.c + places.state_of(step, row);
        if (r.x.size() > mask_operand) {
            cell.mask = places.mask + row * s.steps + time;
            cell.mask_row = s.steps;
        }
        if (all_steps_) {
            cell.dy = r.dy.data() + (row * s.steps + time) * n;
            cell.dy_row = s.steps * n;
        }
        cell.dh = places.dh + row * n;
        cell.dc = places.dc + row * n;
        if (!r.dx[0].empty()) {
            cell.dz = r.dx[0].data() + (row * s.steps + time) * all;
            cell.dz_row = s.steps * all;
            cell.add_dz = r.accumulate[0] != 0;
        }
        cell_.template of<T>().backward(cell);
        if (step == 0) return;
        back_panels(places).multiply(cell.slots, s.slots * n, rows, nullptr, cell.dh, n, true,
                                     scratch(r, member), member);
    }

    // dW_hh = delta^T h and db_hh = sum of delta, over all steps and samples in order
    template <class T>
    static void weight_gradients(const Run<T>& r, const Places<T>& places, const Member& member) {
        const Sizes& s = places.size;
        const std::int64_t all = s.gates * s.units, delta_row = s.slots * s.units;
        if (!r.dx[1].empty()) {
            multiply(product(all, s.units, (s.steps - 1) * s.batch,
                             transposed<T>(places.slots + s.batch * delta_row, delta_row),
                             matrix<T>(places.h, s.units), r.dx[1].data(), r.accumulate[1] != 0),
                     scratch(r, member), member);
        }
        if (r.dx[2].empty()) return;
        member.for_range(all, 64, [&](std::int64_t j, std::int64_t end) {
            kernels<T>().sum_columns(places.slots + j, delta_row, s.steps * s.batch, end - j,
                                     r.dx[2].data() + j, r.accumulate[2] != 0);
        });
    }

    template <class T>
    static T* scratch(const Run<T>& r, const Member& member) {
        return r.scratch[static_cast<std::size_t>(member.index())].data();
    }

    std::string name_;
    Attributes attributes_;
    Both<CellKernel> cell_;
    bool all_steps_, reverse_;
};

Shape Recurrent::infer(std::span<const Input> inputs, std::string_view who) const {
    expect_count(inputs, 3, 4, who);
    expect_real(inputs.first(3), who);
    const Shape &z = inputs[0].shape, &weight = inputs[1].shape, &bias = inputs[2].shape;
    const std::int64_t gates = cell_.f->gates;
    if (weight.batched || weight.rank() != 2 || weight.dims[0] != gates * weight.dims[1]) {
        throw ShapeError(text(who, ": weight_hh is ", weight.str(), ", expected (", gates,
                              " * units, units), the same for all samples"));
    }
    if (z.rank() != 2 || z.dims[1] != weight.dims[0]) {
        throw ShapeError(text(who, ": input is ", z.str(), " but weight_hh is ", weight.str(),
                              "; expected (batch, time, ", weight.dims[0], ")"));
    }
    if (bias != Shape{{weight.dims[0]}, false}) {
        throw ShapeError(text(who, ": bias_hh is ", bias.str(), " but weight_hh is ", weight.str(),
                              "; expected (", weight.dims[0], ")"));
    }
    if (inputs.size() > mask_operand) {
        const Input& mask = inputs[mask_operand];
        if (mask.dtype != DType::real) {
            throw DTypeError(text(who, ": the mask of shape ", mask.shape.str(),
                                  " holds indices, expected 0 and 1; give its rg.Input dtype=\"bool\""));
        }
        const Shape expected{{z.dims[0]}, z.batched};
        if (mask.shape != expected) {
            throw ShapeError(text(who, ": the mask has shape ", mask.shape.str(), " but the input has ",
                                  z.dims[0], " steps; expected ", expected.str(),
                                  ", 1 for a step that counts and 0 for padding"));
        }
    }
    return all_steps_ ? Shape{{z.dims[0], weight.dims[1]}, z.batched} : Shape{{weight.dims[1]}, z.batched};
}

}  // namespace

OpPtr make_simple_rnn(const Attributes& attributes) {
    allow_attributes(attributes, "simple_rnn", {"return_sequences", "reverse", "activation"});
    const std::string activation = get_string(attributes, "activation");
    if (activation != "tanh" && activation != "relu") {
        throw ArgumentError(text("simple_rnn: unknown activation '", activation, "'; choose tanh or relu"));
    }
    return std::make_shared<Recurrent>("simple_rnn", activation + "_rnn", attributes);
}

OpPtr make_lstm(const Attributes& attributes) {
    allow_attributes(attributes, "lstm", {"return_sequences", "reverse"});
    return std::make_shared<Recurrent>("lstm", "lstm", attributes);
}

OpPtr make_gru(const Attributes& attributes) {
    allow_attributes(attributes, "gru", {"return_sequences", "reverse"});
    return std::make_shared<Recurrent>("gru", "gru", attributes);
}

}  // namespace retrograd
