"""ImageNet at 32 x 32 through TensorFlow Datasets: 1,281,167 + 50,000 rows, 3,072 features, 1,000 classes.

    python run.py --config=configs/imagenet.py --workdir=runs/imagenet

TFDS prepares `imagenet_resized/32x32` from 3.5 GB that it downloads once. The images are decoded once, into
4.1 GB; where that is more than a quarter of the free memory they go to a file in `data.cache_dir`, from which
each batch is read. Other sizes, up to the article's 224 x 224 (150,528 features, 201 GB), come from the whole
images, which image-net.org gives to those who register; TFDS's page of `imagenet2012` says where to put them:

    --config.data.args.name=imagenet2012 --config.data.args.resize="(224, 224)" \
        --config.data.args.splits="('train', 'validation')" --config.data.cache_dir=/a/large/disk

What to expect: we have no network and have not run it; docs/benchmarks.md has rows a second on a set of the
same form. Zero weights have a log loss of ln 1000 = 6.91 nats, and one answer in a thousand right. Single
pixels say little of what a photograph shows, so a linear model of them stays at a few answers in a hundred;
`linear_probe` behind an encoder (docs/linear_probe.md) is the way to more.
"""

from tf_logreg import config as defaults


def get_config():
    """The article's scale-up to ImageNet: its minibatches of 256."""
    config = defaults.get_config()
    config.data.source = "tfds"
    config.data.args.name = "imagenet_resized/32x32"
    config.data.args.data_dir = ""
    config.data.args.folder = ""
    config.data.args.download = True
    config.data.args.resize = ()
    config.data.args.splits = ()
    # Labels of ImageNet's own test images are secret: its validation images are measured.
    config.data.test_split = "validation"
    # Pixels have a common unit.
    config.standardize = False
    config.l2 = 1e-5
    config.minibatch.learning_rate = 1e-3
    config.minibatch.batch_size = 256
    config.minibatch.epochs = 10
    config.minibatch.schedule.name = "cosine"
    config.solver.name = "minibatch"
    return config
