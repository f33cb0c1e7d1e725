#include <retrograd/error.hpp>
#include <retrograd/trainer.hpp>

#include "numpy.hpp"

namespace retrograd::bindings {
namespace {

// The arrays of one call, kept while C++ reads them.
class Arrays {
  public:
    Arrays(const py::sequence& x, const py::sequence& y, const py::object& weight)
        : x_(views_of(x, "x")), y_(views_of(y, "y")) {
        if (!weight.is_none()) weight_ = view_of(weight, "sample_weight");
        batch_ = {x_, y_, weight.is_none() ? nullptr : &weight_};
    }
    Arrays(const Arrays&) = delete;
    Arrays& operator=(const Arrays&) = delete;

    [[nodiscard]] const Batch& batch() const { return batch_; }

  private:
    std::vector<ArrayView> x_, y_;
    ArrayView weight_;
    Batch batch_;
};

std::vector<std::int64_t> rows_of(const py::object& rows, std::int64_t count) {
    const auto array = rows.cast<py::array_t<std::int64_t, py::array::c_style>>();
    std::vector<std::int64_t> list(array.data(), array.data() + array.size());
    for (const std::int64_t row : list) {
        if (row < 0 || row >= count) {
            throw ArgumentError("rows: " + std::to_string(row) + " is outside of 0.." +
                                std::to_string(count - 1));
        }
    }
    return list;
}

template <class T>
std::vector<std::int64_t> outputs_shape(const Model<T>& model, std::size_t k, std::int64_t rows) {
    std::vector<std::int64_t> shape = (*model.graph())[model.outputs()[k]].shape.dims;
    shape.insert(shape.begin(), rows);
    return shape;
}

template <class T>
std::vector<py::array> outputs_out(const Model<T>& model, std::vector<std::vector<T>>& outputs,
                                   std::int64_t rows) {
    std::vector<py::array> arrays;
    for (std::size_t k = 0; k < outputs.size(); ++k) {
        arrays.push_back(array_out(std::move(outputs[k]), outputs_shape(model, k, rows)));
    }
    return arrays;
}

struct PyEpochResult {
    WeightedLoss loss;
    double last_loss, penalty, gradient_norm;
    std::int64_t iterations, samples;
    bool stopped;
    std::vector<py::array> outputs;
    py::array order;
    std::map<std::string, double> gradient_norms, update_norms;
};

template <class T>
PyEpochResult result_out(const Trainer<T>& trainer, EpochResult<T> result) {
    const auto visited = static_cast<std::int64_t>(result.order.size());
    return {result.loss,
            result.last_loss,
            result.penalty,
            result.gradient_norm,
            result.iterations,
            result.samples,
            result.stopped,
            outputs_out(trainer.model(), result.outputs, result.samples),
            array_out(std::move(result.order), {visited}),
            std::move(result.gradient_norms),
            std::move(result.update_norms)};
}

template <class T>
PyEpochResult run_epoch(Trainer<T>& trainer, const py::sequence& x, const py::sequence& y,
                        const py::object& weight, std::int64_t batch_size, bool shuffle,
                        const py::object& rows, bool collect, bool record_layers,
                        const py::object& on_iteration, const py::object& progress, bool resume) {
    const Arrays arrays(x, y, weight);
    EpochOptions options;
    std::vector<std::int64_t> chosen;
    if (!rows.is_none()) {
        chosen = rows_of(rows, arrays.batch().x.empty() ? 0 : arrays.batch().x[0].rows());
        options.rows = &chosen;
    }
    options.batch_size = batch_size;
    options.shuffle = shuffle;
    options.collect = collect;
    options.record_layers = record_layers;
    options.resume = resume;
    options.interrupted = check_signals;
    if (!on_iteration.is_none()) {
        options.on_iteration = [&](std::int64_t iteration, double loss) {
            const py::gil_scoped_acquire gil;
            return py::bool_(on_iteration(iteration, loss)).template cast<bool>();
        };
    }
    if (!progress.is_none()) {
        options.progress = [&](std::int64_t done, std::int64_t total, double loss) {
            const py::gil_scoped_acquire gil;
            progress(done, total, loss);
        };
    }
    EpochResult<T> result;
    {
        const py::gil_scoped_release release;
        result = trainer.run_epoch(arrays.batch(), options);
    }
    return result_out(trainer, std::move(result));
}

template <class T>
PyEpochResult run_batch(Trainer<T>& trainer, const py::sequence& x, const py::sequence& y,
                        const py::object& weight, bool collect, bool record_layers) {
    const Arrays arrays(x, y, weight);
    EpochOptions options;
    options.collect = collect;
    options.record_layers = record_layers;
    options.interrupted = check_signals;
    EpochResult<T> result;
    {
        const py::gil_scoped_release release;
        result = trainer.run_batch(arrays.batch(), options);
    }
    return result_out(trainer, std::move(result));
}

template <class T>
std::pair<WeightedLoss, std::vector<py::array>> evaluate(Trainer<T>& trainer, const py::sequence& x,
                                                         const py::sequence& y, const py::object& weight,
                                                         std::int64_t batch_size, const py::object& rows,
                                                         bool collect) {
    const Arrays arrays(x, y, weight);
    const std::int64_t count = arrays.batch().x.empty() ? 0 : arrays.batch().x[0].rows();
    std::vector<std::int64_t> chosen;
    if (!rows.is_none()) chosen = rows_of(rows, count);
    std::vector<std::vector<T>> outputs;
    WeightedLoss loss;
    {
        const py::gil_scoped_release release;
        loss = trainer.evaluate(arrays.batch(), batch_size, rows.is_none() ? nullptr : &chosen,
                                collect ? &outputs : nullptr, check_signals);
    }
    const std::int64_t visited = rows.is_none() ? count : static_cast<std::int64_t>(chosen.size());
    return {loss, outputs_out(trainer.model(), outputs, visited)};
}

template <class T>
py::tuple trace(Trainer<T>& trainer, const py::sequence& x, const py::sequence& y, const py::object& weight) {
    const Arrays arrays(x, y, weight);
    TraceResult<T> result;
    {
        const py::gil_scoped_release release;
        result = trainer.trace(arrays.batch());
    }
    const auto dict = [](auto& list) {
        py::dict arrays_out;
        for (auto& one : list)
            arrays_out[py::str(one.name)] = array_out(std::move(one.numbers), std::move(one.shape));
        return arrays_out;
    };
    return py::make_tuple(result.loss, dict(result.values), dict(result.deltas), dict(result.gradients));
}

template <class T>
TrainerOptions options_of(const py::object& loss, const std::vector<double>& weights,
                          const std::string& optimizer, const std::map<std::string, double>& hyper,
                          const std::pair<std::string, std::map<std::string, double>>& schedule,
                          const std::vector<std::pair<std::string, std::map<std::string, double>>>& groups) {
    TrainerOptions options;
    if (PyCallable_Check(loss.ptr())) {
        options.loss.function = loss.cast<LossFunction>();
    } else {
        for (const py::handle term : loss) {
            const auto pair =
                py::reinterpret_borrow<py::object>(term).cast<std::pair<std::string, py::dict>>();
            options.loss.terms.push_back({pair.first, attributes_of(pair.second)});
        }
    }
    options.loss_weights = weights;
    options.optimizer = {optimizer, hyper, {schedule.first, schedule.second}};
    for (const auto& [pattern, settings] : groups) options.groups.push_back({pattern, settings});
    return options;
}

template <class T>
void bind_trainer_of(py::module_& m, const char* name) {
    using Tr = Trainer<T>;
    using Settings = std::map<std::string, double>;
    py::class_<Tr, std::shared_ptr<Tr>>(m, name)
        .def(py::init([](const Model<T>& model, const py::object& loss, const py::object& loss_weights,
                         const std::string& optimizer, const Settings& hyper,
                         const std::pair<std::string, Settings>& schedule,
                         const std::vector<std::pair<std::string, Settings>>& groups, double l1, double l2,
                         double clip_norm, double clip_value, int threads, std::uint64_t seed, bool fuse,
                         bool reuse, bool touched_rows) {
                 std::vector<double> weights;
                 if (!loss_weights.is_none()) weights = loss_weights.cast<std::vector<double>>();
                 TrainerOptions options = options_of<T>(loss, weights, optimizer, hyper, schedule, groups);
                 options.l1 = l1;
                 options.l2 = l2;
                 options.clip_norm = clip_norm;
                 options.clip_value = clip_value;
                 options.threads = threads;
                 options.seed = seed;
                 options.fuse = fuse;
                 options.reuse = reuse;
                 options.touched_rows = touched_rows;
                 return std::make_shared<Tr>(model, std::move(options));
             }),
             py::arg("model"), py::arg("loss"), py::arg("loss_weights"), py::arg("optimizer"),
             py::arg("hyper"), py::arg("schedule"), py::arg("groups"), py::arg("l1"), py::arg("l2"),
             py::arg("clip_norm"), py::arg("clip_value"), py::arg("threads"), py::arg("seed"),
             py::arg("fuse") = true, py::arg("reuse") = true, py::arg("touched_rows") = true)
        .def_property_readonly("model", &Tr::model)
        .def(
            "step",
            [](Tr& t, const py::sequence& x, const py::sequence& y, const py::object& weight) {
                const Arrays arrays(x, y, weight);
                const py::gil_scoped_release release;
                return t.step(arrays.batch(), check_signals);
            },
            py::arg("x"), py::arg("y"), py::arg("sample_weight"))
        .def(
            "forward",
            [](Tr& t, const py::sequence& x, const py::sequence& y, const py::object& weight) {
                const Arrays arrays(x, y, weight);
                const py::gil_scoped_release release;
                return t.forward(arrays.batch());
            },
            py::arg("x"), py::arg("y"), py::arg("sample_weight"))
        .def("backward", &Tr::backward, py::arg("accumulate"), py::call_guard<py::gil_scoped_release>())
        .def("update", &Tr::update, py::call_guard<py::gil_scoped_release>())
        .def(
            "gradients",
            [](Tr& t, const py::sequence& x, const py::sequence& y, const py::object& weight) {
                const Arrays arrays(x, y, weight);
                const py::gil_scoped_release release;
                return t.gradients(arrays.batch());
            },
            py::arg("x"), py::arg("y"), py::arg("sample_weight"))
        .def("run_epoch", &run_epoch<T>, py::arg("x"), py::arg("y"), py::arg("sample_weight"),
             py::arg("batch_size"), py::arg("shuffle"), py::arg("rows"), py::arg("collect"),
             py::arg("record_layers"), py::arg("on_iteration"), py::arg("progress"),
             py::arg("resume") = false)
        .def_property_readonly("unfinished",
                               [](const Tr& t) {
                                   const EpochCursor cursor = t.unfinished();
                                   return std::pair(cursor.rows, cursor.total);
                               })
        .def("run_batch", &run_batch<T>, py::arg("x"), py::arg("y"), py::arg("sample_weight"),
             py::arg("collect"), py::arg("record_layers"))
        .def(
            "prepare",
            [](Tr& t, const py::sequence& x, const py::sequence& y, const py::object& weight) {
                const Arrays arrays(x, y, weight);
                t.prepare(arrays.batch());
            },
            py::arg("x"), py::arg("y"), py::arg("sample_weight"))
        .def("end_epoch", &Tr::end_epoch)
        .def("evaluate", &evaluate<T>, py::arg("x"), py::arg("y"), py::arg("sample_weight"),
             py::arg("batch_size"), py::arg("rows"), py::arg("collect"))
        .def("trace", &trace<T>, py::arg("x"), py::arg("y"), py::arg("sample_weight"))
        .def_property("iteration", &Tr::iteration, &Tr::set_iteration)
        .def_property("epoch", &Tr::epoch, &Tr::set_epoch)
        .def_property_readonly("lr", &Tr::lr)
        .def(
            "set_lr", [](Tr& t, double lr) { t.set_schedule({"constant", {{"lr", lr}}}); }, py::arg("lr"))
        .def("observe", &Tr::observe, py::arg("value"))
        .def_property("schedule_state", &Tr::schedule_state, &Tr::set_schedule_state)
        .def("optimizer_state",
             [](Tr& t) {
                 std::vector<std::tuple<std::string, std::string, py::array>> list;
                 for (const auto& slot : t.optimizer_state()) {
                     list.emplace_back(slot.parameter, slot.name,
                                       view_out(slot.numbers.data(), slot.shape, t.state_owner()));
                 }
                 return list;
             })
        .def_property_readonly("threads_used", &Tr::threads_used)
        .def_property_readonly("penalty", &Tr::penalty)
        .def_property_readonly("gradient_norm", &Tr::gradient_norm)
        .def("stop", &Tr::stop)
        .def(
            "memory",
            [](const Tr& t, std::int64_t batch) {
                const auto memory = t.memory(batch);
                return std::map<std::string, std::int64_t>{{"optimizer", memory.optimizer},
                                                           {"training", memory.workspace}};
            },
            py::arg("batch"))
        .def("plan", [](const Tr& t) {
            const auto report = t.plan();
            py::dict dict;
            dict["steps"] = report.steps;
            dict["fused"] = report.fused;
            dict["arena_bytes"] = report.arena_bytes;
            dict["cost"] = report.cost;
            return dict;
        });
}

}  // namespace

void bind_trainer(py::module_& m) {
    py::class_<WeightedLoss>(m, "WeightedLoss", "sum w_i L_i and sum w_i over some samples.")
        .def_readonly("sum", &WeightedLoss::sum)
        .def_readonly("weight", &WeightedLoss::weight)
        .def_property_readonly("mean", &WeightedLoss::mean);
    py::class_<PyEpochResult>(m, "EpochResult", "What one pass over the data gave.")
        .def_readonly("loss", &PyEpochResult::loss)
        .def_readonly("last_loss", &PyEpochResult::last_loss)
        .def_readonly("penalty", &PyEpochResult::penalty)
        .def_readonly("gradient_norm", &PyEpochResult::gradient_norm)
        .def_readonly("iterations", &PyEpochResult::iterations)
        .def_readonly("samples", &PyEpochResult::samples)
        .def_readonly("stopped", &PyEpochResult::stopped)
        .def_readonly("outputs", &PyEpochResult::outputs)
        .def_readonly("order", &PyEpochResult::order)
        .def_readonly("gradient_norms", &PyEpochResult::gradient_norms)
        .def_readonly("update_norms", &PyEpochResult::update_norms);
    bind_trainer_of<float>(m, "Trainer32");
    bind_trainer_of<double>(m, "Trainer64");
}

}  // namespace retrograd::bindings
