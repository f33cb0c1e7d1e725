// All of the public interface.
#pragma once

#include <retrograd/checkpoint.hpp>
#include <retrograd/data.hpp>
#include <retrograd/error.hpp>
#include <retrograd/evaluation.hpp>
#include <retrograd/graph.hpp>
#include <retrograd/initializers.hpp>
#include <retrograd/layers.hpp>
#include <retrograd/losses.hpp>
#include <retrograd/model.hpp>
#include <retrograd/model_file.hpp>
#include <retrograd/op.hpp>
#include <retrograd/ops.hpp>
#include <retrograd/optimizer.hpp>
#include <retrograd/optimizers.hpp>
#include <retrograd/plan.hpp>
#include <retrograd/random.hpp>
#include <retrograd/runtime.hpp>
#include <retrograd/sequential.hpp>
#include <retrograd/shape.hpp>
#include <retrograd/trainer.hpp>
#include <retrograd/version.hpp>
