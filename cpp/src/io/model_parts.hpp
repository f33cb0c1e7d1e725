// A model as parts of a file: what model files and checkpoints share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <retrograd/model_file.hpp>

#include "io/safetensors.hpp"

namespace retrograd::io {

inline constexpr std::string_view model_format = "retrograd-model";
inline constexpr std::string_view checkpoint_format = "retrograd-checkpoint";

struct Parts {
    Metadata metadata;                // format, version, graph, check, the user's strings
    std::vector<TensorView> tensors;  // into the model's memory
};

// Throws NonFiniteError where a parameter is not finite.
template <class T>
[[nodiscard]] Parts parts_of(const Model<T>& model, std::string_view format);

// Whether a tensor of a checkpoint is the trainer's, not the model's.
[[nodiscard]] bool belongs_to_trainer(std::string_view tensor);

// The model of a file of either format. Throws FileFormatError.
[[nodiscard]] AnyModel model_of(const SafetensorsFile& file);

}  // namespace retrograd::io
