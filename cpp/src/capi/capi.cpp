#include <retrograd/retrograd.h>

#include <exception>
#include <filesystem>
#include <span>
#include <string>

#include <retrograd/error.hpp>
#include <retrograd/runtime.hpp>
#include <retrograd/trainer.hpp>

struct rg_model {
    retrograd::Model<float> model;
};

struct rg_trainer {
    retrograd::Trainer<float> trainer;
};

namespace {

using retrograd::ArgumentError;

thread_local std::string last_error;

// f(), or `failed` with the text of what it threw: nothing leaves this file as an exception.
template <class R, class F>
R guarded(R failed, F&& f) noexcept {
    try {
        try {
            return f();
        } catch (const std::exception& error) {
            last_error = error.what();
        } catch (...) {
            last_error = "retrograd: an exception that is no std::exception";
        }
    } catch (...) {  // no memory for the text
        last_error.clear();
    }
    return failed;
}

template <class P>
P* given(P* pointer, const char* what) {
    if (pointer == nullptr) throw ArgumentError(std::string(what) + ": it is NULL");
    return pointer;
}

std::filesystem::path path_of(const char* path) {
    const std::string text = given(path, "path");
    return {std::u8string(text.begin(), text.end())};
}

std::int64_t size_of(const retrograd::Model<float>& model, const std::vector<int>& nodes) {
    return (*model.graph())[nodes[0]].shape.size();
}

// `rows` samples of this many numbers.
template <class E>
std::span<E> samples(E* numbers, const char* what, std::int64_t rows, std::int64_t size) {
    if (rows < 1) {
        throw ArgumentError(std::string(what) + ": rows is " + std::to_string(rows) +
                            ", expected at least 1");
    }
    return {given(numbers, what), static_cast<std::size_t>(retrograd::checked_mul(rows, size))};
}

template <class Y>
int step(rg_trainer* trainer, const float* x, const Y* targets, std::int64_t rows, float* loss, bool labels) {
    return guarded(-1, [&] {
        const retrograd::Model<float>& model = given(trainer, "trainer")->trainer.model();
        std::int64_t size = size_of(model, model.outputs());
        if (labels) {
            const retrograd::Shape& output = (*model.graph())[model.outputs()[0]].shape;
            size = output.rank() > 0 ? size / output.last() : size;
        }
        const double value =
            trainer->trainer.step(samples(x, "x", rows, size_of(model, model.inputs())),
                                  samples(targets, labels ? "labels" : "targets", rows, size));
        if (loss != nullptr) *loss = static_cast<float>(value);
        return 0;
    });
}

}  // namespace

rg_model* rg_model_load(const char* path) {
    return guarded<rg_model*>(nullptr, [&] {
        auto model = retrograd::Model<float>::load(path_of(path));
        if (model.inputs().size() != 1 || model.outputs().size() != 1) {
            throw ArgumentError(std::string(path) + ": the model has " +
                                std::to_string(model.inputs().size()) + " inputs and " +
                                std::to_string(model.outputs().size()) +
                                " outputs; the C interface has one of each, use the C++ interface");
        }
        return new rg_model{std::move(model)};
    });
}

void rg_model_free(rg_model* model) { delete model; }

std::int64_t rg_model_input_size(const rg_model* model) {
    return guarded<std::int64_t>(-1, [&] {
        const retrograd::Model<float>& net = given(model, "model")->model;
        return size_of(net, net.inputs());
    });
}

std::int64_t rg_model_output_size(const rg_model* model) {
    return guarded<std::int64_t>(-1, [&] {
        const retrograd::Model<float>& net = given(model, "model")->model;
        return size_of(net, net.outputs());
    });
}

int rg_model_predict(const rg_model* model, const float* x, std::int64_t rows, float* out) {
    return guarded(-1, [&] {
        const retrograd::Model<float>& net = given(model, "model")->model;
        net.predict(samples(x, "x", rows, size_of(net, net.inputs())),
                    samples(out, "out", rows, size_of(net, net.outputs())));
        return 0;
    });
}

int rg_model_save(const rg_model* model, const char* path) {
    return guarded(-1, [&] {
        given(model, "model")->model.save(path_of(path));
        return 0;
    });
}

rg_trainer* rg_trainer_new(rg_model* model, const rg_trainer_options* options) {
    return guarded<rg_trainer*>(nullptr, [&] {
        const rg_trainer_options& o = *given(options, "options");
        retrograd::TrainerOptions settings;
        settings.loss = retrograd::LossTerm{given(o.loss, "options: loss")};
        settings.optimizer = {o.optimizer == nullptr ? "adam" : o.optimizer, {}, o.lr == 0 ? 1e-3 : o.lr};
        settings.l1 = o.l1;
        settings.l2 = o.l2;
        settings.clip_norm = o.clip_norm;
        settings.threads = o.threads;
        settings.seed = o.seed;
        return new rg_trainer{{given(model, "model")->model, std::move(settings)}};
    });
}

void rg_trainer_free(rg_trainer* trainer) { delete trainer; }

int rg_trainer_step(rg_trainer* trainer, const float* x, const float* targets, std::int64_t rows,
                    float* loss) {
    return step(trainer, x, targets, rows, loss, false);
}

int rg_trainer_step_labels(rg_trainer* trainer, const float* x, const std::int64_t* labels, std::int64_t rows,
                           float* loss) {
    return step(trainer, x, labels, rows, loss, true);
}

const char* rg_last_error(void) { return last_error.c_str(); }

void rg_prepare_process(void) {
    (void)guarded(0, [] {
        retrograd::prepare_process();
        return 0;
    });
}
