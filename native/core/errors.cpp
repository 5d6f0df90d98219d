#include "engine.h"

namespace outpost {

const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kFileNotFound: return "file_not_found";
    case ErrorCode::kFileUnreadable: return "file_unreadable";
    case ErrorCode::kModelInvalid: return "model_invalid";
    case ErrorCode::kModelUnsupported: return "model_unsupported";
    case ErrorCode::kContextFull: return "context_full";
    case ErrorCode::kOutOfMemory: return "out_of_memory";
    case ErrorCode::kInvalidArgument: return "invalid_argument";
    case ErrorCode::kDeviceLost: return "device_lost";
    case ErrorCode::kInternal: return "internal";
  }
  return "internal";
}

const char* stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfText: return "end_of_text";
    case StopReason::kStopString: return "stop_string";
    case StopReason::kLength: return "length";
    case StopReason::kContextFull: return "context_full";
    case StopReason::kCancelled: return "cancelled";
    case StopReason::kError: return "error";
    case StopReason::kDeadline: return "deadline";
  }
  return "error";
}

}  // namespace outpost
