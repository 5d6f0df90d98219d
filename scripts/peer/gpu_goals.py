"""Prints a table of what a GPU reached, beside the goals, from the logs of scripts/gpu-check.sh.

    gpu_goals.py SPEED BENCH MODELS KERNELS

Each is a file, which may be empty: what was not measured is said to be so. Where a figure was measured several times the last
one counts. Operations of a prompt are a multiplication and an addition for each weight of a layer and token; those of attention
and of the head are not counted, so that the share is rather too small.
"""

import re
import sys

MISSING = "not measured"


def last(pattern, text):
    """The groups of the last match, or nothing."""
    found = list(re.finditer(pattern, text, re.MULTILINE))
    return found[-1].groups() if found else None


def section(speed, name):
    """What the bench printed last for a model."""
    parts = re.split(r"^-- ", speed, flags=re.MULTILINE)
    return next((part for part in reversed(parts) if part.startswith(name + "\n") and "decode " in part), "")


def speed_rows(speed, rate):
    for shape, goal in (("8b-q4_K", 75), ("8b-q8_0", 75), ("1b-q4_K", 50), ("1b-q8_0", 50)):
        text = section(speed, shape)
        decode = last(r"^decode +([\d.]+) tok/s .*?([\d.]+) % of the ([\d.]+) GB/s", text)
        yield (f"decode of {shape}, of a copy's bandwidth", f"≥ {goal} %",
               decode and f"{decode[1]} % ({decode[0]} tok/s; a copy: {decode[2]} GB/s)")
        eight = last(r"8 take ([\d.]+) x as long as 1", text)
        yield f"8 tokens of {shape} against 1", "≤ 1.2 x", eight and f"{eight[0]} x"
        prefill = last(r"^prefill +([\d.]+) tok/s +\((\d+) tokens; .* ([\d.]+) TFLOP/s", text)
        share = prefill and rate and f", {100 * float(prefill[2]) / rate:.0f} % of {rate:.0f}"
        yield (f"prefill of {prefill[1] if prefill else '2048'} tokens of {shape}, of the bf16 matrix rate", "≥ 50 %" if shape == "8b-q4_K" else "",
               prefill and f"{prefill[2]} TFLOP/s{share or ''} ({prefill[0]} tok/s)")


def rows(speed, bench, models, kernels):
    found = last(r"([\d.]+) TFLOP/s of bf16 products alone", bench)
    yield from speed_rows(speed, float(found[0]) if found else 0)
    attention = last(r"^codes +1 tokens at +32768.* layers as .*compact: ([\d.]+) x", bench)
    yield "attention at 32,768, compact against f16", "≥ 1.7 x", attention and f"{attention[0]} x"
    steps = [last(r"1: ([\d.]+) ms", section(speed, f"8b-q4_K, at 32768 positions, --kv {kv}")) for kv in ("exact", "compact")]
    yield ("a token of 8b-q4_K at 32,768, compact against f16", "",
           all(steps) and float(steps[1][0]) > 0 and f"{float(steps[0][0]) / float(steps[1][0]):.2f} x")
    # Of a model or a kernel the last line counts, so that another run may mend what failed.
    by_name = {name: state for state, name in re.findall(r"^(ok|FAILED|HUNG|LEFT) +([^\s:]+)", models, re.MULTILINE)}
    by_name = {name.rsplit("/")[-1]: state for name, state in by_name.items()}
    n_good = sum(state == "ok" for state in by_name.values())
    yield "models as on the CPU", "all", by_name and f"{n_good} of {len(by_name)}"
    # Names may have spaces.
    cases = dict(re.findall(r"^(\S.*?) +((?:\[doctest\] test cases:|did not end).*)$", kernels, re.MULTILINE))
    n_good = sum(bool(re.search(r"\| *0 failed", line)) for line in cases.values())
    yield "kernels as their definitions", "all", cases and f"{n_good} of {len(cases)}"


if __name__ == "__main__":
    texts = []
    for path in sys.argv[1:5]:
        with open(path, encoding="utf-8", errors="replace") as file:
            texts.append(file.read())
    print("| | goal | reached |\n| --- | --- | --- |")
    for what, goal, reached in rows(*texts):
        print(f"| {what} | {goal} | {reached or MISSING} |")
