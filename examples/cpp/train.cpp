// Handwritten digits, learned from scratch in C++. The file it saves has the bytes that the same program in
// Python saves.
//   train X.f32 LABELS.i64 MODEL.safetensors
// Python: x, y = rg.datasets.digits()[:2]
//         x.astype("float32").tofile("X.f32"); y.astype("int64").tofile("LABELS.i64")
#include <cstdint>
#include <exception>
#include <iostream>

#include <retrograd/retrograd.hpp>

#include "numbers.hpp"

namespace rg = retrograd;

int main(int count, char** arguments) try {
    if (count != 4) {
        std::cerr << "usage: train X.f32 LABELS.i64 MODEL.safetensors\n";
        return 2;
    }
    const std::vector<float> x = read_numbers<float>(arguments[1]);
    const std::vector<std::int64_t> labels = read_numbers<std::int64_t>(arguments[2]);

    rg::Sequential<float> net(
        rg::input({64}), {rg::layers::dense(64, {"relu"}), rg::layers::dropout(0.2), rg::layers::dense(10)},
        /*seed=*/0);
    rg::Trainer<float> trainer(net,
                               {.loss = rg::cross_entropy(), .optimizer = rg::adam({.lr = 3e-3}), .seed = 0});
    for (int epoch = 1; epoch <= 10; ++epoch) {
        const auto result = trainer.run_epoch(trainer.samples(x, labels), {.batch_size = 32});
        std::cout << "epoch " << epoch << ": loss " << result.loss.mean() << '\n';
    }
    net.save(arguments[3]);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
