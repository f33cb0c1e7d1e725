// A model that Python trained learns on: its first layer stays as it is, the others adapt to new samples, one
// batch after the other as they come in.
//   continue MODEL.safetensors X.f32 LABELS.i64 OUT.safetensors
#include <algorithm>
#include <cstdint>
#include <exception>
#include <iostream>
#include <span>

#include <retrograd/retrograd.hpp>

#include "numbers.hpp"

int main(int count, char** arguments) try {
    if (count != 5) {
        std::cerr << "usage: continue MODEL.safetensors X.f32 LABELS.i64 OUT.safetensors\n";
        return 2;
    }
    auto net = retrograd::Model<float>::load(arguments[1]);
    const std::vector<float> x = read_numbers<float>(arguments[2]);
    const std::vector<std::int64_t> labels = read_numbers<std::int64_t>(arguments[3]);
    const std::size_t features = x.size() / labels.size(), batch = 32;

    net.freeze("dense_0");
    retrograd::Trainer<float> trainer(net, {.loss = retrograd::cross_entropy(),
                                            .optimizer = retrograd::adam({.lr = 1e-4}),
                                            .threads = 1,
                                            .seed = 0});
    float loss = 0;
    for (std::size_t first = 0; first < labels.size(); first += batch) {
        const std::size_t rows = std::min(batch, labels.size() - first);
        loss = static_cast<float>(trainer.step(std::span(x).subspan(first * features, rows * features),
                                               std::span(labels).subspan(first, rows)));
    }
    net.unfreeze();
    net.save(arguments[4]);
    std::cout << "loss of the last batch " << loss << '\n';
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
