// Every operation: its derivative against central differences along random directions, the same bits for any
// team, float against double, what is accumulated or not wanted, and what infer refuses.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <new>

#include "harness.hpp"
#include "kernels/table.hpp"
#include "ops/fusion.hpp"

namespace test {
namespace {

using retrograd::make_op;

struct Case {
    std::string op;
    Attributes attributes = {};
    std::vector<Input> inputs;
    std::int64_t batch = 3;
    std::function<double(Random&, std::size_t operand)> draw =
        {};                                                // a value of an operand; by default +-[0.2, 1.8]
    std::function<std::int32_t(Random&)> draw_index = {};  // an index
    std::function<void(Values&)> prepare = {};
    double tolerance = 1e-7;
};

double signed_value(Random& random, std::size_t) {
    const double value = random.between(0.2, 1.8);
    return random.below(2) == 0 ? value : -value;
}

// Numbers that are far enough apart for a derivative where a kink lies between them; operands never meet.
double apart_value(Random& random, std::size_t operand) {
    return 0.2 + 0.01 * static_cast<double>(random.below(150)) + 0.005 * static_cast<double>(operand);
}

void all_apart(Values& values) {
    auto& x = values.x[0];
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1e-3 * static_cast<double>(i * 7919 % x.size());
}

double positive_value(Random& random, std::size_t) { return random.between(0.2, 1.8); }

Values draw(const Case& c, const OpPtr& op, std::uint64_t seed) {
    Random random(seed);
    Values values;
    values.x.resize(c.inputs.size());
    values.index.resize(c.inputs.size());
    for (std::size_t i = 0; i < c.inputs.size(); ++i) {
        const std::int64_t n = retrograd::elements(c.inputs[i].shape, c.batch);
        for (std::int64_t j = 0; j < n; ++j) {
            if (c.inputs[i].dtype == DType::index)
                values.index[i].push_back(c.draw_index(random));
            else
                values.x[i].push_back(c.draw ? c.draw(random, i) : signed_value(random, i));
        }
    }
    values.dy = random.directions(
        static_cast<std::size_t>(retrograd::elements(op->infer(c.inputs, "test"), c.batch)));
    if (c.prepare) c.prepare(values);
    return values;
}

std::vector<bool> wanted_of(const Case& c, const OpPtr& op) {
    std::vector<bool> wanted;
    for (std::size_t i = 0; i < c.inputs.size(); ++i) wanted.push_back(op->differentiable(i));
    return wanted;
}

// <dy, y(x + h v)> - <dy, y(x - h v)> over 2 h, improved by one step of Richardson's.
double difference(const Case& c, const OpPtr& op, const Values& values, std::size_t operand,
                  const std::vector<double>& v) {
    const auto at = [&](double h) {
        Values moved = values;
        for (std::size_t j = 0; j < v.size(); ++j) moved.x[operand][j] += h * v[j];
        return dot(values.dy, run<double>(op, c.inputs, c.batch, moved, 1, {}, false).y);
    };
    const auto slope = [&](double h) { return (at(h) - at(-h)) / (2 * h); };
    return (4 * slope(0.5e-4) - slope(1e-4)) / 3;
}

void check_derivative(const Case& c, const OpPtr& op, const std::string& what) {
    const Values values = draw(c, op, 1);
    const std::vector<bool> wanted = wanted_of(c, op);
    const Result<double> result = run<double>(op, c.inputs, c.batch, values, 1, {wanted, {}});
    Random random(2);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (!wanted[i]) continue;
        const std::vector<double> v = random.directions(values.x[i].size());
        const double expected = difference(c, op, values, i, v), got = dot(result.dx[i], v);
        const double error = std::abs(got - expected) / std::max({1e-3, std::abs(got), std::abs(expected)});
        char numbers[120];
        std::snprintf(numbers, sizeof numbers, ": d operand %zu is %.12g, by differences %.12g (error %.2g)",
                      i, got, expected, error);
        expect(error < c.tolerance, what + numbers);
    }

    // Added to what is there; each alone, and the others not touched.
    Wanted onto{wanted, {}};
    for (const auto& x : values.x) onto.onto.push_back(random.directions(x.size()));
    const Result<double> added = run<double>(op, c.inputs, c.batch, values, 1, onto);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (!wanted[i]) continue;
        double worst = 0;
        for (std::size_t j = 0; j < values.x[i].size(); ++j) {
            const double expected = onto.onto[i][j] + result.dx[i][j];
            worst = std::max(worst, std::abs(added.dx[i][j] - expected) / std::max(1.0, std::abs(expected)));
            if (std::isnan(added.dx[i][j])) worst = 1;
        }
        expect(worst < 1e-12, what + ": accumulated gradient of operand " + std::to_string(i));

        std::vector<bool> alone(wanted.size(), false);
        alone[i] = true;
        const Result<double> one = run<double>(op, c.inputs, c.batch, values, 1, {alone, {}});
        expect(same_bits(one.dx[i], result.dx[i]),
               what + ": gradient of operand " + std::to_string(i) + " alone");
    }
    expect(result.allocations == 0,
           what + ": " + std::to_string(result.allocations) + " allocations while running");
    const Result<double> none =
        run<double>(op, c.inputs, c.batch, values, 1, {std::vector<bool>(wanted.size(), false), {}});
    expect(same_bits(none.y, result.y), what + ": nothing wanted");
}

