// outpost-engine: the engine without the app. Exit codes: 0 done, 1 failed (one sentence on stderr), 2 usage.
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "cli/command.h"
#include "cli/startup.h"

namespace {

using outpost::cli::Command;

constexpr Command kCommands[] = {
    {"run",
     "MODEL -p PROMPT [-n N] [--begin-with TEXT] [--temp T] [--top-k K] [--top-p P] [--min-p P] [--repeat-penalty R] "
     "[--seed S] [--ctx N] [--device D[,D...]] [--device-layers L] [--threads N] [--kernels K] [--expert-cache MIB] "
     "[--device-experts MIB]",
     "generate text; without --ctx a GPU gets room for what the prompt and its reply of N tokens need",
     outpost::cli::run_run},
    {"perplexity",
     "MODEL TEXTFILE [--ctx N] [--chunks N | --whole] [--device D[,D...]] [--device-layers L] [--threads N] "
     "[--kernels K] [--expert-cache MIB] [--device-experts MIB]",
     "perplexity of a text", outpost::cli::run_perplexity},
    {"kld",
     "MODEL TEXTFILE [--kv LIST] [--ctx N] [--chunks N] [--json] [--threads N] [--kernels K] [--expert-cache MIB]",
     "what formats of keys and values do to the next token's distribution, beside f16; LIST: exact, safe, compact,\n"
     "              max, bits such as k4v3, or k4v2/0-3:k3v2 with others for some layers; q4_0 for llama.cpp's;\n"
     "              compact-plain: without the model's calibration",
     outpost::cli::run_kld},
    {"calibrate", "MODEL TEXTFILE [--tokens N] [--threads N] [--kernels K] [--expert-cache MIB]",
     "measure how this model's keys and values are best packed, and write it beside the model",
     outpost::cli::run_calibrate},
    {"bench",
     "MODEL [--prefill N] [--decode N] [--depth N] [--kv FORMAT] [--reps N] [--json] [--device D[,D...]] "
     "[--device-layers L] [--threads N] [--kernels K] [--expert-cache MIB] "
     "[--device-experts MIB]",
     "load time and tokens per second; --kv: of keys and values in the steps at depth", outpost::cli::run_bench},
    {"replay", "MODEL [--limit N] [--draft N] [--draft-model FILE] [--plain N] [--threads N] [--kernels K]",
     "what recorded edits cost with the original as a draft: JSON lines with \"before\" and \"after\" on stdin, one "
     "JSON\n"
     "              object per edit out; --plain: tokens of each that are decoded without a draft",
     outpost::cli::run_replay},
    {"logits",
     "MODEL [--top K] [--all] [--last N] [--chunk N] [--device D[,D...]] [--device-layers L] [--threads N] "
     "[--kernels K] [--expert-cache MIB] [--device-experts MIB]",
     "next-token probabilities: one JSON array of token ids per line of stdin, one JSON object per line out; --all: "
     "log-probabilities of all ids, --last: after each of the last N tokens",
     outpost::cli::run_logits},
    {"devices", "", "what can compute here: ids for --device, names and memory", outpost::cli::run_devices},
    {"inspect", "MODEL [--json]", "metadata and tensors of a GGUF file", outpost::cli::run_inspect},
    {"quantize", "IN.gguf OUT.gguf TYPE [--embedding TYPE] [--output TYPE] [--threads N] [--force]",
     "another type for the weights: f16, bf16, q4_0 to q8_0, q2_K to q6_K, iq4_nl, iq4_xs, mxfp4, tq1_0, tq2_0.\n"
     "              Vectors, norms, routers (ffn_gate_inp) and position embeddings stay as they are. Where rows are\n"
     "              no whole number of blocks of 256, a type with blocks of 32 takes its place (q2_K, q3_K, iq4_xs:\n"
     "              iq4_nl; q4_K: q5_0; q5_K: q5_1; q6_K: q8_0; tq1_0, tq2_0: q4_0), or else f16. --embedding is for\n"
     "              token_embd.weight, --output for output.weight; --force overwrites OUT.gguf",
     outpost::cli::run_quantize},
    {"tokenize",
     "MODEL [--text T | --file F] [--no-bos] [--add-eos] [--parse-special] [--json | --ids | --pieces | --batch]",
     "token ids of a text, by default of stdin, as a JSON array; a batch is texts behind lines with their sizes",
     outpost::cli::run_tokenize},
    {"train-tokenizer",
     "FOLDER --out FILE.gguf [--json FILE.json] [--vocabulary N] [--subwords N] [--max-token-bytes N] [--max-words N] "
     "[--min-count N] [--min-sources N] [--source-depth N] [--memory-mib N] [--threads N]",
     "learn a vocabulary from all files of a folder", outpost::cli::run_train_tokenizer},
};

constexpr const char* kDevices =
    "D: cpu, a GPU as `devices` names it, or GPUs with commas between, in the order of the layers that they compute.\n"
    "L: how many of the last layers they compute, the processor those before: all (of several GPUs each a part by its\n"
    "   free memory), fit (as many as each has room for), or a number for each, such as 12,20. Without it: all.\n";

void print_usage(std::FILE* out) {
  std::fputs("usage: outpost-engine COMMAND ...\n\n", out);
  for (const Command& command : kCommands) {
    std::fprintf(out, "  %-11s %s\n              %s\n", command.name, command.summary, command.usage);
  }
  std::fprintf(out, "\n%s", kDevices);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words = outpost::cli::start_program(argc, argv);
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    print_usage(words.empty() ? stderr : stdout);
    return words.empty() ? 2 : 0;
  }
  // Warnings of the library go where a person sees them and a pipe does not.
  outpost::set_log_sink([](outpost::LogLevel, std::string_view message) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
  });
  for (const Command& command : kCommands) {
    if (words[0] != command.name) continue;
    if (words.size() == 2 && (words[1] == "--help" || words[1] == "-h")) {
      const bool has_device = std::strstr(command.usage, "--device") != nullptr;
      std::printf("usage: outpost-engine %s %s\n%s\n%s", command.name, command.usage, command.summary,
                  has_device ? kDevices : "");
      return 0;
    }
    try {
      return command.run({words.begin() + 1, words.end()});
    } catch (const outpost::cli::UsageError& error) {
      std::fprintf(stderr, "outpost-engine %s: %s\nusage: outpost-engine %s %s\n", command.name, error.what(),
                   command.name, command.usage);
      return 2;
    } catch (const outpost::EngineError& error) {
      std::fprintf(stderr, "%s [%s]\n", error.what(), outpost::error_code_name(error.code()));
    } catch (const std::bad_alloc&) {
      std::fprintf(stderr, "Out of memory.\n");
    } catch (const std::exception& error) {
      std::fprintf(stderr, "Internal error: %s\n", error.what());
    }
    return 1;
  }
  std::fprintf(stderr, "outpost-engine: there is no command \"%s\"\n", words[0].c_str());
  print_usage(stderr);
  return 2;
}
