"""The warm-up requests, read by messages that are made here from TensorFlow Serving's own definitions."""

import os

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from served import dense
from tensorflow.core.framework import tensor_pb2

from tf_logreg.export import warm_up

# Messages of tensorflow_serving/apis: prediction_log.proto, predict.proto. Number, name, type and label of a field.
MESSAGES = {
    "PredictionLog": [(6, "predict_log", ".tensorflow.serving.PredictLog", 1)],
    "PredictLog": [(1, "request", ".tensorflow.serving.PredictRequest", 1)],
    "PredictRequest": [(2, "inputs", ".tensorflow.serving.PredictRequest.InputsEntry", 3)],
}


def prediction_log():
    """The class of a PredictionLog."""
    file = descriptor_pb2.FileDescriptorProto(
        name="serving.proto", package="tensorflow.serving", syntax="proto3", dependency=["tensor.proto"]
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, type_name, label in fields:
            message.field.add(name=field, number=number, type=11, type_name=type_name, label=label)
    entry = file.message_type[2].nested_type.add(
        name="InputsEntry", options=descriptor_pb2.MessageOptions(map_entry=True)
    )
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=11, type_name=".tensorflow.TensorProto", label=1)
    tensor = descriptor_pb2.FileDescriptorProto()
    tensor_pb2.DESCRIPTOR.CopyToProto(tensor)
    pool = descriptor_pool.DescriptorPool()
    pending = [tensor_pb2.DESCRIPTOR]
    files = {}
    while pending:
        one = pending.pop()
        files[one.name] = one
        pending += [other for other in one.dependencies if other.name not in files]
    added = set()
    while len(added) < len(files):
        for one in files.values():
            if one.name not in added and all(other.name in added for other in one.dependencies):
                pool.AddSerializedFile(one.serialized_pb)
                added.add(one.name)
    file.dependency[0] = tensor_pb2.DESCRIPTOR.name
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.PredictionLog"))


def requests(path):
    """The tensors of each request, by input."""
    kind = prediction_log()
    file = os.path.join(path, warm_up.FOLDER, warm_up.NAME)
    logs = [kind.FromString(record.numpy()) for record in tf.data.TFRecordDataset(file)]
    return [
        {
            name: tf.make_ndarray(tensor_pb2.TensorProto.FromString(t.SerializeToString()))
            for name, t in log.predict_log.request.inputs.items()
        }
        for log in logs
    ]


def test_a_table_answers_them(every_kind, tmp_path):
    every_kind[0].export(str(tmp_path / "export"))
    serve = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    found = requests(tmp_path / "export")
    assert [len(next(iter(one.values()))) for one in found] == [1, 32]
    for given in found:
        assert np.isfinite(
            serve(**{name: tf.constant(values) for name, values in given.items()})["logits"]
        ).all()


@pytest.mark.parametrize("sparse", [False, True])
def test_arrays_answer_them(sparse, tmp_path):
    model = type(dense("softmax", 4)[0])(**vars(dense("softmax", 4)[0]) | {"sparse": sparse})
    model.export(str(tmp_path / "export"))
    serve = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    for given, rows in zip(requests(tmp_path / "export"), (1, 32), strict=True):
        assert given.keys() == ({"ids", "values"} if sparse else {"features"})
        assert serve(**{name: tf.constant(v) for name, v in given.items()})["probabilities"].shape == (
            rows,
            4,
        )