template <class T>
void check_teams(const Case& c, const OpPtr& op, const std::string& what) {
    const Values values = draw(c, op, 3);
    const Result<T> one = run<T>(op, c.inputs, c.batch, values, 1, {wanted_of(c, op), {}});
    for (const int team : {2, 3, 4}) {
        const Result<T> many = run<T>(op, c.inputs, c.batch, values, team, {wanted_of(c, op), {}});
        bool same = same_bits(one.y, many.y);
        for (std::size_t i = 0; i < one.dx.size(); ++i) same = same && same_bits(one.dx[i], many.dx[i]);
        expect(same, what + ": a team of " + std::to_string(team) + " differs");
    }
}

void check_float(const Case& c, const OpPtr& op, const std::string& what) {
    Values values = draw(c, op, 4);
    for (auto& x : values.x)
        for (double& one : x) one = static_cast<float>(one);
    for (double& one : values.dy) one = static_cast<float>(one);
    const Result<double> exact = run<double>(op, c.inputs, c.batch, values, 1, {wanted_of(c, op), {}});
    const Result<float> rounded = run<float>(op, c.inputs, c.batch, values, 1, {wanted_of(c, op), {}});
    const auto compare = [&](const std::vector<double>& a, const std::vector<float>& b,
                             const std::string& which) {
        double scale = 1e-3, worst = 0;
        for (std::size_t i = 0; i < a.size(); ++i) scale = std::max(scale, std::abs(a[i]));
        for (std::size_t i = 0; i < a.size(); ++i) {
            const double error = std::abs(a[i] - static_cast<double>(b[i])) / scale;
            worst = std::isnan(error) ? 1 : std::max(worst, error);
        }
        expect(worst < 2e-5,
               what + ": float differs from double in " + which + " by " + std::to_string(worst));
    };
    compare(exact.y, rounded.y, "y");
    for (std::size_t i = 0; i < exact.dx.size(); ++i)
        compare(exact.dx[i], rounded.dx[i], "dx " + std::to_string(i));
}

void check(const Case& c) {
    const std::string what = described(c.op, c.inputs, c.batch);
    try {
        const OpPtr op = make_op(c.op, c.attributes);
        expect(op->name() == c.op, what + ": its name is " + std::string(op->name()));
        const OpPtr again = make_op(op->name(), op->attributes());
        expect(again->attributes() == op->attributes(), what + ": attributes do not come back");
        expect(again->infer(c.inputs, "test") == op->infer(c.inputs, "test"),
               what + ": another shape after a round trip");
        expect(op->cost(c.inputs, op->infer(c.inputs, "test")) > 0, what + ": cost");
        check_derivative(c, again, what);
        check_teams<float>(c, op, what);
        check_teams<double>(c, op, what);
        check_float(c, op, what);
    } catch (const retrograd::Error& error) {
        expect(false, what + ": " + error.what());
    }
}

// y of an operation on given numbers, in double
std::vector<double> value(const std::string& name, const Attributes& attributes,
                          const std::vector<Input>& inputs, const Values& values, std::int64_t batch) {
    return run<double>(make_op(name, attributes), inputs, batch, values, 1, {}, false).y;
}

std::vector<double> counting(std::int64_t n) {
    std::vector<double> x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i);
    return x;
}

void expect_values(const std::string& what, const std::vector<double>& got,
                   const std::vector<double>& expected) {
    bool same = got.size() == expected.size();
    for (std::size_t i = 0; same && i < got.size(); ++i) {
        same = std::abs(got[i] - expected[i]) < 1e-14 * (1 + std::abs(expected[i])) ||
               (std::isnan(got[i]) && std::isnan(expected[i])) || got[i] == expected[i];
    }
    std::string shown;
    for (const double one : got) shown += retrograd::text(" ", one);
    expect(same, what + ": got" + shown);
}

// ---------------------------------------------------------------------------------------- the cases

using Ints = std::vector<std::int64_t>;

void linear_cases() {
    check({.op = "linear", .inputs = {batched({5}), plain({4, 5}), plain({4})}});
    check({.op = "linear", .inputs = {batched({5}), plain({4, 5})}});
    check({.op = "linear", .inputs = {batched({1}), plain({1, 1}), plain({1})}, .batch = 1});
    check({.op = "linear", .inputs = {batched({3, 2, 7}), plain({9, 7}), plain({9})}, .batch = 5});
    check({.op = "linear", .inputs = {plain({6}), plain({4, 6}), plain({4})}});
    check({.op = "linear", .inputs = {plain({3, 6}), plain({4, 6})}});
    check({.op = "linear", .inputs = {batched({130}), plain({70, 130}), plain({70})}, .batch = 37});
    check({.op = "linear", .inputs = {batched({33}), plain({200, 33}), plain({200})}, .batch = 2});
    check({.op = "linear", .inputs = {batched({3}), plain({5, 3}), plain({5})}, .batch = 1700});
}

void fused_case(const std::string& activation, std::int64_t batch, std::int64_t in, std::int64_t out,
                int team) {
    const OpPtr linear = make_op("linear", {}), act = make_op(activation, {});
    const OpPtr fused = retrograd::fuse_linear_activation(*linear, *act);
    expect(fused != nullptr, "linear and " + activation + " are one");
    if (fused == nullptr) return;
    const auto check_bits = [&]<class T>(T) {
        const Case c{
            .op = "linear",
            .inputs = {batched({in}), plain({out, in}), plain({out})},
            .batch = batch,
            .draw = [&](Random& r, std::size_t i) { return (i == 0 ? 1.0 : 0.1) * positive_value(r, 0); }};
        Values values = draw(c, linear, 5);
        for (auto* list : {&values.dy})
            for (double& one : *list) one = static_cast<T>(one);
        const Result<T> one = run<T>(fused, c.inputs, batch, values, team);
        const Result<T> z = run<T>(linear, c.inputs, batch, values, 1);
        Values second{};
        second.x = {std::vector<double>(z.y.begin(), z.y.end())};
        second.index.resize(1);
        second.dy = values.dy;
        const Result<T> a = run<T>(act, {batched({out})}, batch, second, 1);
        Values first = values;
        first.dy.assign(a.dx[0].begin(), a.dx[0].end());
        const Result<T> pair = run<T>(linear, c.inputs, batch, first, 1);
        bool same = same_bits(one.y, a.y) && same_bits(one.delta, a.dx[0]);
        for (std::size_t i = 0; i < 3; ++i) same = same && same_bits(one.dx[i], pair.dx[i]);
        expect(same, "linear+" + activation + " is not the pair, " + std::to_string(batch) + " x " +
                         std::to_string(in) + " x " + std::to_string(out) + ", team of " +
                         std::to_string(team));
    };
    check_bits(float{});
    check_bits(double{});
}

