"""What an online model is held against: one feature, batch models of scikit-learn, River's own online models.

scikit-learn serves nothing else in Brewline, so it is installed into a cache folder when it is first wanted.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from river import forest, linear_model, optim, preprocessing

from benchmarks.foretold import roc_auc
from features.models import Learned, Learner, score
from features.models.curves import squash

Matrix = npt.NDArray[np.float64]
SCIKIT = ["scikit-learn==1.7.2", "joblib==1.5.2", "threadpoolctl==3.6.0"]  # has wheels for Python 3.10 to 3.12


class Foreteller(Protocol):
    def learn(self, rows: Matrix, labels: Matrix) -> None: ...

    def score(self, rows: Matrix) -> Matrix: ...


class Ours:
    """The learner of the learning flow, with the form that is published."""

    def __init__(self, features: list[str]) -> None:
        self.learner = Learner("benchmark", features, "", Learned())

    def learn(self, rows: Matrix, labels: Matrix) -> None:
        self.learner.learn(rows, labels)

    def score(self, rows: Matrix) -> Matrix:
        return score(self.learner.publish(), rows)


class Batch:
    """All that was learned from so far, kept; a model is made anew of it for each scoring."""

    def __init__(self, fitted: Callable[[Matrix, Matrix, Matrix], Matrix]) -> None:
        """`fitted`: known rows, their labels, rows to score → scores."""
        self.fitted = fitted
        self.rows: list[Matrix] = []
        self.labels: list[Matrix] = []

    def learn(self, rows: Matrix, labels: Matrix) -> None:
        self.rows.append(rows)
        self.labels.append(labels)

    def score(self, rows: Matrix) -> Matrix:
        known = np.concatenate(self.rows)
        told = [i for i, values in enumerate(known.T) if np.nanmin(values) < np.nanmax(values)]
        return self.fitted(known[:, told], np.concatenate(self.labels), rows[:, told])


def one_feature(known: Matrix, labels: Matrix, rows: Matrix) -> Matrix:
    """The feature that ranked those who are known best, as it is: a ranking, no probability."""
    areas = [roc_auc(labels, np.nan_to_num(values, nan=-1.0)) for values in known.T]
    best = int(np.argmax([abs(area - 0.5) for area in areas]))
    return np.nan_to_num(rows[:, best], nan=-1.0) * (1 if areas[best] > 0.5 else -1)


def batch_logistic(known: Matrix, labels: Matrix, rows: Matrix) -> Matrix:
    """Logistic regression over squashed features; how strongly it shrinks is chosen by cross-validation."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = {"Cs": [0.01, 0.1, 1.0], "cv": 3, "scoring": "neg_log_loss", "max_iter": 2000}
    imputed = SimpleImputer(strategy="median", add_indicator=True)
    model = make_pipeline(imputed, StandardScaler(), LogisticRegressionCV(**chosen))
    return model.fit(squash(known), labels).predict_proba(squash(rows))[:, 1]


def batch_trees(known: Matrix, labels: Matrix, rows: Matrix) -> Matrix:
    """Gradient boosting over the features as they are."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    size = {"max_iter": 80, "max_leaf_nodes": 8, "min_samples_leaf": 40}
    model = HistGradientBoostingClassifier(learning_rate=0.05, l2_regularization=5.0, random_state=0, **size)
    return model.fit(known, labels).predict_proba(rows)[:, 1]


class RiverLogistic:
    """River's scaler and logistic regression in mini-batches, as they come."""

    def __init__(self, features: list[str]) -> None:
        self.features = features
        self.scaler = preprocessing.StandardScaler()
        self.regression = linear_model.LogisticRegression(optim.SGD(0.05))

    def learn(self, rows: Matrix, labels: Matrix) -> None:
        frame = self._frame(rows)
        self.scaler.learn_many(frame)
        self.regression.learn_many(self._scaled(frame), pd.Series(labels > 0))

    def score(self, rows: Matrix) -> Matrix:
        chances = self.regression.predict_proba_many(self._scaled(self._frame(rows)))
        return np.asarray(chances[True], dtype=np.float64)

    def _scaled(self, frame: pd.DataFrame) -> pd.DataFrame:
        self.scaler.vars.update({name: max(0.0, var) for name, var in self.scaler.vars.items()})
        return self.scaler.transform_many(frame)

    def _frame(self, rows: Matrix) -> pd.DataFrame:
        squashed = squash(rows)
        usual = np.array([float(self.scaler.means.get(name, 0.0)) for name in self.features])
        return pd.DataFrame(np.where(np.isnan(squashed), usual, squashed), columns=self.features)


class RiverForest:
    """River's adaptive random forest of ten trees, a row at a time."""

    def __init__(self, features: list[str]) -> None:
        self.features = features
        self.model = forest.ARFClassifier(n_models=10, seed=7)

    def learn(self, rows: Matrix, labels: Matrix) -> None:
        for row, label in zip(self._rows(rows), labels, strict=True):
            self.model.learn_one(row, bool(label > 0))

    def score(self, rows: Matrix) -> Matrix:
        return np.array([self.model.predict_proba_one(row).get(True, 0.0) for row in self._rows(rows)])

    def _rows(self, rows: Matrix) -> list[dict[str, float]]:
        return [dict(zip(self.features, row, strict=True)) for row in np.nan_to_num(rows, nan=-1.0).tolist()]


def references(features: list[str], forests: bool) -> dict[str, Any]:
    """By name, the maker of each."""
    makers: dict[str, Any] = {
        "best_feature": lambda: Batch(one_feature),
        "batch_logistic": lambda: Batch(batch_logistic),
        "batch_trees": lambda: Batch(batch_trees),
        "river_logistic": lambda: RiverLogistic(features),
    }
    return makers | ({"river_forest": lambda: RiverForest(features)} if forests else {})


def install_scikit(cache: Path) -> None:
    """Into a folder of its own, behind all that is installed."""
    folder = cache / f"scikit-{sys.version_info.major}.{sys.version_info.minor}"
    if not (folder / "sklearn").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*pip, *SCIKIT], check=True)
    sys.path.append(str(folder))
