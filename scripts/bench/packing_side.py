"""The Python side of packing.py: makes the JPEG files, and measures DataLoader, Pillow and simplejpeg in images/s."""

import pathlib
import random
import sys
import time


def make(folder, count):
    """JPEG files of 500x375 pixels in ten classes, unless they exist."""
    import numpy
    from PIL import Image, ImageDraw
    folder = pathlib.Path(folder)
    if len(list(folder.glob("*/*.jpg"))) == count:
        return 0
    chance = random.Random(1)
    noise = numpy.random.default_rng(1)
    for number in range(count):
        path = folder / f"class{number % 10}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = noise.integers(0, 256, (12, 16, 3), dtype=numpy.uint8)
        image = Image.fromarray(small).resize((500, 375), Image.BICUBIC)
        draw = ImageDraw.Draw(image)
        for _ in range(6):
            x, y = chance.randrange(400), chance.randrange(300)
            draw.ellipse((x, y, x + chance.randrange(20, 200), y + chance.randrange(20, 150)),
                         fill=tuple(chance.randrange(256) for _ in range(3)))
        grain = noise.normal(0, 8, (375, 500, 1))
        pixels = numpy.clip(numpy.asarray(image) + grain, 0, 255).astype(numpy.uint8)
        Image.fromarray(pixels).save(path, quality=90)
    return count


def loader(folder, workers):
    """DataLoader as its users write it; the first batch, which starts the workers, is not counted."""
    import torch
    from torchvision import datasets, transforms
    transform = transforms.Compose([transforms.Resize((224, 224)), transforms.PILToTensor()])
    data = datasets.ImageFolder(folder, transform)
    loading = torch.utils.data.DataLoader(data, batch_size=256, num_workers=workers)
    batches = iter(loading)
    next(batches)
    start, images = time.monotonic(), 0
    for pixels, _ in batches:
        images += len(pixels)
    return images / (time.monotonic() - start)


def timed(folder, count, each):
    files = sorted(pathlib.Path(folder).glob("*/*.jpg"))[:count]
    start = time.monotonic()
    for path in files:
        each(path)
    return len(files) / (time.monotonic() - start)


def pillow(folder, count):
    from PIL import Image
    return timed(folder, count, lambda path: Image.open(path).convert("RGB").resize((224, 224), Image.BILINEAR).tobytes())


def simplejpeg(folder, count):
    import simplejpeg
    return timed(folder, count, lambda path: simplejpeg.decode_jpeg(path.read_bytes()))


if __name__ == "__main__":
    part, folder, number = sys.argv[1:]
    print({"make": make, "loader": loader, "pillow": pillow, "simplejpeg": simplejpeg}[part](folder, int(number)))
