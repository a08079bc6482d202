"""Checks that the same images give the same fingerprint and weights from every format, written by the real libraries.

    python3 scripts/check_sources.py [--binary PATH]    (make test-python)

Sets up its own environment with NumPy, Pillow and pyarrow. Makes 400 training and 100 test images of 32x32 pixels in ten
classes and writes them as image folder, CSV list, CIFAR-10 binary, CIFAR-10 pickles, .npz, Parquet and IDX. Each is
checked with `data check` and trained for two epochs. Prints a table; fails if a fingerprint or the weights differ.
"""

import argparse
import hashlib
import pathlib
import subprocess
import sys
import tempfile

PACKAGES = ["numpy", "pillow", "pyarrow"]
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
HERE = pathlib.Path(__file__).resolve().parent


def make(out):
    """Writes all formats below `out`; runs in the environment with the libraries."""
    import io
    import json
    import pickle

    import numpy
    import pyarrow
    import pyarrow.parquet
    from PIL import Image

    chance = numpy.random.default_rng(5)
    splits = {}
    for split, count in ("train", 40), ("test", 10):
        labels = numpy.repeat(numpy.arange(10), count)
        images = chance.integers(0, 80, (len(labels), 32, 32, 3), dtype=numpy.uint8)
        for image, label in zip(images, labels):
            image[:, label * 3:label * 3 + 3, label % 3] += 150
        splits[split] = images, labels

    def png(image):
        data = io.BytesIO()
        Image.fromarray(image).save(data, "PNG")
        return data.getvalue()

    def folder(name):
        path = out / name
        path.mkdir(parents=True)
        return path

    photos, listed, rows = folder("folder"), folder("csv"), ["path,label,split"]
    binary, pickles, arrays = folder("cifar-binary"), folder("cifar-pickles"), folder("npz")
    tables, idx = folder("parquet") / "data", folder("idx")
    tables.mkdir()
    npz = {}
    for split, (images, labels) in splits.items():
        for number, (image, label) in enumerate(zip(images, labels)):
            of_class = photos / split / CLASSES[label]
            of_class.mkdir(parents=True, exist_ok=True)
            (of_class / f"{number:04}.png").write_bytes(png(image))
            (listed / f"{split}-{number:04}.png").write_bytes(png(image))
            rows.append(f"{split}-{number:04}.png,{CLASSES[label]},{split}")
        planar = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        batches = [(f"data_batch_{number + 1}", part) for number, part in
                   enumerate(numpy.array_split(numpy.arange(len(labels)), 5))] if split == "train" else \
            [("test_batch", numpy.arange(len(labels)))]
        for name, part in batches:
            records = numpy.concatenate([labels[part, None].astype(numpy.uint8), planar[part]], axis=1)
            (binary / f"{name}.bin").write_bytes(records.tobytes())
            content = {b"batch_label": name.encode(), b"labels": labels[part].tolist(), b"data": planar[part],
                       b"filenames": [b"%d.png" % number for number in part]}
            (pickles / name).write_bytes(pickle.dumps(content, protocol=2))
        npz[f"{split}_images"], npz[f"{split}_labels"] = images, labels[:, None].astype(numpy.uint8)
        column = pyarrow.array([{"bytes": png(image), "path": None} for image in images],
                               pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]))
        features = {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": CLASSES, "_type": "ClassLabel"}}}}
        table = pyarrow.table({"image": column, "label": pyarrow.array(labels, pyarrow.int64())})
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
        shards = 2 if split == "train" else 1
        for shard in range(shards):
            size = len(table) // shards
            pyarrow.parquet.write_table(table.slice(shard * size, size),
                                        tables / f"{split}-{shard:05}-of-{shards:05}.parquet", row_group_size=64)
        prefix = "train" if split == "train" else "t10k"
        header = lambda *dims: bytes([0, 0, 8, len(dims)]) + b"".join(dim.to_bytes(4, "big") for dim in dims)
        (idx / f"{prefix}-images-idx3-ubyte").write_bytes(header(len(images), 3, 32, 32) + planar.tobytes())
        (idx / f"{prefix}-labels-idx1-ubyte").write_bytes(header(len(labels)) + labels.astype(numpy.uint8).tobytes())
    (listed / "list.csv").write_text("\n".join(rows) + "\n")
    (binary / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    meta = {b"label_names": [name.encode() for name in CLASSES], b"num_cases_per_batch": 80, b"num_vis": 3072}
    (pickles / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    numpy.savez_compressed(arrays / "sample.npz", **npz)
    for path in arrays, idx:
        (path / "classes.txt").write_text("\n".join(CLASSES) + "\n")


def run(*command):
    """The output of a command, which must succeed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(HERE.parent / "target" / "release" / "epochtop"))
    parser.add_argument("--make", type=pathlib.Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        return make(args.make)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        run(sys.executable, "-m", "venv", place / "venv")
        python = place / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", *PACKAGES)
        run(python, "-B", __file__, "--make", place / "data")
        found = set()
        print(f"{'format':<16} {'fingerprint':<18} {'model.safetensors':<18} recognised as")
        for data in sorted((place / "data").iterdir()):
            sets = ["--set", f"data.cache_dir={place / 'cache'}", "--set", "data.valid=50", "--set", "data.name=sample"]
            checked = run(args.binary, "data", "check", data, *sets)
            fingerprint = checked.split("fingerprint ")[1].split()[0]
            run(args.binary, "train", "--headless", "--data", data, "--runs", place / "runs", "--name", data.name, *sets,
                "--set", "train.epochs=2", "--set", "train.batch_size=32", "--set", "model.channels=[8,16]",
                "--set", "train.threads=1")
            checkpoints = place / "runs" / data.name / "checkpoints"
            model = checkpoints / (checkpoints / "LATEST").read_text().strip() / "model.safetensors"
            weights = hashlib.sha256(model.read_bytes()).hexdigest()[:16]
            found.add((fingerprint, weights))
            print(f"{data.name:<16} {fingerprint:<18} {weights:<18} {checked.splitlines()[1].strip()}")
        if len(found) != 1:
            sys.exit("error: fingerprints or weights differ")


if __name__ == "__main__":
    main()
