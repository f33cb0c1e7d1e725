// A model that Python saved predicts in C++.
//   predict MODEL.safetensors X.f32 OUT.f32
// Python: net.save("MODEL.safetensors"); x.astype("float32").tofile("X.f32")
#include <exception>
#include <iostream>

#include <retrograd/retrograd.hpp>

#include "numbers.hpp"

int main(int count, char** arguments) try {
    if (count != 4) {
        std::cerr << "usage: predict MODEL.safetensors X.f32 OUT.f32\n";
        return 2;
    }
    auto net = retrograd::Model<float>::load(arguments[1]);
    const std::vector<float> x = read_numbers<float>(arguments[2]);
    const std::vector<float> out = net.predict(x);
    write_numbers(arguments[3], out);
    std::cout << out.size() << " numbers predicted\n";
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
