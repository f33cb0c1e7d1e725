/* The C interface, for other languages: models of one input and one output, in float32.
 *
 * No exception leaves it. Functions that return int give 0 for success and -1 for failure; those that return
 * a pointer give NULL for failure; rg_last_error() then has the sentence. Arrays are row-major and belong to
 * the caller. From many threads at once, rg_model_predict on one model is fine; training it beside any other
 * use fails. */
#ifndef RETROGRAD_H
#define RETROGRAD_H

#include <stdint.h>

#if defined(RETROGRAD_C_EXPORT) && defined(_WIN32)
#define RG_API __declspec(dllexport)
#elif defined(RETROGRAD_C_EXPORT)
#define RG_API __attribute__((visibility("default")))
#else
#define RG_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rg_model rg_model;
typedef struct rg_trainer rg_trainer;

/* A model that Python or C++ saved; a checkpoint is read as its model. Fails for a file of float64. */
RG_API rg_model* rg_model_load(const char* path);
RG_API void rg_model_free(rg_model* model); /* NULL is fine; a trainer of it lives on */

/* How many numbers a sample of the input has, and one of the output. -1 for NULL. */
RG_API int64_t rg_model_input_size(const rg_model* model);
RG_API int64_t rg_model_output_size(const rg_model* model);

/* x [rows, inputs] -> out [rows, outputs] */
RG_API int rg_model_predict(const rg_model* model, const float* x, int64_t rows, float* out);

/* Writes the whole file or, on failure, nothing. */
RG_API int rg_model_save(const rg_model* model, const char* path);

typedef struct rg_trainer_options {
    const char* loss;      /* "cross_entropy", "mean_squared_error", ...: the names of rg.losses */
    const char* optimizer; /* "sgd", "adam", ...: the names of rg.optim; NULL: "adam" */
    double lr;             /* the learning rate; 0: 1e-3 */
    double l1, l2;         /* penalties */
    double clip_norm;      /* the largest norm of a gradient; 0: none */
    int threads;           /* 0: chosen by the work; the bits do not depend on it */
    uint64_t seed;         /* of dropout */
} rg_trainer_options;

/* Trains the model itself: what it predicts changes with every step. */
RG_API rg_trainer* rg_trainer_new(rg_model* model, const rg_trainer_options* options);
RG_API void rg_trainer_free(rg_trainer* trainer); /* NULL is fine */

/* One step on a batch: targets [rows, outputs]. *loss (if not NULL) is the loss before the update. On failure
 * the parameters are as before. */
RG_API int rg_trainer_step(rg_trainer* trainer, const float* x, const float* targets, int64_t rows,
                           float* loss);
/* The same with a label for each row, or for each place of it where the output has several. */
RG_API int rg_trainer_step_labels(rg_trainer* trainer, const float* x, const int64_t* labels, int64_t rows,
                                  float* loss);

/* What went wrong last in this thread; "" where nothing has. Valid until the next call that fails. */
RG_API const char* rg_last_error(void);

/* Makes forked children safe. Once, before a program that uses the library forks. */
RG_API void rg_prepare_process(void);

#ifdef __cplusplus
}
#endif

#endif
