// Layers one after the other.
#pragma once

#include <cstdint>
#include <vector>

#include <retrograd/layers.hpp>
#include <retrograd/model.hpp>

namespace retrograd {

// A Model of layers in a row, as rg.Sequential in Python:
//   Sequential<float> net(input({784}), {layers::dense(128, {"relu"}), layers::dense(10)}, seed);
template <class T>
class Sequential : public Model<T> {
  public:
    // Throws GraphError, ShapeError or ArgumentError.
    Sequential(const Node& input, std::vector<Layer> layers, std::uint64_t seed = 0)
        : Model<T>({input}, {output(input, layers)}, seed) {}

  private:
    [[nodiscard]] static Node output(Node node, std::vector<Layer>& layers) {
        for (Layer& layer : layers) node = layer({node});
        return node;
    }
};

}  // namespace retrograd
