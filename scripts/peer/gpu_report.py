"""Prints the table of scripts/gpu-peer.sh from the lines that it noted.

    gpu_report.py LINES VERSION

LINES is a file, or - for the standard input; VERSION is that of llama.cpp, for the record.
A line is {"shape", "pair", "program", "gpu", "result"}: a result of `llama-bench -o jsonl`, or of `outpost-engine bench
--json`, whose prompts are as long as the peer's, and clocks and heat of the GPU meanwhile. Of "outpost steps" only the time of
a step counts: its context is another.
Of the peer's settings (flash attention, tokens at once) the one counts whose median over all pairs is best; a ratio is
that of the two measured in the same pair. Lines that are no JSON, as a script that was killed leaves them, count as not
there. Exits with 1 if a pair of either program is missing, or the peer computed without a GPU.
"""

import json
import sys
from statistics import median

SAMPLING = "; ours with sampling, from position "


def peer_measurements(result):
    """Yields what was measured, with which settings, and tokens per second."""
    rate = median(result["samples_ts"])
    # 1 and 0; "auto" is -1.
    setting = "flash attention " + {1: "on", 0: "off"}.get(result["flash_attn"], "auto")
    if result["n_prompt"] > 0:
        yield f"prefill of {result['n_prompt']:,}", f"{setting}, {result['n_ubatch']:,} at once", rate
    else:
        depth = result["n_depth"] + result["n_gen"] // 2  # on average
        yield f"decode at {depth:,}", setting, rate


def our_measurements(result, prefill_sizes):
    """Of single steps, and of whole requests: those sample, which the peer's benchmark does not, and begin near 0."""
    yield f"decode at {result['depth']:,}", "", 1000 / result["stepMs"]["1"]
    yield f"decode at {result['depth']:,}{SAMPLING}{result['decodeStart']}", "", result["decodeTokensPerSecond"]
    for size in prefill_sizes:
        yield f"prefill of {size:,}", "", result["prefillTokensPerSecond"]


def read_entries(lines):
    """Returns what the lines say, and how many say nothing."""
    entries, n_broken = [], 0
    for line in filter(str.strip, lines):
        try:
            entry = json.loads(line)
            entries += [entry] if entry["result"] else []
        except (ValueError, KeyError, TypeError):
            n_broken += 1
    return entries, n_broken


def collect(entries):
    """Returns rates[shape][what][program][setting][pair], in the order of the lines, and a result of the peer's."""
    peers = [entry["result"] for entry in entries if entry["program"] == "llama.cpp"]
    sizes = sorted({result["n_prompt"] for result in peers if result["n_prompt"] > 0})
    rates = {}
    for entry in entries:
        if entry["program"] == "llama.cpp":
            found, program = peer_measurements(entry["result"]), "llama.cpp"
        else:
            found, program = list(our_measurements(entry["result"], sizes)), "outpost"
            if entry["program"] == "outpost steps":
                found = found[:1]
        for what, setting, rate in found:
            of_what = rates.setdefault(entry["shape"], {}).setdefault(what, {})
            of_what.setdefault(program, {}).setdefault(setting, {})[entry["pair"]] = rate
    return rates, peers[0] if peers else {}


def compare(peer, ours):
    """The peer's best setting, both medians, and the ratio of each pair that has both."""
    setting, peer_pairs = max(peer.items(), key=lambda item: median(item[1].values()))
    our_pairs = ours[""]
    ratios = [our_pairs[pair] / rate for pair, rate in sorted(peer_pairs.items()) if pair in our_pairs]
    return setting, median(peer_pairs.values()), median(our_pairs.values()), ratios


def number(rate):
    return f"{rate:,.0f}" if rate >= 1000 else f"{rate:.1f}"


def report(lines, version):
    """Returns the table, and whether every pair was complete."""
    entries, n_broken = read_entries(lines)
    if not entries:
        return "Nothing was measured.", False
    rates, build = collect(entries)
    rows, missing, numbers_of_pairs = [], [], set()
    for shape, measured in rates.items():
        pairs = {pair for of_what in measured.values() for settings in of_what.values()
                 for of_setting in settings.values() for pair in of_setting}
        numbers_of_pairs.add(len(pairs))
        for what, programs in measured.items():
            base = what.split(SAMPLING)[0]
            peer, ours = measured.get(base, {}).get("llama.cpp"), programs.get("outpost")
            if not peer or not ours:
                missing.append(f"{shape}, {what}: nothing of {'llama.cpp' if not peer else 'outpost'}")
                continue
            setting, peer_rate, our_rate, ratios = compare(peer, ours)
            if len(ratios) < len(pairs):
                missing.append(f"{shape}, {what}: {len(ratios)} of {len(pairs)} pairs")
            if not ratios:
                continue
            spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            rows.append((shape, what, number(peer_rate), setting, number(our_rate), spread))
    if build and not build["gpu_info"]:
        missing.append("llama.cpp found no GPU")
    text = [f"llama.cpp {version} on {build.get('gpu_info') or 'no GPU'}; tokens per second, "
            f"medians of {' or '.join(map(str, sorted(numbers_of_pairs)))} pairs.", "",
            "| model | | llama.cpp | its best setting | Outpost | ratio (of the pairs) |",
            "| --- | --- | ---: | --- | ---: | --- |"]
    text += ["| " + " | ".join(row) + " |" for row in rows]
    text += [""] * bool(missing) + [f"Not measured: {line}." for line in missing]
    states = sorted({f"{entry['program'].split()[0]}: {entry['gpu']}" for entry in entries if entry.get("gpu")})
    text += ["", "The GPU meanwhile:", *(f"- {state}" for state in states)] if states else []
    text += ["", f"{n_broken} lines were broken and do not count."] if n_broken else []
    return "\n".join(text), bool(rows) and not missing


if __name__ == "__main__":
    path, llama_version = sys.argv[1:]
    with sys.stdin if path == "-" else open(path, encoding="utf-8") as file:
        table, is_complete = report(file, llama_version)
    print(table)
    sys.exit(0 if is_complete else 1)
