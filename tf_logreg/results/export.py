"""The SavedModel: raw features in, logits, probabilities and class names out. It needs nothing else."""

import keras
import tensorflow as tf

from tf_logreg.model import dense, linear, losses


def serving_module(model: keras.Sequential, class_names: tuple[str, ...]) -> tf.Module:
    """A plain module with its own copy of the weights, on the host, whatever the strategy was.

    `keras.Model.export` is not used: it trips over names and dicts, and gives the sigmoid's one
    column where every user of the signature wants [B, C].

    Args:
        model: in raw units.
        class_names: C names, in the order of the labels.
    """
    one_vs_rest, (kernel, bias) = dense.is_one_vs_rest(model), dense.get_weights(model)
    module = tf.Module(name="logistic_regression")
    with tf.device("CPU:0"):
        module.kernel, module.bias = tf.Variable(kernel, name="kernel"), tf.Variable(bias, name="bias")
        module.class_names = tf.Variable(list(class_names), trainable=False, name="class_names")

    @tf.function(input_signature=[tf.TensorSpec([None, kernel.shape[0]], kernel.dtype, name="features")])
    def serve(features):
        logits = linear.logits(
            features, tf.convert_to_tensor(module.kernel), tf.convert_to_tensor(module.bias)
        )
        # argmax takes the lower class of a tie; so does logit > 0.
        class_id = tf.cast(logits[:, 0] > 0, tf.int64) if logits.shape[1] == 1 else tf.argmax(logits, axis=1)
        return {
            "logits": logits,
            "probabilities": losses.class_probabilities(
                tf.math.log_sigmoid(logits) if one_vs_rest else logits
            ),
            "class_id": class_id,
            "class_name": tf.gather(module.class_names, class_id),
        }

    module.serve = serve
    return module


def save(module: tf.Module, path: str) -> None:
    """Writes the SavedModel with its `serving_default` signature.

    Signature: features [None, p] float32 (float64 for a float64 run) -> logits [B, 1 or C],
    probabilities [B, C], class_id int64 [B], class_name string [B].
    """
    tf.saved_model.save(module, path, signatures={"serving_default": module.serve})
