// The whole public surface of the Outpost inference engine: load a GGUF model, turn text into
// tokens and back, and generate text. No tensors and no backend types cross this header.
//
// Threads: a `Model` is immutable after `load` and may be used from any thread. An `Engine` owns one
// decode thread; its methods may be called from any thread and never block on a running request.
// Errors: what ends a call throws `EngineError`; what is expected (why a request stopped) is a value.
// The library never prints, never aborts and never exits.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace outpost {

enum class ErrorCode {
  kCancelled,         ///< the caller asked for it; not shown to a user
  kFileNotFound,      ///< no such file, or not a regular file
  kFileUnreadable,    ///< the operating system refused to open, map, read or write the file
  kModelInvalid,      ///< the file is not a well-formed GGUF model: truncated, corrupted or hostile
  kModelUnsupported,  ///< well-formed, but an architecture, tensor type or tokenizer not built in
  kContextFull,       ///< the prompt alone does not fit into the context
  kOutOfMemory,
  kInvalidArgument,
  kDeviceLost,  ///< a GPU failed and does not recover in this process: its models compute nothing any more
  kInternal,    ///< a bug of ours
};

/// The stable spelling of a code (`"model_invalid"`), used as `error.code` in JavaScript and by the CLI.
const char* error_code_name(ErrorCode code);

