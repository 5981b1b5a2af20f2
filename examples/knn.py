# %% [markdown]
# # Nearest neighbours
# The simplest classifier of images keeps all training images, and gives a new one the class that most of the k most
# similar ones have. Similar means here: a small sum of squared differences, pixel by pixel. What k is best is found by
# cross-validation: the training images are cut into five parts, and each part is judged by the other four.
#
# CIFAR-10 is read from the folder that FASTNET_DATA names; without it, generated images take its place.

# %%
import os

import numpy as np
from matplotlib import pyplot
from sklearn.model_selection import GridSearchCV

from fastnet import data
from fastnet.estimators import KNeighborsClassifier

TRAIN, TEST = 5000, 500
KS = [1, 3, 5, 8, 10, 20, 50]

train, test = data.cifar10(download=False) if os.environ.get("FASTNET_DATA") else data.synthetic(TRAIN, TEST)
train, test = train[:TRAIN], test[:TEST]
rows, test_rows = train.images.reshape(len(train), -1), test.images.reshape(len(test), -1)
print(f"{len(train):,} images to compare with, {len(test):,} to test: {train.source}")

# %%
search = GridSearchCV(KNeighborsClassifier(metric="l2"), {"n_neighbors": KS}, cv=5).fit(rows, train.labels)
folds = np.stack([search.cv_results_[f"split{i}_test_score"] for i in range(5)])
for k, accuracies in zip(KS, folds.T, strict=True):
    print(f"k = {k:2}: {accuracies.mean():.1%} of the held-out images right, from {accuracies.min():.1%} to "
          f"{accuracies.max():.1%}")
best = search.best_estimator_
print(f"with k = {best.n_neighbors}: {best.score(test_rows, test.labels):.1%} of the test images right")

# %% [markdown]
# The picture shows the accuracies of the five parts, and below test images (left) with the five training images nearest
# to them. A frame is green where the class is the same. Often what is alike is the background, not the thing.

# %%
figure = pyplot.figure(figsize=(7, 9), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=[1, 2])
axes = top.subplots()
axes.plot(KS, folds.T, ".", color="tab:blue")
axes.plot(KS, folds.mean(axis=0), color="tab:blue")
axes.set(xlabel="k", ylabel="accuracy", xscale="log", xticks=KS, xticklabels=KS)

nearest = best.kneighbors(test_rows[:5], n_neighbors=5, return_distance=False)
for i, line in enumerate(bottom.subplots(5, 6)):
    pictures = [test[[i]], *(train[[j]] for j in nearest[i])]
    for picture, axes in zip(pictures, line, strict=True):
        axes.imshow(picture.images[0].transpose(1, 2, 0))
        axes.set_title(train.classes[picture.labels[0]], fontsize=8)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="tab:green" if picture.labels[0] == test.labels[i] else "tab:red", linewidth=2)
    line[0].spines[:].set(color="black")

figure.savefig("knn.png", dpi=120)
