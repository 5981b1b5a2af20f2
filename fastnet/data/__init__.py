"""Data for training: data sets, their division, normalisation, augmentation, and the loader that makes batches."""
from fastnet.data.augment import Augment
from fastnet.data.cifar10 import cifar10, cifar10_or_synthetic
from fastnet.data.cifar100 import cifar100
from fastnet.data.dataset import Dataset, class_weights, k_folds, split, train_val_split
from fastnet.data.download import DownloadError
from fastnet.data.images import ImageFiles, ImageFolder
from fastnet.data.loader import DataLoader
from fastnet.data.mnist import fashion_mnist, mnist
from fastnet.data.normalize import Normalize
from fastnet.data.samplers import BalancedSampler, SubsetSampler, WeightedSampler
from fastnet.data.synthetic import synthetic

__all__ = ["Augment", "BalancedSampler", "DataLoader", "Dataset", "DownloadError", "ImageFiles", "ImageFolder",
           "Normalize", "SubsetSampler", "WeightedSampler", "cifar10", "cifar100", "cifar10_or_synthetic",
           "class_weights", "fashion_mnist", "k_folds", "mnist", "split", "synthetic", "train_val_split"]
