"""Put a scikit-learn classifier into a noisy chip with dead cells, and let the chip's own noise mend what that lost.

python examples/06_deploy.py
"""

import warnings

from sklearn.neural_network import MLPClassifier

import hwzo
from hwzo.data.catalogue import load_task

if __name__ == "__main__":
    train = load_task("digits").train
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 rounds are enough here, converged or not
        model = MLPClassifier((32,), activation="tanh", alpha=0.1, max_iter=200, random_state=0)
        model.fit(train.inputs, train.targets)

    deployment = hwzo.deploy(
        model,
        "crossbar:pcm?stuck=0.05&seed=1",
        task="digits",
        touch_up="2000 evaluations",
        output="deployment.h5",
        force=True,  # running this again replaces it
        say=print,
    )
    result = deployment.result
    print(f"emulated: {result.emulated}; verified: {result.verified}")
    print(f"test accuracy, written once: {result.accuracy_before:.3f}; in the end: {result.accuracy:.3f}")
