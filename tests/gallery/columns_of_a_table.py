"""A table of numbers and words: a ColumnTransformer in a Pipeline, a cross-validated score."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

rng = np.random.default_rng(0)
table = pd.DataFrame(
    {
        "age": rng.normal(30, 14, 400),
        "fare": rng.gamma(2, 15, 400),
        "port": rng.choice(["Cherbourg", "Queenstown", "Southampton"], 400),
        "class": rng.choice(["first", "second", "third"], 400),
    }
)
table.loc[rng.choice(400, 40, replace=False), "age"] = np.nan
chance = 1 / (1 + np.exp(1.5 * (table["class"] == "third") - table["fare"] / 40))
survived = np.where(rng.random(400) < chance, "yes", "no")

model = make_pipeline(
    ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "fare"]),
            ("words", OneHotEncoder(sparse_output=False), ["port", "class"]),
        ]
    ),
    LogisticRegression(solver="newton-cholesky", tol=1e-12),
)
scores = cross_val_score(model, table, survived, scoring="neg_log_loss")
model.fit(table, survived)

numbers = {"scores": scores, "coefficients": model[-1].coef_, "probabilities": model.predict_proba(table)}