void fused_cases() {
    for (const auto& kernel : retrograd::kernels<float>().unary) {
        const std::string name(kernel.name);
        if (name == "linear") continue;
        for (const int team : {1, 3}) {
            fused_case(name, 7, 5, 9, team);
            fused_case(name, 40, 70, 33, team);
        }
    }
    const OpPtr linear = make_op("linear", {});
    expect(retrograd::fuse_linear_activation(*linear, *make_op("softmax", {})) == nullptr,
           "softmax is not fused");
    expect(retrograd::fuse_linear_activation(*linear, *linear) == nullptr, "linear is not fused with itself");
}

void elementwise_cases() {
    for (const auto& kernel : retrograd::kernels<double>().unary) {
        const std::string name(kernel.name);
        if (name == "linear") continue;
        const double probe[] = {-0.5, 1.5};
        double out[2];
        kernel.forward(probe, out, 2);
        const bool everywhere = !std::isnan(out[0]) && !std::isnan(out[1]);
        const auto draw_one =
            everywhere ? signed_value : +[](Random& r, std::size_t) { return r.between(0.2, 0.9); };
        check({.op = name, .inputs = {batched({2, 5})}, .draw = draw_one});
        check({.op = name, .inputs = {batched({})}, .batch = 2500, .draw = draw_one});
        check({.op = name, .inputs = {plain({3})}, .draw = draw_one});
    }
    check({.op = "clip",
           .attributes = {{"low", -0.5}, {"high", std::int64_t{1}}},
           .inputs = {batched({4, 6})}});
    check({.op = "identity", .inputs = {batched({4})}});
    const Result<double> stopped =
        run<double>(make_op("stop_gradient", {}), {plain({2})}, 1, {{{1, 2}}, {{}}, {3, 4}}, 1, {{false}});
    expect_values("stop_gradient", stopped.y, {1, 2});
    expect(!make_op("stop_gradient", {})->differentiable(0), "stop_gradient has no derivative");
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Result<double> clipped = run<double>(make_op("clip", {{"low", 0.0}, {"high", 1.0}}), {plain({5})},
                                               1, {{{-1, 0, 1, 2, nan}}, {{}}, {1, 2, 3, 4, 5}}, 1);
    expect_values("clip", clipped.y, {0, 0, 1, 1, nan});
    expect_values("clip at its bounds", clipped.dx[0], {0, 2, 3, 0, 5});
}

void arithmetic_cases() {
    const std::vector<std::vector<Input>> shapes = {
        {batched({4}), batched({4})},
        {batched({4}), plain({})},
        {plain({}), batched({4})},
        {batched({2, 3}), plain({3})},
        {plain({2, 3}), batched({2, 3})},
        {batched({2, 3}), plain({2, 1})},
        {batched({2, 1}), batched({1, 3})},
        {plain({3, 1}), plain({4})},
        {batched({1}), plain({5})},
        {plain({2, 1, 3}), plain({4, 1})},
        {batched({}), batched({})},
        {batched({3, 1, 2}), plain({5, 1})},
        {plain({}), plain({})},
    };
    for (const auto& kernel : retrograd::kernels<float>().binary) {
        for (const auto& inputs : shapes) {
            check({.op = std::string(kernel.name), .inputs = inputs, .draw = apart_value});
            check({.op = std::string(kernel.name), .inputs = inputs, .batch = 1, .draw = apart_value});
        }
        check({.op = std::string(kernel.name),
               .inputs = {batched({3}), plain({3})},
               .batch = 40000,
               .draw = apart_value});
        check({.op = std::string(kernel.name),
               .inputs = {batched({50}), plain({})},
               .batch = 1500,
               .draw = apart_value});
        check({.op = std::string(kernel.name),
               .inputs = {batched({20, 3, 30}), plain({20, 1, 30})},
               .batch = 40,
               .draw = apart_value});
        check({.op = std::string(kernel.name),
               .inputs = {batched({2, 7}), batched({2, 1})},
               .batch = 700,
               .draw = apart_value});
    }
    for (const auto& inputs : shapes) {
        std::vector<Input> three = inputs;
        three.insert(three.begin(), inputs[1]);
        check({.op = "where", .inputs = three, .draw = [](Random& r, std::size_t i) {
                   return i == 0 ? static_cast<double>(r.below(2)) : signed_value(r, i);
               }});
    }
    expect_values("less", value("less", {}, {plain({3}), plain({})}, {{{1, 2, 3}, {2}}, {{}, {}}, {}}, 1),
                  {1, 0, 0});
    expect_values("greater_equal",
                  value("greater_equal", {}, {plain({3}), plain({})}, {{{1, 2, 3}, {2}}, {{}, {}}, {}}, 1),
                  {0, 1, 1});
    const double nan = std::numeric_limits<double>::quiet_NaN();
    expect_values("equal",
                  value("equal", {}, {plain({3}), plain({3})}, {{{1, nan, 3}, {1, nan, 2}}, {{}, {}}, {}}, 1),
                  {1, 0, 0});
    expect_values(
        "not_equal",
        value("not_equal", {}, {plain({3}), plain({3})}, {{{1, nan, 3}, {1, nan, 2}}, {{}, {}}, {}}, 1),
        {0, 1, 1});
    expect_values(
        "subtract",
        value("subtract", {}, {batched({2}), plain({2})}, {{{1, 2, 3, 4}, {10, 20}}, {{}, {}}, {}}, 2),
        {-9, -18, -7, -16});
    expect_values(
        "outer", value("subtract", {}, {plain({2, 1}), plain({3})}, {{{10, 20}, {1, 2, 3}}, {{}, {}}, {}}, 1),
        {9, 8, 7, 19, 18, 17});
}

