// The checkpoint: a model file that carries its trainer, so that training goes on as if it had never ended.
//
// The container, strings and tensors of model_file.hpp, with "format" "retrograd-checkpoint" and "version"
// "1"; whoever reads the model alone passes over the rest, which is
//   tensors       "optimizer:<slot>:<parameter>"  what the optimizer remembers, of the model's type
//                 "loss:<k>:<step>"  F64: a constant of a loss function's graph
//                 "epoch:output:<k>"  the outputs of the running epoch's rows so far, in the order of visit,
//                           where they are collected; "epoch:gradient_norms", "epoch:update_norms"  F64
//                           [parameters]: sums of norms, where layers are recorded
//                 "note:<name>"  what another program keeps beside the trainer; not read here
//   __metadata__  "trainer" as JSON (below)
//                 "note:<name>"  strings of that program
//
// trainer: {"loss":{"terms":[{"name","attributes"}]} or {"graphs":[graph]},"loss_weights":[number],
//           "optimizer":{"name","hyper"},"schedule":{"name","settings"},"present":{"name","settings"},
//           "schedule_state":{},"groups":[{"pattern","settings"}],"l1","l2","clip_norm","clip_value",
//           "threads","seed":"decimal digits","iteration","epoch","running":epoch or null}
// graph (of a loss function of one's own, for one kind of targets):
//          {"targets":[{"index":bool,"shape":[]}],"steps":[step],"result":node}; a step is {"target":k},
//          {"constant":[shape],"name"} or {"op","attributes","inputs":[node],"name"}; a node is one of the
//          model's, and from the number of those on a step.
// epoch:   {"rows","total","batch_size","shuffle","iterations","loss","weight","penalty","norm","recorded",
//           "outputs":bool,"layers":bool}: rows done and in all, sums over the iterations so far, and whether
//          the tensors of "epoch:" are there.
// Numbers that JSON does not have are the strings "nan", "inf" and "-inf".
//
// Loading is as strict as for models: every tensor must be there, fit, and be expected.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include <retrograd/model_file.hpp>
#include <retrograd/trainer.hpp>

namespace retrograd {

// What a program keeps beside a trainer: strings and tensors by names of its own.
struct Notes {
    std::map<std::string, std::string> strings;
    std::vector<NamedTensor> tensors;
};

// Between two iterations, or from on_iteration; StateError while another thread trains. What was accumulated
// by backward() and not yet applied is not part of it.
template <class T>
void save(const Trainer<T>& trainer, const std::filesystem::path& path, const Notes& notes);

struct Checkpoint {
    std::variant<Trainer<float>, Trainer<double>> trainer;  // the type is the file's own
    Notes notes;
};

// `loss` replaces a loss function of one's own. Throws FileFormatError; ArgumentError where a loss is given
// but not needed, or needed and not given.
[[nodiscard]] Checkpoint load_checkpoint(const std::filesystem::path& path, LossFunction loss = {});

}  // namespace retrograd
