"""Data for training: data sets, their division, normalisation, augmentation, and the loader that makes batches."""
from fastnet.data.augment import Augment
from fastnet.data.cifar10 import cifar10, cifar10_or_synthetic
from fastnet.data.dataset import Dataset, k_folds, train_val_split
from fastnet.data.download import DownloadError
from fastnet.data.images import ImageFiles, ImageFolder
from fastnet.data.loader import DataLoader
from fastnet.data.normalize import Normalize
from fastnet.data.samplers import BalancedSampler, SubsetSampler, WeightedSampler
from fastnet.data.synthetic import synthetic

__all__ = ["Augment", "BalancedSampler", "DataLoader", "Dataset", "DownloadError", "ImageFiles", "ImageFolder", "Normalize", "SubsetSampler",
           "WeightedSampler", "cifar10", "cifar10_or_synthetic", "k_folds", "synthetic", "train_val_split"]