void reduction_cases() {
    for (const std::string name : {"sum", "mean", "max", "logsumexp"}) {
        for (const bool keepdims : {false, true}) {
            const auto with = [&](const retrograd::Attribute& axis) {
                return Attributes{{"axis", axis}, {"keepdims", keepdims}};
            };
            check({.op = name, .attributes = {{"keepdims", keepdims}}, .inputs = {batched({2, 3, 4})}});
            check({.op = name, .attributes = with(std::int64_t{1}), .inputs = {batched({2, 3, 4})}});
            check({.op = name, .attributes = with(std::int64_t{2}), .inputs = {batched({2, 3, 4})}});
            check({.op = name, .attributes = with(std::int64_t{-1}), .inputs = {batched({2, 3, 4})}});
            check({.op = name, .attributes = with(Ints{1, -1}), .inputs = {batched({2, 3, 4})}});
            check({.op = name, .attributes = with(Ints{}), .inputs = {batched({2, 3})}});
            check({.op = name, .attributes = with(Ints{0, 2}), .inputs = {plain({3, 2, 4, 2})}});
            check({.op = name, .attributes = with(Ints{1, 3}), .inputs = {plain({3, 2, 4, 2})}});
        }
        const auto spread = name == "max" ? all_apart : +[](Values&) {};
        check({.op = name, .inputs = {plain({700, 90})}, .prepare = spread});
        check({.op = name,
               .attributes = {{"axis", std::int64_t{0}}},
               .inputs = {plain({5000, 9})},
               .prepare = spread});
        check({.op = name,
               .attributes = {{"axis", Ints{0, 2}}},
               .inputs = {plain({40, 3, 500})},
               .prepare = spread});
        check({.op = name,
               .attributes = {{"axis", Ints{0, 2}}},
               .inputs = {plain({10, 3, 50, 300})},
               .prepare = spread});
        check({.op = name,
               .attributes = {{"axis", std::int64_t{1}}},
               .inputs = {plain({5, 100, 400})},
               .prepare = spread});
        check({.op = name, .inputs = {batched({})}});
        check({.op = name, .inputs = {plain({})}});
    }
    const Values x{{{0, 1, 2, 3, 4, 5}}, {{}}, {}};
    expect_values("sum of axis 0", value("sum", {{"axis", std::int64_t{0}}}, {plain({2, 3})}, x, 1),
                  {3, 5, 7});
    expect_values("mean of axis 1", value("mean", {{"axis", std::int64_t{1}}}, {batched({3})}, x, 2), {1, 4});
    expect_values("max", value("max", {}, {plain({2, 3})}, x, 1), {5});
    const Result<double> ties =
        run<double>(make_op("max", {}), {plain({4})}, 1, {{{2, 1, 2, 0}}, {{}}, {3}}, 1);
    expect_values("equal shares", ties.dx[0], {1.5, 0, 1.5, 0});
    const double inf = std::numeric_limits<double>::infinity();
    const Result<double> nothing =
        run<double>(make_op("logsumexp", {}), {plain({2})}, 1, {{{-inf, -inf}}, {{}}, {1}}, 1);
    expect_values("logsumexp of nothing", nothing.y, {-inf});
    expect_values("its gradient", nothing.dx[0], {0, 0});
    expect_values("logsumexp of large", value("logsumexp", {}, {plain({2})}, {{{1000, 1000}}, {{}}, {}}, 1),
                  {1000 + std::log(2.0)});
}

