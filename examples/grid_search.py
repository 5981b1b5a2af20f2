# %% [markdown]
# # A grid search over nets
#
# `NetClassifier` is an estimator of scikit-learn, so its searches, pipelines and metrics work with it. Here a small
# convolutional net reads digits of 8 x 8 pixels, which come with scikit-learn, and a grid of learning rates and
# widths is searched by cross-validation, two fits at a time.

# %%
from functools import partial

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import classification_report
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import fastnet
from fastnet.estimators import NetClassifier

ROWS, EPOCHS, JOBS = 1_797, 12, 2
WIDTHS, RATES = (8, 16), (0.001, 0.003, 0.01)
x, y = (part[:ROWS] for part in load_digits(return_X_y=True))
x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)

# %% [markdown]
# A net is a function of the number of classes; it can be pickled, so that other processes may fit it. The pipeline
# gives rows of 64 numbers, of which the net makes images.


# %%
def convnet(classes, width):
    """Two convolutions of so many channels, and a linear layer."""
    return fastnet.Sequential(
        fastnet.Unflatten(1, (1, 8, 8)), fastnet.Conv2d(1, width, 3, padding=1), fastnet.ReLU(),
        fastnet.Conv2d(width, width, 3, padding=1), fastnet.ReLU(), fastnet.MaxPool2d(2), fastnet.Flatten(),
        fastnet.Linear(16 * width, classes))


# %%
pipeline = make_pipeline(MinMaxScaler(), NetClassifier(batch_size=64, max_iter=EPOCHS, random_state=0))
grid = {"netclassifier__net": [partial(convnet, width=width) for width in WIDTHS],
        "netclassifier__learning_rate_init": RATES}
folds = StratifiedKFold(3, shuffle=True, random_state=0)
search = GridSearchCV(pipeline, grid, cv=folds, n_jobs=JOBS).fit(x, y)

print("width  learning rate  accuracy")
for row in np.argsort(search.cv_results_["rank_test_score"]):
    net, rate = search.cv_results_["params"][row].values()
    accuracy, spread = (search.cv_results_[f"{what}_test_score"][row] for what in ("mean", "std"))
    net, rate = (net, rate) if callable(net) else (rate, net)
    print(f"{net.keywords['width']:5}  {rate:13}  {accuracy:.3f} +- {spread:.3f}")

# %% [markdown]
# The best settings, fitted to all rows but those of the test:

# %%
print(classification_report(y_test, search.predict(x_test), digits=3))
print(f"accuracy on the test rows: {search.score(x_test, y_test):.3f}")
