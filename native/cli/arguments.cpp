#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <iterator>

#include "cli/command.h"
#include "core/mapped_file.h"
#include "core/strings.h"
#include "core/utf8.h"

namespace outpost::cli {

namespace {

int64_t parse_int(const std::string& name, const std::string& text, int64_t min, int64_t max) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    throw UsageError(concat(name, " is ", in_quotes(text), "; expected a whole number from ", min, " to ", max));
  }
  return value;
}

/// What is between commas.
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts(1);
  for (const char c : list) {
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

}  // namespace

Arguments::Arguments(const std::vector<std::string>& words, const std::vector<std::string>& options,
                     const std::vector<std::string>& flags, size_t n_positional) {
  const auto is_in = [](const std::vector<std::string>& names, const std::string& word) {
    return std::find(names.begin(), names.end(), word) != names.end();
  };
  for (size_t i = 0; i < words.size(); ++i) {
    if (is_in(flags, words[i])) {
      values_[words[i]] = "";
    } else if (is_in(options, words[i])) {
      if (i + 1 == words.size()) throw UsageError(words[i] + " needs a value");
      values_[words[i]] = words[i + 1];
      ++i;
    } else if (words[i].size() > 1 && words[i][0] == '-') {
      throw UsageError("there is no option " + words[i]);
    } else if (positional_.size() == n_positional) {
      throw UsageError(concat("unexpected argument ", in_quotes(words[i])));
    } else {
      positional_.push_back(words[i]);
    }
  }
}

std::string Arguments::get(const std::string& name, const std::string& fallback) const {
  const auto it = values_.find(name);
  return it == values_.end() ? fallback : it->second;
}

int64_t Arguments::get_int(const std::string& name, int64_t fallback, int64_t min, int64_t max) const {
  return has(name) ? parse_int(name, get(name), min, max) : fallback;
}

double Arguments::get_float(const std::string& name, double fallback, double min, double max) const {
  if (!has(name)) return fallback;
  const std::string text = get(name);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= min && value <= max)) {
    throw UsageError(concat(name, " is ", in_quotes(text), "; expected a number from ", min, " to ", max));
  }
  return value;
}

const std::string& Arguments::positional(size_t i, const char* what) const {
  if (i >= positional_.size()) throw UsageError(concat("missing ", what));
  return positional_[i];
}

std::vector<std::string> with_load_options(std::vector<std::string> options) {
  options.insert(options.end(),
                 {"--device", "--device-layers", "--threads", "--kernels", "--expert-cache", "--device-experts"});
  return options;
}

CpuKernels cpu_kernels_named(const std::string& name) {
  std::string names;
  for (size_t i = 0; i < std::size(kCpuKernelNames); ++i) {
    if (name == kCpuKernelNames[i]) return static_cast<CpuKernels>(i);
    names += concat(i == 0 ? "" : ", ", kCpuKernelNames[i]);
  }
  throw UsageError(concat("--kernels is ", in_quotes(name), "; expected one of ", names));
}

LoadOptions load_options(const Arguments& arguments) {
  LoadOptions options;
  if (arguments.has("--device")) options.devices = split(arguments.get("--device"));
  if (const std::string layers = arguments.get("--device-layers", "all"); layers == "fit") {
    options.n_device_layers = {kFittingLayers};
  } else if (layers != "all") {
    options.n_device_layers.clear();
    for (const std::string& number : split(layers))
      options.n_device_layers.push_back(static_cast<int32_t>(parse_int("--device-layers", number, 1, 4096)));
    if (options.n_device_layers.size() != options.devices.size()) {
      throw UsageError(concat("--device-layers is ", in_quotes(layers), "; expected all, fit, or a number for each of ",
                              options.devices.size(), " devices"));
    }
  }
  options.n_device_positions = 2 * static_cast<uint64_t>(arguments.get_int("--ctx", 0, 0, 1 << 28));
  options.device_kv = arguments.get("--kv", "exact");
  options.n_threads = static_cast<int32_t>(arguments.get_int("--threads", 0, 0, 1024));
  options.expert_cache_bytes = static_cast<uint64_t>(arguments.get_int("--expert-cache", 0, 0, 1 << 30)) << 20;
  options.device_expert_bytes = static_cast<uint64_t>(arguments.get_int("--device-experts", 0, 0, 1 << 30)) << 20;
  options.cpu_kernels = cpu_kernels_named(arguments.get("--kernels", "auto"));
  return options;
}

std::string expert_summary(const Engine& engine) {
  const ExpertCacheStats stats = engine.stats().experts;
  const ModelInfo& info = engine.model().info();
  const auto mib = [](uint64_t n_bytes) { return n_bytes >> 20; };
  std::string text = concat(info.n_expert_used, " of ", info.n_expert, " experts per token; ", stats.n_hits, " of ",
                            stats.n_hits + stats.n_misses, " uses found in memory (", std::fixed, std::setprecision(1),
                            100 * stats.hit_rate(), " %); ", mib(stats.resident_bytes), " of ", mib(stats.total_bytes),
                            " MiB resident");
  if (stats.budget_bytes < UINT64_MAX) text += concat(", budget ", mib(stats.budget_bytes), " MiB");
  return text;
}

std::string read_file(const std::string& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

std::string read_stdin() { return {std::istreambuf_iterator<char>(std::cin), {}}; }

std::string json_string(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  Utf8Stream stream;
  const std::string valid = stream.push(text) + stream.finish();
  std::string out = "\"";
  for (const char c : valid) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::vector<int32_t> parse_json_ids(std::string_view text) {
  std::vector<int32_t> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto skip_space = [&] {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) ++at;
  };
  const auto fail = [&]() -> UsageError {
    return UsageError(concat("expected a JSON array of token ids, found ", in_quotes(text)));
  };
  skip_space();
  if (at == end || *at++ != '[') throw fail();
  skip_space();
  if (at < end && *at == ']') return ids;
  for (;;) {
    skip_space();
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc()) throw fail();
    ids.push_back(id);
    at = next;
    skip_space();
    if (at == end || (*at != ',' && *at != ']')) throw fail();
    if (*at++ == ']') return ids;
  }
}

}  // namespace outpost::cli
