"""Classifiers whose outputs are another classifier's features, and the vote of the same."""

from sklearn.datasets import load_wine
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

x, y = load_wine(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y, random_state=0)

linear = LogisticRegression(solver="newton-cholesky", tol=1e-12)
members = [
    ("linear", make_pipeline(StandardScaler(), linear)),
    ("tree", DecisionTreeClassifier(max_depth=3, random_state=0)),
    ("bayes", GaussianNB()),
]
stack = StackingClassifier(members, final_estimator=linear, cv=3).fit(x_train, y_train)
vote = VotingClassifier(members, voting="soft").fit(x_train, y_train)

numbers = {
    "weights of the members": stack.final_estimator_.coef_,
    "stack": stack.predict_proba(x_test),
    "vote": vote.predict_proba(x_test),
    "accuracy": [stack.score(x_test, y_test), vote.score(x_test, y_test)],
}
