"""Writes a simulated stream to files: `python -m sim --seed 1 --days 0.2 --out out/sim`."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

from features.times import parse_time
from sim.chain import Chain
from sim.wire import TOPICS


def main() -> None:
    parser = _parser()
    args = parser.parse_args()
    try:
        chain = Chain(args.seed, args.stores, args.customers, args.days, args.start)
        write(chain, args.out)
    except OSError as error:
        parser.error(f"--out: {args.out} cannot be written: {error.strerror}")
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    print(f"{sum(chain.truth.sent.values())} records without ticks, in {args.out}")


def write(chain: Chain, out: Path) -> None:
    """Writes `stores.csv`, the topics and, from what was sent, `truth.json`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "stores.csv").write_text(chain.stores_csv(), "utf-8")
    with ExitStack() as opened:
        # key, tab, the bytes as sent: what `kcat -P -K '\t' -l` reads; no key or value holds a tab or a line end
        files = {topic: opened.enter_context(open(out / f"{topic}.tsv", "wb")) for topic in TOPICS}
        for record in chain.records():
            files[record.topic].write(b"%s\t%s\n" % (record.key.encode(), record.value))
    chain.truth.write(out / "truth.json")


def _start_ms(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sim",
        description="Writes a simulated bubble-tea chain: <topic>.tsv (key, tab, value), stores.csv and truth.json.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes")
    parser.add_argument("--stores", type=int, default=24, help="number of stores")
    parser.add_argument("--customers", type=int, default=3_000, help="number of members")
    parser.add_argument("--days", type=float, default=5.0, help="length of the run")
    parser.add_argument("--start", type=_start_ms, default="2026-05-04T00:00:00+08:00", help="RFC 3339")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    return parser


if __name__ == "__main__":
    main()
