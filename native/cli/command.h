// The commands of `outpost-engine` and what they share: arguments and output.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"

namespace outpost::cli {

/// The command line was wrong: the message and the usage go to stderr, exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// `--name value` options, `--flag`s and positional arguments of one command.
class Arguments {
 public:
  /// @param options names that take a value, `flags` names that do not
  /// @param n_positional most positional arguments
  /// @throws UsageError for an unknown option, a missing value or an argument too many
  Arguments(const std::vector<std::string>& words, const std::vector<std::string>& options,
            const std::vector<std::string>& flags, size_t n_positional = 1);

  bool has(const std::string& name) const { return values_.count(name) > 0; }
  std::string get(const std::string& name, const std::string& fallback = {}) const;
  /// @throws UsageError if the value is no number or lies outside [min, max]
  int64_t get_int(const std::string& name, int64_t fallback, int64_t min, int64_t max) const;
  double get_float(const std::string& name, double fallback, double min, double max) const;
  /// The positional argument `i`. @throws UsageError "missing <what>"
  const std::string& positional(size_t i, const char* what) const;

 private:
  std::map<std::string, std::string> values_;
  std::vector<std::string> positional_;
};

/// Names of the options that `load_options` reads.
std::vector<std::string> with_load_options(std::vector<std::string> options);
/// `--device ID[,ID...]` (of list_devices), `--device-layers N[,N...]` (or `fit`, or `all`), `--threads N`, `--kernels
/// NAME` (kCpuKernelNames), `--expert-cache MIB`, `--device-experts MIB`
LoadOptions load_options(const Arguments& arguments);

/// How well the expert cache has served, in one line without its end. @pre the model has experts
std::string expert_summary(const Engine& engine);

/// @throws EngineError kFileNotFound, kFileUnreadable
std::string read_file(const std::string& path);
std::string read_stdin();

/// A JSON string literal; bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);
/// Numbers of a flat JSON array such as [1, 2, 3]. @throws UsageError
std::vector<int32_t> parse_json_ids(std::string_view text);

struct Command {
  const char* name;
  const char* usage;
  const char* summary;
  int (*run)(const std::vector<std::string>& words);
};

int run_calibrate(const std::vector<std::string>& words);
int run_bench(const std::vector<std::string>& words);
int run_devices(const std::vector<std::string>& words);
int run_inspect(const std::vector<std::string>& words);
int run_kld(const std::vector<std::string>& words);
int run_logits(const std::vector<std::string>& words);
int run_perplexity(const std::vector<std::string>& words);
int run_quantize(const std::vector<std::string>& words);
int run_replay(const std::vector<std::string>& words);
int run_run(const std::vector<std::string>& words);
int run_tokenize(const std::vector<std::string>& words);
int run_train_tokenizer(const std::vector<std::string>& words);

}  // namespace outpost::cli
