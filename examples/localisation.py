# %% [markdown]
# # What, and where
#
# Each generated image shows one disc, square or cross. A net with two heads tells which it is, and the box around it.

# %%
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import fastnet
from fastnet import models

IMAGES, EPOCHS = 1500, 10
CLASSES, SIDE = ("disc", "square", "cross"), 48


def scenes(count, seed):
    """Images (N, 3, SIDE, SIDE), classes (N,), and boxes (N, 4): left, top, right and bottom as parts of a side."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    images = rng.normal(0, 0.1, (count, 3, SIDE, SIDE)).astype(np.float32)
    labels, boxes = rng.integers(0, 3, count), np.empty((count, 4), np.float32)
    for image, label, box in zip(images, labels, boxes, strict=True):
        half = rng.uniform(8, 14)
        cx, cy = rng.uniform(half, SIDE - half, 2)
        u, v = (x - cx) / half, (y - cy) / half
        inside = [u * u + v * v < 1, np.maximum(abs(u), abs(v)) < 1,
                  (np.minimum(abs(u), abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 1)][label]
        image[:, inside] += rng.choice([-1, 1]) * rng.uniform(0.5, 1.5, (3, 1)).astype(np.float32)
        box[:] = np.array([cx - half, cy - half, cx + half, cy + half]) / SIDE
    return images, {"class": labels, "box": boxes}


def overlap(a, b):
    """Intersection over union of boxes (N, 4)."""
    width = (np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])).clip(0)
    height = (np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])).clip(0)
    areas = sum((box[:, 2] - box[:, 0]).clip(0) * (box[:, 3] - box[:, 1]).clip(0) for box in (a, b))
    return width * height / (areas - width * height)


(images, truth), (test_images, test_truth) = scenes(IMAGES, seed=0), scenes(IMAGES // 4, seed=1)

# %% [markdown]
# ## One loss for both heads
#
# The net gives a dictionary, and so do the targets; each head has a loss of its own, and the weight says how much the
# box counts beside the class.

# %%
fastnet.manual_seed(0)
net = models.class_and_box(num_classes=3, width=0.25)
loss = fastnet.WeightedSum({"class": fastnet.CrossEntropyLoss(), "box": fastnet.SmoothL1Loss(beta=0.1)},
                           {"class": 1, "box": 1})
optimizer, rng = fastnet.Adam(net.parameters(), 1e-3), np.random.default_rng(0)
for epoch in range(EPOCHS):
    optimizer.lr = 1e-3 * (1 - epoch / EPOCHS)      # small steps at the end, for the boxes
    order, total = rng.permutation(IMAGES), 0.0
    for chosen in np.array_split(order, max(1, IMAGES // 30)):
        y = net.forward(images[chosen], training=True)
        value, dy = loss(y, {head: target[chosen] for head, target in truth.items()})
        net.backward(dy, need_dx=False)
        optimizer.step()
        total += value * len(chosen)
    print(f"epoch {epoch + 1}: loss {total / IMAGES:.3f}")

# %%
y = net(test_images)
found, boxes = y["class"].argmax(axis=1), y["box"]
overlaps = overlap(boxes, test_truth["box"])
print(f"test images: classes {(found == test_truth['class']).mean():.3f} right, boxes overlap by {overlaps.mean():.3f}")

# %% [markdown]
# ## Some of them: the true box in white, the net's in red

# %%
figure = Figure(figsize=(9, 4.5), layout="constrained")
for i, ax in enumerate(figure.subplots(2, 5).flat):
    ax.imshow(((test_images[i].transpose(1, 2, 0) + 2) / 4).clip(0, 1))
    for (left, top, right, bottom), colour in ((test_truth["box"][i] * SIDE, "white"), (boxes[i] * SIDE, "red")):
        ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=2))
    ax.set_title(CLASSES[found[i]])
    ax.set_axis_off()
figure.savefig("localisation.png")
