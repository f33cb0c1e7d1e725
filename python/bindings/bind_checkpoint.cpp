#include <mutex>

#include <retrograd/checkpoint.hpp>
#include <retrograd/error.hpp>

#include "numpy.hpp"

namespace retrograd::bindings {
namespace {

std::filesystem::path path_of(const std::string& path) { return {std::u8string(path.begin(), path.end())}; }

using Named = std::pair<std::string, std::map<std::string, double>>;

// What a trainer was made with, as the arguments of Trainer32 and Trainer64.
template <class T>
py::dict settings_of(const Trainer<T>& trainer) {
    const TrainerOptions& options = trainer.options();
    py::list terms;
    for (const LossTerm& term : options.loss.terms) {
        terms.append(py::make_tuple(term.name, dict_of(term.attributes)));
    }
    std::vector<Named> groups;
    for (const ParamGroup& group : options.groups) groups.emplace_back(group.pattern, group.settings);
    py::dict settings;
    settings["loss"] = options.loss.function ? py::cast(options.loss.function) : py::object(terms);
    settings["loss_weights"] = options.loss_weights;
    settings["optimizer"] = options.optimizer.name;
    settings["hyper"] = options.optimizer.hyper;
    settings["schedule"] = Named{options.optimizer.lr.name, options.optimizer.lr.settings};
    settings["groups"] = groups;
    settings["l1"] = options.l1;
    settings["l2"] = options.l2;
    settings["clip_norm"] = options.clip_norm;
    settings["clip_value"] = options.clip_value;
    settings["threads"] = options.threads;
    settings["seed"] = options.seed;
    return settings;
}

template <class T>
void bind_checkpoint_of(py::module_& m) {
    m.def(
        "save_trainer",
        [](Trainer<T>& trainer, const std::string& path, const std::map<std::string, std::string>& metadata,
           const std::map<std::string, std::string>& strings, const py::dict& tensors) {
            Notes notes{strings, {}};
            for (const auto& [name, array] : tensors) {
                notes.tensors.push_back(tensor_of(py::str(name), py::reinterpret_borrow<py::array>(array)));
            }
            const py::gil_scoped_release release;
            const std::lock_guard lock(trainer.model().saving());
            trainer.model().metadata() = metadata;
            save(trainer, path_of(path), notes);
        },
        py::arg("trainer"), py::arg("path"), py::arg("metadata"), py::arg("strings"), py::arg("tensors"));
    m.def("trainer_settings", &settings_of<T>, py::arg("trainer"));
}

}  // namespace

void bind_checkpoint(py::module_& m) {
    bind_checkpoint_of<float>(m);
    bind_checkpoint_of<double>(m);
    m.def(
        "load_trainer",
        [](const std::string& path, const py::object& loss) {
            Checkpoint found =
                load_checkpoint(path_of(path), loss.is_none() ? LossFunction() : loss.cast<LossFunction>());
            py::dict tensors;
            for (const NamedTensor& tensor : found.notes.tensors) {
                tensors[py::str(tensor.name)] = array_of(tensor, path);
            }
            const py::object trainer = std::visit(
                [](auto& one) -> py::object {
                    using Tr = std::remove_reference_t<decltype(one)>;
                    return py::cast(std::make_shared<Tr>(std::move(one)));
                },
                found.trainer);
            return py::make_tuple(trainer, found.notes.strings, tensors);
        },
        py::arg("path"), py::arg("loss"));
}

}  // namespace retrograd::bindings
