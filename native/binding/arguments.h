// Checked access to JavaScript arguments: a value of the wrong type or range throws a TypeError that names it.
#pragma once

#define NODE_ADDON_API_CPP_EXCEPTIONS
#include <napi.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "core/strings.h"
#include "engine.h"

namespace outpost::binding {

[[noreturn]] inline void fail_type(Napi::Env env, const std::string& name, const char* expected) {
  throw Napi::TypeError::New(env, name + " must be " + expected);
}

/// An error for JavaScript with `code` set.
inline Napi::Error to_js_error(Napi::Env env, ErrorCode code, const char* message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("code", error_code_name(code));
  return error;
}

inline std::string get_string(Napi::Env env, const Napi::Value& value, const std::string& name) {
  if (!value.IsString()) fail_type(env, name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

inline Napi::Function get_function(Napi::Env env, const Napi::Value& value, const std::string& name) {
  if (!value.IsFunction()) fail_type(env, name, "a function");
  return value.As<Napi::Function>();
}

/// The fields of an options object. An absent object has no fields; an absent field keeps its default.
class Fields {
 public:
  Fields(Napi::Env env, const Napi::Value& value, std::string name) : env_(env), name_(std::move(name)) {
    if (value.IsUndefined()) return;
    if (!value.IsObject()) fail_type(env, name_, "an object");
    object_ = value.As<Napi::Object>();
  }

  /// @return nothing if the field is absent
  std::optional<Napi::Value> find(const char* field) const {
    if (object_.IsEmpty()) return std::nullopt;
    const Napi::Value value = object_.Get(field);
    if (value.IsUndefined()) return std::nullopt;
    return value;
  }

  void read(const char* field, bool& out) const {
    if (const auto value = find(field)) {
      if (!value->IsBoolean()) fail_type(env_, path(field), "a boolean");
      out = value->As<Napi::Boolean>().Value();
    }
  }
  void read(const char* field, float& out) const { read_number(field, out, "a number"); }
  void read(const char* field, double& out) const { read_number(field, out, "a number"); }
  void read(const char* field, int32_t& out) const { read_integer(field, out, -0x1p31, 0x1p31 - 1); }
  void read(const char* field, uint64_t& out) const { read_integer(field, out, 0, 0x1p53); }
  void read(const char* field, std::string& out) const {
    if (const auto value = find(field)) out = get_string(env_, *value, path(field));
  }
  void read(const char* field, std::vector<std::string>& out) const {
    const auto value = find(field);
    if (!value.has_value()) return;
    if (!value->IsArray()) fail_type(env_, path(field), "an array of strings");
    const auto array = value->As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); ++i)
      out.push_back(get_string(env_, array.Get(i), path(field) + " element"));
  }
  /// A value, or an array of them.
  void read_one_or_more(const char* field, std::vector<std::string>& out) const {
    read_elements(field, out,
                  [this](const Napi::Value& value, const std::string& name) { return get_string(env_, value, name); });
  }
  void read_one_or_more(const char* field, std::vector<int32_t>& out) const {
    read_elements(field, out, [this](const Napi::Value& value, const std::string& name) {
      return get_integer<int32_t>(value, name, -0x1p31, 0x1p31 - 1);
    });
  }
  void read(const char* field, std::vector<double>& out) const {
    const auto value = find(field);
    if (!value.has_value()) return;
    if (!value->IsTypedArray() || value->As<Napi::TypedArray>().TypedArrayType() != napi_float64_array)
      fail_type(env_, path(field), "a Float64Array");
    const auto array = value->As<Napi::Float64Array>();
    out.assign(array.Data(), array.Data() + array.ElementLength());
  }
  /// One of `names`, by its position.
  template <typename Enum, size_t n>
  void read(const char* field, Enum& out, const char* const (&names)[n]) const {
    const auto value = find(field);
    if (!value.has_value()) return;
    const std::string text = get_string(env_, *value, path(field));
    std::string expected = "one of";
    for (size_t i = 0; i < n; ++i) {
      if (text == names[i]) {
        out = static_cast<Enum>(i);
        return;
      }
      expected += concat(i > 0 ? ", " : " ", names[i]);
    }
    fail_type(env_, path(field), expected.c_str());
  }

  std::string path(const char* field) const { return name_ + "." + field; }

 private:
  template <typename T>
  void read_number(const char* field, T& out, const char* expected) const {
    const auto value = find(field);
    if (!value.has_value()) return;
    const double number = value->IsNumber() ? value->As<Napi::Number>().DoubleValue() : std::nan("");
    if (!std::isfinite(number)) fail_type(env_, path(field), expected);
    out = static_cast<T>(number);
  }
  template <typename T>
  void read_integer(const char* field, T& out, double min, double max) const {
    if (const auto value = find(field)) out = get_integer<T>(*value, path(field), min, max);
  }
  template <typename T>
  T get_integer(const Napi::Value& value, const std::string& name, double min, double max) const {
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
    if (!(number >= min && number <= max) || std::floor(number) != number)
      fail_type(env_, name, concat("a whole number from ", min, " to ", max).c_str());
    return static_cast<T>(number);
  }
  template <typename T, typename Get>
  void read_elements(const char* field, std::vector<T>& out, Get get) const {
    const auto value = find(field);
    if (!value.has_value()) return;
    out.clear();
    if (!value->IsArray()) {
      out.push_back(get(*value, path(field)));
      return;
    }
    const auto array = value->As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); ++i) out.push_back(get(array.Get(i), path(field) + " element"));
  }

  Napi::Env env_;
  std::string name_;
  Napi::Object object_;
};

}  // namespace outpost::binding
