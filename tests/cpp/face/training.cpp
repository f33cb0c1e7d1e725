// A few steps for every optimizer, schedule and loss.
#include <cmath>

#include "face.hpp"

namespace {

constexpr std::int64_t rows = 12, inputs = 3, outputs = 2;

std::vector<float> numbers(std::int64_t count, std::int64_t step, std::int64_t modulus) {
    std::vector<float> list;
    for (std::int64_t i = 0; i < count; ++i) list.push_back(static_cast<float>(step * i % modulus - 5) / 8);
    return list;
}

rg::Sequential<float> network() {
    return {rg::input({inputs}), {rg::layers::dense(4, {"tanh"}), rg::layers::dense(outputs)}, 1};
}

// Five steps, and the model in NAME.safetensors.
void trained(const std::filesystem::path& folder, const std::string& name, rg::TrainerOptions options,
             const std::vector<float>& targets) {
    rg::Sequential<float> net = network();
    const bool shown = options.optimizer.lr.name == "plateau";
    rg::Trainer<float> trainer(net, std::move(options));
    const std::vector<float> x = numbers(rows * inputs, 7, 11);
    for (int i = 0; i < 5; ++i) {
        trainer.step(x, targets);
        if (i % 2 == 0) continue;
        trainer.end_epoch();
        if (shown) trainer.observe(1);
    }
    net.save(folder / (name + ".safetensors"));
}

void make_optimizers(const std::filesystem::path& folder) {
    const std::vector<float> targets = numbers(rows * outputs, 5, 13);
    const auto with = [&](const std::string& name, rg::Optimizer optimizer) {
        trained(folder, "optimizer_" + name,
                {.loss = rg::mean_squared_error(), .optimizer = std::move(optimizer)}, targets);
    };
    with("sgd", rg::sgd());
    with("sgd_more", rg::sgd({.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01}));
    with("rmsprop", rg::rmsprop());
    with("rmsprop_more", rg::rmsprop({.momentum = 0.5, .centered = true}));
    with("adagrad", rg::adagrad());
    with("adam", rg::adam());
    with("adam_more", rg::adam({.lr = 0.01, .beta1 = 0.8, .amsgrad = true}));
    with("adamw", rg::adamw());
    with("adadelta", rg::adadelta());
    with("nadam", rg::nadam());
    with("radam", rg::radam({.lr = 0.01, .decoupled_weight_decay = true}));
    with("adamax", rg::adamax());
    with("lion", rg::lion());
    with("rprop", rg::rprop());

    using rg::schedules::Unit;
    const auto at = [&](const std::string& name, const rg::Schedule& schedule) {
        trained(folder, "schedule_" + name,
                {.loss = rg::mean_squared_error(), .optimizer = rg::sgd({.lr = schedule})}, targets);
    };
    at("constant", rg::schedules::constant(0.1));
    at("step", rg::schedules::step(0.1, 2));
    at("exponential", rg::schedules::exponential(0.1, 0.9, Unit::epoch));
    at("cosine", rg::schedules::cosine(0.1, 4, 0.01));
    at("warmup_cosine", rg::schedules::warmup_cosine(0.1, 2, 5));
    at("one_cycle", rg::schedules::one_cycle(0.1, 5, {.pct_start = 0.4}));
    at("piecewise", rg::schedules::piecewise({2, 4}, {0.1, 0.05, 0.01}));
    at("plateau", rg::schedules::reduce_on_plateau(0.1, {.patience = 0}));
    check_throws<rg::ArgumentError>([] { (void)rg::schedules::piecewise({2}, {0.1}); },
                                    "got 1 values and 1 boundaries");
}

void make_losses(const std::filesystem::path& folder) {
    std::vector<float> shares = numbers(rows * outputs, 5, 13);
    for (float& value : shares) value = std::abs(value);
    for (std::size_t i = 0; i < shares.size(); i += 2) {  // two that add up to 1
        const float sum = shares[i] + shares[i + 1] + 1;
        shares[i] = (shares[i] + 0.5F) / sum;
        shares[i + 1] = 1 - shares[i];
    }
    const auto with = [&](const std::string& name, rg::Loss loss) {
        trained(folder, "loss_" + name, {.loss = std::move(loss), .optimizer = rg::sgd({.lr = 0.1})}, shares);
    };
    with("half_squared_error", rg::half_squared_error());
    with("mean_squared_error", rg::mean_squared_error());
    with("mean_absolute_error", rg::mean_absolute_error());
    with("huber", rg::huber(0.3));
    with("binary_cross_entropy", rg::binary_cross_entropy());
    with("cross_entropy", rg::cross_entropy({.label_smoothing = 0.1}));
    with("poisson", rg::poisson());
    with("hinge", rg::hinge());
    with("kl_divergence", rg::kl_divergence());
    with("cosine_similarity", rg::cosine_similarity());
    with("own", [](const std::vector<rg::Node>& y, const std::vector<rg::Node>& t) {
        return rg::ops::sum((y[0] - t[0]) * (y[0] - t[0]) * 0.5);
    });

    rg::Sequential<float> net = network();
    rg::Trainer<float> trainer(net, {.loss = rg::cross_entropy(), .optimizer = rg::sgd({.lr = 0.1})});
    const std::vector<float> x = numbers(rows * inputs, 7, 11);
    const std::vector<std::int64_t> labels = {0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1};
    trainer.step(x, labels);
    (void)trainer.run_epoch(trainer.samples(x, labels), {.batch_size = 5});
    net.save(folder / "labels.safetensors");
    check(trainer.evaluate(trainer.samples(x, labels), 5).mean() > 0, "evaluate");
}

void check_trainer() {
    rg::Sequential<float> net = network();
    const auto make = [&](rg::TrainerOptions options) { rg::Trainer<float>(net, std::move(options)); };
    check_throws<rg::ArgumentError>([&] { make({}); }, "the model has 1 outputs, got 0 losses");
    check_throws<rg::ArgumentError>([&] { make({.loss = {rg::cross_entropy(), rg::hinge()}}); },
                                    "the model has 1 outputs, got 2 losses");
    check_throws<rg::ArgumentError>([&] { make({.loss = rg::hinge(), .optimizer = {"adm"}}); },
                                    "unknown name 'adm'; choose one of");

    rg::Trainer<float> trainer(net, {.loss = rg::mean_squared_error()});
    const std::vector<float> x(6), y(4), odd(7);
    check_throws<rg::ShapeError>([&] { trainer.step(odd, y); }, "7 numbers are no whole number of samples");
    check_throws<rg::ShapeError>([&] { trainer.step(x, std::vector<float>(2)); }, "rows");
    const std::vector<float> before(net.parameters().begin(), net.parameters().end());
    check_throws<rg::NonFiniteError>(
        [&] { trainer.step(std::vector<float>(6, 1e30F), std::vector<float>(4, -1e30F)); }, "loss");
    check(std::equal(before.begin(), before.end(), net.parameters().begin()),
          "a step that fails changes nothing");

    // a trainer keeps its model alive
    auto kept = [] { return rg::Trainer<float>(network(), {.loss = rg::mean_squared_error()}); }();
    check(kept.step(std::vector<float>(3, 1), std::vector<float>(2, 1)) > 0,
          "the model of a trainer that outlives it");

    const rg::Node a = rg::input({2}), b = rg::input({2});
    const rg::Model<float> two({a, b}, {a + b, a * b});
    rg::Trainer<float> both(two, {.loss = {rg::hinge(), rg::hinge()}});
    check_throws<rg::ShapeError>([&] { both.step(x, y); }, "the model has 2 inputs and 2 outputs");
}

}  // namespace

void make_trained(const std::filesystem::path& folder) {
    make_optimizers(folder);
    make_losses(folder);
    check_trainer();
}
