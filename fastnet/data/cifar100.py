"""The CIFAR-100 images: found on this machine or downloaded.

Alex Krizhevsky, "Learning multiple layers of features from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html
"""
from fastnet import arguments
from fastnet.data import places
from fastnet.data.cifar import Cifar

FINE = tuple("""
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split())
COARSE = tuple("""
    aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
    insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
    medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2""".split())
VERSION = Cifar("CIFAR-100", ("train",), ("test",), ("train", "test"), ("cifar-100-binary", "cifar-100-python"),
                ("cifar-100-binary.tar.gz", "cifar-100-python.tar.gz"), 50_000, ("coarse_labels", "fine_labels"),
                (20, 100))
SHA256 = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"  # of cifar-100-binary.tar.gz
MIRRORS = ("https://www.cs.toronto.edu/~kriz",)


def cifar100(root=None, download=True, progress=True, coarse=False):
    """The training set and the test set, two `Dataset`s of 50,000 and 10,000 uint8 images (3, 32, 32) in 100 classes,
    or with `coarse` in the 20 classes that these belong to.

    Where they are looked for, what a folder may hold and which errors are raised: see `cifar10`, with
    cifar-100-binary and cifar-100-python in place of its folders.

    >>> train, test = cifar100()     # doctest: +SKIP
    """
    root, download, progress = places.checked("cifar100", root, download, progress)
    coarse = arguments.flag(coarse, "cifar100: coarse")
    published = places.Published(VERSION.name, VERSION.expected, VERSION.look, "", ((VERSION.archives[0], SHA256),),
                                 MIRRORS)
    source = places.find(published, root) or places.fetch(published, download, progress)
    return VERSION.read(source, 0 if coarse else 1, COARSE if coarse else FINE)
