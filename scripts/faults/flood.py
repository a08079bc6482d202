"""Speed of a training while its own clients flood it, beside the same training without them.

    python3 scripts/faults/flood.py --binary BEFORE --binary AFTER --data DIR [--rounds 5]

For each binary, quiet and flooded stretches of one training alternate; printed are the medians of the steps per second, and
the growth of the journal. Kinds of flood: queries (each client asks for a whole curve as fast as it gets replies), requests,
connections (connect, hello, disconnect), silent (connections without a hello).
"""

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

CLIENTS = 16
HELLO, REQUEST, QUERY = 1, 5, 6


def frame(kind, body):
    data = json.dumps(body).encode()
    return struct.pack("<IB", len(data) + 1, kind) + data


def hello(role):
    body = {"magic": "epochtop", "major": 3, "minor": 0, "epochtop": "flood", "role": role, "who": "flood"}
    return frame(HELLO, body)


def connect(path, role):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(path)
    if role:
        client.sendall(hello(role))
    return client


def drain(client, stop):
    try:
        while not stop.is_set() and client.recv(1 << 16):
            pass
    except OSError:
        pass


def queries(path, stop):
    client = connect(path, "watcher")
    threading.Thread(target=drain, args=(client, stop), daemon=True).start()
    ask = {"series": {"curve": "train_loss", "from": 0, "to": 1 << 60, "points": 10000}}
    message = b"".join(frame(QUERY, [i, ask]) for i in range(50))
    send_all(client, message, stop)


def requests(path, stop):
    client = connect(path, "asker")
    threading.Thread(target=drain, args=(client, stop), daemon=True).start()
    start = int.from_bytes(os.urandom(5), "little") << 20
    n = 0
    while not stop.is_set():
        n += 100
        batch = [frame(REQUEST, {"id": start + n + i, "command": {"set_learning_rate": {"lr": 1e-3}}}) for i in range(100)]
        if not send_all(client, b"".join(batch), stop, once=True):
            client = connect(path, "asker")
            threading.Thread(target=drain, args=(client, stop), daemon=True).start()


def send_all(client, message, stop, once=False):
    while not stop.is_set():
        try:
            client.sendall(message)
        except TimeoutError:
            return False
        except OSError:
            return False
        if once:
            return True
    return True


def connections(path, stop):
    while not stop.is_set():
        try:
            client = connect(path, "watcher")
            client.recv(1 << 16)
            client.close()
        except OSError:
            time.sleep(0.01)


def silent(path, stop):
    while not stop.is_set():
        try:
            held = [connect(path, None) for _ in range(8)]
            held.clear()
        except OSError:
            time.sleep(0.01)


FLOODS = {"queries": queries, "requests": requests, "connections": connections, "silent": silent}


def last_step(journal):
    with open(journal, "rb") as file:
        file.seek(max(0, os.path.getsize(journal) - (1 << 16)))
        for line in reversed(file.read().split(b"\n")):
            if b'"event":"steps"' in line[:200]:
                return json.loads(line)["global_step"]
    return 0


def speed(journal, seconds):
    """Steps per second over `seconds`, from the journal's own step numbers."""
    (first, began), size = (last_step(journal), time.monotonic()), os.path.getsize(journal)
    time.sleep(seconds)
    steps = last_step(journal) - first
    return steps / (time.monotonic() - began), os.path.getsize(journal) - size


def measure(binary, data, kind, rounds, seconds):
    with tempfile.TemporaryDirectory() as place:
        sockets = Path(place, "s")
        sockets.mkdir(mode=0o700)
        env = dict(os.environ, EPOCHTOP_SOCKET_DIR=str(sockets), XDG_CONFIG_HOME=place)
        sets = [f"data.dir={data}", "train.epochs=100000", "model.channels=[8,16]", "train.batch_size=32"]
        words = [binary, "train", "--headless", "--name", "flood", "--runs", place]
        trainer = subprocess.Popen(
            words + [word for value in sets for word in ("--set", value)],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        run = Path(place, "flood")
        try:
            while not (run / "events.jsonl").exists() or last_step(run / "events.jsonl") < 100:
                time.sleep(0.2)
                assert trainer.poll() is None, "the training ended"
            path = str(next(sockets.glob("**/*.sock")))
            quiet, flooded, growth = [], [], []
            for _ in range(rounds):
                quiet.append(speed(run / "events.jsonl", seconds)[0])
                flood = subprocess.Popen(["python3", __file__, "--flood", kind, "--socket", path])
                time.sleep(1)
                steps, bytes_grown = speed(run / "events.jsonl", seconds)
                flooded.append(steps)
                growth.append(bytes_grown)
                flood.kill()
                flood.wait()
                time.sleep(2)
        finally:
            trainer.kill()
            trainer.wait()
    a, b = statistics.median(quiet), statistics.median(flooded)
    grown = statistics.median(growth) / seconds / 1e3
    print(f"{kind:12} {binary}: {a:6.1f} steps/s, flooded {b:6.1f} ({b / a:.0%}), journal {grown:.1f} kB/s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", action="append", default=[])
    parser.add_argument("--data", default="data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--kind", action="append", choices=FLOODS)
    parser.add_argument("--flood", choices=FLOODS, help=argparse.SUPPRESS)
    parser.add_argument("--socket", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.flood:
        stop = threading.Event()
        for _ in range(CLIENTS):
            threading.Thread(target=FLOODS[args.flood], args=(args.socket, stop), daemon=True).start()
        time.sleep(3600)
    for kind in args.kind or FLOODS:
        for binary in args.binary:
            measure(binary, args.data, kind, args.rounds, args.seconds)


if __name__ == "__main__":
    main()