void shape_cases() {
    check({.op = "reshape", .attributes = {{"shape", Ints{3, -1}}}, .inputs = {batched({2, 6})}});
    check({.op = "reshape", .attributes = {{"shape", Ints{}}}, .inputs = {batched({1})}});
    check({.op = "reshape", .attributes = {{"shape", Ints{-1}}}, .inputs = {plain({40, 60})}});
    check({.op = "flatten", .inputs = {batched({2, 3, 4})}});
    check({.op = "flatten", .inputs = {batched({})}});
    check({.op = "transpose", .inputs = {batched({2, 3, 4})}});
    check({.op = "transpose", .attributes = {{"axes", Ints{0, 3, 1, 2}}}, .inputs = {batched({2, 3, 4})}});
    check({.op = "transpose", .attributes = {{"axes", Ints{1, 0}}}, .inputs = {plain({70, 50})}});
    check({.op = "transpose", .attributes = {{"axes", Ints{-1, 0, 1}}}, .inputs = {plain({2, 3, 4})}});
    check({.op = "concatenate",
           .attributes = {{"axis", std::int64_t{-1}}},
           .inputs = {batched({2, 3}), batched({2, 1}), batched({2, 4})}});
    check({.op = "concatenate",
           .attributes = {{"axis", std::int64_t{1}}},
           .inputs = {plain({1, 3}), batched({2, 3})},
           .batch = 6});
    check({.op = "concatenate",
           .attributes = {{"axis", std::int64_t{0}}},
           .inputs = {plain({40, 30}), plain({2, 30})}});
    check({.op = "slice",
           .attributes = {{"axis", std::int64_t{1}}, {"start", std::int64_t{1}}},
           .inputs = {batched({4, 3})}});
    check({.op = "slice",
           .attributes = {{"axis", std::int64_t{-1}}, {"step", std::int64_t{-2}}},
           .inputs = {batched({4, 5})}});
    check({.op = "slice",
           .attributes = {{"axis", std::int64_t{0}}, {"start", std::int64_t{-2}}, {"stop", std::int64_t{99}}},
           .inputs = {plain({4, 5})}});
    check({.op = "slice",
           .attributes = {{"axis", std::int64_t{2}}, {"start", std::int64_t{3}}, {"stop", std::int64_t{4}}},
           .inputs = {batched({40, 5})},
           .batch = 60});
    check({.op = "expand", .attributes = {{"shape", Ints{2, 5, 3}}}, .inputs = {batched({2, 1, 3})}});
    check({.op = "expand", .attributes = {{"shape", Ints{6, 3}}}, .inputs = {plain({3})}});
    check({.op = "expand", .attributes = {{"shape", Ints{300, 200}}}, .inputs = {plain({})}});

    const auto index = [](std::int64_t n) {
        return [n](Random& r) { return static_cast<std::int32_t>(r.below(n)); };
    };
    check({.op = "gather", .inputs = {plain({6, 3}), labels({2})}, .batch = 7, .draw_index = index(6)});
    check({.op = "gather", .inputs = {plain({5}), labels()}, .batch = 4, .draw_index = index(5)});
    check(
        {.op = "gather", .inputs = {plain({9, 2, 2}), plain({3, 4}, DType::index)}, .draw_index = index(9)});
    check({.op = "one_hot",
           .attributes = {{"count", std::int64_t{4}}},
           .inputs = {labels({3})},
           .draw_index = index(4)});

    const Values x{{counting(6)}, {{}}, {}};
    expect_values("transpose", value("transpose", {}, {plain({2, 3})}, x, 1), {0, 3, 1, 4, 2, 5});
    expect_values("slice",
                  value("slice",
                        {{"axis", std::int64_t{0}},
                         {"start", std::int64_t{4}},
                         {"stop", std::int64_t{0}},
                         {"step", std::int64_t{-2}}},
                        {plain({6})}, x, 1),
                  {4, 2});
    expect_values("concatenate",
                  value("concatenate", {{"axis", std::int64_t{1}}}, {batched({2}), plain({1})},
                        {{{0, 1, 2, 3}, {9}}, {{}, {}}, {}}, 2),
                  {0, 1, 9, 2, 3, 9});
    expect_values("one_hot",
                  value("one_hot", {{"count", std::int64_t{3}}}, {labels()}, {{{}}, {{2, 0, 7}}, {}}, 3),
                  {0, 0, 1, 1, 0, 0, 0, 0, 0});
    expect_values(
        "gather",
        value("gather", {}, {plain({3, 2}), labels()}, {{counting(6), {}}, {{}, {2, 0, -1}}, {}}, 3),
        {4, 5, 0, 1, 0, 0});
    expect(!make_op("gather", {})->differentiable(1) && !make_op("where", {})->differentiable(0),
           "indices and conditions have no derivative");
    expect(make_op("gather", {})->range(std::vector<Input>{plain({3, 2}), labels()}, 1).high == 2,
           "gather's range");
}

void softmax_cases() {
    for (const std::string name : {"softmax", "log_softmax"}) {
        check({.op = name, .inputs = {batched({5})}});
        check({.op = name, .inputs = {batched({3, 4})}, .batch = 200});
        check({.op = name, .inputs = {plain({1500})}});
    }
}

void norm_cases() {
    for (const std::string name : {"layer_norm", "rms_norm"}) {
        const auto operands = [&](Input x) {
            const Input column = plain({x.shape.last()});
            return name == "layer_norm" ? std::vector<Input>{x, column, column}
                                        : std::vector<Input>{x, column};
        };
        check({.op = name, .attributes = {{"eps", 1e-5}}, .inputs = operands(batched({5}))});
        check({.op = name, .attributes = {{"eps", 0.1}}, .inputs = operands(batched({3, 33})), .batch = 70});
        check({.op = name, .attributes = {{"eps", 1e-5}}, .inputs = operands(plain({40, 17}))});
    }
}

void attention_cases() {
    const auto attend = [](std::int64_t heads, bool packed, bool causal, double dropout,
                           std::vector<Input> inputs) {
        const std::size_t mask = packed ? 1 : 3;
        const auto numbers = [=](Random& random, std::size_t operand) {
            return operand == mask ? static_cast<double>(random.below(2)) : signed_value(random, operand);
        };
        check({.op = "attention",
               .attributes = {{"heads", heads}, {"packed", packed}, {"causal", causal}, {"dropout", dropout}},
               .inputs = std::move(inputs),
               .draw = numbers,
               .tolerance = 1e-6});
    };
    for (const bool causal : {false, true}) {
        attend(2, true, causal, 0, {batched({37, 12})});
        attend(1, true, causal, 0.4, {batched({70, 9})});
        attend(3, true, causal, 0, {batched({33, 18}), batched({33})});
        attend(2, false, causal, 0, {batched({35, 6}), batched({67, 6}), batched({67, 6})});
        attend(2, false, causal, 0.3, {batched({40, 4}), batched({5, 4}), batched({5, 4}), plain({40, 5})});
        attend(2, false, causal, 0, {batched({3, 4}), batched({18, 4}), batched({18, 4}), batched({3, 18})});
    }
}

