"""Do our claims hold where the truth is known? Writes benchmarks/truth.json.

    python benchmarks/truth.py                        # all parts
    python benchmarks/truth.py claims --reps 100      # one part; the others keep their figures

claims: intervals of the accuracy and verdicts on sizes; calibration: what is said of probabilities; bursts:
the accuracy with frames of one animal on both sides of the split, and kept together; marks: overfitting seen
where there is none; cleaned: the level of a cleaned study.
"""
import argparse
import json
import time
from pathlib import Path

import truth_bursts
import truth_calibration
import truth_claims
import truth_cleaned
import truth_marks

from imgcls.studies.runs import machine, versions

FILE = Path(__file__).with_name('truth.json')
PARTS = dict(claims=truth_claims.run, calibration=truth_calibration.run, bursts=truth_bursts.run,
             marks=truth_marks.run, cleaned=truth_cleaned.run)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('parts', nargs='*', metavar='PART', help=f"{', '.join(PARTS)} (default: all)")
    p.add_argument('--reps', type=int, default=400, help='how often each is simulated (default: 400)')
    p.add_argument('--seed', type=int, default=0)
    args = p.parse_args()
    if wrong := set(args.parts) - set(PARTS): p.error(f"no part {', '.join(wrong)}; take {', '.join(PARTS)}")
    for name in args.parts or PARTS:
        start = time.perf_counter()
        found = PARTS[name](args.reps, args.seed)
        about = dict(machine=machine(), versions=versions(), seconds=round(time.perf_counter()-start))
        made = json.loads(FILE.read_text()) if FILE.exists() else {}  # another part may have come meanwhile
        made[name] = about | found
        FILE.write_text(json.dumps(made, indent=1) + '\n')
        print(f"{name}: {made[name]['seconds']} s, in {FILE}")


if __name__ == '__main__': main()
