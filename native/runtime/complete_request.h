// What a request must be before it is queued.
#pragma once

#include "engine.h"
#include "runtime/loaded_model.h"

namespace outpost {

/// Gives an empty prompt its BOS.
/// @throws EngineError kInvalidArgument naming the field that is wrong, kContextFull
void complete_request(const LoadedModel& model, int32_t n_ctx, GenerateRequest& request);

}  // namespace outpost