void loss_cases() {
    for (const auto& kernel : retrograd::kernels<double>().losses) {
        const std::string name(kernel.name);
        const double low = kernel.target_low, high = kernel.target_high;
        const auto target = [=](Random& r, std::size_t i) {
            if (i == 0 || low == high) return signed_value(r, i);
            return r.between(std::max(low, -3.0), std::min(high, 3.0));
        };
        const bool distribution = low == 0 && high == 1;  // a row of probabilities may have to sum to 1
        const auto cases = [&](const Input& z, const Input& t, std::int64_t batch) {
            const auto normalise = [&z, distribution](Values& values) {
                if (!distribution || z.shape.size() == 1) return;
                const auto n = static_cast<std::size_t>(z.shape.size());
                for (std::size_t row = 0; row < values.x[1].size(); row += n) {
                    double sum = 0;
                    for (std::size_t j = 0; j < n; ++j) sum += values.x[1][row + j];
                    for (std::size_t j = 0; j < n; ++j) values.x[1][row + j] /= sum;
                }
            };
            check({.op = name, .inputs = {z, t}, .batch = batch, .draw = target, .prepare = normalise});
        };
        cases(batched({4}), batched({4}), 3);
        cases(batched({2, 3}), batched({2, 3}), 900);
        cases(plain({5}), plain({5}), 1);
        cases(batched({1}), batched({}), 6);
        const auto range = make_op(name, {})->range(std::vector<Input>{batched({4}), batched({4})}, 1);
        expect(range.bounded == (low != high) && range.low == (low != high ? low : 0), name + ": range");
        if (!kernel.parameter.empty()) {
            const OpPtr op = make_op(name, {{std::string(kernel.parameter), 0.5}});
            expect(retrograd::get_double(op->attributes(), std::string(kernel.parameter)) == 0.5,
                   name + ": its parameter");
        }
    }

    const auto label = [](Random& r) {
        return static_cast<std::int32_t>(r.below(6) == 5 ? -100 : r.below(5));
    };
    for (const double smoothing : {0.0, 0.1}) {
        const Attributes smooth{{"label_smoothing", smoothing}};
        check({.op = "cross_entropy",
               .attributes = smooth,
               .inputs = {batched({5}), labels()},
               .batch = 400,
               .draw_index = label});
        check({.op = "cross_entropy",
               .attributes = smooth,
               .inputs = {batched({3, 2, 5}), labels({3, 2})},
               .batch = 50,
               .draw_index = label});
        check({.op = "cross_entropy",
               .attributes = smooth,
               .inputs = {plain({5}), plain({}, DType::index)},
               .draw_index = label});
        const auto probabilities = [](Values& values) {
            for (std::size_t row = 0; row < values.x[1].size(); row += 4) {
                double sum = 0;
                for (std::size_t j = 0; j < 4; ++j) sum += std::abs(values.x[1][row + j]);
                for (std::size_t j = 0; j < 4; ++j)
                    values.x[1][row + j] = std::abs(values.x[1][row + j]) / sum;
            }
        };
        for (const auto& shape : {batched({4}), batched({3, 4})}) {
            check({.op = "cross_entropy",
                   .attributes = smooth,
                   .inputs = {shape, shape},
                   .batch = 9,
                   .prepare = probabilities});
        }
    }
    const double log3 = std::log(3.0);
    const Values two{{std::vector<double>(18, 0.5), {}}, {{}, {0, -100, 2, -100, -100, -100}}, {1, 1}};
    const std::vector<Input> positions{batched({3, 3}), labels({3})};
    const Result<double> ignored = run<double>(make_op("cross_entropy", {}), positions, 2, two, 1);
    expect_values("cross_entropy with ignored positions", ignored.y, {log3, 0});
    expect_values(
        "its gradient", ignored.dx[0],
        {-1.0 / 3, 1.0 / 6, 1.0 / 6, 0, 0, 0, 1.0 / 6, 1.0 / 6, -1.0 / 3, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    expect_values("label_weight", value("label_weight", {}, {labels({3})}, {{{}}, {two.index[1]}, {}}, 2),
                  {2.0 / 3, 0});
    expect_values(
        "label_weight of plain labels",
        value("label_weight", {{"ignore_index", std::int64_t{7}}}, {labels()}, {{{}}, {{1, 7}}, {}}, 2),
        {1, 0});
    const auto range = make_op("cross_entropy", {})->range(positions, 1);
    expect(range.bounded && range.low == 0 && range.high == 2 && range.ignore == -100,
           "cross_entropy's range");

    check({.op = "weighted_mean", .inputs = {batched({})}, .batch = 70});
    check({.op = "weighted_mean", .inputs = {batched({}), batched({})}, .batch = 7, .draw = positive_value});
    check({.op = "weighted_mean",
           .inputs = {batched({}), batched({}), batched({})},
           .batch = 1200,
           .draw = positive_value});
    check({.op = "weighted_mean", .inputs = {plain({6}), plain({6})}, .draw = positive_value});
    const Result<double> none = run<double>(make_op("weighted_mean", {}), {batched({}), batched({})}, 2,
                                            {{{1, 2}, {0, 0}}, {{}, {}}, {1}}, 1);
    expect_values("no weight at all", none.y, {0});
    expect_values("its gradient", none.dx[0], {0, 0});
    expect_values("weighted_mean",
                  value("weighted_mean", {}, {batched({}), batched({}), batched({})},
                        {{{1, 2, 3}, {1, 1, 2}, {1, 0, 0.5}}, {{}, {}, {}}, {}}, 3),
                  {2});
}

void matmul_cases() {
    const std::vector<std::vector<Input>> shapes = {
        {plain({3, 4}), plain({4, 2})},
        {batched({4}), plain({4, 2})},
        {batched({3, 4}), plain({4, 2})},
        {batched({3, 4}), batched({4, 2})},
        {plain({3, 4}), batched({4, 2})},
        {batched({5, 3, 4}), plain({5, 4, 2})},
        {batched({5, 3, 4}), plain({4, 2})},
        {plain({3, 4}), batched({5, 4, 2})},
        {plain({5, 3, 4}), batched({5, 4, 2})},
        {plain({4}), plain({4})},
        {plain({4}), plain({4, 3})},
        {plain({3, 4}), plain({4})},
        {batched({4}), plain({4})},
        {batched({3, 4}), plain({4})},
        {plain({4}), batched({4, 3})},
        {plain({2, 3, 3, 4}), plain({4, 2})},
        {plain({3, 4}), plain({6, 4, 2})},
        {batched({2, 5, 3, 4}), batched({2, 5, 4, 6})},
        {plain({1, 3, 4}), plain({4, 2})},
        {batched({2, 1, 3, 4}), batched({1, 5, 4, 2})},
        {batched({2, 1, 3, 4}), plain({5, 4, 2})},
        {plain({1, 2, 3, 4}), batched({2, 4, 2})},
    };
    for (const auto& inputs : shapes) {
        for (const std::int64_t batch : {1, 3, 5}) check({.op = "matmul", .inputs = inputs, .batch = batch});
    }
    check({.op = "matmul", .inputs = {batched({40, 50}), batched({50, 60})}, .batch = 2});
    check({.op = "matmul", .inputs = {batched({70}), plain({70, 130})}, .batch = 65});
    expect_values(
        "matmul",
        value("matmul", {}, {plain({2, 3}), plain({3, 2})}, {{counting(6), counting(6)}, {{}, {}}, {}}, 1),
        {10, 13, 28, 40});
    expect_values("matmul per sample",
                  value("matmul", {}, {batched({1, 2}), batched({2, 1})},
                        {{{1, 2, 3, 4}, {5, 6, 7, 8}}, {{}, {}}, {}}, 2),
                  {17, 53});
}

using Sizes = std::vector<std::int64_t>;

void image_cases() {
    const auto windows = [](Sizes size, Sizes stride, Sizes padding) {
        return Attributes{{"size", size}, {"stride", stride}, {"padding", padding}};
    };
    const auto scaled = [](Sizes factor, const char* mode) {
        return Attributes{{"factor", factor}, {"mode", std::string(mode)}};
    };
    for (const std::int64_t channels : {1, 6, 16, 37}) {
        const std::vector<Input> images = {batched({5, 7, channels})};
        for (const auto& attributes : {windows({2, 2}, {2, 2}, {0, 0}), windows({3, 3}, {2, 2}, {1, 1}),
                                       windows({3, 3}, {1, 1}, {1, 1}), windows({2, 1}, {3, 2}, {0, 0}),
                                       windows({2, 3}, {1, 3}, {1, 0})}) {
            check({.op = "max_pool2d", .attributes = attributes, .inputs = images, .prepare = all_apart});
            check({.op = "avg_pool2d", .attributes = attributes, .inputs = images});
        }
        for (const auto& attributes :
             {scaled({2, 2}, "nearest"), scaled({1, 3}, "nearest"), scaled({2, 2}, "bilinear"),
              scaled({3, 1}, "bilinear"), scaled({4, 5}, "bilinear")}) {
            check({.op = "upsample2d", .attributes = attributes, .inputs = images});
        }
    }
    check({.op = "standardize",
           .attributes = {{"layer", std::string("test")}},
           .inputs = {batched({3, 5}), plain({5}), plain({5})}});
}

// ---------------------------------------------------------------------------------------- what is refused

template <class Error>
void refuse(const std::string& op, const Attributes& attributes, const std::vector<Input>& inputs,
            const std::string& part) {
    std::string what = "nothing";
    bool right = false;
    try {
        const Shape shape = make_op(op, attributes)->infer(inputs, "who");
        what = "shape " + shape.str();
    } catch (const Error& error) {
        what = error.what();
        right = what.find(part) != std::string::npos;
    } catch (const std::exception& error) {
        what = std::string("another error: ") + error.what();
    }
    expect(right, op + ": expected '" + part + "', got: " + what);
}

void refusals() {
    using namespace retrograd;
    const std::int64_t zero = 0, one = 1, two = 2;
    refuse<ShapeError>("linear", {}, {batched({64}), plain({10, 32}), plain({10})},
                       "who: input has 64 features but weight is (10, 32); expected 32");
    refuse<ShapeError>("linear", {}, {batched({32}), plain({10, 32}), plain({9})}, "bias is (9)");
    refuse<ShapeError>("linear", {}, {batched({32}), plain({32})}, "expected (out, in)");
    refuse<GraphError>("linear", {}, {batched({}), plain({10, 32})}, "is the batch");
    refuse<GraphError>("linear", {}, {batched({3})}, "got 1 operands, expected 2 to 3");
    refuse<DTypeError>("linear", {}, {labels({3}), plain({1, 3})}, "holds indices, expected floats");
    refuse<ArgumentError>("linear", {{"units", one}}, {}, "has no attribute 'units'");
    refuse<ShapeError>("add", {}, {batched({3}), batched({4})}, "3 meets 4");
    refuse<ShapeError>("add", {}, {batched({3}), batched({2, 3})}, "same number of axes");
    refuse<GraphError>("add", {}, {batched({3}), plain({2, 3})}, "would meet the batch");
    refuse<GraphError>("sum", {{"axis", zero}}, {batched({3})},
                       "is the batch, which an operation may not reduce");
    refuse<GraphError>("max", {{"axis", std::int64_t{-2}}}, {batched({3})}, "may not reduce");
    refuse<ShapeError>("mean", {{"axis", two}}, {batched({3})}, "axis 2 does not exist");
    refuse<ShapeError>("sum", {{"axis", Ints{1, -1}}}, {batched({3})}, "given twice");
    refuse<ArgumentError>("sum", {{"axis", std::string("rows")}}, {batched({3})},
                          "'axis' is a string, expected a list of integers");
    refuse<ShapeError>("reshape", {{"shape", Ints{4, -1}}}, {batched({6})}, "6 elements in a sample");
    refuse<ArgumentError>("reshape", {{"shape", Ints{-1, -1}}}, {batched({6})}, "at most one");
    refuse<ArgumentError>("reshape", {}, {batched({6})}, "'shape' is missing");
    refuse<GraphError>("transpose", {{"axes", Ints{1, 0}}}, {batched({6})}, "may not move");
    refuse<ShapeError>("transpose", {{"axes", Ints{0, 1}}}, {batched({6, 2})}, "got 2 axes");
    refuse<ShapeError>("transpose", {{"axes", Ints{0, 0}}}, {plain({6, 2})}, "twice");
    refuse<GraphError>("transpose", {{"axes", Ints{0, 1, 0}}}, {batched({6, 2})}, "may not move");
    refuse<GraphError>("concatenate", {{"axis", zero}}, {batched({6}), batched({6})}, "concatenate");
    refuse<ShapeError>("concatenate", {{"axis", one}}, {batched({6, 2}), batched({6, 3})},
                       "operand 1 is (batch, 6, 3)");
    refuse<GraphError>("slice", {{"axis", zero}}, {batched({6})}, "may not slice");
    refuse<ShapeError>("slice", {{"axis", one}, {"start", std::int64_t{9}}}, {batched({6})},
                       "selects nothing");
    refuse<ArgumentError>("slice", {{"axis", one}, {"step", zero}}, {batched({6})}, "step is 0");
    refuse<ShapeError>("expand", {{"shape", Ints{4}}}, {batched({3})}, "cannot be repeated");
    refuse<ShapeError>("expand", {{"shape", Ints{4, 3}}}, {batched({3})}, "cannot be repeated");
    refuse<DTypeError>("gather", {}, {plain({4, 2}), batched({3})}, "holds floats, expected indices");
    refuse<ShapeError>("gather", {}, {batched({4, 2}), labels()}, "the table is (batch, 4, 2)");
    refuse<ArgumentError>("one_hot", {{"count", zero}}, {labels()}, "at least 1");
    refuse<GraphError>("softmax", {}, {batched({})}, "is the batch");
    refuse<ShapeError>("cross_entropy", {}, {batched({10}), labels({3})},
                       "expected integer labels (batch) or probabilities (batch, 10)");
    refuse<DTypeError>("cross_entropy", {}, {batched({10}), batched({})}, "expected indices");
    refuse<ShapeError>("cross_entropy", {}, {batched({10}), plain({10})}, "batch axis");
    refuse<ArgumentError>("cross_entropy", {{"label_smoothing", 2.0}}, {}, "expected 0 to 1");
    refuse<ShapeError>("mean_squared_error", {}, {batched({10}), batched({})}, "expected target (batch, 10)");
    refuse<ShapeError>("weighted_mean", {}, {batched({10})}, "expected one for each sample");
    refuse<ShapeError>("weighted_mean", {}, {batched({}), plain({})}, "a weight is ()");
    refuse<ShapeError>("matmul", {}, {batched({3, 4}), plain({5, 2})}, "4 columns meet 5 rows");
    refuse<GraphError>("matmul", {}, {plain({3, 4}), batched({4})}, "sum over the batch");
    refuse<GraphError>("matmul", {}, {batched({3, 4}), plain({5, 4, 2})}, "meet the batch");
    refuse<ShapeError>("matmul", {}, {batched({6, 3, 4}), plain({5, 4, 2})}, "leading axes differ");
    refuse<ArgumentError>("clip", {{"low", 2.0}, {"high", 1.0}}, {}, "expected low <= high");
    refuse<GraphError>("softmx", {}, {}, "near names: softmax");
    refuse<GraphError>("input", {}, {}, "there is no operation 'input'");
}

void names() {
    const std::vector<std::string> all = retrograd::op_names();
    expect(std::is_sorted(all.begin(), all.end()) && std::adjacent_find(all.begin(), all.end()) == all.end(),
           "names are sorted, none twice");
    for (const std::string& name : all) {
        try {
            expect(make_op(name, {})->name() == name, name + " is made under its name");
        } catch (const retrograd::ArgumentError&) {  // it must be told more
        }
    }
}

}  // namespace
}  // namespace test

// Counted, so that a test can say that nothing is allocated while an operation runs.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++test::allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

int main() {
    using Group = std::pair<const char*, void (*)()>;
    for (const auto& [name, group] : {Group{"linear", test::linear_cases},
                                      {"fused", test::fused_cases},
                                      {"elementwise", test::elementwise_cases},
                                      {"arithmetic", test::arithmetic_cases},
                                      {"reductions", test::reduction_cases},
                                      {"shapes", test::shape_cases},
                                      {"softmax", test::softmax_cases},
                                      {"norm", test::norm_cases},
                                      {"attention", test::attention_cases},
                                      {"losses", test::loss_cases},
                                      {"matmul", test::matmul_cases},
                                      {"images", test::image_cases},
                                      {"refusals", test::refusals},
                                      {"names", test::names}}) {
        const int before = test::failures, checked = test::checks;
        group();
        std::printf("%-12s %6d checks, %d failed\n", name, test::checks - checked, test::failures - before);
    }
    return test::failures == 0 ? 0 : 1;
}
