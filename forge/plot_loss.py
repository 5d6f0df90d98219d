"""loss.csv of train.py -> an SVG picture: python3 forge/plot_loss.py LOSS.csv [MORE.csv ...] --out FILE.svg"""
import argparse
import csv
import math
import os

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 420, 60, 50, 20
COLOURS = ("#1f6feb", "#d4572a", "#2da44e", "#8250df")


def read(path):
    """[(tokens, loss)], the losses smoothed"""
    with open(path, newline="") as file:
        rows = [(int(row["tokens"]), float(row["loss"])) for row in csv.DictReader(file)]
    rows = [row for row in rows if math.isfinite(row[1])]
    if not rows:
        raise SystemExit(f"{path} holds no losses.")
    mean, out = rows[0][1], []
    for tokens, loss in rows:
        mean += 0.05 * (loss - mean)
        out.append((tokens, mean))
    return out


def plot(curves):
    """curves: {name: [(tokens, loss)]} @return SVG"""
    most_tokens = max(tokens for curve in curves.values() for tokens, _ in curve)
    losses = [loss for curve in curves.values() for _, loss in curve]
    low, high = math.floor(min(losses) * 2) / 2, math.ceil(max(losses) * 2) / 2 + 1e-9
    x = lambda tokens: LEFT + (WIDTH - LEFT - 20) * tokens / most_tokens
    y = lambda loss: TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low)
    style = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"'
    parts = [f'<svg {style} viewBox="0 0 {WIDTH} {HEIGHT}">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for i in range(6):
        loss, tokens = low + (high - low) * i / 5, most_tokens * i / 5
        parts.append(f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - 20}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:.1f}</text>')
        place = f'x="{x(tokens):.1f}" y="{HEIGHT - BOTTOM + 18}"'
        parts.append(f'<text {place} text-anchor="middle">{tokens / 1e6:.3g}</text>')
    place = f'x="{WIDTH / 2}" y="{HEIGHT - 12}"'
    parts.append(f'<text {place} text-anchor="middle">million tokens; loss in nats per token</text>')
    for i, (name, curve) in enumerate(curves.items()):
        points = " ".join(f"{x(tokens):.1f},{y(loss):.1f}" for tokens, loss in curve)
        colour = COLOURS[i % len(COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{WIDTH - 30}" y="{TOP + 16 + 16 * i}" text-anchor="end" fill="{colour}">{name}</text>')
    return "\n".join(parts) + "\n</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    curves = {os.path.basename(path).removesuffix(".csv").removesuffix("-loss"): read(path) for path in arguments.files}
    with open(arguments.out, "w") as file:
        file.write(plot(curves))


if __name__ == "__main__":
    main()
