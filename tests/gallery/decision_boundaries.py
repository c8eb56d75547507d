"""Three classes in a plane: the regions of a softmax, of one against the rest, and of one against one."""

import numpy as np
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier

centres = [[-5, 0], [0, 1.5], [5, -1]]
x, y = make_blobs(n_samples=600, centers=centres, random_state=40)
x = x @ [[0.4, 0.2], [-0.4, 1.2]]

model = LogisticRegression(solver="newton-cholesky", tol=1e-14)
plane = np.stack(np.meshgrid(np.linspace(-4, 4, 25), np.linspace(-4, 4, 25)), axis=-1).reshape(-1, 2)
softmax = model.fit(x, y)
rest = OneVsRestClassifier(model).fit(x, y)
pairs = OneVsOneClassifier(model).fit(x, y)

numbers = {
    "lines": np.hstack([softmax.coef_, softmax.intercept_[:, None]]),
    "softmax": softmax.predict_proba(plane),
    "one against the rest": rest.predict_proba(plane),
    "one against one": pairs.decision_function(plane),
    "regions": np.stack([softmax.predict(plane), rest.predict(plane), pairs.predict(plane)]),
}
