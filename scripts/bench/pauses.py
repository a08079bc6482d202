"""Reports from the journal of a run how long each checkpoint blocked training and how long writing it took.

    python3 scripts/bench/pauses.py runs/NAME
"""

import json
import pathlib
import statistics
import sys

with open(pathlib.Path(sys.argv[1]) / "events.jsonl") as journal:
    saved = [json.loads(line) for line in journal if '"event":"checkpoint_saved"' in line]
if not saved:
    sys.exit(f"{sys.argv[1]}: no checkpoint in the journal")
for what, key in (("training blocked", "pause_ms"), ("background write", "write_ms")):
    times = [record[key] for record in saved]
    print(f"{what:20}  median {statistics.median(times):8.1f} ms  worst {max(times):8.1f} ms  of {len(times)} checkpoints, "
          f"{saved[-1]['bytes'] / 1e6:.1f} MB each")