/// What went wrong, on which file or tensor, what was found and what was expected, in one sentence.
class EngineError : public std::runtime_error {
 public:
  EngineError(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

enum class LogLevel { kInfo, kWarning };
using LogSink = std::function<void(LogLevel level, std::string_view message)>;

/// Where messages go that end no call, for the whole process; an empty sink drops them. The sink is called on
/// any thread, by one at a time, and must not call back into the library.
void set_log_sink(LogSink sink);

/// The instruction sets the CPU backend has kernels for. `kAuto` takes the best this processor has.
enum class CpuKernels { kAuto, kScalar, kAvx2, kAvx2Vnni, kAvx512, kAmx, kNeon, kNeonI8mm };
/// Their names, in that order.
inline constexpr const char* kCpuKernelNames[] = {"auto",   "scalar", "avx2", "avx2-vnni",
                                                  "avx512", "amx",    "neon", "neon-i8mm"};

/// What a GPU says of itself; -1 where it has no sensor.
struct DeviceSensors {
  double temperature_c = -1;
  double slowdown_c = -1;  ///< the temperature from which on it slows itself down
  double power_watts = -1, power_limit_watts = -1;
  double clock_mhz = -1, memory_clock_mhz = -1;
  double busy = -1;         ///< part of the last moments in which something was computed, 0 to 1
  uint64_t used_bytes = 0;  ///< of its memory, by all programs
};

/// Something that computes.
struct DeviceInfo {
  std::string id;    ///< for LoadOptions.devices: "cpu", "cuda:0", "metal:0"
  std::string name;  ///< "NVIDIA H100 80GB HBM3"
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;
  bool shares_memory = false;                 ///< of a GPU: its memory is the processor's
  std::optional<DeviceSensors> sensors = {};  ///< now; of GPUs whose driver can be asked
  /// Why a GPU that is there cannot be used now, as a part of a sentence, in the words of a load that names it; empty
  /// if it can be.
  std::string unusable = {};
};

/// The processor first, then every GPU that is there. Of those that cannot be used nothing is said to be free.
/// @param reason why there is no GPU that can be used, as a part of a sentence; empty if there is one
std::vector<DeviceInfo> list_devices(std::string& reason);

/// Bytes per second of a large copy in the memory of a GPU, those read and those written; 0 for the processor.
/// @throws EngineError kInvalidArgument, kOutOfMemory
double measure_copy_bandwidth(const std::string& device);

/// How much room keys and values of the context take, and how exactly they are kept:
///   exact    f16
///   safe     8 and 4 bit: not told apart from exact by what it writes
///   compact  4 to 2 bit, by a layer's depth: a fifth of exact
///   max      2 bit, keys of the middle layers 3: a seventh; may be felt
/// The first and the latest positions are kept better. docs/kv-cache.md has the figures.
enum class KvPreset { kExact, kSafe, kCompact, kMax };
/// Their names, in that order.
inline constexpr const char* kKvPresetNames[] = {"exact", "safe", "compact", "max"};

/// For LoadOptions.n_device_layers.
inline constexpr int32_t kAllLayers = -1, kFittingLayers = 0;

struct LoadOptions {
  /// Ids of `list_devices`, in the order in which they compute a model's layers. No other device takes the place of one
  /// that cannot be used: that is an error. A GPU is named once. The processor is not named beside one, as it computes
  /// whatever layers they leave; alone it may be named several times, which gives the same results: for tests.
  std::vector<std::string> devices = {"cpu"};
  /// How many of the last layers the devices compute, the last device with the output; the processor computes those
  /// before. {kAllLayers}: all; several devices share them by their free memory. {kFittingLayers}: as many as there is
  /// room for on each device now, beside keys and values of n_device_positions. Or a number for each device; of a
  /// single one as many as the model has, or more, are all. What does not fit is kOutOfMemory with the figures.
  std::vector<int32_t> n_device_layers = {kAllLayers};
  /// Positions whose keys and values the devices are going to hold, of all contexts; 0 takes two of the model's
  /// training context, but of 8192 at most.
  uint64_t n_device_positions = 0;
  /// How these are going to be kept: a preset's name, or what else measure_steps takes.
  std::string device_kv = "exact";
  CpuKernels cpu_kernels = CpuKernels::kAuto;
  int32_t n_threads = 0;  ///< compute threads, at most 1024; 0 takes the number of physical cores
  /// Most memory for the experts of a mixture. Experts beyond it stay in the mapped file and are prepared when they are
  /// chosen, in place of others; the results are the same. 0 decides by the memory that is available while loading.
  uint64_t expert_cache_bytes = 0;
  /// The same for a GPU, of each that is named: the experts of its layers beyond it wait in pinned memory of the host,
  /// where all of them are then besides, and are copied over the bus when they are chosen. 0: all are on the GPU where
  /// they have room beside everything else; otherwise as many as have, but kFittingLayers would rather leave layers to
  /// the processor.
  uint64_t device_expert_bytes = 0;
  /// Called from the loading thread with the fraction done, 0 to 1, never decreasing.
  /// Returning false ends the load with `kCancelled`.
  std::function<bool(float fraction)> on_progress;
};

/// Ids of the tokens for filling in the middle, -1 for those that a vocabulary lacks. Found in the file's metadata, or
/// by the known spellings. A prompt that uses them is built of ids, not of text.
struct FimTokens {
  int32_t prefix = -1, suffix = -1, middle = -1;
  int32_t pad = -1;
  int32_t repository = -1;      ///< before the name of a repository
  int32_t file_separator = -1;  ///< before the name of a file of it
};

/// What one device has of a model.
struct DeviceShare {
  std::string device;         ///< an id of `list_devices`
  int32_t first_layer = 0;    ///< from 0
  int32_t n_layer = 0;        ///< of these also the keys and values are there
  uint64_t weight_bytes = 0;  ///< resident after load
};

/// What a user or a caller wants to know of a model. Strings come from the file: treat as untrusted text.
struct ModelInfo {
  std::string path;
  std::string name;          ///< general.name, or the file's name without its extension
  std::string architecture;  ///< general.architecture: "llama"
  std::string file_type;     ///< the tensor type most weights have, as GGUF spells it: "iq2_xxs"
  uint64_t file_bytes = 0;
  uint64_t weight_bytes = 0;  ///< resident after load
  uint64_t table_bytes = 0;   ///< of these, embeddings: a token reads a row
  uint64_t n_params = 0;
  uint64_t n_layer_params = 0;  ///< of these, those of layers: neither embeddings nor head
  int32_t n_ctx_train = 0;
  int32_t n_vocab = 0;
  int32_t n_layer = 0;
  int32_t n_embd = 0;
  int32_t n_head = 0;
  int32_t n_head_kv = 0;
  int32_t n_expert = 0;       ///< in a layer; 0 if the model is no mixture of experts
  int32_t n_expert_used = 0;  ///< of these, per token
  uint64_t kv_bytes_per_token = 0;
  std::string chat_template;  ///< Jinja source; empty if the file has none
  std::string bos_text;       ///< how a chat template spells the special tokens
  std::string eos_text;
  bool has_fim = false;  ///< fill-in-the-middle tokens are known: prefix, suffix and middle
  FimTokens fim;
  std::string backend;              ///< "cpu (avx512)"
  std::vector<DeviceShare> shares;  ///< in the order of the layers: the processor's, if it has some, then the devices'
};

struct TokenizeOptions {
  bool add_bos = true;         ///< if the model wants one
  bool parse_special = false;  ///< text like "</s>" becomes the control token; never for untrusted text
  bool add_eos = false;        ///< EOS at the end, or SEP for models of BERT's kind, if the model wants one
};

/// Counters of one layer's experts since the model was loaded.
struct ExpertUsage {
  int32_t il;                      ///< layer
  std::vector<uint64_t> n_tokens;  ///< [n_expert], tokens that each expert computed
};

/// What became of the experts of a mixture since the model was loaded. A pass asks once for each expert that one of its
/// tokens chose. All 0 for a model without experts.
struct ExpertCacheStats {
  uint64_t n_hits = 0;       ///< it was in memory
  uint64_t n_misses = 0;     ///< it was prepared from the mapped file, or copied to the GPU
  uint64_t n_evictions = 0;  ///< experts that left memory for others
  uint64_t resident_bytes = 0;
  uint64_t total_bytes = 0;  ///< of all experts, were they resident
  uint64_t budget_bytes = 0;

  /// Of what passes asked for, what was in memory; 1 if they asked for nothing.
  double hit_rate() const {
    const uint64_t n = n_hits + n_misses;
    return n > 0 ? static_cast<double>(n_hits) / static_cast<double>(n) : 1.0;
  }
};

/// Bytes per second of prepared weights of one type that products with a single token read: takes a second or less and
/// 100 to 200 MB of memory, both for that time only. What else computes meanwhile makes it slower.
/// @param type as GGUF spells it: "q4_K"
/// @throws EngineError kInvalidArgument for an unknown type, kModelUnsupported for one without a kernel, kOutOfMemory
double measure_weight_speed(const std::string& type, const LoadOptions& options = {});

/// What a token costs besides the weights that it reads.
struct LayerSpeed {
  double seconds_per_layer;    ///< norms, rotation, sums, and starting every operation of a layer
  double kv_bytes_per_second;  ///< keys and values in f16 that attention reads
};

/// Takes half a second and 150 MB of memory, both for that time only. What else computes meanwhile makes it slower.
/// @throws EngineError kOutOfMemory, kInvalidArgument for a device or threads that are not there
LayerSpeed measure_layer_speed(const LoadOptions& options = {});

class Model {
 public:
  /// Maps and checks `path`, prepares the weights for the processor. Of a model in several files `path` is the first.
  /// @throws EngineError kFileNotFound, kFileUnreadable, kModelInvalid, kModelUnsupported, kOutOfMemory,
  ///         kCancelled, kInvalidArgument for kernels or threads that this machine cannot run
  static std::shared_ptr<Model> load(const std::string& path, const LoadOptions& options = {});
  virtual ~Model() = default;

  virtual const ModelInfo& info() const = 0;
  /// One entry per layer with experts; none for a model without. Counts what all engines of this model computed.
  virtual std::vector<ExpertUsage> expert_usage() const = 0;
  /// @throws EngineError kInvalidArgument if the text has more than 2^31 - 1 bytes
  virtual std::vector<int32_t> tokenize(std::string_view text, const TokenizeOptions& options = {}) const = 0;
  /// The exact bytes of the tokens; may end inside a UTF-8 character. Control tokens give no bytes.
  /// @throws EngineError kInvalidArgument for an id outside the vocabulary
  virtual std::string detokenize(std::span<const int32_t> tokens) const = 0;
};

struct SamplerParams {
  float temperature = 0.7f;  ///< 0 is greedy: the most probable token, ties to the lower id
  int32_t top_k = 40;        ///< 0 keeps all
  float top_p = 0.95f;       ///< 1 keeps all
  float min_p = 0.05f;       ///< 0 keeps all; relative to the most probable token
  float repeat_penalty = 1.0f;
  int32_t repeat_last_n = 64;
  uint64_t seed = 0;  ///< the same seed, prompt and parameters give the same text
};

/// Lower runs first. A request of a lower class waits between two steps of a higher one, never longer.
enum class Priority { kInline, kChat, kAgent, kBackground };

/// Where a draft comes from. Drafts are checked by the model before they count: they change how long a reply takes and
/// nothing else.
enum class DraftSource {
  kGrammar,  ///< the grammar leaves no choice
  kEdit,     ///< the text that the reply rewrites
  kSuffix,   ///< what followed the same words before: in the request, in texts given with requests, in earlier replies
  kModel,    ///< a smaller model
  kMtp,      ///< the model's own head for further tokens, where its file has one (multi-token prediction)
};
/// Their names, in that order.
inline constexpr const char* kDraftSourceNames[] = {"grammar", "edit", "suffix", "model", "mtp"};
inline constexpr size_t kDraftSources = std::size(kDraftSourceNames);

struct DraftOptions {
  bool is_enabled = true;  ///< false computes one token at a time
  int32_t n_max = 32;      ///< most drafted tokens in one pass, at most 63
  /// The text that the reply is expected to repeat with changes: a file or a selection that is to be rewritten.
  std::string original;
  /// Texts that the reply may quote: open files, files of the workspace, the most likely first. They are remembered by
  /// the engine for later requests too; of texts it has not seen yet it reads kMaxNewDraftText bytes per request.
  std::vector<std::string> texts;
};
inline constexpr size_t kMaxNewDraftText = 64 * 1024;

struct DraftCounts {
  int64_t n_drafted = 0;   ///< tokens
  int64_t n_accepted = 0;  ///< of these, the model's own choice too
};
/// By DraftSource.
using DraftStats = std::array<DraftCounts, kDraftSources>;

/// A reply that is searched for instead of said token by token: of the `n` most probable ones the one that also makes
/// the text behind it likely. A model that only reads forward fills in a gap so (runtime/candidate_search.h).
struct CandidateOptions {
  int32_t n = 1;  ///< 2 to 8 search; 1 does not
  /// UTF-8 text that stands behind the reply, from where a stop string ends it: "\n" first, if that is one. At most
  /// kMaxFollowedBy bytes, of which the first tokens count; empty: the most probable reply is chosen.
  std::string followed_by;
};
inline constexpr size_t kMaxFollowedBy = 4096;

struct GenerateRequest {
  std::vector<int32_t> tokens;  ///< the prompt; an empty one starts from BOS
  int32_t n_predict = 512;      ///< most tokens to generate
  SamplerParams sampler;
  std::vector<std::string> stop;  ///< text that ends the reply and is not part of it
  /// UTF-8 text that the reply must begin with, at most 256 bytes; empty asks for nothing. It continues the prompt as
  /// if it had been tokenized with it, but the model chooses the tokens, of which one may reach beyond it: a prompt
  /// that stops in the middle of a word is better cut before the word and given the rest here ("token healing").
  /// Until the text is complete other tokens are excluded, the end of the reply too, and tokens that end inside a word
  /// of it where encoding would not. Its tokens count as generated; the text is not reported, and stop strings are
  /// looked for only after it. A vocabulary without byte tokens may be unable to spell it: that ends the request with
  /// kInvalidArgument.
  std::string begin_with;
  Priority priority = Priority::kChat;
  DraftOptions draft;
  /// Of more than one the sampler must be greedy, without penalties, and there is no grammar. Nothing is drafted, and
  /// the text is reported at once when it is chosen.
  CandidateOptions candidates;
  /// What the reply may look like, after begin_with; at most one of the two. GBNF, with the rule `root`; or a JSON
  /// schema, of which the reply is then an instance. docs/speculation.md lists what of both is understood.
  std::string grammar, json_schema;
  /// Milliseconds from `submit` after which the reply ends with what there is of it; 0: none.
  int32_t deadline_ms = 0;
  bool log_probs = false;  ///< whether GenerateStats::log_probs is wanted: it takes a look at the whole vocabulary
};

enum class StopReason { kEndOfText, kStopString, kLength, kContextFull, kCancelled, kError, kDeadline };

const char* stop_reason_name(StopReason reason);

struct GenerateStats {
  int32_t n_prompt = 0;   ///< prompt tokens
  int32_t n_reused = 0;   ///< of these, found in the KV cache and not computed again
  int32_t n_decoded = 0;  ///< tokens generated, with those of begin_with
  int32_t n_ctx = 0;      ///< positions this request may use
  double queue_ms = 0;    ///< from submit to the first step
  double prefill_ms = 0;  ///< computing the prompt, without time given to other requests
  double decode_ms = 0;   ///< computing the reply, likewise
  double ttft_ms = 0;     ///< from submit to the first token that says more than begin_with, as the user feels it
  int32_t n_passes = 0;   ///< passes that computed the reply: less than n_decoded where drafts were right
  int32_t n_parked = 0;   ///< times it lost its pages to a more urgent request and computed them again
  DraftStats drafts;
  /// What decoding one token took without a draft, as measured in this engine; 0 if that never happened.
  double plain_token_ms = 0;
  /// How sure the model was: of each token that says more than begin_with, the logarithm of its probability among those
  /// that were allowed, at temperature 1 and without penalties. Empty unless the request asks for it.
  std::vector<float> log_probs;
};

/// How a request reports. Called on the decode thread, in order, `on_done` exactly once and last.
/// A sink must return quickly and must not call back into the engine, except `cancel`. An exception from it ends the
/// request with kInternal; one from `on_done` is logged.
struct GenerateSink {
  /// After each slice of the prompt.
  std::function<void(int32_t n_done, int32_t n_total)> on_prefill;
  /// Whole UTF-8 characters: a character split over tokens, and a possible start of a stop string, are
  /// held back until they are decided. Bytes that can never become UTF-8 arrive as U+FFFD.
  /// `n_decoded` tokens were generated so far.
  std::function<void(std::string_view text, int32_t n_decoded)> on_text;
  /// `error` is null unless the reason is kError.
  std::function<void(StopReason reason, const GenerateStats& stats, const EngineError* error)> on_done;
};

struct EngineOptions {
  int32_t n_ctx = 0;      ///< positions one request may use; 0 takes the model's training context
  uint64_t kv_bytes = 0;  ///< memory for KV pages of all requests; 0 gives two full contexts
  /// Most tokens in one prefill slice, between which other requests may run; 0 takes what suits the device.
  int32_t n_prefill = 0;
  double slice_ms = 12;      ///< how long a slice should take, by which its size is chosen; 0: always n_prefill tokens
  int32_t n_sequences = 32;  ///< most requests in one pass
  /// Drafts for this engine's model; may be null. See `draft_compatibility`.
  std::shared_ptr<Model> draft_model;
  /// From this temperature of the device on, in °C, requests of the class background pause between their passes, the
  /// longer the hotter it is, while nobody else asks for anything. 0: never. Needs DeviceInfo::sensors.
  double pace_above_c = 80;
  KvPreset kv = KvPreset::kExact;  ///< of the requests; a draft model's are in f16
  /// EngineStats::pass_ms of an earlier engine for the same model on the same device: drafts have the right length from
  /// the first reply on. Empty if there was none.
  std::vector<double> pass_ms;
};

struct EngineStats {
  int32_t n_active = 0;       ///< requests queued or running
  int32_t n_waiting = 0;      ///< of these, without memory for keys and values at the moment
  uint64_t n_decoded = 0;     ///< tokens of all replies so far
  uint64_t n_passes = 0;      ///< passes over a model that computed some of them
  double decode_ms = 0;       ///< what these took
  double plain_token_ms = 0;  ///< what one token of one reply takes without a draft, as measured; 0: not known yet
  double pause_ms = 0;        ///< that background work waited for a hot device
  DraftStats drafts;
  std::vector<double> pass_ms;  ///< what passes of 1, 2, … rows take, as measured; 0: not known
  uint64_t kv_bytes_used = 0;
  uint64_t kv_bytes_total = 0;
  uint64_t kv_bytes_spare = 0;  ///< beside those used: kept while there is room, so that texts can branch anywhere
  uint64_t head_kv_bytes = 0;   ///< beside kv_bytes_total: of a model's own head for further tokens; 0: it has none
  int32_t n_kv_pages = 0;       ///< in use
  int64_t n_kv_tokens = 0;      ///< whose keys and values are there; those that texts share count once
  uint64_t n_prompt = 0;        ///< tokens of the prompts of all requests that started
  uint64_t n_reused = 0;        ///< of these, found in the KV cache
  ExpertCacheStats experts;     ///< of the model, whichever engine used them
};

/// What `Engine::save_cache` wrote, or `restore_cache` took over.
struct CacheFile {
  int64_t n_tokens = 0;
  uint64_t n_bytes = 0;
};

/// Runs requests against one model. The prompt's longest prefix that is still in the KV cache is reused.
class Engine {
 public:
  /// @throws EngineError kOutOfMemory, kInvalidArgument
  static std::unique_ptr<Engine> create(std::shared_ptr<Model> model, const EngineOptions& options = {});
  virtual ~Engine() = default;  ///< cancels what runs and joins the decode thread

  /// Queues a request and returns its id at once.
  /// @throws EngineError kInvalidArgument, kContextFull
  virtual uint64_t submit(GenerateRequest request, GenerateSink sink) = 0;
  /// Stops a request before its next token. Unknown and finished ids are ignored.
  virtual void cancel(uint64_t request_id) = 0;
  virtual EngineStats stats() const = 0;

  /// Writes what the KV cache holds to a file, which appears when it is whole: a later engine of the same model that
  /// keeps keys and values the same way goes on from there, with the same logits to the bit. Both wait for the pass
  /// that runs, and must not be called by a sink.
  /// @throws EngineError kFileUnreadable, e.g. when the disk is full: what was there before is left;
  ///         kModelUnsupported if the device's pages cannot be read
  virtual CacheFile save_cache(const std::string& path) = 0;
  /// Takes over what there is room for, beside what the cache holds.
  /// @throws EngineError kFileNotFound, kFileUnreadable; kInvalidArgument for a file that is damaged, or of another
  ///         model, preset, device or version: nothing of it is used then
  virtual CacheFile restore_cache(const std::string& path) = 0;
  virtual const Model& model() const = 0;

  /// Forgets what no running request uses, and removes the file `path` where that was kept, if there is one: for texts
  /// that somebody deletes. @return what was forgotten. @throws EngineError kFileUnreadable if the file stays
  virtual CacheFile forget_cache(const std::string& path) = 0;
};

/// Whether `draft` can draft for `target`.
struct DraftCompatibility {
  enum class Kind {
    kSameTokens,  ///< the vocabularies are the same: its tokens are used as they are
    kSameText,    ///< they differ: its text is tokenized for the target, which costs time and some drafts
    kNone,
  };
  Kind kind = Kind::kNone;
  std::string reason;  ///< why not, or what is lost, in one sentence for the user; empty for kSameTokens
};
DraftCompatibility draft_compatibility(const Model& target, const Model& draft);

/// Checks a grammar without running it.
/// @throws EngineError kInvalidArgument with the line and column of what is wrong, or with the path in the schema
void check_grammar(std::string_view gbnf);
void check_json_schema(std::string_view schema);

/// The logits after each of the last `n_last` tokens of `tokens`, [n_last, n_vocab] f32, computed from an
/// empty cache in prefill chunks of `n_chunk` tokens. The result does not depend on `n_chunk` or on the
/// number of threads, to the bit. For tests, perplexity and self-checks; blocks the calling thread.
/// @throws EngineError kInvalidArgument, kContextFull, kOutOfMemory
/// @param kv a preset's name, or bits of keys and values such as "k4v2"; "-plain" behind it leaves a calibration out;
///        "q4_0" is f16 rounded as llama.cpp's cache of that name, to compare with
/// @param goes_on asked before each layer of each pass; false ends it with kCancelled
std::vector<float> evaluate_logits(const Model& model, std::span<const int32_t> tokens, int32_t n_last, int32_t n_chunk,
                                   const std::string& kv = "exact", const std::function<bool()>& goes_on = {});

/// What the model makes of a text, as a direction: of texts that are about the same the product is large. The hidden
/// state of the last token, or the mean of all, as the file says by `pooling_type`; of length 1. Says much for a model
/// that was trained for it, and something for any other. Independent of the number of threads, to the bit. Blocks the
/// calling thread; passes for requests on the same model take turns with its own.
/// @return [n_embd] f32
/// @throws EngineError kInvalidArgument, kContextFull, kOutOfMemory
std::vector<float> embed(const Model& model, std::span<const int32_t> tokens);

/// How long a pass over some new tokens takes behind n_past others, with what the default sampler has to know of the
/// logits of all new ones: what checking a draft of that length costs.
/// @param n_tokens sizes of passes. @return of each the median of n_rounds, in milliseconds
/// @throws EngineError kInvalidArgument, kContextFull
std::vector<double> measure_steps(const Model& model, int32_t n_past, std::span<const int32_t> n_tokens,
                                  int32_t n_rounds, const std::string& kv = "exact");

/// Measures the keys, queries and values that the model computes for `tokens`, and writes beside its file how to pack
/// them with the least error (`<path>.kv-calibration`). Engines made from then on pack that way, of this model too.
/// @param on_progress sees the fraction done before every layer, from the calling thread; false ends it with kCancelled
/// @throws EngineError kInvalidArgument, kCancelled, kFileUnreadable if the file cannot be written, kModelUnsupported
/// if
///         the device keeps only f16
void calibrate_kv(const Model& model, std::span<const int32_t> tokens,
                  const std::function<bool(float fraction)>& on_progress = {});

/// What a format of keys and values does to a model, beside f16.
struct KvDivergence {
  int64_t n_tokens = 0;  ///< predictions compared
  double mean_kld = 0;   ///< Kullback-Leibler divergence of the next token's distribution, in nats
  double p99_kld = 0;    ///< of 100 predictions 99 diverge less
  double flips = 0;      ///< part of the predictions whose most probable token is another
  double perplexity = 0, perplexity_exact = 0;
  double bits = 0;       ///< per element at the length of a window, all included
  double bits_long = 0;  ///< at 32K positions
};

/// Cuts `tokens` into windows of n_ctx, each computed from an empty cache, and compares after each token of their
/// second halves: what is packed and what is fresh both take part there as in use. Tokens that fill no window are left
/// out.
/// @param formats as of `evaluate_logits`. @return one for each
/// @param on_progress as of calibrate_kv
/// @throws EngineError kInvalidArgument, also if there is no window; kContextFull, kCancelled
std::vector<KvDivergence> measure_kv(const Model& model, std::span<const int32_t> tokens, int32_t n_ctx,
                                     std::span<const std::string> formats,
                                     const std::function<bool(float fraction)>& on_progress = {});

/// The calibration that a check of formats was made with.
enum class KvCalibrationSource {
  kNone,  ///< none
  kKept,  ///< the one beside the model
  kMade,  ///< a new one, as none beside the model fitted it
};
/// Their names, in that order.
inline constexpr const char* kKvCalibrationSourceNames[] = {"none", "kept", "made"};

struct KvCheck {
  KvCalibrationSource calibration = KvCalibrationSource::kNone;
  std::vector<KvDivergence> divergences;  ///< one for each format
};

/// measure_kv with the calibration beside the model, which is used and stays as it is where it fits the model: one that
/// came with it was measured on more text than a check has time for. Only where none fits calibrate_kv makes one first.
/// @param calibration_tokens what that reads; empty: no calibration is made
/// @param goes_on asked before every layer, from the calling thread; false ends it with kCancelled
/// @throws EngineError as calibrate_kv and measure_kv
KvCheck check_kv(const Model& model, std::span<const int32_t> calibration_tokens, std::span<const int32_t> tokens,
                 int32_t n_ctx, std::span<const std::string> formats, const std::function<bool()>& goes_on = {});

/// Bytes that keys and values of one sequence of n_tokens take, all included: packed pages, the latest ones, sinks.
/// @throws EngineError kInvalidArgument
uint64_t kv_sequence_bytes(const Model& model, int32_t n_tokens, const std::string& kv);

}  // namespace outpost
